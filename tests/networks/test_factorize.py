"""Networks turned into factorised ones: what is replaced, what it computes, what it keeps of a trained network."""

from math import sqrt

import numpy as np
import pytest
import torch
from torch import nn

from widenet.architectures import Dense, FactorizedDense, ReLU
from widenet.errors import InvalidInput
from widenet.networks import FactorizedLinear, factorize, network
from widenet.networks.factorize import WideReadout

X = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 40)))


def _wide() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 600), nn.ReLU(), nn.Linear(600, 3)).double()


def test_a_wide_layer_and_its_readout_become_one_pass():
    wide = _wide()
    before = wide(X)
    result = factorize(wide, FactorizedDense(16, frozen="hadamard"), seed=1)
    assert torch.equal(wide(X), before)  # the network itself is left alone
    (layer,) = result.layers
    assert (layer.name, layer.sizes) == ("0", (40, 16, 600))
    assert (layer.trainable_before, layer.trainable_after) == (40 * 600 + 600, 16 * 40 + 600)
    # 2 d p + 3 m log2(p), in blocks of 16 rows: 608 of them.
    assert (layer.flops_before, layer.flops_after) == (48_000, 2 * 40 * 16 + 3 * 608 * 4)
    assert 1.3 < layer.distance < 1.5
    assert list(result.kept) == ["2"]
    assert "0: 40 x 600 by rank 16" in str(result)
    assert "2: kept" in str(result)
    joined = result.module[0]
    assert isinstance(joined, WideReadout)
    assert torch.equal(joined.hidden.bias, wide[0].bias)
    hidden = X @ joined.hidden.matrix().T + wide[0].bias
    torch.testing.assert_close(result.module(X), wide[2](hidden.clamp(min=0)), rtol=0, atol=1e-12)
    # One size of the weights, so that learning rates keep their meaning.
    assert float(joined.hidden.inner.detach().std() / wide[0].weight.detach().std()) == pytest.approx(1, abs=0.15)


def test_the_one_pass_has_the_gradients_of_the_composition():
    module = factorize(_wide(), FactorizedDense(16, frozen="hadamard")).module
    joined = module[0]
    plain = joined.readout(torch.relu(joined.hidden(X)))
    expected = torch.autograd.grad(plain.square().sum(), list(module.parameters()))
    found = torch.autograd.grad(module(X).square().sum(), list(module.parameters()))
    assert len(found) == 4
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(joined(X.reshape(7, 1, 40)), joined(X)[:, None], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("train", "frozen"), [("inner", "gaussian"), ("outer", "hadamard"), ("both", "gaussian")])
def test_approximations_are_the_best_of_their_kind(train, frozen):
    linear = nn.Linear(40, 90).double()
    weight = linear.weight.detach()
    result = factorize(linear, FactorizedDense(8, train, frozen), start="approximate", seed=2)
    module = result.module
    assert isinstance(module, FactorizedLinear)
    if train == "both":
        best = float(torch.linalg.svdvals(weight)[8:].norm() / weight.norm())
    else:
        # The distance from the span of the frozen factor, by an orthonormal basis.
        kept = module.outer if train == "inner" else module.structured.matrix().T
        basis = torch.linalg.qr(kept)[0]
        part = basis @ basis.T @ weight if train == "inner" else weight @ basis @ basis.T
        best = float((weight - part).norm() / weight.norm())
    assert result.layers[0].distance == pytest.approx(best, rel=1e-6)
    torch.testing.assert_close(module(X), X @ module.matrix().T + linear.bias, rtol=0, atol=1e-12)


def test_networks_of_the_library_and_nested_modules():
    net = network((Dense(1.3, 0.2) >> ReLU()) ** 2 >> Dense(), 40, width=300, seed=0, dtype=torch.float64)
    result = factorize(net, FactorizedDense(16))
    assert [layer.name for layer in result.layers] == ["0", "2"]
    assert result.module(X).shape == (7, 1)
    ratio = result.module[2].matrix().norm() / (net[2].factor("weight") * net[2].weight).norm()
    assert float(ratio) == pytest.approx(1, abs=4 / sqrt(16 * 2))
    nested = nn.ModuleDict({"body": nn.Sequential(nn.Linear(50, 400)), "head": nn.Linear(400, 2)})
    assert [layer.name for layer in factorize(nested, FactorizedDense(8)).layers] == ["body.0"]


def test_what_cannot_be_factorised_is_refused():
    with pytest.raises(InvalidInput, match=r"torch\.nn\.Linear"):
        factorize(nn.ReLU(), FactorizedDense(8))
    with pytest.raises(InvalidInput, match="must be trained"):
        factorize(nn.Linear(50, 400), FactorizedDense(8, "none"))
