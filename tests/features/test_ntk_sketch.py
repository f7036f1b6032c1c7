"""Sketched polynomials of the angle: exact degrees, mean, stated error, split of the columns."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from scipy import sparse

from widenet.architectures import Dense, ReLU
from widenet.errors import InvalidInput
from widenet.features.ntk_sketch import Columns, NTKSketch, shares
from widenet.kernels import NTK, Homogeneous, Laplace

GAUSSIAN = np.random.default_rng(1).standard_normal((60, 12))
NORMS = np.linalg.norm(GAUSSIAN, axis=1)
COSINES = (GAUSSIAN @ GAUSSIAN.T) / np.outer(NORMS, NORMS)
# K_L at a cosine of 0.3 in 50-digit arithmetic.
VALUES = {1: 0.66184028904169, 2: 1.0346012996128, 3: 1.404033726567, 5: 2.1190002972813}


@pytest.mark.parametrize("depth", VALUES)
def test_a_depth_is_the_published_kernel(depth):
    pair = np.array([[1, 0], [0.3, np.sqrt(1 - 0.09)]])
    assert NTKSketch(depth, 8).target(pair)[0, 1] == pytest.approx(VALUES[depth], rel=1e-13)
    Z = NTKSketch(depth, size=3000, degree=32, seed=1)(pair)
    assert Z[0] @ Z[1] == pytest.approx(VALUES[depth], abs=0.1)


def test_degrees_that_fit_are_exact():
    fitted = NTKSketch(2, size=1 + 12 + 78, degree=2).fit(GAUSSIAN)
    (polynomial,) = fitted.polynomials
    Z = fitted.transform(GAUSSIAN)
    np.testing.assert_allclose(Z @ Z.T, np.outer(NORMS, NORMS) * polynomial(COSINES), rtol=1e-10, atol=1e-10)
    assert fitted.columns[0].exact == 2
    assert fitted.columns[0].sketch is None


@pytest.mark.parametrize(("size", "exact"), [(8, 0), (40, 1), (300, 2)])
def test_exact_columns_are_those_that_pay(size, exact):
    (columns,) = NTKSketch(1, size).fit(GAUSSIAN).columns
    assert columns.exact == exact
    assert columns.sketch.size == size - sum([1, 12, 78][: exact + 1])


def test_columns_are_split_by_coefficients():
    columns = Columns.plan((1.0, 1.0, 0.4, 0.0, 0.1), 3, 4 + 500, (0, 0))
    assert columns.exact == 2
    assert columns.sketch.sizes == (0, 0, 0, 494)
    assert Columns.plan((1.0, 1.0, 0.4, 0.0, 0.1), 300, 301 + 500, (0, 0)).sketch.sizes == (0, 400, 0, 100)
    assert shares([3.0, 1.0, 1e-9], 9) == [6, 2, 1]
    assert shares([0.0, 0.0], 9) == [0, 0]


@pytest.mark.parametrize("size", [20, 64])
def test_the_mean_is_the_polynomial_and_the_variance_is_bounded(size):
    rows = GAUSSIAN[:6]
    fits = [NTKSketch(2, size, degree=4, seed=seed).fit(rows) for seed in range(100)]
    units = rows / NORMS[:6, None]
    found = np.array([Z @ Z.T for Z in (fitted.transform(units) for fitted in fits)])
    polynomial, columns = fits[0].polynomials[0], fits[0].columns[0]
    pairs = np.triu_indices(6)
    expected = polynomial(COSINES[:6, :6])[pairs]
    spread = found.std(0, ddof=1)[pairs]
    assert (np.abs(found.mean(0)[pairs] - expected) < 4 * spread / np.sqrt(100) + 1e-12).all()
    bounds = np.sqrt([columns.variance(c) for c in np.clip(COSINES[pairs], -1, 1)])
    assert (spread < 1.2 * bounds).all()


def test_the_stated_error_holds_the_fit_and_the_noise():
    fitted = NTKSketch(1, 64, degree=4).fit(GAUSSIAN)
    polynomial, columns = fitted.polynomials[0], fitted.columns[0]
    at_03 = abs(float(polynomial(np.array(0.3))) - VALUES[1])
    assert fitted.error(0.3) == pytest.approx(at_03 + np.sqrt(columns.variance(0.3)), rel=1e-9)


@pytest.mark.parametrize("fitting", ["nnls", "nnls with exact diagonal", "minimax", "taylor"])
def test_a_truncated_kernel_is_positive_semi_definite(fitting):
    polynomial = NTKSketch(3, 10, 8, fitting).fit(GAUSSIAN).polynomials[0]
    values = np.linalg.eigvalsh(polynomial(np.clip(COSINES, -1, 1)))
    assert values[0] >= -1e-12 * values[-1]


@pytest.mark.parametrize("size", [10, 40, 200])
def test_sparse_rows_give_the_same_features(size):
    rows = np.where(np.abs(GAUSSIAN) > 1, GAUSSIAN, 0)
    fitted = NTKSketch(2, size).fit(sparse.csr_array(rows))
    np.testing.assert_allclose(fitted.transform(sparse.csr_array(rows)), fitted.transform(rows), atol=1e-12)


def test_rows_of_a_million_columns_are_never_made_dense():
    random = np.random.default_rng(0)
    where = np.stack([np.repeat(np.arange(20), 50), random.integers(0, 10**6, 1000)])
    rows = sparse.csr_array((random.standard_normal(1000), tuple(where)), shape=(20, 10**6))
    Z = NTKSketch(2, 500)(rows)
    assert Z.shape == (20, 500)
    K = NTKSketch(2, 500).target(np.eye(1))[0, 0]
    np.testing.assert_allclose((Z**2).sum(1), K * rows.power(2).sum(1), rtol=0.6)


def test_terms_of_two_powers_and_kernels_on_the_sphere():
    kernel = NTK(Dense(bias_std=0.7, bias_init="zero") >> ReLU() >> Dense(bias_std=0.7, bias_init="zero"))
    Z = NTKSketch(kernel, 2000)(GAUSSIAN)
    assert np.linalg.norm(Z @ Z.T - kernel(GAUSSIAN)) < 0.05 * np.linalg.norm(kernel(GAUSSIAN))
    for kernel, rows in ((Homogeneous(Laplace(1.5)), GAUSSIAN), (Laplace(3.0), 2 * GAUSSIAN / NORMS[:, None])):
        Z = NTKSketch(kernel, 2000, degree=8, fitting="taylor")(rows)
        K = kernel(rows)
        off = ~np.eye(60, dtype=bool)
        assert np.linalg.norm((Z @ Z.T - K)[off]) < 0.1 * np.linalg.norm(K[off])


def test_torch_and_single_precision_are_kept():
    Z = NTKSketch(1, 50)(torch.from_numpy(GAUSSIAN).float())
    assert Z.dtype == torch.float32
    torch.testing.assert_close(Z.double(), torch.from_numpy(NTKSketch(1, 50)(GAUSSIAN)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [("NTK", 8), (0, 8), (1, 0), (1, 8, -1), (1, 8, 4, "least"), (1, 8, 4, "nnls", -1)])
def test_bad_options_are_refused(options):
    with pytest.raises((InvalidInput, TypeCheckError)):
        NTKSketch(*options)
