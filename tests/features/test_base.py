"""What every feature map promises before it maps anything."""

from dataclasses import dataclass

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size


class _FirstColumns(FittedMap):
    def __init__(self, size):
        self.size = size

    def transform(self, X):
        return X[:, : self.size]


@dataclass(frozen=True)
class _First(FeatureMap):
    size: int
    seed: int = 0

    def fit(self, X):
        return _FirstColumns(self.size)


def test_a_call_is_fit_and_transform():
    X = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(_First(2)(X), X[:, :2])


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "4"])
def test_a_size_that_is_no_count_is_refused(size):
    with pytest.raises(InvalidInput, match=r"Map\.size must be a whole number of at least 1"):
        require_size("Map", size)


def test_a_size_below_the_least_is_refused():
    require_size("Map", 3, 3)
    with pytest.raises(InvalidInput, match="at least 4"):
        require_size("Map", 3, 4)


@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_a_seed_that_is_no_count_is_refused(seed):
    require_seed("Map", 0)
    with pytest.raises(InvalidInput, match=r"Map\.seed"):
        require_seed("Map", seed)
