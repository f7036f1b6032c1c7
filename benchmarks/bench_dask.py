"""A fit on worker processes: the same numbers as in one process, rows a second, a worker killed on the way.

Run as `python benchmarks/bench_dask.py [--rows 400000] [--size 768] [--rounds 2]`. Each worker is a process with one
thread on this machine, so that two of them want two idle cores. Rows are made by the workers from a seed. Writes
benchmarks/results/bench_dask.json. Fails where the numbers differ by more than 1e-10 or a killed worker's work is lost.
"""

import argparse
import os
import pickle
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import dask.config
import numpy as np
import torch
from _timing import save
from distributed import Client, LocalCluster, wait

from widenet.estimators.distributed import Distributed, gram_product
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.kernels import Laplace
from widenet.solvers.streaming import NormalEquations

COLUMNS, PARTITION = 10, 20_000
KERNEL = Laplace(4.0)
da: Any = dask.array


def made(number: int, rows: int) -> np.ndarray:
    """Rows of one partition."""
    return np.random.default_rng([7, number]).normal(size=(rows, COLUMNS)).astype(np.float32)


def targets(X: np.ndarray) -> np.ndarray:
    """A smooth function of the rows."""
    return np.sin(X[:, 0].astype(np.float64)) * X[:, 1] + X[:, 2]


def collection(partitions: int, before: Callable[[int], None] | None = None) -> tuple[Any, Any]:
    """Rows and targets that workers make when they are asked for."""

    def block(numbers: np.ndarray) -> np.ndarray:
        if before is not None:
            before(int(np.ravel(numbers)[0]))
        return made(int(np.ravel(numbers)[0]), PARTITION)

    numbers = da.arange(partitions, chunks=1)
    chunks = ((PARTITION,) * partitions, (COLUMNS,))
    X = da.map_blocks(block, numbers, chunks=chunks, new_axis=1, dtype=np.float32, meta=np.empty((0, 0), np.float32))
    return X, X.map_blocks(targets, drop_axis=1, dtype=np.float64, meta=np.empty(0))


def fit(data: tuple[Any, Any], model: FeatureRegressor) -> tuple[float, np.ndarray]:
    """Seconds of a fit, and predictions for 1,000 rows."""
    start = time.perf_counter()
    fitted = Distributed(model).fit(*data).estimator_
    return time.perf_counter() - start, fitted.predict(made(0, 1000))


def killer(folder: str, victim: int) -> Callable[[int], None]:
    """Let the worker that makes this partition for the second time, for the sums, die of it once."""

    def before(number: int) -> None:
        asked, killed = Path(folder, "asked"), Path(folder, "killed")
        if number == victim and asked.exists() and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == victim:
            asked.touch()

    return before


def confine(core: int) -> None:
    """Give all threads of this process one core, so that a worker is one core on any machine."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {core})


def workers_of(client: Client) -> list[str]:
    """Addresses of the workers."""
    return list(client.scheduler_info(n_workers=-1)["workers"])


def overheads(client: Client, size: int) -> dict[str, float]:
    """Seconds of an empty task, of adding two sums of this many features, and of sending one to another worker."""
    count = 2000
    start = time.perf_counter()
    dask.compute([dask.delayed(int)(number) for number in range(count)])  # pyright: ignore[reportPrivateImportUsage]
    task = (time.perf_counter() - start) / count
    Z = np.random.default_rng(0).normal(size=(size + 1, size))
    sums = [NormalEquations(size).add(Z, Z[:, 0]) for _ in range(2)]
    start = time.perf_counter()
    total = sums[0] + sums[1]
    merge = time.perf_counter() - start
    first, second = workers_of(client)
    held = client.submit(pickle.loads, pickle.dumps(total, protocol=5), workers=[first], pure=False)
    wait(held)
    start = time.perf_counter()
    client.submit(id, held, workers=[second], pure=False).result()
    return {"task_s": task, "add_s": merge, "send_s": time.perf_counter() - start}


def compared(clients: dict[str, Client], data: tuple[Any, Any], model: FeatureRegressor, rounds: int) -> dict[str, Any]:
    """Seconds and predictions of the fit without a cluster and on each cluster, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ("one process", *clients)}
    predictions = {}
    few = collection(2)
    for turn in range(rounds + 1):  # the first turn compiles and connects
        for name, taken in seconds.items():
            with clients[name].as_current() if name in clients else dask.config.set(scheduler="synchronous"):
                second, predictions[name] = fit(data if turn else few, model)
            if turn:
                taken.append(second)
    return {"seconds": {name: statistics.median(taken) for name, taken in seconds.items()}, "predictions": predictions}


def products(clients: dict[str, Client], rows: int) -> dict[str, float]:
    """Seconds of K(X, X) v on each cluster, and the largest relative difference between them."""
    X, v = np.concatenate([made(number, PARTITION) for number in range(-(-rows // PARTITION))])[:rows], np.ones(rows)
    taken, results = {}, []
    for name, client in clients.items():
        with client.as_current():
            start = time.perf_counter()
            results.append(gram_product(KERNEL, da.from_array(X, chunks=(4096, COLUMNS)), v).compute())
            taken[name] = time.perf_counter() - start
    return taken | {"difference": float(abs(results[0] - results[1]).max() / abs(results[0]).max())}


def main() -> int:
    """Measure, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    partitions, model = -(-arguments.rows // PARTITION), FeatureRegressor(KERNEL, size=arguments.size)
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "memory_limit": None}
    with (
        LocalCluster(n_workers=1, **options) as single,
        LocalCluster(n_workers=2, **options) as double,
        Client(single, set_as_default=False) as one,
        Client(double, set_as_default=False) as two,
        tempfile.TemporaryDirectory() as folder,
    ):
        clients = {"1 worker": one, "2 workers": two}
        for client in clients.values():
            for core, worker in zip(sorted(os.sched_getaffinity(0)), workers_of(client), strict=False):
                client.run(confine, core, workers=[worker])
        found = compared(clients, collection(partitions), model, arguments.rounds)
        gram = products(clients, 24_000)
        with two.as_current():
            costs = overheads(two, arguments.size)
            killed, after = fit(collection(partitions, killer(folder, partitions // 2)), model)
        lost = not Path(folder, "killed").exists()
    alone = found["predictions"].pop("one process")
    differences = {name: float(abs(other - alone).max()) for name, other in found["predictions"].items()}
    differences["killed worker"] = float(abs(after - alone).max())
    seconds = found["seconds"] | {"2 workers, one killed": killed}
    rows = partitions * PARTITION
    for name, taken in seconds.items():
        print(
            f"{name:24s} {taken:7.2f} s, {rows / taken:10,.0f} rows/s, {seconds['1 worker'] / taken:5.2f} x one worker"
        )
    print("largest difference to one process:", ", ".join(f"{name} {value:.1e}" for name, value in differences.items()))
    print(
        f"K v of 24,000 rows: {gram['1 worker']:.2f} s, {gram['2 workers']:.2f} s, difference {gram['difference']:.1e}"
    )
    print(", ".join(f"{name} {1e3 * value:.2f} ms" for name, value in costs.items()))
    save("bench_dask", {"rows": rows, "seconds": seconds, "differences": differences, "gram": gram, "costs": costs})
    same = max(differences.values()) <= 1e-10 and not lost
    print("same numbers, nothing lost" if same else "MISSED: numbers differ, or no worker was killed")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
