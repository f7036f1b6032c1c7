"""A stream of rows: what waits, what is fixed, and leave-one-out predictions against refits."""

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.estimators import ridge_stream
from widenet.estimators.feature_choice import Sample, Settings
from widenet.estimators.ridge_stream import RidgeStream, joined
from widenet.features.fourier import FourierFeatures
from widenet.kernels import Laplace

RNG = np.random.default_rng(0)
FEATURES = FourierFeatures(Laplace(2.0), 15)
ROWS = Sample(RNG.normal(size=(90, 3)), RNG.normal(size=(90, 2)), RNG.integers(1, 3, 90).astype(float))


def stream(keep=True, ridge=0.01):
    return RidgeStream(Settings(FEATURES, 15, ridge, False, False, 0), 2, keep=keep)


def test_rows_wait_until_there_are_enough(monkeypatch):
    monkeypatch.setattr(ridge_stream, "START_ROWS", 60)
    grown = stream()
    grown.add(ROWS.take(slice(0, 40)))
    assert grown.prepared is None
    early = grown.solve().model
    assert early.rows == 40
    assert grown.prepared is None
    grown.add(ROWS.take(slice(40, 90)))
    assert grown.prepared is not None
    assert grown.rows == 90
    whole = stream()
    whole.begin(ROWS, np.float32)
    whole.add(ROWS)
    np.testing.assert_allclose(
        grown.solve().model.predict(ROWS.X), whole.solve().model.predict(ROWS.X), rtol=1e-6, atol=1e-7
    )


def test_a_solution_is_kept_until_rows_come():
    grown = stream()
    grown.add(ROWS)
    first = grown.solve()
    assert grown.solve() is first
    grown.add(ROWS.take(slice(0, 5)))
    assert grown.solve() is not first


def test_rows_that_were_left_out_are_predicted_by_the_others():
    light = Sample(ROWS.X, ROWS.target, np.ones(90))
    whole = stream()
    whole.begin(light, np.float64)
    whole.add(light)
    predictions, kept = whole.left_out()
    absolute = whole.solve().model.ridge * whole.solve().spectrum.level
    for row in (0, 17, 89):
        rest = RidgeStream(Settings(FEATURES, 15, absolute, True, False, 0), 2, keep=False)
        rest.begin(light, np.float64)
        rest.add(light.take(np.arange(90) != row))
        np.testing.assert_allclose(rest.solve().model.predict(light.X[row : row + 1])[0], predictions[row], rtol=1e-7)
    assert len(kept) == 90


def test_targets_change_their_order_everywhere():
    one, other = stream(), stream()
    for part in (one, other):
        part.add(ROWS)
    one.arrange_outputs([1, None, 0])
    assert one.outputs == 3
    swapped = one.solve().model.predict(ROWS.X)
    plain = other.solve().model.predict(ROWS.X)
    np.testing.assert_allclose(swapped[:, [2, 0]], plain, rtol=1e-9)
    np.testing.assert_allclose(swapped[:, 1], 0, atol=1e-12)
    assert np.array_equal(one.left_out()[1].target[:, [2, 0]], ROWS.target)


def test_what_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match="rows to learn from"):
        stream().solve()
    grown = stream(keep=False)
    grown.add(ROWS)
    with pytest.raises(InvalidInput, match="kept"):
        grown.left_out()


def test_joined_rows_are_in_their_order():
    parts = joined([ROWS.take(slice(0, 30)), ROWS.take(slice(30, 90))])
    assert np.array_equal(parts.X, ROWS.X)
    assert np.array_equal(parts.weight, ROWS.weight)
