"""Parities by gradient descent and by the tangent kernel: one table of cases, and sweeps of skew, degree and width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.parity_training import ParityRun, ParityTraining, TangentRidge, tangent_ridge
from widenet.experiments.result_tables import Cell, Column, ResultTable
from widenet.theory.parity import BiasedParity

_FLOOR = 1e-5  # edges below, or negative ones, are drawn here


@dataclass(frozen=True)
class Points:
    """Numbers of points.

    Attributes:
        kernel: Training points of kernel ridge regression.
        test: Fresh points of every test.
    """

    kernel: int
    test: int


@dataclass(frozen=True)
class Case:
    """A problem and the training on it."""

    problem: BiasedParity
    training: ParityTraining


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What gradient descent and the tangent kernel did on a case.

    Attributes:
        case: The case.
        run: Gradient descent.
        start: The tangent kernel at the start.
        after: The tangent kernel of the trained network.
    """

    case: Case
    run: ParityRun
    start: TangentRidge
    after: TangentRidge


def measure(case: Case, points: Points) -> CaseResult:
    """Train on a case, and do ridge regression with the tangent kernels before and after.

    Args:
        case: The case.
        points: Numbers of points.
    """
    problem, seed = case.problem, case.training.seed
    run = case.training.run(problem, points.test)
    start = tangent_ridge([run.start], problem, points.kernel, points.test, seed)
    return CaseResult(case, run, start, tangent_ridge(run.halves, problem, points.kernel, points.test, seed))


def learning_table(results: Sequence[CaseResult], points: Points) -> ResultTable:
    """Errors of gradient descent and of the tangent kernel, one row a case."""
    columns = (Column("n"), Column("k"), Column("alpha", ".2f"), Column("width"))
    columns += (Column("GD error", ".3f"), Column("GD error, uniform x", ".3f"), Column("steps"))
    columns += (Column("TK error", ".4f"), Column("TK MSE", ".3f"), Column("TK edge", ".4f"))
    columns += (
        Column("linear edge, exact", ".6f"),
        Column("TK error, trained", ".4f"),
        Column("TK MSE, trained", ".3f"),
    )
    return ResultTable(
        "Parities learnt by gradient descent and by its tangent kernel",
        columns,
        tuple(_row(result) for result in results),
        (
            "GD: Adam with the hinge loss on fresh batches, two-layer ReLU networks whose twin halves make them start "
            "at 0; it ends when no test point of either law is wrong, or at the last step. Width: of both halves.",
            f"TK: ridge regression with the exact tangent kernel of the start on {points.kernel:,} points, at the "
            f"ridge that is best on the test; MSE 1 is that of predicting 0. {points.test:,} test points: standard "
            f"error of an error near 1/2 {0.5 / points.test**0.5:.4f}.",
            "Edge: (1 - MSE) / 2. Linear edge: that of the best linear function, in closed form. The last two columns: "
            "the same regression with the tangent kernel of the trained network.",
        ),
    )


def _row(result: CaseResult) -> tuple[Cell, ...]:
    problem, run = result.case.problem, result.run
    learnt = run.error, run.uniform_error, run.steps
    kernel = result.start.error, result.start.squared_error, result.start.edge
    sizes = problem.n, problem.k, problem.alpha, result.case.training.width
    return (*sizes, *learnt, *kernel, problem.linear_edge, result.after.error, result.after.squared_error)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Results over one quantity.

    Attributes:
        name: What is swept, in words.
        value: Its value in a result.
        results: The results.
    """

    name: str
    value: Callable[[CaseResult], float]
    results: tuple[CaseResult, ...]


def sweeps(
    base: Case, alphas: Sequence[float], degrees: Sequence[int], widths: Sequence[int], points: Points
) -> list[Sweep]:
    """Sweep the share of skewed points, the degree of the parity and the width around a case.

    Args:
        base: The case; what two sweeps share is measured once.
        alphas: Shares of skewed points.
        degrees: Coordinates of the parity.
        widths: Hidden units.
        points: Numbers of points.
    """
    known: dict[Case, CaseResult] = {}

    def at(case: Case) -> CaseResult:
        if case not in known:
            known[case] = measure(case, points)
        return known[case]

    by_alpha = tuple(at(replace(base, problem=replace(base.problem, alpha=alpha))) for alpha in alphas)
    by_degree = tuple(at(replace(base, problem=replace(base.problem, k=k))) for k in degrees)
    by_width = tuple(at(replace(base, training=replace(base.training, width=width))) for width in widths)
    return [
        Sweep("alpha", lambda result: result.case.problem.alpha, by_alpha),
        Sweep("k", lambda result: result.case.problem.k, by_degree),
        Sweep("width", lambda result: result.case.training.width, by_width),
    ]


def sweep_figure(found: Sequence[Sweep], base: Case) -> Figure:
    """Errors above and edges below, one column a sweep."""
    problem = base.problem
    with figure_style():
        figure = new_figure(9.0, 4.6)
        grid = figure.subplots(2, len(found), sharey="row", squeeze=False)
        for column, sweep in enumerate(found):
            x = [sweep.value(result) for result in sweep.results]
            _errors(grid[0, column], x, sweep.results)
            _edges(grid[1, column], x, sweep.results)
            grid[0, column].set_title(f"over {sweep.name}")
            grid[1, column].set_xlabel(sweep.name)
            if sweep.name == "width":
                for axes in grid[:, column]:
                    axes.set_xscale("log", base=2)
        grid[0, 0].set_ylabel("share of wrong labels")
        grid[1, 0].set_ylabel("edge over predicting 0")
        grid[0, 0].legend(loc="center left")
        grid[1, 0].legend(loc="lower right")
        fixed = f"n = {problem.n}, k = {problem.k}, alpha = {problem.alpha:g}, width {base.training.width}"
        ends = f"at most {base.training.most_steps:,} steps; edges below {_FLOOR:g} are drawn there"
        figure.suptitle(f"Around {fixed}; {ends}", fontsize=9)
    return figure


def _errors(axes: Axes, x: Sequence[float], results: Sequence[CaseResult]) -> None:
    axes.plot(x, [r.run.error for r in results], "o-", color=COLOURS["blue"], label="gradient descent")
    axes.plot(x, [r.start.error for r in results], "s-", color=COLOURS["vermilion"], label="tangent kernel, start")
    axes.plot(x, [r.after.error for r in results], "^--", color=COLOURS["green"], label="tangent kernel, trained")
    axes.set_ylim(-0.03, 0.55)


def _edges(axes: Axes, x: Sequence[float], results: Sequence[CaseResult]) -> None:
    def drawn(values: Sequence[float]) -> np.ndarray:
        return np.maximum(values, _FLOOR)

    axes.plot(x, drawn([r.after.edge for r in results]), "^--", color=COLOURS["green"])
    axes.plot(x, drawn([r.start.edge for r in results]), "s-", color=COLOURS["vermilion"])
    exact = drawn([r.case.problem.linear_edge for r in results])
    axes.plot(x, exact, "-", color=COLOURS["black"], label="linear functions, exact")
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR / 1.5, 1)
