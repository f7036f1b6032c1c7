"""Kernels on the unit sphere at complex cosines: their analytic continuation from [-1, 1]."""

from dataclasses import dataclass, replace
from functools import reduce, singledispatch
from math import asin, cos, exp, inf, pi

import numpy as np
import torch

from widenet.architectures import (
    RBF,
    AbsLinear,
    BranchSum,
    Concat,
    Cosine,
    Dense,
    Erf,
    GaussianBump,
    Identity,
    Layer,
    LayerNorm,
    Repeat,
    Scale,
    Serial,
    Sine,
)
from widenet.errors import InvalidInput
from widenet.kernels import (
    NNGP,
    NTK,
    GammaExponential,
    Gaussian,
    Homogeneous,
    Kernel,
    Linear,
    Normalized,
    Product,
    Scaled,
    Sum,
)
from widenet.kernels.dot_product import Angular
from widenet.kernels.stationary import Stationary


class NotContinued(InvalidInput):
    """A kernel whose values at complex cosines are not known here."""


@singledispatch
def continued(kernel: Kernel, u: np.ndarray, dimension: int) -> np.ndarray:
    """kappa(u) at complex u off the cuts (-inf, -1] and [1, inf).

    Args:
        kernel: A kernel.
        u: Complex cosines.
        dimension: d of the unit sphere in R^d.

    Returns:
        Values of the analytic function that is the kernel on [-1, 1].

    Raises:
        NotContinued: If no continuation is known for this kernel or for a layer of its network.
    """
    raise NotContinued(
        "the series route needs a kernel that is known at complex cosines", repr(kernel), "Use route='quadrature'"
    )


@continued.register
def _(kernel: Stationary, u: np.ndarray, dimension: int) -> np.ndarray:
    return kernel._of_square(torch.from_numpy(2 * (1 - u)), 1.0).numpy()


@continued.register
def _(kernel: Linear, u: np.ndarray, dimension: int) -> np.ndarray:
    return u + kernel.bias**2


@continued.register
def _(kernel: Angular, u: np.ndarray, dimension: int) -> np.ndarray:
    (term,) = kernel._angular(dimension, 1.0)
    try:
        return term.function(torch.from_numpy(np.arccos(u))).numpy()
    except (RuntimeError, TypeError) as error:
        raise NotContinued(
            "the series route needs a function that takes complex numbers", str(error), "Use route='quadrature'"
        ) from None


@continued.register
def _(kernel: Sum, u: np.ndarray, dimension: int) -> np.ndarray:
    return continued(kernel.first, u, dimension) + continued(kernel.second, u, dimension)


@continued.register
def _(kernel: Product, u: np.ndarray, dimension: int) -> np.ndarray:
    return continued(kernel.first, u, dimension) * continued(kernel.second, u, dimension)


@continued.register
def _(kernel: Scaled, u: np.ndarray, dimension: int) -> np.ndarray:
    return kernel.factor * continued(kernel.kernel, u, dimension)


@continued.register
def _(kernel: Homogeneous, u: np.ndarray, dimension: int) -> np.ndarray:
    return continued(kernel.kernel, u, dimension)


@continued.register
def _(kernel: Normalized, u: np.ndarray, dimension: int) -> np.ndarray:
    pole = np.eye(1, dimension)
    return continued(kernel.kernel, u, dimension) / float(kernel.kernel.diagonal(pole)[0])


@continued.register
def _(kernel: NTK, u: np.ndarray, dimension: int) -> np.ndarray:
    return _advance(kernel.architecture, _inputs(u, dimension)).tangent


@continued.register
def _(kernel: NNGP, u: np.ndarray, dimension: int) -> np.ndarray:
    return _advance(kernel.architecture, _inputs(u, dimension)).cross


@dataclass(frozen=True)
class _State:
    """Second moments of the units of a layer at two points of one norm.

    Attributes:
        variance: E[u^2] = E[v^2].
        cross: E[u v], complex.
        tangent: Neural tangent kernel so far, complex.
        channels: Number of input channels; 1 after the first layer with weights.
        width: Relative width of the layer.
    """

    variance: float
    cross: np.ndarray
    tangent: np.ndarray
    channels: int
    width: float = 1.0


def _inputs(u: np.ndarray, dimension: int) -> _State:
    return _State(1 / dimension, u / dimension, np.zeros_like(u), dimension)


@singledispatch
def _advance(layer: Layer, state: _State) -> _State:
    raise NotContinued(
        "the series route needs layers that are known at complex cosines", repr(layer), "Use route='quadrature'"
    )


@_advance.register
def _(layer: Identity, state: _State) -> _State:
    return state


@_advance.register
def _(layer: Scale, state: _State) -> _State:
    return _weighted(state, layer.factor**2)


@_advance.register
def _(layer: Serial, state: _State) -> _State:
    return reduce(lambda current, part: _advance(part, current), layer.layers, state)


@_advance.register
def _(layer: Repeat, state: _State) -> _State:
    return reduce(lambda current, _: _advance(layer.layer, current), range(layer.times), state)


@_advance.register
def _(layer: Dense, state: _State) -> _State:
    gain = layer.weight_std**2 * (state.channels if layer.fan_in_scaling == "none" else 1)
    bias = layer.bias_std**2
    out = _weighted(state, gain)
    tangent = out.tangent + (out.cross + bias if layer.trainable else 0)
    constant = bias if layer.bias_init == "normal" else 0.0
    return _State(out.variance + constant, out.cross + constant, tangent, 1, layer.width)


@_advance.register
def _(layer: LayerNorm, state: _State) -> _State:
    return _weighted(state, 1 / state.variance)


@_advance.register
def _(layer: BranchSum, state: _State) -> _State:
    return _added([_advance(branch, state) for branch in layer.branches])


@_advance.register
def _(layer: Concat, state: _State) -> _State:
    parts = [_advance(branch, state) for branch in layer.branches]
    width = sum(part.width for part in parts)
    return replace(_added([_weighted(part, part.width / width) for part in parts]), width=width)


@_advance.register
def _(layer: AbsLinear, state: _State) -> _State:
    # E|u||v| = (2/pi) variance (sqrt(1 - c^2) + c arcsin c), and E u|v| = 0.
    a, b, c = layer.linear**2, layer.absolute**2, state.cross / state.variance
    sine, arc = np.sqrt(1 - c) * np.sqrt(1 + c), np.arcsin(c)
    cross = state.variance * (a * c + b * 2 / pi * (sine + c * arc))
    return _activated(state, (a + b) * state.variance, cross, a + b * 2 / pi * arc)


@_advance.register
def _(layer: Erf, state: _State) -> _State:
    gain, rate = layer.amplitude**2 * 2 / pi, 2 * layer.frequency**2
    size, offset = 1 + rate * state.variance, layer.offset**2
    own = gain * asin(rate * state.variance / size) + offset
    cross = gain * np.arcsin(rate * state.cross / size) + offset
    return _activated(state, own, cross, gain * rate / np.sqrt(size**2 - (rate * state.cross) ** 2))


@_advance.register
def _(layer: Sine, state: _State) -> _State:
    phase = layer.phase + (pi / 2 if isinstance(layer, Cosine) else 0.0)
    return _wave(state, layer.amplitude**2, layer.frequency**2, cos(2 * phase))


@_advance.register
def _(layer: RBF, state: _State) -> _State:
    return _wave(state, 2.0, 2 * layer.gamma, 0.0)


def _wave(state: _State, gain: float, rate: float, opposed: float) -> _State:
    # E sin(f u + p) sin(f v + p) = (exp(-f^2 (q - c)) - cos(2p) exp(-f^2 (q + c))) / 2 with variance q.
    near, away = np.exp(-rate * (state.variance - state.cross)), np.exp(-rate * (state.variance + state.cross))
    own = gain / 2 * (1 - opposed * exp(-2 * rate * state.variance))
    return _activated(state, own, gain / 2 * (near - opposed * away), gain / 2 * rate * (near + opposed * away))


@_advance.register
def _(layer: GaussianBump, state: _State) -> _State:
    # E exp(-(u^2 + v^2) / 2) = 1 / sqrt((1 + q)^2 - c^2), in units of the scale.
    q, c = state.variance / layer.scale**2, state.cross / layer.scale**2
    root = np.sqrt((1 + q) ** 2 - c**2)
    return _activated(state, (1 + 2 * q) ** -0.5, 1 / root, c / root**3 / layer.scale**2)


def _weighted(state: _State, factor: float) -> _State:
    return replace(state, variance=factor * state.variance, cross=factor * state.cross, tangent=factor * state.tangent)


def _added(parts: list[_State]) -> _State:
    total = [sum(values) for values in zip(*((p.variance, p.cross, p.tangent) for p in parts), strict=True)]
    return replace(parts[0], variance=total[0], cross=total[1], tangent=total[2])


def _activated(state: _State, variance: float, cross: np.ndarray, derivative: np.ndarray) -> _State:
    return replace(state, variance=variance, cross=cross, tangent=state.tangent * derivative)


@singledispatch
def radius(kernel: Kernel) -> float:
    """Radius within which the power series of kappa is known to converge: 1, or infinity for entire functions."""
    return 1.0


@radius.register
def _(kernel: Gaussian | Linear) -> float:
    return inf


@radius.register
def _(kernel: GammaExponential) -> float:
    return inf if kernel.gamma == 2 else 1.0


@radius.register
def _(kernel: Sum | Product) -> float:
    return min(radius(kernel.first), radius(kernel.second))


@radius.register
def _(kernel: Scaled | Homogeneous | Normalized) -> float:
    return radius(kernel.kernel)
