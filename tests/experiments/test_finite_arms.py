"""Interventions on finite networks: what differs between them, and what the infinite network says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from widenet import NTK, fully_connected
from widenet.experiments.finite_arms import DEPTH, INTERVENTIONS, Budget, Intervention, finite_arm, finite_table
from widenet.experiments.kernel_arms import Family
from widenet.experiments.small_images import digits_in_parts, prepared
from widenet.networks import network
from widenet.theory import standard_kernel

IMAGES = digits_in_parts((30, 20, 40), 0)
FAMILY = Family("FC", fully_connected(DEPTH, weight_std=np.sqrt(2.0)), IMAGES)
SMALL = Budget(width=32, members=3, steps=10, every=5)


def test_every_intervention_has_a_name_of_its_own_and_is_trained():
    arms = [finite_arm(FAMILY, intervention, SMALL) for intervention in INTERVENTIONS]
    assert len({arm.intervention.name for arm in arms}) == len(INTERVENTIONS) == 8
    for arm in arms:
        assert arm.rights.shape == (3, 40)
        assert arm.step in (0, 5, 10)
        assert np.isfinite(arm.loss)
    table = finite_table(arms, SMALL)
    assert [row[0] for row in table.rows] == [arm.intervention.name for arm in arms]
    assert arms[1].variance[1] == pytest.approx(0, abs=1e-20)  # centred: infinite networks are all one
    assert arms[0].variance[0] > arms[1].variance[0]
    assert arms[-1].distance is None


def test_equal_widths_make_the_two_parameterisations_one():
    # 64 inputs and 64 units: every fan-in is the same, and so is the ratio of the kernels.
    budget = replace(SMALL, width=64)
    first, second = (finite_arm(FAMILY, Intervention(kind), budget) for kind in ("ntk", "standard"))
    assert first.mse == pytest.approx(second.mse, rel=1e-3)
    assert first.distance == pytest.approx(second.distance, rel=1e-3)


def test_plain_l2_is_that_of_a_loop():
    budget, intervention = replace(SMALL, members=2, steps=5), Intervention("standard", decay="plain")
    arm = finite_arm(FAMILY, intervention, budget)
    rows = [torch.from_numpy(part).float() for part in prepared(IMAGES, None)]
    targets = torch.from_numpy(IMAGES.targets).float()
    X = prepared(IMAGES, None)[0]
    kernel = standard_kernel(FAMILY.architecture, [64, 32, 32])
    rate = 0.5 * 2 * 30 / np.linalg.eigvalsh(kernel(X))[-1]
    decay = 0.03 * np.trace(NTK(FAMILY.architecture)(X)) / 30 / 30
    losses = []
    for seed in range(2):
        options = {"width": 32, "outputs": 10, "seed": seed, "parameterization": "standard"}
        module: nn.Module = network(FAMILY.architecture, 64, **options)
        for _ in range(5):
            module.zero_grad()
            (((module(rows[0]) - targets) ** 2).sum() / 60).backward()
            with torch.no_grad():
                for p in module.parameters():
                    p.copy_(p - rate * (p.grad + decay * p))
        losses.append(float((((module(rows[0]) - targets) ** 2).sum() / 60).detach()))
    assert arm.loss == pytest.approx(np.mean(losses), rel=1e-3)
