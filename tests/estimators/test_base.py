"""The shared part of the estimators: scaling, precision, prediction by blocks."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from widenet.errors import InvalidInput
from widenet.estimators import KernelRegressor, _base
from widenet.estimators._base import expand, working_dtype
from widenet.kernels import Laplace


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_the_unit_of_the_features_makes_no_difference(unit, standardize):
    X = np.random.default_rng(0).normal(size=(12, 2))
    plain = KernelRegressor(standardize=standardize).fit(X, X[:, 0]).predict(X)
    other = KernelRegressor(standardize=standardize).fit(X * unit, X[:, 0]).predict(X * unit)
    np.testing.assert_allclose(other, plain, rtol=1e-6, atol=1e-9)


def test_a_bool_of_numpy_standardizes_too():
    X = np.array([[1.0], [2.0], [4.0]])
    model = KernelRegressor(Laplace(1.0), ridge=0.1, standardize=np.bool_(True)).fit(X, X[:, 0])
    np.testing.assert_allclose(model.X_fit_, StandardScaler().fit_transform(X), rtol=1e-13)


def test_features_that_span_more_than_float64_are_refused():
    X = np.array([[-1.7e308], [1.7e308], [1.7e308]])
    with pytest.raises(InvalidInput, match="features must span"):
        KernelRegressor(Laplace(1.0), ridge=0.1).fit(X, np.arange(3.0))


def test_blocks_of_rows_make_no_difference(monkeypatch):
    rng = np.random.default_rng(1)
    X, X_fit, dual = rng.normal(size=(23, 3)), rng.normal(size=(11, 3)), rng.normal(size=(11, 2))
    plain = np.exp(-np.linalg.norm(X[:, None] - X_fit[None], axis=2)) @ dual
    monkeypatch.setattr(_base, "PREDICT_BYTES", 4 * 8 * len(X_fit))
    np.testing.assert_allclose(expand(Laplace(1.0), X, X_fit, dual), plain, rtol=1e-12)


@pytest.mark.parametrize(("rows", "dtype"), [(2000, np.float64), (2001, np.float32)])
def test_large_matrices_are_single_precision(rows, dtype):
    assert working_dtype(rows) is dtype
