"""Fits on landmarks and by iterations: against plain algebra, as estimators, interrupted, saved."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.estimators import KernelClassifier, KernelRegressor, _base, large_fits, load
from widenet.estimators.candidates import unbiased_networks
from widenet.estimators.large_fits import fit_landmarks
from widenet.estimators.reduced import Task
from widenet.estimators.scaler import ScaledRows, Scaler
from widenet.kernels import Gaussian, Laplace
from widenet.solvers.auto import Auto
from widenet.solvers.iterative import ConjugateGradient
from widenet.solvers.landmarks import Landmarks

X, Y = load_diabetes(return_X_y=True)
WAYS = ["landmarks", "iterative"]


@parametrize_with_checks([learner(Laplace(1.5), solver="landmarks") for learner in (KernelRegressor, KernelClassifier)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


def kernel_ridge_with_offset(K, y, noise):
    """Solution of [K + N, 1; 1^T, 0] [a; b] = [y; 0]."""
    n = len(K)
    system = np.block([[K + np.diag(noise), np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    solved = np.linalg.solve(system, np.vstack([y, np.zeros((1, y.shape[1]))]))
    return solved[:n], solved[n]


def test_with_all_rows_as_landmarks_it_is_kernel_ridge_regression():
    rng = np.random.default_rng(0)
    rows, weight = rng.normal(size=(80, 3)), rng.uniform(0.5, 1.5, 80)
    y = np.c_[np.sin(rows[:, 0]), rows[:, 1]]
    scaled = ScaledRows(rows, Scaler(np.zeros(3), np.ones(3)), np.float64)
    fit = fit_landmarks(Laplace(2.0), Task(scaled, y, weight, np.ones(2), 1.0, 0.05), 80, "")
    K = Laplace(2.0)(rows)
    a, b = kernel_ridge_with_offset(K, y, 0.05 / weight)
    np.testing.assert_allclose(Laplace(2.0)(rows, fit.points) @ fit.solution.value + fit.offset, K @ a + b, atol=1e-9)
    assert fit.solution.residual < 1e-10


def test_iterations_solve_the_exact_system():
    exact = KernelRegressor(Laplace(4.0), ridge=0.1).fit(X, Y)
    model = KernelRegressor(Laplace(4.0), ridge=0.1, solver=ConjugateGradient(tolerance=1e-9)).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), exact.predict(X), rtol=1e-5)
    assert "conjugate gradients" in model.solution_.how
    assert len(model.X_fit_) == len(X)


def test_landmarks_come_close_to_the_exact_fit():
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, size=(2500, 2))
    y = np.sin(3 * rows[:, 0]) * rows[:, 1]
    model = KernelRegressor(Gaussian(1.0), solver=Landmarks(size=200)).fit(rows, y)
    assert len(model.X_fit_) <= 200
    assert model.X_fit_.dtype == np.float32
    assert np.abs(model.predict(rows) - y).max() < 1e-2
    assert "landmarks of 2,500 rows" in model.solution_.how


def test_the_number_of_landmarks_is_that_of_the_settings():
    model = KernelRegressor(Laplace(4.0), solver=Landmarks(size=50)).fit(X, Y)
    assert model.X_fit_.shape == (50, 10)
    assert model.score(X, Y) > 0.45


def test_features_are_those_of_a_network_where_no_kernel_is_clearly_better(monkeypatch):
    rows, labels = load_digits(return_X_y=True)
    model = KernelClassifier(solver="features").fit(rows[:300], labels[:300])
    (chosen,) = (row for row in model.selection_ if row.chosen)
    assert chosen.kernel == model.kernel_
    assert chosen.kernel in unbiased_networks()
    assert "exact products" in model.solution_.how
    assert model.score(rows[300:], labels[300:]) > 0.85
    # Another one that is as good is taken where it alone is wanted.
    wanted = model.selection_[3].kernel
    monkeypatch.setattr(_base, "unbiased_networks", lambda: (wanted,))
    assert KernelClassifier(solver="features").fit(rows[:300], labels[:300]).kernel_ == wanted
    # cos is far from every function of degree 1.
    line = np.linspace(-3, 3, 300)[:, None]
    bent = KernelRegressor(solver="features", standardize=False).fit(line, np.cos(line[:, 0]))
    assert bent.kernel_ not in unbiased_networks()
    with pytest.raises(InvalidInput, match="kernel must be 'auto'"):
        KernelRegressor("atuo", solver="features").fit(line, line[:, 0])


def test_auto_takes_landmarks_where_the_exact_way_does_not_fit():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 3))
    y = np.sin(rows[:, 0])
    solver = Auto(memory_limit="4 GiB", time_limit=0.02)
    model = KernelRegressor(Laplace(4.0), ridge=0.1, solver=solver).fit(rows, y)
    assert "exact: too little time" in model.solution_.how
    assert len(model.X_fit_) < 1000
    assert model.score(rows, y) > 0.95
    with pytest.raises(MemoryLimitExceeded):
        KernelRegressor(Laplace(4.0), ridge=0.1, solver=Auto(memory_limit="1 MiB")).fit(rows, y)


@pytest.mark.parametrize("way", WAYS)
def test_probabilities_are_calibrated(way):
    rows, labels = load_breast_cancer(return_X_y=True)
    model = KernelClassifier(Laplace(8.0), solver=way).fit(rows[::2], labels[::2])
    probability = model.predict_proba(rows[1::2])
    # Logistic regression reaches about 0.08 there, the shares of the classes 0.66.
    assert log_loss(labels[1::2], probability) < 0.12
    assert model.leave_one_out_scores_.shape == (len(labels[::2]), 2)
    assert model.score(rows[1::2], labels[1::2]) > 0.95


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("learner", [KernelRegressor, KernelClassifier])
def test_a_saved_model_predicts_the_same(way, learner, tmp_path):
    y = Y if learner is KernelRegressor else (Y > 140).astype(int) + (Y > 200)
    model = learner(Laplace(4.0), solver=way).fit(X, y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.solver == way
    assert again.solution_.how == model.solution_.how


@pytest.mark.parametrize("way", WAYS)
def test_targets_and_weights_count_as_in_the_exact_way(way):
    weight = np.arange(len(X)) % 3
    both = np.c_[Y, -2 * Y]
    options = {"kernel": Gaussian(8.0), "ridge": 0.01, "solver": way}
    weighted = KernelRegressor(**options).fit(X, both, sample_weight=weight)
    exact = KernelRegressor(Gaussian(8.0), ridge=0.01).fit(X, both, sample_weight=weight)
    spread = np.std(exact.predict(X), axis=0)
    apart = np.sqrt(np.square(weighted.predict(X) - exact.predict(X)).mean(axis=0))
    assert (apart < 0.03 * spread).all()


@pytest.mark.parametrize("way", WAYS)
def test_an_absolute_ridge_is_over_the_mean_diagonal(way):
    model = KernelRegressor(7.0 * Laplace(4.0), ridge=0.7, ridge_scale="absolute", solver=way).fit(X, Y)
    assert model.ridge_ == pytest.approx(0.1)


@pytest.mark.parametrize("solver", ["exact", "landmarks", "iterative"])
def test_a_fit_that_is_stopped_leaves_nothing_fitted(solver, monkeypatch):
    model = KernelRegressor(Laplace(4.0), ridge=0.1, solver=solver).fit(X, Y)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(KernelRegressor, "_solve", stop)
    monkeypatch.setattr(large_fits, "fit_reduced", stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert [name for name in vars(model) if name.endswith("_")] == []


def test_a_stopped_iteration_goes_on_from_its_checkpoint(tmp_path):
    steps = []

    def stop(count, _):
        steps.append(count)
        if len(steps) == 4:
            raise KeyboardInterrupt

    path = tmp_path / "state"
    options = {"tolerance": 1e-6, "rank": 0, "checkpoint": path}
    solver = ConjugateGradient(**options, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        KernelRegressor(Laplace(4.0), ridge=0.1, solver=solver).fit(X, Y)
    assert path.exists()
    first = []
    solver = ConjugateGradient(**options, progress=lambda count, _: first.append(count))
    model = KernelRegressor(Laplace(4.0), ridge=0.1, solver=solver).fit(X, Y)
    assert first[0] == 5
    assert model.solution_.converged


def test_a_function_of_two_arrays_has_no_landmarks():
    with pytest.raises(InvalidInput, match="kernel of this package"):
        KernelRegressor(lambda X, Y=None: Laplace(1.0)(X, Y), solver="landmarks").fit(X, Y)
