"""Rows of numbers at the border of a feature map: dense in NumPy or torch, or SciPy's sparse rows, never densified."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from widenet._arrays import Array, read_inputs
from widenet.errors import InvalidInput

BLOCK_NUMBERS = 2**20  # that temporaries of one block may hold

_TORCH = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}


@dataclass(frozen=True)
class Rows:
    """Checked rows of one precision, either dense or sparse.

    Attributes:
        dense: The rows (n, d) as a tensor, or None where they are sparse.
        compressed: Sparse rows (n, d), or None where they are dense.
        numpy: Whether results go back as NumPy arrays.
    """

    dense: Tensor | None
    compressed: Any  # SciPy's own types leave open what a sparse array holds
    numpy: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        kept = self.compressed if self.dense is None else self.dense
        assert kept is not None
        return int(kept.shape[0]), int(kept.shape[1])

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the numbers."""
        return _TORCH[self.csr.data.dtype] if self.dense is None else self.dense.dtype

    @property
    def csr(self) -> Any:
        """The sparse rows themselves."""
        assert self.compressed is not None
        return self.compressed

    def empty(self, columns: int) -> Tensor:
        """Room for that many numbers a row, like these rows."""
        device = torch.device("cpu") if self.dense is None else self.dense.device
        return torch.empty(self.shape[0], columns, dtype=self.dtype, device=device)

    def restore(self, result: Tensor) -> Array:
        """A result in the array kind that came in, NumPy for sparse rows."""
        return result.numpy() if self.numpy else result

    def take(self, rows: slice) -> "Rows":
        """Some of the rows."""
        if self.dense is None:
            return Rows(None, self.csr[rows], self.numpy)
        return Rows(self.dense[rows], None, self.numpy)

    def blocks(self, numbers: int) -> Iterator[tuple[slice, "Rows"]]:
        """Consecutive rows with their place, so few that `numbers` numbers a row fit a block."""
        count = max(1, BLOCK_NUMBERS // max(numbers, 1))
        for start in range(0, self.shape[0], count):
            place = slice(start, min(start + count, self.shape[0]))
            yield place, self.take(place)

    def norms(self) -> Tensor:
        """Euclidean norms of the rows, (n,)."""
        if self.dense is not None:
            return torch.linalg.vector_norm(self.dense, dim=1)
        squares = np.add.reduceat(np.append(self.csr.data, 0) ** 2, self.csr.indptr[:-1].astype(np.int64))
        return torch.from_numpy(np.sqrt(np.where(np.diff(self.csr.indptr) > 0, squares, 0).astype(self.csr.data.dtype)))


def read_rows(X: Array, owner: str, dimension: int | None = None) -> Rows:
    """Check rows and bring them to the form that sketches read.

    Args:
        X: Rows (n, d): NumPy or torch, or SciPy's sparse matrices and arrays. Integers become float64.
        owner: Who asks, for the words of errors.
        dimension: d, where it must be that.

    Raises:
        InvalidInput: On text, complex or non-finite numbers, no rows, points that are no rows, or another d.
    """
    if sparse.issparse(X):
        rows = Rows(None, _compressed(X, owner), True)
    else:
        inputs = read_inputs(X)
        rows = Rows(inputs.X.detach().contiguous(), None, inputs.numpy)
        if inputs.X.ndim != 2:
            raise InvalidInput(f"{owner} takes rows of numbers, (n, d)", f"shape {tuple(inputs.X.shape)}")
    if dimension is not None and rows.shape[1] != dimension:
        raise InvalidInput(f"{owner} is for rows of {dimension} numbers", f"{rows.shape[1]} a row")
    return rows


def _compressed(X: Array, owner: str) -> Any:
    if X.ndim != 2 or 0 in X.shape:
        raise InvalidInput(f"{owner} takes sparse rows (n, d) with at least one of each", f"shape {X.shape}")
    kept: Any = sparse.csr_array(X)
    if kept.dtype.kind in "biu":
        kept = kept.astype(np.float64)
    if kept.dtype not in _TORCH:
        raise InvalidInput(f"{owner} takes float32 or float64", str(kept.dtype), "Cast it with .astype('float32')")
    if not np.isfinite(kept.data).all():
        raise InvalidInput(f"{owner} takes finite numbers", "NaN or infinity", "Impute or drop them")
    if not kept.has_canonical_format:
        kept = kept.copy()
        kept.sum_duplicates()
    return kept
