"""Time, memory and residual of `KernelRegressor` beside exact peers, and the price of `kernel="auto"`.

Run as `python benchmarks/bench_estimators.py [--rows 10000] [--repeats 3] [--json FILE]`. Each fit runs in a process of
its own, so that its peak memory is its own; methods take turns, and medians are printed.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge

from widenet.architectures import fully_connected
from widenet.estimators import KernelRegressor
from widenet.kernels import NTK, Gaussian, Laplace

FEATURES, NEW_ROWS, RIDGE = 50, 2000, 1e-3
SCALE = float(np.sqrt(FEATURES))
MODELS = {
    "KernelRegressor(Gaussian)": lambda: KernelRegressor(Gaussian(SCALE), ridge=RIDGE, standardize=False),
    "KernelRegressor(Laplace)": lambda: KernelRegressor(Laplace(SCALE), ridge=RIDGE, standardize=False),
    "KernelRegressor(NTK depth 3)": lambda: KernelRegressor(NTK(fully_connected(3)), ridge=RIDGE, standardize=False),
    "KernelRidge(rbf)": lambda: KernelRidge(kernel="rbf", gamma=0.5 / SCALE**2, alpha=RIDGE),
    "GaussianProcessRegressor": lambda: GaussianProcessRegressor(RBF(SCALE), alpha=RIDGE, optimizer=None),
}


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal features and a smooth target with noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, FEATURES))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2] / 2 + 0.1 * rng.normal(size=rows)


def fit_once(name: str, rows: int) -> dict[str, Any]:
    """Seconds of fit and predict, peak memory beyond what the imports took, and the residual of the solution."""
    X, y = data(rows + NEW_ROWS)
    MODELS[name]().fit(X[:200], y[:200]).predict(X[:10])  # compilation and first calls are not what is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    model = MODELS[name]().fit(X[:rows], y[:rows])
    predicted = model.predict(X[rows:])
    seconds = time.perf_counter() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    residual = model.solution_.residual if isinstance(model, KernelRegressor) else float("nan")
    error = float(np.mean(np.square(predicted - y[rows:])))
    return {"seconds": seconds, "memory_mib": memory, "residual": residual, "error": error}


def in_own_process(name: str, rows: int) -> dict[str, Any]:
    """The same in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(fit_once, (name, rows))


def price_of_auto(rows: int = 1000, repeats: int = 5) -> dict[str, float]:
    """Median seconds of an automatic fit and of single Cholesky fits on the same rows, and their ratio."""
    X, y = data(rows)
    started = time.perf_counter()
    KernelRegressor().fit(X, y)
    first = time.perf_counter() - started
    automatic, single = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        KernelRegressor().fit(X, y)
        automatic.append(time.perf_counter() - started)
        for kernel in (Laplace(SCALE), NTK(fully_connected(3, scaling="geifman"))):
            model = KernelRegressor(kernel, ridge=RIDGE)
            model.fit(X, y)
            started = time.perf_counter()
            model.fit(X, y)
            single.append(time.perf_counter() - started)
    auto, one = statistics.median(automatic), statistics.median(single)
    return {"first": first, "automatic": auto, "single": one, "ratio": auto / one}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    price = price_of_auto()
    print(
        f"kernel='auto' on 1,000 rows: {price['automatic']:.3f} s, a single fit {price['single']:.4f} s, "
        f"ratio {price['ratio']:.1f} (goal 30); the first call of a process {price['first']:.2f} s",
        flush=True,
    )
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in MODELS}
    for _ in range(options.repeats):
        for name in MODELS:
            runs[name].append(in_own_process(name, options.rows))
    print(f"fit {options.rows} x {FEATURES} and predict {NEW_ROWS}, medians of {options.repeats}")
    table = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()
    }
    for name, row in table.items():
        print(f"{name:32s} {row['seconds']:8.2f} s {row['memory_mib']:8.0f} MiB  residual {row['residual']:.1e}")
    ours = [row for name, row in table.items() if name.startswith("KernelRegressor")]
    peers = [row for name, row in table.items() if not name.startswith("KernelRegressor")]
    speed = min(row["seconds"] for row in peers) / max(row["seconds"] for row in ours)
    print(f"slowest of ours against the fastest peer: {speed:.1f} times faster (goal 2)")
    if options.json:
        options.json.write_text(json.dumps({"auto": price, "exact": table}, indent=1))


if __name__ == "__main__":
    main()
