"""Streaming ridge against plain normal equations, scikit-learn's Ridge and refits."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from widenet.errors import InvalidFile, InvalidInput
from widenet.solvers.streaming import NormalEquations

RIDGES = np.array([1e-3, 0.5, 30.0])


def rows(n=60, size=5, outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)
    y = np.tanh(Z[:, :outputs]) + 0.1 * rng.normal(size=(n, outputs)) + 3.0
    return Z, y, rng.uniform(0.2, 3.0, n)


def solved(Z, y, weight, ridge):
    """Ridge with a free intercept, by its own normal equations with a column of ones."""
    wide = np.c_[Z, np.ones(len(Z))]
    penalty = np.diag([*np.full(Z.shape[1], ridge), 0.0])
    return np.linalg.solve(wide.T @ (weight[:, None] * wide) + penalty, wide.T @ (weight[:, None] * y))


@pytest.mark.parametrize("size", [5, 80])
@pytest.mark.parametrize("block", [1, 7, 60])
def test_the_solution_is_that_of_the_plain_normal_equations(size, block):
    Z, y, weight = rows(size=size)
    equations = NormalEquations(size, 2)
    for start in range(0, 60, block):
        part = slice(start, start + block)
        equations.add(Z[part], y[part], weight[part])
    path = equations.ridge_path(RIDGES, "absolute")
    for coefficients, intercept, ridge in zip(path.coefficients, path.intercepts, RIDGES, strict=True):
        expected = solved(Z, y, weight, ridge)
        np.testing.assert_allclose(coefficients, expected[:-1], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(intercept, expected[-1], rtol=1e-6, atol=1e-8)


def test_a_relative_ridge_is_in_units_of_the_mean_squared_norm():
    Z, y, _ = rows()
    unit = np.square(Z).sum(axis=1).mean()
    relative = NormalEquations(5, 2).add(Z, y).ridge_path(RIDGES)
    peer = Ridge(alpha=0.5 * unit).fit(Z, y)
    np.testing.assert_allclose(relative.coefficients[1].T, peer.coef_, rtol=1e-9)
    np.testing.assert_allclose(relative.absolute, RIDGES * unit, rtol=1e-12)


def test_blocks_and_merges_change_nothing():
    Z, y, weight = rows(n=200, size=20)
    whole = NormalEquations(20, 2).add(Z, y, weight).ridge_path(RIDGES)
    parts = [
        NormalEquations(20, 2).add(Z[a:b], y[a:b], weight[a:b]) for a, b in ((0, 9), (9, 120), (120, 131), (131, 200))
    ]
    before = pickle.dumps(parts[1])
    merged = ((parts[3] + parts[1]) + (parts[0] + parts[2])).ridge_path(RIDGES)
    for name in ("coefficients", "intercepts", "gcv", "squared_errors", "degrees_of_freedom"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-9)
    assert pickle.dumps(parts[1]) == before


@pytest.mark.parametrize("offset", [1e3, 1e7])
def test_a_large_offset_does_no_harm(offset):
    Z, y, _ = rows(n=500, size=6)
    # Rows whose level drifts, too: means of blocks far apart.
    drift = np.linspace(0, offset, 500)[:, None] * np.eye(6)[0]
    plain = NormalEquations(6, 2).add(Z, y).ridge_path([1e-3], "absolute")
    moved = NormalEquations(6, 2)
    for start in range(0, 500, 50):
        moved.add(Z[start : start + 50] + offset, y[start : start + 50] - offset)
    moved = moved.ridge_path([1e-3], "absolute")
    np.testing.assert_allclose(moved.coefficients, plain.coefficients, rtol=1e-16 * offset * 1e5)
    drifted = NormalEquations(6, 2)
    for start in range(0, 500, 50):
        drifted.add((Z + drift)[start : start + 50], y[start : start + 50])
    expected = np.linalg.lstsq(np.c_[Z + drift - (Z + drift).mean(0)], y - y.mean(0), rcond=None)[0]
    np.testing.assert_allclose(drifted.ridge_path([0.0]).coefficients[0], expected, rtol=1e-3, atol=1e-7)


def test_single_precision_rows_are_summed_in_double():
    Z, y, _ = rows(n=3000, size=8)
    single = Z.astype(np.float32)
    expected = NormalEquations(8, 2).add(single.astype(np.float64), y).ridge_path(RIDGES)
    for features in (single, torch.from_numpy(single)):
        path = NormalEquations(8, 2).add(features, torch.from_numpy(y)).ridge_path(RIDGES)
        np.testing.assert_allclose(path.coefficients, expected.coefficients, rtol=1e-12)


def test_weight_two_is_a_row_given_twice_and_weight_zero_none():
    Z, y, _ = rows()
    weight = np.arange(60) % 3
    weighted = NormalEquations(5, 2).add(Z, y, weight)
    repeated = NormalEquations(5, 2).add(np.repeat(Z, weight, axis=0), np.repeat(y, weight, axis=0))
    assert weighted.rows == 40
    for name in ("coefficients", "gcv", "absolute", "degrees_of_freedom"):
        ours, theirs = getattr(weighted.ridge_path(RIDGES), name), getattr(repeated.ridge_path(RIDGES), name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize("n", [4, 30])
def test_targets_change_their_order_and_new_ones_were_zero(n):
    Z, y, weight = rows(n=50, size=10)
    late = np.where(np.arange(50) >= n, 1.0, 0.0)
    wide = NormalEquations(10, 3).add(Z, np.c_[late, y[:, 1], y[:, 0]], weight)
    grown = NormalEquations(10, 2).add(Z[:n], y[:n], weight[:n]).arrange_outputs([None, 1, 0])
    grown.add(Z[n:], np.c_[late, y[:, 1], y[:, 0]][n:], weight[n:])
    np.testing.assert_allclose(grown.ridge_path(RIDGES).coefficients, wide.ridge_path(RIDGES).coefficients, rtol=1e-9)
    np.testing.assert_allclose(grown.ridge_path(RIDGES).gcv, wide.ridge_path(RIDGES).gcv, rtol=1e-9)


@pytest.mark.parametrize("n", [4, 30])
def test_a_state_comes_back_and_goes_on(n):
    Z, y, weight = rows(n=50, size=10)
    equations = NormalEquations(10, 2).add(Z[:n], y[:n], weight[:n])
    again = NormalEquations.from_arrays(equations.arrays())
    for state in (equations, again):
        state.add(Z[n:], y[n:], weight[n:])
    ours, theirs = again.ridge_path(RIDGES), equations.ridge_path(RIDGES)
    assert np.array_equal(ours.coefficients, theirs.coefficients)
    assert np.array_equal(ours.gcv, theirs.gcv)


@pytest.mark.parametrize("name", ["gram", "counts", "weight", "cross"])
def test_a_broken_state_is_an_invalid_file(name):
    Z, y, weight = rows(n=50, size=10)
    state = NormalEquations(10, 2).add(Z, y, weight).arrays()
    with pytest.raises(InvalidFile, match="normal equations"):
        NormalEquations.from_arrays(state | {name: np.zeros(0)})


@pytest.mark.parametrize(
    ("Z", "y", "weight"),
    [
        (np.zeros((3, 4)), np.zeros(3), None),
        (np.zeros((3, 2), dtype=int), np.zeros(3), None),
        (np.zeros((3, 2)), np.zeros(4), None),
        (np.zeros((3, 2)), np.zeros((3, 2)), None),
        (np.full((3, 2), np.nan), np.zeros(3), None),
        (np.zeros((3, 2)), np.array([0.0, np.inf, 0.0]), None),
        (np.zeros((3, 2)), np.zeros(3), np.array([1.0, -1.0, 1.0])),
        (np.zeros((3, 2)), np.zeros(3), np.ones(2)),
    ],
)
def test_bad_rows_are_refused_and_leave_the_sums_alone(Z, y, weight):
    equations = NormalEquations(2)
    with pytest.raises(InvalidInput):
        equations.add(Z, y, weight)
    assert equations.rows == 0


def test_what_cannot_be_solved_or_added_is_refused():
    with pytest.raises(InvalidInput, match="two rows"):
        NormalEquations(2).add(np.zeros((1, 2)), [0.0]).decompose()
    with pytest.raises(InvalidInput, match="one size"):
        NormalEquations(2).__add__(NormalEquations(3))
    with pytest.raises(InvalidInput, match="outputs"):
        NormalEquations(2, 0)
    with pytest.raises(InvalidInput, match="ridge_scale"):
        NormalEquations(2).add(np.eye(2), [0.0, 1.0]).decompose("other")
