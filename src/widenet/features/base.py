"""What an explicit feature map is: a value that names it, and what it is once it has seen the form of the points."""

from abc import ABC, abstractmethod

from widenet._arrays import Array, is_count
from widenet.errors import InvalidInput


class FittedMap(ABC):
    """A map z of points to `size` numbers with z(x) . z(y) close to k(x, y), ready to be applied.

    Picklable, and the same for the same seed: rows may be mapped in any blocks, in any process, and give the same
    features.

    Attributes:
        size: Number of features.
    """

    size: int

    @abstractmethod
    def transform(self, X: Array) -> Array:
        """Features Z of the points X (n, ...), (n, size), so that Z Z^T is close to K(X, X).

        Args:
            X: Points like those of the fit: NumPy or torch, float32 or float64; SciPy's sparse rows where the map
                says that it takes them.

        Returns:
            Features in the dtype and array kind of X (NumPy for sparse rows).

        Raises:
            InvalidInput: On points of another form than those of the fit.
        """


class FeatureMap(ABC):
    """Explicit features of a kernel, as a value: which kernel, how many features, which seed.

    Frozen dataclasses, equal by value, whose `repr` evaluates back. `fit` reads the form of the points, or the points
    themselves where the map depends on them (landmarks), and returns the fitted map; `map(X)` is fit and transform.

    Attributes:
        size: Number of features, exactly.
        seed: Seed of all its random numbers.
    """

    size: int
    seed: int

    @abstractmethod
    def fit(self, X: Array) -> FittedMap:
        """The map for points like X, (n, ...).

        Raises:
            InvalidInput: On points that the kernel refuses, or a size that is too small for the map.
        """

    def __call__(self, X: Array) -> Array:
        """Features of the points X themselves, (n, size)."""
        return self.fit(X).transform(X)


def require_size(owner: str, size: object, least: int = 1) -> None:
    """InvalidInput unless `size` is a whole number of at least `least`."""
    if not is_count(size, least):
        raise InvalidInput(f"{owner}.size must be a whole number of at least {least}", repr(size))


def require_seed(owner: str, seed: object) -> None:
    """InvalidInput unless `seed` is a whole number of at least 0."""
    if not is_count(seed, 0):
        raise InvalidInput(f"{owner}.seed must be a whole number of at least 0", repr(seed))
