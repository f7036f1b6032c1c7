"""Finite networks: gradients against autograd, sampled matrices against stored ones, moments against formulas."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.experiments.finite_residual import (
    DenselyConnectedNetwork,
    ResidualNetwork,
    SampledMatrix,
    StoredMatrix,
    VanillaNetwork,
    draw_ensemble,
    tangent_gram,
)

X = np.array([[1.0, 0.5, -0.3, 0.8], [-0.2, 1.1, 0.4, 0.6], [0.3, -0.7, 0.2, -1.5]])


def _vanilla(weights, x):
    q = x
    for W in weights[:-1]:
        q = sqrt(2) * torch.relu(W @ q / sqrt(len(q)))
    return weights[-1] @ q / sqrt(len(q))


def _residual(weights, x, alpha, matrices):
    y = weights[0] @ x / sqrt(len(x))
    for start in range(1, len(weights) - 1, matrices):
        a = weights[start] @ y / sqrt(len(y))
        for W in weights[start + 1 : start + matrices]:
            a = W @ (sqrt(2) * torch.relu(a)) / sqrt(len(y))
        y = y + sqrt(alpha) * a
    return weights[-1] @ y / sqrt(len(y))


def _dense(weights, x, alpha):
    q = [sqrt(2) * torch.relu(weights[0] @ x / sqrt(len(x)))]
    for number, W in enumerate(weights[1:-1], 1):
        q.append(sqrt(2) * torch.relu(sqrt(alpha / (number * len(q[0]))) * W @ torch.cat(q)))
    return weights[-1] @ q[-1] / sqrt(len(q[0]))


NETWORKS = [
    (VanillaNetwork(6, 3), _vanilla),
    (ResidualNetwork(5, 3, 0.4, 2), lambda w, x: _residual(w, x, 0.4, 2)),
    (ResidualNetwork(5, 2, 0.7, 1), lambda w, x: _residual(w, x, 0.7, 1)),
    (ResidualNetwork(4, 2, 1.5, 3), lambda w, x: _residual(w, x, 1.5, 3)),
    (DenselyConnectedNetwork(5, 3, 1.0), lambda w, x: _dense(w, x, 1.0)),
    (DenselyConnectedNetwork(4, 4, 2.5), lambda w, x: _dense(w, x, 2.5)),
]


@pytest.mark.parametrize(("network", "function"), NETWORKS, ids=[repr(network) for network, _ in NETWORKS])
def test_the_kernel_is_that_of_autograd(network, function):
    random, stored = np.random.default_rng(3), []

    def draw(outputs, inputs):
        stored.append(random.standard_normal((2, outputs, inputs)))
        return StoredMatrix(stored[-1])

    parts = list(network.factors(draw, np.stack([X, -X])))
    gram, diagonal = sum(part.gram() for part in parts), sum(part.diagonal() for part in parts)
    for net, sign in enumerate((1, -1)):
        weights = [torch.tensor(matrix[net], requires_grad=True) for matrix in stored]
        gradients = []
        for x in torch.tensor(sign * X):
            found = torch.autograd.grad(function(weights, x).sum(), weights)
            gradients.append(torch.cat([part.ravel() for part in found]))
        J = torch.stack(gradients).numpy()
        np.testing.assert_allclose(gram[net], J @ J.T, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(diagonal[net], np.sum(J**2, axis=1), rtol=1e-12)


def test_one_network_of_the_gram_is_drawn_from_its_seed():
    network = ResidualNetwork(7, 2, 0.5)
    K = tangent_gram(network, X, seed=4)
    random = np.random.default_rng(4)
    parts = network.factors(lambda outputs, inputs: StoredMatrix(random.standard_normal((1, outputs, inputs))), X[None])
    np.testing.assert_allclose(np.diag(K), sum(part.diagonal() for part in parts)[0], rtol=1e-12)
    assert np.array_equal(K, tangent_gram(network, X, seed=4))
    assert not np.allclose(K, tangent_gram(network, X, seed=5))


def test_a_sampled_matrix_has_the_law_of_a_stored_one():
    # delta depends on W q, as it does in a network: without the part along q the first moments below would be 0.
    random, nets = np.random.default_rng(0), 200_000
    q = np.broadcast_to(np.array([1.0, -2.0, 0.5]), (nets, 1, 3))
    moments = []
    for matrix in (SampledMatrix(random, 2), StoredMatrix(random.standard_normal((nets, 2, 3)))):
        h = matrix.forward(q)
        back = matrix.backward(np.maximum(h, 0.0) + 0.3)[:, 0]
        h = h[:, 0]
        moments.append(np.column_stack([h, h**2, back, back**2, back * h[:, :1], back[:, :1] * back[:, 1:], back**4]))
    means = [sample.mean(0) for sample in moments]
    error = np.sqrt(sum(sample.var(0) for sample in moments) / nets)
    assert np.all(np.abs(means[0] - means[1]) < 4.5 * error)
    # E[W^T relu(W q)] = q E[relu(h) h] sums / |q|^2: each of the two outputs gives |q|^2 / 2.
    np.testing.assert_allclose(means[0][4:7], [1.0, -2.0, 0.5], atol=0.05)


@pytest.mark.parametrize("network", [network for network, _ in NETWORKS], ids=repr)
def test_an_ensemble_has_the_law_of_stored_networks(network):
    nets = 40_000
    sampled = draw_ensemble(network, X[0], nets, seed=1).tangent
    random = np.random.default_rng(2)
    points = np.broadcast_to(X[0], (nets, 1, 4))
    parts = network.factors(
        lambda outputs, inputs: StoredMatrix(random.standard_normal((nets, outputs, inputs))), points
    )
    stored = sum(part.diagonal()[:, 0] for part in parts)
    for statistic in (np.sqrt, np.copy, np.log1p):
        a, b = statistic(sampled), statistic(stored)
        assert abs(a.mean() - b.mean()) < 4.5 * sqrt((a.var() + b.var()) / nets)
    a, b = np.log1p(sampled), np.log1p(stored)
    a, b = (a - a.mean()) ** 2, (b - b.mean()) ** 2
    assert abs(a.mean() - b.mean()) < 4.5 * sqrt((a.var() + b.var()) / nets)


def test_a_silent_network_has_no_gradient():
    # With one unit a layer half of the networks fall silent at each ReLU.
    K = draw_ensemble(VanillaNetwork(1, 3), X[0], 4000, seed=0).tangent
    silent = np.mean(K == 0)
    assert abs(silent - 0.875) < 4 * sqrt(0.875 * 0.125 / 4000)
    assert np.all(np.isfinite(K))


def test_the_mean_diagonal_of_a_residual_network_is_exact_at_every_width():
    # (|x|^2 / d)(1 + alpha)^L (2 + m L alpha / (1 + alpha)); 3.7125 for two blocks of two matrices and alpha = 0.5.
    K = draw_ensemble(ResidualNetwork(3, 2, 0.5, 2), X[0], 100_000, seed=0).tangent
    assert abs(K.mean() - 3.7125) < 4 * K.std() / sqrt(len(K))


@pytest.mark.parametrize(
    ("network", "ratio"),
    [
        # E|q|^4 / (E|q|^2)^2, exact at every width: (1 + 5/n)^L, and products over blocks and layers.
        (VanillaNetwork(8, 3), (1 + 5 / 8) ** 3),
        (ResidualNetwork(50, 10, 0.1, 2), 1.1240457874),
        (DenselyConnectedNetwork(40, 5, 1.0), 1.1955231911),
    ],
    ids=repr,
)
def test_the_forward_norm_has_its_exact_second_moment(network, ratio):
    norm = draw_ensemble(network, X[0], 20_000, seed=5).norm
    spread = (norm**2 - 2 * ratio * norm.mean() * norm) / norm.mean() ** 2  # first-order change of the ratio a network
    assert abs(np.mean(norm**2) / norm.mean() ** 2 - ratio) < 4 * spread.std() / sqrt(len(norm))


def test_the_norms_of_all_layers_of_a_densely_connected_network_are_added():
    # |x|^2 / d times (1 + alpha)(1 + alpha / 2)(1 + alpha / 3): 0.495 * 2 * 1.5 * 4/3 for alpha = 1.
    norm = draw_ensemble(DenselyConnectedNetwork(6, 3), X[0], 50_000, seed=6).norm
    assert abs(norm.mean() - 1.98) < 4 * norm.std() / sqrt(len(norm))


@pytest.mark.parametrize("make", [lambda: VanillaNetwork(0, 1), lambda: ResidualNetwork(3, 1, -0.1)])
def test_networks_that_cannot_be_are_refused(make):
    with pytest.raises(InvalidInput):
        make()


def test_an_empty_ensemble_is_refused():
    with pytest.raises(InvalidInput, match="at least one network"):
        draw_ensemble(VanillaNetwork(2, 1), X[0], 0, seed=0)
