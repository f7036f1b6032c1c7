"""Networks of one hidden layer: their function, and exact kernels against automatic differentiation and by hand."""

from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from widenet.architectures import Dense, FactorizedDense
from widenet.errors import InvalidInput
from widenet.networks import EmpiricalNTK, ShallowNetwork

X = torch.nn.functional.normalize(torch.from_numpy(np.random.default_rng(0).normal(size=(6, 9))))
LAYERS = [Dense(fan_in_scaling="none"), Dense(1.3)] + [
    FactorizedDense(5, train, frozen, fan_in_scaling="none")
    for train in ("inner", "outer", "both")
    for frozen in ("gaussian", "sign", "hadamard")
]


def _by_autograd(network: ShallowNetwork, points: Tensor, output: int) -> Tensor:
    rows = []
    for x in points:
        gradients = torch.autograd.grad(network(x[None])[0, output], list(network.parameters()))
        rows.append(torch.cat([values.reshape(-1) for values in gradients]))
    J = torch.stack(rows)
    return J @ J.T


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_function_and_kernel(layer):
    network = ShallowNetwork(9, 100, layer, outputs=2, seed=3, dtype=torch.float64)
    expected = network.hidden(X).clamp(min=0) @ network.readout.T / 10
    torch.testing.assert_close(network(X), expected, rtol=0, atol=1e-13)
    assert set(network.readout.unique().tolist()) == {-1.0, 1.0}
    for output in (0, 1):
        torch.testing.assert_close(
            network.tangent_kernel(X, output), _by_autograd(network, X, output), atol=1e-12, rtol=0
        )


@pytest.mark.parametrize("layer", [LAYERS[0], LAYERS[2], LAYERS[4], LAYERS[8]], ids=repr)
def test_the_kernel_of_any_module_is_the_same(layer):
    network = ShallowNetwork(9, 60, layer, seed=3, dtype=torch.float64)
    torch.testing.assert_close(EmpiricalNTK(network)(X), network.tangent_kernel(X), rtol=0, atol=1e-11)


def _by_hand() -> ShallowNetwork:
    """The reference case of four units and rank two; S = U / sqrt(2)."""
    network = ShallowNetwork(4, 4, FactorizedDense(2, fan_in_scaling="none"), dtype=torch.float64)
    with torch.no_grad():
        network.hidden.outer.copy_(torch.tensor([[1.0, 2.0], [2.0, -1.0], [-1.0, 1.0], [3.0, 1.0]]))
        network.hidden.inner.copy_(torch.tensor([[1.0, 0.5, 2.0, 1.0], [-0.75, 1.0, 0.0, 2.0]]))
        network.readout.copy_(torch.tensor([[1.0, -1.0, 1.0, 1.0]]))
    return network


def test_reference_values_of_the_inner_kernel():
    points = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.6, 0.8, 0.0, 0.0]], dtype=torch.float64)
    network = _by_hand()
    expected = torch.tensor([-0.176776695297, 1.202081528017], dtype=torch.float64)
    torch.testing.assert_close(network(points)[:, 0], expected, rtol=0, atol=1e-12)
    kernel = torch.tensor([[0.625, 0.75], [0.75, 2.5]], dtype=torch.float64)
    torch.testing.assert_close(network.tangent_kernel(points), kernel, rtol=0, atol=1e-13)


def test_the_limit_of_the_outer_kernel():
    # R = [[1, 1, 0, 0], [0, 1, -1, 1]] / sqrt(2): spec values of <Rx, Rz> k0 / 2.
    points = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, sqrt(0.75), 0.0, 0.0]], dtype=torch.float64)
    network = ShallowNetwork(4, 400_000, FactorizedDense(2, "outer", fan_in_scaling="none"), dtype=torch.float64)
    with torch.no_grad():
        network.hidden.inner.copy_(torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, -1.0, 1.0]]))
    expected = torch.tensor([[0.25, 0.280085183195], [0.280085183195, 0.654006350946]], dtype=torch.float64)
    found = network.tangent_kernel(points)
    assert float(((found - expected) / expected).abs().max()) < 4e-3  # 1 / sqrt(400,000) = 1.6e-3


def test_a_rotation_as_frozen_factor_is_the_dense_layer():
    rotation = torch.linalg.qr(torch.from_numpy(np.random.default_rng(1).normal(size=(9, 9))))[0]
    network = ShallowNetwork(9, 500, FactorizedDense(9, "outer", fan_in_scaling="none"), dtype=torch.float64)
    dense = ShallowNetwork(9, 500, Dense(fan_in_scaling="none"), dtype=torch.float64)
    with torch.no_grad():
        network.hidden.inner.copy_(3 * rotation)  # sqrt(rank) R
        dense.hidden.weight.copy_(network.hidden.outer @ rotation)
    torch.testing.assert_close(network.tangent_kernel(X), dense.tangent_kernel(X), rtol=0, atol=1e-13)


def test_an_antisymmetric_start():
    for layer in (Dense(), FactorizedDense(5, "outer")):
        network = ShallowNetwork(9, 100, layer, dtype=torch.float64)
        network.make_antisymmetric()
        assert float(network(X).detach().abs().max()) < 1e-14
        assert float(torch.linalg.eigvalsh(network.tangent_kernel(X))[-1]) > 0.01
        with pytest.raises(InvalidInput, match="even width"):
            ShallowNetwork(9, 101, layer).make_antisymmetric()
    for train in ("inner", "both"):
        with pytest.raises(InvalidInput, match="would stay 0"):
            ShallowNetwork(9, 100, FactorizedDense(5, train)).make_antisymmetric()


def test_features_are_what_training_leaves_alone():
    outer = ShallowNetwork(9, 50, FactorizedDense(5, "outer"), dtype=torch.float64)
    assert outer.features(X).shape == (6, 5)
    torch.testing.assert_close(outer.outputs(outer.features(X)), outer(X))
    assert ShallowNetwork(9, 50, FactorizedDense(5), dtype=torch.float64).features(X) is X


@pytest.mark.parametrize("layer", [Dense(bias_std=0.1), Dense(trainable=False), FactorizedDense(4, "none")], ids=repr)
def test_layers_that_do_not_fit_are_refused(layer):
    with pytest.raises(InvalidInput, match="trained and have no biases"):
        ShallowNetwork(3, 10, layer)
    with pytest.raises(InvalidInput, match="1 or more"):
        ShallowNetwork(3, 0, Dense())
