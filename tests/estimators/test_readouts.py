"""Both ways to read a solution out give the same function."""

import numpy as np
import pytest

from widenet.errors import InvalidFile
from widenet.estimators import readouts
from widenet.estimators.readouts import LandmarkReadout, MapReadout, make_readout, readout_from_state
from widenet.features.fourier import FourierFeatures
from widenet.features.nystrom import Nystroem
from widenet.kernels import Laplace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 3))
COEFFICIENTS, INTERCEPT = RNG.normal(size=(20, 2)), np.array([1.0, -2.0])


@pytest.mark.parametrize("make", [Nystroem, FourierFeatures])
@pytest.mark.parametrize("size", [2**26, 2000])
def test_a_readout_is_the_product_with_the_features(make, size, monkeypatch):
    monkeypatch.setattr(readouts, "_BYTES", size)
    maker = make(Laplace(2.0), 20)
    fitted = maker.fit(X)
    readout = make_readout(fitted, maker, COEFFICIENTS, INTERCEPT)
    assert type(readout) is (LandmarkReadout if make is Nystroem else MapReadout)
    np.testing.assert_allclose(readout.predict(X), fitted.transform(X) @ COEFFICIENTS + INTERCEPT, rtol=1e-9)
    again = readout_from_state(*readout.state(X[:2]))
    assert np.array_equal(again.predict(X), readout.predict(X))


@pytest.mark.parametrize("make", [Nystroem, FourierFeatures])
def test_parts_that_do_not_fit_are_refused(make):
    maker = make(Laplace(2.0), 20)
    tensors, info = make_readout(maker.fit(X), maker, COEFFICIENTS, INTERCEPT).state(X[:2])
    with pytest.raises(InvalidFile):
        readout_from_state(tensors | {"intercept": np.zeros(3)}, info)
