"""Recurrent modules against plain loops, and the states that sequences start from."""

import pytest
import torch

from widenet.architectures import Dense, Elementwise, Erf, GlobalAveragePool, LastStep, Recurrent, ReLU, StepwiseAverage
from widenet.errors import InvalidArchitecture
from widenet.networks import Plan, network
from widenet.networks.recurrent import IndependentStates, RecurrentModule, RecurrentStack

X = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _network(arch, fan_in=(-1, 2), width=6, **options):
    return network(arch, fan_in, width=width, dtype=torch.float64, **options)


def test_a_layer_is_its_recursion():
    layer = Recurrent(Elementwise(torch.tanh), 1.3, 0.7, 0.2, 0.5, initial_state="shared")
    module = _network(layer >> GlobalAveragePool() >> Dense())[0]
    assert isinstance(module, RecurrentModule)
    assert module.state is not None
    h = module.state(X)[1]
    assert torch.equal(h, module.state(X)[0])
    for t in range(4):
        below = 0.7 / 2**0.5 * module.input.weight @ X[1, t] + 0.2 * module.input.bias
        h = torch.tanh(1.3 / 6**0.5 * module.hidden.weight @ h + below)
        torch.testing.assert_close(module(X)[1, t], h, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("readout", ["nothing", "last"])
def test_what_follows_reads_the_last_step(readout: str):
    layer = Recurrent(ReLU(), 1.2)
    net = _network((layer if readout == "nothing" else layer >> LastStep()) >> Dense())
    torch.testing.assert_close(net(X), net[-1](net[0](X)[:, -1]))
    assert _network(layer)(X).shape == (3, 6)


def test_the_mean_and_weights_of_their_own():
    mean = _network(Recurrent() >> GlobalAveragePool() >> Dense())
    torch.testing.assert_close(mean(X), mean[-1](mean[0](X).mean(1)))
    own = _network(Recurrent() >> StepwiseAverage() >> Dense(), (4, 2))
    states = own[0](X)
    expected = sum(states[:, t] @ own[-1].weight[:, 6 * t : 6 * t + 6].T for t in range(4)) / (4 * 6) ** 0.5
    torch.testing.assert_close(own(X), expected)
    with pytest.raises(InvalidArchitecture, match="need the number of steps"):
        _network(Recurrent() >> StepwiseAverage() >> Dense())


def test_independent_states_belong_to_their_sequences():
    generator = torch.Generator().manual_seed(1)
    many = torch.randn(50, 7, 2, generator=generator, dtype=torch.float64)
    plan = Plan(20_000, "gaussian", generator, torch.float64)
    states = IndependentStates(0.5, 20_000, 2, plan)
    h = states(many)
    torch.testing.assert_close(states(many[9:10]), h[9:10])
    single = states.float()
    torch.testing.assert_close(single(many[9:10].float()), single(many.float())[9:10], rtol=0, atol=1e-6)
    assert single(many.float()).dtype == torch.float32
    gram = h @ h.T / 20_000
    # Means of 20,000 products of variance at most 1/4^2 * 3/2: five standard errors are 0.011.
    torch.testing.assert_close(gram, 0.25 * torch.eye(50, dtype=torch.float64), rtol=0, atol=0.011)
    # Of a mean over the units alone: each state of variance 1/4, the sequences nearly independent.
    assert abs(float(h.mean())) < 5 * 0.5 / (50 * 20_000) ** 0.5


def test_states_of_several_layers_depend_on_the_inputs_alone():
    net = _network(Recurrent(Erf(), initial_std=0.5) ** 2 >> Dense())
    assert isinstance(net[0], RecurrentStack)
    before = net[0].layers[1].state(X)
    with torch.no_grad():
        net[0].layers[0].hidden.weight.mul_(2.0)
    assert isinstance(net[0].layers[1].state, IndependentStates)
    below = net[0].layers[0](X)
    torch.testing.assert_close(net[0].layers[1](below, X)[:, -1], net[0](X)[:, -1])
    assert torch.equal(net[0].layers[1].state(X), before)


def test_zero_states_and_frozen_layers():
    net = _network(Recurrent(initial_std=0.5, initial_state="zero", trainable=False) >> Dense())
    assert net[0].state is None
    assert [name for name, _ in net.named_parameters()] == ["2.weight"]
    assert {"0.hidden.weight", "0.input.weight"} <= dict(net.named_buffers()).keys()


def test_sequences_must_have_steps():
    with pytest.raises(InvalidArchitecture, match=r"must read sequences \(steps, channels\)"):
        network(Recurrent() >> Dense(), 2)
    with pytest.raises(InvalidArchitecture, match="must read sequences"):
        network(Dense() >> LastStep() >> Dense(), 2)
