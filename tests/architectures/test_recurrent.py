"""Recurrent layers as values."""

import pytest
from jaxtyping import TypeCheckError

from widenet.architectures import Dense, Erf, LastStep, Recurrent, ReLU, StepwiseAverage
from widenet.errors import InvalidArchitecture


def test_only_what_differs_from_the_defaults_is_shown():
    assert repr(Recurrent()) == "Recurrent()"
    layer = Recurrent(Erf(), hidden_std=1, bias_std=0.1, initial_state="zero", trainable=False)
    assert eval(repr(layer)) == layer
    assert repr(Recurrent(hidden_std=1.4) >> StepwiseAverage() >> Dense()) == (
        "Recurrent(hidden_std=1.4) >> StepwiseAverage() >> Dense()"
    )
    assert LastStep() == LastStep()


@pytest.mark.parametrize("name", ["hidden_std", "input_std", "bias_std", "initial_std"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", True])
def test_factors_are_numbers_of_at_least_zero(name, value):
    with pytest.raises((InvalidArchitecture, TypeCheckError), match=f"{name} must be a finite|Type-check error"):
        Recurrent(**{name: value})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation": "relu"}, "must be an Activation"),
        ({"activation": Dense()}, "must be an Activation"),
        ({"initial_state": "random"}, "'independent', 'shared' or 'zero'"),
        ({"trainable": 1}, "True or False"),
    ],
)
def test_other_values_are_refused(options, words):
    with pytest.raises((InvalidArchitecture, TypeCheckError), match=f"{words}|Type-check error"):
        Recurrent(**options)


def test_the_activation_is_relu_unless_said_otherwise():
    assert Recurrent().activation == ReLU()
