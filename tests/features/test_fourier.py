"""Waves against the kernels themselves, with the stated variance."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import kstest

from widenet.errors import InvalidInput
from widenet.features.fourier import FourierFeatures, positive_stable
from widenet.kernels import GammaExponential, Gaussian, Laplace, Matern
from widenet.kernels.stationary import Stationary

KERNELS = [Gaussian(1.3), Laplace(1.3), Matern(1.3), Matern(0.8, 2.5), GammaExponential(1.3, 0.6)]
KERNELS += [GammaExponential(1.3, 1.5), GammaExponential(1.3, 2.0)]


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((6, 4)) * 0.7


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("orthogonal", [False, True])
def test_the_mean_is_the_kernel_and_the_variance_is_as_stated(kernel: Stationary, orthogonal: bool, X: np.ndarray):
    draws, size = 200, 128
    maps = [FourierFeatures(kernel, size, seed, orthogonal) for seed in range(draws)]
    values = np.stack([(Z := each(X)) @ Z.T for each in maps])
    expected, stated = kernel(X), maps[0].variance(X, X)
    off = ~np.eye(len(X), dtype=bool)
    z = (values.mean(0) - expected)[off] / np.sqrt(stated[off] / draws)
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(values[:, ~off], 1, rtol=1e-12)
    if not orthogonal:  # the variance of a variance of nearly normal numbers is 2 / draws of its square
        ratios = values.var(0)[off] / stated[off]
        assert abs(ratios.mean() - 1) < 0.12


def test_orthogonal_frequencies_err_less_for_the_gaussian_kernel(X: np.ndarray):
    kernel, wide = Gaussian(3.0), np.random.default_rng(1).standard_normal((30, 32)) * 0.5
    errors = [
        np.mean([np.square((Z := FourierFeatures(kernel, 64, s, o)(wide)) @ Z.T - kernel(wide)) for s in range(20)])
        for o in (False, True)
    ]
    assert errors[1] < 0.6 * errors[0]


def test_the_stable_law_at_one_half_is_levys():
    # E exp(-t A) = exp(-sqrt t) is the law of 1 / (2 z^2), the inverse gamma law with shape 1/2 and scale 1/4.
    draws = positive_stable(0.5, np.random.default_rng(0), 4000)
    assert kstest(draws, "invgamma", args=(0.5, 0, 0.25)).pvalue > 1e-3


@pytest.mark.parametrize("size", [1, 2, 7])
def test_there_are_as_many_features_as_asked_for(size: int, X: np.ndarray):
    assert FourierFeatures(Laplace(1.0), size)(X).shape == (6, size)


def test_an_odd_size_is_unbiased_too(X: np.ndarray):
    values = np.stack([(Z := FourierFeatures(Gaussian(1.0), 3, seed)(X)) @ Z.T for seed in range(1500)])
    # One of the two waves has a random phase: it adds 1 / (2 * 2^2) to the variance, which is at most 1/2 + 1/8.
    assert np.abs(values.mean(0) - Gaussian(1.0)(X)).max() < 4.5 * np.sqrt(0.7 / 1500)


def test_blocks_dtypes_and_pickles_do_not_matter(X: np.ndarray):
    fitted = FourierFeatures(Matern(1.0), 33, seed=3).fit(X)
    whole = fitted.transform(X)
    np.testing.assert_allclose(np.concatenate([fitted.transform(X[:2]), fitted.transform(X[2:])]), whole, rtol=1e-12)
    again = pickle.loads(pickle.dumps(fitted)).transform(X)
    np.testing.assert_array_equal(again, whole)
    single = fitted.transform(X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, whole, atol=1e-4)
    np.testing.assert_allclose(fitted.transform(csr_matrix(X)), whole, rtol=1e-12)


def test_points_with_positions_count_as_vectors(X: np.ndarray):
    fourier = FourierFeatures(Laplace(1.0), 16)
    np.testing.assert_array_equal(fourier(X.reshape(6, 2, 2)), fourier(X))


def test_other_kernels_and_points_are_refused(X: np.ndarray):
    with pytest.raises(InvalidInput, match="spectral density"):
        FourierFeatures(Laplace(1.0) + Laplace(2.0), 8)
    with pytest.raises(InvalidInput, match="size"):
        FourierFeatures(Laplace(1.0), 0)
    with pytest.raises(InvalidInput, match="shape"):
        FourierFeatures(Laplace(1.0), 8).fit(X).transform(X[:, :2])
