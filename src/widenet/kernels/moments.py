"""What flows through an infinitely wide network: second moments of the units at two points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations

import torch
from torch import Tensor

# Where 1 - cos is below this, the inner product has lost over three digits of it.
_NEAR = 1e-3
# Up to so many channels differences of directions are cheaper than the search for pairs that need them.
_FEW_CHANNELS = 4


@dataclass(frozen=True)
class Moments:
    """Second moments of the units u (at point x) and v (at point y) of one layer, averaged over the layer.

    The cross moment E[u v] = r cos t, with r = sqrt(E u^2 E v^2) and t the angle between u and v, is
    kept as 2 r (1 - cos t) and 2 r (1 + cos t): points that are nearly parallel or nearly opposite
    would otherwise lose half of the digits in every layer, just where ReLU-like kernels have their
    kinks. The tensors broadcast to the shape of the result: (n, 1) and (1, m) beside (n, m) for all
    pairs, (n,) for aligned ones.

    Points with positions, such as images, come as a list of N pairs of points. Aligned positions p compare
    x(p) with y(p): all tensors are (N, *p). Crossed ones compare x(p) with y(q): (N, *p, *q), with x as
    (N, *p, 1, ...) and y as (N, 1, ..., *q). Layers of channels never look at positions.

    Attributes:
        x: E[u^2].
        y: E[v^2].
        apart: 2 r (1 - cos t) = E[(u - v)^2] - (sqrt(E u^2) - sqrt(E v^2))^2.
        together: 2 r (1 + cos t).
        tangent: Neural tangent kernel so far, or None where it is not asked for.
        channels: Number of channels of the inputs, None after a layer of infinite width.
        width: Relative width of the layer, for the shares in a concatenation.
        gaussian: Whether the units are Gaussian, as the outputs of a layer with weights are.
        depth: Number of sums of branches around this layer.
        drawn: Least such depth at which the weights were drawn of which the units are an odd function; -1 if none.
        axes: Number of axes of positions.
        crossed: Whether positions are crossed.
        tracked: Whether x and y are the second moments, and not mere bounds of them, as after pooling.
        own: For every pair (x, y) of the list, where in it the pairs (x, x) and (y, y) stand; None if nowhere.
        pixel: Whether the one position is that of an image of any size, of which every window holds one position.
    """

    x: Tensor
    y: Tensor
    apart: Tensor
    together: Tensor
    tangent: Tensor | None = None
    channels: int | None = None
    width: float = 1.0
    gaussian: bool = False
    depth: int = 0
    drawn: int = -1
    axes: int = 0
    crossed: bool = False
    tracked: bool = True
    own: tuple[Tensor, Tensor] | None = None
    pixel: bool = False

    @property
    def centred(self) -> bool:
        """Whether the units have mean zero."""
        return self.drawn >= 0

    @property
    def cross(self) -> Tensor:
        """E[u v]."""
        return (self.together - self.apart) / 4

    @property
    def size(self) -> Tensor:
        """The size r = sqrt(E u^2 E v^2)."""
        return root(self.x * self.y)

    @property
    def gap(self) -> Tensor:
        """(sqrt(E u^2) - sqrt(E v^2))^2, from the difference of the squares, which loses no digits."""
        return (self.x - self.y).square() / (self.x + self.y + 2 * self.size).clamp(min=1e-300)

    @property
    def angle(self) -> Tensor:
        """The angle t in [0, pi]; 0 where u or v is zero. Its gradient is taken as 0 at 0 and pi."""
        inside = (self.apart > 0) & (self.together > 0)
        ends = torch.pi * (self.apart > 0).to(self.apart.dtype)
        opposite = torch.where(inside, self.apart, 1.0).sqrt()
        adjacent = torch.where(inside, self.together, 1.0).sqrt()
        return torch.where(inside, 2 * torch.atan2(opposite, adjacent), ends)

    def scaled(self, factor: float) -> "Moments":
        """The moments of units multiplied by sqrt(factor)."""
        return replace(
            self,
            x=factor * self.x,
            y=factor * self.y,
            apart=factor * self.apart,
            together=factor * self.together,
            tangent=None if self.tangent is None else factor * self.tangent,
        )

    def with_constant(self, variance: float) -> "Moments":
        """The moments after adding one independent N(0, variance) variable to u and v alike."""
        if variance == 0:
            return self
        constant = torch.full_like(self.x.reshape(-1)[:1], variance)
        return add_independent([self, Moments(constant, constant, 0 * constant, 4 * constant)])


def root(values: Tensor) -> Tensor:
    """Square root whose gradient at 0 is taken as 0: the gradient of a squared norm is 0 there as well."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)


def add_independent(parts: Sequence[Moments]) -> Moments:
    """Moments of sums of independent units; the tangents add; the marks are those of the first part.

    With p_i, q_i the second moments of the parts, P and Q their sums, the new 2 r (1 -+ cos t) is the
    sum of the old ones plus 2 (sqrt(P Q) - sum_i sqrt(p_i q_i)), which Lagrange's identity turns into
    sum_{i<j} 2 (sqrt(p_i q_j) - sqrt(p_j q_i))^2 / (sqrt(P Q) + sum_i sqrt(p_i q_i)).
    """

    def total(values: Sequence[Tensor]) -> Tensor:
        return reduce(torch.add, values)

    x, y = total([part.x for part in parts]), total([part.y for part in parts])
    between = root(x * y) + total([part.size for part in parts])
    skew = torch.zeros_like(between)
    for a, b in combinations(parts, 2):
        straight, crossed = a.x * b.y, b.x * a.y
        roots = straight + crossed + 2 * root(straight * crossed)
        skew = skew + (straight - crossed).square() / roots.clamp(min=1e-300)
    skew = 2 * skew / between.clamp(min=1e-300)
    tangents = [part.tangent for part in parts if part.tangent is not None]
    return replace(
        parts[0],
        x=x,
        y=y,
        apart=total([part.apart for part in parts]) + skew,
        together=total([part.together for part in parts]) + skew,
        tangent=total(tangents) if tangents else None,
    )


def pair_moments(X: Tensor, Y: Tensor, tangent: bool, *, same: bool = False) -> Moments:
    """Moments of all pairs of two sets of points, as means over channels.

    Args:
        X: Points, (n, channels).
        Y: Points, (m, channels).
        tangent: Whether the tangent kernel is asked for.
        same: Whether Y is X; the moments are then exactly symmetric, and each point is no way apart from itself.
    """
    channels = X.shape[1]
    x, y = X.square().sum(1)[:, None], Y.square().sum(1)[None, :]
    size, cross = root(x * y), X @ Y.T
    if same:
        # A matrix product adds in another order on either side of the diagonal.
        itself = torch.eye(len(X), dtype=torch.bool, device=X.device)
        cross = torch.where(itself, size, (cross + cross.T) / 2)
    apart = _from_directions(2 * (size - cross), X[:, None], Y[None], size, -1.0)
    together = _from_directions(2 * (size + cross), X[:, None], Y[None], size, 1.0)
    moments = Moments(x, y, apart, together, torch.zeros_like(apart) if tangent else None, channels)
    return moments.scaled(1 / channels)


def aligned_moments(X: Tensor, tangent: bool) -> Moments:
    """Moments of every point with itself, (n,)."""
    x = X.square().mean(1)
    return Moments(x, x, torch.zeros_like(x), 4 * x, torch.zeros_like(x) if tangent else None, X.shape[1])


def sphere_moments(theta: Tensor, norm: float, channels: int, tangent: bool) -> Moments:
    """Moments of pairs of points of one norm at the given angles, (n,)."""
    x = torch.full_like(theta, norm**2 / channels)
    apart, together = 4 * x * torch.sin(theta / 2).square(), 4 * x * torch.cos(theta / 2).square()
    return Moments(x, x, apart, together, torch.zeros_like(theta) if tangent else None, channels)


def listed_moments(
    X: Tensor, Y: Tensor, tangent: bool, *, crossed: bool, own: tuple[Tensor, Tensor] | None = None
) -> Moments:
    """Moments of a list of pairs of points with positions, as means over channels.

    Args:
        X: First points of the pairs, (N, *positions, channels).
        Y: Second points, of the same shape.
        tangent: Whether the tangent kernel is asked for.
        crossed: Whether every position of x is compared with every one of y, or else with the same one.
        own: Where the pairs (x, x) and (y, y) stand in the list, two times (N,), or None.
    """
    axes, channels = X.ndim - 2, X.shape[-1]
    if crossed:
        ones = (1,) * axes
        X, Y = X.reshape(*X.shape[:-1], *ones, channels), Y.reshape(len(Y), *ones, *Y.shape[1:])
    x, y = X.square().sum(-1), Y.square().sum(-1)
    size = root(x * y)
    if channels <= _FEW_CHANNELS:
        units = zip(_directions(X).unbind(-1), _directions(Y).unbind(-1), strict=True)
        pairs = [((a - b).square(), (a + b).square()) for a, b in units]
        apart, together = (size * reduce(torch.add, parts) for parts in zip(*pairs, strict=True))
    else:
        cross = (X.flatten(1, -2) @ Y.flatten(1, -2).mT).reshape(size.shape) if crossed else (X * Y).sum(-1)
        apart = _from_directions(2 * (size - cross), X, Y, size, -1.0)
        together = _from_directions(2 * (size + cross), X, Y, size, 1.0)
    zero = torch.zeros_like(apart) if tangent else None
    moments = Moments(x, y, apart, together, zero, channels, axes=axes, crossed=crossed, own=own)
    return moments.scaled(1 / channels)


def _directions(points: Tensor) -> Tensor:
    norms = root(points.square().sum(-1, keepdim=True))
    # A zero point has no direction; its size makes what follows 0 whatever stands here.
    return points / torch.where(norms > 0, norms, 1.0)


def _from_directions(values: Tensor, X: Tensor, Y: Tensor, size: Tensor, sign: float) -> Tensor:
    """Recompute |x||y| |x/|x| + sign y/|y||^2 from the points where the inner product has lost its digits.

    The points broadcast to the shape of the values, with the channels after it.
    """
    near = (values.detach() < 2 * _NEAR * size.detach()) | (values.detach() < 0)
    where = near.nonzero(as_tuple=True)
    if len(where[0]) == 0:
        return values
    unit_x, unit_y = (_directions(points).expand(*values.shape, -1) for points in (X, Y))
    # Pairs are gathered a slice at a time: with many near pairs the gathered rows would outgrow the block.
    step = max(1, 2**20 // X.shape[-1])
    exact = []
    for start in range(0, len(where[0]), step):
        part = tuple(index[start : start + step] for index in where)
        exact.append((unit_x[part] + sign * unit_y[part]).square().sum(-1))
    return values.index_put(where, torch.cat(exact) * size[where])
