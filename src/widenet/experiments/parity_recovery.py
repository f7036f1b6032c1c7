"""One gradient step that finds the coordinates of a parity, and starts that can or cannot see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from matplotlib.figure import Figure

from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.parity_training import ParityTraining, uniform
from widenet.experiments.result_tables import Cell, Column, ResultTable
from widenet.networks.approximate_descent import ApproximateDescent
from widenet.networks.select_parity import SelectThenParity
from widenet.theory.parity import BiasedParity, LeakyParity, recover_support
from widenet.theory.parity_problem import ParityProblem

_TEST = 2000


@dataclass(frozen=True)
class Recovery:
    """How often one step finds the parity from m points.

    Attributes:
        count: m.
        predicted: Probability that all means of y x_i are on the right side of the threshold.
        found: Share of runs in which they were.
        learnt: Share of runs in which the model was the parity after one step of gradient descent.
    """

    count: int
    predicted: float
    found: float
    learnt: float


def recoveries(problem: BiasedParity, counts: Sequence[int], runs: int, seed: int) -> list[Recovery]:
    """Find the coordinates of a parity from samples of growing size, by a threshold and by gradient descent.

    Args:
        problem: The problem.
        counts: Numbers of points.
        runs: Samples of each size.
        seed: Of all samples.
    """
    random = np.random.default_rng([seed, 4])
    test, labels = uniform(problem).sample(200, random)
    measured = []
    for count in counts:
        found = learnt = 0
        for _ in range(runs):
            X, y = problem.sample(count, random)
            found += recover_support(X, y, problem.recovery_threshold) == problem.support
            outputs = _values(_after_one_step(problem, X, y, 0.0), test)
            learnt += bool(np.abs(outputs - labels).max() < 1e-9)
        measured.append(Recovery(count, problem.recovery_probability(count), found / runs, learnt / runs))
    return measured


def recovery_table(problem: BiasedParity, found: Sequence[Recovery], runs: int) -> ResultTable:
    """Shares of runs over the number of points."""
    columns = (
        Column("points m"),
        Column("predicted", ".3f"),
        Column("S found", ".2f"),
        Column("parity after one step", ".2f"),
    )
    rows = tuple((entry.count, entry.predicted, entry.found, entry.learnt) for entry in found)
    notes = (
        f"{problem!r}, {runs} samples of each size. S found: the mean of y x_i is above "
        f"{problem.recovery_threshold:.6g} for exactly i in S; gap g = {problem.recovery_gap:.6g}, and the rule "
        f"m = (2 z / g)² gives {problem.recovery_samples(4):,} points for z = 4 standard deviations.",
        "Parity after one step: the model that selects coordinates, from w = 0, is chi_S at 200 uniform points after "
        "one step of gradient descent on the sample; its step from 0 to 1 is not sharp, which takes some points more.",
    )
    return ResultTable("One-step recovery of the coordinates", columns, rows, notes)


def recovery_figure(problem: BiasedParity, found: Sequence[Recovery]) -> Figure:
    """Predicted and measured shares over the number of points."""
    counts = np.geomspace(found[0].count / 1.5, found[-1].count * 1.5, 60).astype(int)
    with figure_style():
        figure = new_figure(4.6, 3.2)
        axes = figure.subplots()
        curve = [problem.recovery_probability(int(count)) for count in counts]
        axes.plot(counts, curve, color=COLOURS["black"], label="predicted")
        at = [entry.count for entry in found]
        axes.plot(at, [entry.found for entry in found], "o", color=COLOURS["blue"], label="S found")
        axes.plot(at, [entry.learnt for entry in found], "s", color=COLOURS["vermilion"], label="parity after one step")
        axes.axvline(problem.recovery_samples(4), color=COLOURS["grey"], linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_xlabel("points")
        axes.set_ylabel("share of samples")
        axes.set_title(f"n = {problem.n}, k = {problem.k}, alpha = {problem.alpha:g}")
        axes.legend()
    return figure


def leak_table(problem: LeakyParity, count: int, training: ParityTraining) -> ResultTable:
    """A problem that only its marginal law leaks, from starts at 0 and at 1.

    Args:
        problem: The problem.
        count: Points of the one step of the model that selects coordinates.
        training: Of the two-layer networks.
    """
    X, y = problem.sample(count, np.random.default_rng([training.seed, 5]))
    columns = (Column("model"), Column("start"), Column("|grad L| at the start, exact", ".4f"))
    columns += (Column("steps"), Column("error", ".3f"), Column("error, uniform x", ".3f"), Column("S found"))
    rows: list[tuple[Cell, ...]] = []
    for start in (0.0, 1.0):
        model = _after_one_step(problem, X, y, start)
        # E[(f - y) x] with f = start and E[y x] = 0
        exact = start * float(np.linalg.norm(problem.means))
        errors = (_error(model, law, training.seed) for law in (problem, uniform(problem)))
        rows.append(
            ("select, then parity", start, exact, 1, *errors, "yes" if model.selected == problem.support else "no")
        )
    for start in (0.0, 1.0):
        run = ParityTraining(**{**vars(training), "offset": start}).run(problem, _TEST)
        rows.append(
            (f"two-layer ReLU, width {training.width}", start, None, run.steps, run.error, run.uniform_error, None)
        )
    notes = (
        f"{problem!r}: E[y x_i] = 0 for every i, E[x_i] = {problem.means[0]:.4g} in S. The smallest error of any "
        f"predictor is {problem.bayes_error:.4g}; no linear function has an edge.",
        f"Select, then parity: one step of gradient descent on {count:,} points. Its first gradient at f = 0 is 0 but "
        f"for the noise of the sample, of length {sqrt(problem.n / count):.3f}; at f = 1 it is E x.",
        f"Two-layer ReLU networks: Adam with the hinge loss on fresh batches, at most {training.most_steps:,} steps, "
        "from outputs that are all 0 or all 1. Whether these learn is no part of the theory.",
    )
    return ResultTable("A parity that only the marginal law leaks", columns, tuple(rows), notes)


def _after_one_step(problem: ParityProblem, X: np.ndarray, y: np.ndarray, start: float) -> SelectThenParity:
    """The model after one step that brings what the gradient shows of S to 1/2 at its threshold."""
    threshold = problem.recovery_threshold if isinstance(problem, BiasedParity) else float(problem.means[0]) / 2
    model = SelectThenParity(problem.n, start=start, dtype=torch.float64)
    ApproximateDescent(step=0.5 / abs(threshold), steps=1).run(model, X, y)
    return model


def _values(model: SelectThenParity, X: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(X))[:, 0].numpy()


def _error(model: SelectThenParity, problem: ParityProblem, seed: int) -> float:
    X, y = problem.sample(_TEST, np.random.default_rng([seed, 6]))
    return float(np.mean(np.where(_values(model, X) > 0, 1.0, -1.0) != y))
