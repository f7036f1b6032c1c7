"""Cubes and enumerated distributions against plain loops, and the refusal of problems that cannot be."""

from itertools import product

import numpy as np
import pytest

from widenet.errors import InvalidInput
from widenet.theory.parity import BiasedParity, LeakyParity
from widenet.theory.parity_problem import Enumeration, cube


def test_a_cube_holds_all_points_in_order():
    assert cube(3).tolist() == [list(map(float, point)) for point in product((-1, 1), repeat=3)]


@pytest.mark.parametrize("n", [0, 17])
def test_a_cube_has_its_limits(n):
    with pytest.raises(InvalidInput, match="1 to 16"):
        cube(n)


def test_the_best_edge_is_that_of_least_squares_and_an_edge_that_of_its_definition():
    random = np.random.default_rng(0)
    probability = random.random(8)
    probability /= probability.sum()
    mean = random.uniform(-1, 1, 8)
    law = Enumeration(cube(3), probability, mean)
    features = random.standard_normal((8, 3))
    moments = features.T @ (probability[:, None] * features)
    weights = np.linalg.solve(moments, features.T @ (probability * mean))
    # E (h - y)^2 = E h^2 - 2 E h y + 1, one point and one label at a time
    loss = sum(
        p * ((1 + m) / 2 * (h - 1) ** 2 + (1 - m) / 2 * (h + 1) ** 2) / 2
        for p, m, h in zip(probability, mean, features @ weights, strict=True)
    )
    assert law.edge(features @ weights) == pytest.approx(0.5 - loss, rel=1e-12)
    assert law.best_edge(features) == pytest.approx(0.5 - loss, rel=1e-12)
    assert law.best_edge(np.column_stack([features, features @ [1.0, 2.0, 3.0]])) == pytest.approx(0.5 - loss, rel=1e-9)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"k": 1}, "between 2 and n"),
        ({"k": 6}, "between 2 and n"),
        ({"k": True}, "whole number"),
        ({"alpha": 1.1}, "0 to 1"),
        ({"alpha": float("nan")}, "finite"),
        ({"mu": 1.0}, "excluded"),
    ],
)
@pytest.mark.parametrize("problem", [BiasedParity, LeakyParity])
def test_problems_that_cannot_be_are_refused(problem, changed, words):
    with pytest.raises(InvalidInput, match=words):
        problem(**({"n": 5, "k": 3, "alpha": 0.5} | changed))


def test_large_problems_are_not_enumerated_and_samples_are_not_empty():
    problem = BiasedParity(17, 3, 0.5)
    with pytest.raises(InvalidInput, match="at most 16"):
        problem.enumerate()
    with pytest.raises(InvalidInput, match="1 point"):
        problem.sample(0)


@pytest.mark.parametrize("problem", [BiasedParity(9, 4, 0.4), LeakyParity(9, 4, 0.4)], ids=repr)
def test_a_seed_repeats_a_sample_and_a_generator_goes_on(problem):
    first, again = problem.sample(50, 3), problem.sample(50, 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    random = np.random.default_rng(3)
    assert np.array_equal(problem.sample(50, random)[0], first[0])
    assert not np.array_equal(problem.sample(50, random)[0], first[0])
    assert eval(repr(problem)) == problem
    assert problem.support == (0, 1, 2, 3)
