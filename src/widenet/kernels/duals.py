"""Dual activations: what an elementwise function does to Gaussian second moments."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from math import cos, pi

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import row_blocks
from widenet.architectures import (
    GELU,
    RBF,
    AbsLinear,
    Activation,
    Cosine,
    Elementwise,
    Erf,
    GaussianBump,
    LeakyReLU,
    Polynomial,
    ReLU,
    Sine,
)
from widenet.errors import InvalidArchitecture
from widenet.kernels.hermite import gaussian_grid, series_values
from widenet.kernels.moments import Moments, root

# Where 2 (1 - correlation) is below this, E(phi(u) - phi(v))^2 is not formed by subtraction.
_NEAR = 0.04


@dataclass(frozen=True)
class Dual:
    """Second moments of phi(u), phi(v) for centred Gaussian u, v, and those of the derivative.

    Attributes:
        x: E[phi(u)^2].
        y: E[phi(v)^2].
        apart: 2 r (1 - cos t) of phi(u), phi(v), as in `Moments`.
        together: 2 r (1 + cos t) of them.
        derivative: E[phi'(u) phi'(v)].
    """

    x: Tensor
    y: Tensor
    apart: Tensor
    together: Tensor
    derivative: Tensor


@singledispatch
def dual(activation: Activation, moments: Moments) -> Dual:
    """Dual of an activation at the given moments.

    By Price's theorem the dual of the derivative is the derivative of E[phi(u) phi(v)] by E[u v].

    Raises:
        InvalidArchitecture: If no dual of that activation is known, or quadrature cannot reach it.
    """
    raise InvalidArchitecture(
        "an activation must have a dual",
        type(activation).__name__,
        "Use Elementwise(function), or register it with widenet.kernels.duals.dual",
    )


@dual.register
def _(activation: AbsLinear, m: Moments) -> Dual:
    # phi = a z + b |z|; the mixed moments E[u |v|] vanish, and E|u||v| = r h(t) with
    # 1 - h = (1 - cos p) - (2/pi)(sin p - p cos p) at p = min(t, pi - t), free of cancellation.
    a, b = activation.linear**2, activation.absolute**2
    theta, size = m.angle, m.size
    fold = torch.minimum(theta, pi - theta)
    folded = (torch.minimum(m.apart, m.together) - size * ((4 / pi) * _sine_minus(fold))).clamp(min=0)
    derivative = a + b * (1 - 2 * theta / pi)
    at_zero = slope_at_zero(activation)
    zero_x, zero_y = m.x == 0, m.y == 0
    derivative = torch.where(zero_x | zero_y, at_zero * activation.linear, derivative)
    derivative = torch.where(zero_x & zero_y, at_zero**2, derivative)
    apart, together = a * m.apart + b * folded, a * m.together + b * (4 * size - folded)
    return Dual((a + b) * m.x, (a + b) * m.y, apart, together, derivative)


def slope_at_zero(activation: AbsLinear) -> float:
    """phi'(0) as torch's autograd takes it: the left slope for ReLU and LeakyReLU, else that of the linear part."""
    return activation.linear - (activation.absolute if isinstance(activation, (ReLU, LeakyReLU)) else 0.0)


def _sine_minus(p: Tensor) -> Tensor:
    """The difference sin p - p cos p for p in [0, pi/2] without cancellation."""
    small = p < 0.25
    q = torch.where(small, p, torch.zeros_like(p))
    s = q * q
    # Coefficients of p^(2k+3): (-1)^k (2k+2) / (2k+3)!; the next term is below 2e-18 of the first at 0.25.
    series = s * q * (1 / 3 - s * (1 / 30 - s * (1 / 840 - s * (1 / 45360 - s * (1 / 3991680 - s / 518918400)))))
    return torch.where(small, series, torch.sin(p) - p * torch.cos(p))


@dual.register
def _(activation: Sine, m: Moments) -> Dual:
    return _wave(activation.amplitude**2, activation.frequency**2, cos(2 * activation.phase), m)


@dual.register
def _(activation: Cosine, m: Moments) -> Dual:
    return _wave(activation.amplitude**2, activation.frequency**2, -cos(2 * activation.phase), m)


@dual.register
def _(activation: RBF, m: Moments) -> Dual:
    return _wave(2.0, 2 * activation.gamma, 0.0, m)


def _wave(a: float, b: float, c: float, m: Moments) -> Dual:
    """Dual of sqrt(a) sin(sqrt(b) z + phase), c = cos(2 phase): every part from E(u -+ v)^2, no subtraction."""
    square, total = m.apart + m.gap, m.together + m.gap
    ex, ey = torch.exp(-b * m.x), torch.exp(-b * m.y)
    x, y = (a / 2) * (1 - c * ex.square()), (a / 2) * (1 - c * ey.square())
    minus, plus = torch.exp(-b * square / 2), torch.exp(-b * total / 2)
    # E(phi(u) - phi(v))^2; exp(-b(x+y)) (exp(b D / 2) - 1) = plus (1 - exp(-b D / 2)).
    lost = -torch.expm1(-b * square / 2)
    distance = (a / 2) * (2 * lost - c * ((ex - ey).square() - 2 * plus * lost))
    return _from_distance(x, y, distance, (a * b / 2) * (minus + c * plus))


def _from_distance(x: Tensor, y: Tensor, distance: Tensor, derivative: Tensor) -> Dual:
    """A Dual from E(phi(u) - phi(v))^2; where that is large, what was lost to it does not matter."""
    after = Moments(x, y, distance, distance)
    apart = (distance - after.gap).clamp(min=0)
    return Dual(x, y, apart, (4 * after.size - apart).clamp(min=0), derivative)


# E[phi(u) phi(v)] and E[phi'(u) phi'(v)] as functions of E[u^2], E[v^2], E[u v].
Values = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dual.register
def _(activation: Erf, m: Moments) -> Dual:
    a, b, offset = activation.amplitude**2, 2 * activation.frequency**2, activation.offset**2

    def values(x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        # arcsin(bc / sqrt((1+bx)(1+by))) as an arctangent, which keeps its digits where the sine is near 1.
        root = (1 + b * (x + y) + b**2 * (x * y - c.square())).sqrt()
        return a * (2 / pi) * torch.atan2(b * c, root) + offset, a * b * (2 / pi) / root

    return _smooth_dual(activation, m, values)


@dual.register
def _(activation: GELU, m: Moments) -> Dual:
    # E = c/4 + (1/2pi) [c atan(c / sqrt q) + (c^2 + q x y / ...)], q = (1+x)(1+y) - c^2: the form of
    # Han et al. 2022 (arXiv 2209.04121) with A B (r^2 + q) written as c^2 + q x y.
    def values(x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        product = (1 + x) * (1 + y)
        q = 1 + x + y + (x * y - c.square())
        root = q.sqrt()
        arc = torch.atan2(c, root)
        top = c.square() + q * (x * y)
        value = c / 4 + (c * arc + top / (product * root)) / (2 * pi)
        # d/dc with dq/dc = -2c and d(atan(c / sqrt q))/dc = 1 / sqrt q.
        slope = arc + c / root + (2 * c * (1 - x * y) + top * c / q) / (product * root)
        return value, 1 / 4 + slope / (2 * pi)

    return _smooth_dual(activation, m, values)


@dual.register
def _(activation: GaussianBump, m: Moments) -> Dual:
    s = activation.scale**2

    def values(x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        q = 1 + (x + y) / s + (x * y - c.square()) / s**2
        value = q.rsqrt()
        return value, c * value / (q * s**2)

    return _smooth_dual(activation, m, values)


@dual.register
def _(activation: Polynomial, m: Moments) -> Dual:
    return _smooth_dual(activation, m, _series(activation, len(activation.coefficients) - 1))


@dual.register
def _(activation: Elementwise, m: Moments) -> Dual:
    return _smooth_dual(activation, m, _series(activation, None))


def _series(activation: Activation, degree: int | None) -> Values:
    def values(x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return series_values(activation, x, y, c, degree)

    return values


def _second_moment(activation: Activation, values: Values, x: Tensor) -> Tensor:
    """E[phi(u)^2]; of functions without a closed form by one sum over a grid, far cheaper than their series."""
    if not isinstance(activation, (Elementwise, Polynomial)):
        return values(x, x, x)[0]
    z, weight = gaussian_grid(x)
    return (activation(root(x).reshape(-1, 1) * z).square() @ weight).reshape(x.shape)


def _smooth_dual(activation: Activation, m: Moments, values: Values) -> Dual:
    x, y = (_second_moment(activation, values, own) for own in (m.x, m.y))
    value, derivative = values(m.x, m.y, m.cross)
    distance = (x + y - 2 * value).clamp(min=0)
    near = (m.apart.detach() < _NEAR * m.size.detach()) & ((m.apart.detach() > 0) | (m.x != m.y).detach())
    if near.any():
        distance = distance.index_put(near.nonzero(as_tuple=True), _near_distance(activation, m, values, near))
    same = (m.apart == 0) & (m.x == m.y)
    return _from_distance(x, y, torch.where(same, torch.zeros_like(distance), distance), derivative)


def _near_distance(activation: Activation, m: Moments, values: Values, near: Tensor) -> Tensor:
    """E(phi(u) - phi(v))^2 of near pairs, as two parts that are small without a subtraction.

    At correlation 1 it is E(phi(sqrt(x) z) - phi(sqrt(y) z))^2, a sum over a grid. Going from there to
    the pair's own cross moment adds 2 int E[phi'(u) phi'(v)] dc, by Price's theorem.
    """
    x, y = m.x.expand_as(near)[near], m.y.expand_as(near)[near]
    gap = m.apart.expand_as(near)[near] / 2  # sqrt(x y) - E[u v]
    z, weight = gaussian_grid(x)
    nodes, weights = np.polynomial.legendre.leggauss(4)  # the interval is short beside sqrt(x y)
    parts = []
    for rows in row_blocks(len(x), 2**20 // len(z)):
        a, b = x[rows].sqrt(), y[rows].sqrt()
        part = ((activation(a[:, None] * z) - activation(b[:, None] * z)).square() * weight).sum(1)
        for node, share in zip(nodes.tolist(), weights.tolist(), strict=True):
            part = part + share * gap[rows] * values(x[rows], y[rows], a * b - (1 + node) / 2 * gap[rows])[1]
        parts.append(part)
    return torch.cat(parts)
