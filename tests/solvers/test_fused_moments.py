"""Fused loops of moments against NumPy."""

import numpy as np
import pytest

from widenet.solvers._fused_moments import write_centred, write_mean

Z = np.random.default_rng(0).normal(size=(30, 7))
SHARE = np.random.default_rng(1).dirichlet(np.ones(30))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_and_centred_rows_are_those_of_numpy(dtype):
    rows, mean, centred = Z.astype(dtype), np.full(7, np.nan), np.empty((30, 7))
    write_mean(rows, SHARE, mean)
    np.testing.assert_allclose(mean, SHARE @ rows.astype(np.float64), rtol=1e-13)
    write_centred(rows, 5 * SHARE, mean, centred)
    np.testing.assert_allclose(centred, np.sqrt(5 * SHARE)[:, None] * (rows - mean), rtol=1e-13)


def test_a_large_offset_costs_no_digits_of_the_mean():
    rows, mean = np.round(Z * 2**20) / 2**20 + 2.0**30, np.empty(7)
    write_mean(rows, SHARE, mean)
    exact = SHARE @ (rows - 2.0**30)  # SHARE adds up to 1 but for rounding, which the offset must not multiply
    np.testing.assert_allclose(mean - 2.0**30, exact, atol=3e-7)


def test_one_row_is_its_own_mean():
    mean, centred = np.empty(7), np.empty((1, 7))
    write_mean(Z[:1], np.ones(1), mean)
    write_centred(Z[:1], np.ones(1), mean, centred)
    assert np.array_equal(mean, Z[0])
    assert not centred.any()
