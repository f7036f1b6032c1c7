"""The published random features: their mean, their slope, their exact and leverage versions."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from scipy import sparse

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.features.random_features import NTKRandomFeatures, relu_features
from widenet.features.rows import read_rows
from widenet.kernels import NNGP

# K_L at cosines of -0.5, 0, 0.3, 0.9 in 50-digit arithmetic.
VALUES = {
    1: [-0.057668885622437, 0.31830988618379, 0.66184028904169, 1.6803287350288],
    2: [None, 0.68570863628294, 1.0346012996128, 2.3688136627183],
    3: [None, 1.0603881068026, 1.404033726567, 2.9856931873747],
}
COSINES = np.array([-0.5, 0, 0.3, 0.9])
ROWS = np.zeros((5, 6))
ROWS[0, 0] = 1
ROWS[1:, 0], ROWS[1:, 3] = COSINES, np.sqrt(1 - COSINES**2)
GAUSSIAN = np.random.default_rng(1).standard_normal((120, 32))


@pytest.mark.parametrize("leverage", [False, True])
@pytest.mark.parametrize("depth", VALUES)
def test_the_mean_is_the_kernel(depth, leverage):
    products = []
    for seed in range(40):
        Z = NTKRandomFeatures(depth, 512, leverage, seed=seed)(ROWS)
        products.append(Z[0] @ Z[1:].T)
    mean, error = np.mean(products, 0), np.std(products, 0, ddof=1) / np.sqrt(40)
    for value, found, spread in zip(VALUES[depth], mean, error, strict=True):
        # Behind the first layer the features of the layers before it are random, which adds a bias of order 1 / size.
        assert value is None or abs(found - value) < 4 * spread + 0.01 * (depth - 1)


@pytest.mark.parametrize("depth", [1, 2])
def test_four_times_the_size_is_half_of_the_error(depth):
    K = NTKRandomFeatures(depth, 2).target(GAUSSIAN)

    def error(size):
        found = [NTKRandomFeatures(depth, size, seed=seed)(GAUSSIAN) for seed in range(6)]
        return np.sqrt(np.mean([np.sum((Z @ Z.T - K) ** 2) for Z in found]))

    assert error(256) / error(1024) == pytest.approx(2, rel=0.15)


def test_the_exact_product_of_one_layer_is_the_product():
    fitted = NTKRandomFeatures(1, 400, sketch="exact").fit(GAUSSIAN)
    (layer,) = fitted.layers
    norms = np.linalg.norm(GAUSSIAN, axis=1)
    U = GAUSSIAN / norms[:, None]
    ramps, steps = layer.ramps.double().numpy(), layer.steps.double().numpy()
    F1 = np.sqrt(2 / ramps.shape[1]) * np.maximum(U @ ramps, 0)
    F0 = np.sqrt(2 / steps.shape[1]) * (U @ steps > 0)
    expected = (F1 @ F1.T + (U @ U.T) * (F0 @ F0.T)) * np.outer(norms, norms)
    Z = fitted.transform(GAUSSIAN)
    assert Z.shape == (120, 400)
    np.testing.assert_allclose(Z @ Z.T, expected, rtol=1e-10)


def test_leverage_is_unit_directions():
    W = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 50)))
    U = W / torch.linalg.vector_norm(W, dim=0)
    X = read_rows(np.random.default_rng(1).standard_normal((5, 8)), "test")
    expected = torch.sqrt(torch.tensor(2 * 8 / 50)) * (X.dense @ U).clamp_min(0)
    torch.testing.assert_close(relu_features(X, W, True), expected.double(), rtol=1e-7, atol=1e-12)
    radii = 1 + torch.arange(50, dtype=torch.float64)
    torch.testing.assert_close(relu_features(X, U * radii, True), relu_features(X, U, True), rtol=1e-12, atol=1e-12)


def test_leverage_divides_the_second_moment():
    """E f^4 of a feature f at a unit row falls by (d + 2) / d, 1.25 at d = 8; for Gaussian w it is 3 / 2 * 4 = 6."""
    W = torch.from_numpy(np.random.default_rng(2).standard_normal((8, 400_000)))
    X = read_rows(np.eye(1, 8), "test")
    fourth = [float((relu_features(X, W, leverage) ** 4).mean()) * 400_000**2 for leverage in (False, True)]
    assert fourth[0] == pytest.approx(6, rel=0.03)
    assert fourth[0] / fourth[1] == pytest.approx(1.25, rel=0.03)


def test_nngp_features_stand_for_the_nngp():
    fitted = NTKRandomFeatures(2, 2048).fit(GAUSSIAN)
    Z, K = fitted.nngp(GAUSSIAN), NNGP(fully_connected(2, scaling="geifman"))(GAUSSIAN)
    assert np.linalg.norm(Z @ Z.T - K) < 0.12 * np.linalg.norm(K)


def test_sparse_rows_give_the_same_features():
    rows = np.where(np.abs(GAUSSIAN) > 1, GAUSSIAN, 0)
    fitted = NTKRandomFeatures(2, 64).fit(rows)
    np.testing.assert_allclose(fitted.transform(sparse.csr_array(rows)), fitted.transform(rows), atol=1e-12)


@pytest.mark.parametrize("options", [(0, 8), (1, 1), (2, 8, False, "exact"), (1, 8, False, "gibbs"), (1.5, 8)])
def test_bad_options_are_refused(options):
    with pytest.raises((InvalidInput, TypeCheckError), match=r"NTKRandomFeatures|Type-check error"):
        NTKRandomFeatures(*options)


def test_an_exact_product_needs_columns():
    with pytest.raises(InvalidInput, match="more columns"):
        NTKRandomFeatures(1, 32, sketch="exact").fit(GAUSSIAN)
