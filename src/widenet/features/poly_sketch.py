"""PolySketch: sketches of all powers <x, y>^j up to a degree, from one tree of degree-2 products in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from torch import Tensor

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput
from widenet.features.base import require_seed
from widenet.features.hadamard_products import HadamardProducts, hadamard_products, leaf_length
from widenet.features.rows import Rows, read_rows
from widenet.features.sketch_tree import Node, Shape, plan_nodes
from widenet.features.spectral_products import CountProducts, FourierProducts
from widenet.networks.hadamard import block_size

Transform = Literal["hadamard", "fourier", "count"]

_SMALLEST_WIDTH, _LARGEST_WIDTH = 256, 8192


@dataclass(frozen=True)
class PolySketch:
    """Sketches S_j of all powers of rows up to a degree, E <S_j x, S_j y> = <x, y>^j, from one tree in one pass.

    Power j is a product of two earlier ones, down to the leaves, which are copies of x, each with random signs of its
    own, or CountSketches of it where it has more than 4,096 numbers. The product of a and b is one of three
    degree-2 sketches of a (x) b:

        "hadamard"  (H D a)_p (H D' b)_q / sqrt(m) for m pairs (p, q): Walsh-Hadamard matrix H, random signs D, D'
        "fourier"   the same with the discrete Fourier transform, m / 2 complex numbers, split in [Re, Im] at the end
        "count"     TensorSketch, the circular convolution of CountSketches of a and b

    Pairs are drawn without repetition, every number in its turn; that takes about half of the variance of
    independent pairs, and powers whose pairs are all taken are exact. The variance of power j is at most
    `variance(cosine, j)`: about (1 + 3 (j - 1)) / m near the diagonal and 1 / m for nearly orthogonal rows.

    In a "tree" the powers share subtrees: what is left of the full tree with e_1 at the leaves behind the first j.
    In a "chain" power j is power j - 1 times a fresh leaf. The bound is the same; the chain takes q - 1 products
    for all powers up to q, the tree up to twice as many.

    Attributes:
        dimension: d, numbers of a row.
        sizes: Columns of powers 1, 2, ..., 0 for powers that are not wanted.
        seed: Of all random numbers; every node and leaf has a stream of its own.
        width: Numbers of the products between leaves and results, rounded up to a power of two for "hadamard"; None
            for the largest size of the powers that are sketched twice, from 256 to 8,192.
        shape: "tree" or "chain".
        transform: "hadamard", "fourier" or "count".

    Raises:
        InvalidInput: On sizes that are no whole numbers or all 0, and on odd sizes for "fourier".

    Cost:
        Non-zeros times the degree, and two transforms of the width a product: at width 1,024 about half a microsecond
        each by the fused Walsh-Hadamard pass, and ten times that by Fourier transforms. Memory beside the result: some
        tiles of 16 rows for "hadamard", else blocks of rows of about 2^20 numbers.

    References:
        Ahle, Kapralov, Knudsen, Pagh, Velingker, Woodruff and Zandieh, arXiv 1909.01410; for tangent kernels arXiv
        2106.07880. The pairs without repetition, the chain and the bound of the variance are this library's.

    Example:
        >>> import numpy as np
        >>> x = np.full((1, 4), 0.5)
        >>> sketch = PolySketch(4, sizes=(0, 64, 64), seed=0)
        >>> [Z.shape for Z in sketch.powers(x)]
        [(1, 0), (1, 64), (1, 64)]
    """

    dimension: int
    sizes: tuple[int, ...]
    seed: int = 0
    width: int | None = None
    shape: Shape = "tree"
    transform: Transform = "hadamard"

    def __post_init__(self) -> None:
        if not is_count(self.dimension):
            raise InvalidInput("PolySketch.dimension must be a whole number of at least 1", repr(self.dimension))
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if not self.sizes or not all(is_count(size, 0) for size in self.sizes) or sum(self.sizes) == 0:
            raise InvalidInput("PolySketch.sizes must be whole numbers, not all of them 0", repr(self.sizes))
        require_seed("PolySketch", self.seed)
        if self.width is not None and not is_count(self.width, 2):
            raise InvalidInput("PolySketch.width must be None or a whole number of at least 2", repr(self.width))
        if self.shape not in ("tree", "chain"):
            raise InvalidInput("PolySketch.shape must be 'tree' or 'chain'", repr(self.shape))
        if self.transform not in ("hadamard", "fourier", "count"):
            raise InvalidInput("PolySketch.transform must be 'hadamard', 'fourier' or 'count'", repr(self.transform))
        if self.transform == "fourier" and any(size % 2 for size in self.sizes):
            raise InvalidInput("a complex sketch is twice as many real numbers; sizes must be even", repr(self.sizes))

    @property
    def size(self) -> int:
        """Columns of all powers together."""
        return sum(self.sizes)

    @property
    def degree(self) -> int:
        """The largest power."""
        return max(power for power, size in enumerate(self.sizes, 1) if size)

    def apply(self, X: Array) -> Array:
        """The sketches of all powers side by side, (n, size).

        Args:
            X: Rows (n, d): NumPy, torch, or SciPy's sparse rows.

        Raises:
            InvalidInput: On rows of another dimension, or numbers that are not finite.
        """
        rows = read_rows(X, "PolySketch", self.dimension)
        out = rows.empty(self.size)
        self.write(rows, out)
        return rows.restore(out)

    def powers(self, X: Array) -> list[Array]:
        """The sketch of every power 1, 2, ..., (n, sizes[j - 1]) each; parts of one array.

        Args:
            X: As for `apply`.
        """
        Z, parts, first = self.apply(X), [], 0
        for size in self.sizes:
            parts.append(Z[:, first : first + size])
            first += size
        return parts

    def write(self, rows: Rows, out: Tensor, column: int = 0, weights: Sequence[float] | None = None) -> None:
        """Write the sketches of all powers, each times a weight, to columns of a matrix that holds more.

        Args:
            rows: Rows (n, d).
            out: Matrix (n, columns), contiguous.
            column: The first one to write to; `size` of them are written.
            weights: One a power; None for ones.
        """
        products, degrees = _products(self)
        factors = [1.0 if weights is None else float(weights[degree - 1]) for degree in degrees]
        products.write((rows, None), factors, out, column)

    def variance(self, cosine: float, degree: int) -> float:
        """An upper bound of the variance of <S_j x, S_j y> for unit rows with that cosine, over seeds.

        Second moments are followed through the products, with E <a, a'>^2 at most `cross` and E |a|^4 at most `own`;
        exact in the leading order of 1 / m for rows without large coordinates.

        Args:
            cosine: <x, y>.
            degree: j, a power with columns.

        Raises:
            InvalidInput: For a power without columns.
        """
        products = _products(self)[0]
        if not is_count(degree) or degree > len(self.sizes) or self.sizes[degree - 1] == 0:
            raise InvalidInput("the degree must be a power with columns", repr(degree))
        moments = products.moments(float(cosine))[_place(products.nodes, degree)]
        return max(0.0, moments.cross - cosine ** (2 * degree))


def _place(nodes: Sequence[Node], degree: int) -> int:
    return next(number for number, node in enumerate(nodes) if node.start == 0 and node.degree == degree)


@lru_cache(maxsize=16)
def _products(sketch: PolySketch) -> tuple[HadamardProducts | FourierProducts | CountProducts, list[int]]:
    """The products of a sketch, with the power of each node."""
    degrees = [power for power, size in enumerate(sketch.sizes, 1) if size]
    nodes = plan_nodes(degrees, sketch.shape)
    # Results stand in the order of the powers, which is that of their nodes.
    sizes = [sketch.sizes[node.degree - 1] if node.start == 0 and node.degree in degrees else 0 for node in nodes]
    powers = [node.degree for node in nodes]
    wanted = max(sketch.sizes[2:], default=0) or _SMALLEST_WIDTH
    width = min(max(wanted, _SMALLEST_WIDTH), _LARGEST_WIDTH) if sketch.width is None else sketch.width
    source = "PolySketch", sketch.seed
    if sketch.transform == "fourier":
        return FourierProducts.of(nodes, sizes, sketch.dimension, width + width % 2, source), powers
    if sketch.transform == "count":
        return CountProducts(nodes, tuple(sizes), sketch.dimension, width, *source), powers
    lengths = leaf_length(sketch.dimension, max(width, *sketch.sizes)), block_size(width)
    return hadamard_products(nodes, sizes, sketch.dimension, lengths, source), powers
