"""The two-layer ReLU network and its tangent kernel against automatic differentiation."""

import pytest
import torch

from widenet.errors import InvalidInput
from widenet.networks.two_layer import TwoLayerReLU


def _gradients(net, X):
    rows = []
    for x in X:
        parts = torch.autograd.grad(net(x[None])[0, 0], list(net.parameters()))
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


def _moved(width=17):
    net = TwoLayerReLU(5, width, seed=2, dtype=torch.float64)
    with torch.no_grad():
        net.bias.add_(torch.linspace(-1, 1, width))
    return net


def test_the_closed_form_of_the_tangent_kernel_is_the_product_of_gradients():
    net, random = _moved(), torch.Generator().manual_seed(0)
    X, Y = (torch.randn(n, 5, generator=random, dtype=torch.float64) for n in (6, 4))
    for_X, for_Y = _gradients(net, X), _gradients(net, Y)
    torch.testing.assert_close(net.tangent_kernel(X), for_X @ for_X.T, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(net.tangent_kernel(X, Y), for_X @ for_Y.T, rtol=1e-12, atol=1e-12)


def test_outputs_are_sums_over_units():
    net, x = _moved(3), torch.arange(5.0, dtype=torch.float64) - 2
    w, b, a = (p.detach().numpy() for p in net.parameters())
    total = sum(a[r] * max(w[r] @ x.numpy() + b[r], 0.0) for r in range(3))
    assert float(net(x[None]).detach()) == pytest.approx(total, rel=1e-13)


def test_the_start_has_the_stated_variances_and_follows_the_seed():
    net = TwoLayerReLU(50, 4000)
    # 200,000 and 4,000 normal numbers: relative standard errors 0.3 % and 2.2 % of the variances
    assert float(net.weight.detach().var()) == pytest.approx(2 / 50, rel=0.015)
    assert float(net.readout.detach().var()) == pytest.approx(1 / 4000, rel=0.1)
    assert not net.bias.any()
    assert torch.equal(net.weight, TwoLayerReLU(50, 4000).weight)
    assert not torch.equal(net.weight, TwoLayerReLU(50, 4000, seed=1).weight)


def test_networks_without_units_are_refused():
    with pytest.raises(InvalidInput, match="width = 0"):
        TwoLayerReLU(3, 0)
