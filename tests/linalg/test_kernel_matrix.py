"""The Gram matrix that is never stored, against a plain loop over pairs."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from widenet.architectures import Conv, Dense, GlobalAveragePool, ReLU
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels import NTK, Homogeneous
from widenet.kernels.stationary import Laplace
from widenet.linalg import KernelMatrix

KERNEL = Laplace(scale=2.0)
SMALL = 8 * 4 * 16**2  # bytes that allow blocks of 16 rows


def points(n: int, seed: int = 0, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(dtype)


def plain(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.array([[math.exp(-math.dist(x, y) / 2.0) for y in Y.tolist()] for x in X.tolist()])


@pytest.mark.parametrize("other", [None, 21])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-6)])
def test_products_rows_diagonal_and_dense_are_those_of_a_plain_loop(other, dtype, tolerance):
    X = points(50, dtype=dtype)
    Y = None if other is None else points(other, 1, dtype)
    expected = plain(X, X if Y is None else Y)
    K = KernelMatrix(KERNEL, X, Y, memory_limit=10 * SMALL)
    K.layout = type(K.layout)(*K.shape, 16, Y is None)
    v, u = (np.random.default_rng(2).normal(size=(k, 2)).astype(dtype) for k in (expected.shape[1], 50))
    assert K.shape == expected.shape
    assert K.dtype == dtype
    np.testing.assert_allclose(K @ v, expected @ v, rtol=0, atol=30 * tolerance)
    np.testing.assert_allclose(K.T @ u, expected.T @ u, rtol=0, atol=30 * tolerance)
    np.testing.assert_allclose(K.rows([3, -1]), expected[[3, -1]], rtol=0, atol=tolerance)
    np.testing.assert_allclose(K.diagonal(), np.diag(expected), rtol=0, atol=tolerance)
    np.testing.assert_allclose(K.dense(), expected, rtol=0, atol=tolerance)


def test_the_product_does_not_depend_on_the_memory_limit():
    X, v = points(150), np.ones(150)
    few, many = KernelMatrix(KERNEL, X, memory_limit="1 GiB"), KernelMatrix(KERNEL, X, memory_limit=SMALL)
    assert few.layout.count() == 1
    assert many.layout.count() == 55
    np.testing.assert_allclose(few @ v, many @ v, rtol=1e-13)


def test_the_diagonal_is_exact_in_rows_and_products():
    X = points(40, dtype=np.float32) * 1e3
    K = KernelMatrix(KERNEL, X, memory_limit=SMALL)
    assert (K.rows(np.arange(40))[np.arange(40), np.arange(40)] == 1.0).all()
    unit = np.zeros(40, np.float32)
    unit[20] = 1
    assert (K @ unit)[20] == 1.0


def test_the_diagonal_between_two_sets_takes_few_calls(monkeypatch):
    calls = []
    block = Laplace.__call__
    monkeypatch.setattr(Laplace, "__call__", lambda *given: calls.append(1) or block(*given))
    X, Y = points(150), points(140, seed=1)
    found = KernelMatrix(KERNEL, X, Y).diagonal()
    assert len(calls) <= 4
    np.testing.assert_allclose(found, np.diag(plain(X, Y)), rtol=1e-12)


def test_torch_in_gives_torch_out():
    X = torch.from_numpy(points(10)).requires_grad_()
    K = KernelMatrix(KERNEL, X)
    expected = plain(X.detach().numpy(), X.detach().numpy())
    assert K.dtype == torch.float64
    for result in (K.dense(), K.rows(torch.arange(10)), K @ torch.eye(10, dtype=torch.float64)):
        assert isinstance(result, torch.Tensor)
        assert not result.requires_grad
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert isinstance(K.diagonal(), torch.Tensor)


@pytest.mark.parametrize("other", [None, 21])
def test_dense_tells_its_progress(other):
    X, told = points(50), []
    Y = None if other is None else points(other, 1)
    K = KernelMatrix(KERNEL, X, Y, memory_limit="1 MiB", progress=lambda done, total: told.append((done, total)))
    K.layout = type(K.layout)(*K.shape, 16, Y is None)
    np.testing.assert_allclose(K.dense(), plain(X, X if Y is None else Y), rtol=0, atol=1e-13)
    count = 10 if Y is None else 8
    assert told == [(k, count) for k in range(1, count + 1)]


def test_dense_is_refused_over_the_memory_limit():
    K = KernelMatrix(KERNEL, points(200), memory_limit=SMALL)
    with pytest.raises(MemoryLimitExceeded, match=r"200 x 200 matrix needs 312 KiB.*8 KiB"):
        K.dense()
    with pytest.raises(MemoryLimitExceeded, match="a block of 16 rows"):
        KernelMatrix(KERNEL, points(20), memory_limit=SMALL - 1)


def test_bad_points_are_refused_before_work_starts():
    with pytest.raises(InvalidInput, match="finite"):
        KernelMatrix(KERNEL, np.full((3, 2), np.nan))
    with pytest.raises(InvalidInput, match="one dtype"):
        KernelMatrix(KERNEL, points(3), points(3, dtype=np.float32))
    bad = np.ones((3, 2))
    bad[2] = 0
    with pytest.raises(InvalidInput, match="first is row 2"):
        KernelMatrix(Homogeneous(KERNEL), bad)
    with pytest.raises(InvalidInput, match="at least one index"):
        KernelMatrix(KERNEL, points(3)).rows(np.array([], int))


def test_an_interrupt_between_blocks_leaves_a_matrix_that_still_works():
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    K = KernelMatrix(KERNEL, points(100), memory_limit=SMALL, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        _ = K @ np.ones(100)
    K.progress = None
    np.testing.assert_allclose(K @ np.ones(100), plain(points(100), points(100)).sum(1), rtol=1e-12)


def test_a_product_stays_within_its_memory():
    script = """
import resource, numpy as np
from widenet.kernels import Homogeneous
from widenet.kernels.stationary import Laplace
from widenet.linalg import KernelMatrix
X = np.random.default_rng(0).normal(size=(6000, 3)).astype(np.float32)
warm = KernelMatrix(Laplace(2.0), X[:300]) @ np.ones(300)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
v = KernelMatrix(Laplace(2.0), X, memory_limit="20 MB") @ np.ones(6000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown = int(done.stdout) / 1024
    assert grown < 40, f"{grown} MiB, where the matrix has 137"


IMAGES = NTK(Conv(3) >> ReLU() >> GlobalAveragePool() >> Dense(), (6, 6, 2))


@pytest.mark.parametrize("shape", [(40, 6, 6, 2), (40, 72)])
def test_images_in_blocks(shape: tuple[int, ...]):
    X = np.random.default_rng(0).normal(size=shape)
    work, row = IMAGES._working_bytes(torch.zeros(shape, dtype=torch.float64).reshape(-1, 6, 6, 2))
    K = KernelMatrix(IMAGES, X, memory_limit=work + 16 * row + SMALL)
    assert K.layout.size == 16
    expected, v = IMAGES(X), np.random.default_rng(1).normal(size=40)
    np.testing.assert_allclose(K @ v, expected @ v, rtol=1e-12)
    np.testing.assert_allclose(K.rows([3, 39]), expected[[3, 39]], rtol=1e-13)
    np.testing.assert_allclose(K.diagonal(), np.diag(expected), rtol=1e-13)
    between = KernelMatrix(IMAGES, X[:9], X[5:]).diagonal()
    np.testing.assert_allclose(between, expected[range(9), range(5, 14)], rtol=1e-13)
    with pytest.raises(MemoryLimitExceeded, match="a block of 16 rows needs"):
        KernelMatrix(IMAGES, X, memory_limit=work // 2)


@pytest.mark.parametrize(("phi", "images", "limit"), [("Erf", 12, 150), ("ReLU", 100, 16)])
def test_images_stay_within_their_memory(phi: str, images: int, limit: int):
    script = f"""
import resource, numpy as np, torch
from widenet import *
torch.set_num_threads(1)
X = np.random.default_rng(0).normal(size=({images}, 12, 12, 2))
K = NTK(Conv(3) >> {phi}() >> GlobalAveragePool() >> Dense())
KernelMatrix(K, X[:12, :3, :3], memory_limit="{limit} MB") @ np.ones(12)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
KernelMatrix(K, X, memory_limit="{limit} MB") @ np.ones({images})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown = int(done.stdout) / 1024
    assert grown < limit / 1.048576, f"{grown} MiB, where all pairs of positions have {images**2 / 2 * 144**2 / 2**17}"


def test_repr_names_the_kernel_and_the_shape():
    assert "Laplace" in repr(KernelMatrix(KERNEL, points(3)))
    assert "(3, 3)" in repr(KernelMatrix(KERNEL, points(3)))


def test_store_refuses_a_block_of_no_rows(tmp_path: Path):
    with pytest.raises(InvalidInput, match="block_size"):
        KernelMatrix(KERNEL, points(3)).store(tmp_path / "gram", block_size=0)
