"""Randomly pivoted Cholesky: exact rows, the law of its pivots, the bound of the paper, rounding, memory."""

import itertools
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels import Gaussian, Laplace, Linear
from widenet.linalg import KernelMatrix
from widenet.linalg.dense_matrix import DenseMatrix
from widenet.linalg.pivoted_cholesky import most_columns, pivoted_cholesky


def points(n: int, d: int = 3, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(dtype)


def dense(K: np.ndarray) -> DenseMatrix:
    return DenseMatrix(torch.from_numpy(K), numpy=True)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_rows_of_pivots_are_exact_and_the_rest_is_positive(dtype, tolerance):
    X = points(700, dtype=dtype)
    found = pivoted_cholesky(KernelMatrix(Laplace(2.0), X), 90, seed=3)
    K, F = Laplace(2.0)(X.astype(np.float64)), found.factor.double().numpy().T
    left = K - F @ F.T
    assert found.rank == len(set(found.pivots.tolist())) == 90
    np.testing.assert_allclose(left[found.pivots], 0, atol=tolerance)
    np.testing.assert_allclose(found.residual, left.diagonal(), rtol=0, atol=tolerance)
    assert np.linalg.eigvalsh(left)[0] > -10 * tolerance
    assert found.error == pytest.approx(np.trace(left) / np.trace(K), rel=1e-4)
    assert found.trace == pytest.approx(700, rel=1e-6)


def test_the_pivots_have_the_law_of_one_at_a_time():
    # Rejection of proposals that were drawn together against the probabilities of a plain loop over pairs.
    root = np.random.default_rng(1).normal(size=(5, 5))
    root[1] = root[0] + 0.6 * root[1]  # the one leaves little of the other
    K = root @ root.T
    expected = {}
    for first, second in itertools.permutations(range(5), 2):
        left = K.diagonal() - K[first] ** 2 / K[first, first]
        left[first] = 0
        expected[first, second] = K[first, first] / np.trace(K) * left[second] / left.sum()
    draws, matrix = 500, dense(K)
    found = [tuple(pivoted_cholesky(matrix, 2, seed=seed).pivots.tolist()) for seed in range(draws)]
    statistic = sum((found.count(pair) - draws * p) ** 2 / (draws * p) for pair, p in expected.items())
    assert statistic < 43.8  # chi^2 of 19 degrees of freedom: one in a thousand


def test_the_expected_trace_is_within_the_bound_of_the_paper():
    # Chen, Epperly, Tropp, Webber 2022: rank >= r / e + r log(1 / (e h)) gives E tr <= (1 + e) times the best.
    K = Gaussian(1.5)(points(400, 2))
    tail = np.sort(np.linalg.eigvalsh(K))[::-1]
    for r, e in ((5, 1.0), (20, 0.5)):
        best = tail[r:].sum()
        rank = math.ceil(r / e + r * math.log(1 / (e * best / np.trace(K))))
        traces = [float(pivoted_cholesky(dense(K), rank, seed=s).residual.sum()) for s in range(30)]
        assert np.mean(traces) <= (1 + e) * best
        assert np.mean(traces) >= tail[rank:].sum()


def test_it_beats_uniform_landmarks_on_clusters():
    X = np.concatenate([points(970, 2) * 0.01, points(30, 2) * 5.0])
    K = Gaussian(0.5)(X)
    chosen = [pivoted_cholesky(dense(K), 40, seed=s).error for s in range(5)]
    uniform = []
    for seed in range(5):
        S = np.random.default_rng(seed).choice(1000, 40, replace=False)
        uniform.append(1 - np.trace(K[:, S] @ np.linalg.pinv(K[np.ix_(S, S)], rcond=1e-10) @ K[S]) / np.trace(K))
    assert np.mean(chosen) < 0.5 * np.mean(uniform)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_stops_where_only_rounding_is_left(dtype):
    X = points(500, 4, dtype)
    low = pivoted_cholesky(KernelMatrix(Linear(), X), 60)
    assert low.rank == 4
    assert low.error < 1e-5
    few = np.repeat(points(12, 3, dtype), 40, axis=0)
    twelve = pivoted_cholesky(KernelMatrix(Laplace(2.0), few), 50)
    assert twelve.rank == 12
    assert len({int(p) // 40 for p in twelve.pivots}) == 12
    smooth = pivoted_cholesky(KernelMatrix(Gaussian(20.0), X), 400)
    assert smooth.rank < 200
    assert torch.isfinite(smooth.factor).all()
    assert smooth.error < 1e-4
    assert pivoted_cholesky(dense(np.zeros((5, 5), dtype)), 3).rank == 0


def test_the_same_seed_gives_the_same_pivots():
    K = KernelMatrix(Laplace(2.0), points(300))
    first, again, other = (pivoted_cholesky(K, 20, seed=s).pivots.tolist() for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_bad_input_is_refused():
    X = points(20)
    with pytest.raises(InvalidInput, match="symmetric"):
        pivoted_cholesky(KernelMatrix(Laplace(1.0), X, X[:5]), 3)
    for size in (0, 21):
        with pytest.raises(InvalidInput, match="from 1 to the 20 rows"):
            pivoted_cholesky(KernelMatrix(Laplace(1.0), X), size)
    with pytest.raises(InvalidInput, match="seed"):
        pivoted_cholesky(KernelMatrix(Laplace(1.0), X), 2, seed=-1)


def test_the_memory_limit_says_how_many_columns_fit():
    K = KernelMatrix(Laplace(1.0), points(2000, dtype=np.float32))
    with pytest.raises(MemoryLimitExceeded, match="a factor of 1500 columns") as error:
        pivoted_cholesky(K, 1500, memory_limit="8 MB")
    fits = int(re.search(r"At most ([\d,]+) columns", str(error.value))[1].replace(",", ""))
    assert fits == most_columns(2000, 4, 8_000_000)
    assert pivoted_cholesky(K, fits, memory_limit="8 MB").rank == fits


def test_the_memory_is_that_of_the_factor_and_of_one_round():
    script = """
import resource, numpy as np
from widenet.kernels import Laplace
from widenet.linalg import KernelMatrix
from widenet.linalg.pivoted_cholesky import pivoted_cholesky
X = np.random.default_rng(0).normal(size=(16000, 3)).astype(np.float32)
pivoted_cholesky(KernelMatrix(Laplace(2.0), X[:3000], memory_limit="1 GB"), 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pivoted_cholesky(KernelMatrix(Laplace(2.0), X), 300, memory_limit="90 MB")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * 1024
    assert grown < 90e6, f"{grown / 1e6:.0f} MB, where the factor has 19"
