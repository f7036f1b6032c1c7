"""A Gram matrix in memory, for what reads matrices by products, rows and the diagonal."""

import torch
from torch import Tensor

from widenet._arrays import Array
from widenet.linalg.block_matrix import BlockLayout, BlockMatrix

_SIZE = 2048  # rows of a block


class DenseMatrix(BlockMatrix):
    """A symmetric matrix that is in memory, whose blocks are views.

    Args:
        matrix: (n, n), symmetric; its upper half is read by products.
        numpy: Whether results are NumPy arrays.
    """

    def __init__(self, matrix: Tensor, *, numpy: bool) -> None:
        self.matrix, self.progress, self._numpy = matrix, None, numpy
        self._torch_dtype, self._device = matrix.dtype, matrix.device
        self.layout = BlockLayout(len(matrix), len(matrix), _SIZE, True)

    def block(self, i: int, j: int) -> Tensor:
        """Block (i, j), a view."""
        rows, columns = self.layout.slices(i, j)
        return self.matrix[rows, columns]

    def rows(self, indices: Array) -> Array:
        """Rows of the matrix, a copy."""
        result = self.matrix[self._indices(indices)]
        return result.numpy() if self._numpy else result

    def diagonal(self) -> Array:
        """Diagonal, a copy."""
        result = torch.clone(self.matrix.diagonal())
        return result.numpy() if self._numpy else result
