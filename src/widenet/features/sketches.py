"""What a sketch of rows is: a random map S to few numbers that keeps inner products, or powers of them, on average."""

from abc import ABC, abstractmethod

from torch import Tensor

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput
from widenet.features.base import require_seed, require_size
from widenet.features.rows import Rows, read_rows


class RowSketch(ABC):
    """A random map S of rows of d numbers to `size` numbers with E <S x, S y> = <x, y>^degree.

    A frozen dataclass: equal values are the same map, in every process, however rows are cut into blocks. Rows are
    NumPy, torch or SciPy's sparse rows; float32 and float64 are kept; sparse rows are never made dense.

    Attributes:
        dimension: d, numbers of a row.
        size: Numbers of a sketch, exactly.
        seed: Of all random numbers.
    """

    dimension: int
    size: int
    seed: int

    def apply(self, X: Array) -> Array:
        """The sketches of rows X (n, d): (n, size), NumPy for sparse rows.

        Raises:
            InvalidInput: On rows of another dimension, or numbers that are not finite.
        """
        rows = read_rows(X, type(self).__name__, self.dimension)
        out = rows.empty(self.size)
        self._write(rows, out)
        return rows.restore(out)

    @abstractmethod
    def variance(self, cosine: float) -> float:
        """An upper bound of the variance of <S x, S y> for unit rows with that cosine, over seeds."""

    @abstractmethod
    def _write(self, rows: Rows, out: Tensor) -> None:
        """Write the sketches of the rows to `out`, (n, size)."""

    def _require_sizes(self) -> None:
        name = type(self).__name__
        if not is_count(self.dimension):
            raise InvalidInput(f"{name}.dimension must be a whole number of at least 1", repr(self.dimension))
        require_size(name, self.size)
        require_seed(name, self.seed)
