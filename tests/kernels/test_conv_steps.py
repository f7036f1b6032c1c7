"""Which networks become plans, and what stands in the steps."""

import pytest

from widenet.architectures import (
    AbsLinear,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAveragePool,
    Identity,
    Layer,
    LayerNorm,
    ReLU,
)
from widenet.kernels import _fused_conv as loops
from widenet.kernels.conv_steps import is_linear, plan_of

BLOCK = Identity() + (ReLU() >> Conv(3) >> ReLU() >> Conv(3))


@pytest.mark.parametrize(
    "network",
    [
        Dense() >> ReLU() >> Dense(),
        Conv() >> ReLU(),
        GlobalAveragePool() >> Dense(),
        Conv() >> Erf() >> Flatten() >> Dense(),
        Conv(bias_std=0.1, bias_init="zero") >> ReLU() >> Flatten() >> Dense(),
        Conv() >> AbsLinear(1.0, 0.1) >> Flatten() >> Dense(),
        Conv() >> Concat(Conv(), Conv()) >> Conv() >> Flatten() >> Dense(),
        Conv() >> ReLU() >> GlobalAveragePool() >> Dense() >> ReLU() >> Dense(),
        Conv(padding="circular") >> ReLU() >> Conv() >> Flatten() >> Dense(),
        Conv(padding="circular", stride=3) >> ReLU() >> Flatten() >> Dense(),
        Conv() >> (Identity() + (ReLU() >> AvgPool(1) >> Conv())) >> Flatten() >> Dense(),
        (Conv(padding="circular") >> ReLU()) ** 2 >> AvgPool(3, padding="circular") >> Flatten() >> Dense(),
    ],
    ids=str,
)
def test_networks_with_other_parts_are_not_served(network: Layer):
    assert plan_of(network, (8, 8)) is None


def test_branches_that_leave_other_strides_are_not_served():
    # Both branches leave 2 x 2 positions of 4 x 4, but these lie elsewhere in the image.
    network = Conv() >> (Conv(1, stride=2) + Conv(3, padding="valid")) >> ReLU() >> Flatten() >> Dense()
    assert plan_of(network, (4, 4)) is None


def test_steps_of_a_residual_network():
    plan = plan_of(Conv(3, weight_std=2.0, bias_std=0.5) >> BLOCK >> GlobalAveragePool() >> Dense(), (6, 5))
    assert plan is not None
    kinds = [step.kind for step in plan.steps]
    assert kinds == [loops.FIRST, loops.CONVOLUTION, loops.CONVOLUTION, loops.ADDITION, loops.OUTPUT]
    first, inner, second, addition, output = plan.steps
    assert (first.gain, first.bias, first.signed) == (4 / 9, 0.25, True)
    assert (inner.source, inner.activation, inner.gain, inner.fast) == (first.target, loops.WHOLE, 0.5 / 9, True)
    assert (second.activation, second.signed) == (loops.HALF, False)
    assert {addition.source, addition.other} == {first.target, second.target}
    assert inner.target != first.target
    assert output.gain == pytest.approx(1 / 30**2)
    assert (plan.tail, plan.flattens, plan.slots) == (Dense(), False, 2)


def test_strides_and_pools_make_grids_and_segments():
    network = Conv(3, stride=2) >> ReLU() >> AvgPool(2) >> Conv(2, padding="valid") >> ReLU() >> Flatten() >> Dense()
    plan = plan_of(network, (12, 9))
    assert plan is not None
    assert [(grid.segment, grid.sizes, grid.strides) for grid in plan.grids] == [
        (0, (12, 9), (1, 1)),
        (0, (6, 5), (2, 2)),
        (1, (3, 2), (1, 1)),
        (1, (2, 1), (1, 1)),
    ]
    assert plan.segments == (0, 2)
    assert plan.steps[1].gain == 0.5 / 16


def test_signals_are_images_of_one_row():
    plan = plan_of(Conv(3) >> LayerNorm() >> ReLU() >> GlobalAveragePool() >> Dense(), (7,))
    assert plan is not None
    assert plan.grids[0].sizes == (1, 7)
    assert (plan.steps[0].rows, plan.steps[0].columns, plan.steps[0].pad_columns) == (1, 3, 1)


def test_linear_tails():
    assert is_linear(Dense() >> 2.0 * Dense(bias_std=0.1) ** 3)
    assert not is_linear(Dense() >> ReLU() >> Dense())
