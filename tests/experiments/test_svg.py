import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.experiments.svg import BOTTOM, LEFT, RIGHT, TOP, Axis, Chart, Row, interval_chart


def test_marks_stand_where_their_values_are():
    chart = Chart(Axis("x", 0.0, 10.0), Axis("y", 1.0, 100.0, log=True), "t", width=200, height=200)
    chart.points(np.array([5.0]), np.array([10.0]), "widenet")
    (mark,) = re.findall(r'<circle[^>]*cx="([\d.]+)" cy="([\d.]+)"', chart.render())
    assert float(mark[0]) == pytest.approx(LEFT + (200 - LEFT - RIGHT) / 2, abs=0.06)
    assert float(mark[1]) == pytest.approx(TOP + (200 - TOP - BOTTOM) / 2, abs=0.06)


def test_charts_are_xml_and_escape_their_words():
    chart = Chart(Axis("<x>", 0.0, 1.0), Axis("a & b", 0.0, 1.0), "<t>")
    chart.text(0.5, 0.5, "<word>", "label")
    chart.line(np.array([0.0, np.nan, 1.0]), np.array([0.0, 0.5, 1.0]), "widenet")
    assert "<word>" in ET.fromstring(chart.render()).itertext()
    rows = [Row("<m>", "peer", shape, 0.5, 0.1, [0.4, 0.6], "0.5") for shape in ("circle", "square", "diamond")]
    assert "<m>" in ET.fromstring(interval_chart(rows, Axis("x", 0.0, 1.0), "t")).itertext()


def test_axes_hold_their_values_and_ticks_lie_inside():
    for values, log in (([1e-8, 3.0], True), ([-5.0, 2.0], False), ([4.0, 4.0], False), ([np.nan, 1.0, 2.0], False)):
        axis = Axis.around("x", np.array(values), log=log)
        finite = [v for v in values if np.isfinite(v)]
        assert axis.low < min(finite) <= max(finite) < axis.high
        ticks = [value for value, _ in axis.ticks()]
        assert len(ticks) >= 2
        assert all(axis.low <= tick <= axis.high for tick in ticks)


@pytest.mark.parametrize(("low", "high", "log"), [(1.0, 1.0, False), (0.0, 1.0, True), (np.nan, 1.0, False)])
def test_axes_without_length_are_refused(low, high, log):
    with pytest.raises(InvalidInput):
        Axis("x", low, high, log)
