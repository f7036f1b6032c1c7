"""Units with a threshold, and the networks of them."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import Dense, ThresholdReLU, sparse_network
from widenet.errors import InvalidArchitecture

FIRST = Dense(bias_std=1.0, bias_init="zero", fan_in_scaling="none")


def test_the_function():
    z = torch.tensor([-2.0, 0.6, 0.7, 1.0], dtype=torch.float64)
    torch.testing.assert_close(ThresholdReLU(0.7)(z), torch.tensor([0.0, 0.0, 0.0, 0.3], dtype=torch.float64))


def test_the_network_of_the_paper():
    assert sparse_network(0.5) == FIRST >> ThresholdReLU(0.5) >> Dense(trainable=False)
    assert sparse_network(0.5, trained="all") == FIRST >> ThresholdReLU(0.5) >> Dense()


def test_deep_networks_keep_the_variance():
    # E max(z - 1/2, 0)^2 for z ~ N(0, 1), by a sum over a fine grid.
    z = np.arange(0.5, 12, 1e-4) + 5e-5
    square = np.sum((z - 0.5) ** 2 * np.exp(-z * z / 2)) * 1e-4 / np.sqrt(2 * np.pi)
    network = sparse_network(0.5, depth=3)
    hidden = network.layers[2]
    assert hidden.weight_std == pytest.approx(1 / sqrt(square), rel=1e-7)
    block = (Dense(hidden.weight_std, 1.0, bias_init="zero"), ThresholdReLU(0.5))
    assert network.layers == (FIRST, ThresholdReLU(0.5), *block, *block, Dense(trainable=False))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ThresholdReLU(-0.1), "ThresholdReLU.threshold must be a finite number of at least 0; got -0.1"),
        (lambda: ThresholdReLU(float("inf")), "ThresholdReLU.threshold must be a finite number of at least 0; got inf"),
        (lambda: sparse_network(1.0, depth=0), "depth must be a whole number of hidden layers, 1 or more; got 0"),
        (lambda: sparse_network(50.0, depth=2), "a threshold must leave some units active; got 50.0"),
    ],
)
def test_a_bad_argument_is_refused(make, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        make()
