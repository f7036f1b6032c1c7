"""The finite reading of layers: shapes and errors."""

import pytest
import torch

from widenet.architectures import AvgPool, Concat, Conv, Dense, Identity, Layer, ReLU, Scale
from widenet.errors import InvalidArchitecture
from widenet.networks import Plan, Shape, build


def _plan(outputs: int | None = None) -> Plan:
    return Plan(10, "gaussian", torch.Generator().manual_seed(0), torch.float32, outputs)


def test_widths_are_relative():
    layer = Dense() >> Concat(Dense(width=0.5), Dense(width=2.0) >> ReLU())
    module, shape = build(layer, Shape((), 3), _plan())
    assert (shape.channels, module(torch.ones(4, 3)).shape) == (25, (4, 25))


def test_the_last_layer_with_weights_has_the_outputs():
    _, shape = build(Dense() >> ReLU() >> Dense() >> Scale(2.0), Shape((), 3), _plan(outputs=2))
    assert shape.channels == 2


def test_a_sum_needs_equal_channels():
    with pytest.raises(InvalidArchitecture, match="equally many channels; got 3 and 10"):
        build(Identity() + Dense(), Shape((), 3), _plan())


@pytest.mark.parametrize("layer", [Conv(), AvgPool()])
def test_windows_have_up_to_three_axes(layer: Layer):
    with pytest.raises(InvalidArchitecture, match="1 to 3 axes of positions at finite width; got 4"):
        build(layer, Shape((2, 2, 2, 2), 3), _plan())
