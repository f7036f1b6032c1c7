"""TensorSketch and sketches of products of two inputs."""

import numpy as np
import pytest
from scipy import sparse

from widenet.errors import InvalidInput
from widenet.features.hashing import buckets, draw_keys, mixed, signs
from widenet.features.tensor_sketch import ProductSketch, TensorSketch


def test_a_tensorsketch_is_the_countsketch_of_the_tensor_power():
    X = np.random.default_rng(0).normal(size=(3, 5))
    bits = [mixed(key, np.arange(5)) for key in draw_keys("TensorSketch", 2, 3)]
    expected = np.zeros((3, 11))
    for index in np.ndindex(5, 5, 5):
        place = sum(buckets(b, 11)[k] for b, k in zip(bits, index, strict=True)) % 11
        sign = np.prod([signs(b)[k] for b, k in zip(bits, index, strict=True)])
        expected[:, place] += sign * X[:, list(index)].prod(1)
    np.testing.assert_allclose(TensorSketch(5, 3, 11, seed=2).apply(X), expected, atol=1e-12)


@pytest.mark.parametrize("transform", ["hadamard", "fourier", "count"])
def test_products_are_unbiased_with_at_most_the_stated_variance(transform):
    draws, seeds, pairs = np.random.default_rng(0), 100, 20
    X, Y = draws.normal(size=(2 * pairs, 48)), draws.normal(size=(2 * pairs, 20))
    X, Y = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, Y))
    errors = np.empty((seeds, pairs, 2))
    truths = (X[::2] * X[1::2]).sum(1) * (Y[::2] * Y[1::2]).sum(1)
    for seed in range(seeds):
        Z = ProductSketch((48, 20), 128, seed, transform).apply(X, Y)
        errors[seed] = np.stack([(Z[::2] ** 2).sum(1) - 1, (Z[::2] * Z[1::2]).sum(1) - truths], 1)
    means, squares = errors.mean(1), (errors**2).mean((0, 1))
    assert np.all(np.abs(means.mean(0)) < 4 * means.std(0) / np.sqrt(seeds))
    assert np.all(128 * squares < 10)
    bounds = [ProductSketch((48, 20), 128, 0, transform).variance(pair) for pair in ((1.0, 1.0), (0.3, 0.3))]
    assert np.all(squares < np.array(bounds) * 1.2)


def test_all_pairs_are_exact():
    draws = np.random.default_rng(0)
    X, Y = draws.normal(size=(4, 16)), draws.normal(size=(4, 3))
    Z = ProductSketch((16, 3), 256).apply(X, Y)
    np.testing.assert_allclose(Z @ Z.T, (X @ X.T) * (Y @ Y.T), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("X", "Y", "words"),
    [
        (np.ones((2, 16)), np.ones((3, 3)), "as many rows"),
        (np.ones((2, 16)), np.ones((2, 3), np.float32), "one precision"),
        (np.ones((2, 15)), np.ones((2, 3)), "rows of 16"),
        (sparse.csr_array(np.ones((2, 16))), np.ones((2, 3)), "dense"),
    ],
)
def test_rows_that_do_not_pair_are_refused(X, Y, words):
    with pytest.raises(InvalidInput, match=words):
        ProductSketch((16, 3), 32).apply(X, Y)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TensorSketch(4, 0, 8), "degree"),
        (lambda: ProductSketch((4, 0), 8), "dimensions"),
        (lambda: ProductSketch((4, 4), 7, transform="fourier"), "even"),
        (lambda: ProductSketch((4, 4), 0), "size"),
    ],
)
def test_bad_sizes_are_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()
