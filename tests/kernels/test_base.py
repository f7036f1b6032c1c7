"""The algebra of kernels: values, expressions and refusals."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from widenet.architectures import Erf, fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import NTK, ArcCosine, Gaussian, Kernel, Laplace, Linear, Matern, Product, Scaled, Sum

A, B, C = Laplace(0.7), Linear(1.5), Gaussian(2.0)
X = np.random.default_rng(0).standard_normal((7, 3))
Y = np.random.default_rng(1).standard_normal((5, 3))

# The expression as a person writes it, and the value that it stands for.
EXPRESSIONS = [
    ("Laplace(scale=0.7) + Linear(bias=1.5) + Gaussian(scale=2.0)", Sum(Sum(A, B), C)),
    ("Laplace(scale=0.7) + (Linear(bias=1.5) + Gaussian(scale=2.0))", Sum(A, Sum(B, C))),
    ("Laplace(scale=0.7) * Linear(bias=1.5) * Gaussian(scale=2.0)", Product(Product(A, B), C)),
    ("Laplace(scale=0.7) * (Linear(bias=1.5) * Gaussian(scale=2.0))", Product(A, Product(B, C))),
    ("(Laplace(scale=0.7) + Linear(bias=1.5)) * Gaussian(scale=2.0)", Product(Sum(A, B), C)),
    ("Laplace(scale=0.7) * Linear(bias=1.5) + Gaussian(scale=2.0)", Sum(Product(A, B), C)),
    ("0.5 * (2.0 * Laplace(scale=0.7))", Scaled(0.5, Scaled(2.0, A))),
    ("0.5 * (Laplace(scale=0.7) * Linear(bias=1.5))", Scaled(0.5, Product(A, B))),
    ("0.5 * Laplace(scale=0.7) * Linear(bias=1.5)", Product(Scaled(0.5, A), B)),
    ("Laplace(scale=0.7) * (0.5 * Linear(bias=1.5))", Product(A, Scaled(0.5, B))),
    ("0.5 * (Laplace(scale=0.7) + Linear(bias=1.5))", Scaled(0.5, Sum(A, B))),
    ("0.5 * Laplace(scale=0.7) + 2.0 * Linear(bias=1.5)", Sum(Scaled(0.5, A), Scaled(2.0, B))),
]


@pytest.mark.parametrize(("text", "kernel"), EXPRESSIONS)
def test_an_expression_is_the_value_it_shows(text, kernel):
    assert repr(kernel) == text
    names = {kind.__name__: kind for kind in (Laplace, Linear, Gaussian)}
    assert eval(text, names) == kernel


@pytest.mark.parametrize(("text", "kernel"), EXPRESSIONS)
def test_different_groupings_are_different_values(text, kernel):
    assert sum(other == kernel for _, other in EXPRESSIONS) == 1


def test_entries_add_multiply_and_scale():
    a, b = A(X, Y), B(X, Y)
    np.testing.assert_allclose((A + B)(X, Y), a + b, rtol=1e-15)
    np.testing.assert_allclose((A * B)(X, Y), a * b, rtol=1e-15)
    np.testing.assert_allclose((0.25 * A)(X, Y), 0.25 * a, rtol=1e-15)
    np.testing.assert_allclose((A * 3 + 2 * (A * B))(X, Y), 3 * a + 2 * a * b, rtol=1e-14)
    np.testing.assert_allclose((A * 3 + 2 * (A * B)).diagonal(X), 3 + 2 * (np.sum(X**2, 1) + 2.25), rtol=1e-14)


def test_compositions_in_the_angle_agree_with_their_entries():
    # ArcCosine and Linear have terms in the angle, so this sum and product run through the angle profile.
    kernel = 0.5 * ArcCosine(1) * Linear(2.0) + ArcCosine(2)
    entries = 0.5 * ArcCosine(1)(X, Y) * (X @ Y.T + 4.0) + ArcCosine(2)(X, Y)
    np.testing.assert_allclose(kernel(X, Y), entries, rtol=1e-12, atol=1e-13)
    assert len(kernel._angular(3, None) or ()) == 3


def test_zero_rows_in_a_composition_with_a_constant():
    # |0| has no angle: the linear kernel's constant must survive where its point is 0.
    kernel, points = ArcCosine(1) + Linear(2.0), np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    np.testing.assert_allclose(kernel(points), points @ points.T * [[1, 1, 1]] * 2 + 4.0, rtol=1e-15)
    mixed = kernel + Laplace(1.0)
    np.testing.assert_allclose(mixed(points) - Laplace(1.0)(points), kernel(points), rtol=1e-14)


@pytest.mark.parametrize("factor", [2, np.float64(2), np.float32(2), np.int64(2), Fraction(2), True])
def test_factors_of_every_real_kind(factor):
    expected = Scaled(float(factor), A)
    assert factor * A == expected == A * factor
    assert repr(Scaled(np.float64(2.0), A)) == "2.0 * Laplace(scale=0.7)"


@pytest.mark.parametrize("factor", [-1.0, float("inf"), float("nan")])
def test_factors_that_make_no_kernel(factor):
    with pytest.raises(InvalidInput, match="factor"):
        factor * A


@pytest.mark.parametrize("other", ["2", None, [1.0], 2j])
def test_what_is_not_a_number_or_kernel(other):
    for operate in (lambda: A + other, lambda: A * other, lambda: other * A):
        with pytest.raises(TypeError):
            operate()


def test_the_same_object_twice_is_one_set_of_points():
    points = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32) + 100
    for kernel in (A, ArcCosine(1), B):
        np.testing.assert_array_equal(kernel(points, points), kernel(points))


def test_the_input_is_left_as_it_was():
    points, others = X.copy(), Y.copy()
    tensor = torch.from_numpy(points)
    for kernel in (A, B, Matern(1.0, 1.5), A * B + C):
        kernel(points, others), kernel(tensor), kernel.diagonal(points)
    np.testing.assert_array_equal(points, X)
    np.testing.assert_array_equal(others, Y)


def test_a_few_points_of_one_norm_compile_no_profile():
    def seen(kernel, points):
        return kernel._angular_terms(torch.from_numpy(points), None) is not None

    units = np.random.default_rng(2).standard_normal((128, 4))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    network = NTK(fully_connected(2, Erf(), bias_std=0.3))
    for kernel in (Laplace(0.9), network):
        assert seen(kernel, units)
        assert not seen(kernel, units[:127])
        np.testing.assert_allclose(kernel(units[:127]), kernel(units)[:127, :127], rtol=1e-12, atol=1e-13)
    assert seen(NTK(fully_connected(2)), units[:1])  # holds for points of any norm, and is compiled once for all


def test_a_kernel_is_abstract():
    with pytest.raises(TypeError):
        Kernel()  # pyright: ignore[reportAbstractUsage]
