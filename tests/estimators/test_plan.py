"""The plan of a fit: costs by hand, each decision of its docstring, the table."""

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.estimators.plan import SIZES, Machine, calibrate, plan, stated_machine
from widenet.kernels import Laplace

MACHINE = Machine(single=1e11, double=5e10, entries=1e9)
GIB = 2**30


def test_the_exact_way_costs_half_a_gram_matrix_and_a_factor():
    way = MACHINE.plan(10_000, 50, memory_limit="4 GiB").way("exact")
    # 5e7 values of 1 ns and a product of 100 flops, and 1e12 / 3 flops of the factor.
    assert way.seconds == pytest.approx(5e7 * (1e-9 + 1e-9) + 1e12 / 3 / 1e11, rel=1e-12)
    assert way.memory == pytest.approx(4e8 + 10_000 * (12 * 50 + 96))


def test_landmarks_cost_their_choice_values_whitening_and_normal_equations():
    way = MACHINE.plan(10**6, 50, memory_limit="64 GiB", time_limit=None).way("landmarks")
    m = way.size
    assert m == SIZES[-1]
    passes = 1e6 * m * (2e-9 + m / 1e11 + m / 5e10)
    choice = 3 * 4 * m * m**2 / 1e11
    assert way.seconds == pytest.approx(choice + passes + 11 * m**3 / 5e10, rel=1e-12)


@pytest.mark.parametrize(
    ("rows", "limits", "expected"),
    [
        (5_000, {"memory_limit": "4 GiB"}, "exact"),
        (5_000, {"memory_limit": "4 GiB", "time_limit": 0.3}, "landmarks"),
        (60_000, {"memory_limit": "4 GiB", "time_limit": None}, "iterative"),
        (60_000, {"memory_limit": "4 GiB", "time_limit": 60}, "landmarks"),
        (10**6, {"memory_limit": "4 GiB"}, "landmarks"),
    ],
)
def test_memory_and_time_decide(rows, limits, expected):
    found = MACHINE.plan(rows, 50, **limits)
    assert found.choice.name == expected
    assert found.choice.fits
    assert found.choice.memory <= found.memory_limit
    assert found.choice.seconds <= found.time_limit
    for way in found.ways[: found.ways.index(found.choice)]:
        assert not way.fits
        assert "too little" in way.why


def test_more_time_gives_more_landmarks():
    sizes = [MACHINE.plan(10**6, 50, memory_limit="8 GiB", time_limit=t).choice.size for t in (30, 300, 3000)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_where_nothing_is_in_time_the_fewest_landmarks_are_taken():
    found = MACHINE.plan(10**8, 50, memory_limit="8 GiB", time_limit=1.0)
    assert (found.choice.name, found.choice.size, found.choice.fits) == ("landmarks", SIZES[0], False)


def test_workers_share_the_rows():
    one, ten = (MACHINE.plan(10**9, 50, memory_limit="8 GiB", time_limit=1e9, workers=w) for w in (1, 10))
    assert ten.way("features").seconds < one.way("features").seconds / 5
    assert ten.way("exact").seconds == one.way("exact").seconds


def test_the_table_says_it_all():
    text = str(MACHINE.plan(10**6, 50, memory_limit="8 GiB"))
    head, _, *table = text.splitlines()
    assert head == "1,000,000 rows of 50, 1 output; 5 min, 8 GiB"
    assert [row[2:].split()[0] for row in table] == ["exact", "iterative", "landmarks", "features"]
    assert [row[0] for row in table] == [" ", " ", ">", " "]
    assert "3.64 TiB" in table[0]


@pytest.mark.parametrize(
    "options", [{"rows": 0}, {"columns": -3}, {"outputs": True}, {"workers": -1}, {"time_limit": 0.0}]
)
def test_bad_numbers_are_refused(options):
    with pytest.raises(InvalidInput):
        plan(**{"rows": 10, "columns": 2, **options})


def test_a_machine_is_measured():
    found = calibrate(Laplace(1.0), columns=4)
    stated = stated_machine()
    # Another machine than that of the constants, maybe a busy one: within a factor of a hundred.
    for name in ("single", "double", "entries"):
        assert 0.01 < getattr(found, name) / getattr(stated, name) < 100
    assert np.isfinite(found.plan(10**6, 10).choice.seconds)
