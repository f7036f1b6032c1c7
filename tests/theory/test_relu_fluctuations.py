"""Fluctuations of finite networks: against values of the specification, plain sums over pairs and simulations."""

from itertools import product
from math import expm1, log1p, pi, sqrt

import numpy as np
import pytest

from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.theory import (
    dense_ntk_variance,
    dense_second_moment,
    densenet_ntk_variance,
    densenet_second_moment,
    kernel_regime,
    residual_ntk_variance,
    residual_ntk_variance_limit,
    residual_second_moment,
)

RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((64, 16, 2, 1 / 16), 1.0965922411),
        ((64, 16, 2, 1.0), 2.0406566404),
        ((64, 16, 3, 0.5), 1.8150114750),
        ((50, 10, 2, 0.1), 1.1240457874),
        ((64, 16), 1.0965922411),  # alpha = 1/L is what is taken where none is given
    ],
)
def test_second_moments_of_the_specification(arguments, expected: float):
    np.testing.assert_allclose(residual_second_moment(*arguments), expected, rtol=0, atol=6e-11)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((40, 5, 1.0), 1.1955231911),
        ((40, 20, 1.0), 1.2116160505),
        ((40, 12, 4.0), 1.5411339435),
        ((100, 1000, 1.0), 1.0842459351),
    ],
)
def test_second_moments_of_densenets_of_the_specification(arguments, expected: float):
    np.testing.assert_allclose(densenet_second_moment(*arguments), expected, rtol=0, atol=6e-11)


def test_the_second_moment_of_a_densenet_is_bounded_in_depth():
    # psi'(2) = pi^2 / 6 - 1; the exponential bounds the product, and is near it for wide networks.
    bound = (1 + 5 / 1000) * np.exp(5 * (np.pi**2 / 6 - 1) / 1000)
    np.testing.assert_allclose(densenet_second_moment(1000, "infinite"), bound, rtol=1e-14)
    deep = densenet_second_moment(1000, 100_000)
    assert densenet_second_moment(1000, 1000) < deep < bound
    np.testing.assert_allclose(deep, bound, rtol=2e-6)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((16, 2, 1 / 16), 4.44015175),
        ((16, 2, 1.0), 32.88888889),
        ((16, 3, 0.5), 28.88477366),
        ((50, 2, 1 / 50), 4.42906503),
    ],
)
def test_leading_variances_of_the_specification(arguments, expected: float):
    np.testing.assert_allclose(residual_ntk_variance(*arguments), expected, rtol=0, atol=6e-9)


def _by_pairs(alphas: tuple[float, ...], m: int) -> float:
    """The double sum over weight matrices, as it is stated; (block, place) with blocks 0 and L + 1 for the ends."""
    last, b = len(alphas) + 1, [a / (1 + a) for a in alphas]
    same = [(4 * a + a * a * (5 * m - 3)) / (1 + a) ** 2 for a in alphas]
    crossed = [(m - 1) * s * s for s in b]
    matrices = [(0, 1), *product(range(1, last), range(1, m + 1)), (last, 1)]
    share = [1.0, *(b[block - 1] for block, _ in matrices[1:-1]), 1.0]
    total = 0.0
    for (p, first), (q, second) in product(zip(share, matrices, strict=True), repeat=2):
        (low, h), (high, g) = sorted((first, second))
        cost = 2 * (low > 0) + 2 * (high < last)
        cost += sum(same[k - 1] for k in range(1, last) if k < low or k > high)
        cost += sum(crossed[k - 1] for k in range(low + 1, high) if k < last)
        if low == high and 0 < low < last:
            cost += 5 * (h - 1) + (g - h) + 5 * (m - g)
        elif low != high:
            cost += b[low - 1] * (5 * (h - 1) + (m - h)) if low > 0 else 0
            cost += b[high - 1] * ((g - 1) + 5 * (m - g)) if high < last else 0
        total += p * q * cost
    return total / sum(share) ** 2


@pytest.mark.parametrize("m", [1, 2, 4])
@pytest.mark.parametrize("alphas", [(0.3,), (0.5, 0.0, 2.0, 0.1), (1.0,) * 6])
def test_leading_variances_by_the_sum_over_pairs(alphas: tuple[float, ...], m: int):
    np.testing.assert_allclose(residual_ntk_variance(len(alphas), m, alphas), _by_pairs(alphas, m), rtol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_the_plain_variance_by_the_sum_over_pairs(depth: int):
    pairs = [sorted(pair) for pair in product(range(1, depth + 2), repeat=2)]
    mean = np.mean([5 * (low - 1) + (high - low) + 5 * (depth + 1 - high) for low, high in pairs])
    np.testing.assert_allclose(dense_ntk_variance(depth), mean, rtol=1e-13)


@pytest.mark.parametrize(
    ("gamma", "m", "expected"), [(1.0, 2, 4.41667), (1.0, 3, 4.8), (0.5, 2, 2.81481), (4.0, 2, 12.94667)]
)
def test_depth_does_not_matter_where_alpha_is_one_over_depth(gamma: float, m: int, expected: float):
    limit = residual_ntk_variance_limit(gamma, m)
    np.testing.assert_allclose(limit, expected, rtol=0, atol=5.1e-6)
    np.testing.assert_allclose(residual_ntk_variance(40_000, m, gamma / 40_000), limit, rtol=1e-4)


def test_growth_with_depth():
    np.testing.assert_allclose(dense_ntk_variance(30_000) / 30_000, 11 / 3, rtol=1e-4)
    for alpha, rate in ((0.1, 0.262), (1.0, 1.917)):
        np.testing.assert_allclose(residual_ntk_variance(50_000, 2, alpha) / 50_000, rate, atol=6e-4)


def test_second_moments_by_simulation():
    # |q|^2 of a layer given the one before it: half of the squared normals, a chi-squared of a binomial number.
    nets, n = 200_000, 8

    def rectified(size: np.ndarray) -> np.ndarray:
        active = RNG.binomial(n, 0.5, nets)
        return 2 * size * RNG.chisquare(np.maximum(active, 1)) * (active > 0) / n

    q = np.ones(nets)
    for _ in range(3):
        q = rectified(q)
    ratio = q**2
    assert abs(ratio.mean() - dense_second_moment(n, 3)) < 4 * ratio.std() / sqrt(nets)
    # Two blocks of two matrices: the branch adds a normal vector of random size to y.
    y = RNG.standard_normal((nets, n))
    for alpha in (0.5, 2.0):
        branch = rectified((y**2).mean(1))
        y = y + np.sqrt(alpha * branch)[:, None] * RNG.standard_normal((nets, n))
    size = (y**2).mean(1) / 4.5
    found, error = (size**2).mean(), (size**2).std() / sqrt(nets)
    assert abs(found - residual_second_moment(n, 2, 2, (0.5, 2.0))) < 4 * error


def test_the_regime_of_a_network():
    plain = kernel_regime(100, 5)
    assert plain.leading_order == dense_ntk_variance(5)
    np.testing.assert_allclose(plain.relative_std, sqrt(expm1(plain.leading_order / 100)), rtol=1e-14)
    # The exponential form is 18.79 in units of 1 / width, as the specification has it.
    np.testing.assert_allclose(100 * plain.relative_std**2, 18.79, atol=5e-3)
    deep = kernel_regime(4096, 1000, alpha="1/L", target=0.05)
    assert deep.is_reached
    assert deep.width_for_target == int(np.ceil(deep.leading_order / log1p(0.05**2)))
    enough, less = (
        kernel_regime(deep.width_for_target - short, 1000, "1/L", target=0.05).relative_std for short in (0, 1)
    )
    assert enough <= 0.05 < less
    assert not kernel_regime(4096, 1000).is_reached
    assert kernel_regime(10, 3000).relative_std == float("inf")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: kernel_regime(0, 3), InvalidInput, "width must be a whole number, 1 or more; got 0"),
        (lambda: kernel_regime(9, 3, target=0.0), InvalidInput, "target must be a positive number; got 0.0"),
        (lambda: dense_ntk_variance(0), InvalidInput, "depth must be a whole number, 1 or more; got 0"),
        (lambda: residual_ntk_variance(3, 0), InvalidInput, "branch_depth must be a whole number, 1 or more; got 0"),
        (lambda: residual_ntk_variance(3, 2, -1.0), InvalidArchitecture, "alpha must be a finite number of at least 0"),
        (lambda: residual_ntk_variance_limit(-1.0), InvalidArchitecture, "gamma must be a finite number of at least 0"),
        (lambda: densenet_second_moment(4, 0), InvalidInput, "layers must be a whole number, 1 or more; got 0"),
    ],
)
def test_a_bad_argument_is_refused(make, error: type, message: str):
    with pytest.raises(error, match=message):
        make()


def _densenet_by_derivatives(layers, alpha):
    """(5 u.u + 5 v.v + 2 u.v) / K^2; u and v: derivatives of K in the gain of each layer, forward and backward."""

    def kernel(forward, backward):
        norms, gradients = [forward[0]], [0.0] * layers + [backward[-1]]
        for layer in range(1, layers + 1):
            norms.append(alpha / layer * sum(norms) * forward[layer])
        for layer in range(layers - 1, -1, -1):
            above = sum(alpha / later * gradients[later] for later in range(layer + 1, layers + 1))
            gradients[layer] = above * backward[layer]
        inner = sum(alpha / layer * sum(norms[:layer]) * gradients[layer] for layer in range(1, layers + 1))
        return norms[-1] + inner + gradients[0]

    ones, step = np.ones(layers + 1), 1e-6
    u, v = np.zeros(layers + 1), np.zeros(layers + 1)
    for layer in range(layers + 1):
        moved = np.eye(layers + 1)[layer] * step
        u[layer] = (kernel(ones + moved, ones) - kernel(ones - moved, ones)) / (2 * step)
        v[layer] = (kernel(ones, ones + moved) - kernel(ones, ones - moved)) / (2 * step)
    return (5 * u @ u + 5 * v @ v + 2 * u @ v) / kernel(ones, ones) ** 2


@pytest.mark.parametrize(("layers", "alpha"), [(1, 1.0), (2, 1.0), (5, 1.0), (7, 4.0), (3, 0.5), (12, 2.0)])
def test_the_variance_of_densely_connected_networks_is_that_of_its_layers_gains(layers, alpha):
    assert densenet_ntk_variance(layers, alpha) == pytest.approx(_densenet_by_derivatives(layers, alpha), rel=1e-8)


def test_the_variance_of_densely_connected_networks_is_bounded_in_the_depth():
    # One layer is a plain network of two, at any alpha; psi'(2) = pi^2 / 6 - 1.
    for alpha in (0.3, 1.0, 5.0):
        assert densenet_ntk_variance(1, alpha) == pytest.approx(dense_ntk_variance(2), rel=1e-14)
    assert densenet_ntk_variance("infinite") == pytest.approx(10 + 5 * (pi**2 / 6 - 1), rel=1e-14)
    grown = [densenet_ntk_variance(layers) for layers in (1, 10, 1000, 100_000)]
    assert grown == sorted(grown)
    # The gap falls as 1 / ln(L): from 10^3 to 10^6 layers it halves, or nearly.
    gaps = [densenet_ntk_variance("infinite") - densenet_ntk_variance(10**power) for power in (3, 6)]
    assert 1.4 < gaps[0] / gaps[1] < 2


def test_bad_densely_connected_networks_are_refused():
    with pytest.raises(InvalidInput):
        densenet_ntk_variance(0)
    with pytest.raises(InvalidArchitecture):
        densenet_ntk_variance(3, -1.0)
