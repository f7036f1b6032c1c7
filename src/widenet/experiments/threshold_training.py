"""Training runs of threshold networks over the threshold: sparsity, conditioning, steps and work."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from widenet.architectures import sparse_network
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NTK
from widenet.networks.linear_descent import predicted_steps
from widenet.networks.sparse_training import SparseReLUNetwork, SparseRun, SparseTraining
from widenet.theory.sparsity import EigenReport, eigen_report, expected_active_fraction


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """A training run and what the kernel says about it.

    Attributes:
        threshold: B.
        run: The run.
        report: Eigenvalues of the kernel's Gram matrix.
        wide_steps: Steps of the infinitely wide network.
        seconds: Time of the run.
    """

    threshold: float
    run: SparseRun
    report: EigenReport
    wide_steps: int
    seconds: float


def training_records(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    thresholds: Sequence[float],
    width: int,
    target: float,
    seed: int,
) -> list[TrainingRecord]:
    """Train one network for each threshold, with steps of 1 / largest eigenvalue of its kernel.

    Args:
        X: Points of norm 1, (n, d).
        y: Targets, (n,).
        thresholds: B of every run.
        width: Hidden units.
        target: Mean loss to stop at.
        seed: Of the weights.
    """
    records = []
    for threshold in thresholds:
        report = eigen_report(X, y, threshold)
        H = NTK(sparse_network(threshold))(X)
        network = SparseReLUNetwork(X.shape[1], width, threshold, seed=seed)
        start = perf_counter()
        run = SparseTraining(report.step_size, target).run(network, X, y)
        seconds = perf_counter() - start
        steps = predicted_steps(H, target / float(np.mean(y**2) / 2), y, report.step_size)
        records.append(TrainingRecord(threshold, run, report, steps, seconds))
    return records


def training_table(records: Sequence[TrainingRecord], width: int) -> ResultTable:
    """Sparsity, conditioning, steps and work over the threshold."""
    columns = (Column("B", ".4g"), Column("Q(B)", ".4f"), Column("active, start", ".4f"), Column("active, end", ".4f"))
    columns += (Column("flipped", ".4f"), Column("cond(H)", ".1f"), Column("step size", ".3g"), Column("steps"))
    columns += (
        Column("steps, infinite width"),
        Column("largest rise", ".2f"),
        Column("active work", ".4g"),
        Column("done / dense", ".3f"),
    )
    columns += (Column("operations", ".2e"), Column("s", ".1f"))
    first = _active_work(records[0])
    rows = tuple(
        (
            record.threshold,
            expected_active_fraction(record.threshold),
            record.run.active[0],
            record.run.active[-1],
            record.run.flipped,
            record.report.condition_number,
            record.report.step_size,
            record.run.steps if record.run.converged else None,
            record.wide_steps,
            _largest_rise(record),
            _active_work(record) / first if first else None,
            record.run.operations / record.run.dense_operations,
            float(record.run.operations),
            record.seconds,
        )
        for record in records
    )
    return ResultTable(
        "Full-batch gradient descent on random labels",
        columns,
        rows,
        (
            f"Measured: random points of norm 1, labels +-1, {width:,} hidden units, steps of 1 / largest eigenvalue "
            "of H, the Gram matrix of the infinitely wide network's kernel. An empty number of steps: not converged.",
            "Q(B): the share that is expected at the start. Flipped: share of all pairs of unit and sample whose "
            "activity at the end differs from that at the start; where it is near the share of active pairs, the "
            "network is not in the kernel regime.",
            "Largest rise: the largest ratio of a loss to the one before. Above 1, the largest eigenvalue of the "
            "finite network's kernel has more than doubled in training; with 100 points and B = 2 that happened with "
            "8,192 units (seeds 0 to 2), and not with 32,768.",
            f"Active work: sum over the steps of the active share, relative to B = {records[0].threshold:g}. Done / "
            "dense: multiplications of this trainer over those of one that computes every unit for every sample; what "
            "exceeds the active share is finding out which pairs became active.",
            "That the sparse network is as fast is the paper's claim; here the larger steps that a larger threshold "
            "allows, and the better condition, make it faster.",
        ),
    )


def _largest_rise(record: TrainingRecord) -> float | None:
    losses = np.array(record.run.losses)
    return float(np.max(losses[1:] / losses[:-1])) if len(losses) > 1 else None


def _active_work(record: TrainingRecord) -> float:
    return float(np.sum(record.run.active))


def training_figure(records: Sequence[TrainingRecord]) -> Figure:
    """Loss over the steps and over the active work, one curve a threshold."""
    colours = [COLOURS[name] for name in ("black", "blue", "green", "orange", "vermilion", "purple", "sky", "grey")]
    with figure_style():
        figure = new_figure(7.0, 3.3)
        steps, work = figure.subplots(1, 2, sharey=True)
        for number, record in enumerate(records):
            colour, losses = colours[number % len(colours)], record.run.losses
            steps.plot(np.arange(1, len(losses) + 1), losses, color=colour, label=f"B = {record.threshold:g}")
            work.plot(np.cumsum(record.run.active), losses, color=colour)
        for axes in (steps, work):
            axes.set_xscale("log")
            axes.set_yscale("log")
        steps.set_xlabel("gradient evaluations")
        work.set_xlabel("active work (evaluations x active share)")
        steps.set_ylabel("mean loss")
        steps.set_title("Loss over steps")
        work.set_title("Loss over active work")
        steps.legend()
    return figure
