"""Parameterisations: one function, and descent that agrees step by step (finite_vs_infinite, section b, equation 1)."""

import io
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from widenet.architectures import Conv, Dense, Erf, FactorizedDense, Flatten, Recurrent, ReLU, StepwiseAverage
from widenet.errors import InvalidInput
from widenet.networks import EmpiricalNTK, FactorizedLinear, network
from widenet.networks.parameterization import (
    layerwise_weight_decay,
    to_ntk_parameterization,
    to_standard_parameterization,
)

RATE, STRENGTH, STEPS = 0.05, 0.3, 50
GENERATOR = torch.Generator().manual_seed(0)
ROWS, IMAGES = (torch.randn(*shape, generator=GENERATOR, dtype=torch.float64) for shape in ((6, 4), (6, 4, 3)))
y = torch.randn(6, 1, generator=GENERATOR, dtype=torch.float64)


def _trained(module: nn.Module, groups: list, X: torch.Tensor) -> torch.Tensor:
    optimizer = torch.optim.SGD(groups, lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (0.5 * (module(X) - y).square().sum()).backward()
        optimizer.step()
    return module(X).detach()


def _plain_descent(module: nn.Module, X: torch.Tensor) -> torch.Tensor:
    """Descent on the parameters of the NTK parameterisation and on STRENGTH / 2 times their squares."""
    held = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for _ in range(STEPS):
        loss = 0.5 * (module(X) - y).square().sum() + STRENGTH / 2 * sum(p.square().sum() for p in held)
        gradients = torch.autograd.grad(loss, held)
        with torch.no_grad():
            for parameter, gradient in zip(held, gradients, strict=True):
                parameter.sub_(RATE * gradient)
    return module(X).detach()


ARCHITECTURES = {
    "dense": (Dense(1.4, 0.3) >> Erf() >> Dense(0.7, 0.2), ROWS),
    "conv": (Conv(2, weight_std=1.3, bias_std=0.5) >> ReLU() >> Flatten() >> Dense(), IMAGES),
    "recurrent": (Recurrent(Erf(), 1.3, 0.8, 0.4) >> StepwiseAverage() >> Dense(0.9), IMAGES),
    "frozen": (Dense(1.4, 0.3, trainable=False) >> Erf() >> Dense(0.7, 0.2), ROWS),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_standard_networks_follow_those_in_the_ntk_parameterization(name: str):
    arch, X = ARCHITECTURES[name]
    ntk = network(arch, tuple(X.shape[1:]), width=8, seed=3, dtype=torch.float64)
    start = ntk(X).detach()
    standard = to_standard_parameterization(ntk)
    torch.testing.assert_close(standard(X).detach(), start, rtol=1e-12, atol=1e-13)
    expected = _plain_descent(ntk, X)
    assert float((expected - start).abs().max()) > 0.1
    found = _trained(standard, layerwise_weight_decay(standard, STRENGTH, RATE), X)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    back = to_ntk_parameterization(standard)
    for ours, theirs in zip(back.parameters(), ntk.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def _mlp() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 1)).double()


def _cnn() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv1d(4, 5, 2), nn.BatchNorm1d(5), nn.Tanh(), nn.Flatten(), nn.Linear(10, 1)).double()


@pytest.mark.parametrize(("make", "X"), [(_mlp, ROWS), (_cnn, IMAGES)], ids=["mlp", "cnn"])
def test_ordinary_networks(make: Callable[[], nn.Sequential], X: torch.Tensor):
    ordinary = make()
    ntk = to_ntk_parameterization(ordinary, weight_std=1.5, bias_std=0.4)
    torch.testing.assert_close(ntk(X), ordinary(X), rtol=1e-13, atol=1e-14)
    fan_in = ordinary[0].weight[0].numel()
    omega = ntk[0].parametrizations.weight.original
    torch.testing.assert_close(omega, ordinary[0].weight * fan_in**0.5 / 1.5, rtol=1e-13, atol=0)
    expected = _plain_descent(ntk, X)
    groups = layerwise_weight_decay(ordinary, STRENGTH, RATE, weight_std=1.5, bias_std=0.4)
    torch.testing.assert_close(_trained(ordinary, groups, X), expected, rtol=0, atol=1e-12)
    back = to_standard_parameterization(ntk)
    assert [type(part) for part in back] == [type(part) for part in ordinary]
    assert back.state_dict().keys() == ordinary.state_dict().keys()
    torch.testing.assert_close(back[-1].weight, ordinary[-1].weight, rtol=0, atol=1e-12)


def test_tangent_kernels_differ_layer_by_layer_by_the_squared_factors():
    ntk = network(Dense(1.4, 0.3) >> Erf() >> Dense(0.7, 0.2), 4, width=8, dtype=torch.float64)
    standard, X = to_standard_parameterization(ntk), ROWS
    factors = {"0.weight": 1.4 / 2, "0.bias": 0.3, "2.weight": 0.7 / 8**0.5, "2.bias": 0.2}
    for name, factor in factors.items():
        ours, theirs = (EmpiricalNTK(net, parameters=(name,))(X) for net in (ntk, standard))
        torch.testing.assert_close(ours, factor**2 * theirs, rtol=1e-11, atol=1e-13)
    ordinary = _mlp()
    converted = to_ntk_parameterization(ordinary, 1.4, 0.3)
    shares = {"0.weight": 1.4 / 2, "0.bias": 0.3, "2.weight": 1.4 / 3, "2.bias": 0.3}
    expected = sum(factor**2 * EmpiricalNTK(ordinary, parameters=(name,))(X) for name, factor in shares.items())
    torch.testing.assert_close(EmpiricalNTK(converted)(X), expected, rtol=1e-11, atol=1e-13)


def test_the_original_is_left_alone():
    ordinary, net = _mlp(), network(Dense() >> ReLU() >> Dense(), 4, width=3, dtype=torch.float64)
    before = [parameter.clone() for module in (ordinary, net) for parameter in module.parameters()]
    to_ntk_parameterization(ordinary)
    to_standard_parameterization(net)
    after = [parameter for module in (ordinary, net) for parameter in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert net[0].parameterization == "ntk"


def test_twice_is_once():
    ntk = to_ntk_parameterization(to_ntk_parameterization(_mlp(), 2.0), 3.0)
    torch.testing.assert_close(ntk(ROWS), _mlp()(ROWS))
    assert ntk[0].parametrizations.weight[0].factor == 2.0 / 4**0.5


def test_a_mean_field_network_in_other_parameterizations_is_the_same_function():
    net = network(Dense() >> ReLU() >> Dense(), 4, width=9, parameterization="mean_field", dtype=torch.float64)
    for convert in (to_ntk_parameterization, to_standard_parameterization):
        torch.testing.assert_close(convert(net)(ROWS), net(ROWS))
    torch.testing.assert_close(to_ntk_parameterization(net)[-1].weight, net[-1].weight / 3)
    (group,) = layerwise_weight_decay(net, 0.1, 0.2)
    assert (group["weight_decay"], group["lr"], len(group["params"])) == (0.1, 0.2, 2)


def test_without_a_learning_rate_the_penalty_alone_is_layerwise():
    groups = layerwise_weight_decay(nn.Linear(16, 2), 0.1, weight_std=2.0)
    assert [group["weight_decay"] for group in groups] == pytest.approx([0.1 * 16 / 4, 0.1])
    assert all("lr" not in group for group in groups)


def test_tied_parameters_come_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert sum(len(group["params"]) for group in layerwise_weight_decay(net, 0.1)) == 3


def test_errors():
    net = network(Dense(0.0, 1.0) >> Dense(), 4, width=3)
    with pytest.raises(InvalidInput, match="factors that are not 0, as that of weight"):
        to_standard_parameterization(net)
    with pytest.raises(InvalidInput, match="strength of a penalty must be at least 0"):
        layerwise_weight_decay(net, -1.0)
    with pytest.raises(InvalidInput, match="learning_rate must be positive"):
        layerwise_weight_decay(net, 1.0, 0.0)
    with pytest.raises(InvalidInput, match="weight_std must be positive"):
        to_ntk_parameterization(net, weight_std=0.0)


SAVED = Dense(bias_std=0.1) >> ReLU() >> FactorizedDense(3) >> ReLU() >> Dense(0.5)


@pytest.mark.parametrize("ours", ["ntk", "standard", "mean_field"])
@pytest.mark.parametrize("theirs", ["ntk", "standard", "mean_field"])
def test_a_state_is_loaded_in_its_own_parameterization_alone(ours, theirs):
    saved = network(SAVED, 4, width=8, seed=1, parameterization=theirs, dtype=torch.float64)
    net = deepcopy(network(SAVED, 4, width=8, seed=2, parameterization=ours, dtype=torch.float64))
    before, file = net(ROWS), io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert torch.equal(functional_call(deepcopy(saved), state, (ROWS,)), saved(ROWS))
    if ours == theirs:
        net.load_state_dict(state)
        assert torch.equal(net(ROWS), saved(ROWS))
        return
    part = "'0'" if "standard" in (ours, theirs) else "'4'"  # the mean field divides the readout alone
    with pytest.raises(InvalidInput, match=f"factors that they were saved with; got .* in {part}. Load them into"):
        net.load_state_dict(state)
    assert torch.equal(net(ROWS), before)


def test_states_of_parts_and_of_plain_modules():
    first, second = (nn.Sequential(FactorizedLinear(4, 6, FactorizedDense(2), seed=seed)) for seed in (0, 1))
    second.load_state_dict(first.state_dict())
    first[0].reparameterize("standard")
    with pytest.raises(InvalidInput, match=r"got 0\.5, 0\.7071 in the state, 1, 1 in 'FactorizedLinear'"):
        first[0].load_state_dict(second[0].state_dict())
    plain = nn.Linear(4, 3)
    scaled, other = to_ntk_parameterization(plain, weight_std=1.5), to_ntk_parameterization(plain)
    other.load_state_dict(to_ntk_parameterization(nn.Linear(4, 3)).state_dict())
    with pytest.raises(InvalidInput, match=r"got 0\.75 in the state, 0\.5 in 'parametrizations\.weight\.0'"):
        other.load_state_dict(scaled.state_dict())


def test_parameters_without_factors_are_no_whole_state():
    net, other = (network(SAVED, 4, width=8, seed=seed, dtype=torch.float64) for seed in (1, 2))
    bare = {name: value for name, value in net.state_dict().items() if not name.endswith("_extra_state")}
    with pytest.raises(RuntimeError, match=r"Missing key.*_extra_state"):
        other.load_state_dict(bare)
    other.load_state_dict(bare, strict=False)
    assert torch.equal(other(ROWS), net(ROWS))
