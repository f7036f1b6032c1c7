"""The price of `kernel="auto"`: an automatic fit of 1,000 rows in units of a single Cholesky fit.

Both fits take turns; medians of their processor time on one thread are compared, which other work on the machine moves
less than wall time. Exact solvers against peers are in `bench_solvers.py`.
"""

import json
import statistics
import time

import numpy as np
import torch
from run import RESULTS
from threadpoolctl import threadpool_limits

from widenet.architectures import fully_connected
from widenet.estimators import KernelClassifier, KernelRegressor
from widenet.kernels import NTK, Laplace

ROWS, FEATURES, RIDGE, ROUNDS = 1000, 20, 1e-3, 7


def data() -> tuple[np.ndarray, np.ndarray]:
    """Normal features and a smooth target with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, FEATURES))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2] / 2 + 0.1 * rng.normal(size=ROWS)


def seconds(model: KernelRegressor | KernelClassifier, X: np.ndarray, y: np.ndarray) -> float:
    """Processor time of one fit."""
    started = time.process_time()
    model.fit(X, y)
    return time.process_time() - started


def price(learner: type[KernelRegressor] | type[KernelClassifier], y: np.ndarray, X: np.ndarray) -> dict[str, float]:
    """Seconds of the first fit, median seconds of later ones and of single fits, and their ratio."""
    kernels = (Laplace(4.0), NTK(fully_connected(3, scaling="geifman")))
    first = seconds(learner(), X, y)
    for kernel in kernels:
        seconds(learner(kernel, ridge=RIDGE), X, y)
    automatic, single = [], []
    for _ in range(ROUNDS):
        automatic.append(seconds(learner(), X, y))
        single += [seconds(learner(kernel, ridge=RIDGE), X, y) for kernel in kernels]
    auto, one = statistics.median(automatic), statistics.median(single)
    return {"first": first, "automatic": auto, "single": one, "ratio": auto / one}


def main() -> None:
    """Print and keep the prices for both tasks."""
    torch.set_num_threads(1)
    X, y = data()
    results = {}
    with threadpool_limits(1):
        for learner, target in ((KernelRegressor, y), (KernelClassifier, (y > 0).astype(int))):
            found = results[learner.__name__] = price(learner, target, X)
            times = f"{found['automatic']:.3f} s, single fit {found['single']:.4f}, ratio {found['ratio']:.1f}, goal 30"
            print(f"{learner.__name__}() on {ROWS} rows: {times}; the first of a process {found['first']:.2f} s")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_estimators.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
