"""Moments gathered in blocks against those of all rows at once."""

import numpy as np
import pytest

from widenet.solvers import centred_moments
from widenet.solvers.centred_moments import CentredMoments


def plain(Z, y, weight):
    mean, target = np.average(Z, axis=0, weights=weight), np.average(y, axis=0, weights=weight)
    gram = np.cov(Z.T, aweights=weight, ddof=0) * weight.sum()
    return mean, target, gram, (Z - mean).T @ (weight[:, None] * (y - target)), weight @ np.square(y - target)


def rows(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(70, 4)) + 5.0, rng.normal(size=(70, 2)) - 3.0, rng.uniform(0.1, 2.0, 70)


def agree(moments, Z, y, weight):
    gram = np.triu(moments.gram) + np.triu(moments.gram, 1).T
    ours = (moments.feature_mean, moments.target_mean, gram, moments.cross, moments.squares)
    for got, expected in zip(ours, plain(Z, y, weight), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(moments.weight, weight.sum(), rtol=1e-12)


def test_blocks_add_up(monkeypatch):
    Z, y, weight = rows()
    monkeypatch.setattr(centred_moments, "_BLOCK_BYTES", 8 * 4 * 9)
    moments = CentredMoments.empty(4, 2)
    moments.add_rows(Z, y, weight)
    agree(moments, Z, y, weight)


@pytest.mark.parametrize("layout", ["float32", "fortran", "strided", "read-only", "one row a block"])
def test_features_of_any_layout_are_read(layout, monkeypatch):
    Z, y, weight = rows()
    Z = np.round(Z * 64) / 64 + 1000.0  # as exact in float32
    given = {
        "float32": Z.astype(np.float32),
        "fortran": np.asfortranarray(Z),
        "strided": np.repeat(Z, 2, axis=1)[:, ::2],
    }.get(layout, Z.copy())
    given.flags.writeable = layout != "read-only"
    if layout == "one row a block":
        monkeypatch.setattr(centred_moments, "_BLOCK_BYTES", 1)
    moments = CentredMoments.empty(4, 2)
    moments.add_rows(given[:0], y[:0], weight[:0])
    moments.add_rows(given, y, weight)
    agree(moments, Z, y, weight)


def test_moments_add_up_and_copies_are_apart():
    Z, y, weight = rows()
    first, second = CentredMoments.empty(4, 2), CentredMoments.empty(4, 2)
    first.add_rows(Z[:50], y[:50], weight[:50])
    second.add_rows(Z[50:], y[50:], weight[50:])
    apart = first.copy()
    first.add(second)
    agree(first, Z, y, weight)
    agree(apart, Z[:50], y[:50], weight[:50])
    first.add(CentredMoments.empty(4, 2))
    agree(first, Z, y, weight)
