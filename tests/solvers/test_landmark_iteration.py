"""Conjugate gradients on landmarks against the dense minimiser."""

import numpy as np
import pytest
import torch

from widenet.architectures import fully_connected
from widenet.errors import NotPositiveDefinite
from widenet.kernels import NTK
from widenet.linalg.landmark_basis import choose_landmarks
from widenet.solvers.landmark_iteration import CentredRows, iterate

KERNEL = NTK(fully_connected(2))


def rows(n: int = 300, size: int = 30) -> tuple[CentredRows, torch.Tensor]:
    generator = np.random.default_rng(0)
    X = torch.from_numpy(generator.normal(size=(n, 3)))
    weight = torch.from_numpy(generator.uniform(0.3, 3.0, n))
    return CentredRows(choose_landmarks(KERNEL, X, size), X, weight), torch.from_numpy(generator.normal(size=(n, 2)))


def test_products_with_rows_that_are_not_stored_are_dense_products(monkeypatch):
    found, y = rows()
    Z = found.basis.features(found.X)
    centred = Z - found.weight @ Z / found.weight.sum()
    right = centred.T @ (found.weight[:, None] * (y - found.weight @ y / found.weight.sum()))
    monkeypatch.setattr("widenet.solvers.landmark_iteration._BYTES", 8 * 30 * 70)  # blocks of 70 rows
    torch.testing.assert_close(found.centre(y), right, rtol=1e-9, atol=1e-9)
    gram = centred.T @ (found.weight[:, None] * centred)
    V = torch.from_numpy(np.random.default_rng(1).normal(size=(30, 2)))
    torch.testing.assert_close(found.gram_product(V), gram @ V, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.sample_gram(torch.arange(300)).tril(), gram.tril(), rtol=1e-9, atol=1e-9)


def test_the_minimum_is_that_of_the_dense_normal_equations(monkeypatch):
    monkeypatch.setattr("widenet.solvers.landmark_iteration._LEAST_SAMPLE", 60)
    monkeypatch.setattr("widenet.solvers.landmark_iteration._SAMPLE", 2)
    found, y = rows()
    result = iterate(found, y, 0.05, (1e-11, 200), seed=0)
    assert result.reached.residual <= 1e-11
    assert result.reached.steps > 3  # 60 rows are no exact preconditioner
    Z = np.hstack([found.basis.features(found.X).numpy(), np.ones((300, 1))])
    penalty = 0.05 * np.diag(np.arange(31) < 30)
    weighted = found.weight.numpy()[:, None] * np.hstack([Z, y.numpy()])
    expected = np.linalg.solve(Z.T @ weighted[:, :31] + penalty, Z.T @ weighted[:, 31:])
    np.testing.assert_allclose(result.weights, expected[:-1], rtol=0, atol=1e-7)
    np.testing.assert_allclose(result.intercepts, expected[-1], rtol=0, atol=1e-7)


def test_a_ridge_below_rounding_is_refused():
    found, y = rows(20, 20)  # centring takes one of the 20 dimensions away
    with pytest.raises(NotPositiveDefinite, match="larger ridge"):
        iterate(found, y, -1e-3, (1e-8, 10), seed=0)
