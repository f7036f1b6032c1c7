"""The kernel of factorised layers: the recursion by hand, its exactness in the mean over finite ranks."""

from math import acos, pi, sqrt

import numpy as np
import pytest

from widenet.architectures import Dense, FactorizedDense, ReLU
from widenet.kernels import NNGP, NTK
from widenet.kernels.dense_chain import DenseChain
from widenet.kernels.factorized import dense_factors

RNG = np.random.default_rng(5)
X = RNG.normal(size=(4, 3))


def _k0(u):
    return (pi - acos(u)) / pi


def _k1(u):
    return (u * (pi - acos(u)) + sqrt(1 - u * u)) / pi


def test_the_inner_variant_has_the_kernel_of_the_dense_layer():
    for readout in (ReLU() >> Dense(), ReLU() >> Dense(bias_std=0.3) >> ReLU() >> Dense()):
        for bias_std in (0.0, 0.4):
            dense = Dense(1.2, bias_std) >> readout
            factorized = FactorizedDense(16, weight_std=1.2, bias_std=bias_std) >> readout
            np.testing.assert_allclose(NTK(factorized)(X), NTK(dense)(X), rtol=1e-12)
            np.testing.assert_allclose(NNGP(factorized)(X), NNGP(dense)(X), rtol=1e-12)


@pytest.mark.parametrize(("train", "terms"), [("inner", (0, 1)), ("outer", (1, 0)), ("both", (1, 1)), ("none", (0, 0))])
def test_the_deep_block_by_its_recursion(train, terms):
    # Theta' = k0 (Theta + [U] Sigma + [V] Sigma) with Sigma = k1(u), Theta = u k0(u) below the block, u = 1/2.
    u = 0.5
    block = FactorizedDense(32, train, weight_std=sqrt(2))
    network = Dense(sqrt(2), fan_in_scaling="none") >> ReLU() >> block >> ReLU() >> Dense(trainable=False)
    points = np.array([[1.0, 0.0], [u, sqrt(1 - u * u)]])
    sigma, theta = _k1(u), u * _k0(u)
    expected = _k0(sigma) * (theta + sum(terms) * sigma)
    np.testing.assert_allclose(NTK(network)(points)[0, 1], expected, rtol=1e-12)


def test_reference_values_of_the_dense_limit():
    points = np.array([[1.0, 0.0], [0.5, sqrt(0.75)]])
    shallow = FactorizedDense(8, fan_in_scaling="none") >> ReLU() >> Dense(trainable=False)
    np.testing.assert_allclose(NTK(shallow)(points), [[0.5, 1 / 6], [1 / 6, 0.5]], rtol=1e-12)
    below = Dense(sqrt(2), fan_in_scaling="none", trainable=False) >> ReLU()
    block = FactorizedDense(8, weight_std=sqrt(2)) >> ReLU() >> Dense(trainable=False)
    np.testing.assert_allclose(NTK(below >> block)(points)[0, 1], 0.43143118571272876, rtol=1e-13)


def test_fused_and_layer_by_layer_agree():
    network = FactorizedDense(16, "both", weight_std=1.2, bias_std=0.3) >> ReLU() >> Dense(bias_std=0.1)
    assert DenseChain.of(network, True) is not None
    inner, outer = dense_factors(network.layers[0])
    np.testing.assert_allclose(NTK(network)(X), NTK(inner >> outer >> ReLU() >> Dense(bias_std=0.1))(X), rtol=1e-13)
    # Biases trained beside a frozen factor: no chain of dense layers, so another way through the code.
    assert DenseChain.of(FactorizedDense(16, bias_std=0.3) >> ReLU() >> Dense(), True) is None
