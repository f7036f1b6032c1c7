"""Dense, LayerNorm and freezing."""

import pytest

from widenet.architectures import Concat, Dense, Identity, LayerNorm, ReLU, Repeat, freeze, walk
from widenet.errors import InvalidArchitecture


def test_only_what_differs_from_the_default_is_printed():
    assert repr(Dense()) == "Dense()"
    assert repr(Dense(bias_std=0.1, trainable=False)) == "Dense(bias_std=0.1, trainable=False)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_std": -1.0}, "Dense.weight_std must be a finite number of at least 0; got -1"),
        ({"bias_std": float("nan")}, "Dense.bias_std must be a finite number of at least 0; got nan"),
        ({"width": float("inf")}, "Dense.width must be a finite number of at least 0; got inf"),
        ({"width": 0.0}, "Dense.width must be positive; got 0"),
    ],
)
def test_a_bad_number_is_refused(options: dict[str, float], message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        Dense(**options)


def _frozen(layer) -> list[bool]:
    return [not part.trainable for part in walk(layer) if isinstance(part, Dense)]


def test_freezing_counts_dense_layers_in_the_order_of_application():
    network = (Dense() >> ReLU()) ** 3 >> Concat(Dense(), ReLU() >> Dense()) >> (Identity() + (ReLU() >> Dense()))
    for first in range(7):
        assert _frozen(freeze(network, first)) == [True] * first + [False] * (6 - first)


def test_freezing_nothing_changes_nothing():
    network = (Dense() >> ReLU()) ** 3 >> Dense()
    assert freeze(network, 0) is network


def test_freezing_keeps_everything_else():
    network = Dense(1.5, 0.2, width=2.0) >> LayerNorm() >> Dense(bias_init="zero")
    assert freeze(network, 1) == Dense(1.5, 0.2, width=2.0, trainable=False) >> LayerNorm() >> Dense(bias_init="zero")


def test_a_frozen_repetition_is_unrolled_and_flat():
    assert freeze(Repeat(ReLU() >> Dense(), 2), 1) == ReLU() >> Dense(trainable=False) >> ReLU() >> Dense()


@pytest.mark.parametrize("first", [-1, 3])
def test_freezing_more_than_there_is_is_refused(first: int):
    with pytest.raises(InvalidArchitecture, match=f"the first 0 to 2 layers with weights can be frozen; got {first}"):
        freeze(Dense() >> ReLU() >> Dense(), first)
