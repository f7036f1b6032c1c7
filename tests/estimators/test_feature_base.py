"""What both regressions on features share."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from widenet.errors import InvalidInput
from widenet.estimators.feature_base import column_or_rows
from widenet.estimators.feature_classifier import FeatureClassifier
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.estimators.selection import read_ridge
from widenet.kernels import Laplace

X = np.random.default_rng(0).normal(size=(80, 3))
KERNEL = Laplace(2.0)


def target(cls):
    return X[:, 0] if cls is FeatureRegressor else (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize("cls", [FeatureRegressor, FeatureClassifier])
def test_weight_two_is_a_row_given_twice_and_weight_zero_none(cls):
    weight = np.arange(80) % 3
    weighted = cls(KERNEL, size=40).fit(X, target(cls), sample_weight=weight)
    repeated = cls(KERNEL, size=40).fit(np.repeat(X, weight, axis=0), np.repeat(target(cls), weight))
    np.testing.assert_allclose(weighted._predictions(X), repeated._predictions(X), rtol=1e-3, atol=1e-3)
    batches = cls(KERNEL, size=40)
    batches.partial_fit(X[:30], target(cls)[:30], sample_weight=weight[:30])
    batches.partial_fit(X[30:], target(cls)[30:], sample_weight=weight[30:])
    np.testing.assert_allclose(batches._predictions(X), weighted._predictions(X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("cls", [FeatureRegressor, FeatureClassifier])
def test_a_fit_after_a_fit_forgets_the_first(cls):
    model = cls(KERNEL, size=40).fit(X, target(cls)).fit(X[:, :2], target(cls))
    fresh = cls(KERNEL, size=40).fit(X[:, :2], target(cls))
    assert np.array_equal(model.predict(X[:, :2]), fresh.predict(X[:, :2]))


@pytest.mark.parametrize("cls", [FeatureRegressor, FeatureClassifier])
def test_before_a_fit_nothing_is_known(cls):
    with pytest.raises(NotFittedError):
        cls().predict(X)
    with pytest.raises(NotFittedError):
        cls().ridge_  # noqa: B018


@pytest.mark.parametrize("cls", [FeatureRegressor, FeatureClassifier])
def test_bad_rows_are_refused(cls):
    y = target(cls)
    for rows, labels in ((np.where(X > 1, np.nan, X), y), (X[:1], y[:1]), (X[:0], y[:0]), (X[:-1], y)):
        with pytest.raises(InvalidInput):
            cls(KERNEL).fit(rows, labels)
    model = cls(KERNEL, size=20).fit(X, y)
    for rows in (X[:, :2], np.full((2, 3), np.nan)):
        with pytest.raises(InvalidInput):
            model.predict(rows)
    with pytest.raises(InvalidInput):
        cls(KERNEL).fit(X, y, sample_weight=np.zeros(80))


def test_ridges_and_targets_are_read():
    assert read_ridge("auto") is None
    assert read_ridge(np.float32(0.5)) == 0.5
    assert column_or_rows([1, 2], 2).tolist() == [1, 2]
    with pytest.raises(InvalidInput, match="2 rows"):
        column_or_rows([1], 2)
