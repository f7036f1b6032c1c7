"""Networks that start at exactly zero."""

import pytest
import torch
from torch import nn

from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.twin import Twin


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_twin_starts_at_exactly_zero_and_both_halves_learn(dtype):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(7, 33), nn.Tanh(), nn.Linear(33, 19), nn.ReLU(), nn.Linear(19, 2)).to(dtype)
    X = torch.randn(257, 7, dtype=dtype)
    alone = module(X).detach()
    net = Twin(module)
    assert torch.count_nonzero(net(X)) == 0
    assert torch.count_nonzero(alone) > 0
    net(X).square().sum().backward()  # the gradient of (0)^2 is 0; that of the output is not
    assert all(torch.count_nonzero(p.grad) == 0 for p in net.parameters())
    net.zero_grad()
    net(X).sum().backward()
    pairs = zip(net.first.parameters(), net.second.parameters(), strict=True)
    assert all(torch.equal(a.grad, -b.grad) and a.grad.any() for a, b in pairs)


def test_the_tangent_kernel_of_a_twin_is_that_of_its_half():
    torch.manual_seed(1)
    module, X = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 1)).double(), torch.randn(5, 4).double()
    torch.testing.assert_close(EmpiricalNTK(Twin(module))(X), EmpiricalNTK(module)(X), rtol=1e-12, atol=1e-14)
