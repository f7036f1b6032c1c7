"""Displacements of grids and segments, counted one by one."""

import numpy as np

from widenet.architectures import AvgPool, Conv, Dense, Flatten, GlobalAveragePool, ReLU
from widenet.kernels import _fused_conv as loops
from widenet.kernels.conv_numbers import numbers_of
from widenet.kernels.conv_steps import plan_of


def _numbers(network, positions):
    plan = plan_of(network, positions)
    assert plan is not None
    return plan, numbers_of(plan, True, 3)


def test_every_pair_of_positions_has_a_place_of_its_own():
    _, numbers = _numbers(Conv() >> ReLU() >> GlobalAveragePool() >> Dense(), (3, 4))
    starts = numbers.arrays[3][0]
    taken = []
    for down in range(-2, 3):
        for right in range(-3, 4):
            overlap = (3 - abs(down)) * (4 - abs(right))
            taken.extend(starts[(down + 2) * 7 + right + 3] + np.arange(overlap))
    assert sorted(taken) == list(range(12**2))


def test_flattening_needs_no_displacement_and_pooling_before_it_those_of_its_windows():
    plan, numbers = _numbers(Conv() >> ReLU() >> Flatten() >> Dense(), (6, 6))
    assert numbers.segments[-1, 4:].tolist() == [0, 0]
    network = Conv() >> ReLU() >> AvgPool((2, 3)) >> Conv(3, stride=2) >> ReLU() >> AvgPool(2) >> Flatten() >> Dense()
    plan, numbers = _numbers(network, (12, 12))
    # The last pool mixes displacements up to 1; behind a stride of 2 that is 2, behind the first pool 2 * 2 + 1.
    assert numbers.segments[:, 4:].tolist() == [[2 * 2 + 1, 2 * 3 + 2], [1, 1], [0, 0]]
    near, place = numbers.near_pool(plan, 0)
    assert near[:, 4:].tolist() == [[1, 2]]
    assert len(place) == 6 * 4


def test_tables_of_the_inputs_come_last():
    network = Conv() + Conv(1) >> ReLU() >> Flatten() >> Dense()
    plan, numbers = _numbers(network, (2, 2))
    firsts = [row for row in numbers.arrays[0] if row[loops.KIND] == loops.FIRST]
    assert [row[loops.ROOTS] for row in firsts] == [plan.rows, plan.rows + 12]
    assert [row[loops.CHANNELS] for row in firsts] == [3, 3]
    assert numbers.table_rows == plan.rows + 24
