"""Finite networks of architectures: shapes, seeds, parameterisations, errors."""

import inspect
import re

import pytest
import torch

from widenet.architectures import Concat, Conv, Dense, Flatten, Identity, LayerNorm, Recurrent, ReLU
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.networks import network

MLP = (Dense(bias_std=0.1) >> ReLU()) ** 2 >> Dense(bias_std=0.1)
CNN = Conv(3) >> ReLU() >> Flatten() >> Dense()
unchecked = inspect.unwrap(network)  # without the checks of annotations that the tests put before its own
X = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))


def test_a_seed_gives_the_same_network():
    first, again, other = (network(MLP, 6, width=32, seed=seed)(X) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 1)


def test_parameters_are_standard_normal_and_their_order_is_that_of_the_layers():
    net = network(MLP, 6, width=300, seed=2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    for name, size in (("0.weight", (300, 6)), ("0.bias", (300,)), ("2.weight", (300, 300))):
        drawn = torch.randn(*size, generator=generator, dtype=torch.float64)
        assert torch.equal(dict(net.named_parameters())[name], drawn)


@pytest.mark.parametrize("parameterization", ["ntk", "standard", "mean_field"])
def test_parameterizations(parameterization: str):
    plain, net = (
        network(MLP, 6, width=25, outputs=2, seed=1, dtype=torch.float64, parameterization=name)
        for name in ("ntk", parameterization)
    )
    # The mean-field readout is divided by the root of its fan-in once more; its bias is not.
    bias = 0.1 * plain[-1].bias
    expected = bias + (plain(X.double()) - bias) / (5 if parameterization == "mean_field" else 1)
    torch.testing.assert_close(net(X.double()), expected, rtol=1e-13, atol=0)
    if parameterization == "standard":
        torch.testing.assert_close(net[0].weight, plain[0].weight / 6**0.5)


def test_frozen_layers_are_buffers():
    net = network(Dense(trainable=False) >> ReLU() >> Dense(), 6, width=4)
    assert [name for name, _ in net.named_parameters()] == ["2.weight"]
    assert [name for name, _ in net.named_buffers()] == ["0.weight"]


def test_networks_without_a_last_dense_layer_have_their_units_as_outputs():
    assert network(Dense() >> ReLU(), 6, width=7)(X).shape == (3, 7)
    assert network(Concat(Dense(width=2.0), Dense()), 6, width=7)(X).shape == (3, 21)
    assert network(Identity(), 6)(X) is X
    assert network(Dense() >> LayerNorm(), 6, width=50)(X).std(1, correction=0).tolist() == pytest.approx([1.0] * 3)
    assert network((Dense() + Dense()) >> Identity(), 6, outputs=5)(X).shape == (3, 5)
    with pytest.raises(InvalidArchitecture, match="outputs can be chosen where"):
        network(Dense() >> ReLU(), 6, outputs=2)
    with pytest.raises(InvalidArchitecture, match="mean-field parameterization exists where"):
        network(Dense() >> ReLU(), 6, parameterization="mean_field")


def test_orthogonal_networks_say_whose_limit_they_have():
    net = network(CNN, (4, 4, 2), width=8, init="orthogonal")
    assert net.architecture == Conv(3, init="delta_orthogonal") >> ReLU() >> Flatten() >> Dense()
    weight = net[0].weight.detach()
    taps = weight.square().sum((0, 1))
    assert taps[1, 1] > 0
    assert taps.sum() == taps[1, 1]
    torch.testing.assert_close(weight[:, :, 1, 1].T @ weight[:, :, 1, 1], 9 * 8 * torch.eye(2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0}, "width must be a whole number, 1 or more; got 0"),
        ({"width": 2.5}, "width must be a whole number"),
        ({"outputs": 0}, "outputs must be a whole number"),
        ({"fan_in": 0}, "fan_in must be the number of channels"),
        ({"fan_in": (3, -1, 2)}, "fan_in must be"),
        ({"fan_in": ()}, "fan_in must be"),
        ({"parameterization": "mup"}, "parameterization must be one of 'ntk', 'standard', 'mean_field'; got 'mup'"),
        ({"init": "he"}, "init must be one of"),
        ({"dtype": torch.float16}, "dtype must be"),
        ({"arch": ReLU}, "network takes an architecture"),
        ({"arch": Dense() >> Dense(fan_in_scaling="none")}, "must read the inputs"),
        ({"arch": CNN}, "axes of positions"),
        ({"arch": Flatten() >> Dense()}, "positions"),
        ({"arch": Identity() + Dense() >> Dense()}, "equally many channels; got 6 and 1024"),
        ({"arch": Recurrent() >> Dense(), "fan_in": (3, 3, 2)}, "must read sequences"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong: dict, message: str):
    options = {"arch": MLP, "fan_in": 6} | wrong
    with pytest.raises(InvalidArchitecture, match=re.escape(message)):
        unchecked(options.pop("arch"), options.pop("fan_in"), **options)


@pytest.mark.parametrize(("fan_in", "shape"), [(6, (3, 5)), ((2, 3), (3, 2, 4)), ((-1, 3), (3, 4)), (6, (6,))])
def test_points_of_another_shape_are_refused(fan_in, shape):
    arch = MLP if fan_in == 6 else Recurrent() >> Dense()
    with pytest.raises(InvalidInput, match="the network reads points of the shape"):
        network(arch, fan_in, width=4)(torch.ones(shape))


def test_arrays_are_refused():
    net = network(MLP, 6, width=4)
    with pytest.raises(InvalidInput, match=r"reads torch tensors; got ndarray\. Use torch\.from_numpy"):
        inspect.unwrap(type(net).forward)(net, X.numpy())
