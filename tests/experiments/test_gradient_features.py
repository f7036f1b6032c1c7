"""Regression on gradients: against explicit features, explicit leave-one-out, and the exact kernel's limit."""

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.experiments import gradient_features
from widenet.experiments.gradient_features import (
    FOLDS,
    RIDGES,
    Design,
    designs,
    diabetes,
    regression_errors,
    regression_figure,
    regression_table,
)
from widenet.kernels.neural import NTK

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 3))
Y = np.sin(X[:, 0]) + 0.1 * RANDOM.standard_normal(40)
VANILLA = designs(2)[0]


def _explicit(K, y, folds):
    """Predictions of every fold: the ridge by trying all of them on every row left out, as loops."""
    predicted = np.empty(len(y))
    for fold in range(FOLDS):
        train = np.flatnonzero(folds != fold)
        errors = []
        for ridge in RIDGES:
            total = 0.0
            for left in train:
                rest = train[train != left]
                # The absolute ridge is that of all training rows.
                noise = ridge * np.mean([K[i, i] for i in train])
                value = K[left, rest] @ np.linalg.solve(K[np.ix_(rest, rest)] + noise * np.eye(len(rest)), y[rest])
                total += (value - y[left]) ** 2
            errors.append(total)
        noise = RIDGES[int(np.argmin(errors))] * np.mean([K[i, i] for i in train])
        weights = np.linalg.solve(K[np.ix_(train, train)] + noise * np.eye(len(train)), y[train])
        for row in np.flatnonzero(folds == fold):
            predicted[row] = K[row, train] @ weights
    return predicted


def test_the_exact_kernel_is_cross_validated_with_a_ridge_from_the_training_folds():
    exact, *_ = regression_errors(VANILLA, (X, Y), (), 1, seed=5)
    folds = np.random.default_rng(5).permutation(len(X)) % FOLDS
    predicted = _explicit(NTK(VANILLA.architecture)(X), Y, folds)
    assert exact.rmse == pytest.approx(np.sqrt(np.mean((predicted - Y) ** 2)) / np.std(Y), rel=1e-9)
    assert (exact.width, exact.distance.tolist(), exact.averaged) == (None, [0.0], (exact.rmse[0], 0.0))


def test_a_network_with_the_exact_kernel_has_its_errors(monkeypatch):
    K = NTK(VANILLA.architecture)(X)
    monkeypatch.setattr(gradient_features, "tangent_gram", lambda network, points, seed: 7.0 * K)
    exact, finite = regression_errors(VANILLA, (X, Y), (9,), 2, seed=0)
    # The ridge is relative: a factor of the kernel changes nothing.
    assert finite.rmse == pytest.approx(np.repeat(exact.rmse, 2), rel=1e-12)
    assert finite.distance == pytest.approx(0, abs=1e-12)
    assert finite.averaged == pytest.approx((exact.rmse[0], 0), abs=1e-12)


def test_averaging_networks_and_width_bring_the_exact_kernel_nearer():
    exact, narrow, wide = regression_errors(VANILLA, (X, Y), (4, 400), 5, seed=1)
    assert wide.distance.mean() < 0.35 * narrow.distance.mean()  # 10 times smaller in the limit
    for entry in (narrow, wide):
        assert len(entry.rmse) == len(entry.distance) == 5
        assert len(set(entry.distance.tolist())) == 5
        assert entry.averaged[1] < entry.distance.mean()
    assert abs(wide.rmse.mean() - exact.rmse[0]) < abs(narrow.rmse.mean() - exact.rmse[0])


def test_residual_networks_are_nearer_to_their_limit_than_vanilla_ones_of_equal_depth():
    vanilla, resnet, dense, _ = (regression_errors(design, (X, Y), (32,), 4, seed=2)[1] for design in designs(8))
    assert resnet.distance.mean() < dense.distance.mean() < vanilla.distance.mean()


def test_the_designs_agree_with_their_limits():
    for design in designs(2):
        wide = design.network(200)
        K = np.mean([gradient_features.tangent_gram(wide, X[:6], seed) for seed in range(4)], axis=0)
        limit = NTK(design.architecture)(X[:6])
        # Relative fluctuations of an entry are near sqrt(8 / 200 / 4).
        assert np.abs(K - limit).max() < 0.4 * limit.max()
        assert np.sum(K * limit) / np.sum(limit**2) == pytest.approx(1, abs=0.3)


def test_the_data_are_standardised_with_a_constant_column():
    points, targets = diabetes()
    assert points.shape == (442, 11)
    np.testing.assert_allclose(points.mean(0), [0] * 10 + [1], atol=1e-12)
    np.testing.assert_allclose(points.std(0), [1] * 10 + [0], atol=1e-12)
    assert (targets.mean(), targets.std()) == pytest.approx((0, 1), abs=1e-12)


def test_the_table_and_the_figure_hold_every_width():
    errors = [entry for design in designs(2) for entry in regression_errors(design, (X, Y), (3, 6), 2, seed=0)]
    table = regression_table(errors, 2)
    assert [row[:2] for row in table.rows[:3]] == [
        ("vanilla, 2 layers", "exact"),
        ("vanilla, 2 layers", "3"),
        ("vanilla, 2 layers", "6"),
    ]
    first = errors[1]
    assert table.rows[1][2] == pytest.approx(np.mean(first.rmse))
    assert table.rows[1][3] == pytest.approx(abs(first.rmse[0] - first.rmse[1]) / 2)
    assert table.rows[1][4] == pytest.approx(np.mean(first.rmse) - errors[0].rmse[0])
    assert table.rows[1][7:] == first.averaged
    assert len(table.rows) == 12
    left, right = regression_figure(errors).axes
    assert len(left.containers) == len(right.containers) == 4


def test_odd_depths_are_refused():
    with pytest.raises(InvalidInput, match="must be even"):
        designs(3)
    assert isinstance(VANILLA, Design)
