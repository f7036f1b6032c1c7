"""The drop-in module: its function, its parameters, parameterisations, gradients."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import Dense, FactorizedDense, ReLU
from widenet.errors import InvalidInput
from widenet.networks import FactorizedLinear, network

X = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 12)))
KINDS = ("gaussian", "sign", "hadamard")


def _module(train: str, frozen: str, rank: int | float = 7) -> FactorizedLinear:
    layer = FactorizedDense(rank, train, frozen, weight_std=1.5, bias_std=0.3)
    return FactorizedLinear(12, 40, layer, seed=3, dtype=torch.float64)


@pytest.mark.parametrize("frozen", KINDS)
@pytest.mark.parametrize("train", ["inner", "outer", "both", "none"])
def test_the_function_is_the_product_of_the_factors(train, frozen):
    module = _module(train, frozen)
    structured = None if module.structured is None else module.structured.matrix()
    U, V = (structured if values is None else values for values in (module.outer, module.inner))
    assert U.shape == (40, 7)
    assert V.shape == (7, 12)
    expected = 1.5 / sqrt(12 * 7) * X @ V.T @ U.T + 0.3 * module.bias
    torch.testing.assert_close(module(X), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(module.matrix(), 1.5 / sqrt(12 * 7) * U @ V, rtol=1e-12, atol=1e-12)
    names = {name for name, _ in module.named_parameters()}
    assert names == ({"inner", "outer"} if train == "both" else {train} if train != "none" else set()) | (
        set() if train == "none" else {"bias"}
    )
    if frozen == "sign" and train in ("inner", "none"):
        assert set(U.unique().tolist()) == {-1.0, 1.0}
    assert (module.structured is not None) == (frozen == "hadamard" and train != "both")


@pytest.mark.parametrize("train", ["inner", "outer", "both"])
def test_parameterisations_keep_the_function(train):
    module = _module(train, "hadamard")
    before = module(X)
    module.reparameterize("standard")
    torch.testing.assert_close(module(X), before, rtol=1e-12, atol=1e-12)
    if train == "inner":  # in the scale of the weights of a dense layer, 1.5 / sqrt(12)
        assert 0.7 < module.inner.detach().std().item() / (1.5 / sqrt(12)) < 1.3
    module.reparameterize("ntk")
    torch.testing.assert_close(module(X), before, rtol=1e-12, atol=1e-12)


def test_the_variance_of_the_units_is_that_of_a_dense_layer():
    for train in ("inner", "outer"):
        for frozen in KINDS:
            layer = FactorizedDense(64, train, frozen, weight_std=1.5)
            draws = torch.stack(
                [FactorizedLinear(12, 400, layer, seed, torch.float64)(X).detach() for seed in range(40)]
            )
            # E h^2 = 1.5^2 |x|^2 / 12; |V x|^2 has 64 degrees of freedom, so 40 draws leave 2.8 percent.
            ratio = draws.square().mean((0, 2)) / (1.5**2 * X.square().mean(1))
            assert np.all(np.abs(ratio.numpy() - 1) < 4 * sqrt(2 / 64 / 40 + 2 / 400 / 40))


def test_the_seed_decides():
    first, again, other = (FactorizedLinear(4, 30, FactorizedDense(5), seed)(X[:, :4].float()) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_networks_hold_it_and_save_it():
    architecture = FactorizedDense(0.25, frozen="hadamard") >> ReLU() >> FactorizedDense(8, "both") >> ReLU() >> Dense()
    net = network(architecture, 12, width=64, seed=0, dtype=torch.float64)
    other = network(architecture, 12, width=64, seed=1, dtype=torch.float64)
    assert net[0].sizes == (12, 16, 64)
    assert net[2].sizes == (64, 8, 64)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(X), net(X))
    last = network(Dense() >> ReLU() >> FactorizedDense(8), 12, width=64, outputs=3, seed=0)
    assert last(X.float()).shape == (5, 3)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(InvalidInput, match="1 input"):
        FactorizedLinear(0, 3, FactorizedDense(2))
