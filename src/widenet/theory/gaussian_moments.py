"""Fourth moments of an activation and its derivative under a Gaussian: what fluctuations of finite networks need."""

from dataclasses import dataclass
from functools import lru_cache, singledispatch
from itertools import pairwise
from math import ceil, sqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widenet.architectures.activations import AbsLinear, Activation, Elementwise
from widenet.architectures.threshold import ThresholdReLU
from widenet.errors import InvalidArchitecture
from widenet.kernels.hermite import gaussian_grid

_SMALLEST = 1e-290  # a second moment of s below it has lost digits to the end of the range
_TOLERANCE = 1e-10
_SCALES = np.array([1e-300, 1e-300, 1, 1, 1, 1, 1, 1])  # both second moments to their own size, ratios to that of 1
_LEVELS = 7  # from 16 to 1,024 nodes a standard deviation
_LIMIT = 14.0  # standard deviations
_PANEL, _NODES = 2.0, 24  # standard deviations and Gauss-Legendre nodes of a piece


@dataclass(frozen=True)
class UnitMoments:
    """Moments of s = phi(z) and t = phi'(z) for z = sqrt(variance) u, u ~ N(0, 1), relative to their second moments.

    Attributes:
        square: <s^2>.
        slope: <t^2>.
        fourth: <s^4> / <s^2>^2.
        slope_fourth: <t^4> / <t^2>^2.
        square_response: variance d<s^2>/d variance / <s^2> = <s^2 (u^2 - 1)> / (2 <s^2>).
        slope_response: <t^2 (u^2 - 1)> / (2 <t^2>).
        both: <s^2 t^2> / (<s^2> <t^2>).
        alignment: <u s t>^2 / (<s^2> <t^2>).
    """

    square: float
    slope: float
    fourth: float
    slope_fourth: float
    square_response: float
    slope_response: float
    both: float
    alignment: float


@lru_cache(maxsize=4096)
def unit_moments(activation: Activation, variance: float) -> UnitMoments:
    """The moments of an activation, to 1e-10 of their size.

    Smooth activations go by the trapezoidal rule, which for analytic ones beats Gauss-Hermite of the same size; those
    with a kink, and functions given by the user, which may have one at 0, by Gauss-Legendre pieces that end at it.
    The rule is refined until it agrees with the coarser one.

    Args:
        activation: phi, differentiable by torch but for known kinks.
        variance: Of z, positive.

    Returns:
        The moments.

    Raises:
        InvalidArchitecture: Where the moments are 0 or beyond double precision, or do not settle, because of a kink
            elsewhere or a jump.

    Cost: A few hundred to a few thousand values of phi.
    """
    kinks = tuple(kink / sqrt(variance) for kink in _kinks(activation))
    previous = _moments(activation, variance, *_rule(kinks, 0))
    worst = float("nan")
    for level in range(1, _LEVELS):
        current = _moments(activation, variance, *_rule(kinks, level))
        worst = float(np.max(np.abs(current - previous) / np.maximum(np.abs(current), _SCALES)))
        if worst < _TOLERANCE:
            return UnitMoments(*current.tolist())
        previous = current
    raise InvalidArchitecture(
        "an activation must be smooth at the scale of its inputs for its moments by quadrature",
        f"{activation!r} at standard deviation {sqrt(variance):.3g}, moments that differ by {worst:.1e} between grids",
        "Use a smaller weight_std, or ReLU, LeakyReLU, Abs or ThresholdReLU, whose kinks are known",
    )


def _moments(
    activation: Activation, variance: float, u: Float[np.ndarray, " nodes"], weights: Float[np.ndarray, " nodes"]
) -> Float[np.ndarray, "8"]:
    """The fields of `UnitMoments` by one rule."""
    s, t = (part.numpy() for part in value_and_slope(activation, torch.from_numpy(sqrt(variance) * u)))
    square, slope = float(weights @ s**2), float(weights @ t**2)
    if not _SMALLEST < square < 1 / _SMALLEST or not slope < 1 / _SMALLEST:
        raise InvalidArchitecture(
            "an activation must leave a signal of a size that double precision holds",
            f"{activation!r} with mean square {square:.3g} at variance {variance:.3g}",
            "Choose weight_std so that signals neither vanish nor explode, or fewer layers",
        )
    s2 = s**2 / square
    t2 = t**2 / slope if slope > 0 else np.zeros_like(t)
    spread = (u**2 - 1) / 2
    aligned = float(weights @ (u * s * t)) ** 2 / (square * slope) if slope > 0 else 0.0
    rows = np.stack([s2 * s2, s2 * spread, t2 * t2, t2 * spread, s2 * t2])
    fourth, response, slope_fourth, slope_response, both = (rows @ weights).tolist()
    return np.array([square, slope, fourth, slope_fourth, response, slope_response, both, aligned])


def value_and_slope(activation: Activation, z: Tensor) -> tuple[Tensor, Tensor]:
    """phi(z) and phi'(z), elementwise, by automatic differentiation."""
    with torch.enable_grad():
        at = z.detach().requires_grad_()
        value = activation(at)
        if not value.requires_grad:  # a constant
            return value, torch.zeros_like(z)
        (slope,) = torch.autograd.grad(value.sum(), at)
    return value.detach(), slope


@singledispatch
def _kinks(activation: Activation) -> tuple[float, ...]:
    """Where an activation is not smooth."""
    return ()


@_kinks.register
def _(activation: AbsLinear) -> tuple[float, ...]:
    return (0.0,) if activation.absolute else ()


@_kinks.register
def _(activation: ThresholdReLU) -> tuple[float, ...]:
    return (activation.threshold,)


@_kinks.register
def _(activation: Elementwise) -> tuple[float, ...]:
    below, above = activation(torch.tensor([-1e-12, 1e-12], dtype=torch.float64)).tolist()
    if abs(above - below) > 1e-9 * (1 + abs(above)):
        raise InvalidArchitecture("an activation must be continuous", f"{activation!r}, which jumps at 0")
    return (0.0,)  # the usual place of a kink; where there is none, nothing is lost but a little time


@lru_cache(maxsize=32)
def _rule(kinks: tuple[float, ...], level: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes u and weights of E f(u), u ~ N(0, 1)."""
    if not kinks:
        u, weights = gaussian_grid(torch.empty(0, dtype=torch.float64), 2.0**-level / 16)
        return u.numpy(), weights.numpy()
    edges = [-_LIMIT, *sorted(kink for kink in kinks if abs(kink) < _LIMIT), _LIMIT]
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    u_parts, weight_parts = [], []
    for start, end in pairwise(edges):
        borders = np.linspace(start, end, 2**level * ceil((end - start) / _PANEL) + 1)
        half = np.diff(borders)[:, None] / 2
        u = (borders[:-1, None] + half * (1 + nodes)).ravel()
        u_parts.append(u)
        weight_parts.append((half * weights).ravel() * np.exp(-(u**2) / 2) / sqrt(2 * np.pi))
    return np.concatenate(u_parts), np.concatenate(weight_parts)
