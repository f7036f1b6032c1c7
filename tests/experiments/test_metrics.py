"""Comparison measures against hand-computed tables, SciPy and plain loops."""

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from widenet.errors import InvalidInput
from widenet.experiments.metrics import mean_of_best, mean_ranks, near_best, standard_error, summarize

# Three methods on four sets, small enough to rank by hand.
TABLE = np.array([[90.0, 80.0, 90.0], [50.0, 100.0, 95.0], [70.0, 70.0, 70.0], [40.0, 41.0, 10.0]])


def test_mean_ranks_by_hand():
    # Ranks by set: (1.5, 3, 1.5), (3, 1, 2), (2, 2, 2), (2, 1, 3).
    assert mean_ranks(TABLE) == pytest.approx([8.5 / 4, 7 / 4, 8.5 / 4], rel=1e-15)


def test_mean_ranks_give_friedmans_statistic():
    """Without ties, chi2 = 12 n / (k (k + 1)) sum_j (rank_j - (k + 1) / 2)^2, as SciPy has it."""
    table = np.random.default_rng(0).random((20, 5))
    n, k = table.shape
    expected = friedmanchisquare(*table.T).statistic
    assert 12 * n / (k * (k + 1)) * ((mean_ranks(table) - (k + 1) / 2) ** 2).sum() == pytest.approx(expected, rel=1e-12)


def test_ranks_treat_rounding_as_a_tie():
    table = np.array([[100 * (0.1 + 0.2), 100 * 0.3]])
    assert table[0, 0] != table[0, 1]
    assert mean_ranks(table).tolist() == [1.5, 1.5]


def test_ranks_sum_to_the_same_whatever_the_ties():
    table = np.random.default_rng(1).integers(0, 4, (30, 6)).astype(float)
    assert mean_ranks(table).sum() == pytest.approx(6 * 7 / 2, rel=1e-14)


def test_near_best_by_hand():
    # 90 % of the best: 81, 90, 63, 36.9; 95 %: 85.5, 95, 66.5, 38.95. 95.0 sits on its threshold and counts.
    assert near_best(TABLE, 0.90).tolist() == [0.75, 0.75, 0.75]
    assert near_best(TABLE, 0.95).tolist() == [0.75, 0.75, 0.75]
    assert near_best(TABLE, 0.99).tolist() == [0.5, 0.75, 0.5]


def test_near_best_counts_the_threshold_itself():
    assert near_best(np.array([[0.9 * 0.7, 0.7]]), 0.9).tolist() == [1.0, 1.0]
    assert near_best(np.array([[0.9 * 0.7 - 1e-6, 0.7]]), 0.9).tolist() == [0.0, 1.0]


def test_mean_of_best_by_hand():
    expected = [(1 + 0.5 + 1 + 40 / 41) / 4, (80 / 90 + 1 + 1 + 1) / 4, (1 + 0.95 + 1 + 10 / 41) / 4]
    assert mean_of_best(TABLE) == pytest.approx(expected, rel=1e-15)


def test_mean_of_best_of_a_set_nobody_solves():
    assert mean_of_best(np.array([[0.0, 0.0], [50.0, 100.0]])).tolist() == [0.75, 1.0]


def test_standard_error_by_hand():
    # Sample variance of 1, 2, 3, 4 is 5/3.
    assert standard_error(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(math.sqrt(5 / 3 / 4), rel=1e-15)
    assert math.isnan(standard_error(np.array([1.0])))


def test_summary_carries_every_measure():
    summary = summarize(["a", "b", "c"], TABLE)
    assert [s.method for s in summary] == ["a", "b", "c"]
    b = summary[1]
    deviation = math.sqrt(sum((v - 72.75) ** 2 for v in (80, 100, 70, 41)) / 3)
    assert b.sets == 4
    assert b.mean == pytest.approx(72.75, rel=1e-15)
    assert b.deviation == pytest.approx(deviation, rel=1e-14)
    assert b.standard_error == pytest.approx(deviation / 2, rel=1e-14)
    assert b.rank == pytest.approx(1.75, rel=1e-15)
    assert (b.p90, b.p95) == (75.0, 75.0)
    assert b.pma == pytest.approx(100 * (80 / 90 + 3) / 4, rel=1e-15)


@pytest.mark.parametrize(
    "table", [np.zeros((0, 2)), np.zeros((2, 0)), np.array([[1.0, np.nan]]), np.array([[1.0, -1.0]])]
)
def test_bad_tables_are_refused(table):
    for measure in (mean_ranks, mean_of_best, lambda t: near_best(t, 0.9), lambda t: summarize(["a", "b"], t)):
        with pytest.raises(InvalidInput):
            measure(table)


def test_names_must_match_the_columns():
    with pytest.raises(InvalidInput, match="2 names, 3 columns"):
        summarize(["a", "b"], TABLE)


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
def test_share_must_be_a_share(share):
    with pytest.raises(InvalidInput):
        near_best(TABLE, share)
