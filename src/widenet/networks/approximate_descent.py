"""Gradient descent with gradients that are only known up to tau, as theory has it."""

from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from widenet._arrays import Array, read_inputs
from widenet.errors import InvalidInput
from widenet.networks.tangent_certificate import read_probabilities, read_targets


@dataclass(frozen=True, eq=False)
class ApproximateRun:
    """What approximate gradient descent did.

    Attributes:
        losses: L before each step and at the end, (steps + 1,).
        gradient_norms: |grad L| at the same times.
        left_start: Whether any parameter moved.
    """

    losses: np.ndarray
    gradient_norms: np.ndarray
    left_start: bool


@dataclass(frozen=True)
class ApproximateDescent:
    """tau-approximate gradient descent: w <- w - step g with |g - grad L(w)| <= tau, L = E |f(x) - y|^2 / 2.

    The adversarial oracle shortens the gradient by tau, to 0 where it is not longer than that: what is not said by
    more than tau is not said at all. The random oracle adds a vector of length tau in a random direction.

    Args:
        step: Step size.
        steps: Number of steps.
        tau: Error of the gradient, in the norm over all parameters.
        oracle: "adversarial" or "random".
        seed: Of the random oracle.

    Raises:
        InvalidInput: On values out of range.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(1, 1, bias=False)
        >>> net.weight.data.zero_()
        tensor([[0.]])
        >>> ApproximateDescent(step=1.0, steps=3, tau=0.6).run(net, [[1.0]], [0.5]).left_start
        False
    """

    step: float
    steps: int
    tau: float = 0.0
    oracle: Literal["adversarial", "random"] = "adversarial"
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.step < inf and 0 <= self.tau < inf):
            raise InvalidInput("step must be positive, tau 0 or more, both finite", repr(self))
        if self.steps < 0 or self.seed < 0:
            raise InvalidInput("steps and seed must not be negative", repr(self))
        if self.oracle not in ("adversarial", "random"):
            raise InvalidInput("the oracle must be 'adversarial' or 'random'", repr(self.oracle))

    def run(self, module: nn.Module, X: Array, y: Array, probability: Array | None = None) -> ApproximateRun:
        """Train a module in place.

        Args:
            module: What maps rows to outputs (n, outputs).
            X: Rows, (n, ..., channels).
            y: Targets, (n,) or (n, outputs); where labels are random, their means given x do as well.
            probability: Of each row, (n,), for an enumerated distribution; None for equal ones.

        Returns:
            Losses and norms of gradients.

        Raises:
            InvalidInput: On rows and targets that do not fit.

        Cost: A pass forward and backward over all rows for each step.
        """
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        points = read_inputs(X).X.to(parameters[0].device, parameters[0].dtype)
        targets, weights = read_targets(y, points), read_probabilities(probability, points)
        start = [parameter.detach().clone() for parameter in parameters]
        random = torch.Generator().manual_seed(self.seed)
        losses, norms = [], []
        for number in range(self.steps + 1):
            loss = weights @ (module(points) - targets).square().sum(1) / 2
            gradient = torch.autograd.grad(loss, parameters)
            losses.append(float(loss.detach()))
            norms.append(float(_norm(gradient)))
            if number < self.steps:
                with torch.no_grad():
                    for parameter, answer in zip(parameters, self._answer(gradient, random), strict=True):
                        parameter.sub_(answer, alpha=self.step)
        moved = any(not torch.equal(before, after) for before, after in zip(start, parameters, strict=True))
        return ApproximateRun(np.array(losses), np.array(norms), moved)

    def _answer(self, gradient: tuple[Tensor, ...], random: torch.Generator) -> list[Tensor]:
        if self.oracle == "adversarial":
            norm = float(_norm(gradient))
            return [part * (1 - self.tau / norm) if norm > self.tau else torch.zeros_like(part) for part in gradient]
        noise = [torch.randn(part.shape, generator=random, dtype=part.dtype).to(part.device) for part in gradient]
        length = _norm(tuple(noise))
        return [part + self.tau / length * other for part, other in zip(gradient, noise, strict=True)]


def _norm(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(part) for part in parts]))
