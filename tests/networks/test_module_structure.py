"""What two points tell about a module: sizes, costs, and which parts reverse mode agrees with."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from tangent_reference import full_kernel, module_and_points
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.module_function import ModuleFunction
from widenet.networks.module_structure import PartSize, Structure, investigate
from widenet.networks.parameterization import to_ntk_parameterization


def structure_of(name: str) -> Structure:
    module, X, _ = module_and_points(name)
    return investigate(ModuleFunction.of(module, None, X), X)


def test_sizes_and_flops_of_a_dense_network():
    found = structure_of("dense")
    assert (found.outputs, found.parameters, found.rest) == (3, 35 + 48 + 21, ())
    assert found.flops == 2 * (4 * 7 + 7 * 6 + 6 * 3)
    assert [size for _, size in found.parts] == [
        PartSize(1, 1, 4, 7, 35),
        PartSize(1, 1, 7, 6, 48),
        PartSize(1, 1, 6, 3, 21),
    ]
    # The input and both hidden layers, of 8 bytes a number, are kept for the backward pass.
    assert 8 * (4 + 7 + 6) <= found.saved <= 8 * 3 * (4 + 7 + 6)


def test_sizes_of_convolutions():
    found = structure_of("convolutions")
    sizes = {part.names[0]: size for part, size in found.parts}
    assert sizes["0.weight"] == PartSize(1, 16, 18, 4, 4 * 18 + 4)
    assert sizes["2.conv.weight"] == PartSize(2, 16, 18, 2, 2 * 2 * 18 + 4)
    assert sizes["2.norm.weight"] == PartSize(0, 1, 4 * 16, 0, 8)
    assert sizes["8.weight"] == PartSize(1, 1, 24, 3, 75)
    assert found.rest == ()


def test_sizes_of_products_and_of_recurrences():
    found = structure_of("factorized")
    assert found.rest == ()
    sizes = {part.names: size for part, size in found.parts}
    assert sizes["0.inner",] == PartSize(1, 1, 4, 3, 12)  # of 5 units that U makes of 3
    assert sizes["0.outer", "0.bias"] == PartSize(1, 1, 3, 5, 20)
    assert sizes["2.inner",] == PartSize(1, 1, 5, 2, 10)
    assert sizes["2.bias",] == PartSize(1, 1, 0, 5, 5)
    found = structure_of("recurrent")
    assert found.rest == ()
    sizes = {part.names[0]: size for part, size in found.parts}
    assert sizes["0.layers.0.hidden.weight"] == PartSize(1, 3, 4, 4, 16)
    assert sizes["0.layers.0.input.weight"] == PartSize(1, 3, 2, 4, 12)


def test_what_hooks_cannot_see_is_left_to_jacobians():
    found = structure_of("shared")
    assert {name for part, _ in found.parts for name in part.names} == {"first.weight", "first.bias", "second.bias"}
    assert set(found.rest) == {"scale", "unused", "last.weight", "last.bias"}
    attention = structure_of("attention")
    assert set(attention.rest) == {f"attention.{name}" for name in
                                   ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")}  # fmt: skip
    # Its layer sees positions before points, two of each: rows that look like points and are not.
    assert set(structure_of("positions first").rest) == {"layer.weight", "layer.bias"}


def test_a_layer_whose_class_says_less_than_its_forward():
    class Doubled(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    module, X = nn.Sequential(Doubled(2, 3), nn.Linear(3, 1)).double(), torch.ones(2, 2, dtype=torch.float64)
    assert investigate(ModuleFunction.of(module, None, X), X).rest == ("0.weight", "0.bias")


def test_one_point_and_single_precision_are_enough():
    module, X, _ = module_and_points("convolutions")
    points = X[:1].float()
    assert investigate(ModuleFunction.of(module, None, points), points).rest == ()


def test_parameters_behind_a_fixed_factor_are_the_layers_and_others_are_not():
    X = torch.randn(3, 4, dtype=torch.float64)
    for module in (to_ntk_parameterization(nn.Linear(4, 2)), to_ntk_parameterization(nn.Linear(4, 2), bias_std=0.3)):
        found = investigate(ModuleFunction.of(module.double(), None, X), X)
        assert found.rest == ()
        expected = full_kernel(module, X, X).diagonal(dim1=2, dim2=3).mean(2)
        torch.testing.assert_close(EmpiricalNTK(module, method="structured")(X), expected)
    normed = weight_norm(nn.Linear(4, 2)).double()
    assert set(investigate(ModuleFunction.of(normed, None, X), X).rest) == {
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    }
