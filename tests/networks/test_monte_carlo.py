"""Monte Carlo of tangent kernels: reference values of the limits, rates, standard errors, less variance."""

from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import Conv, Dense, Erf, Flatten, ReLU, delta_orthogonal, fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import NNGP, NTK
from widenet.networks.monte_carlo import monte_carlo_ntk

X = np.array([[1.0, 0.5, -0.3, 0.8], [-0.2, 1.1, 0.4, 0.6]])
POINTS = np.random.default_rng(0).standard_normal((6, 16))

# The specification's limits for weight_std 1.5, bias_std 0.1: NNGP(x, y), NTK(x, y), NNGP(x, x), NTK(x, x).
LIMITS = {
    ("relu", 1): (0.6495417897, 0.9377665278, 1.2742187500, 2.5384375000),
    ("relu", 3): (1.0930329551, 2.3811434197, 1.6339331055, 6.4705761719),
    ("erf", 1): (0.3894525034, 0.7780376219, 1.1048564219, 2.4781977613),
    ("erf", 3): (0.3435098243, 1.3572234597, 1.0949185378, 6.2121998927),
}


def _arch(activation: str, depth: int):
    return fully_connected(depth, {"relu": ReLU(), "erf": Erf()}[activation], weight_std=1.5, bias_std=0.1)


@pytest.mark.parametrize(("activation", "depth"), LIMITS)
def test_the_limit_is_the_one_of_the_specification_whatever_the_weights(activation: str, depth: int):
    # A kernel is a function of the architecture, which says nothing of how dense weights are drawn.
    arch = _arch(activation, depth)
    found = (NNGP(arch)(X)[0, 1], NTK(arch)(X)[0, 1], NNGP(arch)(X)[0, 0], NTK(arch)(X)[0, 0])
    np.testing.assert_allclose(found, LIMITS[activation, depth], rtol=0, atol=5.1e-11)
    assert delta_orthogonal(arch) == arch


def _error(arch, width: int, draws: int, init) -> float:
    limit = NTK(arch)(POINTS)
    found = monte_carlo_ntk(arch, POINTS, width=width, draws=draws, init=init, seed=width)
    return float(np.linalg.norm(found.mean - limit) / np.linalg.norm(limit))


@pytest.mark.parametrize("init", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(("activation", "depth"), [("relu", 1), ("erf", 3)])
def test_both_ensembles_tend_to_the_limit(activation: str, depth: int, init):
    arch, widths = _arch(activation, depth), (16, 64, 256)
    # The spread of single draws falls as width^(-1/2), each from 12 draws, so known to 1 / sqrt(24).
    spreads = [monte_carlo_ntk(arch, POINTS, width=w, draws=12, init=init, seed=w) for w in widths]
    slope = np.polyfit(np.log(widths), [np.log(found.relative_error) for found in spreads], 1)[0]
    assert -0.7 < slope < -0.3
    # 2 to 3 % at width 256 for 40 draws; the mean of 12 has sqrt(40 / 12) times the error.
    assert _error(arch, 256, 12, init) < 2 * 0.027 * sqrt(40 / 12)


def test_orthogonal_weights_fluctuate_less():
    # Reported: relative error of a draw times sqrt(width) 3.3 (Gaussian) and 2.0 (orthogonal) for 3 layers of erf.
    X = np.random.default_rng(1).standard_normal((10, 64))
    spreads = {
        init: monte_carlo_ntk(_arch("erf", 3), X, width=64, draws=40, init=init).spread
        for init in ("gaussian", "orthogonal")
    }
    assert spreads["gaussian"] == pytest.approx(3.3, rel=0.25)
    assert spreads["orthogonal"] == pytest.approx(2.0, rel=0.25)


def test_the_mean_and_its_standard_error_are_those_of_the_draws():
    arch = _arch("relu", 1)
    found = monte_carlo_ntk(arch, X, width=8, draws=5, seed=3)
    # Draws of other numbers of networks share their seeds, so single ones come out as differences of sums.
    sums = [monte_carlo_ntk(arch, X, width=8, draws=draws, seed=3).mean * draws for draws in (2, 3, 4, 5)]
    single = [b - a for a, b in pairwise(sums)]
    two = monte_carlo_ntk(arch, X, width=8, draws=2, seed=3)
    single += [two.mean + two.standard_error, two.mean - two.standard_error]  # of two draws a and b: |a - b| / 2
    squares = sum((K - found.mean) ** 2 for K in single) / (5 * 4)
    np.testing.assert_allclose(found.standard_error**2, squares, rtol=1e-9)
    assert found.relative_error == pytest.approx(np.linalg.norm(found.standard_error) / np.linalg.norm(found.mean))
    assert found.spread == pytest.approx(found.relative_error * sqrt(5 * 8))
    assert found.draws_for(found.relative_error / 3) == 45
    with pytest.raises(InvalidInput, match="target"):
        found.draws_for(0.0)


def test_orthogonal_convolutions_tend_to_the_kernel_of_their_own():
    images = np.random.default_rng(2).standard_normal((3, 7, 2))
    layer = Conv(7, padding="circular", weight_std=1.5) >> Erf()
    arch = layer >> layer >> Flatten() >> Dense()
    own, other = NTK(delta_orthogonal(arch))(images), NTK(arch)(images)
    found = monte_carlo_ntk(arch, images, width=96, draws=12)
    distance = np.linalg.norm(found.mean - own) / np.linalg.norm(own)
    assert distance < 3 * found.relative_error + 2 / 96
    assert np.linalg.norm(found.mean - other) / np.linalg.norm(other) > 4 * distance


def test_points_give_their_kind_and_precision():
    found = monte_carlo_ntk(_arch("relu", 1), torch.from_numpy(X).float(), width=8, draws=2)
    assert found.mean.dtype == found.standard_error.dtype == torch.float32
    assert (found.draws, found.width, found.init) == (2, 8, "orthogonal")


@pytest.mark.parametrize("draws", [0, 1])
def test_one_draw_has_no_error(draws: int):
    with pytest.raises(InvalidInput, match="2 or more"):
        monte_carlo_ntk(_arch("relu", 1), X, draws=draws)
