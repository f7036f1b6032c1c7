"""Subsampled randomised transforms: random signs, a Walsh-Hadamard or Fourier transform, some of its numbers."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from widenet.errors import InvalidInput
from widenet.features import _fused_sketch
from widenet.features.hadamard_products import HadamardProducts, hadamard_products
from widenet.features.hashing import mixed, signs
from widenet.features.rows import Rows
from widenet.features.sketch_tree import Node
from widenet.features.sketches import RowSketch
from widenet.features.spectral_products import FourierProducts
from widenet.networks.hadamard import block_size, spread

_SINGLE = (Node(0, 1, -1, None),)


@dataclass(frozen=True)
class SRHT(RowSketch):
    """The subsampled randomised Hadamard transform: m rows of H D x, over the root of m.

    H is the Walsh-Hadamard matrix of the next power of two P >= d (16 or more), D random signs, the rows are
    drawn without repetition. E <S x, S y> = <x, y>, with variance at most (1 + c^2) (P - m) / (m (P - 1)) for unit rows
    of cosine c; with P rows or more S keeps all inner products, and columns behind the first P are 0.

    Attributes:
        dimension: d, numbers of a row.
        size: m, numbers of a sketch.
        seed: Of the signs and the rows.

    Cost:
        P log2(P) additions a dense row; m operations a non-zero of a sparse one.

    References:
        Ailon and Chazelle 2009; Tropp, arXiv 1011.1595.

    Example:
        >>> X = np.array([[3.0, 4.0]])
        >>> SRHT(2, 16, seed=0).apply(X) @ SRHT(2, 16, seed=0).apply(X).T
        array([[25.]])
    """

    dimension: int
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        self._require_sizes()

    def variance(self, cosine: float) -> float:
        """(1 + c^2) (P - m) / (m (P - 1)), 0 for m >= P."""
        padded = block_size(self.dimension)
        return (1 + cosine**2) * max(0, padded - self.size) / (self.size * (padded - 1))

    def _write(self, rows: Rows, out: Tensor) -> None:
        products = _hadamard(self)
        if rows.dense is not None:
            products.write((rows, None), [1.0], out)
            return
        count = int(products.table[0, 5])
        out[:, count:] = 0
        csr = rows.csr
        arrays, chosen = (csr.data, csr.indices, csr.indptr), products.cells[0].astype(np.int64)
        spread(lambda bounds: _fused_sketch.walsh_sums(arrays, products.keys[0], chosen, out.numpy(), bounds), len(out))


@dataclass(frozen=True)
class ComplexSRHT(RowSketch):
    """The subsampled randomised Fourier transform: m / 2 rows of F D x, over the root of m / 2, as [Re, Im].

    F is the unnormalised discrete Fourier transform of size d, which needs no padding, D random signs, the rows are
    drawn without repetition. E <S x, S y> = <x, y>, with variance at most (1 + c^2) (d - k) / (k (d - 1)) for unit
    rows of cosine c and k = m / 2; about half of it where rows have no large coordinates. With 2 d numbers or more S
    keeps all inner products, and further columns are 0.

    Attributes:
        dimension: d, numbers of a row.
        size: m, numbers of a sketch, even.
        seed: Of the signs and the rows.

    Raises:
        InvalidInput: On an odd size.

    Cost:
        One Fourier transform of size d a dense row; m operations a non-zero of a sparse one.

    References:
        arXiv 2106.07880 for its use in features of tangent kernels.

    Example:
        >>> ComplexSRHT(3, 4, seed=0).apply(np.eye(2, 3)).shape
        (2, 4)
    """

    dimension: int
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        self._require_sizes()
        if self.size % 2:
            raise InvalidInput("a complex sketch is twice as many real numbers; the size must be even", repr(self.size))

    def variance(self, cosine: float) -> float:
        """(1 + c^2) (d - k) / (k (d - 1)) with k = m / 2, 0 for k >= d."""
        half = self.size // 2
        return (1 + cosine**2) * max(0, self.dimension - half) / (half * max(1, self.dimension - 1))

    def _write(self, rows: Rows, out: Tensor) -> None:
        products = FourierProducts(_SINGLE, (self.size,), self.dimension, self.dimension, 1, "ComplexSRHT", self.seed)
        if rows.dense is not None:
            products.write((rows, None), [1.0], out)
            return
        half, frequencies = self.size // 2, products.node_cells(0)[0][0].astype(np.int64)
        out.zero_()
        key = products.keys[0]
        for place, block in rows.blocks(4 * self.size):
            out[place][:, : len(frequencies)], out[place][:, half : half + len(frequencies)] = _phased(
                block.csr, key, frequencies, self.dimension
            )


def _phased(csr: Any, key: np.uint64, frequencies: np.ndarray, dimension: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of F D x at some frequencies, over the root of their number, for sparse rows."""
    columns, local = np.unique(csr.indices, return_inverse=True)
    short = sparse.csr_array((csr.data, local.astype(np.int32), csr.indptr), shape=(csr.shape[0], max(1, len(columns))))
    if len(columns) == 0:
        zeros = torch.zeros(csr.shape[0], len(frequencies))
        return zeros, zeros
    # The product of a frequency and a coordinate modulo d keeps the digits of the phase.
    phases = (columns.astype(np.int64)[:, None] * frequencies[None, :]) % dimension * (-2 * np.pi / dimension)
    scale = signs(mixed(key, columns))[:, None] / len(frequencies) ** 0.5
    parts = ((scale * wave(phases)).astype(csr.data.dtype) for wave in (np.cos, np.sin))
    real, imaginary = (torch.from_numpy(short @ part) for part in parts)
    return real, imaginary


@lru_cache(maxsize=16)
def _hadamard(sketch: SRHT) -> HadamardProducts:
    lengths = block_size(sketch.dimension), 16
    return hadamard_products(_SINGLE, (sketch.size,), sketch.dimension, lengths, ("SRHT", sketch.seed))
