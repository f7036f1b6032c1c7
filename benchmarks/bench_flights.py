"""Air time of 327,346 flights: kernels at scale beside scikit-learn's models, each method in a process of its own.

    python bench_flights.py flights.parquet                    every method that has no result yet
    python bench_flights.py flights.parquet --method linear    one method, again

The rows are split at random, 80 : 20. Every method gets the same matrix: all columns but the target, encoded by
`TableEncoder` (fitted to the training rows): month, day and times as numbers, carrier, origin and destination as
indicators, and the delays at departure and arrival, which are known once a flight has landed. Conjugate gradients are
exact, and see the first 36,000 training rows alone. Seconds are those of the
fit, the tuning of each method included; the peak of memory is that of the whole process during the fit.
"""

import json
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _timing import peak_memory, reset_peak_memory
from run import RESULTS, machine
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge, RidgeCV

import widenet as wn

TARGET, RESULT = "air_time", RESULTS / "flights.json"
BUDGET = 200.0  # seconds after which no further method is begun; call again for the rest
RBF_ROWS, RBF_LANDMARKS = 20_000, 500  # of the search for the width of the RBF kernel
GAMMAS = 2.0 ** np.arange(-13, 1)
RBF_SIZE = 5376  # about as many seconds as the landmarks of the automatic choice take
EXACT_ROWS = 36_000  # of the conjugate gradients, which would take hours on all rows
NETWORKS = tuple(wn.NTK(wn.fully_connected(depth, scaling="geifman")) for depth in (1, 2, 3))
ALPHAS = 10.0 ** np.arange(-8.0, 3.0)


def flights(path: Path) -> dict[str, np.ndarray]:
    """Training and test rows, encoded, in float32."""
    table = pd.read_parquet(path)
    target = table.pop(TARGET).to_numpy(np.float64)
    order = np.random.default_rng(0).permutation(len(table))
    train, test = order[: int(0.8 * len(order))], order[int(0.8 * len(order)) :]
    encoder = wn.TableEncoder().fit(table.iloc[train])
    X, Y = (encoder.transform(table.iloc[rows]).astype(np.float32) for rows in (train, test))
    return {"X": X, "y": target[train], "X_test": Y, "y_test": target[test]}


class BlockwiseRidge:
    """scikit-learn's RBF Nystroem features and ridge regression, by blocks, so that many landmarks fit in memory.

    The width is chosen with 500 landmarks on 20,000 rows, the ridge on a tenth of the rows, both by validation.
    """

    def __init__(self, landmarks: int) -> None:
        self.landmarks = landmarks

    def fit(self, X: np.ndarray, y: np.ndarray) -> "BlockwiseRidge":
        held = len(X) // 10
        gamma = self._width(X[: RBF_ROWS + held][held:], y[held : RBF_ROWS + held], X[:held], y[:held])
        self.mean = y.mean()
        self.map = Nystroem(gamma=gamma, n_components=self.landmarks, random_state=0).fit(X)
        # float32 components would cost digits of the whitening alone.
        gram, cross = np.zeros((self.landmarks, self.landmarks)), np.zeros(self.landmarks)
        for start in range(held, len(X), 8192):
            Z = self.map.transform(X[start : start + 8192]).astype(np.float64)
            gram += Z.T @ Z
            cross += Z.T @ (y[start : start + 8192] - self.mean)
        values, vectors = np.linalg.eigh(gram)
        Z = self.map.transform(X[:held])
        paths = {a: vectors @ ((vectors.T @ cross) / (np.maximum(values, 0) + a)) for a in ALPHAS}
        errors = {a: np.square(Z @ w + self.mean - y[:held]).mean() for a, w in paths.items()}
        alpha = min(errors, key=errors.__getitem__)
        self.coefficients, self.how = paths[alpha], f"{self.landmarks} landmarks, gamma {gamma:.3g}, ridge {alpha:.0e}"
        return self

    def _width(self, X: np.ndarray, y: np.ndarray, X_held: np.ndarray, y_held: np.ndarray) -> float:
        best = (np.inf, 0.0)
        for gamma in GAMMAS:
            features = Nystroem(gamma=gamma, n_components=RBF_LANDMARKS, random_state=0).fit(X)
            Z, Z_held = features.transform(X), features.transform(X_held)
            for alpha in ALPHAS:
                found = Ridge(alpha, solver="cholesky").fit(Z, y).predict(Z_held)
                best = min(best, (float(np.square(found - y_held).mean()), float(gamma)))
        return best[1]

    def predict(self, X: np.ndarray) -> np.ndarray:
        blocks = [self.map.transform(X[i : i + 8192]) @ self.coefficients for i in range(0, len(X), 8192)]
        return np.concatenate(blocks) + self.mean


def boosting() -> Any:
    """Histogram boosting with as many trees as a validation part asks for."""
    return HistGradientBoostingRegressor(max_iter=2000, validation_fraction=0.1, n_iter_no_change=20, random_state=0)


class FirstRows:
    """A model that is fitted to the first rows alone."""

    def __init__(self, model: wn.KernelRegressor, rows: int) -> None:
        self.model, self.rows = model, rows

    def fit(self, X: np.ndarray, y: np.ndarray) -> "FirstRows":
        self.model.fit(X[: self.rows], y[: self.rows])
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model.predict(X)


def kernel_model(way: str, kernel: Any = "auto") -> wn.KernelRegressor:
    """The best of the automatic choice, on stretched features, within the memory and time of the goal."""
    solver = wn.Auto(memory_limit="3 GiB", time_limit=280.0) if way == "auto" else way
    return wn.KernelRegressor(kernel, solver=solver, standardize="relevance", combine=1)


METHODS: dict[str, Callable[[], Any]] = {
    "linear": lambda: RidgeCV(10.0 ** np.arange(-3.0, 4.0)),
    "boosting": boosting,
    "rbf_nystroem": lambda: BlockwiseRidge(RBF_SIZE),
    "landmarks": lambda: kernel_model("auto"),
    "features": lambda: kernel_model("features", NETWORKS),
    "conjugate_gradient": lambda: FirstRows(kernel_model("iterative"), EXACT_ROWS),
}


def measure(name: str, path: Path) -> dict[str, float | str | int]:
    """Fit one method and score it on the test rows."""
    started = time.perf_counter()
    data = flights(path)
    encoded = time.perf_counter()
    before = reset_peak_memory()
    model = METHODS[name]()
    model.fit(data["X"], data["y"])
    fitted = time.perf_counter()
    peak = peak_memory()
    predicted = model.predict(data["X_test"])
    done = time.perf_counter()
    error = float(np.sqrt(np.square(predicted - data["y_test"]).mean()))
    return {
        "rmse": error,
        "r2": 1 - error**2 / float(np.var(data["y_test"])),
        "fit_seconds": fitted - encoded,
        "predict_seconds": done - fitted,
        "encode_seconds": encoded - started,
        "peak_bytes": peak,
        "bytes_before": before,
        "rows": len(data["X"]),
        "columns": data["X"].shape[1],
        "how": _how(model),
    }


def _how(model: Any) -> str:
    if isinstance(model, FirstRows):
        return f"first {model.rows:,} rows: {_how(model.model)}"
    if isinstance(model, wn.KernelRegressor):
        chosen = [row for row in model.selection_ if row.chosen]
        return f"{model.solution_.how}; ridge {model.ridge_:.2g}; {len(chosen)} kernels in {model.kernel_!r}"[:600]
    if isinstance(model, BlockwiseRidge):
        return model.how
    return f"{model.n_iter_} trees" if isinstance(model, HistGradientBoostingRegressor) else repr(model)


def read_results() -> dict[str, Any]:
    """Results so far, by method."""
    return json.loads(RESULT.read_text())["methods"] if RESULT.exists() else {}


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{'method':<14} {'RMSE':>7} {'R2':>8} {'fit s':>7} {'predict s':>9} {'peak GiB':>8}")
    for name, row in sorted(results.items(), key=lambda item: item[1]["rmse"]):
        times = f"{row['fit_seconds']:7.1f} {row['predict_seconds']:9.1f} {row['peak_bytes'] / 2**30:8.2f}"
        print(f"{name:<14} {row['rmse']:7.3f} {row['r2']:8.5f} {times}  {row['how'][:150]}")


def main(arguments: Namespace) -> None:
    """Measure each method in a process of its own, and merge the results."""
    if arguments.alone:
        print(json.dumps(measure(arguments.alone, arguments.path)))
        return
    results, started = read_results(), time.perf_counter()
    names = arguments.method or [name for name in METHODS if name not in results]
    for name in names:
        if time.perf_counter() - started > BUDGET:
            print(f"{name}: not begun within {BUDGET:.0f} s; call again")
            continue
        command = [sys.executable, __file__, str(arguments.path), "--alone", name]
        results[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        RESULTS.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps({"machine": machine(), "methods": results}, indent=2) + "\n")
    show(results)


if __name__ == "__main__":
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path, help="flights.parquet")
    parser.add_argument("--method", nargs="*", choices=sorted(METHODS))
    parser.add_argument("--alone", choices=sorted(METHODS), help="measure in this process and print JSON")
    main(parser.parse_args())
