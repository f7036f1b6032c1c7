"""Stationary kernels against their formulas, scikit-learn, and limits between them."""

from math import sqrt

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import RBF
from sklearn.gaussian_process.kernels import Matern as SklearnMatern

from widenet.errors import InvalidInput
from widenet.kernels import GammaExponential, Gaussian, Homogeneous, Laplace, Matern, Normalized
from widenet.kernels.stationary import Stationary

generator = np.random.default_rng(5)
X, Y = generator.standard_normal((30, 6)), generator.standard_normal((20, 6))
R = np.sqrt(((X[:, None] - Y[None]) ** 2).sum(2))


def test_the_formulas():
    np.testing.assert_allclose(Laplace(1.7)(X, Y), np.exp(-R / 1.7), rtol=1e-13)
    np.testing.assert_allclose(GammaExponential(1.7, 0.6)(X, Y), np.exp(-((R / 1.7) ** 0.6)), rtol=1e-13)
    np.testing.assert_allclose(Gaussian(1.7)(X, Y), np.exp(-(R**2) / (2 * 1.7**2)), rtol=1e-13)


def test_scikit_learn():
    np.testing.assert_allclose(Gaussian(0.8)(X, Y), RBF(0.8)(X, Y), rtol=1e-12)
    for smoothness in (0.5, 1.5, 2.5, 3.5, 6.5):
        expected = SklearnMatern(1.3, nu=smoothness)(X, Y)
        np.testing.assert_allclose(Matern(1.3, smoothness)(X, Y), expected, rtol=1e-10)


def test_limits_between_them():
    np.testing.assert_allclose(GammaExponential(1.3, 1.0)(X, Y), Laplace(1.3)(X, Y), rtol=1e-15)
    np.testing.assert_allclose(GammaExponential(1.3 * sqrt(2), 2.0)(X, Y), Gaussian(1.3)(X, Y), rtol=1e-13)
    np.testing.assert_allclose(Matern(1.3, 0.5)(X, Y), Laplace(1.3)(X, Y), rtol=1e-14)
    error = [np.max(np.abs(Matern(1.3, s)(X, Y) - Gaussian(1.3)(X, Y))) for s in (4.5, 9.5, 19.5)]
    assert error[0] > 1.7 * error[1] > 2.9 * error[2] > 0.0


KERNELS = [Laplace(0.9), GammaExponential(0.9, 0.5), GammaExponential(0.9, 1.5), Gaussian(0.9), Matern(0.9, 2.5)]


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_on_the_sphere_it_is_the_profile_of_the_chord(kernel):
    radius = 2.3
    U = radius * X / np.linalg.norm(X, axis=1, keepdims=True)
    V = radius * Y / np.linalg.norm(Y, axis=1, keepdims=True)
    chord = np.sqrt(((U[:, None] - V[None]) ** 2).sum(2))
    line = np.zeros((1, 1)), chord.reshape(-1, 1)
    np.testing.assert_allclose(kernel(U, V), kernel(*line).reshape(chord.shape), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [Laplace, Gaussian, Matern])
def test_small_values_on_a_sphere_keep_their_digits(kind, dtype):
    points = generator.standard_normal((150, 4))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(dtype)
    kernel, wide = kind(0.2), points.astype(np.float64)
    chord = np.sqrt(((wide[:, None] - wide[None]) ** 2).sum(2))
    expected = kernel(np.zeros((1, 1)), chord.reshape(-1, 1)).reshape(chord.shape)
    rtol = 1e-11 if dtype == np.float64 else 2e-4
    atol = 1e-37  # float32 has no digits below
    np.testing.assert_allclose(kernel(points), expected, rtol=rtol, atol=atol)
    np.testing.assert_allclose((2.0 * Homogeneous(kernel) + kernel)(points), 3 * expected, rtol=rtol, atol=atol)
    np.testing.assert_allclose(Normalized(kernel * kernel)(points), expected**2, rtol=2 * rtol, atol=atol)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_single_precision_with_duplicates_and_near_duplicates(kernel):
    points = (50 + generator.standard_normal((300, 20))).astype(np.float32)
    points[100:150] = points[:50]
    steps = np.logspace(-3, -6, 50)[:, None] * np.sign(generator.standard_normal((50, 20)))
    points[150:200] = points[:50] + steps.astype(np.float32)
    wide = kernel(points.astype(np.float64))
    found = kernel(points)
    assert found.dtype == np.float32
    assert np.max(np.abs(found - wide)) < 1e-6
    assert np.all(found[np.arange(50), np.arange(100, 150)] == 1)
    assert np.all(np.diagonal(found) == 1)


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("kind", [Laplace, Gaussian])
def test_tiny_and_huge_points_in_single_precision(size, kind):
    unit = size * X.astype(np.float32)
    np.testing.assert_allclose(kind(1.1 * size)(unit), kind(1.1)(X.astype(np.float32)), rtol=2e-5)


def test_far_points_have_no_correlation():
    line = np.array([[0.0], [1e200]])
    for kernel in [*KERNELS, Matern(1.0, 20.5)]:
        np.testing.assert_array_equal(kernel(line), np.eye(2))
        np.testing.assert_array_equal(kernel((line / 1e170).astype(np.float32)), np.eye(2))


def test_the_largest_scales():
    for kind in (Laplace, Gaussian, Matern):
        np.testing.assert_array_equal(kind(1.7e308)(X), np.ones((30, 30)))
        assert kind(1.7e308)(np.array([[0.0], [1.7e308]]))[0, 1] == pytest.approx(kind(1.0)(np.eye(2)[:, :1])[0, 1])


def test_points_with_positions_count_as_vectors():
    images = generator.standard_normal((4, 3, 2, 2))
    np.testing.assert_allclose(Laplace(2.0)(images), Laplace(2.0)(images.reshape(4, 12)), rtol=1e-14)


@pytest.mark.parametrize("kernel", [*KERNELS, GammaExponential(1.1, 0.3)], ids=repr)
def test_gradients_stay_finite_at_coincident_points(kernel):
    points = torch.tensor([[0.0, 1.0], [0.0, 1.0], [2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    kernel(points).sum().backward()
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()
    # The third point sees the two equal ones twice each: 2 * 2 dK/dr (x3 - x1) / r.
    one = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    third = torch.tensor([[2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    (4 * kernel(third, one)).sum().backward()
    torch.testing.assert_close(points.grad[2], third.grad[0])  # pyright: ignore[reportOptionalSubscript]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_scales_that_make_no_kernel(value):
    for kind in (Laplace, Gaussian, Matern, GammaExponential):
        with pytest.raises(InvalidInput, match=f"{kind.__name__}.scale must be finite and positive"):
            kind(value)


@pytest.mark.parametrize("gamma", [0.0, 2.1, -1.0])
def test_exponents_that_make_no_kernel(gamma):
    with pytest.raises(InvalidInput, match="gamma"):
        GammaExponential(1.0, gamma)


@pytest.mark.parametrize("smoothness", [1.0, 0.7, 21.5, -0.5])
def test_smoothness_without_a_closed_form(smoothness):
    with pytest.raises(InvalidInput, match="smoothness"):
        Matern(1.0, smoothness)


def test_numpy_arguments_become_plain_numbers():
    assert repr(Laplace(np.float64(2.0))) == "Laplace(scale=2.0)"
    assert repr(GammaExponential(np.float64(2.0), np.float64(0.5))) == "GammaExponential(scale=2.0, gamma=0.5)"
    with pytest.raises(TypeError):
        Stationary(1.0)  # pyright: ignore[reportAbstractUsage]
