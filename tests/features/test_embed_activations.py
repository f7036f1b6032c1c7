"""Series of activations against exact duals, and the fits of ReLU-like ones."""

from math import pi

import numpy as np
import pytest
import torch

from widenet.architectures import GELU, Abs, AbsLinear, Activation, Erf, LeakyReLU, ReLU, ThresholdReLU
from widenet.features.embed_activations import (
    activation_series,
    fit_abs_linear,
    power_sketch,
    power_weights,
    shared_out,
)
from widenet.kernels.duals import dual
from widenet.kernels.moments import pair_moments

ACTIVATIONS = [ReLU(), Abs(), LeakyReLU(0.2), GELU(), Erf(), ThresholdReLU(0.5)]
POINTS = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_series_follow_the_dual_and_hold_its_diagonal(activation: Activation):
    moments = pair_moments(POINTS, POINTS, False, same=True)
    after = dual(activation, moments)
    series = activation_series(activation, moments.x[:, 0].sqrt(), 12)
    rho = moments.cross / moments.size
    powers = torch.stack([rho**order for order in range(13)])
    exact = (after.together - after.apart) / 4
    for part, expected, tolerance in ((series.values, exact, 0.02), (series.slopes, after.derivative, 0.1)):
        found = torch.einsum("ln,lm,lnm->nm", part, part, powers)
        off = ~torch.eye(6, dtype=torch.bool)
        assert (found - expected)[off].abs().max() < tolerance * expected.abs().max()
        torch.testing.assert_close(found.diagonal(), expected.diagonal(), rtol=1e-9, atol=1e-12)


def test_fits_on_a_shorter_interval_are_closer():
    whole, positive = fit_abs_linear(ReLU(), 4), fit_abs_linear(ReLU(), 4, 0.0)
    assert positive.errors[0] < whole.errors[0] < 1e-3
    assert positive.errors[1] < whole.errors[1] < 0.1
    rho = np.linspace(0, 1, 50)
    theta = np.arccos(rho)
    kappa1 = (np.sin(theta) + rho * (pi - theta)) / (2 * pi)
    fitted = np.polynomial.polynomial.polyval(rho, positive.values)
    assert np.abs(fitted - kappa1).max() < positive.errors[0] * (1 + 1e-6) + 1e-9
    assert abs(positive.values.sum() - 0.5) < 1e-9
    # kappa1(0) / kappa1(1) = 1 / pi is the least correlation behind a ReLU on correlations from 0 on.
    assert abs(positive.lowest - 1 / pi) < 1e-12
    assert abs(fit_abs_linear(AbsLinear(1.0, 0.0), 3).values - [0, 1, 0, 0]).max() < 1e-9


def test_powers_of_the_correlation_are_unbiased():
    x = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0]], dtype=torch.float64)
    for order, draws in ((2, 400), (3, 400), (5, 400)):
        values = np.array([float((Z := power_sketch(x, order, 64, (seed,)))[0] @ Z[1]) for seed in range(draws)])
        assert abs(values.mean() - 0.8**order) < 4.5 * values.std() / np.sqrt(draws)


def test_features_go_to_the_powers_that_a_series_has():
    values, slopes = power_weights(ReLU(), 4, -1.0)
    assert values[3] == 0
    assert slopes[2] == 0
    assert min(values[1], values[2], slopes[1], slopes[3]) > 0.01
    assert power_weights(Erf(), 4, -1.0)[0][2] == 0
    assert sum(shared_out(37, [3.0, 0.5, 0.1])) == 37
    assert shared_out(100, [1.0]) == [100]
    assert shared_out(7, []) == []


def test_points_of_zero_keep_the_slope_at_zero():
    series = activation_series(LeakyReLU(0.2), torch.tensor([0.0, 1.0], dtype=torch.float64), 3)
    assert series.values[:, 0].abs().max() == 0
    np.testing.assert_allclose(series.slopes[:, 0], [0.2, 0, 0, 0], atol=1e-15)
