"""The algebra of layers: flat chains and sums, precedence, equality, printed forms."""

import pickle

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from widenet.architectures import (
    BranchSum,
    Concat,
    Dense,
    Identity,
    LayerNorm,
    ReLU,
    Repeat,
    Scale,
    Serial,
    serial,
    walk,
)
from widenet.architectures.base import Layer, require_finite
from widenet.errors import InvalidArchitecture, WidenetError

A, B, C = Dense(1.5), ReLU(), LayerNorm()


def test_chains_are_associative_and_flat():
    assert (A >> B) >> C == A >> (B >> C) == Serial((A, B, C))
    assert Serial((Serial((A, B)), C)) == Serial((A, B, C))


def test_serial_of_none_and_of_one():
    assert serial() == Identity()
    assert serial(A) == A
    assert serial(A, B >> C) == A >> B >> C


def test_sums_are_associative_and_flat():
    assert (A + B) + C == A + (B + C) == BranchSum((A, B, C))
    assert BranchSum((BranchSum((A, B)), C)) == BranchSum((A, B, C))


def test_chains_do_not_commute():
    assert A >> B != B >> A


def test_powers():
    assert Identity() == A**0
    assert A**1 == A
    assert Repeat(A, 3) == A**3
    assert Repeat(Repeat(A, 2), 3) == (A**2) ** 3


def test_a_scale_comes_after_what_it_scales():
    assert A >> Scale(2.0) == 2 * A
    assert np.float64(0.5) * (A + B) == Serial((BranchSum((A, B)), Scale(0.5)))


def test_precedence_is_power_scale_sum_chain():
    assert Identity() + B >> A == (Identity() + B) >> A
    assert A >> B**2 == A >> (B**2)
    assert Repeat(A, 2) >> Scale(2.0) == 2.0 * A**2
    assert BranchSum((A >> Scale(2.0), B)) == 2.0 * A + B


@pytest.mark.parametrize(
    ("layer", "printed"),
    [
        (A >> B, "Dense(weight_std=1.5) >> ReLU()"),
        (A + (B >> A), "Dense(weight_std=1.5) + (ReLU() >> Dense(weight_std=1.5))"),
        ((A >> B) ** 2, "(Dense(weight_std=1.5) >> ReLU()) ** 2"),
        ((A + B) ** 2, "(Dense(weight_std=1.5) + ReLU()) ** 2"),
        ((B**2) ** 3, "(ReLU() ** 2) ** 3"),
        (Identity() + B >> C, "Identity() + ReLU() >> LayerNorm()"),
        (Concat(A >> B, C), "Concat(Dense(weight_std=1.5) >> ReLU(), LayerNorm())"),
        (0.5 * A, "Dense(weight_std=1.5) >> Scale(factor=0.5)"),
    ],
)
def test_the_printed_form_is_what_one_would_write(layer: Layer, printed: str):
    assert repr(layer) == printed


def test_equality_and_hash_are_by_value_and_class():
    first, second = (Dense(1.5) >> ReLU()) ** 2 + Identity(), (Dense(1.5) >> ReLU()) ** 2 + Identity()
    assert first == second
    assert hash(first) == hash(second)
    assert Identity() != LayerNorm()
    assert Scale(2) == Scale(2.0)
    assert BranchSum((A, B)) != Concat(A, B)


def test_a_network_survives_pickle():
    network = A >> (Identity() + (B >> A)) ** 2 >> Concat(A, B >> A) >> 2.0 * A
    assert pickle.loads(pickle.dumps(network)) == network


def test_walk_gives_layers_in_the_order_of_application():
    network = A >> (B >> A) ** 2 >> (Identity() + C) >> Concat(B, A)
    assert list(walk(network)) == [A, B, A, B, A, Identity(), C, B, A]


def test_numpy_numbers_are_kept_as_plain_floats():
    assert repr(Scale(np.float64(0.5))) == "Scale(factor=0.5)"
    assert type(require_finite("x", np.float32(0.5))) is float


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "2", True, None, 1j])
def test_a_factor_must_be_a_finite_number(bad: object):
    with pytest.raises(InvalidArchitecture, match=r"x must be a finite number; got"):
        require_finite("x", bad)


def test_a_number_below_its_minimum_is_refused():
    assert require_finite("x", 0, 0.0) == 0.0
    with pytest.raises(InvalidArchitecture, match=r"x must be a finite number of at least 0; got -1"):
        require_finite("x", -1, 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: A**-1, "repeated 0 or more times; got -1"),
        (lambda: Repeat(A, 1), r"Repeat.times must be a whole number, 2 or more; got 1"),
        (lambda: Scale(float("nan")), "Scale.factor must be a finite number; got nan"),
        (lambda: Serial((A,)), "Serial takes two or more layers"),
        (lambda: BranchSum((A,)), "BranchSum takes two or more layers"),
        (lambda: Concat(A), "Concat takes two or more layers"),
    ],
)
def test_a_bad_composition_is_refused(make, message: str):
    with pytest.raises(InvalidArchitecture, match=message) as caught:
        make()
    assert isinstance(caught.value, WidenetError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("combine", [lambda: A >> 3, lambda: A + 3, lambda: A * 2, lambda: A**True])
def test_what_is_no_layer_is_a_type_error(combine):
    # Two kinds: Python's own, and that of the checked annotations under which the tests run.
    with pytest.raises((TypeError, TypeCheckError), match=r"unsupported operand|Type-check error"):
        combine()
