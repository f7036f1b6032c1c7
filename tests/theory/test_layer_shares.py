"""The NTK layer by layer against reference values, sums, and Jacobians of finite networks."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet import NTK, Conv, Dense, Recurrent, ReLU, convolutional, densenet, freeze, fully_connected, residual
from widenet.architectures import LastStep
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.networks import network
from widenet.theory.layer_shares import layer_shares, standard_kernel, weighted_kernel

rng = np.random.default_rng(0)
X, IMAGES = rng.normal(size=(4, 3)), rng.normal(size=(3, 5, 5, 2))


@pytest.mark.parametrize(
    ("architecture", "points", "parts"),
    [
        (fully_connected(2, bias_std=0.3), X, 6),
        (fully_connected(2), X, 3),
        (residual(2), X, 6),
        (densenet(3), X, 5),
        (freeze(fully_connected(3, bias_std=0.3), 2), X, 4),
        (convolutional(2, "flatten", bias_std=0.1), IMAGES, 6),
        (convolutional(2, "average", bias_std=0.1), IMAGES, 6),
    ],
    ids=["biases", "plain", "residual", "densenet", "frozen", "flatten", "average"],
)
def test_the_shares_add_up_to_the_kernel(architecture, points, parts):
    shares = layer_shares(architecture)
    assert len(shares) == parts
    total = sum(share.kernel(points) for share in shares)
    np.testing.assert_allclose(total, NTK(architecture)(points), rtol=1e-12)
    assert all(np.trace(share.kernel(points)) > 0 for share in shares)


def test_shares_of_the_reference_pair():
    # weight_std^2 = 2, one hidden layer: NTK 1.100447226586, of which the last layer has the NNGP 0.677547567767.
    first, last = layer_shares(fully_connected(1, weight_std=sqrt(2)))
    pair = np.array([[1.0, 0.0], [0.6, 0.8]])
    assert last.kernel(pair)[0, 1] == pytest.approx(0.677547567767, abs=1e-12)
    assert first.kernel(pair)[0, 1] == pytest.approx(1.100447226586 - 0.677547567767, abs=2e-12)
    kernel = standard_kernel(fully_connected(1, weight_std=sqrt(2)), fan_ins=[2, 300])
    expected = 2 / 2 * (1.100447226586 - 0.677547567767) + 300 / 2 * 0.677547567767
    assert kernel(pair)[0, 1] == pytest.approx(expected, abs=1e-9)


def test_a_bias_adds_its_back_propagated_square():
    shares = layer_shares(Dense(bias_std=0.5) >> ReLU() >> Dense(bias_std=0.2))
    by_name = {(share.index, share.part): share.kernel(X) for share in shares}
    np.testing.assert_allclose(by_name[1, "bias"], np.full((4, 4), 0.04), rtol=1e-13)
    # d f / d beta_0 = w relu'(h) bias_std / sqrt(n): on the diagonal half of bias_std^2.
    np.testing.assert_allclose(np.diag(by_name[0, "bias"]), np.full(4, 0.125), rtol=1e-12)


@pytest.mark.parametrize("bias_std", [0.0, 0.4])
def test_the_standard_kernel_is_that_of_networks_in_this_parameterisation(bias_std):
    architecture, width, draws = fully_connected(2, weight_std=1.3, bias_std=bias_std), 256, 12
    found = []
    for seed in range(draws):
        module = network(architecture, 3, width=width, seed=seed, parameterization="standard", dtype=torch.float64)
        outputs = module(torch.from_numpy(X))[:, 0]
        rows = [torch.autograd.grad(out, list(module.parameters()), retain_graph=True) for out in outputs]
        J = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])
        found.append((J @ J.T).numpy())
    expected = standard_kernel(architecture, [3, width, width])(X)
    error = np.std(found, axis=0, ddof=1) / sqrt(draws)
    assert error.max() < 0.1 * expected.max()
    assert (np.abs(np.mean(found, axis=0) - expected) < 5 * error + 0.01 * expected.max()).all()


def test_a_convolution_counts_the_inputs_of_its_filter():
    architecture = Conv(3, weight_std=1.5) >> ReLU() >> convolutional(1, "average", bias_std=0.0)
    shares = layer_shares(architecture)
    kernel = standard_kernel(architecture, [18, 9 * 64, 64])
    factors = [18 / 1.5**2, 9 * 64 / 2.0, 64.0]
    expected = sum(c * share.kernel(IMAGES) for c, share in zip(factors, shares, strict=True))
    np.testing.assert_allclose(kernel(IMAGES), expected, rtol=1e-12)


def test_bad_factors_and_layers_are_refused():
    shares = layer_shares(fully_connected(1))
    for factors in ([1.0], [1.0, 0.0], [1.0, -1.0], [1.0, np.inf]):
        with pytest.raises(InvalidInput):
            weighted_kernel(shares, factors)
    with pytest.raises(InvalidInput, match="2 fan-ins"):
        standard_kernel(fully_connected(1), [3])
    with pytest.raises(InvalidInput, match="weight_std"):
        standard_kernel(Dense() >> ReLU() >> Dense(0.0, 0.1), [3, 8])
    with pytest.raises(InvalidArchitecture, match="fan-in"):
        standard_kernel(fully_connected(1, scaling="arora"), [3, 8])
    with pytest.raises(InvalidArchitecture, match="Dense and Conv"):
        layer_shares(Recurrent(ReLU()) >> LastStep() >> Dense())
