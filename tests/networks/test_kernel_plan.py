"""Which method is chosen, and what is said about it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from widenet.errors import InvalidInput
from widenet.networks.empirical import EmpiricalNTK


class Bare(nn.Module):
    """Weights without a layer of their own."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(8, width) / 8**0.5)
        self.second = nn.Parameter(torch.randn(width, outputs) / width**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x @ self.first) @ self.second


X = np.random.default_rng(0).normal(size=(40, 8))
WIDE = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 5))


def test_wide_layers_take_structured_derivatives():
    plan = EmpiricalNTK(WIDE).plan(X, form="full")
    assert plan.method == "structured"
    assert [how for _, how in plan.parts] == ["outer products"] * 3
    assert plan.parts[1][0] == ("2.weight", "2.bias")
    forward = 2 * (8 * 256 + 256 * 256 + 256 * 5)
    pair = 2 * (8 + 25 * 256) + 2 * (256 + 25 * 256) + 2 * (256 + 25 * 5)
    assert plan.flops == 40 * 6 * forward + 40 * 41 / 2 * pair
    assert plan.why.startswith("structured: ")
    assert "jacobian would take" in plan.why
    assert "products would take" in plan.why


def test_bare_parameters_take_jacobians_or_products():
    trace = EmpiricalNTK(Bare(64, 3)).plan(X)
    assert trace.method == "jacobian"
    assert trace.parts == ((("first", "second"), "jacobian"),)
    # The full form of many outputs: outputs^2 products of gradients a pair, or 3 outputs passes.
    module = Bare(2000, 60)
    assert EmpiricalNTK(module).plan(X, form="full").method == "products"
    limited = EmpiricalNTK(Bare(2000, 60), memory_limit="60 MiB").plan(X)
    assert limited.method == "products"
    assert "jacobian does not fit the memory limit" in limited.why
    with pytest.raises(InvalidInput, match="layers that they are known for"):
        EmpiricalNTK(module, method="structured").plan(X)


def test_a_method_that_is_asked_for_is_taken():
    for method in ("structured", "jacobian", "products"):
        plan = EmpiricalNTK(WIDE, method=method).plan(X)
        assert plan.method == method
        assert plan.why.startswith(f"{method} as asked: ")


def test_images_say_how_each_convolution_enters():
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(6), nn.Conv2d(4, 64, 2), nn.Flatten(), nn.Linear(64, 2)]
    points = np.random.default_rng(0).normal(size=(5, 1, 14, 14))
    plan = EmpiricalNTK(nn.Sequential(*layers), method="structured").plan(points)
    assert [how for _, how in plan.parts] == ["gradients", "outer products", "outer products"]
