"""A differentiable model of all parities: its weights select coordinates, and one gradient step can find them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from widenet.errors import InvalidInput

_WIDTH = 0.2  # of the step from 0 to 1


class SelectThenParity(nn.Module):
    """f(x) = (1 - r) (c + <w, x>) + r cos(pi sum_i s_i (1 - x_i) / 2), s_i = step(|w_i|), r = 1 - prod_i (1 - s_i).

    step rises from 0 at 0.4 to 1 at 0.6, twice differentiable. Near w = 0, where the model starts, it is linear, with
    the value c; once an |w_i| is above 0.6 and none between 0.4 and 0.6, it is the parity of the coordinates whose
    |w_i| is above: cos(pi j) = (-1)^j for j entries -1 among them.

    Args:
        fan_in: Number of coordinates.
        start: c, the value at w = 0; 0 for a model without bias at the start.
        dtype: torch.float32 or torch.float64.

    Raises:
        InvalidInput: If there is no coordinate, or the start is not finite.

    References:
        This library's form of the separating models of Malach et al. 2021, arXiv 2103.01210.

    Example:
        >>> model = SelectThenParity(fan_in=3)
        >>> model.weight.data = torch.tensor([0.8, 0.8, 0.1])
        >>> model(torch.tensor([[1.0, -1.0, -1.0]])), model.selected
        (tensor([[-1.]], grad_fn=...), (0, 1))
    """

    def __init__(self, fan_in: int, *, start: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if fan_in < 1 or not math.isfinite(start):
            raise InvalidInput("fan_in must be 1 or more, and the start finite", f"{fan_in} and {start}")
        self.start = start
        self.weight = nn.Parameter(torch.zeros(fan_in, dtype=dtype))

    def forward(self, x: Float[Tensor, "*points channels"]) -> Float[Tensor, "*points 1"]:
        """Outputs (n, 1) of points (n, coordinates) with entries -1 and 1."""
        step = _step(torch.abs(self.weight))
        selected = 1 - torch.prod(1 - step)
        parity = torch.cos(math.pi / 2 * ((1 - x) @ step))
        return ((1 - selected) * (self.start + x @ self.weight) + selected * parity)[..., None]

    @property
    def selected(self) -> tuple[int, ...]:
        """Coordinates with |w_i| above 1/2."""
        return tuple(torch.nonzero(torch.abs(self.weight.detach()) > 0.5)[:, 0].tolist())


def _step(level: Tensor) -> Tensor:
    """6 t^5 - 15 t^4 + 10 t^3 for t from 0 to 1 in the middle of [0, 1], constant beside it."""
    t = torch.clamp((level - 0.5) / _WIDTH + 0.5, 0, 1)
    return t**3 * (t * (6 * t - 15) + 10)
