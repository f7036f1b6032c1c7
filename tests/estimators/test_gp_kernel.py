"""Kernels inside scikit-learn: the contract of its kernel objects, and the number of Python calls."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC, SVR

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.estimators.gp_kernel import as_gp_kernel
from widenet.kernels import NTK, Gaussian, Kernel, Laplace

data = load_diabetes()
X, y = np.asarray(data.data)[:120] * 20, np.asarray(data.target)[:120] / 100
NEW = np.asarray(data.data)[120:150] * 20
KERNEL = NTK(fully_connected(2, bias_std=0.2))


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of all matrices that kernels were asked for."""
    shapes = []
    ordinary = Kernel.__call__

    def counted(self, X, Y=None):
        shapes.append((len(X), len(X if Y is None else Y)))
        return ordinary(self, X, Y)

    monkeypatch.setattr(Kernel, "__call__", counted)
    return shapes


def test_kernel_ridge_asks_for_whole_matrices(calls):
    model = KernelRidge(alpha=0.1, kernel=as_gp_kernel(KERNEL)).fit(X, y)  # pyright: ignore[reportArgumentType]
    predicted = model.predict(NEW)
    assert calls == [(120, 120), (30, 120)]
    expected = KERNEL(NEW, X) @ np.linalg.solve(KERNEL(X) + 0.1 * np.eye(120), y)
    np.testing.assert_allclose(predicted, expected, rtol=1e-8)


def test_nystroem_asks_for_whole_matrices(calls):
    kernel = as_gp_kernel(KERNEL)
    features = Nystroem(kernel, n_components=120, random_state=0).fit_transform(X)  # pyright: ignore[reportArgumentType]
    assert calls == [(120, 120), (120, 120)]
    np.testing.assert_allclose(features @ features.T, KERNEL(X), atol=1e-6)


def test_support_vector_machines_take_the_kernel_itself(calls):
    labels = (y > np.median(y)).astype(int)
    model = SVC(kernel=KERNEL, C=1.0).fit(X, labels)
    predicted = model.decision_function(NEW)
    assert calls == [(120, 120), (30, 120)]
    reference = SVC(kernel="precomputed", C=1.0).fit(KERNEL(X), labels)
    np.testing.assert_allclose(predicted, reference.decision_function(KERNEL(NEW, X)), atol=1e-9)
    calls.clear()
    SVR(kernel=KERNEL).fit(X, y).predict(NEW)
    assert len(calls) == 2


def test_gaussian_process_regressor_is_that_of_its_own_kernel(calls):
    ours = GaussianProcessRegressor(as_gp_kernel(Gaussian(1.3)), alpha=0.1, optimizer=None).fit(X, y)
    mean, std = ours.predict(NEW, return_std=True)
    assert len(calls) <= 4
    theirs = GaussianProcessRegressor(RBF(1.3), alpha=0.1, optimizer=None).fit(X, y)
    expected = theirs.predict(NEW, return_std=True)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-7)
    np.testing.assert_allclose(std, expected[1], rtol=1e-7)


def test_the_marginal_likelihood_moves_variance_and_noise():
    ours = as_gp_kernel(Gaussian(2.0), 1.0, (1e-3, 1e3)) + WhiteKernel(0.1)
    theirs = ConstantKernel(1.0, (1e-3, 1e3)) * RBF(2.0, "fixed") + WhiteKernel(0.1)
    found, expected = (GaussianProcessRegressor(kernel).fit(X, y) for kernel in (ours, theirs))
    np.testing.assert_allclose(found.kernel_.theta, expected.kernel_.theta, atol=1e-3)
    np.testing.assert_allclose(found.log_marginal_likelihood_value_, expected.log_marginal_likelihood_value_, rtol=1e-7)


def test_the_gradient_is_that_of_finite_differences():
    kernel = as_gp_kernel(KERNEL, 1.7, (1e-3, 1e3))
    K, gradient = kernel(X[:9], eval_gradient=True)
    assert gradient.shape == (9, 9, 1)
    step = 1e-6
    moved = [kernel.clone_with_theta(kernel.theta + sign * step)(X[:9]) for sign in (1, -1)]
    np.testing.assert_allclose(gradient[:, :, 0], (moved[0] - moved[1]) / (2 * step), rtol=1e-7)
    np.testing.assert_allclose(K, 1.7 * KERNEL(X[:9]), rtol=1e-14)


def test_a_fixed_kernel_has_no_free_parameters():
    kernel = as_gp_kernel(KERNEL)
    assert kernel.theta.shape == (0,)
    assert kernel.bounds.size == 0
    assert kernel(X[:5], eval_gradient=True)[1].shape == (5, 5, 0)
    with pytest.raises(InvalidInput, match="gradient"):
        kernel(X[:5], X[:4], eval_gradient=True)


def test_parameters_clone_and_pickle():
    kernel = as_gp_kernel(KERNEL, 2.0, (0.1, 10.0))
    assert kernel.get_params() == {"kernel": KERNEL, "variance": 2.0, "variance_bounds": (0.1, 10.0)}
    for again in (clone(kernel), pickle.loads(pickle.dumps(kernel)), kernel.clone_with_theta(kernel.theta)):
        assert again == kernel
        np.testing.assert_array_equal(again(X[:4]), kernel(X[:4]))
    np.testing.assert_allclose(kernel.theta, [np.log(2.0)])
    np.testing.assert_allclose(kernel.bounds, np.log([[0.1, 10.0]]))
    changed = kernel.set_params(kernel=Laplace(1.0))
    np.testing.assert_allclose(changed(X[:4]), 2 * Laplace(1.0)(X[:4]))


def test_diagonal_and_stationarity():
    kernel = as_gp_kernel(KERNEL, 3.0)
    np.testing.assert_allclose(kernel.diag(X), np.diagonal(kernel(X)), rtol=1e-13)
    assert not kernel.is_stationary()
    assert as_gp_kernel(Laplace(1.0)).is_stationary()
    assert repr(as_gp_kernel(Laplace(1.0), 3.0)) == "3 * (Laplace(scale=1.0))"
    assert repr(as_gp_kernel(Laplace(1.0))) == "Laplace(scale=1.0)"


def test_a_grid_search_over_kernels():
    grid = {"kernel": [as_gp_kernel(Laplace(scale)) for scale in (1e-3, 2.0)]}
    search = GridSearchCV(KernelRidge(alpha=0.1), grid, cv=3).fit(X, y)
    assert search.best_params_["kernel"].kernel == Laplace(2.0)


def test_precisions_may_differ_between_fit_and_predict():
    model = KernelRidge(alpha=0.1, kernel=as_gp_kernel(KERNEL)).fit(X, y)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(model.predict(NEW.astype(np.float32)), model.predict(NEW), rtol=1e-4)


def test_what_is_no_kernel_is_refused():
    with pytest.raises(InvalidInput, match="variance"):
        as_gp_kernel(KERNEL, -1.0)
