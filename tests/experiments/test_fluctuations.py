"""Estimates from ensembles against exact values, formulas and earlier simulations with stored matrices."""

from math import expm1, hypot

import numpy as np
import pytest

from widenet.experiments.finite_residual import (
    DenselyConnectedNetwork,
    FiniteNetwork,
    ResidualNetwork,
    VanillaNetwork,
    draw_ensemble,
)
from widenet.experiments.fluctuations import (
    POINT,
    architecture_of,
    depth_curves,
    depth_figure,
    depth_table,
    exact_second_moment,
    fluctuation_table,
    leading_order,
    measure,
    moment_table,
)


@pytest.mark.parametrize(
    ("network", "value", "error"),
    [
        # n (E K^2 / (E K)^2 - 1) and standard errors of other programs' ensembles, which stored every matrix.
        (ResidualNetwork(150, 8, 1 / 8, 2), 4.454, 0.104),
        (ResidualNetwork(150, 4, 1.0, 2), 9.735, 0.284),
        (ResidualNetwork(150, 4, 0.5, 3), 9.976, 0.288),
        (ResidualNetwork(50, 10, 1 / 10, 2), 4.34, 0.34),
        (VanillaNetwork(100, 5), 17.95, 0.65),
        (DenselyConnectedNetwork(40, 5, 1.0), 9.5, 0.3),
    ],
    ids=repr,
)
def test_earlier_simulations_are_met(network, value, error):
    found = measure(network, 2500, seed=3)
    assert abs(found.tangent.value - value) < 4 * hypot(found.tangent.error, error)
    assert abs(found.mean.value - 1) < 4 * found.mean.error
    assert abs(found.norm.value - exact_second_moment(network)) < 4 * found.norm.error


@pytest.mark.parametrize(
    "network", [ResidualNetwork(300, 3, 0.5, 2), VanillaNetwork(400, 3), DenselyConnectedNetwork(200, 3, 2.0)], ids=repr
)
def test_wide_networks_fluctuate_as_the_leading_order_says(network):
    # The goal of the formula: 10 percent and 4 standard errors, for widths from 150 and L alpha up to 4.
    found, leading = measure(network, 3000, seed=0), leading_order(network)
    assert abs(found.tangent.value - leading) < 0.1 * leading + 4 * found.tangent.error


def test_standard_errors_are_those_of_repetitions():
    network, nets = VanillaNetwork(10, 2), 500
    several = [measure(network, nets, seed) for seed in range(100, 160)]
    for name in ("mean", "tangent", "norm"):
        estimates = [getattr(entry, name) for entry in several]
        spread = np.std([estimate.value for estimate in estimates])
        # The bootstrap of a heavy-tailed moment errs by some 10 percent, the spread of 60 by 9.
        assert np.sqrt(np.mean([estimate.error**2 for estimate in estimates])) == pytest.approx(spread, rel=0.35)


def test_an_estimate_is_the_ratio_of_the_ensemble():
    network = DenselyConnectedNetwork(12, 2, 2.0)
    found, ensemble = measure(network, 400, seed=9), draw_ensemble(network, POINT, 400, seed=9)
    K, T = ensemble.tangent.tolist(), ensemble.norm.tolist()
    squares = sum(value**2 for value in K) / 400
    assert found.tangent.value == pytest.approx(12 * (squares / (sum(K) / 400) ** 2 - 1), rel=1e-10)
    assert found.norm.value == pytest.approx(sum(v**2 for v in T) / 400 / (sum(T) / 400) ** 2, rel=1e-10)
    assert found.mean.value == pytest.approx(sum(K) / 400 / densenet_diagonal(2, 2.0), rel=1e-10)


def densenet_diagonal(layers, alpha):
    """NTK(x, x) by S_l = alpha / l sum S_h, T_l = alpha / l sum (S_h + T_h): at angle 0 a ReLU keeps both."""
    size = POINT @ POINT / len(POINT)
    S, T = [size], [size]
    for layer in range(1, layers + 1):
        S.append(alpha / layer * sum(S))
        T.append(alpha / layer * (sum(S[:-1]) + sum(T)))
    return S[-1] + T[-1]


def test_tables_hold_shapes_measurements_and_predictions():
    networks = [ResidualNetwork(20, 2, 0.5, 3), VanillaNetwork(30, 2), DenselyConnectedNetwork(10, 2)]
    measured = [measure(network, 200, seed=1) for network in networks]
    rows = fluctuation_table(measured).rows
    assert [row[:6] for row in rows] == [
        ("ResNet", 20, 2, 3, 0.5, 200),
        ("vanilla", 30, 2, None, None, 200),
        ("DenseNet", 10, 2, None, 1.0, 200),
    ]
    assert rows[2][10] == pytest.approx(54 / 7)  # shares 1, 1/2, 1, and the readout's 1
    assert rows[1][10] == pytest.approx(58 / 9)  # 5 * 2 - 4 * 2 * 4 / (3 * 3)
    assert rows[1][11] == pytest.approx(30 * expm1(58 / 9 / 30))
    moments = moment_table(measured).rows
    assert moments[1][7] == pytest.approx((1 + 5 / 30) ** 2)
    z = (moments[0][5] - moments[0][7]) / moments[0][6]
    assert moments[0][8] == pytest.approx(z)


def test_only_vanilla_networks_and_large_branches_grow_with_depth():
    curves = depth_curves(60, (2, 16), 500, seed=0)
    growth = {}
    for curve in curves:
        shallow, deep = (point.tangent for point in curve.points)
        growth[curve.name] = deep.value / shallow.value
    assert growth["vanilla"] > 5
    assert growth["ResNet, alpha = 1"] > 4
    assert growth["ResNet, alpha = 1/L"] < 1.4
    assert growth["DenseNet, alpha = 1"] < 1.8
    assert len(depth_table(curves).rows) == 10
    (axes,) = depth_figure(curves).axes
    assert sorted(text.get_text() for text in axes.get_legend().get_texts()) == sorted(
        name.replace("alpha", "α") for name in growth
    )


def test_unknown_networks_have_no_limit_here():
    for function in (architecture_of, exact_second_moment, leading_order):
        with pytest.raises(TypeError, match="is known for"):
            function(FiniteNetwork(3, 1))
