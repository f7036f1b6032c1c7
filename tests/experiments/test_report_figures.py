import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from widenet.experiments.comparison import Plan, compare
from widenet.experiments.methods import Method, chosen_methods
from widenet.experiments.report_figures import (
    confusion_figure,
    coverage_figure,
    reliability_figure,
    score_figure,
    target_figure,
    time_figure,
)
from widenet.experiments.tables import split_target

LOGISTIC = Method("logistic", "peer", "nothing", lambda seed, features: LogisticRegression())


@pytest.fixture(scope="module")
def classified():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=400)})
    frame["y"] = np.where(rng.random(400) < 1 / (1 + np.exp(-2 * frame["a"])), "<up>", "down")
    return compare(split_target(frame, "y"), [LOGISTIC], Plan(folds=4))


@pytest.fixture(scope="module")
def regressed():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=400)})
    frame["y"] = frame["a"] + 0.5 * rng.normal(size=400)
    return compare(split_target(frame, "y"), chosen_methods("regression", ["ridge", "mean"]), Plan(folds=4))


def test_the_confusion_matrix_counts_rows(classified):
    cells = [int(count) for count in re.findall(r"<b>(\d+)</b>", confusion_figure(classified, classified.best))]
    truth, predicted = classified.table.target, classified.best.predictions
    expected = [((truth == t) & (predicted == p)).sum() for t in ("<up>", "down") for p in ("<up>", "down")]
    assert cells == expected


def test_a_true_model_is_calibrated_and_a_bold_one_is_not(classified):
    _, gap = reliability_figure(classified, classified.best)
    best = classified.best
    bold = np.where(best.probabilities > 0.5, 0.999, 0.001)
    _, bold_gap = reliability_figure(classified, replace(best, probabilities=bold))
    # Standard error of a share in 10 groups of 40 rows: about 0.07, of the mean of the 10 gaps far less.
    assert gap < 0.1
    assert bold_gap == pytest.approx(0.999 - (best.predictions == classified.table.target).mean(), abs=1e-9)


def test_normal_residuals_are_covered_as_stated(regressed):
    _, gap = coverage_figure(regressed, regressed.best)
    # Standard error of a share of 400 rows is at most 0.025.
    assert gap < 0.03


def test_figures_name_every_method_once(regressed):
    figure = score_figure(regressed)
    assert figure.count(">ridge<") == figure.count(">mean<") == 1
    assert "ridge" in time_figure(regressed)
    assert ">mean<" not in time_figure(regressed)


def test_the_histogram_holds_every_row(regressed):
    bars = re.findall(
        r'class="band solid widenet" points="[\d.]+,([\d.]+) [\d.]+,[\d.]+ [\d.]+,([\d.]+)', target_figure(regressed)
    )
    heights = np.array([abs(float(top) - float(foot)) for top, foot in bars])
    counts, _ = np.histogram(regressed.table.target, bins=len(bars))
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=0.002)
