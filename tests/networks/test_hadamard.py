"""Structured factors against the explicit product of Hadamard matrices and signs, on both ways through the code."""

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from torch import Generator

from widenet.networks.hadamard import (
    HadamardFactor,
    as_tiles,
    block_size,
    from_tiles,
    spread,
    walsh_hadamard,
)


def _explicit(factor: HadamardFactor) -> np.ndarray:
    """Blocks H D1 H D2 H D3 / size, one below the other, by SciPy's Hadamard matrix."""
    H, size = hadamard(factor.size).astype(float), factor.size
    blocks = factor.signs.double().numpy().reshape(3, -1, size)
    parts = [H @ np.diag(a) @ H @ np.diag(b) @ H @ np.diag(c) for a, b, c in zip(*blocks, strict=True)]
    return np.concatenate(parts)[: factor.rows, : factor.columns] / size


# Sizes below, at and above those of one pass of sixteen, of four and of two; rows that fill no whole block.
SIZES = [(40, 16), (100, 9), (90, 32), (130, 50), (300, 128), (256, 256), (600, 300)]


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_the_fused_product_is_the_explicit_one(rows, columns):
    factor = HadamardFactor(rows, columns, Generator().manual_seed(rows), torch.float64)
    S, draws = _explicit(factor), np.random.default_rng(0)
    x, g = torch.from_numpy(draws.normal(size=(11, columns))), torch.from_numpy(draws.normal(size=(11, rows)))
    np.testing.assert_allclose(factor(x).numpy(), x.numpy() @ S.T, rtol=0, atol=1e-13 * np.abs(S).sum(1).max())
    np.testing.assert_allclose(factor.transposed(g).numpy(), g.numpy() @ S, rtol=0, atol=1e-13 * np.abs(S).sum(0).max())
    np.testing.assert_allclose(factor.matrix().numpy(), S, rtol=0, atol=1e-13)


def test_single_precision_and_leading_axes():
    factor = HadamardFactor(70, 20, Generator().manual_seed(0))
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, 20)).astype(np.float32))
    assert factor(x).dtype == torch.float32
    np.testing.assert_allclose(factor(x).numpy(), x.numpy() @ _explicit(factor).T, rtol=0, atol=2e-5)


def test_other_precisions_take_the_way_of_torch():
    factor = HadamardFactor(150, 50, Generator().manual_seed(0), torch.float64)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 50)))
    g = torch.from_numpy(np.random.default_rng(2).normal(size=(4, 150)))
    # Rounding of bfloat16, 2^-8, of sums of 50 and 150 terms of size 1.
    np.testing.assert_allclose(factor(x.bfloat16()).double().numpy(), factor(x).numpy(), rtol=0, atol=0.5)
    np.testing.assert_allclose(factor.transposed(g.bfloat16()).double().numpy(), factor.transposed(g), atol=1.0)


def test_entries_have_variance_one_and_rows_are_orthogonal():
    S = HadamardFactor(4096, 64, Generator().manual_seed(3), torch.float64).matrix().numpy()
    assert abs((S**2).mean() - 1) < 1e-12  # rows of norm^2 64 exactly
    gram = S[:64] @ S[:64].T
    np.testing.assert_allclose(gram, 64 * np.eye(64), atol=1e-11)
    assert abs(S.mean()) < 4 / np.sqrt(S.size)
    # Rows of different blocks are near orthogonal: inner products of standard deviation 8.
    assert 7 < (S[:64] @ S[64:].T).std() < 9


def test_gradients_of_every_kind():
    factor = HadamardFactor(40, 10, Generator().manual_seed(0), torch.float64)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 10))).requires_grad_()
    assert torch.autograd.gradcheck(factor, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(factor, x)
    S = factor.matrix()
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(torch.vmap(transform(factor))(x), S.expand(3, 40, 10), rtol=0, atol=1e-12)
    many = torch.stack([factor.signs, -factor.signs])
    found = torch.vmap(lambda signs: HadamardFactor.product(x, signs, 40))(many)
    torch.testing.assert_close(found[1], -found[0], rtol=0, atol=1e-12)  # three signs


def test_the_transform_is_its_matrix():
    for size in (1, 2, 8, 64, 512):
        x = torch.from_numpy(np.random.default_rng(size).normal(size=(3, size)))
        np.testing.assert_allclose(walsh_hadamard(x).numpy(), x.numpy() @ hadamard(size), rtol=0, atol=1e-11)


def test_blocks_and_tiles():
    assert [block_size(columns) for columns in (1, 16, 17, 64, 65)] == [16, 16, 32, 64, 128]
    x = torch.arange(21.0).reshape(7, 3)
    tiles = as_tiles(x, 16)
    assert tiles.shape == (1, 16, 16)
    assert torch.equal(tiles[0, :3, :7], x.T)
    assert tiles.sum() == x.sum()
    assert torch.equal(from_tiles(tiles, 7, 3), x)


def test_the_threads_share_all_tiles():
    before = torch.get_num_threads()
    done = []
    try:
        torch.set_num_threads(2)
        spread(done.append, 5)
    finally:
        torch.set_num_threads(before)
    assert sorted(done) == [(0, 2), (2, 5)]
    done.clear()
    spread(done.append, 1)
    assert done == [(0, 1)]
