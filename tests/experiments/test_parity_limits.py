"""Tables of edges, certificates and bounds: closed forms beside enumeration."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.experiments.parity_limits import certificate_table, dimension_table, edge_table, norm_table
from widenet.networks.twin import Twin
from widenet.networks.two_layer import TwoLayerReLU
from widenet.theory.parity import BiasedParity, LeakyParity
from widenet.theory.parity_bounds import norm_bound


def test_closed_forms_stand_beside_enumeration():
    table = edge_table([BiasedParity(8, 3, 0.3), LeakyParity(8, 3, 0.3), BiasedParity(128, 7, 0.5)])
    biased, leaky, large = table.rows
    assert biased[1:3] == pytest.approx((0.075, 0.01875), rel=1e-14)
    assert biased[3:5] == pytest.approx((0.007370818564466, 0.007392243544660), rel=1e-12)
    for row in (biased, leaky):
        assert row[3:6] == pytest.approx(row[6:9], rel=1e-10, abs=1e-20)
    assert large[3] == pytest.approx(1.49423104745e-4, rel=1e-11)
    assert large[6:9] == (None, None, None)


def test_certificates_hold_and_the_best_edge_is_that_of_the_gradients():
    problem = BiasedParity(6, 2, 0.4)
    table = certificate_table(problem, 5, (0, 3))
    assert [row[0] for row in table.rows] == [0, 3]
    for seed, norm, largest, bound, edge, best in table.rows:
        assert bound == pytest.approx(norm**2 / (2 * largest), rel=1e-12)
        assert bound <= edge <= best <= 0.5 + 1e-12
        net, law = Twin(TwoLayerReLU(6, 5, seed=seed).double()), problem.enumerate()
        rows = [
            torch.cat(
                [g.flatten() for g in torch.autograd.grad(net(torch.from_numpy(x[None])).sum(), net.parameters())]
            )
            for x in law.X
        ]
        assert best == pytest.approx(law.best_edge(torch.stack(rows).numpy()), rel=1e-7)


def test_features_stay_below_the_bound_and_gradients_are_those_of_the_network():
    table = dimension_table(6, 3, (8, 16), seed=0)
    assert [row[0] for row in table.rows[:3]] == [
        "tanh(w.x + b), normal w and b", "cos(w.x + b)", "gradients of a two-layer ReLU network"
    ]  # fmt: skip
    assert [row[1] for row in table.rows] == [8, 8, 8, 16, 16, 16]
    for _, p, mean, bound, largest in table.rows:
        assert bound == pytest.approx(p / 40)
        assert 0 < mean <= bound
        assert mean <= largest <= 0.5
    # One unit's gradients of 8 parameters: x and 1 where it is active, times its readout, and its activation there,
    # which is a combination of these; so the space is that of x and 1 on a half-space.
    net = TwoLayerReLU(6, 1, seed=0).double()
    X = 2.0 * (np.arange(64)[:, None] >> np.arange(6)[::-1] & 1) - 1.0
    active = (X @ net.weight.detach().numpy()[0] > 0)[:, None] * np.column_stack([X, np.ones(64)])
    chi = np.stack([X[:, i] * X[:, j] * X[:, k] for i in range(6) for j in range(i) for k in range(j)], axis=1)
    fitted = active @ np.linalg.lstsq(active, chi, rcond=None)[0]
    assert table.rows[2][2] == pytest.approx(np.mean(fitted**2) / 2, rel=1e-10)


def test_kernels_stay_below_the_norm_bound():
    table = norm_table(10, (1, 3))
    assert table.rows[1][:2] == ("exp(x.x'/n - 1)", 3)
    assert table.rows[1][2] == pytest.approx(3.8286997287333e-4, rel=1e-12)
    assert table.rows[1][5] == pytest.approx(1 / sqrt(3.8286997287333e-4), rel=1e-12)
    for _, k, square, correlation, bound, norm in table.rows:
        assert bound == norm_bound(1.0, 10, k)
        assert correlation <= bound
        assert correlation == pytest.approx(sqrt(max(square, 0)), abs=1e-7)
        assert norm is None or norm == pytest.approx(1 / correlation)
    shallow = [row for row in table.rows if row[0] == "NTK, 1 hidden layer"]
    assert shallow[1][2] == pytest.approx(0, abs=1e-15)
    assert shallow[1][5] is None
