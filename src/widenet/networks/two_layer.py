"""The two-layer ReLU network, all weights trained, with its tangent kernel in closed form."""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from widenet.errors import InvalidInput


class TwoLayerReLU(nn.Module):
    """f(x) = sum_r a_r max(w_r . x + b_r, 0) over m units.

    At the start w_r ~ N(0, 2 / d), b_r = 0, a_r ~ N(0, 1 / m), the standard parameterisation.

    Args:
        fan_in: Number d of channels of a point.
        width: Number m of units.
        seed: Of the weights.
        dtype: torch.float32 or torch.float64.

    Raises:
        InvalidInput: If one of the sizes is below 1.

    Example:
        >>> net = TwoLayerReLU(fan_in=3, width=8)
        >>> net(torch.ones(5, 3)).shape, net.tangent_kernel(torch.ones(5, 3)).shape
        (torch.Size([5, 1]), torch.Size([5, 5]))
    """

    def __init__(self, fan_in: int, width: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if fan_in < 1 or width < 1:
            raise InvalidInput("fan_in and width must be 1 or more", f"fan_in = {fan_in}, width = {width}")
        random = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(width, fan_in, generator=random, dtype=dtype) * sqrt(2 / fan_in))
        self.bias = nn.Parameter(torch.zeros(width, dtype=dtype))
        self.readout = nn.Parameter(torch.randn(width, generator=random, dtype=dtype) / sqrt(width))

    def forward(self, x: Float[Tensor, "*points channels"]) -> Float[Tensor, "*points 1"]:
        """Outputs (n, 1) of points (n, d)."""
        return (torch.relu(nn.functional.linear(x, self.weight, self.bias)) @ self.readout)[..., None]

    @torch.no_grad()
    def tangent_kernel(
        self, X: Float[Tensor, "n channels"], Y: Float[Tensor, "m channels"] | None = None
    ) -> Float[Tensor, "n m"]:
        """Tangent kernel of the network as it is: K = H H'^T + (X Y^T + 1) o (D D'^T).

        H holds the activations and D the readout weights of the active units, of the points X and, with a dash, Y.

        Args:
            X: Points, (n, d).
            Y: Points, (m, d); None for X.

        Returns:
            (n, m).

        Cost: n m (2 m' + d) for m' units; no gradient is formed.
        """
        H, D = self._factors(X)
        others, (H_others, D_others) = (X, (H, D)) if Y is None else (Y, self._factors(Y))
        K = torch.addmm(torch.ones((), dtype=X.dtype, device=X.device), X, others.T)
        return K.mul_(D @ D_others.T).addmm_(H, H_others.T)

    def _factors(self, X: Tensor) -> tuple[Tensor, Tensor]:
        units = nn.functional.linear(X, self.weight, self.bias)
        return torch.relu(units), (units > 0) * self.readout
