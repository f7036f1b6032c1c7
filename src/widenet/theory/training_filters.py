"""How much of each eigen-direction gradient descent has learned after some time, without loss of digits."""

from dataclasses import dataclass
from math import inf
from typing import Literal

import torch
from torch import Tensor

Stepping = Literal["flow", "descent"]


@dataclass(frozen=True)
class TrainingFilter:
    """The filter h_t(s) of training on eigenvalue s: the coefficients after the time t are V h_t(s) V^T y.

    For the flow h_t(s) = (1 - exp(-rate (s + decay) t)) / (s + decay); for descent (1 - rate (s + decay))^t takes the
    place of the exponential.

    Args:
        rate: Learning rate.
        decay: Strength of the penalty on the way from the start.
        stepping: "flow" or "descent".

    Example:
        >>> import torch
        >>> half = TrainingFilter(1.0, 0.0, "flow")
        >>> half.learned(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 3.0, float("inf")]))
        tensor([[0.0000, 0.0000],
                [3.0000, 0.4988],
                [0.0000, 0.5000]])
    """

    rate: float
    decay: float
    stepping: Stepping

    def learned(self, eigenvalues: Tensor, times: Tensor) -> Tensor:
        """h_t(s), (times, n); at s + decay = 0 its limit, rate t, but 0 at t = infinity."""
        s, t = eigenvalues[None] + self.decay, times[:, None]
        positive = torch.where(s > 0, s, 1.0)
        never = torch.where(t.isinf(), 0.0, self.rate * t)
        return torch.where(s > 0, self._lost(positive, t) / positive, never)

    def left(self, eigenvalues: Tensor, times: Tensor) -> Tensor:
        """1 - s h_t(s), (times, n): the share of the residual that is left, without a difference."""
        s, t = eigenvalues[None] + self.decay, times[:, None]
        positive = torch.where(s > 0, s, 1.0)
        return torch.where(s > 0, (self.decay + eigenvalues * self._kept(s, t)) / positive, 1.0)

    def _kept(self, s: Tensor, t: Tensor) -> Tensor:
        """exp(-rate s t) or (1 - rate s)^t, 1 at s = 0."""
        if self.stepping == "flow":
            return torch.where(s > 0, torch.exp(-self.rate * torch.where(s > 0, s, 1.0) * t), 1.0)
        factor = 1 - self.rate * s
        ended = torch.where(factor.abs() < 1, 0.0, torch.where(factor == 1, 1.0, inf))
        return torch.where(t.isinf(), ended, factor.pow(torch.where(t.isinf(), 0.0, t)))

    def _lost(self, s: Tensor, t: Tensor) -> Tensor:
        """1 - exp(-rate s t) or 1 - (1 - rate s)^t for s > 0, exact where little is lost."""
        if self.stepping == "flow":
            return -torch.expm1(-self.rate * s * t)
        small = self.rate * s < 0.5
        return torch.where(
            small, -torch.expm1(t * torch.log1p(-torch.where(small, self.rate * s, 0.5))), 1 - self._kept(s, t)
        )
