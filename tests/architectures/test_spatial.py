"""Layers of positions as values: what they check, and the positions that they leave."""

import pytest

from widenet.architectures import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    Layer,
    ReLU,
    SumPool,
    Window,
    freeze,
    myrtle,
    positions_after,
    windows,
)
from widenet.errors import InvalidArchitecture


@pytest.mark.parametrize(
    ("size", "stride", "padding", "length", "count", "pads"),
    [
        # TensorFlow's rule for "same": ceil(length / stride) windows, the odd zero at the end.
        (3, 1, "same", 5, 5, (1, 1)),
        (2, 1, "same", 5, 5, (0, 1)),
        (4, 1, "same", 5, 5, (1, 2)),
        (3, 2, "same", 5, 3, (1, 1)),
        (3, 2, "same", 6, 3, (0, 1)),
        (1, 3, "same", 7, 3, (0, 0)),
        (5, 1, "circular", 2, 2, (2, 2)),
        (3, 1, "valid", 5, 3, (0, 0)),
        (3, 2, "valid", 6, 2, (0, 0)),
        (6, 1, "valid", 5, 0, (0, 0)),
    ],
)
def test_windows_along_an_axis(size, stride, padding, length, count, pads):
    window = Window(size, stride, padding)
    assert (window.count(length), window.pads(length)) == (count, pads)


def test_sizes_of_each_axis():
    assert windows(Conv((3, 5), 2), 2) == (Window(3, 2, "same"), Window(5, 2, "same"))
    assert windows(AvgPool((3, 2)), 2) == (Window(3, 3, "valid"), Window(2, 2, "valid"))
    assert windows(SumPool(2, (1, 2)), 2) == (Window(2, 1, "valid"), Window(2, 2, "valid"))
    with pytest.raises(InvalidArchitecture, match=r"filter_size=\(3, 5\)\) must read points with 2 axes .* 1 axes"):
        windows(Conv((3, 5)), 1)


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (Conv() >> ReLU() >> Dense(), (28, 28), (28, 28)),
        (Conv(5, 2), (28, 27), (14, 14)),
        (Conv(5, padding="valid") ** 3, (28, 28), (16, 16)),
        (AvgPool() >> AvgPool(3, 1, "same"), (9,), (4,)),
        (Conv(stride=2) + Conv(5, stride=2), (8, 6), (4, 3)),
        (Concat(Identity(), Conv()), (4,), (4,)),
        (Conv() >> Flatten(), (4, 4), ()),
        (GlobalAveragePool(), (4, 4), ()),
        (GlobalSumPool(), (4,), ()),
        (myrtle(10), (32, 32), ()),
    ],
)
def test_positions_after_a_layer(layer: Layer, before, after):
    assert positions_after(layer, before) == after


@pytest.mark.parametrize(
    ("layer", "before", "message"),
    [
        (Conv(5, padding="valid"), (4, 9), "must fit into the image; got 5 x 5 on what is left of it, 4 x 9 positions"),
        (AvgPool() ** 3, (4,), r"AvgPool\(\) must fit into the image; got 2 on what is left of it, 1 positions"),
        (Identity() + Conv(stride=2), (4,), "the same positions; got 4 positions and 2 positions"),
        (Concat(Identity(), Flatten()), (4,), "the same positions; got 4 positions and no positions"),
        (Flatten() ** 2, (4,), r"Flatten\(\) must read points with positions"),
        (Flatten() >> AvgPool(), (4,), r"AvgPool\(\) must read points with axes of positions; got points without"),
    ],
)
def test_what_leaves_nothing_is_named(layer: Layer, before, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        positions_after(layer, before)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv(0), "Conv.filter_size must be a whole number from 1, or one for each axis; got 0"),
        (lambda: Conv((3, 0)), r"Conv.filter_size must be .* got \(3, 0\)"),
        (lambda: Conv(()), "Conv.filter_size"),
        (lambda: Conv(True), "Conv.filter_size"),
        (lambda: Conv(3, 0), "Conv.stride must be"),
        (lambda: AvgPool(-1), "AvgPool.window must be"),
        (lambda: SumPool(2, 0), "SumPool.stride must be"),
        (lambda: Conv(weight_std=-1.0), "Conv.weight_std must be a finite number of at least 0"),
        (lambda: Conv(width=0.0), "Conv.width must be positive"),
    ],
)
def test_bad_values_cannot_exist(make, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        make()


def test_sizes_are_plain_numbers_whose_expression_is_short():
    assert repr(Conv()) == "Conv()"
    assert repr(Conv((3, 5), stride=2, padding="valid", trainable=False)) == (
        "Conv(filter_size=(3, 5), stride=2, padding='valid', trainable=False)"
    )
    assert repr(AvgPool()) == "AvgPool()"
    assert repr(SumPool(3, 1)) == "SumPool(window=3, stride=1)"
    assert (repr(Flatten()), repr(GlobalAveragePool())) == ("Flatten()", "GlobalAveragePool()")
    assert AvgPool(2) != SumPool(2)


def test_convolutions_freeze_as_dense_layers_do():
    network = (Conv() >> ReLU()) ** 2 >> Flatten() >> Dense()
    assert freeze(network, 1) == Conv(trainable=False) >> ReLU() >> Conv() >> ReLU() >> Flatten() >> Dense()
    assert freeze(network, 3).layers[-1] == Dense(trainable=False)
