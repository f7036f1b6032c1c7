"""The CUDA pass against the CPU's: another machine's arithmetic, the same numbers. Needs a GPU."""

import numpy as np
import pytest
import torch

from widenet.architectures import Erf, fully_connected
from widenet.kernels import NNGP, NTK, ArcCosine, GammaExponential, Gaussian, Homogeneous, Laplace, Normalized
from widenet.kernels.base import Kernel

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

KERNELS: list[Kernel] = [
    NTK(fully_connected(1)),
    NTK(fully_connected(30)),
    NTK(fully_connected(3, bias_std=0.5, scaling="geifman")),  # two terms
    NNGP(fully_connected(2)),
    ArcCosine(2),
    Homogeneous(Laplace(0.8)),
    Homogeneous(GammaExponential(0.8, 0.5)),  # square roots of the sine
    Homogeneous(Gaussian(0.01)),  # too narrow for a polynomial
    Normalized(NTK(fully_connected(2))),
    NTK(fully_connected(2, bias_std=0.3)),  # no function of the angle
    NTK(fully_connected(1, Erf(), bias_std=0.2)),
    Laplace(1.5),
]


def points(dtype: torch.dtype) -> torch.Tensor:
    """Rows with exact duplicates, near ones from 1e-1 to 1e-8, opposites and multiples."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 12)) * rng.uniform(0.3, 3, (700, 1))
    X[100:150] = X[:50]
    for i, distance in enumerate(np.geomspace(1e-1, 1e-8, 100)):
        X[300 + i] = X[200 + i] + distance * rng.normal(size=12)
        X[500 + i] = -X[200 + i] * rng.uniform(0.5, 2) + distance * rng.normal(size=12)
    return torch.from_numpy(X).to(dtype)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_numbers_as_on_the_cpu(kernel, dtype):
    X = points(dtype)
    truth = kernel(X.double())
    tolerance = (1e-6 if dtype == torch.float32 else 1e-12) * float(truth.abs().max())
    K = kernel(X.cuda())
    assert K.dtype == dtype
    assert K.is_cuda
    assert torch.equal(K, K.T)
    torch.testing.assert_close(K.cpu().double(), truth, rtol=0, atol=tolerance)
    rectangular = kernel(X[:300].cuda(), X[200:].cuda())
    torch.testing.assert_close(
        rectangular.cpu().double(), kernel(X[:300].double(), X[200:].double()), rtol=0, atol=tolerance
    )
    torch.testing.assert_close(kernel.diagonal(X.cuda()), K.diagonal(), rtol=1e-6, atol=tolerance)


def test_rows_all_in_one_direction():
    rng = np.random.default_rng(1)
    X = torch.from_numpy((1000 * rng.uniform(size=8) + rng.normal(size=(2000, 8))).astype(np.float32))
    kernel = NTK(fully_connected(10))
    truth = kernel(X.double())
    assert float((kernel(X.cuda()).cpu().double() - truth).abs().max() / truth.max()) <= 1e-6


def test_zero_rows():
    X = points(torch.float32)
    X[[3, 600]] = 0
    K = NTK(fully_connected(3))(X.cuda()).cpu()
    assert (K[[3, 600]] == 0).all()
    assert (K[:, [3, 600]] == 0).all()
    assert torch.isfinite(K).all()


def test_tf32_of_the_user_is_not_used():
    X = points(torch.float32)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        K = NTK(fully_connected(3))(X.cuda()).cpu()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    truth = NTK(fully_connected(3))(X.double())
    assert float((K.double() - truth).abs().max() / truth.max()) <= 1e-6


@pytest.mark.parametrize("kernel", [NTK(fully_connected(2)), NTK(fully_connected(2, bias_std=0.3))], ids=repr)
def test_gradients(kernel):
    X = points(torch.float64)[:40]
    weights = torch.from_numpy(np.random.default_rng(2).normal(size=(40, 40)))
    found = []
    for device in ("cpu", "cuda"):
        leaf = X.to(device).requires_grad_()
        (kernel(leaf) * weights.to(device)).sum().backward()
        found.append(leaf.grad.cpu())
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)
