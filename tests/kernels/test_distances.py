"""Squared distances against exact rational arithmetic, with near, far, equal, tiny and huge points."""

import numpy as np
import pytest
import torch

from widenet.kernels.distances import squared_distances


def exact(X: torch.Tensor, Y: torch.Tensor) -> np.ndarray:
    """From differences in extended precision, which holds every float32 or float64 difference to 1e-19."""
    X, Y = X.numpy().astype(np.longdouble), Y.numpy().astype(np.longdouble)
    return ((X[:, None] - Y[None]) ** 2).sum(2)


def points(kind: str, channels: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    X = torch.randn(60, channels, generator=generator, dtype=torch.float64)
    Y = torch.randn(50, channels, generator=generator, dtype=torch.float64)
    if kind == "offset":
        X, Y = X + 1000, Y + 1000
    if kind == "near":
        Y[:20] = X[:20] + 10.0 ** -torch.arange(1.0, 8.0).repeat(3)[:20, None].double() * torch.sign(Y[:20])
        Y[20:25] = X[20:25]
    if kind == "one cloud":
        X, Y = 5 + 1e-4 * X, 5 + 1e-4 * Y
        X[0], Y[0] = -3, 40
    return X.to(dtype), Y.to(dtype)


@pytest.mark.parametrize("kind", ["plain", "offset", "near", "one cloud"])
@pytest.mark.parametrize("channels", [1, 3, 5, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_relative_error_is_a_few_roundings(kind, channels, dtype):
    X, Y = points(kind, channels, dtype)
    found, truth = squared_distances(X, Y, same=False).double().numpy(), exact(X, Y)
    # The formula leaves at most some 1 / (2 * 0.03) roundings, times a few for the sums.
    assert np.all(np.abs(found - truth) <= 60 * torch.finfo(dtype).eps * truth)
    assert np.all(found[truth == 0] == 0)


@pytest.mark.parametrize("channels", [2, 30])
def test_the_diagonal_is_zero(channels):
    X = 7 + torch.randn(80, channels, generator=torch.Generator().manual_seed(0))
    found = squared_distances(X, X, same=True)
    assert torch.all(found.diagonal() == 0)
    np.testing.assert_allclose(found, exact(X, X).astype(float), rtol=1e-5)


def test_overflow_is_infinite_and_not_nan():
    X = torch.tensor([[3e19] * 6, [0.0] * 6, [-3e19] * 6])
    found = squared_distances(X, X.clone(), same=False)
    assert not found.isnan().any()
    assert torch.all(found.diagonal() == 0)
    assert found[0, 2] == torch.inf


@pytest.mark.parametrize("channels", [3, 12])
def test_gradients_of_both_orders(channels):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(5, channels, generator=generator, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        base = torch.randn(4, channels, generator=generator, dtype=torch.float64)
        base[0] = X[0] + 1e-3
        base[1] = X[1]
    Y = base.requires_grad_()

    def distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return squared_distances(a, b, same=False)

    assert torch.autograd.gradcheck(distances, (X, Y))
    assert torch.autograd.gradgradcheck(distances, (X, Y))


def test_the_gradient_of_a_near_pair_keeps_its_digits():
    x = torch.tensor([[1000.0, 2000.0, -500.0, 3.0, 7.0]])
    y = x + torch.tensor([[0.0, 0.001, 0.0, 0.0001, 0.0]])
    far = x + 500
    X, Y = x.clone().requires_grad_(), torch.cat([y, far])
    squared_distances(X, Y, same=False)[0, 0].backward()
    assert X.grad is not None
    np.testing.assert_allclose(X.grad, 2 * (x - y), rtol=1e-6)
