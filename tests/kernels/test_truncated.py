"""Truncated duals against the tabulated values of exact duals and errors of a fresh reckoning."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import GELU, Abs, Activation, Dense, Elementwise, Erf, GaussianBump, LeakyReLU, ReLU, Sine
from widenet.errors import InvalidInput
from widenet.kernels import NNGP, TruncatedDual

# E[phi(u) phi(v)] at E u^2 = 1.3, E v^2 = 0.7, E u v = 0.4, by 2-D quadrature.
DUALS = {
    ReLU(): 0.2653780915,
    Abs(): 0.6615123661,
    LeakyReLU(0.1): 0.2549562541,
    Erf(): 0.1754796561,
    GELU(): 0.1880606767,
    GaussianBump(): 0.5163977795,
    Sine(): 0.1511073361,
    Elementwise(torch.exp): 4.0551999668,
    Elementwise(torch.tanh): 0.15091976,
    Elementwise(torch.nn.functional.softplus): 0.75106999,
}
PAIR = np.array([[sqrt(1.3), 0.0], [0.4 / sqrt(1.3), sqrt(0.7 - 0.16 / 1.3)]])


@pytest.mark.parametrize(("activation", "expected"), DUALS.items(), ids=repr)
def test_truncations_tend_to_the_dual(activation: Activation, expected: float):
    tolerance = 1e-5 if isinstance(activation, (ReLU, Abs, LeakyReLU)) else 1e-7
    assert abs(TruncatedDual(activation, 10)(PAIR)[0, 1] - expected) < tolerance
    assert abs(TruncatedDual(activation, 20)(PAIR)[0, 1] - expected) < 1e-8


# Relative Frobenius errors at degrees 1, 3, 5, 8 for 500 points in 256 dimensions with entries N(0, 1/256).
ERRORS = {
    ReLU(): (2.5e-2, 3.1e-3, 1.3e-3, 4.9e-4),
    Abs(): (2.6e-2, 3.2e-3, 1.3e-3, 4.9e-4),
    Sine(): (9.9e-2, 5.2e-3, 1.4e-4, 2.3e-6),
    GaussianBump(): (7.0e-3, 1.3e-3, 2.9e-4, 1.6e-5),
    Erf(): (5.4e-2, 1.2e-2, 3.4e-3, 1.1e-3),
    GELU(): (5.2e-2, 3.3e-3, 5.3e-4, 2.3e-5),
}


@pytest.mark.parametrize(("activation", "expected"), ERRORS.items(), ids=repr)
def test_errors_fall_with_the_degree_as_tabulated(activation: Activation, expected: tuple[float, ...]):
    X = np.random.default_rng(0).standard_normal((500, 256)) / 16
    exact = NNGP(Dense(fan_in_scaling="none") >> activation >> Dense())(X)
    for degree, error in zip((1, 3, 5, 8), expected, strict=True):
        found = np.linalg.norm(TruncatedDual(activation, degree)(X) - exact) / np.linalg.norm(exact)
        assert abs(found / error - 1) < 0.1


def test_truncations_are_positive_semidefinite_and_grow_with_the_degree():
    X = np.random.default_rng(1).standard_normal((40, 3))
    before = TruncatedDual(GELU(), 2)(X)
    after = TruncatedDual(GELU(), 6)(X)
    for matrix in (before, after, after - before):
        values = np.linalg.eigvalsh(matrix)
        assert values[0] > -1e-12 * values[-1]


def test_another_degree_is_refused():
    with pytest.raises(InvalidInput, match="degree"):
        TruncatedDual(ReLU(), -1)
