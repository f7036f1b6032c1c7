"""Recurrent kernels beside dense and Gaussian ones, nearest neighbours and MiniRocket over a folder of UCR sets.

python benchmarks/bench_ucr.py FOLDER [STORE] [--methods rntk,mean,estimator,minirocket] [--sets A,B]

Results are kept in STORE one by one; a run that was cut off goes on where it stopped. Builds the environment of
MiniRocket, .venv-aeon, from requirements-ucr.txt on first use. Prints tables, writes results/bench_ucr.json and
results/bench_ucr.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from _timing import save
from run import RESULTS

from widenet.errors import WidenetError
from widenet.estimators import RecurrentGrid, RecurrentKernelClassifier
from widenet.experiments.rntk import Settings, accuracy_table, scoreboard, summary_table
from widenet.experiments.series_data import SeriesSet, read_archive
from widenet.experiments.series_methods import KernelMethod, Method, RecurrentFamily, Score, standardised
from widenet.experiments.series_protocol import run_methods

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent / ".venv-aeon"
MEAN_GRID = RecurrentGrid(hidden_std=(2**0.5,), bias_std=(0.3,), readouts=("mean",))


@dataclass(frozen=True)
class EstimatorMethod(Method):
    """`RecurrentKernelClassifier` as it comes, but for the standardisation that all methods here get."""

    @property
    def classifiers(self) -> tuple[str, ...]:
        """Its name."""
        return ("RecurrentKernelClassifier",)

    @property
    def grid(self) -> str:
        """Its defaults, in words."""
        return "defaults, standardize='series': last step, both directions, stepwise; the mean up to 10,000 steps"

    def evaluate(self, data: SeriesSet) -> list[Score]:
        """Fit and predict."""
        train, test = (np.stack(series) for series in (data.train, data.test))
        started = time.perf_counter()
        model = RecurrentKernelClassifier(standardize="series").fit(train, data.y_train)
        accuracy = 100 * float(np.mean(model.predict(test) == data.y_test))
        details = {"kernel": repr(model.kernel_), "ridge": model.ridge_}
        return [Score(self.classifiers[0], accuracy, time.perf_counter() - started, details)]


@dataclass(frozen=True)
class MiniRocketMethod(Method):
    """MiniRocket of aeon 1.6.0 with its defaults, mean accuracy over seeds; series standardised as for all methods."""

    seeds: int = 3

    @property
    def classifiers(self) -> tuple[str, ...]:
        """Its name."""
        return ("MiniRocket",)

    @property
    def grid(self) -> str:
        """Its defaults, in words."""
        return f"aeon 1.6.0, defaults (10,000 kernels, ridge classifier), mean of {self.seeds} seeds"

    def evaluate(self, data: SeriesSet) -> list[Score]:
        """Train and score in the environment of aeon."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "set.npz"
            train, test = (np.stack(list(standardised(part))).transpose(0, 2, 1) for part in (data.train, data.test))
            np.savez(path, X_train=train, y_train=data.y_train, X_test=test, y_test=data.y_test)
            answer = ask_minirocket(path, self.seeds)
        accuracies = [float(value) for value in answer["accuracies"]]
        spread = {f"seed {i}": value for i, value in enumerate(accuracies)}
        return [Score("MiniRocket", float(np.mean(accuracies)), float(answer["seconds"]), {**spread})]


@cache
def aeon_process(seeds: int) -> "subprocess.Popen[str]":
    """One process for all sets: aeon takes half a minute to import and compile."""
    command = [str(aeon_python()), str(HERE / "minirocket_worker.py"), str(seeds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask_minirocket(path: Path, seeds: int) -> dict[str, Any]:
    """Accuracies and seconds of MiniRocket on the arrays of a file."""
    process = aeon_process(seeds)
    assert process.stdin is not None
    assert process.stdout is not None
    print(path, file=process.stdin, flush=True)
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the process of aeon ended with exit code {process.wait()}")
    return json.loads(line)


def aeon_python() -> Path:
    """The interpreter of aeon's environment, built if it is not there."""
    python, done = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    requirements = HERE / "requirements-ucr.txt"
    if done.exists() and done.stat().st_mtime >= requirements.stat().st_mtime:
        return python
    print(f"installing aeon into {ENVIRONMENT.name}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", str(requirements)], check=True)
    done.touch()
    return python


def chosen_methods(names: str) -> tuple[Method, ...]:
    """The methods of these names: the experiment's own, the mean over the steps, the estimator, MiniRocket."""
    known: dict[str, tuple[Method, ...]] = {
        "rntk": Settings.of("reduced").methods,
        "mean": (KernelMethod(RecurrentFamily(MEAN_GRID, "RNTK, mean")),),
        "estimator": (EstimatorMethod(),),
        "minirocket": (MiniRocketMethod(),),
    }
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        sys.exit(f"unknown methods: {', '.join(unknown)}; known: {', '.join(known)}")
    return tuple(method for name in names.split(",") for method in known[name])


def main() -> None:
    """Run the methods, print and save their tables."""
    parser = argparse.ArgumentParser(description="Classifiers of time series over a folder of UCR sets")
    parser.add_argument("folder", type=Path)
    parser.add_argument("store", type=Path, nargs="?", default=RESULTS / "bench_ucr_store")
    parser.add_argument("--methods", default="rntk,estimator,minirocket")
    parser.add_argument("--sets", default="")
    options = parser.parse_args()
    if not options.folder.is_dir():
        sys.exit(f"skipped: {options.folder} holds no sets")
    methods = chosen_methods(options.methods)
    sets = read_archive(options.folder, tuple(name for name in options.sets.split(",") if name))
    options.store.mkdir(parents=True, exist_ok=True)
    records = run_methods(sets, methods, options.store, _print_progress)
    board = scoreboard(sets, records)
    tables = summary_table(board, methods), accuracy_table(board)
    text = "\n\n".join(table.markdown() for table in tables)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bench_ucr.md").write_text(text + "\n", encoding="utf-8")
    heads = [[column.name for column in table.columns] for table in tables]
    rows = [
        [dict(zip(head, row, strict=True)) for row in table.rows] for head, table in zip(heads, tables, strict=True)
    ]
    save("bench_ucr", {"summary": rows[0], "sets": rows[1], "notes": tables[0].notes})


def _print_progress(text: str, done: int, total: int) -> None:
    print(f"{done} of {total} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except WidenetError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
