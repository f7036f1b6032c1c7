"""A wide hidden layer of ReLU units and its linear readout in one pass, which never stores the units of all samples."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from widenet._arrays import row_blocks
from widenet.networks import _fused_hadamard
from widenet.networks.hadamard import (
    HadamardFactor,
    as_tiles,
    block_size,
    from_tiles,
    is_fused,
    new_tiles,
    spread,
)

# Numbers of a block of units that stay in a core's cache, and the outputs up to which the fused pass beats a product.
_BLOCK = 2**18
MOST_OUTPUTS = 32


def structured_readout(
    T: Tensor, factor: HadamardFactor, A: Tensor, scale: float, bias: Tensor | None = None
) -> Tensor:
    """relu(scale S t + b) A^T for a structured factor S, differentiable in t, A and b.

    Args:
        T: What the factor reads, (N, p).
        factor: S, m x p, in its own scale of entries of variance 1.
        A: Readout, (outputs, m).
        scale: A positive factor of the units.
        bias: b, (m,), or None.

    Returns:
        Outputs, (N, outputs).

    Cost:
        3 m log2(p) + outputs m operations a sample forward, as many backward, and as many again for gradients by A; one
        bit for each unit and sample is stored.
    """
    if not is_fused(T) or len(A) > MOST_OUTPUTS:
        return _plain(T, factor.signs, A, scale, bias)
    return _StructuredReadout.apply(T, factor.signs, A, scale, bias)[0]  # pyright: ignore[reportReturnType, reportIndexIssue]


def matrix_readout(T: Tensor, W: Tensor, A: Tensor, scale: float, bias: Tensor | None = None) -> Tensor:
    """relu(scale W t + b) A^T for a matrix W, block by block of units, differentiable in t, W, A and b.

    Args:
        T: What the matrix reads, (N, p).
        W: Weights, (m, p).
        A: Readout, (outputs, m).
        scale: A positive factor of the units.
        bias: b, (m,), or None.

    Returns:
        Outputs, (N, outputs).

    Cost:
        2 N m p operations forward and as many for each gradient by T and W; a byte for each unit and sample is stored.
    """
    return _MatrixReadout.apply(T, W, A, scale, bias)[0]  # pyright: ignore[reportReturnType, reportIndexIssue]


def _plain(T: Tensor, signs: Tensor, A: Tensor, scale: float, bias: Tensor | None) -> Tensor:
    return torch.relu(_units(T, signs, A, scale, bias)) @ A.mT


def _units(T: Tensor, signs: Tensor, A: Tensor, scale: float, bias: Tensor | None) -> Tensor:
    units = scale * HadamardFactor.product(T, signs, A.shape[-1])
    return units if bias is None else units + bias


def _readout_change(units: Tensor, moved: Tensor, A: Tensor, of_A: Tensor | None) -> Tensor:
    """How relu(units) A^T changes where the units move, and A by `of_A`."""
    change = (moved * (units > 0)) @ A.mT
    return change if of_A is None else change + torch.relu(units) @ of_A.mT


class _StructuredReadout(Function):
    """F and the gates, by the fused loops."""

    @staticmethod
    def forward(T: Tensor, signs: Tensor, A: Tensor, scale: float, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        tiles = as_tiles(T, block_size(T.shape[1]))
        F = new_tiles(len(tiles), len(A), T)
        gates = torch.empty(len(tiles), A.shape[1], dtype=torch.int16)
        biases = T.new_empty(0) if bias is None else bias.contiguous()
        layer = _layer(signs, biases, A, scale / tiles.shape[1])
        arrays = tiles.numpy(), layer, F.numpy(), gates.numpy()
        spread(lambda bounds: _fused_hadamard.readout(*arrays, bounds), len(tiles))
        return from_tiles(F, len(T), len(A)), gates

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        T, signs, A, ctx.scale, bias = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(T, signs, A, bias, output[1])
        ctx.save_for_forward(T, signs, A, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None, None, Tensor | None]:
        T, signs, A, bias, gates = ctx.saved_tensors
        asked = tuple(ctx.needs_input_grad[i] for i in (0, 2, 4))
        of_T, of_A, of_bias = _StructuredGradient.apply(gradients[0], T, signs, A, ctx.scale, bias, gates, asked)  # pyright: ignore[reportGeneralTypeIssues]
        return of_T if asked[0] else None, None, of_A if asked[1] else None, None, of_bias if asked[2] else None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None]:
        T, signs, A, bias = ctx.saved_tensors
        of_T, of_A, of_bias = tangents[0], tangents[2], tangents[4]
        units = _units(T, signs, A, ctx.scale, bias)
        moved = torch.zeros_like(units)
        if of_T is not None:
            moved = moved + ctx.scale * HadamardFactor.product(of_T, signs, A.shape[1])
        if of_bias is not None:
            moved = moved + of_bias
        return _readout_change(units, moved, A, of_A), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        F = torch.vmap(_plain, in_dims)(*inputs)
        return (F, F.new_empty(info.batch_size, 0)), (0, 0)


class _StructuredGradient(Function):
    """Gradients of sum(R F) by T, A and b; empty tensors for those that are not asked."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 (tensors are arguments of their own to autograd)
        R: Tensor, T: Tensor, signs: Tensor, A: Tensor, scale: float, bias: Tensor | None, gates: Tensor, asked: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        size, residuals = block_size(T.shape[1]), as_tiles(R, len(A))
        layer = _layer(signs, T.new_empty(0) if bias is None else bias, A, scale / size)
        of_T, of_A = T.new_empty(0), torch.zeros_like(A) if asked[1] else A.new_zeros(0, 0)
        of_bias = T.new_zeros(A.shape[1] if asked[2] else 0)
        if asked[0]:
            tiles = new_tiles(len(residuals), size, T)
            inner = residuals.numpy(), layer, gates.numpy(), tiles.numpy()
            spread(lambda bounds: _fused_hadamard.inner_gradient(*inner, bounds), len(tiles))
            of_T = from_tiles(tiles, len(T), T.shape[1])
        if asked[1] or asked[2]:
            results = of_bias.numpy(), of_A.numpy()
            outer = as_tiles(T, size).numpy(), residuals.numpy(), layer, gates.numpy(), results
            spread(lambda bounds: _fused_hadamard.outer_gradient(*outer, bounds), signs.shape[1] // size)
        return of_T, of_A, of_bias

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, tuple[int, int, int]]:
        def gradients(R: Tensor, T: Tensor, signs: Tensor, A: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
            units = _units(T, signs, A, inputs[4], bias)
            through = (R @ A) * (units > 0)
            of_T = inputs[4] * HadamardFactor.transposed_product(through, signs, T.shape[-1])
            return of_T, R.mT @ torch.relu(units), through.sum(0)

        places = 0, 1, 2, 3, 5
        dims = tuple(in_dims[i] for i in places)
        return torch.vmap(gradients, dims)(*(inputs[i] for i in places)), (0, 0, 0)


def _layer(signs: Tensor, bias: Tensor, A: Tensor, scale: float) -> Any:
    """What the fused loops are told about the layer; the scale is that of the unnormalised product."""
    arrays = [values.contiguous().numpy() for values in (signs.to(A), bias, A)]
    return *arrays, arrays[0].dtype.type(scale)


class _MatrixReadout(Function):
    """F and the gates, by matrix products of blocks of units that stay in the cache."""

    @staticmethod
    def forward(T: Tensor, W: Tensor, A: Tensor, scale: float, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        N, m = len(T), len(W)
        F, gates = T.new_zeros(N, len(A)), torch.empty(m, N, dtype=torch.bool, device=T.device)
        for block in _blocks(N, m):
            units = _block_units(T, W[block], scale, None if bias is None else bias[block])
            torch.gt(units, 0, out=gates[block])
            F.addmm_(units.clamp_(min=0).T, A[:, block].T)
        return F, gates

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        T, W, A, ctx.scale, bias = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(T, W, A, bias, output[1])
        ctx.save_for_forward(T, W, A, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        T, W, A, bias, gates = ctx.saved_tensors
        asked = tuple(ctx.needs_input_grad[i] for i in (0, 1, 2, 4))
        found = _MatrixGradient.apply(gradients[0], T, W, A, ctx.scale, bias, gates, asked)
        of_T, of_W, of_A, of_bias = (part if wanted else None for part, wanted in zip(found, asked, strict=True))  # pyright: ignore[reportArgumentType]
        return of_T, of_W, of_A, None, of_bias

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, None]:
        T, W, A, bias = ctx.saved_tensors
        of_T, of_W, of_A, _, of_bias = tangents
        units = _matrix_units(T, W, ctx.scale, bias)
        moved = torch.zeros_like(units)
        for part in (None if of_T is None else of_T @ W.mT, None if of_W is None else T @ of_W.mT):
            moved = moved if part is None else moved + ctx.scale * part
        moved = moved if of_bias is None else moved + of_bias
        return _readout_change(units, moved, A, of_A), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        def plain(T: Tensor, W: Tensor, A: Tensor, scale: float, bias: Tensor | None) -> Tensor:
            return torch.relu(_matrix_units(T, W, scale, bias)) @ A.mT

        F = torch.vmap(plain, in_dims)(*inputs)
        return (F, F.new_empty(info.batch_size, 0)), (0, 0)


class _MatrixGradient(Function):
    """Gradients of sum(R F) by T, W, A and b; empty tensors for those that are not asked."""

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917 (tensors are arguments of their own to autograd)
        R: Tensor, T: Tensor, W: Tensor, A: Tensor, scale: float, bias: Tensor | None, gates: Tensor, asked: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        none = T.new_empty(0)
        of_T = torch.zeros_like(T) if asked[0] else none
        of_W, of_A = (torch.empty_like(values) if wanted else none for values, wanted in ((W, asked[1]), (A, asked[2])))
        of_bias = W.new_empty(len(W)) if asked[3] else none
        for block in _blocks(len(T), len(W)):
            through = (A[:, block].T @ R.T).mul_(gates[block])
            if asked[3]:
                torch.sum(through, 1, out=of_bias[block])
            if asked[2]:
                units = _block_units(T, W[block], scale, None if bias is None else bias[block])
                of_A[:, block] = (units.clamp_(min=0) @ R).T
            if asked[0]:
                of_T.addmm_(through.T, W[block], alpha=scale)
            if asked[1]:
                torch.mm(through.mul_(scale), T, out=of_W[block])
        return of_T, of_W, of_A, of_bias

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, tuple[int, ...]]:
        def gradients(R: Tensor, T: Tensor, W: Tensor, A: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
            units = _matrix_units(T, W, inputs[4], bias)
            through = (R @ A) * (units > 0)
            return inputs[4] * through @ W, inputs[4] * through.mT @ T, R.mT @ torch.relu(units), through.sum(0)

        places = 0, 1, 2, 3, 5
        dims = tuple(in_dims[i] for i in places)
        return torch.vmap(gradients, dims)(*(inputs[i] for i in places)), (0, 0, 0, 0)


def _matrix_units(T: Tensor, W: Tensor, scale: float, bias: Tensor | None) -> Tensor:
    units = scale * T @ W.mT
    return units if bias is None else units + bias


def _block_units(T: Tensor, W: Tensor, scale: float, bias: Tensor | None) -> Tensor:
    units = W @ T.T
    if scale != 1:
        units.mul_(scale)
    return units if bias is None else units.add_(bias[:, None])


def _blocks(samples: int, units: int) -> Iterator[slice]:
    # With threads each product of a block ends in a barrier, which is slow where others use the cores: fewer of them.
    numbers = _BLOCK if torch.get_num_threads() == 1 else 4 * _BLOCK
    size = max(64, numbers // samples)
    return row_blocks(units, size)
