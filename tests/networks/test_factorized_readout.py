"""Hidden layer and readout in one pass against the plain composition, values and gradients."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from widenet.networks import factorized_readout
from widenet.networks.factorized_readout import matrix_readout, structured_readout
from widenet.networks.hadamard import HadamardFactor

SIZES = [(5, 20, 100, 3), (19, 64, 320, 1), (3, 16, 7, 2)]  # N, p, m, outputs


def _inputs(sizes: tuple[int, int, int, int]) -> tuple[HadamardFactor, Tensor, Tensor, Tensor, Tensor]:
    N, p, m, outputs = sizes
    draws = np.random.default_rng(N)
    factor = HadamardFactor(m, p, Generator().manual_seed(1), torch.float64)
    T, A, bias, R = (torch.from_numpy(draws.normal(size=shape)) for shape in ((N, p), (outputs, m), (m,), (N, outputs)))
    return factor, T, A, bias, R


def _expected(S: Tensor, T: Tensor, A: Tensor, bias: Tensor, R: Tensor) -> tuple[Tensor, list[Tensor]]:
    """F, and the gradients of sum(R F) by t, A, b and S, written out."""
    units = 0.7 * T @ S.T + bias
    through = (R @ A) * (units > 0)
    of_A = R.T @ units.clamp(min=0)
    return units.clamp(min=0) @ A.T, [0.7 * through @ S, of_A, through.sum(0), 0.7 * through.T @ T]


@pytest.mark.parametrize("sizes", SIZES)
def test_the_fused_pass_is_the_composition(sizes):
    factor, T, A, bias, R = _inputs(sizes)
    F, gradients = _expected(factor.matrix(), T, A, bias, R)
    leaves = [values.clone().requires_grad_() for values in (T, A, bias)]
    found = structured_readout(leaves[0], factor, leaves[1], 0.7, leaves[2])
    torch.testing.assert_close(found, F, rtol=0, atol=1e-11)
    for value, expected in zip(torch.autograd.grad((found * R).sum(), leaves), gradients, strict=False):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-11)
    alone = structured_readout(T, factor, A, 0.7)
    torch.testing.assert_close(alone, _expected(factor.matrix(), T, A, 0 * bias, R)[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize("sizes", SIZES)
def test_blocks_of_a_matrix_are_the_composition(sizes, monkeypatch):
    monkeypatch.setattr(factorized_readout, "_BLOCK", 64)  # blocks of 64 units, so several of them
    factor, T, A, bias, R = _inputs(sizes)
    F, gradients = _expected(factor.matrix(), T, A, bias, R)
    leaves = [values.clone().requires_grad_() for values in (T, A, bias, factor.matrix())]
    found = matrix_readout(leaves[0], leaves[3], leaves[1], 0.7, leaves[2])
    torch.testing.assert_close(found, F, rtol=0, atol=1e-11)
    for value, expected in zip(torch.autograd.grad((found * R).sum(), leaves), gradients, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-11)


def test_many_outputs_and_other_precisions_take_the_plain_way():
    factor, T, _, bias, _ = _inputs(SIZES[0])
    A = torch.from_numpy(np.random.default_rng(0).normal(size=(factorized_readout.MOST_OUTPUTS + 1, 100)))
    expected = (0.7 * T @ factor.matrix().T + bias).clamp(min=0) @ A.T
    torch.testing.assert_close(structured_readout(T, factor, A, 0.7, bias), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("structured", [True, False])
def test_jacobians_in_both_modes(structured):
    factor, T, A, bias, _ = _inputs(SIZES[0])
    S = factor.matrix()

    def fused(T: Tensor, A: Tensor, bias: Tensor) -> Tensor:
        if structured:
            return structured_readout(T, factor, A, 0.7, bias)
        return matrix_readout(T, S, A, 0.7, bias)

    def plain(T: Tensor, A: Tensor, bias: Tensor) -> Tensor:
        return (0.7 * T @ S.T + bias).clamp(min=0) @ A.T

    expected = torch.func.jacrev(plain, (0, 1, 2))(T, A, bias)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        for found, value in zip(transform(fused, (0, 1, 2))(T, A, bias), expected, strict=True):
            torch.testing.assert_close(found, value, rtol=0, atol=1e-11)
    shared = torch.vmap(fused, (0, None, None))(T[:, None], A, bias)[:, 0]
    torch.testing.assert_close(shared, plain(T, A, bias), rtol=0, atol=1e-11)


def test_jacobians_by_a_matrix():
    factor, T, A, _, _ = _inputs(SIZES[0])
    S = factor.matrix()
    expected = torch.func.jacrev(lambda S: (0.7 * T @ S.T).clamp(min=0) @ A.T)(S)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        found = transform(lambda S: matrix_readout(T, S, A, 0.7))(S)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
