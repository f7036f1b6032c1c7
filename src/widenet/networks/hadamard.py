"""Structured random matrices that are applied in m log p operations: stacked blocks of signs and Hadamard matrices."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.autograd import Function

from widenet.kernels._fused_lanes import lanes
from widenet.kernels.blocks import run_tiles
from widenet.networks import _fused_hadamard

SMALLEST_BLOCK = 16
_FUSED = {torch.float32: np.float32, torch.float64: np.float64}


def block_size(columns: int) -> int:
    """The power of two, 16 or more, that vectors of that many numbers are padded to with zeros."""
    return max(SMALLEST_BLOCK, 1 << (columns - 1).bit_length())


def walsh_hadamard(x: Float[Tensor, "*batch size"]) -> Float[Tensor, "*batch size"]:
    """H x for the Walsh-Hadamard matrix H of +-1, as a product of small Kronecker factors.

    H of size r s is the Kronecker product of those of r and s: factors of at most 16 become small matrix products.

    Args:
        x: Vectors whose size is a power of two, (..., size).

    Returns:
        Their transforms, (..., size), not normalised.

    Cost:
        16 size log16(size) multiplications a vector.

    Example:
        >>> walsh_hadamard(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([10., -2., -4.,  0.])
    """
    size, stride, shape = x.shape[-1], 1, x.shape
    while stride < size:
        radix = min(16, size // stride)
        x = _small_hadamard(radix, x) @ x.reshape(-1, radix, stride)
        stride *= radix
        x = x.reshape(-1, size)
    return x.reshape(shape)


def _small_hadamard(radix: int, like: Tensor) -> Tensor:
    index = torch.arange(radix, device=like.device)
    bits = index[:, None] & index[None, :]
    odd = sum((bits >> shift) & 1 for shift in range(4))
    return (1 - 2 * (torch.as_tensor(odd) % 2)).to(like.dtype)


class HadamardFactor(nn.Module):
    """A random m x p matrix of which a product costs O(m log p): blocks H D1 H D2 H D3, one below the other.

    H is the Hadamard matrix of the next power of two P >= p, D1, D2, D3 are diagonals of random signs, drawn anew for
    each block; vectors are padded with zeros, and the rows of the last block beyond m are dropped. In the scale of
    this module entries have mean 0 and variance 1; the rows of a block are orthogonal where p = P, and their squared
    norm is then p.

    Args:
        rows: m.
        columns: p.
        generator: Source of the signs.
        dtype: Precision, torch.float32 if None.

    Cost:
        3 m log2(P) additions and O(m) random bits. On the CPU a fused pass for float32 and float64, else torch.

    References:
        The structure is that of fast Johnson-Lindenstrauss transforms, Ailon and Chazelle 2009. Its use as the frozen
        factor of a wide layer is this library's reconstruction of Ailon and Shit 2022, arXiv 2210.04807.

    Example:
        >>> factor = HadamardFactor(1000, 60, torch.Generator().manual_seed(0))
        >>> factor(torch.ones(2, 60)).shape, factor.matrix().shape
        (torch.Size([2, 1000]), torch.Size([1000, 60]))
    """

    signs: Tensor

    def __init__(self, rows: int, columns: int, generator: Generator, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.rows, self.columns, self.size = rows, columns, block_size(columns)
        padded = -(-rows // self.size) * self.size
        bits = torch.randint(0, 2, (3, padded), generator=generator)
        self.register_buffer("signs", (2 * bits - 1).to(torch.float32 if dtype is None else dtype))

    @property
    def scale(self) -> float:
        """Factor of H D1 H D2 H D3 with H of entries +-1, that gives entries of variance 1."""
        return 1.0 / self.size

    def forward(self, x: Tensor) -> Tensor:
        """The matrix times vectors (..., p): (..., m)."""
        return HadamardFactor.product(x, self.signs, self.rows)

    def transposed(self, g: Tensor) -> Tensor:
        """The transposed matrix times vectors (..., m): (..., p)."""
        return HadamardFactor.transposed_product(g, self.signs, self.columns)

    @staticmethod
    def product(x: Tensor, signs: Tensor, rows: int) -> Tensor:
        """The matrix of the given signs times vectors (..., p): (..., rows)."""
        return _Product.apply(x, signs, rows)  # pyright: ignore[reportReturnType]

    @staticmethod
    def transposed_product(g: Tensor, signs: Tensor, columns: int) -> Tensor:
        """The transposed matrix of the given signs times vectors (..., m): (..., columns)."""
        return _TransposedProduct.apply(g, signs, columns)  # pyright: ignore[reportReturnType]

    def matrix(self) -> Tensor:
        """The matrix itself, (m, p)."""
        return self(torch.eye(self.columns, dtype=self.signs.dtype, device=self.signs.device)).T.contiguous()

    def extra_repr(self) -> str:
        """Sizes."""
        return f"rows={self.rows}, columns={self.columns}, block={self.size}"


class _Product(Function):
    """Vectors (..., columns) times the transposed structured matrix."""

    @staticmethod
    def forward(x: Tensor, signs: Tensor, rows: int) -> Tensor:
        return _product(x.reshape(-1, x.shape[-1]), signs, rows).reshape(*x.shape[:-1], rows)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])
        ctx.columns, ctx.rows = inputs[0].shape[-1], inputs[2]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _TransposedProduct.apply(gradients[0], ctx.saved_tensors[0], ctx.columns), None, None  # pyright: ignore[reportReturnType]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _Product.apply(tangents[0], ctx.saved_tensors[0], ctx.rows)  # pyright: ignore[reportReturnType]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, signs: Tensor, rows: int) -> tuple[Tensor, int]:
        return _batched(_Product, in_dims, x, signs, rows)


class _TransposedProduct(Function):
    """Vectors (..., rows) times the structured matrix."""

    @staticmethod
    def forward(g: Tensor, signs: Tensor, columns: int) -> Tensor:
        return _transposed_product(g.reshape(-1, g.shape[-1]), signs, columns).reshape(*g.shape[:-1], columns)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])
        ctx.rows, ctx.columns = inputs[0].shape[-1], inputs[2]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradients[0], ctx.saved_tensors[0], ctx.rows), None, None  # pyright: ignore[reportReturnType]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _TransposedProduct.apply(tangents[0], ctx.saved_tensors[0], ctx.columns)  # pyright: ignore[reportReturnType]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], g: Tensor, signs: Tensor, columns: int) -> tuple[Tensor, int]:
        return _batched(_TransposedProduct, in_dims, g, signs, columns)


def _batched(
    function: Any, in_dims: tuple[int | None, ...], x: Tensor, signs: Tensor, length: int
) -> tuple[Tensor, int]:
    """The rule of torch.vmap: one batch more of vectors, or one matrix for each entry of the batch."""
    vectors = x if in_dims[0] is None else x.movedim(in_dims[0], 0)
    if in_dims[1] is None:
        return function.apply(vectors, signs, length), 0
    matrices = signs.movedim(in_dims[1], 0)
    parts = [
        function.apply(vectors if in_dims[0] is None else vectors[number], matrix, length)
        for number, matrix in enumerate(matrices)
    ]
    return torch.stack(parts), 0


def is_fused(x: Tensor) -> bool:
    """Whether the fused loops serve a tensor."""
    return x.device.type == "cpu" and x.dtype in _FUSED


def as_tiles(x: Tensor, size: int) -> Tensor:
    """Vectors (N, columns) as (tiles, size, lanes), padded with zeros."""
    count = lanes(_FUSED[x.dtype])
    tiles = -(-len(x) // count)
    padded = x.new_zeros(tiles * count, size)
    padded[: len(x), : x.shape[1]] = x
    return padded.reshape(tiles, count, size).transpose(1, 2).contiguous()


def new_tiles(tiles: int, size: int, like: Tensor) -> Tensor:
    """Room for results in tiles, (tiles, size, lanes)."""
    return like.new_empty(tiles, size, lanes(_FUSED[like.dtype]))


def from_tiles(tiles: Tensor, count: int, columns: int) -> Tensor:
    """The first vectors and columns of tiles, (count, columns)."""
    return tiles.transpose(1, 2).reshape(-1, tiles.shape[1])[:count, :columns].contiguous()


def spread(work: Callable[[tuple[int, int]], None], count: int) -> None:
    """Call `work` with bounds that share a number of tiles among torch's threads."""
    threads = max(1, min(torch.get_num_threads(), count))
    bounds = [(count * i // threads, count * (i + 1) // threads) for i in range(threads)]
    if threads == 1:
        work(bounds[0])
    else:
        run_tiles(work, bounds, threads=threads)


def _product(x: Tensor, signs: Tensor, rows: int) -> Tensor:
    size = block_size(x.shape[1])
    if not is_fused(x):
        blocks = signs.reshape(3, -1, size).to(x)
        y = nn.functional.pad(x, (0, size - x.shape[1]))[:, None]
        for stage in (2, 1, 0):
            y = walsh_hadamard(y * blocks[stage])
        return y.reshape(len(x), -1)[:, :rows] / size
    tiles, out = as_tiles(x, size), x.new_empty(len(x), rows)
    arrays = tiles.numpy(), signs.to(x).contiguous().numpy()
    scale = _FUSED[x.dtype](1 / size)
    spread(lambda bounds: _fused_hadamard.apply(*arrays, scale, out.numpy(), bounds), len(tiles))
    return out


def _transposed_product(g: Tensor, signs: Tensor, columns: int) -> Tensor:
    size = block_size(columns)
    if not is_fused(g):
        blocks = signs.reshape(3, -1, size).to(g)
        y = nn.functional.pad(g, (0, signs.shape[1] - g.shape[1])).reshape(len(g), -1, size)
        for stage in range(3):
            y = walsh_hadamard(y) * blocks[stage]
        return y.sum(1)[:, :columns] / size
    out = new_tiles(-(-len(g) // lanes(_FUSED[g.dtype])), size, g)
    arrays = g.contiguous().numpy(), signs.to(g).contiguous().numpy()
    scale = _FUSED[g.dtype](1 / size)
    spread(lambda bounds: _fused_hadamard.apply_transposed(*arrays, scale, out.numpy(), bounds), len(out))
    return from_tiles(out, len(g), columns)
