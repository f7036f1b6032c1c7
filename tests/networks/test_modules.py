"""Modules of layers against plain loops and torch's own."""

import pytest
import torch
from torch import nn

from spatial_reference import Step, windows_of
from widenet.architectures import AvgPool, Conv, Dense, Flatten, GlobalAveragePool, GlobalSumPool, Pool, SumPool
from widenet.errors import InvalidInput
from widenet.networks import ConvModule, DenseModule, network
from widenet.networks.modules import LayerNormModule, PoolModule

GENERATOR = torch.Generator().manual_seed(0)


def test_a_dense_module_is_its_formula():
    W, b, x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([10.0, 20.0]), torch.tensor([[1.0, -1.0]])
    module = DenseModule(W, b, {"weight": 0.5, "bias": 0.1})
    torch.testing.assert_close(module(x), torch.tensor([[0.5, 1.5]]))
    module.reparameterize("standard")
    torch.testing.assert_close(module.weight.detach(), torch.tensor([[0.5, 1.0], [1.5, 2.0]]))
    torch.testing.assert_close(module(x), torch.tensor([[0.5, 1.5]]))


WINDOWS = [
    (3, 1, "same", (5,)),
    (2, 2, "same", (5,)),
    (4, 3, "valid", (9,)),
    (3, 2, "circular", (6,)),
    (5, 1, "circular", (3,)),
    ((2, 3), (1, 2), "same", (4, 5)),
    ((1, 2), 1, "valid", (2, 3)),
    ((3, 2), (2, 1), "circular", (4, 3)),
    (2, 1, "same", (2, 3, 2)),
]


def _sources(size, stride, padding, shape):
    size, stride = (s if isinstance(s, tuple) else (s,) * len(shape) for s in (size, stride))
    return windows_of(Step("conv", size, stride, padding), shape)


@pytest.mark.parametrize(("size", "stride", "padding", "shape"), WINDOWS)
def test_a_convolution_is_a_loop_over_windows(size, stride, padding, shape):
    layer = Conv(size, stride=stride, padding=padding, weight_std=1.3, bias_std=0.4)
    net = network(layer, (*shape, 3), width=4, outputs=4, dtype=torch.float64)
    x = torch.randn(2, *shape, 3, generator=GENERATOR, dtype=torch.float64)
    module, found = net[0], net(x)
    assert isinstance(module, ConvModule)
    weight, fan_in = module.weight.detach().flatten(2), module.weight[0].numel()
    for position, entries in _sources(size, stride, padding, shape).items():
        units = torch.zeros(2, 4, dtype=torch.float64)
        for tap, entry in enumerate(entries):
            if entry is not None:
                units = units + x[(slice(None), *entry)] @ weight[:, :, tap].T
        expected = 1.3 / fan_in**0.5 * units + 0.4 * module.bias
        torch.testing.assert_close(found[(slice(None), *position)], expected)
    count = len(_sources(size, stride, padding, shape))
    assert found.flatten(1, -2).shape == (2, count, 4)


@pytest.mark.parametrize(("size", "stride", "padding", "shape"), WINDOWS)
@pytest.mark.parametrize("kind", [AvgPool, SumPool])
def test_a_pool_is_a_loop_over_windows(kind: type[Pool], size, stride, padding, shape):
    module = PoolModule(kind(size, stride, padding), len(shape))
    x = torch.randn(2, *shape, 3, generator=GENERATOR, dtype=torch.float64)
    found = module(x)
    for position, entries in _sources(size, stride, padding, shape).items():
        inside = [x[(slice(None), *entry)] for entry in entries if entry is not None]
        expected = sum(inside) / (len(entries) if kind is AvgPool else 1)
        torch.testing.assert_close(found[(slice(None), *position)], expected)


def test_all_positions_at_once():
    x = torch.randn(2, 3, 4, 5, generator=GENERATOR)
    torch.testing.assert_close(network(GlobalAveragePool(), (3, 4, 5))(x), x.mean((1, 2)))
    torch.testing.assert_close(network(GlobalSumPool(), (3, 4, 5))(x), x.sum((1, 2)))
    torch.testing.assert_close(network(Flatten(), (3, 4, 5))(x), x.reshape(2, 60))
    dense = network(Dense(), (3, 4, 5), width=6)  # at every position
    torch.testing.assert_close(dense(x)[1, 2, 3], dense[0](x[1, 2, 3]))


def test_layer_normalisation():
    x = torch.randn(4, 7, generator=GENERATOR, dtype=torch.float64)
    found = LayerNormModule()(x)
    torch.testing.assert_close(found.mean(1), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(found.square().mean(1), torch.ones(4, dtype=torch.float64), rtol=1e-13, atol=0)
    assert not LayerNormModule()(torch.ones(2, 3)).any()


def test_a_zero_factor_has_no_standard_form():
    module = DenseModule(torch.ones(1, 2), None, {"weight": 0.0, "bias": 0.0})
    with pytest.raises(InvalidInput, match="as that of weight"):
        module.reparameterize("standard")


def test_modules_follow_to_another_precision_and_device():
    net: nn.Module = network(Conv(2) >> Flatten() >> Dense(trainable=False), (4, 2), width=3)
    x = torch.randn(2, 4, 2, generator=GENERATOR)
    torch.testing.assert_close(net.double()(x.double()).float(), net.float()(x))
    assert net.to("meta")(x.to("meta")).device.type == "meta"
