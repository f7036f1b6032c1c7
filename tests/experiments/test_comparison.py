import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

from widenet.errors import InvalidInput
from widenet.experiments import comparison as comparing
from widenet.experiments.comparison import Plan, as_document, compare, corrected_error, headline
from widenet.experiments.methods import Method, chosen_methods
from widenet.experiments.tables import split_target


def regression_table(rows=60, noise=0.1):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["a", "b"])
    frame["y"] = 2 * frame["a"] - frame["b"] + noise * rng.normal(size=rows)
    return split_target(frame, "y")


def classification_table(rows=80):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["a", "b"])
    frame["y"] = np.where(frame["a"] + 0.3 * rng.normal(size=rows) > 0, "up", "down")
    return split_target(frame, "y")


class Fails(LinearRegression):
    def fit(self, X, y, sample_weight=None):
        raise ValueError("cannot\nlearn")


LINEAR = Method("linear", "peer", "nothing", lambda seed, features: LinearRegression())
FAILING = Method("failing", "peer", "nothing", lambda seed, features: Fails())


def test_scores_are_those_of_a_plain_loop():
    table, plan = regression_table(), Plan(folds=4, repeats=2, seed=3)
    comparison = compare(table, [LINEAR], plan)
    X = table.features.to_numpy()
    expected, predictions = [], np.empty(60)
    for fold, (train, test) in enumerate(plan.splits(table)):
        predicted = LinearRegression().fit(X[train], table.target[train]).predict(X[test])
        expected.append(r2_score(table.target[test], predicted))
        if fold < 4:
            predictions[test] = predicted
    np.testing.assert_allclose(comparison.best.scores["R2"], expected, rtol=1e-10)
    np.testing.assert_allclose(comparison.best.predictions, predictions, rtol=1e-10)


def test_methods_are_ordered_ranked_and_failures_told():
    methods = [FAILING, *chosen_methods("regression", ["mean"]), LINEAR]
    comparison = compare(regression_table(), methods, Plan(folds=4))
    assert [result.method.name for result in comparison.results] == ["linear", "mean", "failing"]
    assert comparison.ranks[:2] == [1.0, 2.0]
    assert np.isnan(comparison.ranks[2])
    assert comparison.results[2].failure == "ValueError: cannot"
    assert "\n" not in comparison.results[2].failure


def test_equal_methods_share_their_rank():
    twin = Method("twin", "peer", "nothing", lambda seed, features: LinearRegression())
    assert compare(regression_table(), [LINEAR, twin], Plan(folds=4)).ranks == [1.5, 1.5]


def test_probabilities_of_unseen_rows_and_their_loss():
    table = classification_table()
    logistic = Method("logistic", "peer", "nothing", lambda seed, features: LogisticRegression())
    comparison = compare(table, [logistic], Plan(folds=4))
    result = comparison.best
    assert comparison.classes == ["down", "up"]
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1.0)
    of_truth = np.where(table.target == "up", result.probabilities[:, 1], result.probabilities[:, 0])
    # All folds have 20 rows, so the mean over the folds is the mean over the rows.
    assert comparison.mean(result, "log loss") == pytest.approx(-np.log(of_truth).mean())
    assert comparison.mean(result, "accuracy") == pytest.approx((result.predictions == table.target).mean())


def test_one_cell_of_text_makes_a_category_in_every_fold():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"stars": rng.choice(list("12345"), 60), "y": rng.normal(size=60)})
    frame.loc[7, "stars"] = "unknown"
    result = compare(split_target(frame, "y"), [LINEAR], Plan(folds=3)).best
    assert np.isfinite(result.scores["R2"]).all()


def test_one_late_day_settles_the_order_of_day_and_month_in_every_fold():
    days = [f"{1 + i % 12:02}/{1 + i % 7:02}/2020" for i in range(60)]
    days[31] = "31/01/2020"
    frame = pd.DataFrame({"day": days, "y": np.random.default_rng(0).normal(size=60)})
    result = compare(split_target(frame, "y"), [LINEAR], Plan(folds=3)).best
    assert np.isfinite(result.scores["R2"]).all()


def test_wrong_cells_are_told_by_their_row_in_the_table():
    table = regression_table()
    table.features.loc[41, "b"] = np.inf
    with pytest.raises(InvalidInput, match="row 42"):
        compare(table, [LINEAR], Plan(folds=3))


def test_errors_are_corrected_for_overlap_by_hand():
    # s^2 = 2, J = 2, n_test / n_train = 1/4: sqrt((1/2 + 1/4) 2).
    assert corrected_error(np.array([1.0, 3.0]), 0.25) == pytest.approx(np.sqrt(1.5))
    assert np.isnan(corrected_error(np.array([1.0]), 0.25))


@pytest.mark.parametrize(
    ("table", "plan", "message"),
    [
        (regression_table(rows=10), Plan(folds=5), "5 folds need at least 20 rows"),
        (regression_table(), Plan(folds=1), "folds must be at least 2"),
        (
            split_target(pd.DataFrame({"x": range(30), "y": ["a"] * 27 + ["b"] * 3}), "y"),
            Plan(folds=5),
            "3 of class 'b'",
        ),
    ],
)
def test_too_few_rows_are_refused_before_work(table, plan, message):
    with pytest.raises(InvalidInput, match=message):
        compare(table, [FAILING], plan)


@pytest.mark.parametrize(("folds", "rare"), [(2, 6), (3, 5), (5, 6)])
def test_the_rarest_class_allowed_reaches_every_inner_fold(folds, rare):
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=40), "y": ["a"] * (40 - rare) + ["b"] * rare})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comparison = compare(split_target(frame, "y"), chosen_methods("classification", ["logistic"]), Plan(folds))
    assert not comparison.best.failure
    with pytest.raises(InvalidInput, match=f"{folds} folds need {rare} rows of each class; got {rare - 1}"):
        Plan(folds).check(split_target(frame.iloc[:-1], "y"))


def test_forests_have_one_thread_like_the_kernels_on_small_tables(monkeypatch):
    made = []

    def make(seed, features):
        made.append(GridSearchCV(RandomForestRegressor(3, n_jobs=-1), {"max_depth": [2]}, cv=2))
        return made[-1]

    table, method = regression_table(), Method("forest", "peer", "nothing", make)
    assert not compare(table, [method], Plan(folds=2)).best.failure
    assert [search.best_estimator_.n_jobs for search in made] == [1, 1]
    monkeypatch.setattr(comparing, "SMALL_TABLE", 10)
    compare(table, [method], Plan(folds=2))
    assert made[-1].best_estimator_.n_jobs == -1


def test_all_methods_failing_is_an_error():
    with pytest.raises(InvalidInput, match="no method could learn"):
        compare(regression_table(), [FAILING], Plan(folds=4))


def test_document_and_headline_say_the_same():
    table = regression_table()
    comparison = compare(table, chosen_methods("regression", ["Laplace", "mean", "ridge"]), Plan(folds=4))
    document = as_document(comparison)
    best = document["methods"][0]
    assert best["method"] == "ridge"
    assert f"Best: ridge, R2 {best['scores']['R2']['mean']:.3f}" in headline(comparison)
    assert "ahead of Laplace by" in document["headline"]
    assert document["rows"] == 60
