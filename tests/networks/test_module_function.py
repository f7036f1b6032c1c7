"""Modules as functions of their parameters: which, in which precision, and what is refused."""

import pytest
import torch
from torch import nn

from tangent_reference import Shared
from widenet.errors import InvalidInput
from widenet.networks.module_function import ModuleFunction, check_module, evaluation, select_parameters


def test_parameters_are_selected_by_name_or_by_submodule():
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert select_parameters(module, None) == ("0.weight", "0.bias", "1.weight", "1.bias")
    assert select_parameters(module, ("1", "1.bias", "0.bias")) == ("1.weight", "1.bias", "0.bias")
    module[0].weight.requires_grad_(False)
    assert select_parameters(module, None) == ("0.bias", "1.weight", "1.bias")
    for names in (("0.weigh",), ()):
        with pytest.raises(InvalidInput, match="parameters must"):
            select_parameters(module, names)


def test_shared_parameters_are_one():
    names = select_parameters(Shared(), None)
    assert "first.weight" in names
    assert "second.weight" not in names


def test_the_function_takes_other_parameters_and_casts():
    module = nn.Linear(2, 3)
    X = torch.ones(4, 2, dtype=torch.float64)
    function = ModuleFunction.of(module, ("weight",), X)
    assert function.size == 6
    doubled = function({"weight": 2 * function.parameters["weight"]}, X)
    expected = 2 * module.weight.sum(1) + module.bias
    torch.testing.assert_close(doubled[0], expected.double())
    assert function.outputs(X).dtype == torch.float64
    assert not function.outputs(X).requires_grad
    assert module.weight.dtype == torch.float32


def test_outputs_of_any_shape_become_rows():
    X = torch.ones(4, 2)
    flat, cube = nn.Flatten(0), nn.Sequential(nn.Linear(2, 6), nn.Unflatten(1, (2, 3)))
    assert ModuleFunction.of(cube, None, X).outputs(X).shape == (4, 6)
    joined = nn.Sequential(nn.Linear(2, 3), flat)
    with pytest.raises(InvalidInput, match=r"for 4 points.*\(12,\)"):
        ModuleFunction.of(joined, None, X).outputs(X)
    one = nn.Sequential(nn.Linear(2, 1), flat)
    assert ModuleFunction.of(one, None, X).outputs(X).shape == (4, 1)


def test_what_depends_on_chance_is_refused_in_training_mode_only():
    for layer in (nn.Dropout(0.1), nn.AlphaDropout(0.1), nn.RReLU(), nn.MultiheadAttention(2, 1, dropout=0.1)):
        with pytest.raises(InvalidInput, match=r"chance.*eval\(\)"):
            check_module(nn.Sequential(layer))
        check_module(nn.Sequential(layer).eval())
    check_module(nn.Sequential(nn.Dropout(0.0), nn.MultiheadAttention(2, 1)))


def test_buffers_are_copies():
    class Counting(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 1)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x)

    module, X = Counting(), torch.ones(3, 2)
    ModuleFunction.of(module, None, X).outputs(X)
    assert float(module.calls) == 0


def test_an_evaluation_overrides_modes_and_restores_them():
    with torch.inference_mode(), evaluation(torch.device("cpu")):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    with torch.no_grad():
        with evaluation(torch.device("cpu")):
            assert (torch.ones(1, requires_grad=True) * 2).requires_grad
        assert not torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
