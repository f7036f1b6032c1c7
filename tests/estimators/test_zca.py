"""ZCA whitening against reference values, plain formulas, and scikit-learn's own checks."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from widenet import NTK, ZCA, KernelClassifier, fully_connected
from widenet.errors import InvalidInput

# Reference values, derived apart from this library: relative ridge 0.1, rows normalised one by one.
ROWS = np.array([(1, 2, 3, 5), (2, 0, 1, 1), (0, 1, 4, 2), (3, 1, 0, 2), (1, 1, 2, 0), (5, 4, 0, 1)], dtype=float)
FIRST_OF_W = (2.751746371949, 0.955281272691, 1.438194993869, 1.179332681828)
FIRST_ROW = (-0.851567225325, -0.459807363558, -0.038592017855, 1.349966606738)


@parametrize_with_checks([ZCA(), ZCA(normalize=False)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_the_reference_rows():
    zca = ZCA(ridge=0.1, null_directions="ridge").fit(ROWS)
    assert zca.eigenvalues_.sum() == pytest.approx(1.0, rel=1e-14)
    assert zca.regularization_ == pytest.approx(0.025, rel=1e-13)
    np.testing.assert_allclose(zca.whitening_[0], FIRST_OF_W, rtol=0, atol=1e-11)
    assert zca.n_null_ == 1  # centred rows have no constant part
    for rule in ("ridge", "one", "zero"):  # so what is whitened does not depend on its factor
        found = ZCA(ridge=0.1, null_directions=rule).fit_transform(ROWS)
        np.testing.assert_allclose(found[0], FIRST_ROW, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("rule", "factor"), [("one", 1.0), ("zero", 0.0), ("ridge", (0.3 / 20) ** -0.5)])
def test_null_directions_of_few_rows_have_the_factor_of_the_rule(rule, factor):
    rng = np.random.default_rng(0)
    X, unseen = rng.normal(size=(6, 20)), rng.normal(size=(3, 20))
    zca = ZCA(0.3, "absolute", normalize=False, null_directions=rule).fit(X)
    zca = zca if rule != "ridge" else ZCA(0.3 / (np.square(X).sum() / 6), normalize=False, null_directions=rule).fit(X)
    assert zca.n_null_ == 14
    inside = np.linalg.pinv(X) @ X
    outside = unseen - unseen @ inside
    np.testing.assert_allclose(zca.transform(unseen) - zca.transform(unseen @ inside), factor * outside, atol=1e-10)


def test_no_ridge_whitens_in_full_and_a_large_one_only_scales():
    X = np.random.default_rng(0).normal(size=(200, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    Z = ZCA(0.0, normalize=False).fit_transform(X)
    np.testing.assert_allclose(Z.T @ Z / 200, np.eye(5), rtol=0, atol=1e-11)
    scaled = ZCA(1e8, "absolute", normalize=False).fit_transform(X)
    np.testing.assert_allclose(scaled, X / 1e4, rtol=1e-5, atol=1e-9)
    rounding = ZCA(0.0).fit_transform(X)  # the constant direction is null: nothing is blown up
    assert np.abs(rounding).max() < 100
    np.testing.assert_allclose(rounding.sum(axis=1), 0, atol=1e-9)


def test_rows_without_contrast_and_extreme_ones_stay_finite():
    X = np.random.default_rng(0).normal(size=(20, 6))
    X[3], X[4], X[5], X[6] = 0.1, 0.0, X[5] * 1e200, X[6] * 1e-200
    Z = ZCA().fit_transform(X)
    assert np.isfinite(Z).all()
    assert np.array_equal(Z[3:5], np.zeros((2, 6)))
    clean = X.copy()
    clean[5], clean[6] = clean[5] / 1e200, clean[6] / 1e-200
    np.testing.assert_allclose(ZCA().fit_transform(clean), Z, rtol=0, atol=1e-12)


def test_it_is_fitted_on_training_rows_only_and_keeps_the_precision():
    X = np.random.default_rng(0).normal(size=(30, 4))
    zca = ZCA().fit(X[:20])
    before = zca.whitening_.copy()
    single = zca.transform(X[20:].astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, zca.transform(X[20:]), atol=1e-6)
    assert np.array_equal(zca.whitening_, before)


def test_it_goes_before_a_kernel_in_a_pipeline():
    X, y = load_digits(return_X_y=True)
    kernel = NTK(fully_connected(2))
    model = make_pipeline(ZCA(10.0), KernelClassifier(kernel, ridge=1e-3, standardize=False)).fit(X[:300], y[:300])
    assert model.score(X[300:600], y[300:600]) > 0.8


@pytest.mark.parametrize(
    "options",
    [
        {"ridge": -1.0},
        {"ridge": "x"},
        {"ridge": np.inf},
        {"ridge_scale": "big"},
        {"normalize": 2},
        {"null_directions": "two"},
        {"ridge": 0.0, "null_directions": "ridge"},
    ],
    ids=repr,
)
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(InvalidInput):
        ZCA(**options).fit(ROWS)


@pytest.mark.parametrize("X", [np.full((4, 3), np.nan), np.ones((4, 3)), [["a", "b"]], np.zeros((0, 3))])
def test_rows_without_information_are_refused(X):
    with pytest.raises(InvalidInput):
        ZCA().fit(X)
