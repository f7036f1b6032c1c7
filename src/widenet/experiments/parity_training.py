"""Parities learnt by gradient descent on a two-layer network, and by its tangent kernel, on equal terms of test."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widenet.errors import InvalidInput
from widenet.networks.twin import Twin
from widenet.networks.two_layer import TwoLayerReLU
from widenet.solvers.cholesky import Cholesky
from widenet.theory.parity import BiasedParity
from widenet.theory.parity_problem import ParityProblem

RIDGES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)  # times the mean diagonal


@dataclass(frozen=True, eq=False)
class ParityRun:
    """A trained network and what it does on fresh points.

    Attributes:
        start: Half of the network as it was before training, whose tangent kernel is that of the whole.
        network: The trained network.
        steps: Steps that were done.
        error: Share of wrong signs on points of the problem.
        uniform_error: The same on uniform points with the parity as label.
        squared_error: Mean of (f - y)^2 on points of the problem; 1 for f = 0.
    """

    start: TwoLayerReLU
    network: Twin
    steps: int
    error: float
    uniform_error: float
    squared_error: float

    @property
    def learnt(self) -> bool:
        """Whether no test point is wrong under either law."""
        return self.error == self.uniform_error == 0

    @property
    def halves(self) -> tuple[TwoLayerReLU, TwoLayerReLU]:
        """Both halves of the trained network."""
        return cast(TwoLayerReLU, self.network.first), cast(TwoLayerReLU, self.network.second)


@dataclass(frozen=True)
class ParityTraining:
    """Adam with the hinge loss on fresh batches, for a two-layer ReLU network with twin halves.

    Training ends when no test point of either law is wrong, so that steps compare.

    Attributes:
        width: Hidden units of both halves together, even.
        most_steps: Steps to give up after.
        batch: Fresh points of a step.
        learning_rate: Of Adam.
        offset: c of f(x) = c + twin(x): 0 for a start of exactly 0.
        seed: Of weights and points.
    """

    width: int = 256
    most_steps: int = 2000
    batch: int = 512
    learning_rate: float = 3e-3
    offset: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2:
            raise InvalidInput(
                "the width must be even: the second half of the units mirrors the first", str(self.width)
            )
        if self.most_steps < 1 or self.batch < 1 or not 0 < self.learning_rate < inf:
            raise InvalidInput("most_steps, batch and learning_rate must be positive", repr(self))
        if self.seed < 0:
            raise InvalidInput("the seed must not be negative", repr(self.seed))

    def run(self, problem: ParityProblem, test_points: int = 2000, check_every: int = 10) -> ParityRun:
        """Train on a problem.

        Args:
            problem: Where the points come from.
            test_points: Fresh points of either law.
            check_every: Steps between two looks at them.
        """
        random = np.random.default_rng([self.seed, 0])
        start = TwoLayerReLU(problem.n, self.width // 2, seed=self.seed)
        network = Twin(TwoLayerReLU(problem.n, self.width // 2, seed=self.seed))
        optimiser = torch.optim.Adam(network.parameters(), self.learning_rate)
        tests = [sampled(law, test_points, [self.seed, 1]) for law in (problem, uniform(problem))]
        for step in range(1, self.most_steps + 1):
            X, y = sampled(problem, self.batch, random)
            loss = torch.relu(1 - y * self._outputs(network, X)).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            if step % check_every == 0 or step == self.most_steps:
                errors = [self._error(network, *test) for test in tests]
                if errors == [0.0, 0.0]:
                    break
        with torch.no_grad():
            squared = float((self._outputs(network, tests[0][0]) - tests[0][1]).square().mean())
        return ParityRun(start, network, step, errors[0], errors[1], squared)

    def _outputs(self, network: Twin, X: Tensor) -> Tensor:
        return self.offset + network(X)[:, 0]

    @torch.no_grad()
    def _error(self, network: Twin, X: Tensor, y: Tensor) -> float:
        return float((torch.where(self._outputs(network, X) > 0, 1.0, -1.0) != y).double().mean())


@dataclass(frozen=True)
class TangentRidge:
    """Ridge regression with a tangent kernel, at the ridges that are best on the test points.

    Attributes:
        error: Smallest share of wrong signs over the ridges.
        squared_error: Smallest mean of (f - y)^2; 1 for f = 0.
    """

    error: float
    squared_error: float

    @property
    def edge(self) -> float:
        """(1 - squared error) / 2."""
        return (1 - self.squared_error) / 2


def uniform(problem: ParityProblem) -> BiasedParity:
    """The same parity on uniform points."""
    return BiasedParity(problem.n, problem.k, 0.0)


def sampled(
    problem: ParityProblem, count: int, random: np.random.Generator | Sequence[int]
) -> tuple[Float[Tensor, "m n"], Float[Tensor, " m"]]:
    """Fresh points and labels in float32.

    Args:
        problem: The problem.
        count: Number of points.
        random: Generator, or seeds of one.
    """
    generator = random if isinstance(random, np.random.Generator) else np.random.default_rng(list(random))
    X, y = problem.sample(count, generator)
    return torch.from_numpy(X).float(), torch.from_numpy(y).float()


def tangent_ridge(
    halves: Sequence[TwoLayerReLU], problem: ParityProblem, points: int, test_points: int, seed: int
) -> TangentRidge:
    """Ridge regression with the mean of the halves' tangent kernels, the best ridge of a grid being taken on the test.

    That choice favours the kernel. The kernel is exact, and evaluated in single precision.

    Args:
        halves: One half of a twin network at its start, or both of a trained one.
        problem: Where points come from.
        points: Number m of fresh training points.
        test_points: Number of fresh test points.
        seed: Of both.

    Cost: O(m^2 (width + n)) for the kernel and m^3 / 3 for each ridge.
    """
    (X, y), (X_test, y_test) = sampled(problem, points, [seed, 2]), sampled(problem, test_points, [seed, 3])
    K = sum(half.tangent_kernel(X) / len(halves) for half in halves)
    K_test = sum(half.tangent_kernel(X_test, X) / len(halves) for half in halves)
    errors, squares = [], []
    for ridge in RIDGES:
        predicted = K_test @ Cholesky(ridge_scale="relative").solve(K, y, ridge).value.float()
        errors.append(float((torch.where(predicted > 0, 1.0, -1.0) != y_test).double().mean()))
        squares.append(float((predicted - y_test).square().mean()))
    return TangentRidge(min(errors), min(squares))
