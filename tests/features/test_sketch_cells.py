"""Pairs of numbers of two spectra: none twice, each number in its turn."""

import numpy as np
import pytest

from widenet.features.sketch_cells import draw_cells, sampling_factors


@pytest.mark.parametrize(("left", "right"), [(16, 16), (16, 64), (64, 16), (7, 5), (5, 7), (1, 4), (8, 1)])
def test_no_pair_stands_twice_and_all_of_them_are_all_pairs(left, right):
    cells = draw_cells(left, right, left * right, np.random.default_rng(1))
    assert {(int(p), int(q)) for p, q in cells.T} == {(p, q) for p in range(left) for q in range(right)}


def test_each_number_is_taken_in_its_turn():
    cells = draw_cells(16, 64, 128, np.random.default_rng(1))
    assert np.all(np.bincount(cells[0]) == 8)
    assert np.all(np.bincount(cells[1]) == 2)
    pairs, first, second = sampling_factors(cells, 16, 64)
    assert (first, second) == (0, 0)
    # 128 of 1,024 pairs: a random choice would have (1 - 1/8) / 128, and the margins are taken out of it.
    assert pairs == pytest.approx(16 * 64 / (15 * 63) * (128 - 128**2 / 1024) / 128**2)


def test_few_numbers_of_one_spectrum_vary_as_a_sample_without_replacement():
    cells = draw_cells(64, 64, 16, np.random.default_rng(1))
    assert sampling_factors(cells, 64, 64)[1:] == (pytest.approx(48 / (16 * 63)),) * 2
