"""Recurrent layers of any activation, step by step in torch, for all pairs at once, differentiable."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from widenet.architectures.recurrent import Recurrent
from widenet.kernels.duals import dual
from widenet.kernels.moments import Moments, add_independent, pair_moments, root
from widenet.kernels.sequences import sequence_lengths, trimmed


@dataclass(frozen=True)
class SequenceSteps:
    """Sequences, and what pairs need of each one alone.

    Attributes:
        values: Right-aligned steps in double precision, (n, T, channels).
        first: Step at which each begins, (n,).
        before: E h^2 of every layer before every step, (T, layers, n).
        last: Moments of the top units of each sequence with itself at its last step, (n,).
        steps: E h^2 and tangent of the top units with themselves at every step, (2, T, n); 0 before they begin.
    """

    values: Tensor
    first: Tensor
    before: Tensor
    last: Moments
    steps: Tensor

    @property
    def lengths(self) -> Tensor:
        """Number of steps of every sequence, (n,)."""
        return self.values.shape[1] - self.first


def sequence_steps(layers: tuple[Recurrent, ...], packed: Tensor, *, tangent: bool) -> SequenceSteps:
    """Carry each sequence alone through the layers."""
    packed = trimmed(packed)
    values, first = packed[:, :, :-1].double(), packed.shape[1] - sequence_lengths(packed)
    state = [torch.zeros_like(values[:, 0, 0]) for _ in layers]
    tangents = [torch.zeros_like(values[:, 0, 0]) for _ in layers]
    before, tops, last = [], [], Moments(state[0], state[0], state[0], state[0])
    for s in range(values.shape[1]):
        begins, begun = first == s, first <= s
        parts = _own_input(values[:, s], tangent)
        befores = []
        for index, layer in enumerate(layers):
            initial = torch.full_like(state[index], _initial(layer))
            variance = torch.where(begins, initial, state[index])
            own = torch.where(begins, torch.zeros_like(initial), tangents[index])
            befores.append(variance)
            hidden = Moments(variance, variance, torch.zeros_like(variance), 4 * variance, own if tangent else None)
            last = parts = _layer(layer, hidden, parts)
            state[index] = torch.where(begun, parts.x, torch.zeros_like(parts.x))
            if parts.tangent is not None:
                tangents[index] = torch.where(begun, parts.tangent, torch.zeros_like(parts.x))
        before.append(torch.stack(befores))
        tops.append(torch.stack([state[-1], tangents[-1]]))
    return SequenceSteps(values, first, torch.stack(before), last, torch.stack(tops, 1))


def pair_steps(
    layers: tuple[Recurrent, ...], x: SequenceSteps, y: SequenceSteps, shift: int, *, itself: bool | None, tangent: bool
) -> Iterator[tuple[Moments, Tensor]]:
    """Moments of the top units where step s of x meets step s + shift of y, and which pairs have both begun.

    Args:
        layers: The layers.
        x: First sequences.
        y: Second sequences.
        shift: Difference of the steps that meet.
        itself: None for each sequence of x with the same one of y, which is x, (n,); True for all pairs where y is x,
            False for all pairs of others, (n, m).
        tangent: Whether the tangent kernel is asked for.
    """
    aligned = itself is None

    def rows(values: Tensor) -> Tensor:
        return values if aligned else values[..., :, None]

    def columns(values: Tensor) -> Tensor:
        return values if aligned else values[..., None, :]

    start = max(0, -shift)
    stop = min(x.values.shape[1], y.values.shape[1] - shift)
    x_first, y_first = rows(x.first), columns(y.first - shift)
    state: list[Moments] = []
    for s in range(start, stop):
        first, second = x.values[:, s], y.values[:, s + shift]
        if aligned:
            parts = _aligned_input(first, second, tangent)
        else:
            parts = pair_moments(first, second, tangent, same=bool(itself) and shift == 0)
        both = (x_first <= s) & (y_first <= s)
        begin = (x_first == s) | (y_first == s) | (s == start) | ~both
        shared = (x_first == s) & (y_first == s)
        for index, layer in enumerate(layers):
            own = rows(x.before[s, index]), columns(y.before[s + shift, index])
            related = aligned or layer.initial_state != "independent"
            hidden = _hidden(own, state[index] if state and len(state) > index else None, begin, shared & related)
            if not tangent:
                hidden = replace(hidden, tangent=None)
            parts = _layer(layer, hidden, parts)
            state[index : index + 1] = [parts]
        yield parts, both


def _hidden(own: tuple[Tensor, Tensor], previous: Moments | None, begin: Tensor, shared: Tensor) -> Moments:
    """Moments of the hidden states before a step: pairs that begin are unrelated, or in one state."""
    size = root(own[0] * own[1])
    zero = torch.zeros_like(size)
    apart, together = torch.where(shared, zero, 2 * size), torch.where(shared, 4 * size, 2 * size)
    tangent = zero
    if previous is not None:
        apart, together = torch.where(begin, apart, previous.apart), torch.where(begin, together, previous.together)
        if previous.tangent is not None:
            tangent = torch.where(begin, zero, previous.tangent)
    return Moments(*own, apart, together, tangent)


def _layer(layer: Recurrent, hidden: Moments, below: Moments) -> Moments:
    """One step of a layer: its state before and what it reads, to its state after."""
    parts = [hidden.scaled(layer.hidden_std**2), below.scaled(layer.input_std**2)]
    units = add_independent(parts).with_constant(layer.bias_std**2)
    tangent = units.tangent
    if tangent is not None and layer.trainable:
        tangent = tangent + units.cross
    units = Moments(units.x, units.y, units.apart, units.together, tangent, gaussian=True, drawn=0)
    after = dual(layer.activation, units)
    tangent = None if tangent is None else tangent * after.derivative
    return Moments(after.x, after.y, after.apart, after.together, tangent)


def _initial(layer: Recurrent) -> float:
    return 0.0 if layer.initial_state == "zero" else layer.initial_std**2


def _own_input(values: Tensor, tangent: bool) -> Moments:
    x = values.square().mean(1)
    return Moments(x, x, torch.zeros_like(x), 4 * x, torch.zeros_like(x) if tangent else None)


def _aligned_input(first: Tensor, second: Tensor, tangent: bool) -> Moments:
    """Moments of two steps of each sequence, from the difference and the sum of their directions."""
    x, y = first.square().mean(1), second.square().mean(1)
    size = root(x * y)
    units = [
        values / torch.where(square > 0, square, 1.0).sqrt()[:, None] for values, square in ((first, x), (second, y))
    ]
    apart, together = (size * (units[0] + sign * units[1]).square().mean(1) for sign in (-1, 1))
    return Moments(x, y, apart, together, torch.zeros_like(apart) if tangent else None)
