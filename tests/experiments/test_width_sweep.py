"""Networks over the width."""

import numpy as np
import pytest

from widenet import NTK, convolutional, fully_connected
from widenet.experiments.finite_arms import Budget
from widenet.experiments.kernel_arms import Family, KernelArm
from widenet.experiments.small_images import digits_in_parts, prepared
from widenet.experiments.width_sweep import width_figure, width_points, width_table
from widenet.networks import Centred, GradientDescent, network, predict, train

IMAGES = digits_in_parts((25, 20, 30), 0)


@pytest.mark.parametrize("name", ["FC", "CNN-GAP"])
def test_each_point_is_networks_trained_one_by_one(name):
    architecture = fully_connected(1) if name == "FC" else convolutional(1, "average")
    family, budget = Family(name, architecture, IMAGES), Budget(members=2, steps=4, seed=7)
    found = width_points(family, (3, 6), budget)
    assert [point.width for point in found] == [3, 6]
    rows = [family.points(part) for part in prepared(IMAGES, None)]
    rate = 0.2 * 2 * 25 / np.linalg.eigvalsh(NTK(architecture)(rows[0]))[-1]
    module = Centred(network(architecture, rows[0].shape[1:], width=6, outputs=10, seed=8))
    train(module, rows[0], IMAGES.targets, GradientDescent(rate, 4, momentum=0.9, reduction="mean"))
    truth = np.eye(10)[IMAGES.labels[2]] - 0.1
    assert found[1].mse[1] == pytest.approx(np.mean((predict(module, rows[2]) - truth) ** 2), rel=1e-4)
    assert np.array_equal(found[1].rights[1], predict(module, rows[2]).argmax(1) == IMAGES.labels[2])
    assert len(width_table(found, budget).rows) == 2
    arm = KernelArm(name, "NTK", "plain", 0.1, None, np.ones(30, bool), 0.05)
    assert len(width_figure(found, [arm]).axes[0].lines) >= 2
