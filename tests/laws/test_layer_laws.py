"""Laws of every layer. A layer that is in no registry here, or that lacks a reading, fails."""

import importlib
import inspect
import pickle
import pkgutil
from dataclasses import FrozenInstanceError
from itertools import pairwise
from math import pi, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ndtr
from torch import Tensor

import widenet.architectures
from widenet.architectures import (
    GELU,
    RBF,
    Abs,
    AbsLinear,
    Activation,
    AvgPool,
    BranchSum,
    Concat,
    Conv,
    Cosine,
    Dense,
    Elementwise,
    Erf,
    FactorizedDense,
    Flatten,
    GaussianBump,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    LastStep,
    Layer,
    LayerNorm,
    LeakyReLU,
    Polynomial,
    Pool,
    Recurrent,
    ReLU,
    Repeat,
    Scale,
    Serial,
    Sine,
    SpatialLayer,
    StepwiseAverage,
    SumPool,
    ThresholdReLU,
)
from widenet.kernels import NNGP, NTK
from widenet.kernels.duals import Dual, dual
from widenet.kernels.homogeneity import degrees
from widenet.kernels.moments import Moments
from widenet.kernels.propagate import propagate
from widenet.kernels.recurrent import SequenceReading

ACTIVATIONS: dict[type[Activation], Activation] = {
    AbsLinear: AbsLinear(0.3, -0.8),
    ReLU: ReLU(),
    LeakyReLU: LeakyReLU(0.1),
    Abs: Abs(),
    Erf: Erf(1.3, 0.7, 0.2),
    GELU: GELU(),
    Sine: Sine(1.2, 0.8, 0.3),
    Cosine: Cosine(1.2, 0.8, 0.3),
    RBF: RBF(0.6),
    GaussianBump: GaussianBump(0.9),
    Polynomial: Polynomial((0.3, -0.5, 0.2, 0.4), "hermite"),
    Elementwise: Elementwise(torch.tanh),
    ThresholdReLU: ThresholdReLU(0.7),
}
SPATIAL: dict[type[Layer], Layer] = {
    Conv: Conv((1, 2), bias_std=0.2),
    AvgPool: AvgPool((1, 2)),
    SumPool: SumPool(2, stride=1, padding="same"),
    Flatten: Flatten(),
    GlobalAveragePool: GlobalAveragePool(),
    GlobalSumPool: GlobalSumPool(),
}
SEQUENTIAL: dict[type[Layer], Layer] = {
    Recurrent: Recurrent(Erf(), 1.3, bias_std=0.2, initial_std=0.4, initial_state="shared"),
    LastStep: LastStep(),
    StepwiseAverage: StepwiseAverage(),
}
LAYERS: dict[type[Layer], Layer] = {
    Identity: Identity(),
    Scale: Scale(0.7),
    Dense: Dense(1.3, 0.2),
    FactorizedDense: FactorizedDense(0.5, "both", "sign", weight_std=1.3, bias_std=0.2),
    LayerNorm: LayerNorm(),
    Serial: Serial((ReLU(), Dense(1.3, 0.2))),
    Repeat: Repeat(ReLU() >> Dense(1.3), 2),
    BranchSum: Identity() + (ReLU() >> Dense(1.3)),
    Concat: Concat(Identity(), ReLU() >> Dense(1.3)),
    **ACTIVATIONS,
    **SPATIAL,
    **SEQUENTIAL,
}
ABSTRACT = {Layer, Activation, SpatialLayer, Pool}

# E[u^2], E[v^2], E[u v] at which duals are checked: ordinary, far apart in size, close, nearly opposite, independent.
TRIPLES = [(1.3, 0.7, 0.4), (2.5, 0.1, -0.3), (1.0, 1.1, 1.04), (0.9, 1.2, -1.03), (0.5, 0.8, 0.0)]
RNG = np.random.default_rng(20)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(5, 4))


def _name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def _subclasses(kind: type) -> set[type]:
    below = set(kind.__subclasses__())
    return below | {deeper for part in below for deeper in _subclasses(part)}


def _exported() -> set[type]:
    for module in pkgutil.walk_packages(widenet.architectures.__path__, "widenet.architectures."):
        importlib.import_module(module.name)
    return {kind for kind in _subclasses(Layer) | {Layer} if kind.__module__.startswith("widenet.")}


def test_every_layer_is_in_the_registry_and_public():
    assert _exported() - ABSTRACT == LAYERS.keys()
    assert all(getattr(widenet.architectures, kind.__name__) is kind for kind in _exported())


@pytest.mark.parametrize("kind", LAYERS, ids=_name)
def test_every_layer_has_its_readings(kind: type[Layer]):
    if kind in SEQUENTIAL:
        assert isinstance(NTK(*_network(SEQUENTIAL[kind]))._reading, SequenceReading)
        return
    assert propagate.dispatch(kind) is not propagate.dispatch(object)
    assert degrees.dispatch(kind) is not degrees.dispatch(object)
    assert not issubclass(kind, Activation) or dual.dispatch(kind) is not dual.dispatch(object)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=_name)
def test_a_layer_is_a_value(layer: Layer):
    names = {name: getattr(widenet.architectures, name) for name in widenet.architectures.__all__} | {"torch": torch}
    for copy in (eval(repr(layer), names), pickle.loads(pickle.dumps(layer))):
        assert copy == layer
        assert type(copy) is type(layer)
        assert hash(copy) == hash(layer)
        assert repr(copy) == repr(layer)
    field = next(iter(inspect.signature(type(layer)).parameters), "anything")
    with pytest.raises(FrozenInstanceError):
        setattr(layer, field, 1.0)


def _network(layer: Layer) -> tuple[Layer, tuple[int, ...] | None]:
    """A network with the layer in a place where it may stand, and how rows of 4 channels become its points."""
    if isinstance(layer, SpatialLayer):
        readout = Identity() if isinstance(layer, (Flatten, GlobalAveragePool, GlobalSumPool)) else Flatten()
        return Conv(1, weight_std=1.2, bias_std=0.3) >> ReLU() >> layer >> readout >> Dense(0.9, 0.1), (2, 2, 1)
    if isinstance(layer, Recurrent):
        return layer >> Dense(0.9, 0.1), None
    if type(layer) in SEQUENTIAL:
        return Recurrent(hidden_std=1.2, bias_std=0.3) >> layer >> Dense(0.9, 0.1), None
    return Dense(1.2, 0.3) >> layer >> Dense(0.9, 0.1), None


@pytest.mark.parametrize("kernel", [NTK, NNGP])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=_name)
def test_a_kernel_with_the_layer_is_a_kernel(layer: Layer, kernel):
    K = kernel(*_network(layer))
    gram = K(X)
    assert gram.dtype == np.float64
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram)[0] > -1e-12 * np.trace(gram)
    np.testing.assert_allclose(np.diag(gram), K.diagonal(X), rtol=1e-13)
    np.testing.assert_allclose(K(X, X.copy()), gram, rtol=1e-12)
    np.testing.assert_allclose(K(Y, X), K(X, Y).T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(K(X, Y)[2:4, 1:3], K(X[2:4], Y[1:3]), rtol=1e-13, atol=1e-14)
    single = K(X.astype(np.float32), Y.astype(np.float32))
    assert single.dtype == np.float32
    exact = K(X.astype(np.float32).astype(np.float64), Y.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(single, exact, rtol=0, atol=1e-6 * K.diagonal(X).max())


@pytest.mark.parametrize("layer", LAYERS.values(), ids=_name)
def test_degrees_say_how_the_kernel_scales(layer: Layer):
    network = _network(layer) if type(layer) in SPATIAL | SEQUENTIAL else (Dense(1.2) >> layer >> Dense(0.9), None)
    kernel = NTK(*network)
    terms = kernel._angular(4, None)
    if terms is None:
        assert not np.allclose(kernel(3 * X), 9 * kernel(X), rtol=1e-3)
        return
    theta = torch.tensor([0.0, 0.3, 1.5, 3.0, pi], dtype=torch.float64)
    for x, y in ((1.0, 1.0), (0.4, 2.5)):
        points = torch.tensor([[x, 0.0, 0.0, 0.0]], dtype=torch.float64)
        others = y * torch.stack([theta.cos(), theta.sin(), 0 * theta, 0 * theta], 1)
        expected = kernel._cross(points, others, same=False)[0]
        total = sum(term.function(theta) * (x * y) ** term.degree for term in terms)
        torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-14)


# Duals of activations against quadrature of the activations themselves.


def _dual(activation: Activation, x: float, y: float, c: float) -> Dual:
    r = sqrt(x * y)
    numbers = (x, y, 2 * (r - c), 2 * (r + c))
    return dual(activation, Moments(*(torch.tensor([v], dtype=torch.float64) for v in numbers)))


def _expectations(activation: Activation, x: float, y: float, c: float) -> tuple[float, float]:
    """E[phi(u) phi(v)] and E[phi'(u) phi'(v)]: in polar coordinates for kinked functions, else by a product rule."""

    def both(u: Tensor) -> tuple[Tensor, Tensor]:
        u = u.detach().requires_grad_()
        value = activation(u)
        return value.detach(), torch.autograd.grad(value.sum(), u)[0]

    rho, root = c / sqrt(x * y), sqrt(1 - c * c / (x * y))
    if isinstance(activation, AbsLinear):

        def integrand(t: float, which: int) -> float:
            u = torch.tensor([np.cos(t) * sqrt(x), (rho * np.cos(t) + root * np.sin(t)) * sqrt(y)], dtype=torch.float64)
            return float(both(u)[which].prod())

        turn = np.arccos(rho)  # v vanishes at turn +- pi/2, u at +- pi/2
        kinks = sorted((k + 2 * pi) % (2 * pi) for k in (pi / 2, -pi / 2, turn + pi / 2, turn - pi / 2))
        ends = [kinks[-1] - 2 * pi, *kinks]
        parts = [[quad(integrand, a, b, args=(which,), epsabs=1e-12)[0] for a, b in pairwise(ends)] for which in (0, 1)]
        # The radius contributes E[R^2] = 2 to the value and 1 to the derivative.
        return sum(parts[0]) * 2 / (2 * pi), sum(parts[1]) / (2 * pi)
    if isinstance(activation, ThresholdReLU):
        return _over_threshold(activation.threshold, x, y, c)
    z = torch.arange(-10, 10, 0.1, dtype=torch.float64)
    w = torch.exp(-z * z / 2) * 0.1 / sqrt(2 * pi)
    u = sqrt(x) * z[:, None].expand(-1, len(z))
    v = sqrt(y) * (rho * z[:, None] + root * z)
    (fu, du), (fv, dv) = both(u), both(v)
    return float(w @ (fu * fv) @ w), float(w @ (du * dv) @ w)


def _over_threshold(b: float, x: float, y: float, c: float) -> tuple[float, float]:
    """The same for max(z - b, 0): given u, v is Gaussian with mean c u / x, and its part over b is known."""
    std = sqrt(y - c * c / x)

    def integrand(u: float, which: int) -> float:
        level = (b - c * u / x) / std
        tail, density = ndtr(-level), np.exp(-level * level / 2) / sqrt(2 * pi)
        above = (u - b) * std * (density - level * tail) if which == 0 else tail
        return above * np.exp(-u * u / (2 * x)) / sqrt(2 * pi * x)

    ends = b, b + 10 * sqrt(x)
    parts = [quad(integrand, *ends, args=(which,), epsabs=1e-15, epsrel=1e-13, limit=200)[0] for which in (0, 1)]
    return parts[0], parts[1]


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=_name)
@pytest.mark.parametrize("triple", TRIPLES)
def test_a_dual_is_the_gaussian_expectation(activation: Activation, triple: tuple[float, float, float]):
    x, y, c = triple
    ours = _dual(activation, x, y, c)
    value, derivative = _expectations(activation, x, y, c)
    tolerance = 1e-9 if isinstance(activation, AbsLinear) else 1e-12
    assert float(ours.together - ours.apart) / 4 == pytest.approx(value, abs=tolerance)
    assert float(ours.derivative) == pytest.approx(derivative, abs=tolerance)
    # u with itself: correlation 1, one integral.
    z = torch.arange(-12, 12, 1e-3, dtype=torch.float64)
    w = torch.exp(-z * z / 2) * 1e-3 / sqrt(2 * pi)
    for own, variance in ((ours.x, x), (ours.y, y)):
        assert float(own) == pytest.approx(float(w @ activation(sqrt(variance) * z) ** 2), rel=1e-6)
    assert float(ours.together + ours.apart) / 4 == pytest.approx(sqrt(float(ours.x * ours.y)), rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=_name)
@pytest.mark.parametrize("triple", TRIPLES)
def test_price_theorem(activation: Activation, triple: tuple[float, float, float]):
    x, y, c = triple
    step = 1e-3

    def value(cross: float) -> float:
        moments = _dual(activation, x, y, cross)
        return float(moments.together - moments.apart) / 4

    # Five points: error step^4, below 1e-8 wherever the value is smooth; near its ends it is rougher.
    slope = (8 * (value(c + step) - value(c - step)) - (value(c + 2 * step) - value(c - 2 * step))) / (12 * step)
    tolerance = 1e-8 if abs(c) < 0.9 * sqrt(x * y) else 3e-4
    assert float(_dual(activation, x, y, c).derivative) == pytest.approx(slope, abs=tolerance)
