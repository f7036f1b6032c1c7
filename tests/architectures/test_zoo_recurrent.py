"""Recurrent networks by name."""

import pytest
from jaxtyping import TypeCheckError

from widenet.architectures import Dense, Erf, GlobalAveragePool, Recurrent, StepwiseAverage, recurrent
from widenet.errors import InvalidArchitecture

CELL = Recurrent(Erf(), 1.2, bias_std=0.1)
FROZEN = Recurrent(Erf(), 1.2, bias_std=0.1, trainable=False)


@pytest.mark.parametrize(
    ("made", "by_hand"),
    [
        (recurrent(), Recurrent(hidden_std=2**0.5) >> Dense()),
        (recurrent(3, CELL, output_std=0.5), CELL**3 >> Dense(0.5)),
        (recurrent(1, CELL, readout="mean"), CELL >> GlobalAveragePool() >> Dense()),
        (recurrent(2, CELL, readout="stepwise"), CELL**2 >> StepwiseAverage() >> Dense()),
        (recurrent(3, CELL, frozen_layers=2), FROZEN**2 >> CELL >> Dense()),
        (recurrent(2, CELL, frozen_layers=2), FROZEN**2 >> Dense()),
    ],
)
def test_it_is_the_network_by_hand(made, by_hand):
    assert made == by_hand


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 0}, "layers must be a whole number, 1 or more"),
        ({"layers": 1.5}, "layers must be a whole number"),
        ({"frozen_layers": -1}, "frozen_layers must be a whole number, 0 or more"),
        ({"layers": 2, "frozen_layers": 3}, "at most all 2"),
        ({"cell": Dense()}, "must be a Recurrent"),
        ({"readout": "average"}, "'last', 'mean' or 'stepwise'"),
        ({"output_std": -1.0}, "weight_std"),
    ],
)
def test_other_values_are_refused(options, words):
    with pytest.raises((InvalidArchitecture, TypeCheckError), match=f"{words}|Type-check error"):
        recurrent(**options)
