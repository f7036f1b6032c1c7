"""Random features from the spectrum: their mean, their one-layer network, what is left out."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.special import eval_gegenbauer

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.features.angle_terms import feature_terms
from widenet.features.zonal_features import ZonalRandomFeatures, degree_shares, harmonic_sum
from widenet.kernels import NTK, ArcCosine, Gaussian, Homogeneous, Laplace, Matern, Zonal
from widenet.theory.spectrum import multiplicity

GAUSSIAN = np.random.default_rng(1).standard_normal((8, 5))
UNITS = GAUSSIAN / np.linalg.norm(GAUSSIAN, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "kernel", [NTK(fully_connected(2)), Homogeneous(Laplace(1.5)), Matern(1.5, 1.5), Gaussian(1.0)]
)
@pytest.mark.parametrize("size", [4, 60])
def test_the_mean_is_the_kernel(kernel, size):
    rows = UNITS if isinstance(kernel, (Matern, Gaussian)) else GAUSSIAN
    fits = [ZonalRandomFeatures(kernel, size, seed, degree=12).fit(rows) for seed in range(64)]
    found = np.array([Z @ Z.T for Z in (fitted.transform(rows) for fitted in fits)])
    spread = found.std(0, ddof=1) / 8
    bias = fits[0].missing * np.outer(*2 * [np.linalg.norm(rows, axis=1)])
    assert (np.abs(found.mean(0) - kernel(rows)) < 4 * spread + bias + 1e-12).all()
    assert 0 <= fits[0].missing < 0.12 * fits[0].form.terms[0].at_one


def test_shares_of_a_polynomial_are_those_by_hand():
    # u^2 = 1 / d + (1 - 1 / d) P_2(u), and 3 u = 3 P_1.
    (term,) = feature_terms(Zonal(lambda u: u**2 + 3 * u), 5) or ()
    np.testing.assert_allclose(degree_shares(term, 4), [0.2, 3, 0.8, 0, 0], atol=1e-12)
    with pytest.raises(InvalidInput, match="share of -1"):
        degree_shares(feature_terms(Zonal(lambda u: -u), 5)[0], 4)


@pytest.mark.parametrize("dimension", [2, 3, 7])
def test_sums_of_harmonics_are_gegenbauer_polynomials(dimension):
    t = np.linspace(-1, 1, 11)
    weights = np.array([0.3, -1.0, 0.5, 0.2, -0.7])
    expected = np.zeros_like(t)
    for k, weight in enumerate(weights):
        if dimension == 2:
            polynomial = np.cos(k * np.arccos(t))
        else:
            index = dimension / 2 - 1
            polynomial = eval_gegenbauer(k, index, t) / eval_gegenbauer(k, index, 1.0)
        expected += weight * np.sqrt(multiplicity(dimension, k)) * polynomial
    np.testing.assert_allclose(harmonic_sum(weights, torch.from_numpy(t), dimension), expected, atol=1e-12)


def test_the_function_of_an_arc_cosine_kernel_is_nearly_a_ramp():
    """In many dimensions the function found for E[(w.u)_+ (w.v)_+] is the ramp itself, up to the degrees left out."""
    (term,) = feature_terms(ArcCosine(1), 400) or ()
    shares = degree_shares(term, 8)
    t = np.linspace(-2, 2, 21)
    found = harmonic_sum(
        np.array([1, 1, 1, -1, -1, 1, 1, -1, -1]) * np.sqrt(shares), torch.from_numpy(t / 20), 400
    ).numpy()
    np.testing.assert_allclose(found, np.sqrt(2) * np.maximum(t, 0), atol=0.2)


def test_sparse_rows_give_the_same_features():
    rows = np.where(np.abs(GAUSSIAN) > 0.5, GAUSSIAN, 0)
    fitted = ZonalRandomFeatures(ArcCosine(1), 40).fit(rows)
    np.testing.assert_allclose(fitted.transform(sparse.csr_array(rows)), fitted.transform(rows), atol=1e-12)


def test_directions_are_orthogonal_in_blocks():
    (block,) = ZonalRandomFeatures(ArcCosine(1), 6 + 12).fit(GAUSSIAN).blocks
    W = block.directions.numpy()
    assert W.shape == (5, 12)
    assert block.linear
    np.testing.assert_allclose(W[:, :5].T @ W[:, :5], np.eye(5), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), 1, atol=1e-14)


def test_rows_of_one_number_have_no_sphere():
    with pytest.raises(InvalidInput, match="at least 2"):
        ZonalRandomFeatures(ArcCosine(1), 10).fit(np.ones((3, 1)))
