"""The infinite-width kernel of surrogate networks and proven widths."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.networks.relu_stack import relu_stack
from widenet.networks.surrogate import SurrogateNetwork
from widenet.networks.surrogate_theory import suggest_width, surrogate_kernel

COSINES = (1.0, 0.5, 0.0, -0.5, -1.0)
# spec convergence_theory (f): K / m of a recursion in double precision, at these cosines.
LIMITS = {
    1: (0.5, 0.215715592856, 0.095988773041, 0.029144052343, 0.0),
    3: (1.5, 0.597355798122, 0.374718481927, 0.270089446654, 0.227781193345),
}


def at_cosine(c: float) -> np.ndarray:
    return np.array([[1.0, 0.0], [c, np.sqrt(1 - c * c)]])


def arc_cosine_sum(depth: int, c: float, train_input: bool) -> float:
    """1/2 sum over l of v_(l-1) prod over j = l..L of k0(v_(j-1)), as the docstring has it."""
    k0 = lambda u: (np.pi - np.arccos(u)) / np.pi  # noqa: E731
    k1 = lambda u: (u * (np.pi - np.arccos(u)) + np.sqrt(1 - u * u)) / np.pi  # noqa: E731
    v = [k1(c)]
    for _ in range(depth):
        v.append(k1(v[-1]))
    total = sum(v[j - 1] * np.prod([k0(v[i - 1]) for i in range(j, depth + 1)]) for j in range(1, depth + 1))
    first = c * k0(c) * np.prod([k0(v[i - 1]) for i in range(1, depth + 1)])
    return float((total + train_input * first) / 2)


@pytest.mark.parametrize("depth", sorted(LIMITS))
def test_values_at_infinite_width(depth: int):
    for c, expected in zip(COSINES, LIMITS[depth], strict=True):
        assert surrogate_kernel(depth)(at_cosine(c))[0, 1] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("train_input", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_the_kernel_is_the_sum_of_its_docstring(depth: int, train_input: bool):
    for c in (0.9, 0.3, -0.7):
        found = surrogate_kernel(depth, train_input=train_input)(at_cosine(c))[0, 1]
        assert found == pytest.approx(arc_cosine_sum(depth, c, train_input), rel=1e-11)


def test_norms_and_the_scale_of_the_output():
    X = np.array([[3.0, 0.0], [1.0, 1.0]])
    expected = 3 * np.sqrt(2) * arc_cosine_sum(2, np.sqrt(0.5), False) * 0.25
    assert surrogate_kernel(2, output_scale=0.5)(X)[0, 1] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(("depth", "width", "seeds"), [(1, 1024, 20), (3, 256, 40)])
def test_finite_networks_tend_to_it(depth: int, width: int, seeds: int):
    X = torch.tensor(at_cosine(0.5))
    values = []
    for seed in range(seeds):
        network = SurrogateNetwork(relu_stack((2,) + (width,) * (depth + 1) + (1,), seed=seed))
        weights = [weight.detach() for weight in network.value]
        stack = network.on(X)
        K = stack.tangent_kernel(weights, stack.forward(weights)) / width
        values.append([float(K[0, 0]), float(K[0, 1])])
    means, errors = np.mean(values, 0), np.std(values, 0, ddof=1) / np.sqrt(seeds)
    limits = np.array([LIMITS[depth][0], LIMITS[depth][1]])
    assert np.all(errors < 0.06 * limits)
    # Four standard errors, and the bias of a finite width, of order L / m.
    assert np.all(np.abs(means - limits) < 4 * errors + 2 * depth / width * limits)


def test_proven_widths():
    bounds = suggest_width(10, 2, constant=3.0)
    assert bounds.surrogate == 600
    assert bounds.zou_gu == 3 * 10**8 * 2**12
    assert bounds.allen_zhu == pytest.approx(3 * 10.0**24 * 2**12)
    assert bounds.zou == pytest.approx(3 * 10.0**26 * 2.0**38)
    assert bounds.du == 3 * 4 * 10**4


@pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (1, 1, 0.0), (1, 1, float("inf"))])
def test_sizes_that_cannot_be_are_refused(arguments):
    with pytest.raises(InvalidInput):
        suggest_width(*arguments)
    with pytest.raises(InvalidInput):
        surrogate_kernel(0)
