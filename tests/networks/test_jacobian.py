"""Jacobians and products with them, against reverse mode point by point."""

import pytest
import torch
from torch import Tensor, nn

from tangent_reference import gradients, module_and_points
from widenet.errors import InvalidInput
from widenet.networks.jacobian import jacobian_rows, pull_back, push_forward, squared_gradients
from widenet.networks.module_function import ModuleFunction


class Branching(nn.Linear):
    """Control flow by the data, which torch.func cannot vectorise."""

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return torch.cat([row[None] if float(row.sum()) > 0 else 2 * row[None] for row in z])


def prepared(name: str):
    module, X, _ = module_and_points(name)
    function = ModuleFunction.of(module, None, X)
    return function, X, gradients(module, X)


@pytest.mark.parametrize("name", ["dense", "transposed", "attention"])
def test_rows_are_gradients(name):
    function, X, expected = prepared(name)
    found = jacobian_rows(function, tuple(function.parameters), X)
    torch.testing.assert_close(torch.cat(found, 2), expected, rtol=1e-11, atol=1e-12)


def test_a_module_that_cannot_be_vectorised():
    module, X = Branching(3, 2).double(), torch.randn(5, 3, dtype=torch.float64)
    function = ModuleFunction.of(module, None, X)
    for track in (True, False):
        with torch.set_grad_enabled(track):
            found = jacobian_rows(function, ("weight", "bias"), X.requires_grad_(track))
        torch.testing.assert_close(torch.cat(found, 2), gradients(module, X.detach()), rtol=1e-12, atol=1e-12)
        assert found[0].requires_grad == track


def test_products_and_squares():
    function, X, J = prepared("convolutions")
    v, u = torch.randn(6, 3, dtype=torch.float64), torch.randn(J.shape[2], dtype=torch.float64)
    found = torch.cat([part.reshape(-1) for part in pull_back(function, X, v).values()])
    torch.testing.assert_close(found, torch.einsum("na,nap->p", v, J), rtol=1e-11, atol=1e-11)
    sizes = [part.numel() for part in function.parameters.values()]
    direction = {
        name: part.reshape(function.parameters[name].shape)
        for name, part in zip(function.parameters, u.split(sizes), strict=True)
    }
    torch.testing.assert_close(push_forward(function, X, direction), J @ u, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(squared_gradients(function, X), J.square().sum(2), rtol=1e-11, atol=1e-11)


def test_missing_forward_derivatives_are_named():
    class Custom(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise NotImplementedError("no forward-mode rule for it")

    X = torch.ones(2, 3)
    function = ModuleFunction.of(Custom(3, 1), None, X)
    with pytest.raises(InvalidInput, match=r"forward-mode.*no forward-mode rule"):
        push_forward(function, X, function.parameters)
