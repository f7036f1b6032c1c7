"""The Woodbury inverse against the dense one."""

import numpy as np
import pytest
import torch

from widenet.errors import NotPositiveDefinite
from widenet.linalg.preconditioners import LowRankPlusDiagonal


def parts(n: int = 300, rank: int = 20, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(0)
    factor = torch.from_numpy(generator.normal(size=(rank, n))).to(dtype)
    return factor, torch.from_numpy(generator.uniform(0.5, 2.0, n))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("outputs", [1, 6])
@pytest.mark.parametrize("rank", [0, 1, 20, 700])
def test_the_inverse_is_that_of_the_dense_matrix(dtype, outputs, rank):
    factor, diagonal = parts(rank=rank, dtype=dtype)
    dense = factor.double().T @ factor.double() + torch.diag(diagonal)
    r = torch.from_numpy(np.random.default_rng(1).normal(size=(300, outputs)))
    torch.testing.assert_close(
        LowRankPlusDiagonal(factor, diagonal)(r), torch.linalg.solve(dense, r), rtol=1e-9, atol=1e-11
    )


def test_a_float32_factor_keeps_the_digits_of_large_eigenvalues():
    factor, diagonal = parts(dtype=torch.float32)
    factor[0] = 1e3
    small = diagonal * 1e-4
    dense = factor.double().T @ factor.double() + torch.diag(small)  # |F|^2 / D is 3e12
    x = torch.ones(300, 1, dtype=torch.float64)
    found = LowRankPlusDiagonal(factor, small)(dense @ x)
    assert float((found - x).abs().max()) < 0.1


def test_what_no_factor_exists_for_is_refused():
    factor, diagonal = parts(rank=40)
    factor[:20] = factor[20:]
    with pytest.raises(NotPositiveDefinite, match="larger ridge"):
        LowRankPlusDiagonal(factor, diagonal * 1e-30)
