"""Features of sums, products and factors of kernels, against the kernels of their parts."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from widenet.errors import InvalidInput
from widenet.features.combined import ProductFeatures, ScaledFeatures, SumFeatures
from widenet.features.fourier import FourierFeatures
from widenet.kernels import Gaussian, Laplace

X = np.random.default_rng(0).random((30, 3))
FIRST, SECOND = FourierFeatures(Laplace(1.5), 20), FourierFeatures(Gaussian(1.5), 40, seed=7)
Z1, Z2 = FIRST(X), SECOND(X)


def test_a_sum_is_side_by_side():
    both = SumFeatures(FIRST, SECOND)
    assert (both.size, both.seed) == (60, 0)
    np.testing.assert_array_equal(both(X), np.hstack([Z1, Z2]))


def test_a_factor_scales_by_its_root():
    half = ScaledFeatures(0.25, FIRST)
    assert (half.size, half.seed) == (20, 0)
    np.testing.assert_array_equal(half(X), 0.5 * Z1)


def test_the_mean_of_a_product_is_the_product():
    found = [Z @ Z.T for Z in (ProductFeatures(FIRST, SECOND, 64, seed)(X) for seed in range(100))]
    expected = (Z1 @ Z1.T) * (Z2 @ Z2.T)
    error = np.std(found, 0, ddof=1) / 10
    assert (np.abs(np.mean(found, 0) - expected) < 5 * error).all()


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(SumFeatures, (FIRST, 3)), (ProductFeatures, (FIRST, SECOND, 0)), (ScaledFeatures, (-1.0, FIRST))],
)
def test_other_parts_are_refused(kind, arguments):
    with pytest.raises((InvalidInput, TypeCheckError)):
        kind(*arguments)
