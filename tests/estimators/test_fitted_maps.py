"""Fitted maps come back from arrays and JSON, or are refused."""

import json

import numpy as np
import pytest

from widenet.architectures import fully_connected
from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.fitted_maps import map_from_state, map_state, saved_kernel
from widenet.estimators.serialization import to_json
from widenet.features.base import FeatureMap
from widenet.features.fourier import FourierFeatures
from widenet.features.nystrom import Nystroem
from widenet.features.principal import PrincipalFeatures
from widenet.kernels import NTK, Laplace

X = np.random.default_rng(0).normal(size=(50, 4))
MAPS = [
    Nystroem(Laplace(2.0), 20),
    FourierFeatures(Laplace(2.0), 20),
    PrincipalFeatures(NTK(fully_connected(2)), 40),
]


@pytest.mark.parametrize("maker", MAPS)
def test_a_map_comes_back(maker):
    fitted = maker.fit(X)
    tensors, state = map_state(fitted, maker, X[:3])
    assert all(array.dtype in (np.float32, np.float64) for array in tensors.values())
    again = map_from_state(tensors, json.loads(json.dumps(state)))
    assert np.array_equal(again.transform(X), fitted.transform(X))


@pytest.mark.parametrize("maker", MAPS)
def test_a_broken_state_is_an_invalid_file(maker):
    tensors, state = map_state(maker.fit(X), maker, X[:3])
    for name in tensors:
        with pytest.raises(InvalidFile):
            map_from_state({key: array for key, array in tensors.items() if key != name}, state)
    with pytest.raises(InvalidFile):
        map_from_state(tensors, {"facts": state["facts"]})
    with pytest.raises(InvalidFile):
        map_from_state(tensors, state | {"facts": ["x"]})


def test_places_outside_of_the_arrays_are_refused():
    maker = MAPS[2]
    tensors, state = map_state(maker.fit(X), maker, X[:3])
    for name in ("monomials", "features"):
        for value in (-1.0, 1e6):
            broken = tensors[name].copy()
            broken[0, 0] = value
            with pytest.raises(InvalidFile, match="fit together"):
                map_from_state(tensors | {name: broken}, state)


def test_a_map_that_looks_at_its_rows_in_another_way_is_refused():
    class Scaled(FourierFeatures):
        def fit(self, X):
            return FourierFeatures(Laplace(float(np.abs(X).max())), self.size).fit(X)

    maker = Scaled(Laplace(1.0), 10)
    with pytest.raises(InvalidInput):
        map_state(maker.fit(X), maker, X[:3])
    assert isinstance(maker, FeatureMap)


def test_a_kernel_is_a_kernel():
    assert saved_kernel(to_json(Laplace(2.0))) == Laplace(2.0)
    with pytest.raises(InvalidFile, match="must be a kernel"):
        saved_kernel(3)
