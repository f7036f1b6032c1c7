"""Nystroem features against dense formulas, scikit-learn, and their stated error."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.kernel_approximation import Nystroem as Peer

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.features.nystrom import Nystroem
from widenet.kernels import NTK, Gaussian, Laplace


def points(n: int, seed: int = 0, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(dtype)


@pytest.mark.parametrize("kernel", [NTK(fully_connected(3)), NTK(fully_connected(1, bias_std=0.2)), Gaussian(2.0)])
def test_the_stated_error_is_the_trace_of_what_is_left(kernel):
    X = points(300)
    fitted = Nystroem(kernel, 60).fit(X)
    Z, K = fitted.transform(X), kernel(X)
    assert Z.shape == (300, 60)
    assert fitted.error == pytest.approx(np.trace(K - Z @ Z.T) / np.trace(K), rel=1e-6)
    assert np.linalg.eigvalsh(K - Z @ Z.T)[0] > -1e-9
    assert np.linalg.norm(K - Z @ Z.T) <= fitted.error * np.trace(K)


def test_with_all_rows_as_landmarks_the_features_are_exact():
    X = points(80)
    Z = Nystroem(Laplace(2.0), 80)(X)
    np.testing.assert_allclose(Z @ Z.T, Laplace(2.0)(X), rtol=0, atol=1e-11)


def test_the_error_is_below_that_of_uniform_landmarks():
    X = np.concatenate([points(970) * 0.01, points(30, 1) * 4.0])
    kernel = Gaussian(1.0)
    K = kernel(X)
    ours = [np.linalg.norm(K - Z @ Z.T) for Z in (Nystroem(kernel, 50, seed)(X) for seed in range(4))]
    peers = [Peer(gamma=0.5, n_components=50, random_state=seed).fit_transform(X) for seed in range(4)]
    assert np.mean(ours) < 0.5 * np.mean([np.linalg.norm(K - Z @ Z.T) for Z in peers])


def test_duplicates_and_small_sets_keep_the_size_and_stay_finite():
    X = np.repeat(points(7, dtype=np.float32), 20, axis=0)
    Z = Nystroem(Laplace(1.0), 16)(X)
    assert Z.shape == (140, 16)
    assert Z.dtype == np.float32
    assert not Z[:, 7:].any()
    np.testing.assert_allclose(Z @ Z.T, Laplace(1.0)(X), atol=1e-5)


def test_blocks_kinds_and_precisions_agree():
    X = points(200)
    fitted = Nystroem(NTK(fully_connected(2)), 40).fit(X)
    Z = fitted.transform(X)
    parts = np.concatenate([fitted.transform(X[:70]), fitted.transform(X[70:])])
    np.testing.assert_allclose(parts, Z, rtol=0, atol=1e-12)
    again = pickle.loads(pickle.dumps(fitted)).transform(X)
    np.testing.assert_array_equal(again, Z)
    tensor = fitted.transform(torch.from_numpy(X.astype(np.float32)))
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), Z, rtol=0, atol=1e-3)


def test_the_value_prints_and_checks_itself():
    value = Nystroem(Gaussian(2.0), 10, seed=3)
    assert eval(repr(value)) == value
    for arguments in ((0,), (5, -1), (5, 0, 0)):
        with pytest.raises(InvalidInput, match="Nystroem"):
            Nystroem(Gaussian(2.0), *arguments)
