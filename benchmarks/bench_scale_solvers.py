"""Exact kernel ridge on a Gram matrix that is never stored, n = 50,000, d = 50, float32; and the same on landmarks.

Run as `python benchmarks/bench_scale_solvers.py [--rows 50000] [--case NAME ...]`. Every case is a process of its own,
whose peak resident memory includes the interpreter and its libraries. Writes
benchmarks/results/bench_scale_solvers.json.

The target is sin(x_1 + x_2) plus noise of 0.1, the kernel the NTK of depth 3, the ridge relative to the mean diagonal.
Points are standard normal ("isotropic"), or their j-th column is divided by j ("decaying"), where the kernel has many
small eigenvalues and a small ridge is hard. The residual |(K + ridge I) a - y| / |y| is measured at the end with one
fresh product, sums in float64.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
from _timing import earlier, peak_memory, save

from widenet import NTK, ConjugateGradient, Landmarks, fully_connected
from widenet.linalg import KernelMatrix

FEATURES, QUERIES, NOISE = 50, 2000, 0.1
GOAL_MIB, GOAL_RESIDUAL = 2048, 1e-6


@dataclass(frozen=True)
class Case:
    """Points, ridge, and what solves: "exact" or the number of landmarks."""

    points: str
    ridge: float
    landmarks: int = 0
    method: str = "auto"


CASES = {
    "isotropic": Case("isotropic", 1e-3),
    "decaying": Case("decaying", 1e-6),
    "landmarks": Case("decaying", 1e-3, 1500, "direct"),
    "landmarks-iterative": Case("decaying", 1e-3, 1500, "iterative"),
}


def data(rows: int, points: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and noisy targets."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(rows + QUERIES, FEATURES)).astype(np.float32)
    if points == "decaying":
        X /= np.arange(1, FEATURES + 1, dtype=np.float32)
    y = np.sin(X[:, 0] + X[:, 1], dtype=np.float64)
    y[:rows] += NOISE * generator.normal(size=rows)
    return X, y


def measure(case: Case, rows: int) -> dict[str, float | str | bool]:
    """Seconds, steps, residual, peak memory and test error of one case."""
    X, y = data(rows, case.points)
    kernel = NTK(fully_connected(3))
    kernel(X[:600])  # compiles
    marks = [time.perf_counter()]

    def watch(steps: int, left: float) -> None:
        marks.append(time.perf_counter())
        print(
            f"  step {steps:3d}, {marks[-1] - marks[0]:6.1f} s, residual about {left:.1e}", file=sys.stderr, flush=True
        )

    if case.landmarks:
        solver = Landmarks(case.landmarks, method=case.method, memory_limit="1 GiB")  # pyright: ignore[reportArgumentType]
        fit = solver.fit(kernel, X[:rows], y[:rows], case.ridge)
        solution, predicted = fit.solution, lambda: fit.predict(X[rows:])
    else:
        K = KernelMatrix(kernel, X[:rows], memory_limit="1 GiB")
        solution = ConjugateGradient(tolerance=GOAL_RESIDUAL, progress=watch).solve(K, y[:rows], case.ridge)
        predicted = lambda: KernelMatrix(kernel, X[rows:], X[:rows]) @ solution.value  # noqa: E731
    seconds = time.perf_counter() - marks[0]
    found: dict[str, float | str | bool] = {
        **asdict(case),
        "seconds": seconds,
        "steps": solution.steps,
        "residual": solution.residual,
        "converged": solution.converged,
        "peak_MiB": peak_memory() / 2**20,
        "test_rmse": float(np.sqrt(np.mean((predicted() - y[rows:]) ** 2))),
        "how": solution.how,
    }
    if len(marks) > 2:
        step = float(np.median(np.diff(marks[1:])))
        found |= {"preconditioner_and_first_step_s": marks[1] - marks[0], "step_s": step}
        found["ns_per_pair"] = 2e9 * step / rows**2
    return found


def main() -> int:
    """Measure every case, print, write; fails where a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--case", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--one", choices=CASES)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(CASES[given.one], given.rows)))
        return 0
    before = earlier("bench_scale_solvers")
    # Cases that are not run again keep what they had.
    cases = before["cases"] if before.get("rows") == given.rows else {}
    results = {"rows": given.rows, "features": FEATURES, "cases": cases}
    for name in given.case:
        command = [sys.executable, __file__, "--rows", str(given.rows), "--one", name]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        cases[name] = found
        print(
            f"{name:20s} {found['seconds']:7.1f} s, {found['steps']} steps, residual {found['residual']:.1e}, "
            f"peak {found['peak_MiB']:.0f} MiB, test RMSE {found['test_rmse']:.4f}\n    {found['how']}",
            flush=True,
        )
        save("bench_scale_solvers", results)
    run = [cases[name] for name in given.case]
    reached = all(case["peak_MiB"] < GOAL_MIB and case["residual"] <= GOAL_RESIDUAL for case in run)
    print("goals reached" if reached else f"GOALS MISSED: residual {GOAL_RESIDUAL}, under {GOAL_MIB} MiB")
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
