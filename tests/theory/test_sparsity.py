"""Sparsity and conditioning of networks with thresholds: against simulated networks, plain algebra and theorems."""

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from widenet.architectures import fully_connected
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels import NTK
from widenet.theory import choose_threshold, eigen_report, expected_active_fraction, sparse_cost

RNG = np.random.default_rng(12)
X = RNG.normal(size=(40, 10))
X /= np.linalg.norm(X, axis=1, keepdims=True)
y = np.sign(RNG.normal(size=40))


def test_the_active_share_of_a_network():
    units = RNG.normal(size=(100_000, 10))
    points = X[:6] * np.array([[0.3], [0.7], [1.0], [1.0], [2.0], [4.0]])
    shares = (units @ points.T > 0.8).mean(0)
    expected = expected_active_fraction(0.8, np.linalg.norm(points, axis=1))
    assert np.all(np.abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / len(units)))


def test_active_shares_at_their_ends():
    np.testing.assert_allclose(expected_active_fraction(1.0), 0.15865525393145707, rtol=1e-14)
    assert expected_active_fraction(1.0, 0.0) == 0
    assert expected_active_fraction(0.0, 3.0) == 0.5
    shares = expected_active_fraction(-1.0, np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(shares, [[1.0, ndtr(1.0)]], rtol=1e-15)


def test_a_threshold_for_a_width():
    # spec bias_ntk (b): width 10^4, alpha 0.4 leave 274.7 active units, below the bound 10^4^(4/5) / 2 = 792.
    threshold = choose_threshold(10_000, 0.4)
    np.testing.assert_allclose(10_000 * expected_active_fraction(threshold), 274.7, atol=0.05)
    for alpha in (0.0, 0.25, 1.0, 2.0):
        share = expected_active_fraction(choose_threshold(10_000, alpha))
        assert 10_000 * share <= 10_000 ** (1 - alpha / 2) / 2 * (1 + 1e-12)


def test_the_cost_of_a_step():
    # Q(1) = 0.15865525393145707; forward and backward take a multiplication for w and b each.
    cost = sparse_cost(10, 3, 200, 1.0)
    assert cost.active_fraction == pytest.approx(0.15865525393145707, rel=1e-14)
    assert cost.active_pairs == pytest.approx(317.31050786291413)
    assert cost.units_per_point == pytest.approx(31.731050786291414)
    assert cost.operations == pytest.approx(2538.484062903313)
    assert cost.dense_operations == 16_000
    for sizes in ((0, 3, 200), (10, 0, 200), (10, 3, True)):
        with pytest.raises(InvalidInput, match="whole number from 1"):
            sparse_cost(*sizes, 1.0)


@pytest.mark.parametrize("threshold", [0.0, 1.0, 2.0])
def test_a_report_by_plain_algebra(threshold: float):
    report = eigen_report(X, y, threshold)
    angles = np.arccos(np.clip(X @ X.T, -1, 1))
    # The polar form of P, by a sum over a fine grid.
    s = (np.arange(1000) + 0.5) / 1000
    grid = angles[..., None] / 2 + (np.pi / 2 - angles[..., None] / 2) * s
    P = np.exp(-(threshold**2) / (2 * np.cos(grid) ** 2)).mean(-1) * (np.pi / 2 - angles / 2) / np.pi
    np.fill_diagonal(P, ndtr(-threshold))
    H = (X @ X.T + 1) * P
    values = np.linalg.eigvalsh(H)
    np.testing.assert_allclose(report.eigenvalues, values, atol=1e-6 * values[-1])
    np.testing.assert_allclose(report.smallest, values[0], atol=1e-6 * values[-1])
    np.testing.assert_allclose(report.condition_number, values[-1] / values[0], rtol=1e-3)
    np.testing.assert_allclose(report.step_size, 1 / values[-1], rtol=1e-5)
    np.testing.assert_allclose(report.label_energy, y @ H @ y / 40, rtol=1e-5)
    np.testing.assert_allclose(report.label_complexity, y @ np.linalg.solve(H, y), rtol=1e-3)
    largest = (P - np.diag(np.diagonal(P))).max()
    np.testing.assert_allclose(report.separation, ndtr(-threshold) - largest, rtol=1e-4)
    # It is no lower bound in general: a pair of points alone has it as its smallest eigenvalue of P.
    assert report.separation >= np.linalg.eigvalsh(P)[0] - 1e-6


def test_a_threshold_improves_the_condition():
    reports = [eigen_report(X, y, threshold) for threshold in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert all(np.diff([report.condition_number for report in reports]) < 0)
    assert all(np.diff([report.step_size for report in reports]) > 0)


def test_other_kernels_several_outputs_and_tensors():
    kernel, labels = NTK(fully_connected(2)), RNG.normal(size=(40, 3))
    report = eigen_report(torch.from_numpy(X), torch.from_numpy(labels), kernel)
    H = kernel(X)
    assert report.separation is None
    assert report.kernel == kernel
    np.testing.assert_allclose(report.label_energy, np.trace(labels.T @ H @ labels) / np.sum(labels**2), rtol=1e-12)
    np.testing.assert_allclose(report.label_complexity, np.trace(labels.T @ np.linalg.solve(H, labels)), rtol=1e-9)


def test_duplicates_make_labels_unreachable():
    points = np.vstack([X[:5], X[:1]])
    report = eigen_report(points, np.array([1.0, -1, 1, -1, 1, -1]), 1.0)
    assert report.condition_number == np.inf
    assert report.label_complexity > 1e12


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: expected_active_fraction(1.0, -1.0), InvalidInput, "norms must be finite and at least 0"),
        (lambda: expected_active_fraction(float("nan")), InvalidInput, "threshold must be a finite number; got nan"),
        (lambda: choose_threshold(1, 0.4), InvalidInput, "width must be a whole number of units, 2 or more; got 1"),
        (lambda: choose_threshold(100, 2.5), InvalidInput, "alpha must lie between 0 and 2; got 2.5"),
        (lambda: eigen_report(X, y[:3], 1.0), InvalidInput, "one row of labels for each point; got 3 for 40 points"),
        (lambda: eigen_report(X, 0 * y, 1.0), InvalidInput, "labels must not all be 0"),
        (lambda: eigen_report(X, y, -1.0), InvalidArchitecture, "ThresholdReLU.threshold must be a finite number of"),
    ],
)
def test_a_bad_argument_is_refused(make, error: type, message: str):
    with pytest.raises(error, match=message):
        make()
