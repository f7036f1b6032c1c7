"""Landmarks and their whitened features against dense Nystroem formulas in float64."""

import numpy as np
import pytest
import torch

from widenet.architectures import Conv, Dense, GlobalAveragePool, ReLU, fully_connected, recurrent
from widenet.errors import InvalidInput
from widenet.kernels import NTK, Laplace, Linear
from widenet.linalg.landmark_basis import choose_landmarks


def points(n: int, seed: int = 0, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-3)])
def test_features_make_the_nystroem_approximation(dtype, tolerance):
    kernel, X, new = NTK(fully_connected(2)), points(400, dtype=dtype), points(50, 1, dtype)
    basis = choose_landmarks(kernel, X, 60, seed=2)
    S = basis.landmarks.double().numpy()
    K_nS = kernel(new.astype(float), S)
    expected = K_nS @ np.linalg.solve(kernel(S), K_nS.T)
    Z = basis.features(torch.from_numpy(new)).double().numpy()
    np.testing.assert_allclose(Z @ Z.T, expected, rtol=0, atol=tolerance * expected.max())
    assert (np.einsum("ij,ij->i", Z, Z) <= kernel.diagonal(new) * (1 + tolerance)).all()
    assert basis.candidates == 400


def test_coefficients_of_features_are_coefficients_of_the_kernel():
    kernel, X = Laplace(2.0), points(200)
    basis = choose_landmarks(kernel, X, 30)
    w = torch.from_numpy(np.random.default_rng(3).normal(size=(30, 2)))
    a = basis.coefficients(w)
    inputs = torch.from_numpy(X)
    torch.testing.assert_close(basis.cross(inputs) @ a, basis.features(inputs) @ w, rtol=1e-9, atol=1e-9)
    assert float((w**2).sum()) == pytest.approx(float(torch.trace(a.T @ basis.cross(basis.landmarks) @ a)), rel=1e-9)


def test_fewer_landmarks_than_asked_leave_features_of_zero():
    X = np.repeat(points(10), 30, axis=0)
    basis = choose_landmarks(Laplace(2.0), X, 25)
    assert basis.rank == 10
    Z = basis.features(torch.from_numpy(X))
    assert Z.shape == (300, 25)
    assert not Z[:, 10:].any()
    torch.testing.assert_close(Z @ Z.T, torch.from_numpy(Laplace(2.0)(X)), rtol=1e-9, atol=1e-9)
    assert choose_landmarks(Linear(), points(100), 50).rank == 4


def test_the_candidates_are_a_stated_part_of_the_rows():
    kernel, X = Laplace(2.0), points(3000)
    basis = choose_landmarks(kernel, X, 20, candidates=500)
    assert basis.candidates == 500
    Z = basis.features(torch.from_numpy(X))
    assert 1 - float(Z.square().sum()) / 3000 == pytest.approx(basis.error, abs=0.05)


def test_images_in_rows_and_in_their_form_are_the_same():
    kernel = NTK(Conv(3) >> ReLU() >> GlobalAveragePool() >> Dense(), (6, 6, 2))
    X = np.random.default_rng(0).normal(size=(30, 6, 6, 2))
    basis = choose_landmarks(kernel, X, 8)
    Z = basis.features(basis.read(X.reshape(30, 72)).X)
    torch.testing.assert_close(Z, basis.features(basis.read(X).X))
    with pytest.raises(InvalidInput):
        basis.read(np.ones((3, 71)))


def test_points_of_another_form_and_sequences_are_refused():
    basis = choose_landmarks(Laplace(1.0), points(50), 5)
    with pytest.raises(InvalidInput, match="landmarks"):
        basis.read(np.ones((3, 5)))
    with pytest.raises(InvalidInput, match="packed"):
        choose_landmarks(NTK(recurrent(), input_shape=(-1, 1)), np.ones((5, 4, 1)), 3)
