"""Gradient descent on a linear model: its step size, its steps, its predictions."""

from collections.abc import Callable
from math import inf, isfinite, log1p

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widenet.errors import InvalidInput


def largest_eigenvalue(apply: Callable[[Tensor], Tensor], start: Tensor, tolerance: float = 1e-9) -> float:
    """Largest eigenvalue of a positive semi-definite map by power iteration; an estimate from below.

    Args:
        apply: The map, on tensors of the shape of `start`.
        start: Any tensor of that shape, for the dtype; the iteration starts from random numbers of a fixed seed.
        tolerance: Relative growth at which the iteration stops.

    Raises:
        InvalidInput: If the map is 0 or its values are not finite.
    """
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(start.shape, generator=generator, dtype=torch.float64).to(start.device, start.dtype)
    value = 0.0
    for _ in range(1000):
        vector = apply(vector / torch.linalg.vector_norm(vector))
        before, value = value, float(torch.linalg.vector_norm(vector))
        if not 0 < value < inf:
            raise InvalidInput("the tangent kernel must be finite and not 0", f"{value}", "No unit may be active")
        if value - before <= tolerance * value:
            break
    return value


def predicted_steps(
    K: Float[np.ndarray, "n n"],
    ratio: float,
    residuals: Float[np.ndarray, "n _"] | Float[np.ndarray, " n"] | None = None,
    step: float | None = None,
) -> int:
    """Steps t of gradient descent on a linear model until |(1 - step K)^t r|^2 <= ratio |r|^2.

    Exact where the kernel stays as it is: infinitely wide networks, surrogate networks with one trained layer.

    Args:
        K: Gram matrix of the tangent kernel.
        ratio: Of the loss then to the loss at the start.
        residuals: y - f at the start, (n,) or (n, outputs). None for the worst, which at the default step takes
            log(1 / ratio) / (2 log(1 / (1 - lambda_min / lambda_max))) steps.
        step: Step size; None for 1 / lambda_max.

    Returns:
        The smallest such number of steps; 0 where the ratio is 1 or more.

    Raises:
        InvalidInput: If the loss never gets there.

    Example:
        >>> K = np.diag([1.0, 0.1])
        >>> predicted_steps(K, 1e-6), predicted_steps(K, 1e-6, np.array([1.0, 1e-3]))
        (66, 1)
    """
    values, vectors = np.linalg.eigh(K)
    rates = (1 - (1 / values[-1] if step is None else step) * values) ** 2
    if residuals is None:
        parts = (rates == rates.max()).astype(np.float64)
    else:
        parts = np.square(vectors.T @ np.asarray(residuals).reshape(len(K), -1)).sum(1)
    target = ratio * parts.sum()
    if not np.sum(parts[rates >= 1]) <= target:
        raise InvalidInput("the loss must be within reach of the kernel", f"smallest eigenvalue {values[0]:.3g}")
    if np.sum(parts) <= target:
        return 0
    low, high = 0, 1
    while np.sum(parts * rates**high) > target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if np.sum(parts * rates**middle) > target else (low, middle)
    return high


def descent_change(
    K: Float[np.ndarray, "n n"],
    cross: Float[np.ndarray, "rows n"],
    residuals: Float[np.ndarray, " n"],
    step: float,
    steps: int,
) -> Float[np.ndarray, " rows"]:
    """How far T steps of gradient descent on a linear model move its values at any points.

    f_T(x) - f_0(x) = K(x, X) K^-1 [1 - (1 - step K)^T] (y - f_0(X)), also where K is singular.

    Args:
        K: Gram matrix of the tangent kernel at the training points.
        cross: K(x, X) of the points asked for.
        residuals: y - f_0(X).
        step: Step size.
        steps: T.

    Returns:
        (rows,), in the order of `cross`.

    Raises:
        InvalidInput: If the step is not positive and finite.

    Example:
        >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
        >>> descent_change(K, K, np.array([3.0, 0.0]), 1 / 3, 1)  # step K residuals
        array([2., 1.])
    """
    if not (isfinite(step) and step > 0):
        raise InvalidInput("step must be positive and finite", repr(step))
    values, vectors = np.linalg.eigh(K)
    return cross @ (vectors @ ([_filter(value, step, steps) for value in values] * (vectors.T @ residuals)))


def _filter(value: float, step: float, steps: int) -> float:
    """(1 - (1 - step value)^T) / value, without cancellation for small values."""
    if value == 0:
        return steps * step
    share = step * value
    return float((-np.expm1(steps * log1p(-share)) if share < 1 else 1 - (1 - share) ** steps) / value)
