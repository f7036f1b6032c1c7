"""Blocks of points of every size give the same kernel."""

import pytest
import torch

from tangent_reference import full_kernel, module_and_points
from widenet.networks.kernel_costs import Layout
from widenet.networks.module_function import ModuleFunction
from widenet.networks.structured import find_parts
from widenet.networks.tangent_gram import FactorSource, Request, between, gram_of_factors, gram_of_products

MODULE, X, Y = module_and_points("dense", (9, 7))
FUNCTION = ModuleFunction.of(MODULE, None, X)
OWN, CROSS = full_kernel(MODULE, X, X), full_kernel(MODULE, X, Y)
LAYOUTS = [(9, 7, 9), (5, 3, 2)]


def source(structured: bool) -> FactorSource:
    names = tuple(FUNCTION.parameters)
    if not structured:
        return FactorSource(FUNCTION, (), names)
    parts = find_parts(MODULE, names)
    # One part by its gradients, one by Jacobians, one by outer products.
    return FactorSource(FUNCTION, [(parts[0], "gradients"), (parts[1], "outer products")], parts[2].names)


@pytest.mark.parametrize("blocks", LAYOUTS)
@pytest.mark.parametrize("structured", [True, False])
def test_blocks_do_not_matter(blocks, structured):
    layout = Layout(*blocks, 0.0, 0, 0.0)
    for points, expected in ((None, OWN), (Y, CROSS)):
        request = Request(X, points, "full", 3, layout)
        found = gram_of_factors(source(structured), request)[0].permute(0, 2, 1, 3)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)
        sums = gram_of_factors(source(structured), Request(X, points, "trace", 3, layout))[0, :, 0, :, 0]
        torch.testing.assert_close(sums, expected.diagonal(dim1=2, dim2=3).sum(2), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("form", ["trace", "per_output", "full"])
@pytest.mark.parametrize("cells", [10, 2**20])
def test_a_kernel_with_itself_is_symmetric_to_the_last_bit(form, cells, monkeypatch):
    monkeypatch.setattr("widenet.networks.tangent_gram._CELLS", cells)
    monkeypatch.setattr("widenet.networks.tangent_gram._SMALLEST_TILE", 2)
    found = gram_of_factors(source(True), Request(X, None, form, 3, Layout(6, 4, 3, 0.0, 0, 0.0)))
    assert torch.equal(found, found.permute(0, 3, 4, 1, 2))
    products = gram_of_products(FUNCTION, Request(X, None, form, 3, Layout(6, 4, 3, 0.0, 0, 0.0)))
    assert torch.equal(products, products.permute(0, 3, 4, 1, 2))
    torch.testing.assert_close(products, found, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("form", ["trace", "per_output", "full"])
@pytest.mark.parametrize("blocks", LAYOUTS)
def test_slices_of_several_parts_are_summed(form, blocks, monkeypatch):
    module, points, others = module_and_points("volumes", (9, 7))
    function = ModuleFunction.of(module, None, points)
    first, last = find_parts(module, tuple(function.parameters))
    monkeypatch.setattr("widenet.networks.kernel_factors.SLICE", 1)
    slices = FactorSource(function, [(first, "gradients in slices"), (last, "gradients in slices")], ())
    whole = FactorSource(function, [(first, "pairs of positions"), (last, "outer products")], ())
    for Z in (None, others):
        request = Request(points, Z, form, 1, Layout(*blocks, 0.0, 0, 0.0))
        found = gram_of_factors(slices, request)
        torch.testing.assert_close(found, gram_of_factors(whole, request), rtol=1e-11, atol=1e-12)
        assert Z is not None or torch.equal(found, found.permute(0, 3, 4, 1, 2))


@pytest.mark.parametrize("name", ["dense", "volumes"])
def test_factors_are_differentiable_in_the_points(name):
    module, points, _ = module_and_points(name, (2, 1))
    function = ModuleFunction.of(module, None, points)
    first, *rest = find_parts(module, tuple(function.parameters))
    others = tuple(name for part in rest for name in part.names)
    parts = FactorSource(function, [(first, "gradients in slices")], others) if name == "volumes" else source(True)

    def kernel(x: torch.Tensor) -> torch.Tensor:
        factors = parts.factors(x, graph=True)
        return between(factors, factors, "trace")[0, :, 0, :, 0]

    assert torch.autograd.gradcheck(kernel, (points.requires_grad_(),), atol=1e-6, rtol=1e-4, fast_mode=True)
