"""A solved regression comes back from its file whole, and broken ones are refused."""

import json

import numpy as np
import pytest

from widenet.errors import InvalidFile
from widenet.estimators.feature_model import model_from_state, saved_scaler
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.kernels import Laplace

X = np.random.default_rng(0).normal(size=(60, 3))
MODEL = FeatureRegressor((Laplace(2.0)), size=30).fit(X, X[:, 0])._model()


def test_a_model_comes_back():
    tensors, info = MODEL.state()
    again = model_from_state(tensors, json.loads(json.dumps(info)))
    assert np.array_equal(again.predict(X), MODEL.predict(X))
    assert (again.ridge, again.rows, again.degrees_of_freedom) == (MODEL.ridge, 60, MODEL.degrees_of_freedom)
    assert np.array_equal(again.ridges, MODEL.ridges)


def test_broken_parts_are_refused():
    tensors, info = MODEL.state()
    with pytest.raises(InvalidFile, match="scores"):
        model_from_state(tensors | {"scores": np.zeros(2)}, info)
    with pytest.raises(InvalidFile, match="positive scales"):
        saved_scaler(tensors | {"scale": np.zeros(3)})
