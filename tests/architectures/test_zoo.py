"""Named architectures."""

from math import sqrt

import numpy as np
import pytest

from widenet.architectures import Dense, Erf, ReLU, fully_connected
from widenet.errors import InvalidArchitecture
from widenet.kernels import NTK


def test_depth_counts_activations():
    assert fully_connected(0, bias_std=0.2) == Dense(bias_std=0.2)
    assert fully_connected(1, Erf(), 1.5) == Dense(1.5) >> Erf() >> Dense(1.5)
    assert fully_connected(2) == (Dense() >> ReLU()) ** 2 >> Dense()
    assert fully_connected(np.int64(2).item()) == fully_connected(2)


def test_scalings_as_they_are_written():
    he, root = Dense(sqrt(2.0)), sqrt(2.0)
    assert fully_connected(2, scaling="he") == (he >> ReLU()) ** 2 >> Dense()
    assert fully_connected(0, scaling="he") == Dense()
    assert fully_connected(2, scaling="he", weight_std=1.1) == (Dense(1.1) >> ReLU()) ** 2 >> Dense(1.1)
    assert fully_connected(1, scaling="arora") == Dense(fan_in_scaling="none") >> ReLU() >> Dense()
    first = Dense(1.0, 0.3, bias_init="zero", fan_in_scaling="none")
    later = Dense(root, 0.3, bias_init="zero")
    assert fully_connected(2, bias_std=0.3, scaling="geifman") == first >> (ReLU() >> later) ** 2


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_geifman_diagonal_on_the_sphere(depth: int, beta: float):
    x = np.array([[0.6, 0.0, -0.8]])
    kernel = NTK(fully_connected(depth, bias_std=beta, scaling="geifman"))
    np.testing.assert_allclose(kernel(x), (depth + 1) * (1 + beta**2), rtol=1e-14)


@pytest.mark.parametrize("depth", [0, 2])
def test_arora_differs_from_geifman_by_a_half_in_every_layer(depth: int):
    X = np.random.default_rng(0).normal(size=(5, 3))
    ours = NTK(fully_connected(depth, scaling="arora"))(X)
    np.testing.assert_allclose(ours, NTK(fully_connected(depth, scaling="geifman"))(X) / 2**depth, rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fully_connected(-1), "depth must be a whole number of activations, 0 or more; got -1"),
        (lambda: fully_connected(True), "depth must be a whole number of activations, 0 or more; got True"),
        (lambda: fully_connected(1, weight_std=-2.0), "weight_std must be a finite number of at least 0; got -2"),
        (lambda: fully_connected(1, bias_std=float("nan")), "Dense.bias_std must be a finite number of at least 0"),
    ],
)
def test_a_bad_argument_is_refused(make, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        make()
