"""Conjugate gradients on matrices that are never stored, against dense solutions in float64."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from widenet.architectures import fully_connected
from widenet.errors import FingerprintMismatch, InvalidInput, MemoryLimitExceeded, NotPositiveDefinite
from widenet.kernels import NTK, Gaussian, Laplace, Linear
from widenet.linalg import KernelMatrix
from widenet.solvers.iterative import ConjugateGradient

N = 300
KERNEL = NTK(fully_connected(2))


def points(dtype=np.float64, n: int = N) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 4)).astype(dtype)


Y = np.random.default_rng(1).normal(size=(N, 3))
WEIGHTS = np.random.default_rng(2).uniform(0.3, 3, N)


def expected(K: np.ndarray, y: np.ndarray, ridge: float, w: np.ndarray | None = None) -> np.ndarray:
    weight = np.ones(len(K)) if w is None else w
    return np.linalg.solve(K + ridge * np.average(K.diagonal(), weights=weight) * np.diag(1 / weight), y)


@pytest.mark.parametrize("w", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("rank", [None, 0, 40])
@pytest.mark.parametrize("kernel", [KERNEL, Laplace(2.0), NTK(fully_connected(1, bias_std=0.3))])
def test_coefficients_are_those_of_the_dense_system(kernel, w, rank):
    X = points()
    solution = ConjugateGradient(rank=rank, tolerance=1e-9).solve(KernelMatrix(kernel, X), Y, 1e-2, w)
    assert solution.converged
    assert solution.residual <= 1e-9
    np.testing.assert_allclose(solution.value, expected(kernel(X), Y, 1e-2, w), rtol=0, atol=1e-5)


@pytest.mark.parametrize("ridge", [1e-1, 1e-4, 1e-6])
def test_float32_reaches_the_residual_that_is_asked_for(ridge):
    X = points(np.float32)
    K = KernelMatrix(KERNEL, X)
    solution = ConjugateGradient().solve(K, Y[:, 0], ridge)
    stored = K.dense().astype(np.float64)
    left = stored @ solution.value + ridge * stored.diagonal().mean() * solution.value - Y[:, 0]
    assert solution.value.shape == (N,)
    assert solution.converged
    assert np.linalg.norm(left) / np.linalg.norm(Y[:, 0]) <= 1.1e-6
    assert solution.residual == pytest.approx(np.linalg.norm(left) / np.linalg.norm(Y[:, 0]), rel=1e-2, abs=1e-9)


def test_the_preconditioner_saves_most_steps():
    K = Gaussian(3.0)(points())
    steps = [ConjugateGradient(rank=rank).solve(K, Y[:, 0], 1e-4).steps for rank in (0, 120)]
    assert steps[1] * 5 < steps[0]


def test_dense_stored_and_torch_matrices_are_taken(tmp_path: Path):
    X = points()
    K = KernelMatrix(Laplace(2.0), X)
    wanted = expected(Laplace(2.0)(X), Y, 1e-2)
    for matrix in (K.dense(), K.store(tmp_path / "gram"), torch.from_numpy(K.dense())):
        value = ConjugateGradient(tolerance=1e-9).solve(matrix, Y, 1e-2).value
        assert isinstance(value, torch.Tensor) == isinstance(matrix, torch.Tensor)
        np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-6)


def test_a_job_that_was_stopped_goes_on(tmp_path: Path):
    K, told = KernelMatrix(KERNEL, points()), []
    solver = ConjugateGradient(rank=5, tolerance=1e-10, progress=lambda steps, left: told.append((steps, left)))
    whole = solver.solve(K, Y, 1e-4)
    assert [steps for steps, _ in told] == list(range(1, whole.steps + 1))
    assert told[-1][1] <= 1e-10 < told[0][1]
    path, calls = tmp_path / "state", []

    def stop(steps: int, left: float) -> None:
        calls.append(steps)
        if steps == 13:
            raise KeyboardInterrupt

    stopped = ConjugateGradient(rank=5, tolerance=1e-10, checkpoint=path, checkpoint_every=50, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.solve(K, Y, 1e-4)
    assert path.exists()
    rest = ConjugateGradient(rank=5, tolerance=1e-10, checkpoint=path, progress=lambda steps, left: calls.append(steps))
    found = rest.solve(K, Y, 1e-4)
    assert calls == list(range(1, found.steps + 1))
    assert abs(found.steps - whole.steps) <= 1
    np.testing.assert_allclose(found.value, whole.value, rtol=0, atol=1e-8)
    assert not path.exists()


def test_a_checkpoint_of_another_system_is_refused(tmp_path: Path):
    solver = ConjugateGradient(rank=0, max_steps=3, checkpoint=tmp_path / "state")
    K = KernelMatrix(KERNEL, points())
    short = solver.solve(K, Y, 1e-4)
    assert not short.converged
    assert short.steps == 3
    for matrix, y, ridge in ((K, 2 * Y, 1e-4), (K, Y, 1e-3), (KernelMatrix(Laplace(1.0), points()), Y, 1e-4)):
        with pytest.raises(FingerprintMismatch, match="of this run"):
            solver.solve(matrix, y, ridge)
    more = ConjugateGradient(rank=0, max_steps=5, checkpoint=tmp_path / "state").solve(K, Y, 1e-4)
    assert more.steps == 5


def test_a_ridge_of_zero_on_a_matrix_of_full_rank_is_solved():
    X = points()
    solution = ConjugateGradient(tolerance=1e-8).solve(KernelMatrix(Laplace(1.0), X), Y, 0.0)
    assert solution.converged
    np.testing.assert_allclose(Laplace(1.0)(X) @ solution.value, Y, atol=1e-5)


def test_what_has_no_solution_is_refused():
    with pytest.raises(NotPositiveDefinite, match="larger ridge"):
        ConjugateGradient(max_steps=50).solve(KernelMatrix(Linear(), points()), Y[:, 0], 0.0)
    with pytest.raises(NotPositiveDefinite, match="larger ridge"):
        ConjugateGradient().solve(np.zeros((5, 5)), np.ones(5), 0.0)


def test_memory_that_does_not_suffice_is_refused_or_lowers_the_rank():
    K = KernelMatrix(KERNEL, points(n=2000), memory_limit="64 MB")
    y = np.ones(2000)
    with pytest.raises(MemoryLimitExceeded, match="smaller rank"):
        ConjugateGradient(rank=1900, memory_limit="12 MB").solve(K, y, 1e-2)
    with pytest.raises(MemoryLimitExceeded, match="At most"):
        ConjugateGradient(rank=700, memory_limit="25 MB").solve(K, y, 1e-2)
    with pytest.raises(MemoryLimitExceeded, match="vectors"):
        ConjugateGradient(memory_limit="50 KB").solve(K, y, 1e-2)
    solution = ConjugateGradient(memory_limit="15 MB").solve(K, y, 1e-2)
    rank = int(re.search(r"rank (\d+)", solution.how)[1])
    assert solution.converged
    assert 0 < rank < 7 * 2000**0.5
    assert "rank 314" in ConjugateGradient().solve(K, y, 1e-2).how


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidInput, match="one set of points"):
        ConjugateGradient().solve(KernelMatrix(KERNEL, points(), points()[:5]), Y, 1e-3)
    with pytest.raises(InvalidInput, match="y must have shape"):
        ConjugateGradient().solve(KernelMatrix(KERNEL, points()), Y[:5], 1e-3)
    for name, value in (("tolerance", 0.0), ("max_steps", 0), ("rank", -1), ("seed", -1), ("checkpoint_every", 0)):
        with pytest.raises(InvalidInput, match=name):
            ConjugateGradient(**{name: value})
