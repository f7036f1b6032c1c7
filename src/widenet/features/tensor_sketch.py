"""Sketches of products: the flat TensorSketch of a power of x, and degree-2 sketches of two different inputs."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput
from widenet.features.base import require_seed, require_size
from widenet.features.count_sketch import write_hashed_sums
from widenet.features.hadamard_products import HadamardProducts, hadamard_products, leaf_length
from widenet.features.hashing import draw_keys
from widenet.features.poly_sketch import Transform
from widenet.features.rows import Rows, read_rows
from widenet.features.sketch_tree import Node
from widenet.features.sketches import RowSketch
from widenet.features.spectral_products import CountProducts, FourierProducts

_PRODUCT = (Node(0, 2, -1, -2),)


@dataclass(frozen=True)
class TensorSketch(RowSketch):
    """The circular convolution of q CountSketches of x: a CountSketch of the tensor power of x of degree q.

    S x = irfft(prod_j rfft(C_j x)), with E <S x, S y> = <x, y>^q and variance at most
    ((1 + 2 c^2)^q - c^(2 q)) / m for unit rows of cosine c. That grows as 3^q near the diagonal: use it for q up to 4,
    and `PolySketch`, whose variance grows as q, beyond.

    Attributes:
        dimension: d, numbers of a row.
        degree: q.
        size: m, numbers of a sketch.
        seed: Of the hash functions.

    Raises:
        InvalidInput: On a degree or sizes that are no positive whole numbers.

    Cost:
        q operations a non-zero and q + 1 Fourier transforms of size m a row; memory of blocks of rows.

    References:
        Pham and Pagh 2013, KDD.

    Example:
        >>> x = np.full((1, 4), 0.5)
        >>> TensorSketch(4, degree=2, size=64, seed=0).apply(x).shape
        (1, 64)
    """

    dimension: int
    degree: int
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        self._require_sizes()
        if not is_count(self.degree):
            raise InvalidInput("TensorSketch.degree must be a whole number of at least 1", repr(self.degree))

    def variance(self, cosine: float) -> float:
        """((1 + 2 c^2)^q - c^(2 q)) / m."""
        return ((1 + 2 * cosine**2) ** self.degree - cosine ** (2 * self.degree)) / self.size

    def _write(self, rows: Rows, out: Tensor) -> None:
        keys = draw_keys("TensorSketch", self.seed, self.degree)
        for place, block in rows.blocks(4 * self.size):
            spectrum: Tensor | float = 1.0
            hashed = block.empty(self.size)
            for key in keys:
                write_hashed_sums(block, np.array([key]), hashed)
                spectrum = torch.fft.rfft(hashed) * spectrum
            out[place] = torch.fft.irfft(torch.as_tensor(spectrum), n=self.size)


@dataclass(frozen=True)
class ProductSketch:
    """A degree-2 sketch of x (x) y for pairs of rows of two kinds: E <S(x, y), S(x', y')> = <x, x'> <y, y'>.

    One product of `PolySketch` with two different leaves: where a kernel is a product of two, the sketch of their
    features is a feature map of it.

    Attributes:
        dimensions: Numbers of x and of y.
        size: m, numbers of a sketch.
        seed: Of all random numbers.
        transform: "hadamard", "fourier" or "count", as for `PolySketch`.

    Raises:
        InvalidInput: On sizes that are no positive whole numbers, and an odd size for "fourier".

    Cost:
        Two transforms of the larger dimension a row.

    References:
        Degree-2 TensorSRHT of arXiv 1909.01410, as in arXiv 2106.07880.

    Example:
        >>> x, y = np.eye(2, 8), np.eye(2, 5)
        >>> ProductSketch((8, 5), size=32, seed=0).apply(x, y).shape
        (2, 32)
    """

    dimensions: tuple[int, int]
    size: int
    seed: int = 0
    transform: Transform = "hadamard"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimensions", tuple(self.dimensions))
        if len(self.dimensions) != 2 or not all(is_count(dimension) for dimension in self.dimensions):
            raise InvalidInput("ProductSketch.dimensions must be two whole numbers from 1 on", repr(self.dimensions))
        require_size("ProductSketch", self.size)
        require_seed("ProductSketch", self.seed)
        if self.transform not in ("hadamard", "fourier", "count"):
            raise InvalidInput("ProductSketch.transform must be 'hadamard', 'fourier' or 'count'", repr(self.transform))
        if self.transform == "fourier" and self.size % 2:
            raise InvalidInput("a complex sketch is twice as many real numbers; the size must be even", repr(self.size))

    def apply(self, X: Array, Y: Array) -> Array:
        """The sketches of the pairs (x, y) of rows of X (n, d) and Y (n, d'): (n, size).

        Args:
            X: First rows: NumPy or torch.
            Y: Second rows, of the array kind, precision and number of the first.

        Raises:
            InvalidInput: On rows of other dimensions or of unequal number, on sparse rows and on numbers that are not
                finite.
        """
        rows = [read_rows(Z, "ProductSketch", size) for Z, size in zip((X, Y), self.dimensions, strict=True)]
        if rows[0].dense is None or rows[1].dense is None:
            raise InvalidInput(
                "ProductSketch takes dense rows", "sparse ones", "Sketch each of them by CountSketch first"
            )
        if rows[0].shape[0] != rows[1].shape[0] or rows[0].dtype != rows[1].dtype:
            got = f"{rows[0].shape[0]} of {rows[0].dtype} and {rows[1].shape[0]} of {rows[1].dtype}"
            raise InvalidInput("X and Y must be as many rows of one precision", got)
        out = rows[0].empty(self.size)
        _product(self).write((rows[0], rows[1]), [1.0], out, 0)
        return rows[0].restore(out)

    def variance(self, cosines: tuple[float, float]) -> float:
        """An upper bound of the variance of <S(x, y), S(x', y')> for unit rows with <x, x'>, <y, y'>."""
        products = _product(self)
        larger = max(cosines, key=abs)
        return max(0.0, products.moments(larger)[0].cross - larger**4)


@lru_cache(maxsize=16)
def _product(sketch: ProductSketch) -> HadamardProducts | FourierProducts | CountProducts:
    source, dimension = ("ProductSketch", sketch.seed), max(sketch.dimensions)
    if sketch.transform == "fourier":
        return FourierProducts.of(_PRODUCT, (sketch.size,), dimension, sketch.size, source)
    if sketch.transform == "count":
        return CountProducts(_PRODUCT, (sketch.size,), dimension, sketch.size, *source)
    lengths = leaf_length(dimension, sketch.size), 16
    return hadamard_products(_PRODUCT, (sketch.size,), dimension, lengths, source)
