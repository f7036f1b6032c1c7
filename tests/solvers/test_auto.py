"""The automatic choice: each decision of its docstring, and the rows it says would fit."""

import re

import numpy as np
import pytest

from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.solvers import Auto, Cholesky, Spectral

GIB = 2**30


@pytest.mark.parametrize(
    ("ridges", "leave_one_out", "expected"),
    [
        (1, False, Cholesky()),
        (1, True, Cholesky()),
        (12, False, Cholesky()),
        (13, False, Spectral()),
        (2, True, Spectral()),
    ],
)
def test_work_decides_where_memory_is_plenty(ridges, leave_one_out, expected):
    decision = Auto(memory_limit=GIB).decide(1000, "float64", ridges=ridges, leave_one_out=leave_one_out)
    assert decision.solver == expected
    assert str(ridges) in decision.why


@pytest.mark.parametrize(
    ("matrices", "ridges", "expected"),
    [
        (4.2, 30, Spectral()),
        (3.0, 30, Cholesky()),
        (2.2, 1, Cholesky()),
        (1.2, 1, Cholesky(overwrite=True)),
        (1.2, 30, Cholesky(overwrite=True)),
    ],
)
def test_memory_decides_where_it_is_short(matrices, ridges, expected):
    decision = Auto(memory_limit=int(matrices * 8 * 4000**2)).decide(4000, "float64", ridges=ridges)
    assert decision.solver == expected
    assert decision.memory <= matrices * 8 * 4000**2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_million_rows_are_refused_with_the_rows_that_would_fit(dtype):
    auto = Auto(memory_limit="8 GiB")
    with pytest.raises(MemoryLimitExceeded, match="1,000,000 x 1,000,000") as error:
        auto.decide(10**6, dtype)
    largest = int(re.search(r"At most ([\d,]+) rows", str(error.value))[1].replace(",", ""))
    assert 30_000 < largest < 50_000
    assert auto.decide(largest, dtype).memory <= 8 * GIB
    with pytest.raises(MemoryLimitExceeded):
        auto.decide(largest + 1, dtype)
    assert ("in float32)" in str(error.value)) == (dtype == "float64")


def test_the_ridge_scale_is_handed_on():
    assert Auto(ridge_scale="absolute").decide(10, "float32").solver == Cholesky(ridge_scale="absolute")
    assert Auto("absolute").decide(10, "float32", ridges=50).solver == Spectral(ridge_scale="absolute")


def test_solve_is_that_of_the_choice_and_never_overwrites():
    K, y = np.eye(6) + 0.5, np.arange(6.0)
    given = K.copy()
    np.testing.assert_array_equal(Auto().solve(K, y, 0.1).value, Cholesky().solve(given, y, 0.1).value)
    np.testing.assert_array_equal(K, given)
    with pytest.raises(MemoryLimitExceeded, match=r"Cholesky\(overwrite=True\)"):
        Auto(memory_limit=8 * 36 + 96 * 6 + 10).solve(K, y, 0.1)


def test_a_matrix_that_is_in_memory_is_not_counted_again(monkeypatch):
    K, y = np.eye(100) + 0.5, np.arange(100.0)
    factor, columns = K.nbytes, 96 * 100
    monkeypatch.setattr("widenet._arrays.available_memory", lambda: 2 * (factor + columns) + 2)
    np.testing.assert_array_equal(Auto().solve(K, y, 0.1).value, Cholesky().solve(K, y, 0.1).value)
    monkeypatch.setattr("widenet._arrays.available_memory", lambda: 2 * (factor + columns) - 2)
    with pytest.raises(MemoryLimitExceeded, match=r"Cholesky\(overwrite=True\)"):
        Auto().solve(K, y, 0.1)


@pytest.mark.parametrize("n", [0, -1])
def test_no_rows_are_refused(n):
    with pytest.raises(InvalidInput, match="at least 1"):
        Auto().decide(n, "float32")


def test_another_dtype_is_refused():
    with pytest.raises(InvalidInput, match="float16"):
        Auto().decide(5, "float16")
