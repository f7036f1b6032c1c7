"""Features of kernels that are made from others: sums side by side, products by a sketch, factors."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch

from widenet._arrays import Array
from widenet.errors import InvalidInput
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.features.tensor_sketch import ProductSketch


@dataclass(frozen=True)
class SumFeatures(FeatureMap):
    """Features of K1 + K2: those of both side by side.

    Args:
        first: Of K1.
        second: Of K2.

    Raises:
        InvalidInput: If one is no feature map.
    """

    first: FeatureMap
    second: FeatureMap

    def __post_init__(self) -> None:
        _require_maps(self, self.first, self.second)

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of features of both."""
        return self.first.size + self.second.size

    @property
    def seed(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Seed of the first."""
        return self.first.seed

    def fit(self, X: Array) -> "FittedSum":
        """Fit both."""
        return FittedSum(self.size, self.first.fit(X), self.second.fit(X))


@dataclass(frozen=True, eq=False)
class FittedSum(FittedMap):
    """Two fitted maps side by side."""

    size: int
    first: FittedMap
    second: FittedMap

    def transform(self, X: Array) -> Array:
        """Features of points, (n, size)."""
        parts = self.first.transform(X), self.second.transform(X)
        return torch.cat(parts, 1) if isinstance(parts[0], torch.Tensor) else np.concatenate(parts, 1)


@dataclass(frozen=True)
class ProductFeatures(FeatureMap):
    """Features of K1 K2: a degree-2 sketch of the features of both, E z(x) . z(y) = (z1(x) . z1(y)) (z2(x) . z2(y)).

    Args:
        first: Of K1.
        second: Of K2; with another seed than the first, so that the two are independent.
        size: Number of features.
        seed: Of the sketch.

    Raises:
        InvalidInput: If one is no feature map, or on another size or seed.
    """

    first: FeatureMap
    second: FeatureMap
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        _require_maps(self, self.first, self.second)
        require_size("ProductFeatures", self.size)
        require_seed("ProductFeatures", self.seed)

    def fit(self, X: Array) -> "FittedProduct":
        """Fit both, and draw the sketch."""
        first, second = self.first.fit(X), self.second.fit(X)
        return FittedProduct(self.size, first, second, ProductSketch((first.size, second.size), self.size, self.seed))


@dataclass(frozen=True, eq=False)
class FittedProduct(FittedMap):
    """Two fitted maps and the sketch of their product."""

    size: int
    first: FittedMap
    second: FittedMap
    sketch: ProductSketch

    def transform(self, X: Array) -> Array:
        """Features of points, (n, size)."""
        return self.sketch.apply(self.first.transform(X), self.second.transform(X))


@dataclass(frozen=True)
class ScaledFeatures(FeatureMap):
    """Features of factor K: those of K times the root of the factor.

    Args:
        factor: At least 0.
        features: Of K.

    Raises:
        InvalidInput: If the factor is negative, or the other no feature map.
    """

    factor: float
    features: FeatureMap

    def __post_init__(self) -> None:
        _require_maps(self, self.features)
        if not 0 <= self.factor < np.inf:
            raise InvalidInput("ScaledFeatures.factor must be a number of at least 0", repr(self.factor))

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of features."""
        return self.features.size

    @property
    def seed(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Seed of the features."""
        return self.features.seed

    def fit(self, X: Array) -> "FittedScaled":
        """Fit the features."""
        return FittedScaled(self.size, sqrt(self.factor), self.features.fit(X))


@dataclass(frozen=True, eq=False)
class FittedScaled(FittedMap):
    """A fitted map times a number."""

    size: int
    root: float
    features: FittedMap

    def transform(self, X: Array) -> Array:
        """Features of points, (n, size)."""
        return self.root * self.features.transform(X)


def _require_maps(owner: FeatureMap, *maps: object) -> None:
    for features in maps:
        if not isinstance(features, FeatureMap):
            raise InvalidInput(f"{type(owner).__name__} takes feature maps", repr(features))
