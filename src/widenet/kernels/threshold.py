"""Gaussian orthants: the dual of units with a threshold, to full precision near and far.

For standard normal u, v at the angle t (correlation cos t) and thresholds h, k > 0, with M = max(h, k),

    P = P[u >= h, v >= k],   J = E max(u - h, 0) max(v - k, 0),

    dP/dt = -exp(-(M^2 + w^2) / 2) / (2 pi),   dJ/dt = -sin(t) P,   w = (h + k)/2 tan(t/2) - |h - k|/2 / tan(t/2).

Integrated from pi down these give P and J as integrals of positive functions, without cancellation.
"""

from functools import lru_cache
from math import pi, sqrt
from typing import Any

import numpy as np
import torch
from scipy.special import owens_t
from torch import Tensor
from torch.autograd.function import once_differentiable

from widenet.architectures import ReLU, ThresholdReLU
from widenet.kernels.duals import Dual, dual
from widenet.kernels.moments import Moments, root

# 2 (1 - correlation) below which E(phi(u) - phi(v))^2 is not formed by subtraction.
_NEAR = 0.04
# Beyond this many standard deviations no unit is active in double precision.
_SILENT = 100.0
# Relative rounding, in units of that of one operation, from which the closed form of J is not used.
_LOST = 16.0
_ROOT_2, _DENSITY = sqrt(2.0), 1 / sqrt(2 * pi)


def orthant_probability(h: Tensor, k: Tensor, theta: Tensor) -> Tensor:
    """P[u >= h and v >= k] for standard normal u, v at an angle, right to 1e-13 of itself.

    Args:
        h: Thresholds of u, positive float64.
        k: Thresholds of v, of the same shape.
        theta: Angles in [0, pi], of the same shape.

    Returns:
        The probabilities; differentiable.

    Cost: Two of Owen's T functions a pair, or two sums of 28 exponentials where those would cancel; half of it where
        all thresholds are equal.
    """
    return _Orthant.apply(h, k, theta, torch.zeros_like(h))[0]  # pyright: ignore[reportGeneralTypeIssues]


def rectified_product(h: Tensor, k: Tensor, theta: Tensor) -> Tensor:
    """E max(u - h, 0) max(v - k, 0) for standard normal u, v at an angle, right to 1e-12 of itself.

    Args:
        h: Thresholds of u, positive float64.
        k: Thresholds of v, of the same shape.
        theta: Angles in [0, pi], of the same shape.

    Returns:
        The expectations; differentiable.
    """
    return _Orthant.apply(h, k, theta, torch.zeros_like(h))[1]  # pyright: ignore[reportGeneralTypeIssues]


def rectified_square(h: Tensor) -> Tensor:
    """E max(u - h, 0)^2 = (1 + h^2) Q(h) - h n(h) for standard normal u; n is their density, Q its upper tail."""
    near = h.clamp(max=2.0)
    closed = (1 + near * near) * _upper_tail(near) - near * _density(near)
    far = h.clamp(min=2.0)
    # J at angle 0, with w = h tan(t/2): the difference above would lose h^4 / 2 units of rounding.
    total = torch.zeros_like(far)
    for node, weight in _gauss(9.0):
        square = node * node / (far * far)
        total = total + (weight * np.exp(-node * node / 2)) * square / (1 + square).square()
    return torch.where(h < 2, closed, 2 / pi * torch.exp(-far * far / 2) / far * total)


@dual.register
def _(activation: ThresholdReLU, m: Moments) -> Dual:
    if activation.threshold == 0:
        return dual(ReLU(), m)
    h, k = (activation.threshold / root(own).clamp(min=activation.threshold / _SILENT) for own in (m.x, m.y))
    x, y = m.x * _square_of_all(h), m.y * _square_of_all(k)
    size = (root(x) * root(y) / m.size.clamp(min=1e-300)).detach()
    probability, product = _Orthant.apply(*torch.broadcast_tensors(h, k, m.angle, size))  # pyright: ignore[reportGeneralTypeIssues]
    distance = (x + y - 2 * m.size * product).clamp(min=0)
    near = (m.apart.detach() < _NEAR * m.size.detach()) & ((m.apart.detach() > 0) | (m.x != m.y).detach())
    if near.any():
        parts = (part.expand_as(near)[near] for part in (m.x, m.y, h, k, m.angle))
        distance = distance.index_put(near.nonzero(as_tuple=True), _near_distance(*parts))
    same = (m.apart == 0) & (m.x == m.y)
    after = Moments(x, y, distance, distance)
    apart = torch.where(same, torch.zeros_like(distance), (distance - after.gap).clamp(min=0))
    return Dual(x, y, apart, (4 * after.size - apart).clamp(min=0), probability)


def _square_of_all(h: Tensor) -> Tensor:
    if not h.requires_grad and (h == h.reshape(-1)[0]).all():
        return rectified_square(h.reshape(-1)[:1]).expand_as(h)  # points of one norm: one value serves all
    return rectified_square(h)


class _Orthant(torch.autograd.Function):
    """P and J; J to relative precision, or to that of a given size where it is smaller than it."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, k: Tensor, theta: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        b, c = _distances(h, k, theta)
        first = _wedge(h, b)
        probability = first + (first if torch.equal(h, k) and torch.equal(b, c) else _wedge(k, c))
        ctx.save_for_backward(h, k, theta, b, c, probability)
        return probability, _product(h, k, theta, (b, c, probability), size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_probability: Tensor, of_product: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        h, k, theta, b, c, probability = ctx.saved_tensors
        by_h, by_k = _density(h) * _upper_tail(b), _density(k) * _upper_tail(c)
        cosine, sine = torch.cos(theta), torch.sin(theta)
        to_h = -of_probability * by_h - of_product * (by_k + cosine * by_h - k * probability)
        to_k = -of_probability * by_k - of_product * (by_h + cosine * by_k - h * probability)
        slope = torch.exp(-(h * h + b * b) / 2) / (2 * pi)
        return to_h, to_k, -of_probability * slope - of_product * sine * probability, None


def _distances(h: Tensor, k: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Where the two thresholds meet, along either one: b = (k - h cos t) / sin t and c = (h - k cos t) / sin t."""
    sine, less = torch.sin(theta), 2 * torch.sin(theta / 2).square()
    # The same difference k - h in both: its rounding cancels between the two wedges.
    difference = k - h
    b, c = (difference + h * less) / sine, (k * less - difference) / sine
    # On one ray the smaller threshold never decides; on opposite ones both units are never active.
    parallel = theta == 0
    far = torch.full_like(theta, float("inf"))
    b = torch.where(parallel, torch.where(difference > 0, far, torch.where(difference < 0, -far, 0.0)), b)
    c = torch.where(parallel, torch.where(difference > 0, -far, torch.where(difference < 0, far, 0.0)), c)
    return b, c


def _wedge(h: Tensor, b: Tensor) -> Tensor:
    """Probability of {u > h} beyond the ray to the point at distance b along u = h: Q(h)/2 - T(h, b/h).

    T is Owen's function. Where the difference cancels: by T(h, a) + T(ah, 1/a) = (Q(h) + Q(ah))/2 - Q(h) Q(ah) for
    a > 1 > ah; for ah >= 1 by h exp(-(h^2 + b^2)/2) / (2 pi) int_0^inf exp(-b z - z^2/2) / (h^2 + (b + z)^2) dz.
    """
    steep = (b > h) & (b < 1)
    far = b >= 1
    first, second = torch.where(steep, b, h), torch.where(steep, h, b)
    owen = torch.as_tensor(owens_t(first.cpu().numpy(), (second / first).cpu().numpy())).to(h)
    values = torch.where(steep, owen - _upper_tail(b) * torch.erf(h / _ROOT_2) / 2, _upper_tail(h) / 2 - owen)
    if far.any():
        values[far] = _far_wedge(h[far], b[far].clamp(max=_SILENT))
    return values


def _far_wedge(h: Tensor, b: Tensor) -> Tensor:
    reach = 76 / (b + (b * b + 76).sqrt())  # b z + z^2 / 2 = 38
    total = torch.zeros_like(h)
    for node, weight in _gauss(1.0):
        z = node * reach
        total += weight * torch.exp(-z * (b + z / 2)) / (h * h + (b + z).square())
    return h * torch.exp(-(h * h + b * b) / 2) / (2 * pi) * reach * total


def _product(h: Tensor, k: Tensor, theta: Tensor, parts: tuple[Tensor, Tensor, Tensor], size: Tensor) -> Tensor:
    """J = (cos t + h k) P - k n(h) Q(b) - h n(k) Q(c) + sin t n(h) n(b), or its integral where that cancels."""
    b, c, probability = parts
    cosine, product = torch.cos(theta), h * k
    first, second = k * _density(h) * _upper_tail(b), h * _density(k) * _upper_tail(c)
    last = torch.sin(theta) * torch.exp(-(h * h + b * b) / 2) / (2 * pi)
    values = (cosine + product) * probability - first - second + last.nan_to_num(0.0)
    lost = (cosine.abs() + product) * probability + first + second > _LOST * torch.maximum(values, size)
    # The integrand is smooth well away from w = 0 and +-i M; closer to 0 it still beats M^4 / 2 units of rounding.
    low, most = torch.where(h > k, b, c), torch.maximum(h, k)
    lost &= ((low > 0.5) & (low * low + most * most > 1.5)) | ((low > -1e-9) & (most > 6))
    if lost.any():
        values[lost] = _integrated_product(h[lost], k[lost], theta[lost])
    return values


def _integrated_product(h: Tensor, k: Tensor, theta: Tensor) -> Tensor:
    """J = (2/pi) exp(-M^2/2) / (1 + t0^2) int exp(-w^2/2) (t^2 - t0^2) / (1 + t^2)^2 dt from t0 = tan(theta/2) on."""
    start = torch.tan(theta / 2).clamp(min=1e-150)
    skew, mean = (h - k).abs() / 2, (h + k) / 2
    low = mean * start - skew / start
    reach = 76 / (low + (low * low + 76).sqrt())
    bend = 4 * skew * mean
    at_low = (low * low + bend).sqrt()
    total = torch.zeros_like(h)
    for node, weight in _gauss(1.0, 48):
        z = node * reach
        w = low + z
        at_w = (w * w + bend).sqrt()
        t = (w + at_w) / (2 * mean)
        beyond = z * (1 + (w + low) / (at_w + at_low)) / (2 * mean)  # t - t0
        term = torch.exp(-z * (low + z / 2)) * beyond * (t + start) / (1 + t * t).square()
        total += weight * term * t / at_w  # dt = t dw / (mean t + skew / t)
    most = torch.maximum(h, k)
    return 2 / pi * torch.exp(-(most * most + low * low) / 2) / (1 + start * start) * reach * total


def _near_distance(x: Tensor, y: Tensor, h: Tensor, k: Tensor, theta: Tensor) -> Tensor:
    """E(phi(u) - phi(v))^2 at small angles: its value at angle 0, and 2 int sin(t) P dt from there, both positive."""
    most, least = torch.maximum(h, k), torch.minimum(h, k)
    rise = (x - y) / (root(x) + root(y))
    parallel = rise.square() * (most * _density(most) + _upper_tail(most))
    span, skew, mean = (most - least).clamp(max=10.0), (most - least) / 2, (most + least) / 2
    total, turned = torch.zeros_like(h), torch.zeros_like(h)
    for node, weight in _gauss(1.0):
        z = node * span
        total = total + weight * z.square() * _density(least + z)
    # P vanishes within angles of about the difference of the thresholds, however small: t = theta s^8 resolves that.
    begin = (2 * torch.atan(skew / 8.8) / theta.clamp(min=1e-150)).clamp(max=1.0) ** (1 / 8)
    for node, weight in _gauss(1.0, 48):
        s = begin + (1 - begin) * node
        t = theta * s**8
        half = torch.tan(t / 2).clamp(min=1e-150)
        w = (mean * half - skew / half).clamp(min=-40.0)
        drop = 2 * torch.sin((theta - t) / 2) * torch.sin((theta + t) / 2)  # cos t - cos theta
        turned = turned + weight * 8 * (1 - begin) * s**7 * torch.exp(-w.square() / 2) * drop
    parallel = parallel + torch.maximum(x, y) * span * total
    less = 2 * torch.sin(theta / 2).square()
    turn = less * _upper_tail(most) - torch.exp(-most * most / 2) / (2 * pi) * theta * turned
    return parallel + 2 * root(x * y) * turn


def _gauss(length: float, count: int = 28) -> list[tuple[float, float]]:
    """Nodes and weights of Gauss and Legendre on [0, length]."""
    return [(length * node, length * weight) for node, weight in _rule(count)]


@lru_cache(maxsize=4)
def _rule(count: int) -> list[tuple[float, float]]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return list(zip(((1 + nodes) / 2).tolist(), (weights / 2).tolist(), strict=True))


def _upper_tail(z: Tensor) -> Tensor:
    return torch.erfc(z / _ROOT_2) / 2


def _density(z: Tensor) -> Tensor:
    return _DENSITY * torch.exp(-z * z / 2)
