"""Jacobians of a network's outputs by its parameters, point by point, and products with them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vjp, vmap

from widenet.errors import InvalidInput
from widenet.networks.module_function import ModuleFunction


def jacobian_rows(function: ModuleFunction, names: Sequence[str], X: Tensor) -> list[Tensor]:
    """Gradients of every output at every point by each of some parameters, (n, outputs, parameters of that name).

    Vectorised over points and outputs, or, for a module that torch.func cannot vectorise, one reverse pass for each.

    Args:
        function: The module.
        names: The parameters.
        X: Points, (n, ...).

    Cost:
        One forward and, for every output, one backward pass; n outputs numbers for each parameter.
    """
    chosen = {name: function.parameters[name] for name in names}

    def outputs(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return function(parameters, x[None])[0]

    try:
        found = vmap(jacrev(outputs), in_dims=(None, 0))(chosen, X)
    except RuntimeError:  # data-dependent control flow, or a rule for batches that torch lacks
        return _one_by_one(function, chosen, X)
    return [found[name].reshape(*found[name].shape[:2], -1) for name in names]


def _one_by_one(function: ModuleFunction, chosen: Mapping[str, Tensor], X: Tensor) -> list[Tensor]:
    graph = torch.is_grad_enabled()
    rows: list[list[Tensor]] = [[] for _ in chosen]
    with torch.enable_grad():
        parameters = {name: value.detach().requires_grad_() for name, value in chosen.items()}
        for point in X.split(1):
            outputs = function(parameters, point)[0]
            for output in outputs:
                gradients = torch.autograd.grad(
                    output,
                    list(parameters.values()),
                    retain_graph=True,
                    create_graph=graph,
                    allow_unused=True,
                    materialize_grads=True,
                )
                for row, gradient in zip(rows, gradients, strict=True):
                    row.append(gradient.reshape(-1))
    return [torch.stack(row).reshape(len(X), -1, row[0].numel()) for row in rows]


def pull_back(function: ModuleFunction, X: Tensor, v: Tensor) -> dict[str, Tensor]:
    """J(X)^T v: the gradient of sum_ia v_ia f_a(x_i) by all parameters.

    Args:
        function: The module.
        X: Points, (n, ...).
        v: (n, outputs).

    Cost:
        One forward and one backward pass.
    """
    return vjp(lambda parameters: function(parameters, X), function.parameters)[1](v)[0]


def push_forward(function: ModuleFunction, X: Tensor, direction: dict[str, Tensor]) -> Tensor:
    """J(X) u: the derivative of all outputs along a direction u of the parameters, (n, outputs).

    Args:
        function: The module.
        X: Points, (n, ...).
        direction: u, a tensor for every parameter.

    Raises:
        InvalidInput: If torch has no forward-mode derivative of something in the module.

    Cost:
        About two forward passes.
    """
    try:
        return jvp(lambda parameters: function(parameters, X), (function.parameters,), (direction,))[1]
    except NotImplementedError as error:
        raise InvalidInput(
            "products with a tangent kernel need forward-mode derivatives of the module",
            str(error).strip().splitlines()[0],
            "Choose method='jacobian'",
        ) from error


def squared_gradients(function: ModuleFunction, X: Tensor) -> Tensor:
    """Theta_aa(x, x) of all points, (n, outputs), a backward pass each, without a Jacobian in memory."""
    outputs = function.outputs(X[:1]).shape[1]
    rows = X.new_empty(len(X), outputs)
    for i, point in enumerate(X.split(1)):
        for a in range(outputs):
            cotangent = X.new_zeros(1, outputs)
            cotangent[0, a] = 1
            gradient = pull_back(function, point, cotangent)
            rows[i, a] = torch.stack([part.square().sum() for part in gradient.values()]).sum()
    return rows
