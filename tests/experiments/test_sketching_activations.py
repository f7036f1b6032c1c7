"""Cut-off series of activations against the table of the specification, and Monte Carlo against the kernel."""

from itertools import pairwise

import numpy as np

from widenet.architectures import ReLU
from widenet.experiments.sketching_activations import DEGREES, activation_table, monte_carlo
from widenet.kernels.dot_product import ArcCosine


def test_errors_are_within_a_tenth_of_those_measured_with_other_code():
    table = activation_table(samples=(256,))
    assert [row[0] for row in table.rows] == ["ReLU", "abs", "sin", "Gaussian", "erf", "GELU"]
    for row in table.rows:
        assert abs(row[1 + len(DEGREES)] - 1) < 0.1
        assert all(first > second for first, second in pairwise(row[1:7]))
        assert row[-1] > row[2]  # degree 3 beats random units


def test_random_units_tend_to_the_kernel():
    X = np.random.default_rng(0).normal(size=(6, 4))
    found = monte_carlo(ReLU(), X, 200_000, np.random.default_rng(1))
    K = np.asarray(ArcCosine(1)(X))
    expected = K * (X[0] @ X[0]) / (2 * K[0, 0])  # E relu(w x)^2 = |x|^2 / 2
    # E relu(u)^2 relu(v)^2 is at most 6 times the product of E relu(u)^2 and E relu(v)^2.
    scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert np.abs((found - expected) / scale).max() < 6 * np.sqrt(5 / 200_000)
