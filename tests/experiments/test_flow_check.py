"""Ensembles in training beside the infinite network."""

import numpy as np
import pytest

from widenet.experiments.flow_check import STEPS, flow_check, flow_figure, flow_table


def test_a_wide_ensemble_agrees_within_its_error():
    check = flow_check(256, 60, seed=0, depth=1)
    assert check.outputs.shape == (len(STEPS), 60)
    assert check.mean[0] == 0
    assert check.variance[0] == pytest.approx(1.0, rel=1e-12)
    assert (np.abs(check.outputs.mean(1) - check.mean) < 4 * check.mean_error).all()
    assert (np.abs(check.outputs.var(1, ddof=1) - check.variance) < 4 * check.variance_error).all()
    excess, error = check.excess
    assert (error[1:] < check.mean_error[1:] / 2).all()  # most of the variance is that of the starts
    assert (np.abs(excess) < 4 * error + 1e-5).all()
    np.testing.assert_allclose(check.own[0], check.outputs[0], rtol=0, atol=1e-5)
    # The error of a variance of Gaussian outputs is sqrt(2 / n) of it.
    assert check.variance_error[0] == pytest.approx(np.sqrt(2 / 60) * check.outputs[0].var(), rel=0.5)


def test_members_have_seeds_of_their_own_however_they_are_grouped(monkeypatch):
    whole = flow_check(16, 5, seed=3, depth=1)
    monkeypatch.setattr("widenet.experiments.flow_check._CHUNK", 2 * 16 * 16)
    np.testing.assert_allclose(flow_check(16, 5, seed=3, depth=1).outputs, whole.outputs, rtol=0, atol=1e-5)
    assert len(set(whole.outputs[0].tolist())) == 5


def test_the_table_says_how_far_off_each_number_is():
    check = flow_check(16, 5, seed=3, depth=1)
    table = flow_table([check])
    assert [row[2] for row in table.rows] == list(STEPS)
    row = dict(zip((column.name for column in table.columns), table.rows[1], strict=True))
    assert row["off, s.e."] == pytest.approx((row["mean"] - row["infinite"]) / row["s.e."])
    assert row["its off, s.e."] == pytest.approx((row["variance"] - row["infinite's"]) / row["its s.e."])
    assert row["less own start's"] == pytest.approx(np.mean(check.outputs[1] - check.own[1]))
    assert len(flow_figure([check, check]).axes) == 2
