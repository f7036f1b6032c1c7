"""A cluster of worker processes: the same numbers as in one process, and nothing lost when a worker is killed.

The tests are few, and each does several things: starting a cluster takes seconds.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster

from widenet.errors import InvalidInput
from widenet.estimators.distributed import Distributed, gram_product, kernel_gram, landmark_path
from widenet.estimators.distributed.partitions import map_partitions, read_rows
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.kernels import Laplace
from widenet.solvers.landmarks import Landmarks

KERNEL = Laplace(2.0)
ROWS, PARTITIONS = 2400, 8
PATIENT = {
    "distributed.comm.timeouts.connect": "120s",
    "distributed.comm.timeouts.tcp": "120s",
    "distributed.scheduler.worker-ttl": None,  # a busy machine is not a dead worker
    "distributed.worker.daemon": True,
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with (
        dask.config.set(PATIENT),
        LocalCluster(**options, memory_limit=None, local_directory=None) as cluster,
        Client(cluster, timeout="120s", set_as_default=True) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        yield client


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, 3))


def targets(X: np.ndarray) -> np.ndarray:
    return np.sin(X[:, 0]) * X[:, 1] + X[:, 2]


def partitions() -> da.Array:
    return da.from_array(rows(), chunks=(ROWS // PARTITIONS, 3))


def predictions(X: da.Array) -> np.ndarray:
    """Of a model that is fitted to X by whatever scheduler is current, at the first rows, in this process."""
    y = X.map_blocks(targets, drop_axis=1, dtype=np.float64, meta=np.empty(0))
    model = Distributed(FeatureRegressor(KERNEL, size=100)).fit(X, y)
    return model.estimator_.predict(rows()[:200])


def _threads(number: int, X: np.ndarray) -> tuple[int, int]:
    return torch.get_num_threads(), os.getpid()


def _refuse(number: int, X: np.ndarray) -> None:
    if number == 3:
        raise InvalidInput("X must be finite", "NaN in row 7", "Drop it")


def test_products_errors_and_threads_of_workers(client: Client):
    X = partitions()
    v = np.random.default_rng(1).normal(size=ROWS)
    np.testing.assert_allclose(gram_product(KERNEL, X, v).compute(), KERNEL(rows()) @ v, rtol=0, atol=1e-10)
    np.testing.assert_allclose((kernel_gram(KERNEL, X) @ v).compute(), KERNEL(rows()) @ v, rtol=0, atol=1e-10)
    y = X.map_blocks(targets, drop_axis=1, dtype=np.float64, meta=np.empty(0))
    fit = landmark_path(KERNEL, X, y, [1e-4], solver=Landmarks(size=60)).fit()
    with dask.config.set(scheduler="synchronous"):
        alone = landmark_path(KERNEL, X, y, [1e-4], solver=Landmarks(size=60)).fit()
    np.testing.assert_allclose(fit.predict(rows()), alone.predict(rows()), rtol=0, atol=1e-10)
    seen = dask.compute(*map_partitions(_threads, read_rows(X)))
    assert {threads for threads, _ in seen} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    assert os.getpid() not in {process for _, process in seen}
    with pytest.raises(InvalidInput, match=r"in partition 3, X must be finite; got NaN in row 7. Drop it"):
        dask.compute(*map_partitions(_refuse, read_rows(X)))


def killing(marker: Path) -> da.Array:
    """The same rows, except that the first worker to load partition 5 after the sample was drawn dies of it."""

    def load(block: np.ndarray, block_info: dict) -> np.ndarray:
        if block_info[0]["chunk-location"][0] == 5:
            seen = marker / "seen"
            if not seen.exists():
                seen.touch()
            elif not (marker / "killed").exists():
                (marker / "killed").write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
        return block

    return partitions().map_blocks(load, dtype=np.float64, meta=np.empty((0, 0)))


def test_one_worker_two_workers_a_killed_worker_and_no_cluster_give_one_model(client: Client, tmp_path: Path):
    with dask.config.set(scheduler="synchronous"):
        alone = predictions(partitions())
    two = predictions(partitions())
    before = set(client.run(os.getpid).values())
    after_death = predictions(killing(tmp_path))
    assert int((tmp_path / "killed").read_text()) in before
    client.wait_for_workers(2, timeout=120)
    client.cluster.scale(1)
    one = predictions(partitions())
    assert alone.std() > 0.5
    for other in (two, after_death, one):
        np.testing.assert_allclose(other, alone, rtol=0, atol=1e-10)
