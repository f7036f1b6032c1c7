"""Kernel ridge regression against scikit-learn's."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from widenet.errors import InvalidInput
from widenet.estimators import KernelRegressor, load
from widenet.kernels import Gaussian, Laplace
from widenet.solvers import Auto, Cholesky, Spectral

X, Y = load_diabetes(return_X_y=True)


@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_are_those_of_kernel_ridge(weighted):
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X)) if weighted else None
    mean = np.average(Y, weights=weight)
    peer = KernelRidge(kernel="rbf", gamma=1 / 18, alpha=0.3).fit(X, Y - mean, sample_weight=weight)
    model = KernelRegressor(Gaussian(3.0), ridge=0.3, ridge_scale="absolute", standardize=False)
    model.fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(model.predict(X), peer.predict(X) + mean, rtol=1e-8)
    assert model.solution_.residual < 1e-10


def test_standardized_features_are_scikit_learn_s():
    scaled = StandardScaler().fit_transform(10 * X + 3)
    plain = KernelRegressor(Laplace(4.0), ridge=0.1, standardize=False).fit(scaled, Y)
    np.testing.assert_allclose(
        KernelRegressor(Laplace(4.0), ridge=0.1).fit(10 * X + 3, Y).predict(10 * X + 3),
        plain.predict(scaled),
        rtol=1e-9,
    )


def test_a_constant_feature_does_nothing():
    wide = np.c_[X, np.full(len(X), 0.1)]
    narrow = KernelRegressor(Laplace(4.0), ridge=0.1).fit(X, Y).predict(X)
    np.testing.assert_allclose(KernelRegressor(Laplace(4.0), ridge=0.1).fit(wide, Y).predict(wide), narrow, rtol=1e-9)


def test_targets_are_solved_together():
    both = np.c_[Y, np.arange(len(Y))]
    model = KernelRegressor(Laplace(4.0), ridge=0.1).fit(X, both)
    for column in range(2):
        single = KernelRegressor(Laplace(4.0), ridge=0.1).fit(X, both[:, column])
        np.testing.assert_allclose(model.predict(X)[:, column], single.predict(X), rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e-6, 1e6, 1e200])
def test_the_units_of_targets_do_not_change_the_choice(unit):
    noise = np.random.default_rng(0).normal(size=len(Y))
    both = np.c_[Y, noise, np.full(len(Y), 0.1)]
    plain = KernelRegressor(Laplace(4.0)).fit(X, both)
    assert KernelRegressor(Laplace(4.0)).fit(X, both * [1, unit, 1]).ridge_ == plain.ridge_
    single = KernelRegressor(Laplace(4.0)).fit(X, Y)
    assert KernelRegressor(Laplace(4.0)).fit(X, Y * unit).ridge_ == single.ridge_
    assert single.ridge_ < plain.ridge_ < KernelRegressor(Laplace(4.0)).fit(X, noise).ridge_


def test_the_default_is_no_worse_than_a_linear_model():
    folds = KFold(2)
    linear = cross_val_score(RidgeCV(np.logspace(-3, 3, 13)), X[:200], Y[:200], cv=folds).mean()
    assert cross_val_score(KernelRegressor(), X[:200], Y[:200], cv=folds).mean() > linear - 0.03


def test_given_solvers_agree():
    expected = KernelRegressor(Laplace(4.0), ridge=0.1).fit(X, Y).predict(X)
    for solver in (Cholesky(), Spectral()):
        model = KernelRegressor(Laplace(4.0), ridge=0.1, solver=solver).fit(X, Y)
        np.testing.assert_allclose(model.predict(X), expected, rtol=1e-7)


@pytest.mark.parametrize("solver", [Cholesky(), Cholesky("absolute"), Spectral("absolute"), Auto("absolute")])
@pytest.mark.parametrize("options", [{"ridge": 0.5, "ridge_scale": "absolute"}, {"ridge": 0.5}, {}])
def test_the_ridge_scale_of_a_solver_plays_no_part(solver, options):
    kernel = 3.0 * Laplace(4.0)
    expected = KernelRegressor(kernel, **options).fit(X[:50], Y[:50]).predict(X)
    model = KernelRegressor(kernel, solver=solver, **options).fit(X[:50], Y[:50])
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-7)


def test_an_absolute_ridge_is_added_as_it_is():
    rows = X[:50] / X[:50].std(axis=0)
    K = 3.0 * Laplace(4.0)(rows)
    dual = np.linalg.solve(K + 0.5 * np.eye(50), Y[:50] - Y[:50].mean())
    model = KernelRegressor(
        3.0 * Laplace(4.0), ridge=0.5, ridge_scale="absolute", solver=Cholesky(), standardize=False
    ).fit(rows, Y[:50])
    np.testing.assert_allclose(model.predict(rows), K @ dual + Y[:50].mean(), rtol=1e-9)


@pytest.mark.parametrize("solver", [3, "cholesky", Cholesky, None])
def test_what_is_no_solver_is_refused(solver):
    with pytest.raises(InvalidInput, match="solver must be"):
        KernelRegressor(Laplace(4.0), ridge=0.1, solver=solver).fit(X, Y)


def test_a_model_with_a_solver_is_saved(tmp_path):
    model = KernelRegressor(Laplace(4.0), ridge=0.1, solver=Auto()).fit(X, Y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.solver == Auto()
    assert np.array_equal(again.predict(X), model.predict(X))


def test_grid_search_over_kernels():
    search = GridSearchCV(KernelRegressor(ridge=0.1), {"kernel": [Laplace(4.0), Gaussian(0.01)]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"kernel": Laplace(4.0)}


def test_many_rows_are_solved_in_single_precision_and_refined():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2100, 3))
    target = np.sin(rows[:, 0])
    model = KernelRegressor(Laplace(4.0), ridge=1e-3).fit(rows, target)
    assert model.X_fit_.dtype == np.float32
    assert model.solution_.residual <= 1e-10
    K = Laplace(4.0)(model.scaler_.transform(rows, np.float64))
    dual = np.linalg.solve(K + 1e-3 * np.eye(2100), target - target.mean())
    np.testing.assert_allclose(model.predict(rows), K @ dual + target.mean(), atol=1e-4)


def test_a_matrix_that_single_precision_cannot_factor_is_formed_in_double():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2100, 2))
    model = KernelRegressor(Gaussian(3.0), ridge=1e-9).fit(rows, rows[:, 0])
    assert "float64" in model.solution_.how
    assert model.score(rows, rows[:, 0]) > 0.99999999
