"""The laws of all sketches: unbiased with the stated variance, the same for sparse and dense rows, in any blocks."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from widenet.errors import InvalidInput
from widenet.features.count_sketch import OSNAP, CountSketch
from widenet.features.poly_sketch import PolySketch
from widenet.features.subsampled_transforms import SRHT, ComplexSRHT
from widenet.features.tensor_sketch import TensorSketch

D, M = 48, 128
SKETCHES = [
    CountSketch(D, M),
    OSNAP(D, M, parts=4),
    SRHT(D, 32),
    ComplexSRHT(D, 32),
    TensorSketch(D, degree=2, size=M),
    TensorSketch(D, degree=3, size=M),
    PolySketch(D, (0, M), transform="hadamard"),
    PolySketch(D, (0, M), transform="fourier"),
    PolySketch(D, (0, M), transform="count"),
    PolySketch(D, (0, 0, 0, 0, M), width=M, shape="tree"),
    PolySketch(D, (0, 0, 0, 0, M), width=M, shape="chain"),
    PolySketch(D, (0, 0, M), width=M, transform="fourier"),
    PolySketch(D, (0, 0, M), width=M, transform="count"),
    PolySketch(5000, (0, M, M), width=M),  # hashed leaves
    PolySketch(5000, (0, M), width=M, transform="fourier"),
]
EVERY = pytest.mark.parametrize("sketch", SKETCHES, ids=repr)


def _degree(sketch):
    return 1 if isinstance(sketch, (CountSketch, OSNAP, SRHT, ComplexSRHT)) else sketch.degree


def _last(sketch, Z):
    """The columns of the largest power."""
    return Z[:, sum(sketch.sizes[:-1]) :] if isinstance(sketch, PolySketch) else Z


def _variance(sketch, cosine):
    return sketch.variance(cosine, sketch.degree) if isinstance(sketch, PolySketch) else sketch.variance(cosine)


def _pair(dimension, number):
    """Two unit rows of cosine 0.8 and one orthogonal to both, spread over all coordinates."""
    axes = np.linalg.qr(np.random.default_rng(number).normal(size=(dimension, 3)))[0].T
    return np.stack([axes[0], 0.8 * axes[0] + 0.6 * axes[1], axes[2]])


def _rows(sketch, n=37, density=0.4):
    draws = np.random.default_rng(5)
    return draws.normal(size=(n, sketch.dimension)) * (draws.random((n, sketch.dimension)) < density)


@EVERY
def test_inner_products_are_unbiased_with_at_most_the_stated_variance(sketch):
    # 2,000 draws of a seed and a pair, of which 20 share a seed; means of a seed are independent.
    seeds, pairs = 100, 20
    X = np.concatenate([_pair(sketch.dimension, number) for number in range(pairs)])
    products = np.empty((seeds, pairs, 3))
    for seed in range(seeds):
        Z = _last(sketch, replace(sketch, seed=seed).apply(X)).reshape(pairs, 3, -1)
        products[seed] = np.einsum("pi,pki->pk", Z[:, 0], Z)
    truths = np.array([1.0, 0.8, 0.0]) ** _degree(sketch)
    errors = products - truths
    of_seeds = errors.mean(1)
    assert np.all(np.abs(of_seeds.mean(0)) <= 4 * of_seeds.std(0, ddof=1) / np.sqrt(seeds) + 1e-12)
    squares = (errors**2).mean(1)
    variances, noise = squares.mean(0), squares.std(0, ddof=1) / np.sqrt(seeds)
    bounds = np.array([_variance(sketch, cosine) for cosine in (1.0, 0.8, 0.0)])
    assert np.all(variances <= bounds + 4 * noise + 1e-12)
    assert np.all(bounds <= 12 * np.maximum(variances, 0.2 / M))  # no empty bound
    if _degree(sketch) == 2:
        assert np.all(M * variances < 10)


@EVERY
def test_sparse_rows_have_the_features_of_dense_ones(sketch):
    X = _rows(sketch)
    X[4] = 0
    for form in (sparse.csr_array(X), sparse.csr_matrix(X), sparse.csc_array(X)):
        Z = sketch.apply(X)
        np.testing.assert_allclose(sketch.apply(form), Z, rtol=0, atol=1e-12 * np.abs(Z).max())
    assert np.all(sketch.apply(sparse.csr_array(X))[4] == 0)


@EVERY
def test_blocks_of_rows_have_the_features_of_all(sketch):
    X = _rows(sketch)
    whole = sketch.apply(X)
    parts = [sketch.apply(X[rows]) for rows in (slice(0, 1), slice(1, 20), slice(20, 37))]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12, atol=1e-12 * np.abs(whole).max())


@EVERY
def test_precision_array_kind_and_sizes_are_kept(sketch):
    X = _rows(sketch, n=5)
    Z = sketch.apply(X)
    assert Z.dtype == np.float64
    assert Z.shape == (5, sketch.size)
    single = sketch.apply(X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, Z, rtol=0, atol=1e-5 * np.abs(Z).max())
    tensor = sketch.apply(torch.from_numpy(X))
    assert isinstance(tensor, torch.Tensor)
    assert np.array_equal(tensor.numpy(), Z)
    assert sketch.apply(sparse.csr_array(X.astype(np.float32))).dtype == np.float32


@EVERY
def test_a_sketch_is_a_value(sketch):
    X = _rows(sketch, n=3)
    names = {kind.__name__: kind for kind in (CountSketch, OSNAP, SRHT, ComplexSRHT, TensorSketch, PolySketch)}
    again = eval(repr(sketch), names)
    assert again == sketch
    assert np.array_equal(pickle.loads(pickle.dumps(sketch)).apply(X), sketch.apply(X))
    assert np.array_equal(again.apply(X), sketch.apply(X))
    assert not np.allclose(replace(sketch, seed=1).apply(X), sketch.apply(X))


@EVERY
def test_other_rows_are_refused(sketch):
    with pytest.raises(InvalidInput, match=f"rows of {sketch.dimension} numbers"):
        sketch.apply(np.ones((2, sketch.dimension + 1)))
    with pytest.raises(InvalidInput, match="finite"):
        sketch.apply(np.full((2, sketch.dimension), np.nan))


@pytest.mark.parametrize("kind", [CountSketch, OSNAP, SRHT, ComplexSRHT])
def test_bad_sizes_are_refused(kind):
    for dimension, size, seed in ((0, 8, 0), (8, 0, 0), (8, 8, -1), (True, 8, 0)):
        with pytest.raises(InvalidInput, match=kind.__name__):
            kind(dimension, size, seed)
