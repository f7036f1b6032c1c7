"""What a parity problem is: labels from a product of coordinates, with a distribution that is sampled or enumerated.

The edge of a predictor h is E y^2 / 2 - E (h(x) - y)^2 / 2: what it gains over predicting 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real

import numpy as np
from jaxtyping import Float

from widenet.errors import InvalidInput

_MOST_ENUMERATED = 16


@dataclass(frozen=True, eq=False)
class Enumeration:
    """A distribution on the cube {-1, 1}^n, point by point.

    Attributes:
        X: All points, (2^n, n).
        probability: Of each, (2^n,).
        label_mean: E[y | x] of each, (2^n,).
    """

    X: Float[np.ndarray, "points n"]
    probability: Float[np.ndarray, " points"]
    label_mean: Float[np.ndarray, " points"]

    def best_edge(self, features: Float[np.ndarray, "points p"]) -> float:
        """Largest edge of a linear function of these features, of any norm: half of the projection's second moment.

        Args:
            features: Values of the features at every point, (2^n, p).

        Returns:
            The edge.
        """
        weight = np.sqrt(self.probability)
        left, values, _ = np.linalg.svd(weight[:, None] * features, full_matrices=False)
        kept = left[:, values > values[0] * max(features.shape) * np.finfo(np.float64).eps]
        return float(np.sum(np.square(kept.T @ (weight * self.label_mean))) / 2)

    def edge(self, predictions: Float[np.ndarray, " points"]) -> float:
        """E[y h] - E[h^2] / 2 of a predictor, by its values at every point.

        Args:
            predictions: h, (2^n,).

        Returns:
            The edge.
        """
        return float(self.probability @ (self.label_mean * predictions - predictions**2 / 2))


@dataclass(frozen=True)
class ParityProblem(ABC):
    """Labels from the parity of the first k of n coordinates of {-1, 1}^n.

    Attributes:
        n: Coordinates.
        k: Those that the parity multiplies, 2 to n; the first ones, as no method here knows their order.
        alpha: Share of points from the skewed part of the distribution, 0 to 1.
        mu: Mean of a skewed coordinate, above -1 and below 1.

    Raises:
        InvalidInput: On values outside of these ranges.
    """

    n: int
    k: int
    alpha: float
    mu: float = 0.5

    def __post_init__(self) -> None:
        for name in ("n", "k"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise InvalidInput(f"{name} must be a whole number", repr(value))
        for name in ("alpha", "mu"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
                raise InvalidInput(f"{name} must be a finite number", repr(value))
        if not 2 <= self.k <= self.n:
            raise InvalidInput("k must lie between 2 and n", f"k = {self.k}, n = {self.n}")
        if not 0 <= self.alpha <= 1:
            raise InvalidInput("alpha is a share of points, 0 to 1", repr(self.alpha))
        if not -1 < self.mu < 1:
            raise InvalidInput("mu must lie between -1 and 1, both excluded", repr(self.mu))

    @property
    def support(self) -> tuple[int, ...]:
        """Coordinates of the parity."""
        return tuple(range(self.k))

    def sample(
        self, count: int, random: int | np.random.Generator = 0
    ) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, " m"]]:
        """Draw independent points and labels.

        Args:
            count: Number m of points.
            random: Seed, or the generator to draw from.

        Returns:
            Points, (m, n), and labels, (m,), all of them -1.0 or 1.0.

        Raises:
            InvalidInput: On less than one point.

        Cost: O(m n).
        """
        if count < 1:
            raise InvalidInput("a sample needs 1 point or more", repr(count))
        return self._draw(count, np.random.default_rng(random))

    def enumerate(self) -> Enumeration:
        """The distribution, point by point, for at most 16 coordinates.

        Raises:
            InvalidInput: If there are more.
        """
        if self.n > _MOST_ENUMERATED:
            raise InvalidInput(f"enumeration takes at most {_MOST_ENUMERATED} coordinates", f"n = {self.n}", "Sample")
        X = cube(self.n)
        probability, label_mean = self._exact(X)
        return Enumeration(X, probability, label_mean)

    @property
    @abstractmethod
    def label_mean(self) -> float:
        """E y."""

    @property
    @abstractmethod
    def means(self) -> Float[np.ndarray, " n"]:
        """E x."""

    @property
    @abstractmethod
    def second_moments(self) -> Float[np.ndarray, "n n"]:
        """E x x^T."""

    @property
    @abstractmethod
    def label_correlations(self) -> Float[np.ndarray, " n"]:
        """E[y x_i] of every coordinate."""

    @property
    @abstractmethod
    def linear_edge(self) -> float:
        """Largest edge of a linear function <w, x>."""

    @property
    @abstractmethod
    def affine_edge(self) -> float:
        """Largest edge of an affine function <w, x> + b."""

    @property
    @abstractmethod
    def bayes_edge(self) -> float:
        """Largest edge of any function."""

    @property
    @abstractmethod
    def bayes_error(self) -> float:
        """Smallest share of wrong labels."""

    @abstractmethod
    def _draw(self, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points and labels."""

    @abstractmethod
    def _exact(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of all points, and E[y | x]."""

    def _inside(self, inside: float, outside: float) -> np.ndarray:
        return np.where(np.arange(self.n) < self.k, inside, outside)

    def _skewed(self, random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        return np.where(random.random(shape) < (1 + self.mu) / 2, 1.0, -1.0)


def cube(n: int) -> Float[np.ndarray, "points n"]:
    """All points of {-1, 1}^n, (2^n, n); the last coordinate changes fastest.

    Args:
        n: Coordinates, 1 to 16.

    Returns:
        The points.

    Raises:
        InvalidInput: On another n.
    """
    if not 1 <= n <= _MOST_ENUMERATED:
        raise InvalidInput(f"a cube is enumerated for 1 to {_MOST_ENUMERATED} coordinates", f"n = {n}")
    return 2.0 * (np.arange(2**n)[:, None] >> np.arange(n)[::-1] & 1) - 1.0
