"""Offsets of units and the identity 1[u > 0] v = relu(C u + v) - C relu(u)."""

import torch

from widenet.networks.surrogate_conversion import converted_weights, unit_offsets, violations


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_offsets_by_hand():
    # -v / u is 2, -1, 0.5, 0: C has to be above 2.
    offsets, hopeless = unit_offsets(column(1, 1, -2, 3), column(-2, 1, 1, 0), 0.05, 0.0)
    assert offsets.tolist() == [2.1]
    assert hopeless == []
    assert unit_offsets(column(1, 1), column(-2, 1), 0.05, 7.0)[0].tolist() == [7.0]
    assert unit_offsets(column(1, -1), column(2, -3), 0.05, 0.0)[0].tolist() == [0.0]


def test_units_at_their_boundary():
    # u = 0 is off: v <= 0 is off for every C, v > 0 for none; so is a u that is too small for a finite C.
    for u, v, expected in ((0.0, 0.0, []), (-0.0, -1.0, []), (0.0, 1.0, [0]), (1e-310, -1.0, [0])):
        offsets, hopeless = unit_offsets(column(u, 1.0), column(v, -2.0), 0.5, 0.0)
        assert hopeless == expected
        assert offsets.tolist() == [3.0]


def test_the_identity_holds_with_the_offsets_and_fails_where_it_is_said_to():
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(200, 50, dtype=torch.float64, generator=generator) for _ in range(2))
    offsets, hopeless = unit_offsets(u[:100], v[:100], 0.05, 0.0)
    assert hopeless == []
    wrong = (torch.relu(offsets * u + v) - offsets * torch.relu(u) - (u > 0) * v).abs() > 1e-9
    assert not wrong[:100].any()
    assert torch.equal(wrong, violations(u, v, offsets))
    assert wrong[100:].any()
    smaller, _ = unit_offsets(u[:100], v[:100], 0.05, 0.0)
    assert violations(u[:100], v[:100], 0.9 * smaller).any(0).all()


def test_blocks_of_the_converted_network():
    Z, W, B = (torch.full((2, 2), value, dtype=torch.float64) for value in (1.0, 10.0, 100.0))
    first, second, last = converted_weights([Z, Z], [W, W], B, [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])])
    assert first.tolist() == [[11, 11], [12, 12], [1, 1], [1, 1]]
    # Upper right: C_2 Z - W C_1 = 3 - (10, 20) and 4 - (10, 20).
    assert second.tolist() == [[10, 10, -7, -17], [10, 10, -6, -16], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert last.tolist() == [[100, 100, -300, -400]] * 2
