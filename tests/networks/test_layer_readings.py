"""Gradients of layers from inputs and cotangents, against autograd of the layer itself."""

import pytest
import torch
from torch import nn

from widenet.architectures import Conv, FactorizedDense
from widenet.networks.factorized import FactorizedLinear
from widenet.networks.layer_readings import GainReading, MatrixReading, readings_of
from widenet.networks.modules import ConvModule, DenseModule

LAYERS = {
    "linear": (nn.Linear(3, 4), (3,)),
    "linear at positions": (nn.Linear(3, 4), (5, 2, 3)),
    "dense": (DenseModule(torch.randn(4, 3), torch.randn(4), {"weight": 0.6, "bias": 0.2}), (5, 3)),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), (4, 9)),
    "conv2d same": (nn.Conv2d(2, 3, (2, 3), padding="same"), (2, 4, 5)),
    "conv2d reflect": (nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"), (2, 4, 5)),
    "conv2d circular": (nn.Conv2d(2, 2, 3, padding=1, groups=2, padding_mode="circular"), (2, 4, 5)),
    "conv3d": (nn.Conv3d(1, 2, 2, padding=1), (1, 2, 3, 2)),
    "channels last": (
        ConvModule(Conv(3, stride=2), torch.randn(4, 2, 3, 3), torch.randn(4), {"weight": 0.5, "bias": 0.3}),
        (5, 6, 2),
    ),
    "channels last, circular": (
        ConvModule(Conv(3, padding="circular"), torch.randn(4, 2, 3), None, {"weight": 0.5, "bias": 0.3}),
        (5, 2),
    ),
    "batch norm": (nn.BatchNorm1d(4), (4,)),
    "batch norm of images": (nn.BatchNorm2d(2), (2, 3, 4)),
    "group norm": (nn.GroupNorm(2, 4), (4, 3)),
    "layer norm": (nn.LayerNorm((2, 3)), (4, 2, 3)),
    "slope": (nn.PReLU(), (4, 3)),
    "slopes": (nn.PReLU(4), (4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_autograd(name):
    layer, shape = LAYERS[name]
    layer = layer.double().eval()
    with torch.no_grad():
        for buffer in layer.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 2.0)
    x = torch.randn(3, *shape, dtype=torch.float64)
    z = layer(x)
    d = torch.randn_like(z)
    expected = dict(
        zip(dict(layer.named_parameters()), torch.autograd.grad(z, list(layer.parameters()), d), strict=True)
    )
    (reading,) = readings_of(layer)
    if isinstance(reading, MatrixReading):
        a, rows = reading.inputs(x), reading.outputs(d)
        weight, bias = reading.factors
        found = {"weight": weight * torch.einsum("ngtq,ngtp->gqp", rows, a), "bias": bias * rows.sum((0, 2))}
    else:
        assert isinstance(reading, GainReading)
        xhat = reading.standardised(x)
        # Two outputs, of which the second is to be seen apart from the first.
        both = [torch.stack([part, 2 * part], 1) for part in (xhat * d, d)]
        found = {
            key: reading.gathered(part)[:, 1].sum(0) / 2 for key, part in zip(("weight", "bias"), both, strict=True)
        }
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key].reshape(gradient.shape), gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("train", ["inner", "outer", "both"])
@pytest.mark.parametrize("frozen", ["gaussian", "hadamard"])
@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_both_factors_of_a_product_are_read(train, frozen, parameterization):
    layer = FactorizedLinear(5, 7, FactorizedDense(3, train, frozen=frozen, bias_std=0.3), dtype=torch.float32)
    layer.reparameterize(parameterization)
    x = torch.randn(2, 4, 5, dtype=torch.float64)  # in a precision that the layer is only to be read in
    weights = {name: value.detach().double().requires_grad_() for name, value in layer.named_parameters()}
    z = torch.func.functional_call(layer, {**weights, **{n: b.double() for n, b in layer.named_buffers()}}, x)
    d = torch.randn_like(z)
    gradients = dict(zip(weights, torch.autograd.grad(z, list(weights.values()), d), strict=True))
    inner, outer = readings_of(layer)
    for reading in (inner, outer):
        assert isinstance(reading, MatrixReading)
        a, rows = reading.inputs(x), reading.outputs(d)
        found = reading.factors[0] * torch.einsum("ngtq,ngtp->qp", rows, a)
        if reading.weight in gradients:
            torch.testing.assert_close(found, gradients[reading.weight], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(outer.factors[1] * outer.outputs(d).sum((0, 1, 2)), gradients["bias"])


def test_other_layers_are_left_to_jacobians():
    for layer in (nn.ConvTranspose2d(2, 2, 2), nn.Bilinear(2, 2, 1), nn.ReLU(), nn.MultiheadAttention(2, 1)):
        assert readings_of(layer) == ()
