"""CountSketch and OSNAP: every coordinate is added, with a random sign, to one or a few random buckets."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import is_count
from widenet.errors import InvalidInput
from widenet.features import _fused_sketch
from widenet.features.hashing import buckets, draw_keys, mixed, signs
from widenet.features.rows import Rows
from widenet.features.sketches import RowSketch
from widenet.networks.hadamard import spread


def write_hashed_sums(rows: Rows, keys: np.ndarray, out: Tensor) -> None:
    """Write sum_k sign(k) x_k to the bucket of k in every part of `out` (n, m), over the root of the number of parts.

    Args:
        rows: Rows (n, d).
        keys: Of the hash functions, one a part; part r of s holds the columns from r m // s up to (r + 1) m // s.
        out: Result, contiguous.

    Cost:
        Non-zeros times parts; no memory.
    """
    if rows.dense is None:
        arrays = rows.csr.data, rows.csr.indices, rows.csr.indptr
        spread(lambda bounds: _fused_sketch.count_sparse(arrays, keys, out.numpy(), bounds), len(out))
    elif rows.dense.device.type == "cpu":
        X = rows.dense.numpy()
        spread(lambda bounds: _fused_sketch.count_dense(X, keys, out.numpy(), bounds), len(out))
    else:
        _write_on_device(rows.dense, keys, out)


def _write_on_device(X: Tensor, keys: np.ndarray, out: Tensor) -> None:
    """The same by torch's operations."""
    out.zero_()
    s, m = len(keys), out.shape[1]
    coordinates = np.arange(X.shape[1])
    for part, key in enumerate(keys):
        low, high = part * m // s, (part + 1) * m // s
        bits = mixed(key, coordinates)
        sign = torch.from_numpy(signs(bits)).to(X) / s**0.5
        out.index_add_(1, torch.from_numpy(low + buckets(bits, high - low)).to(X.device), X * sign)


@dataclass(frozen=True)
class OSNAP(RowSketch):
    """The oblivious sparse embedding: every coordinate goes to s buckets with signs, over the root of s.

    (S x)_j = s^(-1/2) sum of sign_r(k) x_k over the coordinates k and the parts r whose bucket h_r(k) is j. The size is
    cut into s parts, and a coordinate has one bucket in each. E <S x, S y> = <x, y>, with variance at most
    (|x|^2 |y|^2 + <x, y>^2) / m, where m = s times the smallest part; more parts leave this variance as it is, but
    thin the tails of the error.

    Attributes:
        dimension: d, numbers of a row.
        size: m, numbers of a sketch.
        seed: Of the hash functions.
        parts: s, buckets of a coordinate, at most the size.

    Raises:
        InvalidInput: On sizes that are no positive whole numbers, or more parts than buckets.

    Cost:
        s operations a non-zero, and no table: the hash is computed.

    References:
        Nelson and Nguyen, arXiv 1211.1002.

    Example:
        >>> OSNAP(1000, 32, seed=1, parts=4).apply(np.eye(2, 1000)).shape
        (2, 32)
    """

    dimension: int
    size: int
    seed: int = 0
    parts: int = 4

    def __post_init__(self) -> None:
        self._require_sizes()
        if not is_count(self.parts) or self.parts > self.size:
            raise InvalidInput("OSNAP.parts must be a whole number from 1 to the size", repr(self.parts))

    def variance(self, cosine: float) -> float:
        """(1 + c^2) / m with m = s times the smallest part."""
        return (1 + cosine**2) / (self.parts * (self.size // self.parts))

    def _write(self, rows: Rows, out: Tensor) -> None:
        write_hashed_sums(rows, draw_keys("OSNAP", self.seed, self.parts), out)


@dataclass(frozen=True)
class CountSketch(RowSketch):
    """Every coordinate is added, with a random sign, to one random bucket.

    (S x)_j = sum of sign(k) x_k over the coordinates k with bucket h(k) = j. E <S x, S y> = <x, y>, with variance
    (|x|^2 |y|^2 + <x, y>^2 - 2 sum_k x_k^2 y_k^2) / m exactly.

    Attributes:
        dimension: d, numbers of a row.
        size: m, numbers of a sketch.
        seed: Of the hash function.

    Cost:
        One operation a non-zero, and no table: the hash is computed.

    References:
        Charikar, Chen and Farach-Colton 2002; as a subspace embedding Clarkson and Woodruff, arXiv 1207.6365.

    Example:
        >>> X = np.eye(2, 1000)
        >>> Z = CountSketch(1000, 16, seed=1).apply(X)
        >>> Z.shape, abs(Z).sum(axis=1)
        ((2, 16), array([1., 1.]))
    """

    dimension: int
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        self._require_sizes()

    def variance(self, cosine: float) -> float:
        """(1 + c^2) / m."""
        return (1 + cosine**2) / self.size

    def _write(self, rows: Rows, out: Tensor) -> None:
        write_hashed_sums(rows, draw_keys("CountSketch", self.seed, 1), out)
