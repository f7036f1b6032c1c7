"""Runs side by side: what was measured before holds, on small sizes."""

import numpy as np
import pytest
import torch

from widenet.experiments.surrogate_runs import Case, kernel_at, on_new_inputs, side_by_side, start_network, unit_data

SMALL = Case(2, 48, points=12)


def test_data_are_unit_vectors_that_repeat():
    X, y = unit_data(12, 5, 3)
    torch.testing.assert_close(torch.linalg.vector_norm(X, dim=1), torch.ones(12).double())
    assert torch.equal(unit_data(12, 5, 3)[0], X)
    assert not torch.equal(unit_data(12, 5, 4)[1], y)


def test_both_networks_start_alike_and_the_surrogate_needs_fewer_steps():
    pair = side_by_side(SMALL, 1e-4, 5000, seed=0)
    assert pair.surrogate.losses[0] == pair.relu.losses[0]
    assert pair.surrogate.step_size == pair.relu.step_size
    assert pair.surrogate.converged
    assert pair.surrogate.steps < pair.relu.steps
    assert 0 < pair.surrogate.records[-1].drift < pair.relu.records[-1].drift
    assert pair.certificate.largest_difference < 1e-10


def test_larger_offsets_agree_on_new_inputs():
    exact, floor = on_new_inputs(SMALL, (None, 1e5), 100, 1e-3, seed=0)
    assert exact.floor is None
    assert exact.violating > 0.3
    assert floor.violating < 0.02
    assert exact.largest_reference < 1e-10
    assert exact.mean > 1e-3 * exact.size
    assert floor.mean < 1e-6 * floor.size
    assert exact.largest >= exact.mean


def test_kernels_of_finite_networks():
    # Against the inner products of gradients by autograd.
    case = Case(2, 16)
    values = kernel_at(case, (1.0, 0.3), 2, seed=5)
    assert values.shape == (2, 2)
    network = start_network(Case(2, 16, dimension=2), 6)
    X = torch.tensor([[1.0, 0.0], [0.3, np.sqrt(1 - 0.09)]], dtype=torch.float64)
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(network(X)[i, 0], list(network.value))]) for i in range(2)
    ]
    assert values[1] == pytest.approx([float(rows[0] @ rows[0]) / 16, float(rows[0] @ rows[1]) / 16])
