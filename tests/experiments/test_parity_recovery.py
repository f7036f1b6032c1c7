"""One-step recovery, and starts that see a leak or not."""

import numpy as np
import pytest

from widenet.experiments.parity_recovery import leak_table, recoveries, recovery_figure, recovery_table
from widenet.experiments.parity_training import ParityTraining
from widenet.theory.parity import BiasedParity, LeakyParity


# The reference: exact recovery in a share of 0.07, 0.73 and 1.00 of runs with 3,000, 10,000 and 30,000 points. Of 30
# runs the standard error is at most 0.09.
def test_one_step_recovery_repeats_the_reference_shares():
    problem = BiasedParity(40, 4, 0.5)
    found = recoveries(problem, (3000, 10_000, 30_000), runs=30, seed=0)
    assert [entry.found for entry in found] == pytest.approx([0.07, 0.73, 1.0], abs=0.25)
    assert [entry.predicted for entry in found] == [problem.recovery_probability(m) for m in (3000, 10_000, 30_000)]
    assert all(entry.learnt <= entry.found for entry in found)
    assert found[2].learnt > 0.8
    table = recovery_table(problem, found, 30)
    assert [row[0] for row in table.rows] == [3000, 10_000, 30_000]
    assert "29,128 points" in table.notes[0]
    figure = recovery_figure(problem, found)
    assert list(figure.axes[0].lines[1].get_ydata()) == [entry.found for entry in found]


def test_a_negative_mean_is_recovered_too():
    (found,) = recoveries(BiasedParity(10, 2, 0.8, -0.5), (4000,), runs=4, seed=0)
    assert found.found == found.learnt == 1


def test_only_a_start_at_one_sees_the_leak():
    problem = LeakyParity(12, 4, 0.4)
    table = leak_table(problem, 8000, ParityTraining(width=8, most_steps=2))
    unbiased, biased, *networks = table.rows
    assert unbiased[:3] == ("select, then parity", 0.0, 0.0)
    assert unbiased[6] == "no"
    assert unbiased[4] == pytest.approx(0.5, abs=0.05)
    assert biased[2] == pytest.approx(np.linalg.norm([0.2] * 4), rel=1e-12)
    assert biased[6] == "yes"
    assert biased[4] == pytest.approx(problem.bayes_error, abs=0.04)
    assert biased[5] == 0
    assert [row[1] for row in networks] == [0.0, 1.0]
    assert all(row[3] == 2 for row in networks)
