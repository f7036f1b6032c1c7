"""Lower bounds for parities by exact enumeration, against closed forms and least squares."""

from itertools import combinations
from math import comb, cosh, exp, sinh

import numpy as np
import pytest

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import NTK
from widenet.theory.parity_bounds import (
    dimension_bound,
    embedding_norms,
    norm_bound,
    parities,
    parity_edges,
    rkhs_norms,
)
from widenet.theory.parity_problem import cube


def _tanh_features(p, seed=0):
    random = np.random.default_rng(seed)
    return np.tanh(cube(10) @ random.standard_normal((10, p)) + random.standard_normal(p))


def test_parities_are_products_and_orthonormal():
    chi = parities(5, 2)
    assert chi.shape == (32, 10)
    np.testing.assert_array_equal(chi[:, 4], cube(5)[:, 1] * cube(5)[:, 2])
    np.testing.assert_allclose(chi.T @ chi / 32, np.eye(10), atol=1e-15)


# Bounds from the reference; its mean edges, 0.01822, 0.10003 and 0.17818, are of features drawn by another program.
@pytest.mark.parametrize(
    ("p", "bound", "elsewhere"), [(20, 0.08333, 0.01822), (60, 0.25, 0.10003), (110, 0.45833, 0.17818)]
)
def test_random_features_stay_below_the_dimension_bound(p, bound, elsewhere):
    assert dimension_bound(p, 10, 3) == pytest.approx(bound, abs=5e-6)
    for seed in range(3):
        edge = parity_edges(_tanh_features(p, seed), 3).mean()
        assert 0.2 * elsewhere < edge < bound
    features = np.concatenate([parities(10, 3)[:, : p // 2], _tanh_features(p - p // 2)], axis=1)
    assert parity_edges(features, 3).mean() < bound  # half of the parities are among the features here
    assert parity_edges(parities(10, 3)[:, :p], 3).mean() == pytest.approx(dimension_bound(p, 10, 3), rel=1e-12)


def test_edges_are_those_of_least_squares():
    features = _tanh_features(7)
    chi = parities(10, 2)
    residual = chi - features @ np.linalg.lstsq(features, chi, rcond=None)[0]
    np.testing.assert_allclose(parity_edges(features, 2), (1 - np.mean(residual**2, axis=0)) / 2, atol=1e-12)


def test_every_parity_has_one_norm_in_an_exponential_kernel():
    X = cube(10)
    norms = embedding_norms(np.exp(X @ X.T / 10 - 1), 3)
    assert norms.shape == (comb(10, 3),)
    np.testing.assert_allclose(norms, 3.8286997287333e-4, rtol=1e-12)
    # exp(x_i / n) = cosh(1 / n) + x_i sinh(1 / n), coordinate by coordinate
    np.testing.assert_allclose(norms, exp(-1) * cosh(0.1) ** 7 * sinh(0.1) ** 3, rtol=1e-12)
    assert norms.max() <= 1 / 120
    np.testing.assert_allclose(rkhs_norms(np.exp(X @ X.T / 10 - 1), 3), 1 / norms, rtol=1e-8)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_norm_bound_holds_for_kernels_of_all_kinds(k):
    X, n = cube(7), 7
    random = np.random.default_rng(k)
    features = random.standard_normal((len(X), 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    for K in (
        np.exp(X @ X.T / n - 1),
        NTK(fully_connected(2))(X) / NTK(fully_connected(2)).diagonal(X)[0],
        features @ features.T,
    ):
        assert np.diag(K).max() <= 1 + 1e-12
        best = 3.0 * np.sqrt(embedding_norms(K, k))  # the largest correlation with a norm of 3
        assert np.sqrt(np.mean(best**2)) <= norm_bound(3.0, n, k)
    # The kernel that holds these parities alone attains it.
    chi = parities(n, k)
    tight = chi @ chi.T / comb(n, k)
    assert np.sqrt(np.mean(embedding_norms(tight, k))) == pytest.approx(norm_bound(1.0, n, k), rel=1e-12)


def test_squared_norms_are_double_sums_and_obey_cauchy_and_schwarz():
    X = cube(4)
    random = np.random.default_rng(0)
    root = random.standard_normal((16, 16))
    K = root @ root.T
    norms, inverse = embedding_norms(K, 2), rkhs_norms(K, 2)
    for number, support in enumerate(combinations(range(4), 2)):
        chi = np.prod(X[:, support], axis=1)
        total = sum(chi[i] * K[i, j] * chi[j] for i in range(16) for j in range(16)) / 256
        assert norms[number] == pytest.approx(total, rel=1e-12)
        assert inverse[number] == pytest.approx(chi @ np.linalg.solve(K, chi), rel=1e-9)
    assert np.all(inverse * norms >= 1)


def test_values_that_are_not_of_a_cube_are_refused():
    with pytest.raises(InvalidInput, match="2\\^n points"):
        parity_edges(np.ones((6, 2)), 2)
    with pytest.raises(InvalidInput, match="symmetric"):
        embedding_norms(np.triu(np.ones((8, 8))), 2)
    with pytest.raises(InvalidInput, match="symmetric"):
        embedding_norms(np.full((8, 8), np.nan), 2)
    with pytest.raises(InvalidInput, match="positive definite"):
        rkhs_norms(np.ones((8, 8)), 2)
    for refused in (
        lambda: dimension_bound(-1, 5, 2),
        lambda: norm_bound(-1.0, 5, 2),
        lambda: dimension_bound(1, 5, 6),
    ):
        with pytest.raises(InvalidInput):
            refused()
