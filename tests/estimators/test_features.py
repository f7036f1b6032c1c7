"""The transformer against the kernels that its features stand for."""

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.estimators.features import NTKFeatures
from widenet.kernels import NTK, Laplace

X = load_digits().data[:300] / 16.0
KERNEL = NTK(fully_connected(2, scaling="geifman"))


@parametrize_with_checks([NTKFeatures(n_components=20), NTKFeatures(n_components=20, method="nystroem")])
def test_scikit_learn_check(estimator, check):
    if "sparse" in str(check) and estimator.method == "nystroem":
        pytest.skip("landmarks are dense rows")
    check(estimator)


@pytest.mark.parametrize("method", ["sketch", "nystroem"])
def test_inner_products_are_close_to_the_kernel(method):
    Z = NTKFeatures(n_components=280, depth=2, method=method).fit_transform(X)
    K = KERNEL(X)
    assert Z.shape == (300, 280)
    assert np.linalg.norm(Z @ Z.T - K) < 0.02 * np.linalg.norm(K)


def test_sparse_rows_get_the_features_of_dense_ones():
    model = NTKFeatures(n_components=64, depth=2).fit(X)
    np.testing.assert_allclose(model.transform(scipy.sparse.csr_array(X)), model.transform(X), atol=1e-10)


def test_a_pipeline_is_close_to_kernel_ridge():
    y = load_digits().target[:300] % 2 * 1.0
    K = KERNEL(X)
    dual = np.linalg.solve(K[:200, :200] + 3.0 * np.eye(200), y[:200])
    model = make_pipeline(NTKFeatures(n_components=400, depth=2), Ridge(alpha=3.0, fit_intercept=False))
    predicted = model.fit(X[:200], y[:200]).predict(X[200:])
    gap = predicted - K[200:, :200] @ dual
    assert np.sqrt(np.mean(gap**2)) < 0.1 * np.std(y)  # a tenth of what there is to predict


def test_names_and_precision():
    model = NTKFeatures(n_components=3).fit(X.astype(np.float32))
    assert model.get_feature_names_out().tolist() == ["ntkfeatures0", "ntkfeatures1", "ntkfeatures2"]
    assert model.transform(X.astype(np.float32)).dtype == np.float32
    assert NTKFeatures(n_components=3, kernel=Laplace(1.0), method="nystroem").fit_transform(X).dtype == np.float64


@pytest.mark.parametrize(
    "options",
    [{"n_components": 0}, {"method": "other"}, {"kernel": 3}, {"depth": -1}, {"random_state": "x"}],
)
def test_bad_arguments_are_refused(options):
    with pytest.raises(ValueError, match=r"must|cannot"):
        NTKFeatures(**options).fit(X)


def test_bad_rows_are_refused():
    with pytest.raises(InvalidInput):
        NTKFeatures(n_components=5).fit(np.full((4, 2), np.nan))
