"""Products by Fourier transforms against explicit matrices and convolutions."""

import numpy as np
import pytest
import torch

from widenet.features.hashing import buckets, draw_keys, mixed, signs
from widenet.features.rows import read_rows
from widenet.features.sketch_tree import Node, plan_nodes
from widenet.features.spectral_products import CountProducts, FourierProducts


def _leaf_sketch(X, key, size):
    bits, out = mixed(key, np.arange(X.shape[1])), np.zeros((len(X), size))
    for k, (place, sign) in enumerate(zip(buckets(bits, size), signs(bits), strict=True)):
        out[:, place] += sign * X[:, k]
    return out


def test_a_convolution_of_countsketches_is_the_countsketch_of_the_product():
    X = np.random.default_rng(0).normal(size=(4, 7))
    products = CountProducts((Node(0, 2, -1, -2),), (12,), 7, 12, "test", 0)
    out = torch.empty(4, 12, dtype=torch.float64)
    products.write((read_rows(X, "test"), None), [3.0], out)
    first, second = (_leaf_sketch(X, key, 12) for key in draw_keys("test", 0, 2))
    expected = np.zeros((4, 12))
    for i in range(12):
        for j in range(12):
            expected[:, (i + j) % 12] += first[:, i] * second[:, j]
    np.testing.assert_allclose(out, 3 * expected, atol=1e-12)


def test_a_complex_product_is_that_of_explicit_matrices():
    X = np.random.default_rng(0).normal(size=(4, 7))
    products = FourierProducts((Node(0, 2, -1, -2),), (10,), 7, 7, 4, "test", 0)
    out = torch.empty(4, 10, dtype=torch.float64)
    products.write((read_rows(X, "test"), None), [1.0], out)
    F = np.exp(-2j * np.pi * np.outer(np.arange(7), np.arange(7)) / 7)
    spectra = [(X * signs(mixed(key, np.arange(7)))) @ F.T for key in products.keys]
    cells = products.node_cells(0)[0]
    expected = spectra[0][:, cells[0]] * spectra[1][:, cells[1]] / np.sqrt(5)
    np.testing.assert_allclose(out, np.concatenate([expected.real, expected.imag], 1), atol=1e-12)


def test_all_pairs_of_frequencies_give_powers_exactly():
    X = np.random.default_rng(1).normal(size=(9, 5))
    products = FourierProducts.of(plan_nodes([1, 2, 3], "chain"), [12, 60, 300], 5, 50, ("test", 0))
    out = torch.empty(9, 372, dtype=torch.float64)
    products.write((read_rows(X, "test"), None), [1.0] * 3, out)
    for power, Z in enumerate((out[:, :12], out[:, 12:72], out[:, 72:]), 1):
        np.testing.assert_allclose(Z @ Z.T, (X @ X.T) ** power, rtol=1e-10, atol=1e-12)
    assert [moments.cross for moments in products.moments(0.5)] == pytest.approx([0.25, 0.0625, 0.015625])


def test_second_moments_of_a_convolution():
    # Of 2 m pairings of unit rows beside the first: (1 + 2 c^2)^2 - c^4 over m.
    products = CountProducts((Node(0, 2, -1, -2),), (12,), 7, 12, "test", 0)
    assert products.moments(0.5)[0].cross == pytest.approx(0.0625 + (1.5**2 - 0.0625) / 12)
    assert products.moments(0.5)[0].own == pytest.approx(1 + 8 / 12)
