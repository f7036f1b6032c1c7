"""The explicit reading of an activation: its dual kernel as a series in the correlation, whose powers are sketched."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from widenet.architectures import AbsLinear, Activation, ReLU, ThresholdReLU
from widenet.features.embed import embed
from widenet.features.embedding import Embedding
from widenet.features.random_blocks import pooled_products, products
from widenet.kernels.duals import dual, slope_at_zero
from widenet.kernels.hermite_coefficients import hermite_coefficients, slope_coefficients
from widenet.kernels.moments import Moments

_NODES = 400  # correlations at which a fit is made
_TYPICAL = (0.5, 1.0, 2.0)  # standard deviations by which features are shared out among the powers
_NOTHING = 1e-12


@embed.register
def _(layer: Activation, features: Embedding) -> Embedding:
    """Features h_l(a) u^(x l) of the dual and s_l(a) u^(x l) of the slope's, for units u / a of norm 1.

    The constant and the linear part are exact; what stands behind them is sketched. The tangent's features are s_0
    times those before, and sketched products with the others.
    """
    features = features.compressed()
    square = features.second_moment
    series = activation_series(layer, square.sqrt(), features.budget.degree, features.lowest)
    covariance, tangent = features.covariance, features.tangent
    like = covariance.dtype
    # By their own norm, not by the exact one: the noise of it would grow with every power.
    norms = covariance.square().sum(-1, keepdim=True).sqrt()
    units = covariance / torch.where(norms > 0, norms, 1.0)
    weights = power_weights(layer, features.budget.degree, features.lowest)
    values, slopes = series.values.to(like)[..., None], series.slopes.to(like)[..., None]
    width, pools = features.budget.width, features.pools and features.axes > 0
    multiply = pooled_products if pools else products
    after = _blocks(units, values, weights[0], (features.room, width), features.key(0), multiply)
    if pools:
        after[:2] = [_mean_of_positions(part) for part in after[:2]]
    if tangent is not None and tangent.shape[-1] > 0:
        steps = torch.cat(_blocks(units, slopes, weights[1], (width, width), features.key(1), products)[1:], -1)
        first = slopes[0] * tangent
        first = _mean_of_positions(first) if pools else first
        tangent = torch.cat([first, multiply(tangent, steps, features.room, features.key(2))], -1)
    elif tangent is not None and pools:
        tangent = _mean_of_positions(tangent)
    return replace(
        features,
        covariance=torch.cat(after, -1),
        tangent=tangent,
        square=None if pools else series.values.square().sum(0),
        lowest=series.lowest,
        merged=math.prod(square.shape[1:]) if pools else features.merged,
    )


def _mean_of_positions(features: Tensor) -> Tensor:
    axes = tuple(range(1, features.ndim - 1))
    return features.mean(axes, keepdim=True)


@dataclass(frozen=True)
class ActivationSeries:
    """The dual of an activation and that of its slope as series in the correlation.

    E[phi(u) phi(v)] = sum_l h_l(a) h_l(b) rho^l, and the same with s_l for phi'.

    Attributes:
        values: h_l at every point, (degree + 1, *shape), float64; their squares sum to E[phi(u)^2].
        slopes: s_l, likewise.
        lowest: Least correlation of phi(u), phi(v) if that of u, v is at least what the series was made for.
    """

    values: Tensor
    slopes: Tensor
    lowest: float


def activation_series(activation: Activation, std: Tensor, degree: int, lowest: float = -1.0) -> ActivationSeries:
    """Series of an activation up to a degree, with an exact diagonal.

    ReLU-like activations are fitted on the correlations that occur, with the smallest largest error. Others take their
    Hermite coefficients, and the two highest ones are enlarged by what was cut off.

    Args:
        activation: phi.
        std: Standard deviation of the units at every point, float64.
        degree: Highest power of the correlation, at least 1.
        lowest: Least correlation between units of two points.

    Returns:
        The series.
    """
    if isinstance(activation, ThresholdReLU) and activation.threshold == 0:
        activation = ReLU()
    if isinstance(activation, AbsLinear):
        fitted = fit_abs_linear(activation, degree, lowest)
        shape = (-1,) + (1,) * std.ndim
        values = torch.from_numpy(np.sqrt(fitted.values)).reshape(shape) * std
        slopes = torch.from_numpy(np.sqrt(fitted.slopes)).reshape(shape).expand(-1, *std.shape)
        at_zero = torch.zeros_like(slopes)
        sign = 1.0 if activation.linear >= 0 else -1.0
        at_zero[0] = sign * slope_at_zero(activation)
        return ActivationSeries(values, torch.where(std > 0, slopes, at_zero), fitted.lowest)
    if std.numel() == 0:
        empty = std.new_zeros(degree + 1, *std.shape)
        return ActivationSeries(empty, empty, -1.0)
    moment = Moments(std.square(), std.square(), torch.zeros_like(std), 4 * std.square())
    after = dual(activation, moment)
    values = _with_tail(hermite_coefficients(activation, std, degree), after.x)
    slopes = _with_tail(slope_coefficients(activation, std, degree), after.derivative)
    return ActivationSeries(values, slopes, -1.0)


def _with_tail(coefficients: Tensor, total: Tensor) -> Tensor:
    """Coefficients whose squares sum to the total: the two highest take what was cut off, in proportion."""
    top = coefficients[-2:]
    size = top.square().sum(0)
    tail = (total - coefficients.square().sum(0)).clamp(min=0)
    known = size > _NOTHING * total
    scale = torch.where(known, (1 + tail / torch.where(known, size, 1.0)).sqrt(), 1.0)
    top = torch.stack([top[0] * scale, torch.where(known, top[1] * scale, tail.sqrt())])
    return torch.cat([coefficients[:-2], top])


@dataclass(frozen=True, eq=False)
class AbsLinearFit:
    """Coefficients, at least 0, of the dual of a ReLU-like activation for units of variance 1 and of its slope's.

    Attributes:
        values: c_l with sum c_l rho^l close to the dual, (degree + 1,).
        slopes: The same for the slope.
        errors: Largest errors of the two on the interval.
        lowest: The dual's least correlation there.
    """

    values: np.ndarray
    slopes: np.ndarray
    errors: tuple[float, float]
    lowest: float


@lru_cache(maxsize=256)
def fit_abs_linear(activation: AbsLinear, degree: int, lowest: float = -1.0) -> AbsLinearFit:
    """Polynomials in rho on [lowest, 1] for phi(z) = a z + b |z|, exact at 1, with the smallest largest error.

    The dual is a^2 rho + b^2 (2/pi) (sqrt(1 - rho^2) + rho arcsin rho), the slope's a^2 + b^2 (2/pi) arcsin rho.

    Args:
        activation: The activation.
        degree: Highest power, at least 1.
        lowest: Left end of the interval.

    Returns:
        The coefficients with their errors.

    Cost:
        Two linear programmes of 800 inequalities, tens of milliseconds; kept.
    """
    a, b = activation.linear**2, activation.absolute**2
    theta = np.linspace(0, math.acos(max(-1.0, lowest)), _NODES)
    rho = np.cos(theta)
    value = a * rho + b * (2 / math.pi) * (np.sin(theta) + rho * (math.pi / 2 - theta))
    slope = a + b * (1 - 2 * theta / math.pi)
    values, value_error = _minimax(rho, value, degree)
    slopes, slope_error = _minimax(rho, slope, degree)
    return AbsLinearFit(values, slopes, (value_error, slope_error), float(value.min() / value[0]) if value[0] else -1.0)


def _minimax(rho: np.ndarray, values: np.ndarray, degree: int) -> tuple[np.ndarray, float]:
    """Smallest t with |sum_l c_l rho^l - value| <= t, c >= 0, and equality at rho = 1, by a linear programme."""
    powers = rho[:, None] ** np.arange(degree + 1)
    ones = np.ones((len(rho), 1))
    cost = np.append(np.zeros(degree + 1), 1.0)
    found = linprog(
        cost,
        A_ub=np.block([[powers, -ones], [-powers, -ones]]),
        b_ub=np.concatenate([values, -values]),
        A_eq=np.append(np.ones(degree + 1), 0.0)[None],
        b_eq=values[:1],
        method="highs",
    )
    return np.maximum(found.x[:-1], 0), float(found.x[-1])


def _blocks(
    units: Tensor,
    coefficients: Tensor,
    weights: tuple[float, ...],
    rooms: tuple[int, int],
    key: tuple[int, ...],
    multiply: Callable[[Tensor, Tensor, int, tuple[int, ...]], Tensor],
) -> list[Tensor]:
    """The features of a series: its constant, its linear part, and products for the powers behind that it has.

    The number of products is that of `rooms`, then the most of those that they are made of.
    """
    orders = [order for order in range(2, len(weights)) if weights[order] > 0]
    sizes = shared_out(rooms[0], [weights[order] for order in orders])
    blocks = [coefficients[0], coefficients[1] * units]
    for order, size in zip(orders, sizes, strict=True):
        if size > 0:
            inner, half = min(size, rooms[1]), order // 2
            left = power_sketch(units, half, inner, (*key, order, 0))
            right = power_sketch(units, order - half, inner, (*key, order, 1))
            blocks.append(multiply(coefficients[order] * left, right, size, (*key, order, 2)))
    return blocks


def power_sketch(units: Tensor, order: int, size: int, key: tuple[int, ...]) -> Tensor:
    """A sketch S of u^(x l) with E <S u, S v> = <u, v>^l: a tree of products of random signed sums.

    Args:
        units: u, (..., p).
        order: l, at least 1.
        size: Number of features at every node.
        key: Picks the random numbers.

    Returns:
        (..., size), or the units themselves at order 1.
    """
    if order == 1:
        return units
    left = power_sketch(units, order // 2, size, (*key, 0))
    right = power_sketch(units, order - order // 2, size, (*key, 1))
    return products(left, right, size, (*key, 2))


@lru_cache(maxsize=256)
def power_weights(activation: Activation, degree: int, lowest: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How much of the dual, and of the slope's dual, the powers of the correlation carry at typical sizes of units."""
    series = activation_series(activation, torch.tensor(_TYPICAL, dtype=torch.float64), degree, lowest)
    values, slopes = (_shares(part.square().numpy()) for part in (series.values, series.slopes))
    return values, slopes


def _shares(squares: np.ndarray) -> tuple[float, ...]:
    shares = (squares / np.maximum(squares.sum(0), _NOTHING)).mean(1)
    return tuple(np.where(shares > _NOTHING, shares, 0.0).tolist())


def shared_out(room: int, weights: list[float]) -> list[int]:
    """Whole numbers that sum to `room`, in proportion to the weights, but for a quarter that is shared equally."""
    if not weights:
        return []
    shares = 0.75 * np.array(weights) / sum(weights) + 0.25 / len(weights)
    ends = np.round(np.cumsum(shares) * room).astype(int)
    return np.diff(ends, prepend=0).tolist()
