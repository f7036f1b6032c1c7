"""What flows through an infinitely wide network: second moments of the units at two points."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Below this share of |x|^2 + |y|^2 a squared distance out of the inner product has lost over three digits.
_NEAR = 1e-3


@dataclass(frozen=True)
class Moments:
    """Second moments of the units u (at point x) and v (at point y) of one layer, averaged over the layer.

    The cross moment E[u v] is kept as E(u-v)^2 and E(u+v)^2: near-duplicate and near-opposite points
    would otherwise lose half of the digits in every layer, just where ReLU-like kernels have their
    kinks. The tensors broadcast to the shape of the result: (n, 1) and (1, m) beside (n, m) for all
    pairs, (n,) for aligned ones.

    Attributes:
        x: E[u^2].
        y: E[v^2].
        distance: E[(u - v)^2].
        sum: E[(u + v)^2].
        tangent: Neural tangent kernel so far, or None where it is not asked for.
        channels: Number of channels of the inputs, None after a layer of infinite width.
        width: Relative width of the layer, for the shares in a concatenation.
        gaussian: Whether the units are Gaussian, as the outputs of a layer with weights are.
        centred: Whether the units have mean zero and are uncorrelated with those of other branches.
    """

    x: Tensor
    y: Tensor
    distance: Tensor
    sum: Tensor
    tangent: Tensor | None = None
    channels: int | None = None
    width: float = 1.0
    gaussian: bool = False
    centred: bool = False

    @property
    def cross(self) -> Tensor:
        """E[u v]."""
        return (self.sum - self.distance) / 4

    @property
    def angle(self) -> Tensor:
        """Angle between u and v as vectors of L2, in [0, pi]; 0 where one of them is zero."""
        return angle(self.scaled_distance, self.scaled_sum)

    @property
    def scaled_distance(self) -> Tensor:
        """2 sqrt(E u^2 E v^2) (1 - cos angle)."""
        return (self.distance - self._norm_gap).clamp(min=0)

    @property
    def scaled_sum(self) -> Tensor:
        """2 sqrt(E u^2 E v^2) (1 + cos angle)."""
        return (self.sum - self._norm_gap).clamp(min=0)

    @property
    def _norm_gap(self) -> Tensor:
        # (sqrt x - sqrt y)^2, from the difference of the squares, which loses no digits.
        return (self.x - self.y).square() / (self.x + self.y + 2 * (self.x * self.y).sqrt()).clamp(min=1e-300)

    def scaled(self, factor: float | Tensor) -> "Moments":
        """The moments of units multiplied by sqrt(factor)."""
        return replace(
            self,
            x=factor * self.x,
            y=factor * self.y,
            distance=factor * self.distance,
            sum=factor * self.sum,
            tangent=None if self.tangent is None else factor * self.tangent,
        )


def angle(scaled_distance: Tensor, scaled_sum: Tensor) -> Tensor:
    """2 atan2(sqrt(1 - cos), sqrt(1 + cos)) with a finite gradient at the ends, where it is taken as 0."""
    inside = (scaled_distance > 0) & (scaled_sum > 0)
    ends = torch.where(scaled_distance > 0, torch.pi, 0.0).to(scaled_sum.dtype)
    one = torch.ones((), dtype=scaled_sum.dtype, device=scaled_sum.device)
    opposite = torch.where(inside, scaled_distance, one).sqrt()
    adjacent = torch.where(inside, scaled_sum, one).sqrt()
    return torch.where(inside, 2 * torch.atan2(opposite, adjacent), ends)


def pair_moments(X: Tensor, Y: Tensor, tangent: bool) -> Moments:
    """Moments of all pairs of two sets of points (n, channels), (m, channels), of the mean over channels."""
    channels = X.shape[1]
    x, y = X.square().sum(1)[:, None], Y.square().sum(1)[None, :]
    cross = X @ Y.T
    distance, total = x + y - 2 * cross, x + y + 2 * cross
    distance = _from_points(distance, X, Y, x + y, -1.0)
    total = _from_points(total, X, Y, x + y, 1.0)
    moments = Moments(x, y, distance, total, torch.zeros_like(distance) if tangent else None, channels)
    return moments.scaled(1 / channels)


def aligned_moments(X: Tensor, tangent: bool) -> Moments:
    """Moments of every point with itself, (n,)."""
    x = X.square().mean(1)
    return Moments(x, x, torch.zeros_like(x), 4 * x, torch.zeros_like(x) if tangent else None, X.shape[1])


def sphere_moments(theta: Tensor, norm: float, channels: int, tangent: bool) -> Moments:
    """Moments of pairs of points of one norm at the given angles, (n,)."""
    x = torch.full_like(theta, norm**2 / channels)
    distance, total = 4 * x * torch.sin(theta / 2).square(), 4 * x * torch.cos(theta / 2).square()
    return Moments(x, x, distance, total, torch.zeros_like(theta) if tangent else None, channels)


def _from_points(values: Tensor, X: Tensor, Y: Tensor, size: Tensor, sign: float) -> Tensor:
    """Recompute |x + sign y|^2 from the points where the inner product has lost its digits."""
    near = values.detach() < _NEAR * size.detach()
    rows, columns = near.nonzero(as_tuple=True)
    if len(rows) == 0:
        return values
    # Pairs are gathered a slice at a time: with many near pairs the gathered rows would outgrow the block.
    step = max(1, 2**20 // X.shape[1])
    exact = [
        (X[rows[i : i + step]] + sign * Y[columns[i : i + step]]).square().sum(1) for i in range(0, len(rows), step)
    ]
    return values.index_put((rows, columns), torch.cat(exact))
