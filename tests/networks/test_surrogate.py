"""Surrogate networks: a hand example, equality with ReLU at the start, fixed gates, conversion, files."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from widenet.errors import InvalidArchitecture, InvalidFile, InvalidInput
from widenet.networks.relu_stack import relu_stack, stack_of
from widenet.networks.surrogate import SurrogateNetwork


def matrix(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def points(n: int = 20, d: int = 5, seed: int = 0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def hand_example(train_input: bool = False) -> SurrogateNetwork:
    """Two trained layers of two units whose values can be checked on paper."""
    start = stack_of([torch.eye(2).double(), matrix([1, -2], [1, 1]), matrix([-1, 2], [1, -1]), matrix([1, 2])])
    network = SurrogateNetwork(start, train_input=train_input)
    trained = ([torch.eye(2).double()] if train_input else []) + [matrix([-1, -1], [2, 1]), matrix([1, 1], [-3, 1])]
    with torch.no_grad():
        for parameter, value in zip(network.value, trained, strict=True):
            parameter.copy_(value)
    return network


def far_from_start(widths, noise: float, train_input: bool = False, seed: int = 0) -> SurrogateNetwork:
    """A network whose trained weights are its start plus relative noise."""
    network = SurrogateNetwork(relu_stack(widths, seed=seed), train_input=train_input)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in network.value:
            scale = noise * parameter.std()
            parameter.add_(torch.randn(parameter.shape, dtype=torch.float64, generator=generator), alpha=float(scale))
    return network


X_HAND = matrix([3, 1], [1, 2], [2, 0.5])


def test_the_hand_example():
    network = hand_example()
    assert network(X_HAND).flatten().tolist() == [3, 4, 2]
    assert network.relu_network()(X_HAND).flatten().tolist() == [21, 12, 13.5]
    assert stack_of([*network.gate_weights, network.output])(X_HAND).flatten().tolist() == [7, 6, 4]
    gates = network.on(X_HAND).gates
    assert gates is not None
    assert [gate.int().tolist() for gate in gates] == [[[1, 1], [0, 1], [1, 1]], [[1, 0], [1, 0], [1, 0]]]


@pytest.mark.parametrize("train_input", [False, True])
def test_the_hand_example_converts(train_input: bool):
    conversion = hand_example(train_input).to_relu(X_HAND)
    np.testing.assert_allclose(conversion.network(X_HAND).flatten().tolist(), [3, 4, 2], rtol=1e-14)
    # C_1 = (4.2, 0), C_2 = (0, 8.4) by hand: the first layer is [diag(C_1) Z_1 + W_1; Z_1].
    assert conversion.certificate.largest_offset == pytest.approx(8.4, rel=1e-15)
    expected = matrix([3.2, -9.4], [2, 1], [1, -2], [1, 1])
    layer = conversion.network[2].weight.detach()
    if train_input:  # then [W, C Z - W C_before; 0, Z] with C_before = 0
        layer = layer[:, :2] + layer[:, 2:]
    torch.testing.assert_close(layer, expected, rtol=1e-14, atol=1e-14)
    assert conversion.certificate.units_without_offset == ()


@pytest.mark.parametrize("train_input", [False, True])
@pytest.mark.parametrize("widths", [(5, 64, 64, 1), (5, 30, 40, 20, 10, 3)])
def test_at_the_start_it_is_the_relu_network_bit_for_bit(widths, train_input: bool):
    start, X = relu_stack(widths), points()
    network = SurrogateNetwork(start, train_input=train_input)
    assert torch.equal(network(X), start(X))
    assert torch.equal(network(X), network.relu_network()(X))
    # Gradients of every output in the trained weights: the tangent kernels are products of these.
    for i in (0, 7):
        ours = torch.autograd.grad(network(X)[i, -1], list(network.value))
        theirs = torch.autograd.grad(start(X)[i, -1], list(start.parameters())[1 - train_input : -1])
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    own, relu = network.on(X), network.relu_on(X)
    weights = [weight.detach() for weight in network.value]
    kernels = [stack.tangent_kernel(weights, stack.forward(weights)) for stack in (own, relu)]
    assert torch.equal(*kernels)


@pytest.mark.parametrize("train_input", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
def test_a_converted_network_is_equal_on_the_reference_set(noise: float, depth: int, train_input: bool):
    network, X = far_from_start((5,) + (64,) * (depth + 1) + (2,), noise, train_input), points()
    conversion = network.to_relu(X)
    assert [type(module) for module in conversion.network] == [nn.Linear, nn.ReLU] * (depth + 1) + [nn.Linear]
    assert all(module.bias is None for module in conversion.network if isinstance(module, nn.Linear))
    difference = float((conversion.network(X) - network(X)).detach().abs().max())
    # Values reach 676 with a trained input layer and noise 2; without, the bound is absolute.
    bound = 1e-10 * (conversion.certificate.largest_value if train_input else 1)
    assert difference == conversion.certificate.largest_difference <= bound
    assert conversion.certificate.largest_value == float(network(X).detach().abs().max())
    assert conversion.certificate.violating_inputs is None
    widths = [module.out_features for module in conversion.network if isinstance(module, nn.Linear)]
    assert widths == [128 if train_input else 64, *[128] * depth, 2]


def test_sizes_of_a_converted_network():
    network = SurrogateNetwork(relu_stack((5, 64, 64, 64, 64, 1)))
    converted = network.to_relu(points()).network
    counts = [sum(p.numel() for p in module.parameters()) for module in (network.relu_network(), converted)]
    assert counts == [12672, 41408]


def test_at_the_start_nothing_is_added():
    network, X = SurrogateNetwork(relu_stack((5, 32, 32, 32, 1))), points()
    conversion = network.to_relu(X)
    assert conversion.certificate.largest_offset == 0
    torch.testing.assert_close(conversion.network(points(seed=9)), network(points(seed=9)), rtol=1e-12, atol=1e-12)


def test_new_inputs_need_larger_offsets():
    network, X, fresh = far_from_start((5, 64, 64, 64, 1), 0.5), points(), points(500, seed=3)
    exact = network.to_relu(X, validation=fresh)
    assert exact.certificate.violating_inputs > 0.5
    assert 0 < exact.certificate.violating_pairs < 0.1
    spread = float(network(fresh).detach().abs().mean())
    differences = []
    for floor in (1e2, 1e3, None):
        everywhere = network.to_relu(X, mode="everywhere", floor=floor, validation=fresh)
        assert everywhere.certificate.largest_difference <= 1e-9
        differences.append(float((everywhere.network(fresh) - network(fresh)).detach().abs().mean()))
        assert everywhere.certificate.violating_pairs < exact.certificate.violating_pairs
    assert differences[0] > differences[1] > differences[2]
    assert differences[2] < 1e-4 * spread
    assert everywhere.certificate.largest_offset >= 1e5


def test_violations_are_the_inputs_that_differ():
    network, X, fresh = far_from_start((5, 40, 40, 1), 0.5), points(), points(300, seed=3)
    conversion = network.to_relu(X, validation=fresh)
    differ = (conversion.network(fresh) - network(fresh)).detach().abs().flatten() > 1e-9
    assert 0.2 < float(differ.double().mean()) < 1
    # With one trained layer an input differs where a unit breaks its condition, unless differences cancel.
    assert conversion.certificate.violating_inputs == pytest.approx(float(differ.double().mean()), abs=1e-12)


def test_units_without_an_offset_are_told():
    # At x = (1, 1) unit 0 has u = 0 and v = 1: it is off, and no C turns relu(v) off.
    start = stack_of([torch.eye(2).double(), matrix([1, -1], [1, 1]), matrix([1, 1])])
    network = SurrogateNetwork(start)
    with torch.no_grad():
        network.value[0].copy_(matrix([1, 0], [1, 1]))
    X = matrix([1, 1], [2, 1])
    assert network(X).flatten().tolist() == [2, 5]
    certificate = network.to_relu(X).certificate
    assert certificate.units_without_offset == ((1, 0),)
    assert certificate.largest_difference == 1
    with torch.no_grad():
        network.value[0].copy_(matrix([1, -1], [1, 1]))  # now v = 0 there: nothing to turn off
    assert network.to_relu(X).certificate.units_without_offset == ()


def test_single_precision():
    network, X = SurrogateNetwork(relu_stack((5, 64, 64, 1), dtype=torch.float32)), points()
    with torch.no_grad():
        network.value[0] += 0.1 * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    conversion = network.to_relu(X)
    assert conversion.network[0].weight.dtype == torch.float32
    assert conversion.certificate.largest_difference < 1e-3 * conversion.certificate.largest_value


def test_trained_weights_do_not_move_the_gates():
    network, X = far_from_start((5, 32, 32, 1), 0.0), points()
    before = network.on(X).gates
    with torch.no_grad():
        network.value[0].neg_()
    after = network.on(X).gates
    assert before is not None
    assert after is not None
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert network.movement() == pytest.approx(2)
    assert [name for name, _ in network.named_parameters()] == ["value.0"]


def test_a_saved_network_comes_back(tmp_path):
    for train_input in (False, True):
        network = far_from_start((5, 16, 8, 2), 0.5, train_input)
        network.save(tmp_path / "net.safetensors")
        loaded = SurrogateNetwork.load(tmp_path / "net.safetensors")
        assert loaded.train_input == train_input
        assert torch.equal(loaded(points()), network(points()))
        assert loaded.movement() == network.movement() > 0


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("no network")
    save_file({"a": torch.ones(2)}, tmp_path / "foreign")
    for name in ("text", "foreign", "absent"):
        with pytest.raises(InvalidFile, match="saved surrogate network"):
            SurrogateNetwork.load(tmp_path / name)
    with pytest.raises(InvalidFile, match="written"):
        hand_example().save(tmp_path / "nowhere" / "net")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "text"]


def test_starts_that_leave_nothing_to_train_are_refused():
    with pytest.raises(InvalidArchitecture, match="3 or more linear maps"):
        SurrogateNetwork(relu_stack((5, 8, 1)))
    assert len(SurrogateNetwork(relu_stack((5, 8, 1)), train_input=True).value) == 1


@pytest.mark.parametrize(
    "arguments", [{"margin": 0.0}, {"floor": -1.0}, {"margin": float("nan")}, {"X": np.ones((2, 3))}], ids=repr
)
def test_what_cannot_be_converted_is_refused(arguments):
    with pytest.raises(InvalidInput):
        hand_example().to_relu(**{"X": X_HAND, **arguments})
