"""The Cholesky factor in place, against NumPy, at the sizes of tiles and around them."""

import numpy as np
import pytest
import torch

from widenet.solvers.factorisation import factorise


def positive(n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    return (root @ root.T / n + torch.eye(n, dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n", [1, 5, 1024, 1025, 1280, 1537])
def test_the_lower_triangle_becomes_the_factor_of_numpy_and_the_upper_stays(n, threads):
    A = positive(n)
    given, before = A.numpy().copy(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert factorise(A) is None
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(np.triu(A, 1), np.triu(given, 1))
    np.testing.assert_allclose(np.tril(A), np.linalg.cholesky(given), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [300, 1300])
def test_float32_is_backward_stable(n):
    A = positive(n, torch.float32)
    given = A.double().numpy().copy()
    assert factorise(A) is None
    L = np.tril(A).astype(np.float64)
    assert np.linalg.norm(L @ L.T - given, 2) <= 10 * np.finfo(np.float32).eps * np.linalg.norm(given, 2)


@pytest.mark.parametrize(
    ("n", "row"), [(10, 0), (10, 9), (1300, 0), (1300, 255), (1300, 256), (1300, 1030), (1300, 1299)]
)
def test_the_first_pivot_that_is_not_positive_is_found(n, row):
    A = torch.eye(n, dtype=torch.float64)
    A[row, row] = -0.5
    assert factorise(A) == row


def test_a_pivot_that_only_elimination_makes_negative_is_found():
    A = torch.eye(1300, dtype=torch.float64)
    A[900, 100] = A[100, 900] = 1.5
    assert factorise(A) == 900
