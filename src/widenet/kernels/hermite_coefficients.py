"""Hermite coefficients of activations and of their slopes at any standard deviation of their inputs."""

from collections.abc import Callable
from functools import singledispatch
from math import sqrt

import torch
from torch import Tensor
from torch.special import ndtr

from widenet._arrays import row_blocks
from widenet.architectures import AbsLinear, Activation, ReLU, ThresholdReLU
from widenet.kernels.duals import slope_at_zero
from widenet.kernels.hermite import function_coefficients, slope_of

_NUMBERS = 2**20  # samples of an activation at a time


@singledispatch
def hermite_coefficients(activation: Activation, std: Tensor, degree: int) -> Tensor:
    """h_l(a) = E[phi(a z) He_l(z)] / sqrt(l!), z ~ N(0, 1), for l = 0 .. degree.

    They give E[phi(u) phi(v)] = sum_l h_l(a) h_l(b) rho^l for Gaussian u, v of standard deviations a, b and
    correlation rho (Mehler's formula), for any norms and any phi of finite variance. In closed form for ReLU-like
    activations, by sums over a grid for smooth ones.

    Args:
        activation: phi.
        std: Standard deviations a, at least 0, float64 of any shape.
        degree: Highest l, at least 0.

    Returns:
        (degree + 1, *std.shape).

    References: Han et al. 2022, arXiv 2209.04121.
    """
    return _sampled(activation, std, degree)


@singledispatch
def slope_coefficients(activation: Activation, std: Tensor, degree: int) -> Tensor:
    """The same of phi': E[phi'(a z) He_l(z)] / sqrt(l!), which is sqrt(l + 1) h_(l+1)(a) / a where a > 0.

    Args:
        activation: phi.
        std: Standard deviations a, at least 0, float64 of any shape.
        degree: Highest l, at least 0.

    Returns:
        (degree + 1, *std.shape).
    """
    return _sampled(slope_of(activation), std, degree)


def _sampled(function: Callable[[Tensor], Tensor], std: Tensor, degree: int) -> Tensor:
    flat = std.reshape(-1)
    length = max(degree + 1, 2)
    if len(flat) == 0:
        return std.new_zeros(degree + 1, *std.shape)
    parts = [function_coefficients(function, flat[rows], length) for rows in row_blocks(len(flat), _NUMBERS // 449)]
    return torch.cat(parts, 1)[: degree + 1].reshape(degree + 1, *std.shape)


@hermite_coefficients.register
def _(activation: AbsLinear, std: Tensor, degree: int) -> Tensor:
    # phi = (linear - absolute) z + 2 absolute max(z, 0).
    values = 2 * activation.absolute * _ramp(torch.zeros_like(std), degree)
    if degree > 0:
        values[1] = activation.linear
    return values * std


@slope_coefficients.register
def _(activation: AbsLinear, std: Tensor, degree: int) -> Tensor:
    values = 2 * activation.absolute * _step(torch.zeros_like(std), degree)
    values[0] = activation.linear
    at_zero = torch.zeros_like(values)
    at_zero[0] = slope_at_zero(activation)
    return torch.where(std > 0, values, at_zero)


@hermite_coefficients.register
def _(activation: ThresholdReLU, std: Tensor, degree: int) -> Tensor:
    if activation.threshold == 0:
        return hermite_coefficients(ReLU(), std, degree)
    positive = std > 0
    scaled = torch.where(positive, activation.threshold / torch.where(positive, std, 1.0), 0.0)
    return torch.where(positive, _ramp(scaled, degree) * std, 0.0)


@slope_coefficients.register
def _(activation: ThresholdReLU, std: Tensor, degree: int) -> Tensor:
    if activation.threshold == 0:
        return slope_coefficients(ReLU(), std, degree)
    positive = std > 0
    scaled = torch.where(positive, activation.threshold / torch.where(positive, std, 1.0), 0.0)
    return torch.where(positive, _step(scaled, degree), 0.0)


def _ramp(threshold: Tensor, degree: int) -> Tensor:
    """Coefficients of max(z - t, 0): n(t) - t Q(t), Q(t), and n(t) He_(l-2)(t) / sqrt(l!) from l = 2 on."""
    density, tail = _density(threshold), ndtr(-threshold)
    rows = [density - threshold * tail, tail]
    rows += [density * he / sqrt((k + 1) * (k + 2)) for k, he in enumerate(_hermite_at(threshold, degree - 1))]
    return torch.stack(rows[: degree + 1])


def _step(threshold: Tensor, degree: int) -> Tensor:
    """Coefficients of the step at t: Q(t), and n(t) He_(l-1)(t) / sqrt(l!) from l = 1 on."""
    density = _density(threshold)
    rows = [ndtr(-threshold)]
    rows += [density * he / sqrt(k + 1) for k, he in enumerate(_hermite_at(threshold, degree))]
    return torch.stack(rows[: degree + 1])


def _hermite_at(t: Tensor, count: int) -> list[Tensor]:
    """He_k(t) / sqrt(k!) for k = 0 .. count - 1."""
    rows = [torch.ones_like(t), t]
    for k in range(1, count - 1):
        rows.append((t * rows[k] - sqrt(k) * rows[k - 1]) / sqrt(k + 1))
    return rows[: max(count, 0)]


def _density(t: Tensor) -> Tensor:
    return torch.exp(-t * t / 2) / sqrt(2 * torch.pi)
