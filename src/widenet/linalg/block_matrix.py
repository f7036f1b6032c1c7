"""Matrices that exist block by block: products, rows and dense form from whatever makes a block."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from widenet._arrays import Array, format_bytes, parse_memory
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels.progress import counted
from widenet.linalg.products import TileSums, add_block, add_transposed_block

Progress = Callable[[int, int], None]  # told the blocks done and the blocks in all


@dataclass(frozen=True)
class BlockLayout:
    """How a matrix is cut into blocks.

    Attributes:
        rows: Rows n.
        columns: Columns m.
        size: Rows and columns of a block; the last ones are smaller.
        symmetric: Whether only blocks on and above the diagonal exist, the others being their mirror images.
    """

    rows: int
    columns: int
    size: int
    symmetric: bool

    def corners(self) -> Iterator[tuple[int, int]]:
        """Row and column number of every block."""
        for i in range(-(-self.rows // self.size)):
            for j in range(i if self.symmetric else 0, -(-self.columns // self.size)):
                yield i, j

    def count(self) -> int:
        """Number of blocks."""
        across, down = -(-self.columns // self.size), -(-self.rows // self.size)
        return across * (across + 1) // 2 if self.symmetric else across * down

    def slices(self, i: int, j: int) -> tuple[slice, slice]:
        """Rows and columns of block (i, j)."""
        rows = slice(i * self.size, min((i + 1) * self.size, self.rows))
        return rows, slice(j * self.size, min((j + 1) * self.size, self.columns))


class BlockMatrix(ABC):
    """A matrix of which one block at a time is in memory.

    Supports `shape`, `dtype`, `K @ v`, `K.T @ v`, `rows`, `diagonal`, `dense`, and
    `as_linear_operator` for SciPy's iterative methods. Nothing here is differentiable.
    """

    layout: BlockLayout
    progress: Progress | None
    _torch_dtype: torch.dtype
    _device: torch.device
    _numpy: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return self.layout.rows, self.layout.columns

    @property
    def dtype(self) -> np.dtype | torch.dtype:
        """Element type, of NumPy or torch as the points were."""
        return np.dtype(str(self._torch_dtype)[6:]) if self._numpy else self._torch_dtype

    @property
    def T(self) -> "BlockMatrix":
        """The transpose, as lazy as the matrix."""
        return self if self.layout.symmetric else TransposedMatrix(self)

    @abstractmethod
    def block(self, i: int, j: int) -> Tensor:
        """Block (i, j) of the layout, on or above the diagonal where that is symmetric."""

    @abstractmethod
    def rows(self, indices: Array) -> Array:
        """Rows of the matrix, (len(indices), m); indices are integers, negative from the end, or a mask."""

    @abstractmethod
    def diagonal(self) -> Array:
        """Diagonal, (min(n, m),)."""

    def dense(self) -> Array:
        """The whole matrix in memory.

        Raises:
            MemoryLimitExceeded: Where it does not fit in the memory limit.
        """
        self._check_dense()
        result = torch.empty(self.shape, dtype=self._torch_dtype, device=self._device)
        for (rows, columns), block in self._blocks():
            result[rows, columns] = block
            if self.layout.symmetric and rows != columns:
                result[columns, rows] = block.T
        return result.numpy() if self._numpy else result

    def __matmul__(self, v: Array) -> Array:
        """Product K v with sums in float64.

        Args:
            v: (m,) or (m, k), NumPy or torch.

        Returns:
            (n,) or (n, k), of the array kind of v and the wider of the two dtypes.

        Cost:
            One evaluation of every block (of half of them where the matrix is symmetric) and 2 n m k
            flops in all threads; memory: one block, float64 copies of tiles of it, and the result.
        """
        sums = TileSums(self._right(v, self.shape[1]), self.shape[0])
        for (rows, columns), block in self._blocks():
            add_block(sums, block, rows, columns, mirror=self.layout.symmetric and rows != columns)
        return self._left(sums.result, v)

    def _transposed_product(self, v: Array) -> Array:
        sums = TileSums(self._right(v, self.shape[0]), self.shape[1])
        for (rows, columns), block in self._blocks():
            add_transposed_block(sums, block, rows, columns)
        return self._left(sums.result, v)

    def as_linear_operator(self) -> LinearOperator:
        """This matrix for `scipy.sparse.linalg`: products of NumPy vectors and matrices."""
        return _Operator(self)

    def _blocks(self) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
        for i, j in self._corners():
            yield self.layout.slices(i, j), self.block(i, j)

    def _corners(self) -> Iterator[tuple[int, int]]:
        """Corners of the blocks of a long computation, whose progress is told after each."""
        total = self.layout.count()
        with counted(total) as step:
            for done, corner in enumerate(self.layout.corners()):
                yield corner
                step()
                if self.progress is not None:
                    self.progress(done + 1, total)

    def _right(self, v: Array, length: int) -> Tensor:
        right = v.detach() if isinstance(v, Tensor) else torch.from_numpy(np.array(v))
        if right.ndim not in (1, 2) or len(right) != length or right.is_complex():
            raise InvalidInput(
                f"K of shape {self.shape} multiplies real ({length},) or ({length}, k)", f"shape {tuple(right.shape)}"
            )
        right = right.to(self._device, torch.float64)
        return right[:, None] if right.ndim == 1 else right

    def _left(self, result: Tensor, v: Array) -> Array:
        given = v.dtype if isinstance(v, Tensor) else torch.from_numpy(np.empty(0, np.asarray(v).dtype)).dtype
        result = result.to(torch.promote_types(self._torch_dtype, given))
        result = result[:, 0] if np.ndim(v) == 1 else result
        return result if isinstance(v, Tensor) else result.cpu().numpy()

    def _indices(self, indices: Array) -> Tensor:
        index = torch.as_tensor(np.asarray(indices.cpu() if isinstance(indices, Tensor) else indices))
        n = self.shape[0]
        if index.dtype == torch.bool and index.shape == (n,):
            index = index.nonzero()[:, 0]
        if index.ndim != 1 or index.is_floating_point() or index.dtype == torch.bool or index.is_complex():
            raise InvalidInput(
                f"row indices must be a list of integers or a mask of {n}", f"{index.dtype}, shape {tuple(index.shape)}"
            )
        if len(index) and not (-n <= int(index.min()) and int(index.max()) < n):
            raise InvalidInput(f"row indices must lie in [{-n}, {n})", f"{int(index.min())} to {int(index.max())}")
        return (index % n).to(self._device)

    def _check_dense(self) -> None:
        needed, limit = self.shape[0] * self.shape[1] * self._torch_dtype.itemsize, self._memory_limit()
        if needed > limit:
            raise MemoryLimitExceeded(
                f"the {self.shape[0]} x {self.shape[1]} matrix needs {format_bytes(needed)}",
                f"a memory limit of {format_bytes(limit)}",
                "Use products, or store it on disk, or give a larger memory_limit",
            )

    def _memory_limit(self) -> int:
        return parse_memory(None)


class TransposedMatrix(BlockMatrix):
    """The transpose of a block matrix that is not symmetric."""

    def __init__(self, original: BlockMatrix) -> None:
        self.original = original
        layout = original.layout
        self.layout = BlockLayout(layout.columns, layout.rows, layout.size, False)
        self.progress = original.progress
        self._torch_dtype, self._device, self._numpy = original._torch_dtype, original._device, original._numpy

    @property
    def T(self) -> BlockMatrix:
        """The matrix itself."""
        return self.original

    def block(self, i: int, j: int) -> Tensor:
        """Block (j, i) of the original, transposed."""
        return self.original.block(j, i).T

    def rows(self, indices: Array) -> Array:
        """Columns of the original, as rows."""
        index = self._indices(indices)
        result = torch.empty(len(index), self.shape[1], dtype=self._torch_dtype, device=self._device)
        for (rows, columns), block in self._blocks():
            chosen = ((index >= rows.start) & (index < rows.stop)).nonzero()[:, 0]
            result[chosen, columns] = block[index[chosen] - rows.start]
        return result.numpy() if self._numpy else result

    def diagonal(self) -> Array:
        """Diagonal of the original."""
        return self.original.diagonal()

    def __matmul__(self, v: Array) -> Array:
        """Product K^T v with sums in float64; see `BlockMatrix.__matmul__`."""
        return self.original._transposed_product(v)

    def _memory_limit(self) -> int:
        return self.original._memory_limit()


class _Operator(LinearOperator):
    """A block matrix in the words of SciPy."""

    def __init__(self, matrix: BlockMatrix) -> None:
        super().__init__(np.dtype(str(matrix._torch_dtype)[6:]), matrix.shape)
        self.matrix = matrix

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.matrix @ x

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        return self.matrix @ X

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self.matrix.T @ x

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        return self.matrix.T @ X
