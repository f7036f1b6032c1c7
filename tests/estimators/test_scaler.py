"""The affine map of the features: moments in blocks, rows that are scaled when they are read."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from widenet.estimators import scaler
from widenet.estimators.scaler import ScaledRows, Scaler, power_of_two


def test_moments_are_weighted_and_constant_features_keep_their_unit():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(3.0, 2.0, 40), np.full(40, 0.1)])
    weight = rng.uniform(0.5, 2.0, 40)
    fitted = Scaler.fit(X, weight, standardize=True)
    reference = StandardScaler().fit(X, sample_weight=weight)
    np.testing.assert_allclose(fitted.mean, reference.mean_, rtol=1e-13)
    np.testing.assert_allclose(fitted.scale, [np.sqrt(reference.var_[0]), 1.0], rtol=1e-13)
    np.testing.assert_allclose(fitted.transform(X, np.float64)[:, 1], 0.0, atol=1e-15)


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e200, 1e307])
def test_features_of_any_size_are_standardized(unit):
    X = np.random.default_rng(0).normal(3.0, 2.0, (40, 2))
    expected = StandardScaler().fit_transform(X)
    fitted = Scaler.fit(X * [unit, 1.0], np.ones(40), standardize=True)
    np.testing.assert_allclose(fitted.transform(X * [unit, 1.0], np.float64), expected, rtol=1e-10, atol=1e-10)


def test_without_standardising_rows_stay_as_they_are():
    X = np.arange(6.0).reshape(3, 2)
    same = Scaler.fit(X, np.ones(3), standardize=False).transform(X, np.float32)
    assert same.dtype == np.float32
    assert same.tolist() == X.tolist()


@pytest.mark.parametrize("block", [1, 7, 39, 40])
def test_blocks_make_no_difference(block, monkeypatch):
    rng = np.random.default_rng(1)
    X, weight = rng.normal(5.0, 1.0, (40, 3)), rng.uniform(0.5, 2.0, 40)
    reference = StandardScaler().fit(X, sample_weight=weight)
    monkeypatch.setattr(scaler, "_BLOCK", block)
    fitted = Scaler.fit(X, weight, standardize=True)
    np.testing.assert_allclose(fitted.mean, reference.mean_, rtol=1e-13)
    np.testing.assert_allclose(fitted.scale, np.sqrt(reference.var_), rtol=1e-12)
    rows = (X - reference.mean_) / np.sqrt(reference.var_)
    expected = np.sqrt(np.average(np.square(rows).sum(axis=1), weights=weight))
    assert fitted.norm(X, weight) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(fitted.transform(X, np.float64), rows, rtol=1e-9)


def test_rows_are_scaled_when_they_are_read():
    X = np.arange(12.0).reshape(4, 3)
    rows = ScaledRows(X, Scaler(np.array([1.0, 0.0, 2.0]), np.array([2.0, 1.0, 4.0])))
    assert len(rows) == 4
    np.testing.assert_array_equal(rows[1:3], np.array([[1.0, 4.0, 0.75], [2.5, 7.0, 1.5]], dtype=np.float32))
    np.testing.assert_array_equal(rows[np.array([3])], np.array([[4.0, 10.0, 2.25]], dtype=np.float32))


def test_powers_of_two_lie_at_or_below():
    assert [float(power_of_two(size)) for size in (1.0, 3.0, 0.75, 4.0)] == [1.0, 2.0, 0.5, 4.0]
