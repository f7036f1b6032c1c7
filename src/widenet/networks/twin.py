"""Networks that start at exactly zero, by a twin that is subtracted."""

from copy import deepcopy
from math import sqrt

from torch import Tensor, nn


class Twin(nn.Module):
    """F(x) = (f_w(x) - f_w'(x)) / sqrt(2) with w' = w at the start, so that F = 0 there, exactly.

    Both halves are trained. The tangent kernel of F at the start is that of f. A model that starts at 0 is what theory
    calls unbiased: its first gradient, -E[y grad F] for the squared loss, holds nothing but correlations with y.

    Args:
        module: f; the halves are this module and a copy.

    Example:
        >>> import torch
        >>> net = Twin(torch.nn.Linear(3, 1))
        >>> net(torch.ones(2, 3)).tolist()
        [[0.0], [0.0]]
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.first, self.second = module, deepcopy(module)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the first half less those of the second, over sqrt(2)."""
        return (self.first(x) - self.second(x)) / sqrt(2)
