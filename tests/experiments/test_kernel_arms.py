"""Kernel predictors of small images against the same done step by step."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from widenet import NNGP, NTK, fully_connected
from widenet.estimators import RandomCrop
from widenet.experiments.kernel_arms import (
    RIDGES,
    Family,
    kernel_arms,
    kernel_table,
    precision,
    precision_table,
    stopping,
    stopping_figure,
    stopping_table,
)
from widenet.experiments.small_images import digits_in_parts, prepared

IMAGES = digits_in_parts((40, 30, 60), 0)
FAMILY = Family("FC", fully_connected(1), IMAGES)


def peer_scores(kernel, rows, ridge):
    """scikit-learn's kernel ridge regression on the images to choose on and to test on."""
    K = kernel(rows[0])
    peer = KernelRidge(alpha=ridge * np.trace(K) / len(K), kernel="precomputed").fit(K, IMAGES.targets)
    return [peer.predict(kernel(part, rows[0])) for part in rows[1:]]


def chosen(kernel, views):
    """Ridge of least error on the images to choose on, and test scores, with predictions averaged over the views."""
    truth = np.eye(10)[IMAGES.labels[1]] - 0.1
    scores = {}
    for ridge in RIDGES:
        parts = zip(*(peer_scores(kernel, view, ridge) for view in views), strict=True)
        scores[ridge] = [np.mean(part, axis=0) for part in parts]
    best = min(scores, key=lambda r: np.mean((scores[r][0] - truth) ** 2))
    return best, scores[best][1]


def test_every_arm_is_kernel_ridge_regression_with_the_ridge_chosen_elsewhere():
    arms = {(arm.kind, arm.treatment): arm for arm in kernel_arms(FAMILY, (10.0,), 2, False, 5)}
    assert set(arms) == {(k, t) for k in ("NTK", "NNGP") for t in ("plain", "ZCA", "augmented", "ZCA, augmented")}
    shifted = [RandomCrop((8, 8, 1), 1)(IMAGES.train, np.random.default_rng(5 + m)) for m in range(2)]
    views = {
        "plain": [prepared(IMAGES, None)],
        "ZCA": [prepared(IMAGES, 10.0)],
        "augmented": [prepared(IMAGES, None, train) for train in shifted],
        "ZCA, augmented": [prepared(IMAGES, 10.0, train) for train in shifted],
    }
    for (kind, treatment), arm in arms.items():
        kernel = (NTK if kind == "NTK" else NNGP)(FAMILY.architecture)
        ridge, scores = chosen(kernel, views[treatment])
        assert arm.ridge == pytest.approx(ridge)
        assert np.array_equal(arm.right, scores.argmax(1) == IMAGES.labels[2])
        assert arm.mse == pytest.approx(np.mean((scores - (np.eye(10)[IMAGES.labels[2]] - 0.1)) ** 2), rel=1e-6)
        assert arm.zca_ridge == (10.0 if "ZCA" in treatment else None)
    table = kernel_table(list(arms.values()), IMAGES)
    assert table.rows[0][3] == pytest.approx(100 * arms["NTK", "plain"].right.mean())


def test_stopping_compares_predictions_at_the_equivalent_times():
    found = stopping(FAMILY)
    rows = prepared(IMAGES, None)
    K, cross = NTK(FAMILY.architecture)(rows[0]), NTK(FAMILY.architecture)(rows[2], rows[0])
    s, V = np.linalg.eigh(K)
    np.testing.assert_allclose(found.ridges * np.trace(K) / 40 * found.times, 1, rtol=1e-10)
    stopped = cross @ (V * (-np.expm1(-s * found.times[-1]) / s)) @ V.T @ IMAGES.targets
    truth = np.eye(10)[IMAGES.labels[2]] - 0.1
    assert found.stopped_mse[-1] == pytest.approx(np.mean((stopped - truth) ** 2), rel=1e-9)
    ridge = cross @ np.linalg.solve(K + np.eye(40) / found.times[-1], IMAGES.targets)
    assert found.gap[-1] == pytest.approx(np.sqrt(np.mean((ridge - stopped) ** 2) / np.mean(ridge**2)), rel=1e-8)
    assert len(stopping_table(found).rows) == len(RIDGES)
    assert len(stopping_figure(found).axes[0].lines) == 2


def test_precision_is_that_of_the_training_images():
    report = precision(FAMILY)
    assert report.smallest == pytest.approx(np.linalg.eigvalsh(NTK(FAMILY.architecture)(prepared(IMAGES, None)[0]))[0])
    assert precision_table([("FC", report)]).rows[0][:2] == ("FC", 40)
