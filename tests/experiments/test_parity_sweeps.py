"""Cases, sweeps and their table and figure."""

import pytest

from widenet.experiments.parity_sweeps import Case, Points, learning_table, measure, sweep_figure, sweeps
from widenet.experiments.parity_training import ParityTraining, tangent_ridge
from widenet.theory.parity import BiasedParity

POINTS = Points(kernel=60, test=100)
BASE = Case(BiasedParity(8, 3, 0.5), ParityTraining(width=16, most_steps=20, seed=2))


def test_a_case_is_its_training_and_both_kernels():
    result = measure(BASE, POINTS)
    assert result.run.error == BASE.training.run(BASE.problem, 100).error
    assert result.start == tangent_ridge([result.run.start], BASE.problem, 60, 100, 2)
    assert result.after == tangent_ridge(result.run.halves, BASE.problem, 60, 100, 2) != result.start


def test_sweeps_change_one_thing_and_share_what_they_have_in_common(monkeypatch):
    measured = []

    def counted(case, points):
        measured.append(case)
        return measure(case, points)

    monkeypatch.setattr("widenet.experiments.parity_sweeps.measure", counted)
    found = sweeps(BASE, (0.0, 0.5), (2, 3), (8, 16), POINTS)
    assert [[sweep.value(result) for result in sweep.results] for sweep in found] == [[0.0, 0.5], [2, 3], [8, 16]]
    assert len(measured) == len(set(measured)) == 4
    assert found[0].results[1] is found[1].results[1] is found[2].results[1]
    table = learning_table([result for sweep in found for result in sweep.results], POINTS)
    assert [row[:4] for row in table.rows] == [
        (8, 3, 0.0, 16), (8, 3, 0.5, 16), (8, 2, 0.5, 16), (8, 3, 0.5, 16), (8, 3, 0.5, 8), (8, 3, 0.5, 16)
    ]  # fmt: skip
    for row in table.rows:
        assert row[9] == pytest.approx((1 - row[8]) / 2)
    assert table.rows[1][10] == BiasedParity(8, 3, 0.5).linear_edge
    figure = sweep_figure(found, BASE)
    assert len(figure.axes) == 6
    errors, edges = figure.axes[1], figure.axes[4]
    assert list(errors.lines[0].get_ydata()) == [result.run.error for result in found[1].results]
    exact = [result.case.problem.linear_edge for result in found[1].results]
    assert list(edges.lines[2].get_ydata()) == pytest.approx(exact)
