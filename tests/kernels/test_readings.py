"""Readings of rows: what they refuse, and that they are values."""

import numpy as np
import pytest
import torch

from widenet.architectures import Dense, Erf, fully_connected
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels import NNGP, NTK
from widenet.kernels.neural import reading_of
from widenet.kernels.readings import Rows


def test_dense_architectures_are_read_as_rows():
    reading = reading_of(fully_connected(2), True, (7,))
    assert reading == Rows(fully_connected(2), True, (7,))
    assert not reading.packs
    assert reading.pair_size(torch.ones(3, 7)) == 1


def test_rows_of_another_length_are_refused():
    K = NTK(fully_connected(1), input_shape=(4,))
    assert K(np.ones((2, 4))).shape == (2, 2)
    with pytest.raises(InvalidInput, match=r"input_shape \(4,\) asks for rows of that length; got 5 channels"):
        K(np.ones((2, 5)))


def test_positions_need_a_layer_that_reads_them():
    with pytest.raises(InvalidArchitecture, match=r"reads rows, whose input_shape is \(channels,\); got \(28, 28, 1\)"):
        NTK(fully_connected(1), input_shape=(28, 28, 1))


@pytest.mark.parametrize("shape", [(), (0,), (3, True), (-2, 1)])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(InvalidArchitecture, match="input_shape must be the shape of one point"):
        NNGP(Dense(), input_shape=shape)


def test_a_kernel_prints_its_input_shape_only_where_it_has_one():
    assert repr(NTK(Dense())) == "NTK(architecture=Dense())"
    assert repr(NTK(Dense(), (4,))) == "NTK(architecture=Dense(), input_shape=(4,))"
    assert hash(NTK(Dense(), (4,))) == hash(NTK(Dense(), (4,)))
    assert NTK(Dense(), (4,)) != NTK(Dense())


def test_the_angular_terms_of_one_norm_are_equal_values():
    first, second = (reading_of(Dense() >> Erf() >> Dense(), False).angular(3, 1.5) for _ in range(2))
    assert first == second
    assert first[0].function(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(
        2 / np.pi * np.arcsin(2 * 0.75 / (1 + 2 * 0.75)), rel=1e-14
    )
