"""Jacobians of a network's outputs by its parameters, point by point, and products with them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vjp, vmap

from widenet.errors import InvalidInput
from widenet.networks.module_function import ModuleFunction


def jacobian_rows(function: ModuleFunction, names: Sequence[str], X: Tensor) -> list[Tensor]:
    """Gradients of every output at every point by each of some parameters, (n, outputs, parameters of that name).

    Args:
        function: The module.
        names: The parameters.
        X: Points, (n, ...).

    Raises:
        InvalidInput: If torch.func cannot vectorise the module over points.

    Cost:
        One forward and, for every output, one backward pass; n outputs numbers for each parameter.
    """
    chosen = {name: function.parameters[name] for name in names}

    def outputs(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return function(parameters, x[None])[0]

    try:
        found = vmap(jacrev(outputs), in_dims=(None, 0))(chosen, X)
    except RuntimeError as error:
        raise InvalidInput(
            "torch.func must be able to vectorise a module over points for its Jacobians",
            f"{type(function.module).__name__}: {str(error).strip().splitlines()[0]}",
            "Choose method='products', which needs forward-mode derivatives only",
        ) from error
    return [found[name].flatten(2) if found[name].ndim > 2 else found[name][:, :, None] for name in names]


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

    Cost:
        About two forward passes.
    """
    return jvp(lambda parameters: function(parameters, X), (function.parameters,), (direction,))[1]


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
