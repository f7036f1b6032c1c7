"""What hooks see of layers, and the gradients that follow from it."""

import pytest
import torch
from torch import nn

from tangent_reference import gradients, module_and_points
from widenet.errors import InvalidInput
from widenet.networks.module_function import ModuleFunction
from widenet.networks.structured import factors_of, find_parts, gradient_of, see


def parts_of(name: str):
    module, X, _ = module_and_points(name)
    function = ModuleFunction.of(module, None, X)
    return function, find_parts(module, tuple(function.parameters)), X


def test_parts_are_the_layers_with_their_parameters():
    _, parts, _ = parts_of("convolutions")
    assert [part.names for part in parts] == [
        ("0.weight", "0.bias"),
        ("2.norm.weight", "2.norm.bias"),
        ("2.conv.weight", "2.conv.bias"),
        ("4.weight", "4.bias"),
        ("5.weight", "5.bias"),
        ("8.weight", "8.bias"),
    ]


def test_tied_weights_are_one_part_and_biases_others():
    _, parts, _ = parts_of("shared")
    assert [(part.names, len(part.readings)) for part in parts] == [
        (("first.weight",), 2),
        (("first.bias",), 1),
        (("second.bias",), 1),
        (("last.weight", "last.bias"), 1),
    ]


def test_a_mixture_of_outputs_is_that_of_their_derivatives():
    function, parts, X = parts_of("convolutions")
    view, mixed = see(function, parts, X), see(function, parts, X, mixed=True)
    assert mixed.directions.shape == (1, 6, 3)
    for part in parts:
        whole = gradient_of(part, view.of(part), mixed.directions[0])
        once = gradient_of(part, mixed.of(part), torch.ones(6, 1, dtype=torch.float64))
        for name, gradient in whole.items():
            torch.testing.assert_close(once[name], gradient, rtol=1e-10, atol=1e-11)


def test_frozen_and_unasked_parameters_are_no_parts():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    parts = find_parts(module, ("0.weight", "2.bias"))
    assert [(part.weight, part.bias) for part in parts] == [("0.weight", None), (None, "2.bias")]


def test_gradients_of_layers_used_twice_and_tied():
    function, parts, X = parts_of("shared")
    view = see(function, parts, X)
    directions = torch.randn(6, 2, dtype=torch.float64)
    every = gradients(function.module, X)  # (n, outputs, all parameters in their order)
    sizes = dict(zip(function.parameters, (p.numel() for p in function.parameters.values()), strict=True))
    whole = dict(zip(sizes, torch.einsum("na,nap->p", directions, every).split(list(sizes.values())), strict=True))
    for part in parts[:3]:
        for name, found in gradient_of(part, view.of(part), directions).items():
            torch.testing.assert_close(found, whole[name], rtol=1e-11, atol=1e-12)
    # `last` is applied a second time past its forward: what hooks see is not its gradient.
    wrong = gradient_of(parts[3], view.of(parts[3]), directions)["last.weight"]
    assert not torch.allclose(wrong, whole["last.weight"])


@pytest.mark.parametrize("way", ["gradients", "gradients in slices", "pairs of positions"])
def test_factors_hold_the_squared_gradients_of_a_part(way):
    function, parts, X = parts_of("positions")
    view, every = see(function, parts, X), gradients(function.module, X)
    sizes = [function.count(part.names) for part in parts]
    for part, rows in zip(parts, every.split(sizes, 2), strict=True):
        with torch.no_grad():
            found = sum(factor.squares() for factor in factors_of(part, view.of(part), way))
        torch.testing.assert_close(found, rows.square().sum(2), rtol=1e-11, atol=1e-12)


def test_rows_that_are_no_points_are_refused():
    class Some(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x[:2]).sum() + x

    module, X = Some().double(), torch.ones(3, 2, dtype=torch.float64)
    function = ModuleFunction.of(module, None, X)
    parts = find_parts(module, tuple(function.parameters))
    with pytest.raises(InvalidInput, match="same number of times"):
        see(function, parts, X).of(parts[0])


def test_hooks_are_removed_even_after_an_error():
    class Broken(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ArithmeticError(f"{len(x)} points")

    module = nn.Sequential(nn.Linear(2, 2), Broken(2, 1))
    X = torch.ones(3, 2)
    function = ModuleFunction.of(module, None, X)
    with pytest.raises(ArithmeticError, match="3 points"):
        see(function, find_parts(module, tuple(function.parameters)), X)
    assert not any(layer._forward_hooks for layer in module)
