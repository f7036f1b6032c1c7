"""Kernels of the inner product and of the angle, against quadrature, integrals and 40-digit arithmetic."""

from math import pi

import mpmath as mp
import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from widenet.errors import InvalidInput
from widenet.kernels import ArcCosine, Laplace, Linear, Zonal, ZonalAngle

generator = np.random.default_rng(2)
X, Y = generator.standard_normal((12, 4)), generator.standard_normal((9, 4))


def kinked(u: torch.Tensor) -> torch.Tensor:
    return torch.exp(-torch.sqrt(2 * (1 - u)))


def test_linear():
    np.testing.assert_allclose(Linear()(X, Y), X @ Y.T, atol=1e-14)
    np.testing.assert_allclose(Linear(1.5)(X, Y), X @ Y.T + 2.25, atol=1e-14)
    np.testing.assert_allclose(Linear(1.5).diagonal(X), np.sum(X**2, 1) + 2.25, rtol=1e-14)
    cube = generator.standard_normal((3, 2, 5))
    np.testing.assert_allclose(Linear()(cube), np.einsum("iab,jab->ij", cube, cube), rtol=1e-13)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("theta", [0.3, pi / 2, 2.6])
def test_arc_cosine_kernels_are_integrals_over_gaussian_weights(order, theta):
    # 2 E[(w.x)_+^n (w.y)_+^n] in polar coordinates of the plane of x and y.
    x, y = np.array([[1.5, 0.0]]), 0.8 * np.array([[np.cos(theta), np.sin(theta)]])

    def density(radius: float, angle: float) -> float:
        powers = (1.5 * np.cos(angle) * 0.8 * np.cos(angle - theta)) ** order
        return 2 * radius ** (2 * order + 1) * np.exp(-(radius**2) / 2) / (2 * pi) * powers

    # Both inner products are positive for angles between theta - pi/2 and pi/2.
    expected, _ = dblquad(density, theta - pi / 2, pi / 2, 0, 12)
    np.testing.assert_allclose(ArcCosine(order)(x, y)[0, 0], expected, rtol=1e-7)


def test_arc_cosine_kernels_in_the_published_form():
    # Cho and Saul 2009: J_2 = 3 sin cos + (pi - t)(1 + 2 cos^2).
    angle = np.linspace(0, pi, 11)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    expected = (3 * np.sin(angle) * np.cos(angle) + (pi - angle) * (1 + 2 * np.cos(angle) ** 2)) / pi
    np.testing.assert_allclose(ArcCosine(2)(points[:1], points)[0], expected, atol=1e-14)


@pytest.mark.parametrize("order", [0, 1, 2, 5, 8])
def test_the_diagonal_is_a_double_factorial(order):
    expected = float(mp.fac2(2 * order - 1)) * np.sum(X**2, 1) ** order
    np.testing.assert_allclose(ArcCosine(order).diagonal(X), expected, rtol=1e-13)
    np.testing.assert_allclose(np.diagonal(ArcCosine(order)(X)), expected, rtol=1e-13)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
def test_nearly_parallel_points_against_forty_digits(order, step):
    mp.mp.dps = 40
    x = np.array([[1.0, 2.0, -1.0]])
    y = x + step * np.array([[1.0, -1.0, 0.5]])
    a, b = [mp.mpf(float(v)) for v in x[0]], [mp.mpf(float(v)) for v in y[0]]
    size = mp.sqrt(mp.fsum(v * v for v in a) * mp.fsum(v * v for v in b))
    theta = mp.acos(mp.fsum(v * w for v, w in zip(a, b, strict=True)) / size)
    value = mp.pi - theta if order == 0 else mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)
    np.testing.assert_allclose(ArcCosine(order)(x, y)[0, 0], float(size**order * value / mp.pi), rtol=1e-14)
    # What is left of the diagonal, theta / pi for order 0, keeps its digits.
    if order == 0:
        np.testing.assert_allclose(1 - ArcCosine(0)(x, y)[0, 0], float(theta / mp.pi), rtol=1e-9, atol=2e-16)


def test_zero_rows():
    zero = np.vstack([X[:2], np.zeros((1, 4))])
    assert np.all(ArcCosine(1)(zero)[2] == 0)
    for kernel in (ArcCosine(0), Zonal(torch.exp), ZonalAngle(torch.cos)):
        for call in (kernel, kernel.diagonal):
            with pytest.raises(InvalidInput, match="row 2"):
                call(zero)


def test_zonal_kernels():
    cosine = X @ Y.T / np.linalg.norm(X, axis=1)[:, None] / np.linalg.norm(Y, axis=1)
    np.testing.assert_allclose(Zonal(torch.exp)(X, Y), np.exp(cosine), rtol=1e-13)
    np.testing.assert_allclose(ZonalAngle(torch.cos)(X, Y), cosine, atol=1e-14)
    np.testing.assert_allclose(Zonal(torch.exp).diagonal(X), np.full(12, np.e), rtol=1e-15)


def test_a_kink_at_zero_is_exact_as_a_function_of_the_angle():
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    kernel = ZonalAngle(lambda theta: torch.exp(-2 * torch.sin(theta / 2)))
    np.testing.assert_allclose(kernel(unit), Laplace(1.0)(unit), rtol=1e-12)
    near = np.array([[1.0, 0.0], [1.0, 1e-7]])
    np.testing.assert_allclose(1 - kernel(near)[0, 1], 1e-7, rtol=1e-7)
    # As a function of the cosine the same kernel is right to the root of the rounding.
    np.testing.assert_allclose(Zonal(kinked)(unit), Laplace(1.0)(unit), atol=1e-7)


def test_expressions_of_functions():
    assert repr(Zonal(torch.exp)) == "Zonal(torch.exp)"
    assert repr(ZonalAngle(kinked)) == "ZonalAngle(kinked)"
    assert Zonal(kinked) == Zonal(kinked) != ZonalAngle(kinked)


@pytest.mark.parametrize("order", [-1, 21, True])
def test_orders_without_a_kernel(order):
    with pytest.raises(InvalidInput, match="order"):
        ArcCosine(order)


def test_a_negative_bias_is_refused():
    with pytest.raises(InvalidInput, match=r"Linear\.bias"):
        Linear(-0.1)
