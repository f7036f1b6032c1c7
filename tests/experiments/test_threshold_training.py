"""Runs over the threshold: what earlier measurements found holds, and the table says what was measured."""

import numpy as np
import pytest

from widenet.architectures import sparse_network
from widenet.experiments.threshold_spectra import random_sphere
from widenet.experiments.threshold_training import training_figure, training_records, training_table
from widenet.kernels.neural import NTK

X, Y = random_sphere(50, 20, 1)
RECORDS = training_records(X, Y, (0.0, 1.0, 2.0), 4000, 1e-3, 0)


def test_a_larger_threshold_is_sparser_better_conditioned_and_takes_fewer_steps():
    dense, middle, sparse = RECORDS
    assert dense.run.steps > 2 * middle.run.steps > 2 * sparse.run.steps
    assert dense.report.condition_number > 2 * middle.report.condition_number > 4 * sparse.report.condition_number
    for record, share in zip(RECORDS, (0.5, 0.158655, 0.0227501), strict=True):  # Q(0), Q(1), Q(2)
        assert record.run.converged
        # Samples share the units, so the error is between those of 2000 and of 2000 x 50 independent pairs.
        assert abs(record.run.active[0] - share) < 3 * np.sqrt(share * (1 - share) / 2000)
        assert record.run.active[-1] == pytest.approx(record.run.active[0], rel=0.25)
        assert record.run.steps >= record.wide_steps


def test_a_record_holds_the_eigenvalues_of_its_kernel():
    values = np.linalg.eigvalsh(NTK(sparse_network(1.0))(X))
    assert RECORDS[1].report.condition_number == pytest.approx(values[-1] / values[0], rel=1e-9)
    assert RECORDS[1].report.step_size == pytest.approx(1 / values[-1], rel=1e-9)


def test_the_table_holds_the_runs():
    table = training_table(RECORDS, 4000)
    assert [row[0] for row in table.rows] == [0.0, 1.0, 2.0]
    names = [column.name for column in table.columns]
    for record, row in zip(RECORDS, table.rows, strict=True):
        entry = dict(zip(names, row, strict=True))
        assert entry["steps"] == record.run.steps
        assert entry["active, end"] == record.run.active[-1]
        assert entry["done / dense"] == record.run.operations / record.run.dense_operations
        assert entry["active work"] == pytest.approx(sum(record.run.active) / sum(RECORDS[0].run.active))
        assert entry["flipped"] == record.run.flipped
        pairs = zip(record.run.losses[1:], record.run.losses[:-1], strict=True)
        assert entry["largest rise"] == pytest.approx(max(after / before for after, before in pairs))
    assert table.rows[0][1] == 0.5
    assert "4,000 hidden units" in table.notes[0]


def test_a_run_that_did_not_converge_has_no_steps():
    (record,) = training_records(X, Y, (6.0,), 10, 1e-3, 0)  # none of the ten units is ever active
    assert not record.run.converged
    row = training_table([record], 10).rows[0]
    assert row[7] is None  # steps
    assert row[9:11] == (None, None)  # no step to compare, no work to relate to


def test_the_figure_has_a_curve_a_threshold():
    steps, work = training_figure(RECORDS).axes
    assert len(steps.lines) == len(work.lines) == 3
    assert work.lines[2].get_xdata()[-1] == pytest.approx(sum(RECORDS[2].run.active))
    assert steps.lines[0].get_ydata()[0] == pytest.approx(0.5)
