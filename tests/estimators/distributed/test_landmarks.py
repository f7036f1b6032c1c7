"""Landmark ridge on partitions against the same on the rows in one place."""

import dask
import dask.array as da
import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.estimators.distributed import landmark_path
from widenet.kernels import Laplace
from widenet.solvers.landmarks import Landmarks

KERNEL = Laplace(2.0)
SOLVER = Landmarks(size=60, method="direct")
RIDGES = [1e-6, 1e-3]


@pytest.fixture(autouse=True)
def _on_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(700, 3))


def cut(array: np.ndarray) -> da.Array:
    return da.from_array(array, chunks=((200, 0, 460, 40), *array.shape[1:]))


@pytest.mark.parametrize("columns", [(), (1,), (2,)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_path_is_that_of_the_rows_in_one_place(columns, weighted):
    y = np.random.default_rng(1).normal(size=(700, *columns))
    weight = np.random.default_rng(2).integers(1, 4, size=700).astype(float) if weighted else None
    expected = SOLVER.path(KERNEL, rows(), y, RIDGES, weight)
    weights = None if weight is None else da.from_array(weight, chunks=100)
    found = landmark_path(KERNEL, cut(rows()), da.from_array(y, chunks=350), RIDGES, weights, solver=SOLVER)
    np.testing.assert_allclose(found.path.gcv, expected.path.gcv, rtol=1e-10)
    for place in (0, 1):
        assert found.fit(place).predict(rows()).shape == y.shape
        ours, theirs = found.fit(place).predict(rows()), expected.fit(place).predict(rows())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_bad_points_are_named_by_their_partition():
    X = rows()
    X[300, 1] = np.inf
    with pytest.raises(InvalidInput, match=r"partition 2 .*inf in row 101"):
        landmark_path(KERNEL, cut(X), cut(rows()[:, 0]), RIDGES, solver=SOLVER)
    y = rows()[:, 0]
    y[250] = np.nan
    with pytest.raises(InvalidInput, match=r"in partition 2, targets must be finite.*row 50"):
        landmark_path(KERNEL, cut(rows()), cut(y), RIDGES, solver=SOLVER)
