"""Scoreboard, tables and figure of the small-data protocol by hand."""

import pytest

from widenet.errors import InvalidInput
from widenet.experiments.kernel_grids import ExponentialFamily
from widenet.experiments.learners import LeastSquares, SupportVectors
from widenet.experiments.uci_protocol import Choice, Record
from widenet.experiments.uci_tables import accuracy_figure, accuracy_table, choice_table, scoreboard, summary_table


def record(name: str, family: str, learner: str, accuracy: float, seconds: float = 1.0) -> Record:
    first = Choice("Laplace(scale=1.0)", 1.0, 2, (accuracy - 1, accuracy + 1))
    middle = Choice("Laplace(scale=2.0)", 1.0, 2, (accuracy - 2, accuracy - 2))
    return Record(
        name, {"a": 20, "b": 10, "c": 5}[name], family, learner, ((1,),), {"first": first, "middle": middle}, seconds
    )


RECORDS = [
    record("a", "Laplace", "SVM", 90.0),
    record("a", "Laplace", "ridge", 80.0, 3.0),
    record("b", "Laplace", "SVM", 70.0),
    record("b", "Laplace", "ridge", 74.0, 4.0),
    record("c", "Laplace", "SVM", 10.0),  # the ridge has not finished on it
]


def test_scoreboard_compares_on_the_sets_that_all_have_finished():
    board = scoreboard(RECORDS)
    assert board.methods == (("Laplace", "SVM"), ("Laplace", "ridge"))
    assert board.names == ("b", "a")
    assert board.accuracies["first"].tolist() == [[70.0, 74.0], [90.0, 80.0]]
    assert board.accuracies["middle"].tolist() == [[68.0, 72.0], [88.0, 78.0]]
    assert board.seconds == (2.0, 7.0)
    with pytest.raises(InvalidInput, match="no complete set"):
        scoreboard([RECORDS[0], RECORDS[3]])


def test_summary_by_hand():
    family = ExponentialFamily(1.0)
    table = summary_table(scoreboard(RECORDS), [family, ExponentialFamily(2.0)], [SupportVectors(), LeastSquares()])
    svm = dict(zip([column.name for column in table.columns], table.rows[0], strict=True))
    assert (svm["mean accuracy"], svm["standard error"], svm["mean rank"]) == (80.0, pytest.approx(10.0), 1.5)
    assert (svm["mean, middle rule"], svm["seconds"]) == (78.0, 2.0)
    assert svm["PMA"] == pytest.approx(100 * (70 / 74 + 1) / 2)
    notes = " ".join(table.notes)
    assert "2 data sets, 10 to 20 rows" in notes
    assert f"Kernels Laplace: {family.grid}." in notes
    assert "Gaussian" not in notes


def test_choices_list_every_rule_and_fold():
    table = choice_table(RECORDS)
    assert len(table.rows) == 10
    assert table.rows[0] == ("a", "Laplace", "SVM", "first", "Laplace(scale=1.0)", 1.0, 2, 89.0, 91.0, 90.0)


def test_accuracy_figure_shows_means_and_paired_differences():
    left, right = accuracy_figure(scoreboard(RECORDS)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["Laplace", "Laplace"]
    shown = sorted(float(container.lines[0].get_xdata()[0]) for container in left.containers)
    assert shown == [77.0, 80.0]
    assert sorted(float(container.lines[0].get_xdata()[0]) for container in right.containers) == [-3.0, 0.0]


def test_accuracy_table_has_a_row_a_set():
    table = accuracy_table(scoreboard(RECORDS), "middle")
    assert [column.name for column in table.columns] == ["set", "rows", "Laplace, SVM", "Laplace, ridge"]
    assert table.rows == (("b", 10, 68.0, 72.0), ("a", 20, 88.0, 78.0))
