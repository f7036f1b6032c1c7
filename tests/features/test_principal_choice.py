"""Which products are chosen, against an enumeration of all of them."""

from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
import pytest

from widenet.architectures import fully_connected
from widenet.features.angle_terms import AngleForm
from widenet.features.principal_choice import axis_functions, choose_products
from widenet.features.rows import read_rows
from widenet.kernels import NTK

RANDOM = np.random.default_rng(5)
W = RANDOM.standard_normal((40, 3)) * [1.0, 0.5, 0.2]
# One function of each degree from 0 to 3, and a second, fainter one of degree 1.
DEGREES = np.array([0, 1, 2, 3, 1])
WEIGHTS = RANDOM.uniform(0.9, 1.1, (40, 5)) * [1.0, 0.8, 0.5, 0.3, 0.01]


def every_product():
    """Coordinates of every product up to degree 3, and the mean square of its feature."""
    for degree in range(4):
        for chosen in combinations_with_replacement(range(3), degree):
            counts = [chosen.count(k) for k in range(3)]
            multinomial = factorial(degree) / prod(factorial(c) for c in counts)
            values = multinomial * np.prod(W ** (2 * np.array(counts)), 1)
            for function in np.nonzero(degree == DEGREES)[0]:
                yield (chosen, int(function)), float(np.mean(values * WEIGHTS[:, function] ** 2))


def coordinates_of(products, number):
    chosen = []
    while number:
        number, last = products.monomials[number - 1]
        chosen.append(int(last))
    return tuple(sorted(chosen))


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_the_largest_mean_squares_are_chosen(size):
    products = choose_products(W, WEIGHTS, DEGREES, size)
    expected = sorted(every_product(), key=lambda pair: -pair[1])[:size]
    found = [(coordinates_of(products, m), f) for m, f in products.features.tolist()]
    assert found == [name for name, _ in expected]
    np.testing.assert_allclose(products.energies, [energy for _, energy in expected], rtol=1e-12)


def test_factors_multiply_to_roots_of_multinomial_coefficients():
    products = choose_products(W, WEIGHTS, DEGREES, 100)
    factors = [1.0]
    for (parent, _), factor in zip(products.monomials, products.factors, strict=True):
        factors.append(factors[parent] * factor)
    for number, factor in enumerate(factors):
        chosen = coordinates_of(products, number)
        counts = [chosen.count(k) for k in range(3)]
        assert factor**2 == pytest.approx(factorial(len(chosen)) / prod(factorial(c) for c in counts))


def test_functions_of_the_axis_are_derivatives_of_the_kernel():
    kernel = NTK(fully_connected(1, scaling="geifman"))
    form = AngleForm.require(kernel, read_rows(np.eye(3), "test"), "test")
    axis = np.linspace(0.5, 0.9, 50)
    functions = axis_functions(form, axis)
    norms = np.full(50, 2.0)
    values = functions(axis, norms)
    ab = np.outer(axis, axis)
    arc = np.pi - np.arccos(ab)
    # kappa = (sqrt(1 - s^2) + 2 s (pi - arccos s)) / pi and its derivatives, by hand.
    closed = [
        (np.sqrt(1 - ab**2) + 2 * ab * arc) / np.pi,
        (2 * arc + ab / np.sqrt(1 - ab**2)) / np.pi,
        (3 - 2 * ab**2) / (1 - ab**2) ** 1.5 / np.pi / 2,
    ]
    for degree, expected in enumerate(closed):
        part = values[:, functions.degrees == degree]
        np.testing.assert_allclose(part @ part.T, 4 * expected, rtol=2e-3)
