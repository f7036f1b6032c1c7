"""Networks against their tangent kernels, on data of which the answer is known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from widenet.errors import InvalidInput
from widenet.experiments.kernel_gap import RIDGES, AdamTraining, kernel_gap_report
from widenet.networks.descent import GradientDescent
from widenet.networks.twin import Twin
from widenet.networks.two_layer import TwoLayerReLU
from widenet.theory.parity import BiasedParity


def _linear_data(n=200, noise=0.1):
    random = np.random.default_rng(0)
    X = random.standard_normal((n, 3))
    return X, X @ [1.0, -2.0, 0.5] + 4.0 + noise * random.standard_normal(n)


def test_a_linear_network_is_its_own_tangent_kernel():
    X, y = _linear_data()
    net = nn.Linear(3, 1).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    report = kernel_gap_report(net, X, y, GradientDescent(0.005, steps=300))
    assert not net.weight.any()  # the module stays as it is
    assert report.rows == (120, 30, 50, 120)
    # Ridge regression on (x, 1) by another program, with the same split and the ridge of least validation loss.
    order = np.random.default_rng(0).permutation(200)
    test, validation, train = order[:50], order[50:80], order[80:]
    rows, mean = np.column_stack([X, np.ones(200)]), y[train].mean()
    scale = np.mean(np.sum(rows[train] ** 2, axis=1))
    fits = [Ridge(ridge * scale, fit_intercept=False).fit(rows[train], y[train] - mean) for ridge in RIDGES]
    best = min(fits, key=lambda fit: np.mean((fit.predict(rows[validation]) - y[validation] + mean) ** 2))
    loss = np.mean((best.predict(rows[test]) - y[test] + mean) ** 2) / 2
    null = np.mean((y[test] - mean) ** 2) / 2
    assert report.start.loss == pytest.approx(loss, rel=1e-8)
    assert report.start.ridge == pytest.approx(best.alpha / scale)
    assert report.null_loss == pytest.approx(null, rel=1e-12)
    assert report.start.edge == pytest.approx(null - loss, rel=1e-8)
    assert report.after.loss == pytest.approx(report.start.loss, rel=1e-8)  # a linear model's kernel does not move
    assert report.trained.loss == pytest.approx(loss, rel=0.05)
    assert report.start.error is None
    assert report.start_size == 0
    assert "equally well" in report.verdict
    assert "wn.Twin" not in report.summary()


def test_the_certificate_is_that_of_the_training_rows():
    X, y = _linear_data()
    net = nn.Linear(3, 1).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    report = kernel_gap_report(net, X, y, GradientDescent(0.005, steps=1), seed=5)
    order = np.random.default_rng(5).permutation(200)
    train, test = order[80:], order[:50]
    rows, mean = np.column_stack([X, np.ones(200)]), y[train].mean()
    g = -rows[train].T @ (y[train] - mean) / 120
    largest = np.sum(rows[train] ** 2, axis=1).max()
    h = -rows @ g / largest
    assert report.certificate.bound == pytest.approx(g @ g / (2 * largest), rel=1e-10)
    gain = np.mean((y[test] - mean) * h[test] - h[test] ** 2 / 2)
    assert report.certified_edge == pytest.approx(gain, rel=1e-9)
    assert "lower" not in report.verdict


def test_a_parity_is_learnt_by_features_and_not_by_the_kernel_of_the_start():
    X, y = BiasedParity(10, 3, 0.5).sample(1200, 0)
    net = Twin(TwoLayerReLU(10, 48))
    report = kernel_gap_report(net, X, y, AdamTraining(steps=300, learning_rate=0.01), kernel_rows=600)
    assert report.rows == (720, 180, 300, 600)
    assert report.trained.error == report.after.error == 0
    assert report.start.error > 0.1
    assert report.gap == pytest.approx(report.trained.edge - report.start.edge, rel=1e-6)
    assert report.gap > 5 * report.gap_error
    assert report.start_size == 0
    assert report.certificate.edge >= report.certificate.bound > 0
    assert "600 of the 720 rows" in report.verdict
    assert "features matter" in report.summary()


def test_classes_become_columns_and_predictions_the_largest():
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 120)
    X = 3.0 * np.eye(3)[y] + 0.1 * random.standard_normal((120, 3))
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.1), nn.ReLU(), nn.Linear(16, 3))
    report = kernel_gap_report(net, X, y, AdamTraining(steps=200, learning_rate=0.01))
    assert report.start.error == report.trained.error == report.after.error == 0
    assert net.training
    shares = np.bincount(y[np.random.default_rng(0).permutation(120)[48:]], minlength=3) / 72
    test = np.eye(3)[y[np.random.default_rng(0).permutation(120)[:30]]]
    assert report.null_loss == pytest.approx(np.sum((test - shares) ** 2) / 60, rel=1e-12)
    one_hot = kernel_gap_report(net, X, np.eye(3)[y], AdamTraining(steps=200, learning_rate=0.01))
    assert one_hot.start.loss == report.start.loss
    assert one_hot.start.error is None


def test_worse_training_is_told():
    X, y = _linear_data()
    report = kernel_gap_report(nn.Linear(3, 1), X, y, lambda module, X, y: None)
    assert report.gap < 0
    assert "does better" in report.verdict


def test_seeds_repeat_a_report():
    X, y = BiasedParity(6, 2, 0.5).sample(80, 0)
    losses = [
        kernel_gap_report(TwoLayerReLU(6, 8), X, y, AdamTraining(steps=20, seed=seed)).trained.loss
        for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        (np.ones((39, 2)), np.ones(39), "40 rows"),
        (np.ones((50, 2)), np.ones((50, 2)), "as the module's outputs"),
        (np.ones((50, 2)), np.ones(50), "must vary"),
        (np.ones((50, 2)), np.full(50, np.nan), "finite"),
    ],
)
def test_data_that_do_not_fit_are_refused(X, y, words):
    with pytest.raises(InvalidInput, match=words):
        kernel_gap_report(nn.Linear(2, 1), X, y)


def test_classes_out_of_range_and_training_that_explodes_are_refused():
    X, y = _linear_data(60)
    with pytest.raises(InvalidInput, match="classes 0 to 1"):
        kernel_gap_report(nn.Linear(3, 2), X, np.full(60, 2))
    with pytest.raises(InvalidInput, match="Lower the learning rate"):
        kernel_gap_report(nn.Linear(3, 1), X, y, GradientDescent(1e30, steps=20))
    with pytest.raises(InvalidInput, match="Lower the learning rate"):
        kernel_gap_report(nn.Linear(3, 1), X, y, lambda module, X, y: nn.init.constant_(module.weight, float("nan")))
    with pytest.raises(InvalidInput, match="positive"):
        AdamTraining(steps=0)
