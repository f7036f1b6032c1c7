"""Tables and figures of tensors show the numbers they are given and those of the recursion."""

import pytest

from widenet.experiments.fluctuations import Estimate
from widenet.experiments.tensor_ensembles import TENSORS, MeasuredTensors
from widenet.experiments.tensor_tables import monte_carlo_table, predicted, recursion_table, tensor_figure


def _measured(layer: int) -> MeasuredTensors:
    return MeasuredTensors(layer, *(Estimate(value + layer / 100, 0.5) for value in range(7)))


MEASURED = {ensemble: [_measured(layer) for layer in (1, 2, 3)] for ensemble in ("gaussian", "orthogonal")}


def test_the_recursion_is_shown_for_both_ensembles():
    table = recursion_table((1, 20))
    assert [row[:2] for row in table.rows] == [
        (layer, kind) for layer in (1, 20) for kind in ("gaussian", "orthogonal")
    ]
    # From the specification's table.
    assert table.rows[2][2:5] == pytest.approx((0.0272861595, 0.5734886964, 11.96491337), abs=5e-9)
    assert table.rows[1][4] == -2
    assert len(predicted("gaussian", 1)) == 1


def test_measured_tensors_stand_beside_the_recursion():
    table = monte_carlo_table(MEASURED, (2,), 10, 50)
    assert [row[2] for row in table.rows] == [*TENSORS, *TENSORS]
    layer, kind, name, value, error, expected, difference = table.rows[0]
    assert (layer, kind, name, value, error) == (2, "gaussian", "V", 2.02, 0.5)
    assert expected == pytest.approx(0.62729081, abs=5e-9)
    assert difference == pytest.approx(10 * (2.02 - 0.62729081), abs=1e-6)


def test_the_figure_has_lines_and_points_of_three_tensors():
    figure = tensor_figure(MEASURED, 5, 10)
    assert [axes.get_title(loc="left")[0] for axes in figure.axes] == ["V", "F", "B"]
    line = figure.axes[0].lines[0].get_xydata()
    assert line.shape == (5, 2)
    assert line[1, 1] == pytest.approx(0.62729081, abs=5e-9)
