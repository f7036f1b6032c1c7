"""The default `KernelClassifier()` beside tuned peers on a folder of UCI sets.

Run as `python benchmarks/bench_uci.py FOLDER [--cache results.json] [--methods widenet,forest,...]`.

Each set is one `.npz` file with `X` (n, d), `y` (n,), `select_train`, `select_test` (row numbers of the
split that tunes the peers) and `fold0_train`, `fold0_test` ... `fold3_test` (the folds that score).
`KernelClassifier()` never sees the selection split: it chooses by leave-one-out error inside each fold.
The peers choose their hyper-parameters once on the selection split; ties go to the middle of the grid,
since the first of a grid is its degenerate corner. Results are kept per set and method, so a run that was
cut off goes on where it stopped.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.svm import SVC

from widenet.estimators import KernelClassifier
from widenet.experiments.metrics import summarize

FOLDS = 4
BOOSTING_ITERATIONS = (25, 50, 100, 200)

Set = dict[str, np.ndarray]
Model = ClassifierMixin
Method = Callable[[Set], Callable[[], Any]]


def tune(data: Set, candidates: list[Callable[[], Any]]) -> Callable[[], Any]:
    """The candidate with the best accuracy on the selection split; of equal ones that nearest the middle."""
    train, test = data["select_train"], data["select_test"]
    middle = (len(candidates) - 1) / 2
    scores = []
    for index, make in enumerate(candidates):
        model = make().fit(data["X"][train], data["y"][train])
        scores.append((model.score(data["X"][test], data["y"][test]), -abs(index - middle), index))
    return candidates[max(scores)[2]]


def default(data: Set) -> Callable[[], Any]:
    """The default classifier."""
    return KernelClassifier


def best_alone(data: Set) -> Callable[[], Any]:
    """The classifier that takes the best kernel alone instead of a mean of the best."""
    return lambda: KernelClassifier(combine=1)


def forest(data: Set) -> Callable[[], Any]:
    """Random forest of 500 trees, scikit-learn's other defaults."""
    return lambda: RandomForestClassifier(500, random_state=0, n_jobs=1)


def rbf_svm(data: Set) -> Callable[[], Any]:
    """RBF SVM, C in 10^-2..10^4 and gamma in 2^-6..2^4 over the number of features."""
    scale = data["X"].shape[1]
    grid = itertools.product(10.0 ** np.arange(-2, 5), 2.0 ** np.arange(-6, 5) / scale)
    return tune(data, [lambda C=C, gamma=gamma: SVC(C=C, gamma=gamma) for C, gamma in grid])


def boosting(data: Set) -> Callable[[], Any]:
    """Histogram gradient boosting: rate, leaves, rows of a leaf and number of iterations are tuned."""
    train, test = data["select_train"], data["select_test"]
    grid = list(itertools.product((0.03, 0.1, 0.3), (4, 16), (5, 20)))
    best = (-1.0, -1.0, (0.1, 16, 20, 100))
    for index, (rate, leaves, rows) in enumerate(grid):
        model = _booster(rate, leaves, rows, BOOSTING_ITERATIONS[-1]).fit(data["X"][train], data["y"][train])
        for iteration, predicted in enumerate(model.staged_predict(data["X"][test]), start=1):
            if iteration in BOOSTING_ITERATIONS:
                score = float(np.mean(predicted == data["y"][test]))
                best = max(best, (score, -abs(index - (len(grid) - 1) / 2), (rate, leaves, rows, iteration)))
    return lambda: _booster(*best[2])


def _booster(rate: float, leaves: int, rows: int, iterations: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=rows,
        max_iter=iterations,
        early_stopping=False,  # pyright: ignore[reportArgumentType]
        random_state=0,
    )


METHODS: dict[str, Method] = {
    "widenet": default,
    "widenet-single": best_alone,
    "forest": forest,
    "rbf-svm": rbf_svm,
    "boosting": boosting,
}


def score_folds(data: Set, method: Method) -> dict[str, Any]:
    """Accuracies of the four folds in percent, and the seconds of tuning, fitting and predicting."""
    started = time.perf_counter()
    make = method(data)
    accuracies = []
    for fold in range(FOLDS):
        train, test = data[f"fold{fold}_train"], data[f"fold{fold}_test"]
        model = make().fit(data["X"][train], data["y"][train])
        accuracies.append(100 * float(np.mean(model.predict(data["X"][test]) == data["y"][test])))
    return {"accuracies": accuracies, "seconds": time.perf_counter() - started}


def run(folder: Path, cache: Path, methods: list[str]) -> dict[str, dict[str, Any]]:
    """Scores per set and method; kept in `cache` after each."""
    results: dict[str, dict[str, Any]] = json.loads(cache.read_text()) if cache.exists() else {}
    for method, path in _todo(results, folder, methods):
        with np.load(path, allow_pickle=False) as file:
            data = dict(file)
        result = score_folds(data, METHODS[method])
        print(
            f"{path.stem:35s} {method:10s} {np.mean(result['accuracies']):7.3f} {result['seconds']:8.1f} s", flush=True
        )
        results.setdefault(path.stem, {})[method] = result
        aside = cache.with_suffix(".part")
        aside.write_text(json.dumps(results, indent=1))
        os.replace(aside, cache)
    return results


def _todo(results: dict[str, dict[str, Any]], folder: Path, methods: list[str]) -> Iterator[tuple[str, Path]]:
    for method in methods:
        for path in sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_size):
            if method not in results.get(path.stem, {}):
                yield method, path


def print_table(results: dict[str, dict[str, Any]], methods: list[str]) -> None:
    """All sets; then those that the design of the classifier was settled on, and the others apart."""
    names = sorted(results, key="{}.npz".format)  # by file name, as the design read them
    parts = {"all sets": names, "every second set (seen in the design)": names[::2], "the other sets": names[1::2]}
    for title, part in parts.items():
        if not part:
            continue
        accuracies = np.array([[np.mean(results[name][m]["accuracies"]) for m in methods] for name in part])
        print(f"\n{title}: {len(part)}")
        print(f"{'method':15s}{'mean':>8s}{'s.e.':>7s}{'rank':>7s}{'P90':>7s}{'P95':>7s}{'PMA':>7s}{'seconds':>9s}")
        for row in summarize(methods, accuracies):
            seconds = sum(results[name][row.method]["seconds"] for name in part)
            print(
                f"{row.method:15s}{row.mean:8.3f}{row.standard_error:7.2f}{row.rank:7.2f}"
                f"{row.p90:7.1f}{row.p95:7.1f}{row.pma:7.2f}{seconds:9.0f}"
            )


def main() -> None:
    """Run the methods and print their table."""
    parser = argparse.ArgumentParser(description="KernelClassifier beside tuned peers on UCI sets")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("bench_uci.json"))
    parser.add_argument("--methods", default="widenet,forest,rbf-svm,boosting")
    options = parser.parse_args()
    if not options.folder.is_dir() or not any(options.folder.glob("*.npz")):
        sys.exit(f"skipped: {options.folder} holds no .npz sets")
    chosen = options.methods.split(",")
    print_table(run(options.folder, options.cache, chosen), chosen)


if __name__ == "__main__":
    main()
