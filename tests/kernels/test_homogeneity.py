"""Which kernels are sums of powers of the norms times functions of the angle."""

import numpy as np
import pytest
import torch

from widenet.architectures import (
    Concat,
    Dense,
    Erf,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    ReLU,
    fully_connected,
)
from widenet.kernels import NNGP, NTK
from widenet.kernels.homogeneity import Degrees, degrees

D, B, Z, R = Dense(1.1), Dense(1.1, 0.3), Dense(1.1, 0.3, bias_init="zero"), ReLU()

CASES = [
    (D, 1, {1}),
    (D >> R >> D, 1, {1}),
    (D >> LeakyReLU(0.2) >> D, 1, {1}),
    (Dense(trainable=False) >> R >> Dense(trainable=False), 1, set()),
    (Z >> R >> Z, 1, {0, 1}),
    (D >> (Identity() + (R >> D)) ** 2 >> R >> D, 1, {1}),
    (D >> Concat(D, R >> Z), 1, {0, 1}),
    (D >> LayerNorm() >> R >> D, 0, {0}),
    (Z >> LayerNorm() >> R >> D, 0, {-1, 0}),
    (D >> LayerNorm() >> Erf() >> B, 0, {0}),
    (2.0 * fully_connected(3), 1, {1}),
]


@pytest.mark.parametrize(("network", "covariance", "tangent"), CASES, ids=str)
def test_degrees(network: Layer, covariance: int, tangent: set[int]):
    found = degrees(network, Degrees(1, frozenset()))
    assert found == Degrees(covariance, frozenset(tangent))


@pytest.mark.parametrize(("network", "covariance", "tangent"), CASES, ids=str)
def test_degrees_are_true(network: Layer, covariance: int, tangent: set[int]):
    """K(s x, s y) = sum of s^2p K_p(x, y): at three radii, the powers explain the values exactly."""
    rng = np.random.default_rng(1)
    x, y = torch.from_numpy(rng.normal(size=(2, 1, 4)))
    radii = np.array([1.0, 1.7, 0.6, 2.3])
    for kernel, powers in ((NNGP(network), [covariance]), (NTK(network), sorted(tangent))):
        values = np.array([kernel._cross(float(s) * x, float(s) * y, same=False).item() for s in radii])
        growth = np.array([[s ** (2 * p) for p in powers] for s in radii]).reshape(4, len(powers))
        fit, *_ = np.linalg.lstsq(growth, values, rcond=None)
        np.testing.assert_allclose(growth @ fit, values, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "network", [B >> R >> D, D >> Erf() >> D, D >> (Identity() + (R >> B)), D >> Concat(D, R >> B)], ids=repr
)
def test_random_biases_and_bounded_activations_have_none(network: Layer):
    assert degrees(network, Degrees(1, frozenset())) is None
    kernel = NTK(network)
    x, y = np.random.default_rng(2).normal(size=(2, 1, 4))
    ratio = kernel(3 * x, 3 * y).item() / kernel(x, y).item()
    assert abs(ratio - 9) > 0.01
    assert kernel._angular(4, None) is None
    assert kernel._angular(4, 1.0) is not None
