"""The loops of sparse training against plain NumPy."""

import numpy as np
import pytest

from widenet.networks import _fused_sparse as loops

RANDOM = np.random.default_rng(0)


def padded(rows: int, columns: int) -> np.ndarray:
    array = np.zeros((rows, 8))
    array[:, :columns] = RANDOM.standard_normal((rows, columns))
    return array


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 11])
def test_active_candidates_come_to_the_front(count: int):
    samples, unit = padded(15, 5), padded(1, 5)[0]
    chosen = RANDOM.permutation(15)[:count].astype(np.int32)
    candidates, sums = np.append(chosen, np.int32(-7)), np.zeros(15)
    found = loops._look(unit, samples, candidates, count, -1.0, sums)
    values = samples @ unit
    active = {int(i) for i in chosen if values[i] > 0}
    assert set(candidates[:found].tolist()) == active
    assert sorted(candidates[:count]) == sorted(chosen)
    assert candidates[count] == -7
    expected = np.array([-max(values[i], 0) if i in chosen else 0 for i in range(15)])
    np.testing.assert_allclose(sums, expected, atol=1e-14)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_weighted_sums(count: int):
    samples, factors = padded(9, 6), RANDOM.standard_normal(9)
    chosen, total = RANDOM.permutation(9).astype(np.int32), np.ones(8)
    loops._weighted_sum(samples, chosen, count, factors, total)
    np.testing.assert_allclose(total, factors[chosen[:count]] @ samples[chosen[:count]], atol=1e-14)


def test_the_reach_costs_least_among_the_leads():
    values, units, norms = RANDOM.standard_normal((60, 200)), padded(60, 4), 0.5 + RANDOM.random(200)
    lasts = np.concatenate([[0.0], 10.0 ** RANDOM.uniform(-4, 1, 59)])
    reach, rounding, counts = np.empty(60), np.empty(60), np.empty(60, np.int64)
    loops.choose_reach(values, units, norms, lasts, (reach, rounding, counts))
    np.testing.assert_allclose(rounding, 2.0**-52 * np.linalg.norm(units, axis=1), rtol=1e-12)
    chosen = set()
    for row, last, found, number in zip(values, lasts, reach, counts, strict=True):
        leads = [0.0, *(1.5 * 2**k for k in range(6))] if last > 0 else [0.0]
        near = [int(np.sum(row >= -(lead * last + 1e-13) * norms)) for lead in leads]
        costs = [count + 0.5 * 200 / max(lead, 1) for count, lead in zip(near, leads, strict=True)]
        best = int(np.argmin(costs))
        assert found == pytest.approx(leads[best] * last)
        assert number == near[best]
        chosen.add(leads[best])
    assert len(chosen) > 4  # fast units have short lists, slow ones long ones


def test_lists_hold_what_is_above_the_border():
    values, norms = RANDOM.standard_normal((3, 50)), 0.5 + RANDOM.random(50)
    signs, sums = np.array([1.0, -1.0, 1.0, -1.0]), np.zeros(50)
    pairs = np.full((4, 50), -1, np.int32), np.zeros(4, np.int32), np.full(4, -1, np.int32)
    chosen, reach = np.array([3, 0, 2]), np.array([0.1, 0.0, 2.0])
    loops.make_lists(chosen, values, (reach, norms), signs, pairs, sums)
    for row, r, border in zip(values, chosen, reach, strict=True):
        near, active = pairs[0][r, : pairs[1][r]].tolist(), pairs[0][r, : pairs[2][r]].tolist()
        assert sorted(near) == np.flatnonzero(row >= -border * norms).tolist()
        assert sorted(active) == np.flatnonzero(row > 0).tolist()
    assert (pairs[1][1], pairs[2][1]) == (0, -1)
    np.testing.assert_allclose(sums, signs[chosen] @ np.maximum(values, 0), atol=1e-14)


def test_active_samples_one_after_the_other():
    candidates = np.array([[4, 1, 9], [7, 7, 7], [3, 9, 9]], np.int32)
    assert loops.listed(candidates, np.array([2, 0, 1], np.int32)).tolist() == [4, 1, 3]


def test_units_move_and_those_beyond_their_reach_are_marked():
    units, samples, signs = padded(3, 5), padded(6, 5), np.array([1.0, -1.0, 1.0])
    factors = RANDOM.standard_normal(6)
    candidates = np.tile(np.arange(6, dtype=np.int32), (3, 1))
    counts, active = np.full(3, 6, np.int32), np.array([2, 3, 0], np.int32)
    lengths = np.zeros(3), np.array([100.0, 1e-9, 100.0]), np.zeros(3), np.full(3, 1e-3)
    sums, expected = np.zeros(6), units.copy()
    expected[0] += factors[:2] @ samples[:2]
    expected[1] -= factors[:3] @ samples[:3]
    moved = np.linalg.norm(expected - units, axis=1)
    both = np.stack([factors, -factors])
    assert loops.advance((units, signs), samples, both, (candidates, counts, active), lengths, sums) == (11, 1)
    np.testing.assert_allclose(units, expected, atol=1e-14)
    values = samples @ expected[0]
    assert active.tolist() == [np.sum(values > 0), -1, 0]
    np.testing.assert_allclose(sums, np.maximum(values, 0), atol=1e-14)
    np.testing.assert_allclose(lengths[2], moved, atol=1e-14)
    np.testing.assert_allclose(lengths[0][:2], moved[:2] + 1e-3, atol=1e-14)
