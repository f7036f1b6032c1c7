"""The kernel of infinitely wide recurrent networks on time series (arXiv 2006.10246).

Accuracy over a folder of sets beside the kernel of dense networks, the Gaussian kernel and nearest neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from widenet.errors import InvalidInput
from widenet.estimators.recurrent_grid import RecurrentGrid, published_grid
from widenet.estimators.support_vectors import SupportVectorMachine
from widenet.experiments.figures import COLOURS, figure_style, new_figure, save_figure
from widenet.experiments.metrics import standard_error, summarize
from widenet.experiments.outcome import Outcome, Progress, prepare_folder
from widenet.experiments.result_tables import Cell, Column, ResultTable, write_text
from widenet.experiments.series_data import SeriesSet, read_archive
from widenet.experiments.series_methods import (
    DenseFamily,
    GaussianFamily,
    KernelMethod,
    Method,
    NearestNeighbour,
    RecurrentFamily,
)
from widenet.experiments.series_protocol import SeriesRecord, run_methods

QUICK_SETS, QUICK_FOLDS = 3, 5
STUDY_GRID = RecurrentGrid(
    hidden_std=(1.34, 1.38, 2**0.5, 1.44, 1.47), bias_std=(0.0, 0.05, 0.1, 0.3, 1.0, 2.0), initial_std=(0.0, 0.5)
)
"""60 networks that span the range of the published 900."""

STEPWISE_GRID = RecurrentGrid(
    hidden_std=(1.0, 1.2, 1.34, 2**0.5, 1.47), bias_std=(0.03, 0.1, 0.3, 1.0), readouts=("stepwise",)
)
"""An output with weights of its own at each step forgets nothing, so the units themselves may forget."""

LARGE_BIAS_GRID = RecurrentGrid(hidden_std=(1.34, 2**0.5), bias_std=(1.0, 4.0, 16.0, 64.0))
"""Biases beyond the published 2 draw the angles between series together, and so the past is kept for longer."""

WIDE_PENALTIES = (1.0, 1e2, 1e4, 1e6)
"""Close series need large penalties: after normalisation their kernel hardly differs from 1."""

GRIDS = {"quick": RecurrentGrid(), "reduced": STUDY_GRID, "published": published_grid()}
_REFERENCE = "RNTK, SVM"


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce rntk` computes.

    Attributes:
        methods: What is compared; the recurrent kernel first.
        sets: Names of the sets; all of the folder if empty.
        most_sets: At most so many, those that cost least; None for all.
    """

    methods: tuple[Method, ...]
    sets: tuple[str, ...] = ()
    most_sets: int | None = None

    def __post_init__(self) -> None:
        if not self.methods or (self.most_sets is not None and self.most_sets < 1):
            raise InvalidInput("there must be methods, and at least one set", repr(self))

    @classmethod
    def of(cls, grid: str, sets: str = "") -> "Settings":
        """Everything with one of the `GRIDS` of recurrent networks.

        "quick" runs on the sets that cost least, with five folds.

        Args:
            grid: Name of the grid.
            sets: Names of the sets, apart by commas; all of the folder if empty.
        """
        if grid not in GRIDS:
            raise InvalidInput(f"the grid must be one of {', '.join(GRIDS)}", repr(grid))
        families = (
            RecurrentFamily(GRIDS[grid]),
            RecurrentFamily(RecurrentGrid(bidirectional=(True,)), "RNTK, both directions"),
            RecurrentFamily(STEPWISE_GRID, "RNTK, stepwise"),
            DenseFamily(),
            GaussianFamily(),
        )
        folds = QUICK_FOLDS if grid == "quick" else SupportVectorMachine().folds
        wide = SupportVectorMachine(WIDE_PENALTIES, folds)
        large = KernelMethod(RecurrentFamily(LARGE_BIAS_GRID, "RNTK, large bias"), wide)
        first, *others = (KernelMethod(family, SupportVectorMachine(folds=folds)) for family in families)
        methods = (first, large, *others, NearestNeighbour())
        named = tuple(name.strip() for name in sets.split(",") if name.strip())
        return cls(methods, named, QUICK_SETS if grid == "quick" and not named else None)


def run(data: Path, output: Path, settings: Settings | None = None, progress: Progress | None = None) -> Outcome:
    """Compare classifiers of time series over a folder of sets.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `rntk.md` with all of it. Results are stored one by
    one under `output/results`: an interrupted run goes on there when it is started again with the same output folder.

    Args:
        data: Folder of data sets (see `read_archive`).
        output: Folder to write to; made if missing.
        settings: What to compute; None for all sets with 60 networks of the published grid.
        progress: Called with a text, the number of finished pieces and their total.

    Raises:
        InvalidFile: If the output folder cannot be written to, or the data folder or a set cannot be right.
        FingerprintMismatch: If the output folder holds results of other data or grids.

    Cost: For each set of n training series of T steps, n^2 T / 2 steps of the recurrence and 50 support vector
        machines a network.

    References:
        Alemohammad et al. 2021, arXiv 2006.10246.
    """
    settings = Settings.of("reduced") if settings is None else settings
    sets = read_archive(data, settings.sets)[: settings.most_sets]
    prepare_folder(output)
    records = run_methods(sets, settings.methods, output / "results", progress)
    board = scoreboard(sets, records)
    tables = summary_table(board, settings.methods), accuracy_table(board)
    files = [*tables[0].save(output, "summary"), *tables[1].save(output, "sets")]
    files += [choice_table(records).save(output, "choices")[1], *save_figure(mean_figure(board), output, "means")]
    parts = ["# Recurrent kernels of time series", "![Mean accuracies](means.png)"]
    parts += [table.markdown() for table in tables]
    if _REFERENCE in board.classifiers:
        files += save_figure(pair_figure(board), output, "pairs")
        parts.insert(2, "![Accuracies set by set](pairs.png)")
    write_text(output / "rntk.md", "\n\n".join(parts) + "\n")
    message = f"{len(sets)} data sets, {len(board.classifiers)} classifiers."
    return Outcome(tables, (output / "rntk.md", *files), message)


@dataclass(frozen=True)
class SeriesScoreboard:
    """Accuracies of every classifier on every set.

    Attributes:
        sets: The sets, one a row.
        classifiers: Names of the columns.
        accuracies: Percent, (sets, classifiers).
        first: The same with ties of the validation broken by the order of the grid; as `accuracies` where nothing ties.
        seconds: (sets, classifiers).
    """

    sets: tuple[SeriesSet, ...]
    classifiers: tuple[str, ...]
    accuracies: Float[ndarray, "sets classifiers"]
    first: Float[ndarray, "sets classifiers"]
    seconds: Float[ndarray, "sets classifiers"]


def scoreboard(sets: Sequence[SeriesSet], records: Sequence[SeriesRecord]) -> SeriesScoreboard:
    """Collect records of every classifier on every set into arrays."""
    found = {(record.set, record.score.classifier): record.score for record in records}
    names = tuple(dict.fromkeys(record.score.classifier for record in records))
    table = [[found[data.name, name] for name in names] for data in sets]
    accuracies = np.array([[score.accuracy for score in row] for row in table])
    first = np.array([[float(s.details.get("accuracy_of_first", s.accuracy)) for s in row] for row in table])
    return SeriesScoreboard(
        tuple(sets), names, accuracies, first, np.array([[score.seconds for score in row] for row in table])
    )


def summary_table(board: SeriesScoreboard, methods: Sequence[Method]) -> ResultTable:
    """One row a classifier: mean with standard error, rank, P90, P95, PMA, the mean by the other rule, seconds."""
    heads = (("mean accuracy", ".2f"), ("standard error", ".2f"), ("mean rank", ".2f"), ("P90", ".1f"), ("P95", ".1f"))
    heads += (("PMA", ".2f"), ("mean, first of ties", ".2f"), ("seconds", ".0f"))
    rows: list[tuple[Cell, ...]] = []
    for i, s in enumerate(summarize(list(board.classifiers), board.accuracies)):
        measures = (s.mean, s.standard_error, s.rank, s.p90, s.p95, s.pma)
        rows.append((s.method, *measures, float(board.first[:, i].mean()), float(board.seconds[:, i].sum())))
    folds = max((method.machine.folds for method in methods if isinstance(method, KernelMethod)), default=0)
    notes = [
        f"{len(board.sets)} data sets with the split of their archive, every series brought to mean 0 and variance 1. "
        "Accuracies in percent; ranks, P90, P95 and PMA are among the classifiers of this table.",
        *(f"{' and '.join(method.classifiers)}: {method.grid}." for method in methods),
        f"SVM: C in {{0.01, 0.1, 1, 10, 100}} unless said; kernel and C by {folds}-fold validation inside the training "
        "series. Of those that tie, the kernel of least leave-one-out error, then the largest C (this library's "
        "choice); 'first of ties' takes the first in the order of the grid. Ridge: kernel and ridge by closed-form "
        "leave-one-out error.",
    ]
    columns = (Column("classifier"), *(Column(name, pattern) for name, pattern in heads))
    return ResultTable("Time series classification", columns, tuple(rows), tuple(notes))


def accuracy_table(board: SeriesScoreboard) -> ResultTable:
    """Accuracy of every classifier on every set, with the sizes of the set."""
    columns = (Column("set"), Column("train"), Column("test"), Column("steps"), Column("classes"))
    columns += tuple(Column(name, ".2f") for name in board.classifiers)
    rows = tuple(
        (s.name, len(s.train), len(s.test), s.lengths[1], len(s.classes), *(float(value) for value in row))
        for s, row in zip(board.sets, board.accuracies, strict=True)
    )
    return ResultTable("Accuracy by data set", columns, rows)


def choice_table(records: Sequence[SeriesRecord]) -> ResultTable:
    """What every classifier chose on every set."""
    named = tuple(dict.fromkeys(name for record in records for name in record.score.details))
    columns = (Column("set"), Column("classifier"), Column("accuracy"), Column("seconds"), *map(Column, named))
    rows = tuple(
        (r.set, r.score.classifier, r.score.accuracy, r.score.seconds, *(r.score.details.get(n) for n in named))
        for r in records
    )
    return ResultTable("Choices", columns, rows)


def mean_figure(board: SeriesScoreboard) -> Figure:
    """Mean accuracies, and mean differences to the best mean paired set by set, with standard errors."""
    order = np.argsort(board.accuracies.mean(axis=0), kind="stable")
    differences = board.accuracies - board.accuracies[:, [int(order[-1])]]
    place = np.arange(len(order))
    with figure_style():
        figure = new_figure(7.4, 1.1 + 0.26 * len(order))
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, values in ((left, board.accuracies), (right, differences)):
            errors = [standard_error(values[:, i]) for i in order]
            axes.errorbar(values.mean(axis=0)[order], place, xerr=errors, fmt="o", color=COLOURS["blue"], elinewidth=1)
            axes.grid(False, axis="y")
            axes.tick_params(axis="y", length=0)
        left.set_yticks(place, [board.classifiers[i] for i in order])
        left.set_xlabel("mean accuracy (%) ± standard error over sets")
        right.axvline(0, color=COLOURS["black"], linewidth=0.7)
        right.set_xlabel(f"difference to {board.classifiers[int(order[-1])]}\n(points, paired by set) ± standard error")
        left.set_title(f"{len(board.sets)} data sets")
    return figure


def pair_figure(board: SeriesScoreboard) -> Figure:
    """Accuracy of the recurrent kernel against that of every other support vector machine and nearest neighbours."""
    own = board.accuracies[:, board.classifiers.index(_REFERENCE)]
    others = [name for name in board.classifiers if not name.startswith("RNTK") and "ridge" not in name]
    colours = [COLOURS[name] for name in ("blue", "vermilion", "green", "purple", "orange")]
    with figure_style():
        figure = new_figure(4.4, 4.2)
        axes = figure.subplots()
        for i, name in enumerate(others):
            values = board.accuracies[:, board.classifiers.index(name)]
            axes.plot(values, own, "osD^v"[i % 5], color=colours[i % 5], markersize=4, alpha=0.85, label=name)
        low = min(float(board.accuracies.min()), 99.0)
        axes.plot([low, 100], [low, 100], color=COLOURS["grey"], linewidth=0.7)
        axes.set_xlabel("accuracy of the other (%)")
        axes.set_ylabel(f"accuracy of {_REFERENCE} (%)")
        axes.legend(loc="lower right")
        axes.set_title("Above the line: RNTK is better")
    return figure
