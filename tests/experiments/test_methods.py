import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import ParameterGrid

from widenet.errors import InvalidInput
from widenet.experiments.methods import BOOSTING_GRID, all_methods, chosen_methods, kernel_families


def little_data(task):
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = 2 * X[:, 0] - X[:, 1]
    return X, y if task == "regression" else np.where(y > 0, "up", "down")


def test_unknown_methods_are_named():
    with pytest.raises(InvalidInput, match="'NKT'"):
        chosen_methods("regression", ["NKT"])


def test_a_method_asked_twice_is_run_once():
    chosen = chosen_methods("regression", ["ridge", " Ridge", "Laplace"])
    assert [method.name for method in chosen] == ["ridge", "Laplace"]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_method_learns_a_little_table(task):
    X, y = little_data(task)
    learned = 0
    for method in all_methods(task):
        if method.name in ("random forest", "gradient boosting", "widenet auto"):
            continue  # slow here; the first two are scikit-learn's, the last is tested with the estimators
        score = method.make(0, 2).fit(X, y).score(X, y)
        assert score > 0.8 or method.family == "baseline", method.name
        learned += 1
    assert learned == 8


def test_boosting_learns_enough_at_each_rate():
    X = np.random.default_rng(0).normal(size=(60, 2))
    for setting in ParameterGrid(BOOSTING_GRID):
        boosting = HistGradientBoostingRegressor(min_samples_leaf=1, random_state=0).set_params(**setting)
        # Where every row may have its leaf, (1 - rate)^(2 iterations) of the variance is left: 2e-3 for 0.03 x 100.
        assert boosting.fit(X, X[:, 0]).score(X, X[:, 0]) > 0.999, setting


def test_scales_grow_with_the_root_of_the_columns():
    few, many = kernel_families(2)["Laplace"], kernel_families(8)["Laplace"]
    assert [kernel.scale for kernel in many] == [2 * kernel.scale for kernel in few]
