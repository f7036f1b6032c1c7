"""The fused pass of dense chains against the layer-by-layer reading, and which networks are such chains."""

import mpmath
import numpy as np
import pytest
import torch

from widenet.architectures import (
    Abs,
    AbsLinear,
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
from widenet.kernels._fused_dense import _arc
from widenet.kernels.dense_chain import DenseChain

CHAINS = [
    Dense(1.2, 0.3),
    fully_connected(3, bias_std=0.3),
    fully_connected(1, Abs(), bias_std=0.1),
    fully_connected(2, LeakyReLU(0.3), weight_std=1.4, bias_std=0.5),
    fully_connected(3, bias_std=0.5, scaling="geifman"),
    fully_connected(10, scaling="he"),
    fully_connected(30, weight_std=1.4, bias_std=0.1),
    Dense() >> ReLU() >> Dense(1.0, 0.3) >> Abs() >> Dense(trainable=False),
    Dense(1.2, 0.2) >> ReLU(),
    0.5 * fully_connected(2, bias_std=0.2),
    Identity() >> Dense(1.0, 0.3) >> AbsLinear(-0.7, 0.3) >> Dense(1.0, 0.3, trainable=False),
    Dense(1.0, 0.2, bias_init="zero") >> AbsLinear(1.0, 0.0) >> Dense(1.0, 0.3) >> Abs() >> Dense(),
]


def _points() -> tuple[torch.Tensor, torch.Tensor]:
    """Points with duplicates, near-duplicates, opposite and collinear rows, and zero rows."""
    rng = np.random.default_rng(6)
    X = rng.normal(size=(40, 6))
    X[1], X[2], X[3], X[4] = X[0], -X[0], 2 * X[0], X[0] * (1 + 1e-7)
    X[5], X[6], X[7] = X[0] + 1e-9, -X[0] + 1e-8, 1e3 * rng.normal(size=6)
    X[8:10] = 0
    return torch.from_numpy(X), torch.from_numpy(np.concatenate([X[:12], rng.normal(size=(20, 6))]))


@pytest.mark.parametrize("kernel", [NTK, NNGP])
@pytest.mark.parametrize("network", CHAINS, ids=str)
def test_the_fused_pass_is_the_reading_layer_by_layer(network: Layer, kernel):
    X, Y = _points()
    K = kernel(network)
    assert DenseChain.of(network, kernel is NTK) is not None
    for others, same in ((X, True), (Y, False)):
        found, expected = K._cross(X, others, same=same), K._reading.all_pairs(X, others, same=same)
        sizes = (K.diagonal(X)[:, None] * K.diagonal(others)[None, :]).sqrt()
        assert ((found - expected).abs() <= 3e-15 * sizes + 1e-16).all()


@pytest.mark.parametrize(
    "network", [fully_connected(3, bias_std=0.3), fully_connected(2, Abs(), bias_std=0.2)], ids=str
)
def test_a_set_with_itself_is_exactly_symmetric_and_duplicates_are_the_diagonal(network: Layer):
    X, _ = _points()
    gram = NTK(network)(X)
    assert torch.equal(gram, gram.T)
    assert gram[0, 1] == gram[0, 0] == gram[1, 1]
    torch.testing.assert_close(gram.diagonal(), NTK(network).diagonal(X), rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_of_the_points_is_kept(dtype: torch.dtype):
    X, Y = (points.to(dtype) for points in _points())
    K = NTK(fully_connected(2, bias_std=0.3))
    assert K(X, Y).dtype == dtype
    torch.testing.assert_close(K(X, Y), K(X.double(), Y.double()).to(dtype), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    "network",
    [
        Dense() >> Erf() >> Dense(),
        Dense() >> LayerNorm() >> ReLU() >> Dense(),
        Dense() >> (Identity() + (ReLU() >> Dense())),
        Dense() >> Concat(Dense(), ReLU() >> Dense()),
        Dense() >> AbsLinear(0.0, 0.0) >> Dense(1.0, 0.1),
    ],
    ids=str,
)
def test_other_networks_are_no_chains(network: Layer):
    assert DenseChain.of(network, True) is None


def test_the_arc_polynomial_at_40_digits():
    with mpmath.workdps(40):
        for z in np.linspace(0.0, 0.5, 201)[1:]:
            m = mpmath.mpf(z)
            expected = mpmath.asin(mpmath.sqrt(m)) / mpmath.sqrt(m * (1 - m))
            assert float(abs(_arc(z) - expected)) <= 5e-16
    assert _arc(0.0) == pytest.approx(1.0, abs=4e-16)
