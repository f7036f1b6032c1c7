"""What flows through an architecture in its explicit reading: features of the covariance and of the tangent kernel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

from widenet.features.random_blocks import hashed

_SLACK = 4  # features may be so many times the width before they are hashed down to it


@dataclass(frozen=True)
class Budget:
    """How many features the layers of an architecture may make.

    Attributes:
        width: Sketched features of each kernel after an activation inside the network.
        tail: The same after the last activation, behind which nothing multiplies them.
        degree: Highest power of the cosine in the series of an activation, at least 1.
        seed: Of all sketches.
    """

    width: int
    tail: int
    degree: int
    seed: int


@dataclass(frozen=True)
class Embedding:
    """Explicit features of the units of one layer at n points, at every position where there are any.

    Attributes:
        covariance: Features whose inner products are the covariance of the units, (n, *positions, p).
        tangent: Features of the neural tangent kernel so far, (n, *positions, s), or None where it is not asked for.
        square: Second moments E[u^2], exact, (n, *positions) in float64; None where they are known by the features
            alone, as after pooling.
        budget: How many features may be made.
        place: Path to this layer in the architecture, which picks its random numbers.
        last: Whether no activation follows behind the part that reads this.
        channels: Number of channels of the inputs, None after a layer of infinite width.
        share: Relative width of the layer, for the shares in a concatenation.
        lowest: Least correlation between the units of two points, for the fits of ReLU-like activations.
        pools: Whether global pooling follows at once, so that an activation that reads this may average by itself.
        merged: How many positions were averaged into the one that is left.
    """

    covariance: Tensor
    tangent: Tensor | None
    square: Tensor | None
    budget: Budget
    place: tuple[int, ...] = ()
    last: bool = True
    channels: int | None = None
    share: float = 1.0
    lowest: float = -1.0
    pools: bool = False
    merged: int = 1

    @property
    def axes(self) -> int:
        """Number of axes of positions."""
        return self.covariance.ndim - 2

    @property
    def second_moment(self) -> Tensor:
        """E[u^2]; from the features where it was not tracked, right on average."""
        return self.covariance.double().square().sum(-1) if self.square is None else self.square

    def at(self, number: int) -> "Embedding":
        """The same for a part of the layer, with random numbers of its own."""
        return replace(self, place=(*self.place, number), pools=False)

    def key(self, number: int) -> tuple[int, ...]:
        """What a sketch of this layer is drawn from."""
        return (self.budget.seed, *self.place, number)

    def scaled(self, factor: float) -> "Embedding":
        """The features of units multiplied by a factor."""
        return replace(
            self,
            covariance=factor * self.covariance,
            tangent=None if self.tangent is None else factor * self.tangent,
            square=None if self.square is None else factor**2 * self.square,
        )

    def with_constant(self, std: float) -> "Embedding":
        """The features after adding one independent N(0, std^2) variable to all units alike."""
        if std == 0:
            return self
        square = None if self.square is None else self.square + std**2
        return replace(
            self, covariance=with_column(self.covariance, std), square=square, lowest=mixed_lowest([self.lowest, 1.0])
        )

    def compressed(self) -> "Embedding":
        """The same with at most four times as many features of each kernel as are made here, hashed down from more."""
        covariance, tangent = self.covariance, self.tangent
        size = _SLACK * max(self.budget.width, self.room)
        if covariance.shape[-1] > size:
            covariance = hashed(covariance, size, self.key(-1))
        if tangent is not None and tangent.shape[-1] > size:
            tangent = hashed(tangent, size, self.key(-2))
        return replace(self, covariance=covariance, tangent=tangent)

    @property
    def room(self) -> int:
        """How many sketched features an activation makes here."""
        return self.budget.tail if self.last else self.budget.width


def with_column(features: Tensor, value: float) -> Tensor:
    """Features with one more, the same for all points."""
    return torch.cat([features, torch.full_like(features[..., :1], value)], -1)


def joined(parts: Sequence[Embedding], weights: Sequence[float]) -> Embedding:
    """Features of sums of independent units times weights: side by side; the rest is that of the first part."""
    parts = [part.scaled(sqrt(weight)) for part, weight in zip(parts, weights, strict=True)]
    squares = [part.square for part in parts if part.square is not None]
    tangents = [part.tangent for part in parts if part.tangent is not None]
    return replace(
        parts[0],
        covariance=torch.cat([part.covariance for part in parts], -1),
        tangent=torch.cat(tangents, -1) if tangents else None,
        square=torch.stack(squares).sum(0) if len(squares) == len(parts) else None,
        channels=None,
        lowest=mixed_lowest([part.lowest for part in parts]),
    )


def mixed_lowest(lowest: Sequence[float]) -> float:
    """Least correlation of sums of independent units: parts of unequal size bring positive ones down to 0."""
    return min(0.0, *lowest)
