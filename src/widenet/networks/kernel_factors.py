"""What a part of a network's parameters adds to its tangent kernel, from numbers that are kept for every point.

The tangent kernel of a network with outputs a and parameters w is Theta_ab(x, y) = grad f_a(x) . grad f_b(y), a sum
over the parts of w. A weight matrix that is applied at positions t, z_t = W a_t, has the gradient sum_t d_t a_t^T with
d_at the derivative of output a by z_t, so that its part is sum_tt' (a_t . a'_t') (d_at . d'_bt').
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal, Self

import torch
from torch import Tensor

from widenet.kernels.blocks import new_matrix

# trace: sum over a of Theta_aa; per_output: each Theta_aa; full: each Theta_ab.
Form = Literal["trace", "per_output", "full"]
# Of the parameters of a layer: their gradients are kept, formed a slice at a time, or never formed.
Way = Literal["gradients", "gradients in slices", "outer products", "pairs of positions"]
_CELLS = 2**19  # entries of a temporary: 4 MiB, so that passes over it stay in the cache
SLICE = 48 * 2**20  # bytes of the gradients by some channels of a layer, of all points of a block


def form_shape(form: Form, outputs: int) -> tuple[int, int]:
    """Leading size k and outputs a of a side, of kernels (k, n, a, m, a) in this form."""
    return {"trace": (1, 1), "per_output": (outputs, 1), "full": (1, outputs)}[form]


class Factor(ABC):
    """Numbers of n points from which one part of their kernel with other points follows."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """What is kept, each with the points first."""

    @abstractmethod
    def holding(self, tensors: tuple[Tensor, ...]) -> Self:
        """A factor of the same part with other points."""

    @abstractmethod
    def between(self, other: Self, form: Form) -> Tensor:
        """The part of the kernel of all pairs, (k, n, a, m, a)."""

    @abstractmethod
    def squares(self) -> Tensor:
        """The part of Theta_aa(x, x), (n, outputs)."""

    def rows(self, rows: slice) -> Self:
        """The same for some of the points."""
        return self.holding(tuple(tensor[rows] for tensor in self.tensors))


@dataclass(frozen=True, eq=False)
class MatrixFactor(Factor):
    """A weight matrix and its biases, of which the inputs and the derivatives by the outputs are kept.

    Attributes:
        inputs: Inputs a of the layer.
        cotangents: Derivatives d of the network's outputs by what the layer returns.
        scale: Square of what the weights are multiplied by; 0 where they are not trained.
        constant: Square of what the biases are multiplied by; 0 where there are none.
    """

    inputs: Tensor
    cotangents: Tensor
    scale: float
    constant: float

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs and cotangents."""
        return self.inputs, self.cotangents

    def holding(self, tensors: tuple[Tensor, ...]) -> Self:
        """The same layer with other points."""
        inputs, cotangents = tensors
        return type(self)(inputs, cotangents, self.scale, self.constant)

    def _similarity(self, first: Tensor, second: Tensor) -> Tensor:
        """The numbers scale a . a' + constant of all pairs of rows a and a'."""
        return torch.addmm(first.new_full((1, 1), self.constant), first, second.T, alpha=self.scale)


@dataclass(frozen=True, eq=False)
class OuterFactor(MatrixFactor):
    """One matrix at one position: (scale a . a' + constant) (d_a . d'_b).

    Inputs are (n, p), cotangents (n, outputs, q).
    """

    def between(self, other: Self, form: Form) -> Tensor:
        """Cost: 2 n m (p + outputs q) flops, or 2 n m (p + outputs^2 q) for the full form."""
        return (
            inner_products(self.cotangents, other.cotangents, form)
            * self._similarity(self.inputs, other.inputs)[:, None, :, None]
        )

    def squares(self) -> Tensor:
        """Cost: n (p + outputs q) multiplications."""
        similarity = self.scale * self.inputs.square().sum(1, keepdim=True) + self.constant
        return similarity * self.cotangents.square().sum(2)


@dataclass(frozen=True, eq=False)
class PositionsFactor(MatrixFactor):
    """One matrix at many positions: the sum over t and t' of (scale a_t . a'_t' + constant) (d_at . d'_bt').

    Inputs are (n, positions, p), cotangents (n, positions, outputs, q).
    """

    def between(self, other: Self, form: Form) -> Tensor:
        """Cost: 2 n m positions^2 (p + outputs q) flops, and 2 n m outputs^2 positions q more for the full form."""
        cells = max(self.inputs.shape[1] ** 2, 1 if form == "trace" else self.cotangents[0].numel())
        step = max(1, isqrt(_CELLS // cells))
        starts = range(0, len(self.inputs), step), range(0, len(other.inputs), step)
        strips = []
        for i in starts[0]:
            left = self.rows(slice(i, i + step))
            strips.append(torch.cat([left._tile(other.rows(slice(j, j + step)), form) for j in starts[1]], 3))
        return torch.cat(strips, 1)

    def _tile(self, other: Self, form: Form) -> Tensor:
        (n, T, p), (m, S) = self.inputs.shape, other.inputs.shape[:2]
        first, second = self.inputs.reshape(n * T, p), other.inputs.reshape(m * S, p)
        similarity = self._similarity(first, second)
        if form == "trace":
            # All outputs in one product.
            whole = self.cotangents.reshape(n * T, -1) @ other.cotangents.reshape(m * S, -1).T
            return (whole * similarity).reshape(n, T, m, S).sum((1, 3))[None, :, None, :, None]
        outputs = self.cotangents.shape[2]
        ours = self.cotangents.transpose(1, 2).reshape(n, outputs, -1)
        columns = []
        for j in range(m):
            # sum over t' of (a_t . a'_t' + constant) d'_bt' for all t and b, then its products with d_at.
            weights = similarity[:, j * S : (j + 1) * S]
            carried = (weights @ other.cotangents[j].transpose(0, 1)).reshape(outputs, n, -1)
            if form == "full":
                columns.append(ours @ carried.permute(1, 2, 0))
            else:
                columns.append((ours * carried.transpose(0, 1)).sum(2))
        if form == "full":
            return torch.stack(columns, 2)[None]
        return torch.stack(columns, 2).transpose(0, 1)[:, :, None, :, None]

    def squares(self) -> Tensor:
        """Cost: 2 n positions^2 (p + outputs q) flops."""
        similarity = self.scale * self.inputs @ self.inputs.mT + self.constant
        parts = [(similarity * (d @ d.mT)).sum((1, 2)) for d in self.cotangents.unbind(2)]
        return torch.stack(parts, 1)


@dataclass(frozen=True, eq=False)
class SlicedFactor(MatrixFactor):
    """The same sum as that of `PositionsFactor` by gradients sum_t d_t a_t^T, of a few channels of d at a time.

    That takes less memory than all gradients where positions are few beside the channels. Inputs are
    (n, positions, p), cotangents (n, outputs, q, positions).
    """

    def slices(self, channels: int) -> Iterator["GradientFactor"]:
        """Gradients by the weights of so many channels after the other, then by all biases.

        Each is to be used before the next is asked for, which takes its memory.
        """
        n, outputs, q, positions = self.cotangents.shape
        p = self.inputs.shape[2]
        room = new_matrix(n, outputs * min(channels, q) * p, self.inputs).flatten()
        for start in range(0, q if p else 0, channels):
            some = self.scale**0.5 * self.cotangents[:, :, start : start + channels]
            width = some.shape[2] * p
            gradients = room[: n * outputs * width].view(n, -1, p)
            torch.bmm(some.reshape(n, -1, positions), self.inputs, out=gradients)
            yield GradientFactor(gradients.view(n, outputs, width))
        if self.constant:
            yield GradientFactor(self.constant**0.5 * self.cotangents.sum(3))

    def between(self, other: Self, form: Form) -> Tensor:
        """Cost: 2 n m outputs p q flops, or outputs times as many for the full form, and the gradients."""
        return torch.stack([a.between(b, form) for (a,), (b,) in sliced([self], [other])]).sum(0)

    def squares(self) -> Tensor:
        """Cost: 2 n outputs positions p q flops."""
        return torch.stack([part.squares() for part in self.slices(self.channels)]).sum(0)

    @property
    def channels(self) -> int:
        """So many that their gradients take `SLICE` bytes."""
        one = len(self.inputs) * self.cotangents.shape[1] * self.inputs.shape[2] * self.inputs.element_size()
        return max(1, SLICE // max(one, 1))


def sliced(left: Sequence[Factor], right: Sequence[Factor]) -> Iterator[tuple[Sequence[Factor], Sequence[Factor]]]:
    """Factors of two sets of points whose kernels add up: all that are kept at once, then the slices of the others.

    Args:
        left: Factors of one set.
        right: Factors of the same parts of the other, which may be the same.
    """
    pairs = list(zip(left, right, strict=True))
    whole = [(ours, theirs) for ours, theirs in pairs if not isinstance(ours, SlicedFactor)]
    if whole:
        yield [ours for ours, _ in whole], [theirs for _, theirs in whole]
    for ours, theirs in pairs:
        if isinstance(ours, SlicedFactor) and isinstance(theirs, SlicedFactor):
            channels = min(ours.channels, theirs.channels)
            if ours is theirs:
                yield from (([part], [part]) for part in ours.slices(channels))
            else:
                both = zip(ours.slices(channels), theirs.slices(channels), strict=True)
                yield from (([first], [second]) for first, second in both)


@dataclass(frozen=True, eq=False)
class GradientFactor(Factor):
    """Gradients of every output by some parameters, whose inner products are the kernel.

    Attributes:
        gradients: (n, outputs, parameters).
    """

    gradients: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The gradients."""
        return (self.gradients,)

    def holding(self, tensors: tuple[Tensor, ...]) -> Self:
        """The same parameters with other points."""
        return type(self)(*tensors)

    def between(self, other: Self, form: Form) -> Tensor:
        """Cost: 2 n m outputs p flops for p parameters, or outputs^2 p for the full form."""
        return inner_products(self.gradients, other.gradients, form)

    def squares(self) -> Tensor:
        """Cost: n outputs p multiplications."""
        return self.gradients.square().sum(2)


def inner_products(first: Tensor, second: Tensor, form: Form) -> Tensor:
    """Inner products of vectors (n, outputs, q) and (m, outputs, q), (k, n, a, m, a)."""
    (n, outputs, _), m = first.shape, len(second)
    if form == "trace":
        return (first.reshape(n, -1) @ second.reshape(m, -1).T)[None, :, None, :, None]
    if form == "per_output":
        return (first.transpose(0, 1) @ second.permute(1, 2, 0))[:, :, None, :, None]
    return (first.reshape(n * outputs, -1) @ second.reshape(m * outputs, -1).T).reshape(1, n, outputs, m, outputs)
