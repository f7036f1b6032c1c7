"""Monte Carlo of factorised kernels beside closed forms: the specification's checks at sizes for a test."""

from math import sqrt

import pytest

from widenet.experiments.efficient_kernels import (
    block_draws,
    block_means,
    block_table,
    concentration_table,
    inner_draws,
    k0,
    k1,
    outer_error,
    spectrum_table,
)


def test_reference_values():
    assert k0(0.5) == pytest.approx(2 / 3, abs=1e-15)
    assert (k0(1.0), k1(1.0), k0(0.0)) == (1.0, 1.0, 0.5)
    dense = block_means(10**12)
    assert dense[0] == pytest.approx(0.43143118571272876, abs=1e-11)
    assert dense[1] == pytest.approx(0.43143118571272876, abs=1e-15)
    assert dense[2] == pytest.approx(0.23614272451204846, abs=1e-15)


def test_terms_of_a_deep_block_have_their_means():
    found = block_draws(32, 100, 400)
    error = found.std(0, ddof=1) / sqrt(len(found))
    expected = block_means(32)
    assert (error < 0.06 * expected[0]).all()  # a check that sees something
    # At 400 units the means themselves are off by O(1 / width).
    assert (abs(found.mean(0) - expected) < 4 * error + 1 / 400).all()
    # The term of U differs from the dense limit by more than that at a small rank.
    small = block_draws(2, 400, 400)[:, 0]
    assert abs(small.mean() - block_means(2)[0]) < 4 * small.std() / 20 + 1 / 400
    assert block_means(2)[0] > block_means(10**9)[0] + 0.1


def test_the_outer_kernel_tends_to_that_of_the_projected_points():
    assert outer_error(200_000) < 5e-3
    assert outer_error(50) > 0.02


def test_tables_hold_what_was_drawn():
    table = concentration_table((16,), 20, 256, seed=4)
    draws = inner_draws(16, 20, 256, "gaussian", 4)[:, 0, 1]
    assert table.rows[0][:3] == (16, "gaussian", pytest.approx(draws.mean()))
    assert table.rows[1][1] == "hadamard"
    assert table.rows[0][4] == 1 / 6
    block = block_table(8, 10, 64, seed=1)
    assert [row[0] for row in block.rows] == ["U trained", "V trained", "layers below"]
    assert block.rows[0][3] == block_means(8)[0]


def test_the_spectrum_improves_with_the_rank():
    rows = spectrum_table((8, 64), 24, 1024, 3, seed=0).rows
    assert [(row[0], row[1]) for row in rows[:2]] == [("I, Gaussian", 8), ("I, Gaussian", 64)]
    for low, high in zip(rows[::2], rows[1::2], strict=True):
        assert low[2] < high[2] < 1.2
        assert low[5] > high[5] > 0
