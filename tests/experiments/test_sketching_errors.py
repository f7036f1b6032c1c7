"""Errors of Gram matrices against plain formulas, slopes, and the tables made of them."""

import numpy as np
import pytest
from scipy import sparse

from widenet.experiments.sketching_errors import (
    Measurement,
    Problem,
    error_table,
    goal_table,
    gram_of,
    measure,
    slope,
    spectral_norm,
    time_table,
)
from widenet.experiments.sketching_maps import BEST, DEGREE_SKETCH, PUBLISHED, methods

DRAWS = np.random.default_rng(0)
PROBLEM = Problem("set", DRAWS.normal(size=(40, 8)).astype(np.float32), None, np.arange(40) % 2)


def _entry(method, size, error, seconds):
    return Measurement(method, size, (error, error), (error / 2, error / 2), (seconds, seconds), (seconds / 2,) * 2)


def test_norms_and_products_are_those_of_numpy():
    Z = DRAWS.normal(size=(40, 5000)).astype(np.float32)
    np.testing.assert_allclose(gram_of(Z), Z.astype(float) @ Z.astype(float).T, rtol=1e-10, atol=1e-10)
    E = gram_of(Z[:, :9]) - np.eye(40)
    assert spectral_norm(-E) == pytest.approx(np.linalg.norm(E, 2), rel=2e-3)


def test_measured_errors_are_relative_to_the_kernel():
    method = next(entry for entry in methods(1, 40, 3.0) if entry.name == PUBLISHED)
    names = []
    (entry,) = measure(PROBLEM, [method], [64], 2, names.append)
    K = np.asarray(method.kernel(PROBLEM.X.astype(float)))
    for seed in range(2):
        Z = method.make(64, seed)(PROBLEM.X).astype(float)
        assert entry.frobenius[seed] == pytest.approx(np.linalg.norm(Z @ Z.T - K) / np.linalg.norm(K), rel=1e-5)
        assert entry.spectral[seed] == pytest.approx(np.linalg.norm(Z @ Z.T - K, 2) / np.linalg.norm(K, 2), rel=2e-3)
        assert 0 < entry.transform[seed] < entry.seconds[seed]
    assert names == [f"set: {PUBLISHED}"]


def test_smaller_sizes_are_for_the_maps_that_are_compared():
    maps = [entry for entry in methods(1, 40, 3.0) if entry.name in (PUBLISHED, BEST)]
    found = [(entry.method, entry.size) for entry in measure(PROBLEM, maps, [24], 1, small=(8,))]
    assert sorted(found) == sorted([(PUBLISHED, 24), (BEST, 8), (BEST, 24)])


def test_no_more_landmarks_than_rows_and_sparse_rows_where_they_serve():
    landmarks = next(entry for entry in methods(1, 40, 3.0) if entry.name == "Nystroem, pivoted")
    assert [entry.size for entry in measure(PROBLEM, [landmarks], [16, 64], 1)] == [16]
    compressed = Problem("set", PROBLEM.X, sparse.csr_array(PROBLEM.X), PROBLEM.y)
    assert compressed.rows(landmarks) is PROBLEM.X
    assert compressed.rows(methods(1, 40, 3.0)[1]) is compressed.compressed


def test_slopes_and_tables():
    measured = [_entry(PUBLISHED, size, size**-0.5, 1.0 * size) for size in (64, 256, 1024)]
    measured += [_entry(BEST, size, 0.1 * size**-0.5, 0.5 * size) for size in (64, 256)]
    measured += [_entry(DEGREE_SKETCH, 64, 0.01, 4.0)]
    assert slope(measured[:3]) == pytest.approx(-0.5)
    assert slope(measured[5:]) is None
    errors = error_table(PROBLEM, measured, "frobenius")
    assert errors.rows[0][:2] == (PUBLISHED, "1.25e-01 (0e+00)")
    assert errors.rows[2] == (DEGREE_SKETCH, "1.00e-02 (0e+00)", "", "", None)
    assert time_table(PROBLEM, measured).rows[1][1:4] == (32.0, 128.0, None)
    goals = goal_table(PROBLEM, measured).rows
    assert goals[0] == (64, 0.125, *(pytest.approx(value) for value in (0.1, 0.5, 0.5, 0.08, 4 / 64, 4 / 64)))
    assert goals[2][2] is None
    assert goals[2][3:5] == (pytest.approx(32 / 1024),) * 2
