"""The factorised layer as a value."""

import pytest
from jaxtyping import TypeCheckError

from widenet.architectures import Conv, Dense, FactorizedDense, ReLU, freeze
from widenet.errors import InvalidArchitecture


def test_a_value_reads_like_its_call():
    assert repr(FactorizedDense(64)) == "FactorizedDense(64)"
    layer = FactorizedDense(0.25, "both", frozen="sign", weight_std=2)
    assert repr(layer) == "FactorizedDense(0.25, train='both', frozen='sign', weight_std=2.0)"
    assert FactorizedDense(8) != FactorizedDense(9)


def test_the_rank_is_a_number_or_a_share():
    assert FactorizedDense(64).units(10) == 64
    assert FactorizedDense(0.25).units(1000) == 250
    assert FactorizedDense(0.01).units(10) == 1


def test_freezing_counts_it_among_the_layers_with_weights():
    network = FactorizedDense(8) >> ReLU() >> Dense()
    assert freeze(network, 1) == FactorizedDense(8, train="none") >> ReLU() >> Dense()
    assert freeze(network, 2) == FactorizedDense(8, train="none") >> ReLU() >> Dense(trainable=False)
    assert freeze(Conv(3) >> FactorizedDense(8), 1) == Conv(3, trainable=False) >> FactorizedDense(8)


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 0},
        {"rank": True},
        {"rank": 1.0},
        {"rank": -0.5},
        {"rank": 4, "train": "all"},
        {"rank": 4, "frozen": "fourier"},
        {"rank": 4, "fan_in_scaling": "half"},
        {"rank": 4, "weight_std": -1.0},
        {"rank": 4, "width": 0},
    ],
    ids=repr,
)
def test_values_that_cannot_be_are_refused(options):
    with pytest.raises((InvalidArchitecture, TypeCheckError), match=r"FactorizedDense|Type-check error"):
        FactorizedDense(**options)
