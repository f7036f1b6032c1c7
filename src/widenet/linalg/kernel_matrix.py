"""The Gram matrix that is never stored unless asked."""

import math
from copy import copy
from pathlib import Path

import torch
from torch import Tensor

from widenet._arrays import Array, Inputs, format_bytes, parse_memory
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels.angle import angular_tiles
from widenet.kernels.base import Kernel
from widenet.linalg.block_matrix import BlockLayout, BlockMatrix, Progress
from widenet.linalg.disk import StoredKernelMatrix, fingerprint, store_blocks
from widenet.linalg.products import TileSums, add_tiles

_LARGEST_BLOCK = 2048  # rows: larger blocks save nothing, since the cost of a call is already hidden
_SMALLEST_BLOCK = 16
_DIAGONAL = 64  # rows of a square block that is computed for its diagonal: a call costs as much as its 4,096 entries
_COPIES = 4  # of a block at a time, in bytes of float64: the block, its tiles, the temporaries of a kernel


class KernelMatrix(BlockMatrix):
    """K(X, Y) that is never stored unless asked.

    A product evaluates the kernel block by block under the memory limit; in the symmetric case every
    off-diagonal block is computed once and used for both halves. Ctrl-C between blocks leaves nothing
    half done.

    Args:
        kernel: Kernel.
        X: Points, (n, *positions, channels), NumPy or torch, float32 or float64.
        Y: Points, (m, *positions, channels), or None for X itself: the symmetric case.
        memory_limit: Bytes, or text such as "1 GiB", for the blocks and for `dense`; None means half of
            the available memory.
        progress: Told (blocks done, blocks in all) after every block of a long computation.

    Raises:
        InvalidInput: On points that the kernel refuses.
        MemoryLimitExceeded: Where not even one block fits in the limit.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Laplace
        >>> X = np.array([[0.0], [1.0], [3.0]])
        >>> K = KernelMatrix(Laplace(scale=1.0), X)
        >>> (K @ np.ones(3)).round(4)
        array([1.4177, 1.5032, 1.1851])
    """

    def __init__(
        self,
        kernel: Kernel,
        X: Array,
        Y: Array | None = None,
        *,
        memory_limit: int | float | str | None = None,
        progress: Progress | None = None,
    ) -> None:
        inputs = kernel._read_inputs(X, Y)
        self.kernel, self.progress, self.memory_limit = kernel, progress, memory_limit
        self.X = inputs.X.detach()
        self.Y = None if inputs.Y is None else inputs.Y.detach()
        self._numpy, self._torch_dtype, self._device = inputs.numpy, self.X.dtype, self.X.device
        # Refuse bad points, and layers that no kernel is known for, before long work starts.
        for points in (self.X,) if self.Y is None else (self.X, self.Y):
            kernel._check_points(points)
        self._between(self.X[:1], None if self.Y is None else self.Y[:1])
        columns = len(self.X if self.Y is None else self.Y)
        size = _block_size(parse_memory(memory_limit), *kernel._working_bytes(self.X))
        self.layout = BlockLayout(len(self.X), columns, size, self.Y is None)

    def __repr__(self) -> str:
        return f"KernelMatrix({self.kernel!r}, shape={self.shape}, dtype={self.dtype})"

    def block(self, i: int, j: int) -> Tensor:
        """Block (i, j): the kernel between the points of its rows and of its columns."""
        rows, columns = self.layout.slices(i, j)
        if self.Y is None:
            return self._between(self.X[rows], None if i == j else self.X[columns])
        return self._between(self.X[rows], self.Y[columns])

    def _between(self, X: Tensor, Y: Tensor | None) -> Tensor:
        return self.kernel._gram(
            Inputs(X, Y, numpy=False)
        )  # the points are tensors already, maybe of a form of their own

    def __matmul__(self, v: Array) -> Array:
        """Product K v with sums in float64; see `BlockMatrix.__matmul__`.

        Tiles of a kernel of the angle are multiplied in the cache in which they are computed: no block is stored.
        """
        terms = self.kernel._angular_terms(self.X, self.Y)
        tiles = None if terms is None else angular_tiles(terms, self.X, self.Y)
        if tiles is None:
            return super().__matmul__(v)
        sums = TileSums(self._right(v, self.shape[1]), self.shape[0])
        for i, j in self._corners():
            add_tiles(sums, tiles.values, *self.layout.slices(i, j), symmetric=self.layout.symmetric)
        return self._left(sums.result, v)

    def rows(self, indices: Array) -> Array:
        """Rows K(X[indices], Y), (len(indices), m); indices are integers, negative from the end, or a mask."""
        index = self._indices(indices)
        if len(index) == 0:
            raise InvalidInput("rows needs at least one index", "none")
        result = self._between(self.X[index], self.X if self.Y is None else self.Y)
        if self.Y is None:
            result[torch.arange(len(index), device=self._device), index] = self.kernel._diagonal(self.X[index])
        return result.numpy() if self._numpy else result

    def diagonal(self) -> Array:
        """Diagonal K(x_i, y_i), (min(n, m),), without the matrix."""
        if self.Y is None:
            result = self.kernel._diagonal(self.X)
        else:
            count, size = min(self.shape), min(_DIAGONAL, self.layout.size)
            chunks = [slice(i, min(i + size, count)) for i in range(0, count, size)]
            result = torch.cat([self._between(self.X[chunk], self.Y[chunk]).diagonal() for chunk in chunks])
        return result.numpy() if self._numpy else result

    def dense(self) -> Array:
        """The whole matrix in memory, (n, m), block by block where there is a `progress` to tell.

        Raises:
            MemoryLimitExceeded: Where it does not fit in the memory limit.
        """
        if self.progress is not None:
            return super().dense()
        self._check_dense()
        result = self._between(self.X, self.Y)
        return result.numpy() if self._numpy else result

    def store(self, path: str | Path, *, block_size: int | None = None) -> StoredKernelMatrix:
        """Write the matrix to a folder on disk block by block, or go on where a killed run stopped.

        Only the upper half is written where the matrix is symmetric. After a kill at any moment the
        same call resumes, keeps the blocks whose checksum holds, and ends in the same bytes. One process
        at a time may write a folder: each deletes the unfinished blocks of the others.

        Args:
            path: Folder of the zarr array, made if absent.
            block_size: Rows and columns of a block on disk; None means that of the memory limit.

        Raises:
            InvalidInput: Where the repr of the kernel does not name it: a lambda.
            FingerprintMismatch: Where the folder holds other data, another kernel, dtype or layout.
            InvalidFile: Where the folder is foreign, cannot be written, or the disk is too small.
        """
        size = self.layout.size if block_size is None else block_size
        if size < 1:
            raise InvalidInput("block_size must be at least 1", repr(block_size))
        whole = copy(self)  # a new one would read the points again, which may be packed sequences
        whole._numpy, whole.progress = False, None
        whole.layout = BlockLayout(*self.shape, size, self.Y is None)
        identity = fingerprint(repr(self.kernel), self.X, self.Y, whole.layout)
        store_blocks(whole, Path(path), identity, numpy=self._numpy, progress=self.progress)
        stored = StoredKernelMatrix(path, memory_limit=self.memory_limit, progress=self.progress)
        stored._numpy = self._numpy  # the folder remembers its first writer, who may have had other arrays
        return stored

    def _memory_limit(self) -> int:
        return parse_memory(self.memory_limit)


def _block_size(limit: int, work: int, row: int) -> int:
    """Rows of a square block that fits in the limit beside the memory of the work on it, a multiple of 16.

    Args:
        limit: Bytes.
        work: Bytes of the work whatever the block.
        row: Bytes of the work for each row and column of the block.
    """
    entry = 8 * _COPIES
    # The largest s with entry s^2 + row s <= limit - work.
    fits = (math.isqrt(row**2 + 4 * entry * max(limit - work, 0)) - row) // (2 * entry)
    size = min(_LARGEST_BLOCK, fits) // 16 * 16
    if size < _SMALLEST_BLOCK:
        needed = entry * _SMALLEST_BLOCK**2 + row * _SMALLEST_BLOCK + work
        raise MemoryLimitExceeded(
            f"a block of {_SMALLEST_BLOCK} rows needs {format_bytes(needed)}", f"a limit of {format_bytes(limit)}"
        )
    return size
