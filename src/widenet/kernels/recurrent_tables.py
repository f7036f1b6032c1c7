"""Recurrent layers of positively homogeneous activations, or of error functions, by the fused loops."""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor

from widenet.architectures import AbsLinear, Erf
from widenet.architectures.recurrent import Recurrent
from widenet.kernels._fused_recurrent import recurrent_pairs
from widenet.kernels._fused_recurrent_lanes import recurrent_registers
from widenet.kernels._fused_sequences import error_tables, homogeneous_tables
from widenet.kernels.sequences import sequence_lengths, trimmed

_DAMPED = 0.99  # factor of E h^2 from step to step up to which single precision serves
_FOLDED = 0.75  # share of the odd part of an activation up to which far, 1 - near, keeps its digits
_LAGS = 128  # lags of one sequence that are carried at once: their tables stay in the second cache
UNIT = 200  # sizes are kept over 2^(UNIT power)


@dataclass(frozen=True)
class SequenceTable:
    """What the pairs of a set of sequences need of each one alone; sequences sorted by falling length.

    Attributes:
        rows: Table of the fused loops, (steps, rows, n filled up to a multiple of 8).
        first: Step at which each sequence begins, (n,).
        sizes: Sizes of the top units at every step over 2^(200 power), (steps, n); 1 for the error function.
        variances: E h^2 of the top units over 4^(200 power), (steps, n).
        tangents: Tangents of each sequence with itself in those units, (steps, n).
        powers: The powers, (n,).
        order: Places of the sorted sequences in the given order, (n,).
    """

    rows: np.ndarray
    first: np.ndarray
    sizes: np.ndarray
    variances: np.ndarray
    tangents: np.ndarray
    powers: np.ndarray
    order: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of every sequence, (n,)."""
        return len(self.rows) - self.first

    def steps(self, start: int, count: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A range of steps as the fused loops take it, read with weights (steps, n)."""
        chosen = slice(start, start + count)
        return self.rows[chosen], self.first - start, weights[chosen]

    def given(self, values: np.ndarray) -> Tensor:
        """Values of the sequences, (n,), in the given order."""
        result = np.empty_like(values)
        result[self.order] = values
        return torch.from_numpy(result)

    @property
    def single(self) -> "SequenceTable":
        """The same with rows in single precision, filled up to a multiple of 16."""
        steps, rows, _ = self.rows.shape
        filled = np.zeros((steps, rows, -(-len(self.first) // 16) * 16), np.float32)
        filled[:, :, : len(self.first)] = self.rows[:, :, : len(self.first)]
        return replace(self, rows=filled)

    def parts(self, size: int) -> list[tuple[slice, "SequenceTable"]]:
        """The sequences some at a time, with their places in the sorted order; tables of their own."""
        chosen = [slice(start, min(start + size, len(self.first))) for start in range(0, len(self.first), size)]
        return [(places, self._part(places)) for places in chosen]

    def _part(self, places: slice) -> "SequenceTable":
        count, lanes = places.stop - places.start, 64 // self.rows.itemsize
        rows = np.zeros((*self.rows.shape[:2], -(-count // lanes) * lanes), self.rows.dtype)
        rows[:, :, :count] = self.rows[:, :, places]
        sizes, variances, tangents = (part[:, places] for part in (self.sizes, self.variances, self.tangents))
        return SequenceTable(
            rows, self.first[places], sizes, variances, tangents, self.powers[places], np.arange(count)
        )

    def one(self, index: int) -> "SequenceTable":
        """The table of one sequence alone."""
        chosen = slice(index, index + 1)
        start = int(self.first[index])
        rows = _rows(len(self.rows) - start, self.rows.shape[1], 1)
        rows[:, :, :1] = self.rows[start:, :, chosen]
        sizes, variances, tangents = (
            part[start:, chosen].copy() for part in (self.sizes, self.variances, self.tangents)
        )
        return SequenceTable(
            rows, self.first[chosen] * 0, sizes, variances, tangents, self.powers[chosen], np.zeros(1, int)
        )


@dataclass(frozen=True)
class FusedRecurrence:
    """Recurrent layers whose pairs the fused loops carry through time, in double precision.

    Attributes:
        layers: The layers.
        error: Whether their activation is the error function.
        tangent: Whether the tangent kernel is asked for.
    """

    layers: tuple[Recurrent, ...]
    error: bool
    tangent: bool

    @staticmethod
    @lru_cache(maxsize=128)
    def of(layers: tuple[Recurrent, ...], tangent: bool) -> "FusedRecurrence | None":
        """The fused form of these layers, or None where their activations have none."""
        activations = [layer.activation for layer in layers]
        if all(isinstance(activation, Erf) for activation in activations):
            return FusedRecurrence(layers, True, tangent)
        if all(isinstance(phi, AbsLinear) and (phi.linear or phi.absolute) for phi in activations):
            return FusedRecurrence(layers, False, tangent)
        return None

    @property
    def fits_single(self) -> bool:
        """Whether pairs at the last step may be carried in single precision: one layer that forgets its past.

        For the activation a z + b |z| a step multiplies E h^2 by s = hidden_std^2 (a^2 + b^2) and adds to it: where
        s < 1 what was rounded some steps ago no longer counts; a tangent is off by less than 1e-6 of the largest.
        """
        first, *others = self.layers
        phi = first.activation
        if others or not isinstance(phi, AbsLinear):
            return False
        total = phi.linear**2 + phi.absolute**2
        return first.hidden_std**2 * total < _DAMPED and phi.linear**2 <= _FOLDED * total

    def table(self, packed: Tensor) -> SequenceTable:
        """What pairs need of each sequence alone: O(n T (channels + layers)) numbers and time."""
        packed = trimmed(packed.detach())
        first = packed.shape[1] - sequence_lengths(packed).numpy()
        order = np.argsort(first, kind="stable")
        first = np.ascontiguousarray(first[order])
        values = packed[:, :, :-1].numpy()
        channels = values.shape[2]
        ordered = values if bool((np.diff(order) > 0).all()) else values[order]
        inputs = np.ascontiguousarray(ordered.transpose(1, 2, 0), dtype=np.float64) / sqrt(channels)
        steps, n = len(inputs), len(first)
        extra = len(self.layers) if self.error else 2 + 3 * (len(self.layers) - 1)
        rows, sizes, tangents = _rows(steps, channels + extra, n), np.empty((steps, n)), np.empty((steps, n))
        if self.error:
            variances = np.empty((steps, n))
            error_tables(rows, variances, tangents, inputs, first, self._program())
            return SequenceTable(rows, first, np.ones_like(sizes), variances, tangents, np.zeros(n, int), order)
        powers = homogeneous_tables(rows, sizes, tangents, inputs, first, self._program())
        variances = sizes * sizes
        return SequenceTable(rows, first, sizes, variances, variances * tangents, powers, order)

    def last(self, x: SequenceTable, y: SequenceTable, *, same: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Moments of the last units of all pairs, 2 r (1 -+ cos t) and the tangent, in the given order, (n, m).

        Of the error function the first is 0 and the second is 4 times the covariance.
        """
        if x.rows.dtype == np.float32:
            near, tangent = np.zeros((2, len(x.first), len(y.first)))
            program, starts = self._program()[0, :3], self._starts()[0]
            recurrent_registers((near, tangent), (x.rows, x.first), (y.rows, y.first), program, starts, same)
            far = 1 - near
        else:
            near, far, tangent = out = np.zeros((3, len(x.first), len(y.first)))
            self._pairs(out, x, y, (0, x.sizes, y.sizes), same=same, every=False)
        if self.error:
            parts = np.zeros_like(near), 4 * near, tangent
        else:
            size = x.sizes[-1][:, None] * y.sizes[-1]
            # Of near and far, whose sum is 1, the smaller one has the digits.
            close = near < far
            apart, together = np.where(close, near, 1 - far), np.where(close, 1 - near, far)
            parts = 4 * size * apart, 4 * size * together, size * tangent
        apart, together, tangent = (self._ordered(part, x, y, same=same) for part in parts)
        return apart, together, tangent

    def summed(
        self, x: SequenceTable, y: SequenceTable, power: float, *, lags: bool, same: bool
    ) -> tuple[Tensor, Tensor]:
        """Covariance and tangent summed over steps, each sequence over its length to the given power, (n, m).

        Args:
            x: First sequences.
            y: Second sequences.
            power: 1 for a mean of the units, 1/2 for steps of independent weights.
            lags: Whether every step of x is compared with every one of y, or else with that of the same number.
            same: Whether y is x.
        """
        out = np.zeros((2, len(x.first), len(y.first)))
        weights = x.sizes / x.lengths**power, y.sizes / y.lengths**power
        shifts = range(1 - len(x.rows), len(y.rows)) if lags else (len(y.rows) - len(x.rows),)
        for shift in shifts:
            self._pairs(out, x, y, (shift, *weights), same=same, every=True)
        return self._ordered(out[0], x, y, same=same), self._ordered(out[1], x, y, same=same)

    def own_sums(self, table: SequenceTable) -> tuple[Tensor, Tensor]:
        """The sums over all pairs of steps of each sequence with itself, (n,) in the given order."""
        sums = np.empty((2, len(table.first)))
        related = FusedRecurrence(tuple(_shared(layer) for layer in self.layers), self.error, self.tangent)
        for index, place in enumerate(table.order):
            sums[:, place] = related._own_sum(table.one(index))
        return torch.from_numpy(sums[0]), torch.from_numpy(sums[1])

    def _own_sum(self, one: SequenceTable) -> np.ndarray:
        """Both sums of one sequence, (2,): it meets itself k steps later as it would another one that began earlier.

        Steps k apart count twice, for k and -k.
        """
        steps, weights, total = len(one.rows), one.sizes / len(one.rows), np.zeros(2)
        for least in range(0, steps, _LAGS):
            lags = np.arange(min(least + _LAGS, steps) - 1, least - 1, -1)  # sequences must be sorted by their start
            places = np.arange(steps - least)[:, None] + lags
            inside, places = places < steps, np.minimum(places, steps - 1)
            rows = _rows(len(places), one.rows.shape[1], len(lags))
            rows[:, :, : len(lags)] = one.rows[:, :, 0][places].transpose(0, 2, 1)
            later = rows, -lags, np.where(inside, weights[:, 0][places], 0.0)
            out = np.zeros((2, 1, len(lags)))
            views = one.steps(0, len(places), weights), later
            recurrent_pairs(out, *views, self._numbers(), self._starts(), (self.error, True, False))
            total += out[:, 0] @ np.where(lags == 0, 1.0, 2.0)
        return total

    def _pairs(
        self,
        out: np.ndarray,
        x: SequenceTable,
        y: SequenceTable,
        reading: tuple[int, np.ndarray, np.ndarray],
        *,
        same: bool,
        every: bool,
    ) -> None:
        """The fused loops where step s of x meets step s + shift of y; without `every`, up to the last of both."""
        shift, x_weights, y_weights = reading
        if not every:
            shift = len(y.rows) - len(x.rows)
        start = max(0, -shift)
        count = min(len(x.rows), len(y.rows) - shift) - start
        views = x.steps(start, count, x_weights), y.steps(start + shift, count, y_weights)
        recurrent_pairs(out, *views, self._numbers(), self._starts(), (self.error, every, same))

    def _numbers(self) -> np.ndarray:
        """What `recurrent_pairs` asks for of each layer."""
        return np.ascontiguousarray(self._program()[:, : 6 if self.error else 3])

    def _program(self) -> np.ndarray:
        """One row a layer, as `homogeneous_tables` or `error_tables` asks for it."""
        rows = []
        for layer in self.layers:
            phi, trained = layer.activation, float(layer.trainable and self.tangent)
            gains = layer.hidden_std**2, layer.input_std**2, layer.bias_std**2
            initial = 0.0 if layer.initial_state == "zero" else layer.initial_std**2
            if isinstance(phi, Erf):
                amplitude = phi.amplitude**2 * 2 / pi
                rows.append([amplitude, phi.offset**2, trained, *gains, initial, 2 * phi.frequency**2])
            elif isinstance(phi, AbsLinear):
                total = phi.linear**2 + phi.absolute**2
                odd = phi.linear**2 / total
                rows.append([odd, 1 - odd, trained, *gains, initial, total])
        return np.array(rows)

    def _starts(self) -> np.ndarray:
        """Moments of pairs of initial states: unrelated, and where both begin at one step."""
        unrelated, related = ((0.0, 0.0), (1.0, 0.0)) if self.error else ((0.5, 0.5), (0.0, 1.0))
        rows = []
        for layer in self.layers:
            shared = layer.initial_state == "shared"
            both = related if shared else unrelated
            rows.append([*unrelated, both[0] * (layer.initial_std**2 if self.error else 1.0), both[1]])
        return np.array(rows)

    def _ordered(self, values: np.ndarray, x: SequenceTable, y: SequenceTable, *, same: bool) -> Tensor:
        """Values of sorted sequences in the given order; of the pairs j >= i where y is x, mirrored."""
        result = np.empty_like(values)
        if same:
            values = np.triu(values) + np.triu(values, 1).T
        result[np.ix_(x.order, y.order)] = values
        return torch.from_numpy(result)


def _rows(steps: int, rows: int, n: int) -> np.ndarray:
    """An empty table, its last axis filled up with zeros to whole vectors of the processor."""
    table = np.empty((steps, rows, -(-n // 8) * 8))
    table[:, :, n:] = 0
    return table


def _shared(layer: Recurrent) -> Recurrent:
    """The layer where a sequence meets itself: its initial state is one state."""
    if layer.initial_state != "independent":
        return layer
    return Recurrent(
        layer.activation,
        layer.hidden_std,
        layer.input_std,
        layer.bias_std,
        layer.initial_std,
        "shared",
        layer.trainable,
    )
