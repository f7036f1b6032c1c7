"""PolySketch: all powers in one pass, the variance of high degrees, weights, and what is refused."""

import numpy as np
import pytest
import torch
from scipy import sparse

from widenet.errors import InvalidInput
from widenet.features.poly_sketch import PolySketch
from widenet.features.rows import read_rows


def _unit(n, d, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.mark.parametrize("transform", ["hadamard", "fourier", "count"])
@pytest.mark.parametrize("shape", ["tree", "chain"])
def test_all_powers_come_from_one_pass(shape, transform):
    X, draws = _unit(2, 24), 300
    sizes = (64, 128, 64, 0, 256, 64)
    found = np.empty((draws, 2, len(sizes)))
    for seed in range(draws):
        sketch = PolySketch(24, sizes, seed, 256, shape, transform)
        for j, Z in enumerate(sketch.powers(X)):
            assert Z.shape == (2, sizes[j])
            found[seed, :, j] = Z[0] @ Z[0], Z[0] @ Z[1]
    truths = np.stack([np.ones(6), (X[0] @ X[1]) ** np.arange(1, 7)])
    truths[:, 3] = 0
    assert np.all(np.abs(found.mean(0) - truths) <= 4 * found.std(0) / np.sqrt(draws) + 1e-12)


@pytest.mark.parametrize(("transform", "bound"), [("hadamard", 200), ("fourier", 200), ("count", 200)])
def test_the_variance_at_degree_16_is_far_from_that_of_a_flat_sketch(transform, bound):
    # The flat TensorSketch measures 20,700 / m there, by the specification of this map.
    axes, m, draws = np.linalg.qr(np.random.default_rng(1).normal(size=(32, 2)))[0].T, 512, 200
    X = np.stack([axes[0], 0.8 * axes[0] + 0.6 * axes[1]])
    sizes = (0,) * 15 + (m,)
    found = [(PolySketch(32, sizes, seed, m, "tree", transform).apply(X) ** 2).sum(1)[0] for seed in range(draws)]
    assert abs(np.mean(found) - 1) < 4 * np.std(found) / np.sqrt(draws)
    assert m * np.var(found) < bound
    assert m * PolySketch(32, sizes, 0, m, "tree", transform).variance(1.0, 16) < 1.5 * bound


def test_weights_scale_powers_and_other_columns_stay():
    X = _unit(5, 12)
    sketch = PolySketch(12, (16, 32, 16))
    for rows in (X, sparse.csr_array(X)):
        out = torch.full((5, 70), 7.0, dtype=torch.float64)
        sketch.write(read_rows(rows, "test"), out, 4, [0.5, 2.0, -1.0])
        parts = sketch.powers(X)
        np.testing.assert_allclose(out[:, 4:20], 0.5 * parts[0], atol=1e-13)
        np.testing.assert_allclose(out[:, 20:52], 2 * parts[1], atol=1e-13)
        np.testing.assert_allclose(out[:, 52:68], -parts[2], atol=1e-13)
        assert torch.all(out[:, [0, 1, 2, 3, 68, 69]] == 7)


def test_the_largest_power_is_the_last_with_columns():
    assert PolySketch(12, (0, 8, 0, 4, 0)).degree == 4
    assert PolySketch(12, (0, 8, 0, 4, 0)).size == 12
    assert PolySketch(12, (0, 8, 0, 4, 0)).apply(_unit(2, 12)).shape == (2, 12)


def test_rows_of_a_million_coordinates_need_no_table():
    X = sparse.random_array((40, 10**6), density=5e-5, rng=np.random.default_rng(0), format="csr")
    sketch = PolySketch(10**6, (0, 256, 256, 256))
    Z = sketch.powers(X)
    K = (X @ X.T).toarray()
    for j in (2, 3, 4):
        scale = np.sqrt(np.outer(K.diagonal(), K.diagonal())) ** j
        errors = (Z[j - 1] @ Z[j - 1].T - K**j) / scale
        assert np.abs(errors).max() < 6 * np.sqrt(sketch.variance(1.0, j))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sizes": ()}, "sizes"),
        ({"sizes": (0, 0)}, "sizes"),
        ({"sizes": (8, -1)}, "sizes"),
        ({"sizes": (8,), "seed": -1}, "seed"),
        ({"sizes": (8,), "width": 1}, "width"),
        ({"sizes": (8, 7), "transform": "fourier"}, "even"),
    ],
)
def test_bad_sizes_are_refused(fields, words):
    with pytest.raises(InvalidInput, match=words):
        PolySketch(12, **fields)


def test_a_power_without_columns_has_no_variance():
    sketch = PolySketch(12, (0, 8))
    for degree in (0, 1, 3):
        with pytest.raises(InvalidInput, match="power with columns"):
            sketch.variance(0.5, degree)
