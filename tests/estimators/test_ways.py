"""The argument `solver`, and the way that follows from it."""

import pytest

from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.estimators.ways import read_request, take
from widenet.kernels import Laplace
from widenet.solvers import Auto, Cholesky, Spectral


@pytest.mark.parametrize("name", ["auto", "exact", "iterative", "landmarks", "features"])
def test_names_are_taken_as_they_are(name):
    assert read_request(name).name == name


def test_limits_come_with_auto():
    request = read_request(Auto(memory_limit="1 GiB", time_limit=7.0))
    assert (request.name, request.memory_limit, request.time_limit) == ("auto", "1 GiB", 7.0)


def test_solvers_of_whole_matrices_take_relative_ridges():
    assert read_request(Spectral("absolute")).solver == Spectral("relative")
    assert read_request(Cholesky()).name == "exact"


@pytest.mark.parametrize("solver", [3, "cholesky", Cholesky, None])
def test_what_is_no_solver_is_refused(solver):
    with pytest.raises(InvalidInput, match="solver must be"):
        read_request(solver)


def test_auto_follows_the_plan():
    few = take(read_request("auto"), "auto", (1000, 5), 1)
    assert few.name == "exact"
    many = take(read_request(Auto(memory_limit="2 GiB", time_limit=60.0)), Laplace(1.0), (10**6, 5), 1)
    assert many.name == "landmarks"
    assert many.size >= 256
    assert "exact: too little memory and time" in many.why


def test_a_function_is_solved_as_a_whole():
    def kernel(X, Y=None):
        return Laplace(1.0)(X, Y)

    assert take(read_request("auto"), kernel, (10**6, 5), 1).name == "exact"
    with pytest.raises(InvalidInput, match="kernel of this package"):
        take(read_request("landmarks"), kernel, (10**6, 5), 1)


def test_too_little_memory_is_told_before_work():
    with pytest.raises(MemoryLimitExceeded, match="iterative"):
        take(read_request("iterative"), "auto", (10**8, 50), 10)
