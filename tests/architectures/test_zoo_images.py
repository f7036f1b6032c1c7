"""Named convolutional networks, written out."""

from math import sqrt

import pytest

from widenet.architectures import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAveragePool,
    Identity,
    ReLU,
    Scale,
    convolutional,
    densenet_convolutional,
    myrtle,
    positions_after,
    residual_convolutional,
    walk,
)
from widenet.errors import InvalidArchitecture

HE = sqrt(2.0)


def test_convolutional_networks():
    assert convolutional(1, bias_std=0.1) == (
        Conv(weight_std=HE, bias_std=0.1) >> ReLU() >> GlobalAveragePool() >> Dense(bias_std=0.1)
    )
    assert convolutional(4, "flatten", Erf(), 5, "circular") == (
        (Conv(5, padding="circular", weight_std=HE) >> Erf()) ** 4 >> Flatten() >> Dense()
    )


def test_residual_networks():
    unit = ReLU() >> Conv(weight_std=HE, bias_std=0.2)
    block = Identity() + (unit**2 >> Scale(sqrt(0.25)))
    expected = Conv(bias_std=0.2) >> block**4 >> ReLU() >> Flatten() >> Dense(HE, 0.2)
    assert residual_convolutional(4, "flatten", bias_std=0.2) == expected
    assert residual_convolutional(4, "flatten", alpha=0.25, bias_std=0.2) == expected


def test_densely_connected_networks():
    unit, first = Conv(5, weight_std=HE) >> ReLU(), Conv(5) >> ReLU()
    last = GlobalAveragePool() >> Dense(HE)
    assert densenet_convolutional(1, filter_size=5) == first >> unit >> last
    assert densenet_convolutional(3, filter_size=5) == first >> Concat(Identity(), unit) ** 2 >> unit >> last


@pytest.mark.parametrize(("depth", "stages"), [(5, "CCpCpC"), (7, "CCpCCpCC"), (10, "CCCpCCCpCCC")])
def test_myrtle_networks(depth: int, stages: str):
    layers = list(walk(myrtle(depth)))
    letters = {Conv: "C", AvgPool: "p"}
    assert "".join(letters.get(type(layer), "") for layer in layers) == stages
    assert sum(isinstance(layer, Conv | Dense) for layer in layers) == depth
    assert [layer for layer in layers if not isinstance(layer, Conv | ReLU)] == [
        AvgPool(2), AvgPool(2), GlobalAveragePool(), Dense(HE)]  # fmt: skip
    assert positions_after(myrtle(depth), (32, 32)) == ()
    # Shankar et al. 2020: the last pooling covers 8 x 8 positions of a 32 x 32 image.
    cut = myrtle(depth).layers
    before = cut[0]
    for layer in cut[1 : cut.index(GlobalAveragePool())]:
        before = before >> layer
    assert positions_after(before, (32, 32)) == (8, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: convolutional(0), "depth must be a whole number, 1 or more; got 0"),
        (lambda: residual_convolutional(0), "blocks must be a whole number, 1 or more"),
        (lambda: densenet_convolutional(0), "layers must be a whole number, 1 or more"),
        (lambda: residual_convolutional(2, alpha=-1.0), "alpha must be a finite number of at least 0"),
    ],
)
def test_bad_values_are_refused(make, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        make()
