"""Fluctuations of finite dense networks: the specification's table, plain recursions, closed forms, limits."""

import inspect
from itertools import pairwise
from math import erf, exp, pi, sqrt

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from widenet.architectures import AbsLinear, Dense, Elementwise, Erf, LeakyReLU, ReLU, ThresholdReLU, fully_connected
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels import NNGP, NTK
from widenet.theory import dense_ntk_variance, fluctuations, kernel_regime

TANH = Elementwise(torch.tanh)

# tanh, weight_std = 1, |x|^2 / d = 1: K and the mean NTK; then V, D, F, A, B of Gaussian and of orthogonal weights.
TABLE = {
    2: (
        (0.3942944904, 0.8586973928),
        (0.62729081, -0.03112064, 0.22166410, 0.00982122, 0.46315049),
        (-1.79788182, -0.03488075, -0.31915844, 0.00978796, 0.17066147),
    ),
    5: (
        (0.1279047353, 0.7031056691),
        (2.40827353, -0.09108807, 0.87470973, 0.00964119, 1.50624357),
        (-1.79231386, -0.03560774, -0.49003003, 0.00793199, 0.18441522),
    ),
    20: (
        (0.0272861595, 0.5734886964),
        (11.96491337, -0.30108853, 4.47613012, 0.01643298, 6.53720682),
        (-1.90567110, -0.01148186, -0.61507140, 0.00224315, 0.08317361),
    ),
    100: (
        (0.0051207157, 0.5202188615),
        (64.80395596, -0.67969291, 24.37085022, 0.01866121, 33.32619264),
        (-1.97593102, -0.00142628, -0.65839761, 0.00021914, 0.01984481),
    ),
}


@pytest.fixture(scope="module")
def deep():
    return {ensemble: fluctuations(TANH, 1000, 64, ensemble) for ensemble in ("gaussian", "orthogonal")}


def _relative(tensors) -> tuple[float, ...]:
    return tensors.V, tensors.D, tensors.F, tensors.A, tensors.B


@pytest.mark.parametrize("layer", TABLE)
def test_the_table_of_the_specification_to_its_printed_digits(deep, layer: int):
    limits, gaussian, orthogonal = TABLE[layer]
    for ensemble, expected in (("gaussian", gaussian), ("orthogonal", orthogonal)):
        tensors = deep[ensemble].layers[layer - 1]
        assert tensors.layer == layer
        np.testing.assert_allclose((tensors.K, tensors.tangent), limits, rtol=0, atol=5.1e-11)
        np.testing.assert_allclose(_relative(tensors), expected, rtol=0, atol=5.1e-9)


def test_a_critical_tanh_network_of_a_thousand_layers_follows_its_asymptotics(deep):
    gaussian, orthogonal = deep["gaussian"].readout, deep["orthogonal"].readout
    assert deep["gaussian"].depth == 1000
    ratios = (2 * gaussian.layer * gaussian.K, gaussian.V / 1001 * 3 / 2, gaussian.F / 1001 * 4, gaussian.B / 1001 * 3)
    np.testing.assert_allclose(ratios, 1, atol=0.02)
    np.testing.assert_allclose((orthogonal.V, orthogonal.F, orthogonal.B * 1001), (-2, -2 / 3, 2), atol=0.03)
    np.testing.assert_allclose((orthogonal.D, orthogonal.A), 0, atol=1e-4)


def _plain_step(tensors, s, t, kink: float, settings: tuple[float, float, float, float]):
    """One layer of the recursion as it is stated, in tensors that are not relative, by adaptive quadrature."""
    K, tangent, V, D, F, A, B = tensors
    C, bias, bias_rate, o = settings

    def mean(f) -> float:
        def weighted(z: float) -> float:
            return f(z) * exp(-z * z / (2 * K)) / sqrt(2 * pi * K)

        edges = (-12 * sqrt(K), kink, 12 * sqrt(K))
        return sum(quad(weighted, a, b, epsabs=1e-14, epsrel=1e-12, limit=300)[0] for a, b in pairwise(edges))

    def by_variance(f) -> float:
        return mean(lambda z: f(z) * (z * z - K)) / (2 * K * K)

    def om(z: float) -> float:
        return C * s(z) ** 2 + bias_rate + C * tangent * t(z) ** 2

    def square(z: float) -> float:
        return s(z) ** 2

    s2, t2, mean_om = mean(square), mean(lambda z: t(z) ** 2), mean(om)
    ds2, dom = by_variance(square), by_variance(om)
    aligned = mean(lambda z: z * s(z) * t(z)) / K
    return (
        C * s2 + bias,
        mean_om,
        C**2 * (mean(lambda z: s(z) ** 4) - (1 + 2 * o) * s2**2 + ds2**2 * V),
        C * (mean(lambda z: square(z) * om(z)) - s2 * mean_om + V * ds2 * dom + D * ds2 * C * t2),
        C**2 * (mean(lambda z: (s(z) * t(z)) ** 2) * tangent + aligned**2 * F - o * s2 * t2 * tangent),
        mean(lambda z: om(z) ** 2) - mean_om**2 + V * dom**2 + 2 * D * dom * C * t2 + (C * t2) ** 2 * A,
        C**2 * (mean(lambda z: t(z) ** 4) * tangent**2 - o * (t2 * tangent) ** 2 + t2**2 * B),
    )


ACTIVATIONS = {
    "erf": (Erf(0.9, 1.3), lambda z: 0.9 * erf(1.3 * z), lambda z: 2.34 / sqrt(pi) * exp(-1.69 * z * z), 0.0),
    "leaky": (LeakyReLU(0.2), lambda z: max(z, 0.2 * z), lambda z: 1.0 if z > 0 else 0.2, 0.0),
    "threshold": (ThresholdReLU(0.4), lambda z: max(z - 0.4, 0.0), lambda z: float(z > 0.4), 0.4),
}


@pytest.mark.parametrize("bias_init", ["normal", "zero"])
@pytest.mark.parametrize("ensemble", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("case", ACTIVATIONS)
def test_the_tensors_follow_the_recursion_as_it_is_stated(case: str, ensemble, bias_init):
    activation, s, t, kink = ACTIVATIONS[case]
    dense = Dense(1.5, bias_std=0.3, bias_init=bias_init)
    found = fluctuations(activation, 2, 10, ensemble, dense, mean_square=0.7).layers
    bias, o = (0.09 if bias_init == "normal" else 0.0), float(ensemble == "orthogonal")
    plain = (2.25 * 0.7 + bias, 2.25 * 0.7 + 0.09, -2 * o * (2.25 * 0.7) ** 2, 0.0, 0.0, 0.0, 0.0)
    for tensors in found:
        K, tangent = plain[:2]
        scale = (K**2, K * tangent, K * tangent, tangent**2, tangent**2)
        np.testing.assert_allclose((tensors.K, tensors.tangent), (K, tangent), rtol=1e-9)
        expected = [value / size for value, size in zip(plain[2:], scale, strict=True)]
        np.testing.assert_allclose(_relative(tensors), expected, rtol=1e-8, atol=1e-10)
        plain = _plain_step(plain, s, t, kink, (2.25, bias, 0.09, o))


@pytest.mark.parametrize("depth", [1, 2, 7, 60])
def test_gaussian_relu_networks_have_the_variance_that_is_known_in_closed_form(depth: int):
    found = fluctuations(ReLU(), depth, 100, dense=Dense(sqrt(2)))
    assert found.readout.tangent_variance == pytest.approx(dense_ntk_variance(depth), rel=1e-11)
    regime = kernel_regime(100, depth, target=0.2)
    assert found.tangent_std == pytest.approx(regime.relative_std, rel=1e-11)
    assert found.width_for(0.2) == regime.width_for_target


def test_linear_networks_keep_every_norm_if_orthogonal_and_lose_it_if_gaussian():
    identity = AbsLinear(1.0, 0.0)
    orthogonal = fluctuations(identity, 30, 64, "orthogonal")
    np.testing.assert_allclose([tensors.V for tensors in orthogonal.layers], -2, rtol=1e-12)
    assert orthogonal.norm_std == pytest.approx(0, abs=1e-7)
    # E|z|^4 / (E|z|^2)^2 = (1 + 2/n)^layers = 1 + (2 + V) / n + ...
    gaussian = fluctuations(identity, 30, 64).layers
    np.testing.assert_allclose([tensors.V for tensors in gaussian], 2.0 * np.arange(31), rtol=1e-10, atol=1e-12)


def test_the_limits_are_those_of_the_kernels():
    dense = Dense(1.5, bias_std=0.1)
    x = np.array([[1.0, 0.5, -0.3, 0.8]])
    for activation in (ReLU(), Erf()):
        arch = fully_connected(3, activation=activation, weight_std=1.5, bias_std=0.1)
        for ensemble in ("gaussian", "orthogonal"):
            found = fluctuations(activation, 3, 64, ensemble, dense, mean_square=float(np.mean(x**2)))
            np.testing.assert_allclose(found.output_std**2, NNGP(arch)(x)[0, 0], rtol=1e-9)
            np.testing.assert_allclose(found.readout.tangent, NTK(arch)(x)[0, 0], rtol=1e-9)


def test_what_is_recommended_meets_the_target(deep):
    gaussian, orthogonal = deep["gaussian"], deep["orthogonal"]
    assert orthogonal.depth_for(0.1) == 1000
    depth = gaussian.depth_for(0.3)
    assert fluctuations(TANH, depth, 64).tangent_std <= 0.3 < fluctuations(TANH, depth + 1, 64).tangent_std
    width = gaussian.width_for(0.3)
    assert fluctuations(TANH, 1000, width).tangent_std <= 0.3 < fluctuations(TANH, 1000, width - 1).tangent_std
    assert fluctuations(TANH, 5, 1).depth_for(1e-6) == 0
    assert fluctuations(TANH, 5, 64).depth_for(10.0) == 5


def test_the_summaries_are_those_of_the_last_layer(deep):
    gaussian = deep["gaussian"]
    assert gaussian.output_kurtosis == pytest.approx(3 * gaussian.readout.V / 64)
    assert gaussian.norm_std == pytest.approx(sqrt((2 + gaussian.readout.V) / 64))
    assert gaussian.cross_tangent_std == pytest.approx(sqrt(gaussian.readout.B / 64))
    assert gaussian.output_std == pytest.approx(sqrt(gaussian.readout.K))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((TANH, 0, 4), InvalidInput, "depth"),
        ((TANH, 2, 1.5), InvalidInput, "width"),
        ((TANH, 2, 4, "haar"), InvalidInput, "orthogonal"),
        ((Dense(), 2, 4), InvalidArchitecture, "activation"),
        ((TANH, 2, 4, "gaussian", ReLU()), InvalidArchitecture, "Dense"),
        ((TANH, 2, 4, "gaussian", Dense(trainable=False)), InvalidArchitecture, "trained"),
        ((TANH, 2, 4, "gaussian", Dense(weight_std=0.0)), InvalidArchitecture, "positive weight_std"),
        ((TANH, 2, 4, "gaussian", Dense(fan_in_scaling="none")), InvalidArchitecture, "fan_in"),
        ((TANH, 2, 4, "gaussian", Dense(), 0.0), InvalidInput, "mean_square"),
        ((ReLU(), 1200, 4), InvalidArchitecture, "vanish"),
        ((Elementwise(torch.nn.functional.hardtanh), 2, 4), InvalidArchitecture, "smooth"),
    ],
)
def test_what_has_no_answer_is_refused(arguments, error, words: str):
    with pytest.raises(error, match=words):
        inspect.unwrap(fluctuations)(*arguments)  # as users call it, without the suite's checker of annotations


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan"), float("inf")])
def test_targets_have_to_be_positive(deep, target: float):
    with pytest.raises(InvalidInput, match="target"):
        deep["gaussian"].width_for(target)
    with pytest.raises(InvalidInput, match="target"):
        deep["gaussian"].depth_for(target)
