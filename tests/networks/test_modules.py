"""Modules of layers against plain formulas."""

import torch

from widenet.networks import DenseModule


def test_a_dense_module_is_its_formula():
    W, b, x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([10.0, 20.0]), torch.tensor([[1.0, -1.0]])
    module = DenseModule(W, b, {"weight": 0.5, "bias": 0.1})
    torch.testing.assert_close(module(x), torch.tensor([[0.5, 1.5]]))
    module.reparameterize("standard")
    torch.testing.assert_close(module.weight.detach(), torch.tensor([[0.5, 1.0], [1.5, 2.0]]))
    torch.testing.assert_close(module(x), torch.tensor([[0.5, 1.5]]))
