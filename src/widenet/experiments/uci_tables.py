"""Tables and figures of the small-data protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from widenet.errors import InvalidInput
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.kernel_grids import Family
from widenet.experiments.learners import Learner
from widenet.experiments.metrics import MethodSummary, standard_error, summarize
from widenet.experiments.result_tables import Cell, Column, ResultTable
from widenet.experiments.uci_protocol import RULE_WORDS, RULES, Record

Accuracies = Float[ndarray, "sets methods"]


@dataclass(frozen=True)
class Scoreboard:
    """Results of every method on the sets that all of them have finished.

    Attributes:
        methods: Family and learner of each column.
        names: The sets, one a row.
        rows: Numbers of rows of the sets.
        accuracies: For each rule of selection, percent, (sets, methods).
        seconds: Total time of each method on these sets.
    """

    methods: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    rows: tuple[int, ...]
    accuracies: dict[str, Accuracies]
    seconds: tuple[float, ...]

    def summaries(self, rule: str) -> list[MethodSummary]:
        """Every measure of every method, with selection by this rule."""
        return summarize([f"{family}, {learner}" for family, learner in self.methods], self.accuracies[rule])


def scoreboard(records: Sequence[Record]) -> Scoreboard:
    """Collect records into arrays; sets that lack a method are left out, so that means are over the same sets.

    Raises:
        InvalidInput: If no set has been finished by every method.
    """
    found = {(r.name, r.family, r.learner): r for r in records}
    methods = tuple(dict.fromkeys((r.family, r.learner) for r in sorted(records, key=lambda r: r.learner != "SVM")))
    sizes = {r.name: r.rows for r in records}
    names = tuple(
        name
        for name in sorted(sizes, key=lambda name: (sizes[name], name))
        if all((name, *method) in found for method in methods)
    )
    if not names:
        raise InvalidInput("some set must have results of every method", f"{len(records)} results, no complete set")
    table = [[found[(name, *method)] for method in methods] for name in names]
    accuracies = {rule: np.array([[r.choices[rule].accuracy for r in row] for row in table]) for rule in RULES}
    seconds = tuple(float(sum(row[j].seconds for row in table)) for j in range(len(methods)))
    return Scoreboard(methods, names, tuple(sizes[name] for name in names), accuracies, seconds)


def summary_table(board: Scoreboard, families: Sequence[Family], learners: Sequence[Learner]) -> ResultTable:
    """One row a method: means with standard errors, ranks, P90, P95, PMA, seconds, and the mean by the other rule."""
    columns = (Column("kernels"), Column("learner"), Column("mean accuracy", ".2f"), Column("standard error", ".2f"))
    columns += (Column("deviation", ".2f"), Column("mean rank", ".2f"), Column("P90", ".1f"), Column("P95", ".1f"))
    columns += (Column("PMA", ".2f"), Column("mean, middle rule", ".2f"), Column("its standard error", ".2f"))
    columns += (Column("seconds", ".0f"),)
    pairs = zip(board.summaries(RULES[0]), board.summaries(RULES[1]), strict=True)
    rows: list[tuple[Cell, ...]] = []
    for method, (first, middle), seconds in zip(board.methods, pairs, board.seconds, strict=True):
        measures = (first.mean, first.standard_error, first.deviation, first.rank, first.p90, first.p95, first.pma)
        rows.append((*method, *measures, middle.mean, middle.standard_error, seconds))
    named = {family for family, _ in board.methods}
    notes = [
        f"{len(board.names)} data sets, {min(board.rows)} to {max(board.rows)} rows. Accuracies in percent: mean over "
        "the sets of the mean over the four supplied folds.",
        f"Ranks, P90, P95 and PMA are among the {len(board.methods)} methods of this table, by the first rule; only "
        "mean accuracies can be compared with tables of other methods.",
        *(f"Rule '{rule}', {RULE_WORDS[rule]}." for rule in RULES),
        *(f"Kernels {', '.join(names)}: {grid}." for grid, names in _by_grid(families, named).items()),
        *(f"Learner {learner.name}: {learner.grid}." for learner in learners),
        "Seconds: Gram matrices, selection and folds, summed over the sets, on the machine of this run; both learners "
        "count the Gram matrices that they share.",
    ]
    return ResultTable("Small-data classification", columns, tuple(rows), tuple(notes))


def _by_grid(families: Sequence[Family], named: set[str]) -> dict[str, list[str]]:
    grids: dict[str, list[str]] = {}
    for family in families:
        if family.name in named:
            grids.setdefault(family.grid, []).append(family.name)
    return grids


def accuracy_table(board: Scoreboard, rule: str) -> ResultTable:
    """Accuracy of every method on every set, with selection by this rule."""
    heads = tuple(Column(f"{family}, {learner}", ".2f") for family, learner in board.methods)
    rows = tuple(
        (name, size, *(float(value) for value in row))
        for name, size, row in zip(board.names, board.rows, board.accuracies[rule], strict=True)
    )
    title = f"Accuracy by data set, rule '{rule}'"
    return ResultTable(title, (Column("set"), Column("rows"), *heads), rows)


def choice_table(records: Sequence[Record]) -> ResultTable:
    """What each rule chose on each set, how many candidates tied, and the score on each fold."""
    columns = [Column(name) for name in ("set", "kernels", "learner", "rule", "kernel", "strength", "tied")]
    folds = len(next(iter(records[0].choices.values())).folds) if records else 0
    columns += [Column(f"fold {i}", ".2f") for i in range(folds)] + [Column("accuracy", ".2f")]
    rows = tuple(
        (r.name, r.family, r.learner, rule, c.kernel, c.strength, c.tied, *c.folds, c.accuracy)
        for r in records
        for rule, c in r.choices.items()
    )
    return ResultTable("Choices", tuple(columns), rows)


def accuracy_figure(board: Scoreboard) -> Figure:
    """Mean accuracies, and mean differences set by set to the best method, with standard errors."""
    accuracies = board.accuracies[RULES[0]]
    order = np.argsort(accuracies.mean(axis=0), kind="stable")
    reference = int(order[-1])
    differences = accuracies - accuracies[:, [reference]]
    place = np.arange(len(order))
    with figure_style():
        figure = new_figure(7.4, 1.1 + 0.21 * len(order))
        left, right = figure.subplots(1, 2, sharey=True)
        for axes, values in ((left, accuracies), (right, differences)):
            means = values.mean(axis=0)
            for learner, colour, marker in (("SVM", COLOURS["blue"], "o"), ("ridge", COLOURS["vermilion"], "s")):
                chosen = [i for i, method in enumerate(order) if board.methods[method][1] == learner]
                if not chosen:
                    continue
                errors = [standard_error(values[:, order[i]]) for i in chosen]
                axes.errorbar(
                    means[order[chosen]], place[chosen], xerr=errors, fmt=marker, color=colour, elinewidth=1.1,
                    label=learner,
                )  # fmt: skip
            axes.grid(False, axis="y")
        names = [board.methods[method][0].replace("gamma", "γ") for method in order]
        left.set_yticks(place, names)
        for axes in (left, right):
            axes.tick_params(axis="y", length=0)
        left.set_xlabel("mean accuracy (%) ± standard error over sets")
        right.axvline(0, color=COLOURS["black"], linewidth=0.7)
        best = ", ".join(board.methods[reference]).replace("gamma", "γ")
        right.set_xlabel(f"difference to {best}\n(points, paired by set) ± standard error")
        left.set_title(f"{len(board.names)} data sets")
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
