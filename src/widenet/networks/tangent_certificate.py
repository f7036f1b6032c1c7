"""A certificate that a tangent kernel learns a little: one explicit function of it, and a lower bound of its edge."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from widenet._arrays import Array, read_inputs, row_blocks
from widenet.errors import InvalidInput
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.jacobian import pull_back, push_forward
from widenet.networks.module_function import ModuleFunction, evaluation

_BLOCK = 1024
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class TangentFunction:
    """h(x) = J(x) v, a function of the tangent kernel of a module: J(x) = df(x) / dw at its parameters w.

    Attributes:
        module: f.
        direction: v, by name of the parameter.
    """

    module: nn.Module
    direction: Mapping[str, Tensor]

    def __call__(self, X: Array) -> Array:
        """Values (n, outputs) at points (n, ..., channels), by forward derivatives."""
        inputs = read_inputs(X)
        function = ModuleFunction.of(self.module, tuple(self.direction), inputs.X)
        direction = {name: part.to(inputs.X.dtype) for name, part in self.direction.items()}
        with evaluation(inputs.X.device), torch.no_grad():
            parts = [push_forward(function, inputs.X[rows], direction) for rows in row_blocks(len(inputs.X), _BLOCK)]
        return inputs.restore(torch.cat(parts))


@dataclass(frozen=True, eq=False)
class TangentCertificate:
    """What the first gradient of a module promises its tangent kernel.

    With g = grad L(w) of L = E |f(x) - y|^2 / 2 and C^2 >= |J(x)|^2 for all x, the function h = -J(x) g / C^2 has
    L(f) - L(f + h) = |g|^2 / C^2 - E |h|^2 / 2 >= |g|^2 / (2 C^2). Where f = 0, that is its edge over predicting 0.

    Attributes:
        gradient_norm: |g|.
        largest_norm: C^2, the largest squared Frobenius norm of J over the given points.
        start_loss: L(f).
        bound: |g|^2 / (2 C^2).
        edge: L(f) - L(f + h), exactly, for the given points.
        function: h.
    """

    gradient_norm: float
    largest_norm: float
    start_loss: float
    bound: float
    edge: float
    function: TangentFunction

    def edge_on(self, X: Array, y: Array, probability: Array | None = None) -> float:
        """L(f) - L(f + h) for other points.

        Args:
            X: Points, (n, ..., channels).
            y: Targets, (n,) or (n, outputs).
            probability: Of each point, (n,); None for equal ones.
        """
        points = read_inputs(X).X
        residual = ModuleFunction.of(self.function.module, None, points).outputs(points) - read_targets(y, points)
        return _edge(self.function(points), residual, read_probabilities(probability, points))


def tangent_certificate(module: nn.Module, X: Array, y: Array, probability: Array | None = None) -> TangentCertificate:
    """Lower bound |grad L|^2 / (2 C^2) of what a function of the tangent kernel gains, with that function.

    If gradient descent with gradients known up to tau leaves the start at all, |grad L| > tau, and the tangent kernel
    has an edge of at least tau^2 / (2 C^2): where training succeeds from f = 0, its tangent kernel learns weakly.

    Args:
        module: f: points (n, ..., channels) to outputs (n, outputs); `Twin` makes one with f = 0. In evaluation mode
            where it has dropout or batch normalisation. It is copied.
        X: Points; the work is done in their precision.
        y: Targets, (n,) or (n, outputs); where labels are random, their means given x do for gradient and edge.
        probability: Of each point, (n,), for an enumerated distribution, for which everything is exact; None for
            equal ones, the distribution of the sample.

    Returns:
        The certificate.

    Raises:
        InvalidInput: On points and targets that do not fit, or a module whose outputs do not depend on its parameters.

    Cost: Three passes over the points, and the diagonal of the tangent kernel.

    References:
        Malach, Kamath, Abbe and Srebro 2021, arXiv 2103.01210, recalled; the constant is derived here.

    Example:
        >>> certificate = tangent_certificate(torch.nn.Linear(2, 1), [[1.0, 1.0], [-1.0, 1.0]], [1.0, -1.0])
        >>> certificate.edge >= certificate.bound > 0
        True
    """
    points = read_inputs(X).X
    targets, weights = read_targets(y, points), read_probabilities(probability, points)
    function = ModuleFunction.of(deepcopy(module), None, points)
    outputs = function.outputs(points)
    if outputs.shape != targets.shape:
        got = f"{tuple(outputs.shape)} and {tuple(targets.shape)}"
        raise InvalidInput("the module's outputs and y must have one shape (points, outputs)", got)
    residual = outputs - targets
    gradient = _gradient(function, points, weights[:, None] * residual)
    largest = float(EmpiricalNTK(module).diagonal(points).max()) * outputs.shape[1]
    if largest == 0:
        raise InvalidInput("outputs must depend on the parameters", "no gradient at any point")
    norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradient.values()])))
    h = TangentFunction(function.module, {name: -part / largest for name, part in gradient.items()})
    loss = float(weights.double() @ residual.double().square().sum(1)) / 2
    return TangentCertificate(norm, largest, loss, norm**2 / (2 * largest), _edge(h(points), residual, weights), h)


def read_targets(y: Array, points: Tensor) -> Tensor:
    """Targets (n, outputs) in the precision and on the device of the points.

    Raises:
        InvalidInput: Where they are not finite numbers, one row a point.
    """
    given = y.detach() if isinstance(y, Tensor) else torch.as_tensor(np.asarray(y, np.float64))
    targets = given.to(points.device, points.dtype)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if targets.ndim != 2 or len(targets) != len(points):
        n = len(points)
        raise InvalidInput(f"y must have shape ({n},) or ({n}, outputs)", f"shape {tuple(given.shape)}")
    if not bool(torch.isfinite(targets).all()):
        raise InvalidInput("y must be finite", "NaN or infinity in it", "Drop those rows")
    return targets


def read_probabilities(probability: Array | None, points: Tensor) -> Tensor:
    """Probabilities of points, (n,), in their precision; equal ones where None is given.

    Raises:
        InvalidInput: Where they are negative or do not add up to 1.
    """
    n = len(points)
    if probability is None:
        return points.new_full((n,), 1 / n)
    given = probability.detach() if isinstance(probability, Tensor) else torch.as_tensor(np.asarray(probability))
    weights = given.to(points.device, points.dtype)
    total = float(weights.double().sum())
    if weights.shape != (n,) or bool((weights < 0).any()) or not abs(total - 1) < _ROUNDING * n:
        got = f"shape {tuple(weights.shape)}, sum {total:.6g}"
        raise InvalidInput(f"probabilities must be {n} numbers of at least 0 that add up to 1", got)
    return weights


def _gradient(function: ModuleFunction, points: Tensor, v: Tensor) -> dict[str, Tensor]:
    """J(X)^T v."""
    total = {name: torch.zeros_like(p) for name, p in function.parameters.items()}
    with evaluation(points.device), torch.no_grad():
        for rows in row_blocks(len(points), _BLOCK):
            for name, part in pull_back(function, points[rows], v[rows]).items():
                total[name] += part
    return total


def _edge(h: Tensor, residual: Tensor, weights: Tensor) -> float:
    return float(weights.double() @ (-residual.double() * h.double() - h.double().square() / 2).sum(1))
