"""The sequences reading: recurrent networks on sequences of different lengths."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import Array, Inputs
from widenet.architectures import Dense, Identity, Layer, Repeat, Serial, serial, walk
from widenet.architectures.recurrent import LastStep, Recurrent, StepwiseAverage
from widenet.architectures.spatial import GlobalAveragePool, SpatialLayer
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels.blocks import new_matrix, run_tiles
from widenet.kernels.moments import Moments
from widenet.kernels.propagate import propagate
from widenet.kernels.readings import Reading
from widenet.kernels.recurrent_moments import SequenceSteps, pair_steps, sequence_steps
from widenet.kernels.recurrent_tables import UNIT, FusedRecurrence, SequenceTable
from widenet.kernels.sequences import pack_sequences, sequence_lengths

_MATRICES = 40  # of a tile that are held at a time, at most
_SHARED_TILE = 96  # sequences of a tile whose tables are shared: some milliseconds of work
_TILE, _POOLED_TILE = 128, 64  # sequences of a block of pairs: large beside the work for each one, small beside a wait


@dataclass(frozen=True)
class _Sums:
    """Covariance and tangent of what the last layers read, over 2^(UNIT power).

    Attributes:
        moments: Their moments, where the last layers may be any; else None.
        covariance: E[u v].
        tangent: Tangent.
        power: Sum of the powers of both sequences.
    """

    moments: Moments | None
    covariance: Tensor
    tangent: Tensor
    power: Tensor


@dataclass(frozen=True)
class SequenceReading(Reading):
    """Recurrent layers, a readout over the steps, and layers after it.

    The readout is the last step; `GlobalAveragePool()`, the mean over the steps with one set of weights after it;
    or `StepwiseAverage()`, with weights of their own at each step. After the last two comes one `Dense`.

    Attributes:
        scaled: Whether to give the kernel over 2^(200 k_i + 200 k_j) instead, with whole numbers k of each sequence
            alone that keep it from overflowing.
    """

    scaled: bool = False

    def __post_init__(self) -> None:
        if self.input_shape is not None and len(self.input_shape) != 2:
            raise InvalidArchitecture(
                "a recurrent architecture reads sequences, whose input_shape is (steps, channels)",
                str(self.input_shape),
                "Use (-1, channels) for any number of steps",
            )
        _, readout, head = _parts_of(self.architecture)
        if not isinstance(readout, LastStep) and not isinstance(head, Dense):
            raise InvalidArchitecture(
                f"exactly one Dense layer must follow {readout!r}, whose units have no tracked variance",
                repr(head),
                "Use the last step, or one Dense()",
            )
        if isinstance(head, Dense) and head.fan_in_scaling == "none":
            raise InvalidArchitecture(
                "Dense(fan_in_scaling='none') must read the inputs", "a recurrent layer before it", "Use 'inverse'"
            )
        one = torch.ones(1, dtype=torch.float64)
        if isinstance(readout, LastStep):
            propagate(head, Moments(one, one, 0 * one, 4 * one, 0 * one))

    @property
    def packs(self) -> bool:
        """Sequences come in lists, and leave as packed tensors."""
        return True

    def read_inputs(self, X: Array, Y: Array | None) -> Inputs:
        """Bring one or two sets of sequences to packed tensors (n, T, channels + 1)."""
        return pack_sequences(X, Y, self.input_shape)

    def check(self, X: Tensor) -> None:
        """Raise InvalidInput where sequences of different lengths meet an average over numbered steps."""
        lengths = sequence_lengths(X)
        if isinstance(self._readout, StepwiseAverage) and bool((lengths != lengths[0]).any()):
            raise _unequal(int(lengths.min()), int(lengths.max()))

    def pair_size(self, X: Tensor) -> int:
        """One number of a pair weighs more than an entry: it is worked on at every step."""
        tile = _POOLED_TILE if isinstance(self._readout, GlobalAveragePool) else _TILE
        return (512 // tile) ** 2

    def gram(self, X: Tensor, Y: Tensor | None) -> Tensor | None:
        """Gram matrix by the fused loops on all threads, where the last step is read and no gradient is asked for.

        Tables of the sequences are made once, and the tiles of pairs in their order. Points in single precision are
        carried so where `FusedRecurrence.fits_single`.
        """
        fused = self._fused(X, X if Y is None else Y)
        if fused is None or not isinstance(self._readout, LastStep):
            return None
        tables = [fused.table(points) for points in ((X,) if Y is None else (X, Y))]
        own = None if Y is not None else self._head(self._own_of(fused, tables[0]), X.dtype)
        if X.dtype == torch.float32 and fused.fits_single:
            tables = [table.single for table in tables]
        x, y = tables[0], tables[-1]
        parts_x, parts_y = x.parts(_SHARED_TILE), y.parts(_SHARED_TILE)
        result = new_matrix(len(X), len(X if Y is None else Y), X)

        def fill(tile: tuple[int, int]) -> None:
            (rows, first), (columns, second) = parts_x[tile[0]], parts_y[tile[1]]
            itself = Y is None and tile[0] == tile[1]
            values = self._head(self._sums_of_last(fused, first, first if itself else second, same=itself), X.dtype)
            block, to_rows, to_columns = values.to(X.dtype).numpy(), x.order[rows], y.order[columns]
            result.numpy()[np.ix_(to_rows, to_columns)] = block
            if Y is None and not itself:
                result.numpy()[np.ix_(to_columns, to_rows)] = block.T

        tiles = [(i, j) for i in range(len(parts_x)) for j in range(len(parts_y)) if Y is not None or i <= j]
        # Those on the diagonal are half the work: last, so that threads end at about the same time.
        run_tiles(fill, sorted(tiles, key=lambda tile: tile[0] == tile[1]), threads=torch.get_num_threads())
        if own is not None:
            result.diagonal().copy_(own)
        return result

    def working_bytes(self, X: Tensor) -> tuple[int, int]:
        """Some matrices of a tile for each thread; the tables of its sequences, and of all where tiles share them."""
        tile = _POOLED_TILE if isinstance(self._readout, GlobalAveragePool) else _TILE
        table = 8 * X.shape[1] * (X.shape[2] + 3 * len(self._parts[0]) + 3)
        return torch.get_num_threads() * (8 * _MATRICES * tile**2 + 4 * tile * table), 4 * table

    def cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """Kernel of all pairs, (n, m) in float64."""
        return self._values(X, Y, same=same)

    def diagonal(self, X: Tensor) -> Tensor:
        """Kernel of every sequence with itself, (n,) in float64."""
        return self._own_values(X)

    @property
    def in_range(self) -> Reading:
        """The same kernel but for positive factors of each sequence, so that it does not overflow."""
        return replace(self, scaled=True)

    @cached_property
    def _parts(self) -> tuple[tuple[Recurrent, ...], Layer, Layer]:
        return _parts_of(self.architecture)

    @property
    def _readout(self) -> Layer:
        return self._parts[1]

    def _fused(self, *points: Tensor) -> FusedRecurrence | None:
        gradients = torch.is_grad_enabled() and any(part.requires_grad for part in points)
        if gradients or points[0].device.type != "cpu":
            return None
        return FusedRecurrence.of(self._parts[0], self.tangent)

    def _values(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        if isinstance(self._readout, StepwiseAverage):
            lengths = torch.cat([sequence_lengths(X), sequence_lengths(Y)])
            if bool((lengths != lengths[0]).any()):
                raise _unequal(int(lengths.min()), int(lengths.max()))
        fused = self._fused(X, Y)
        sums = self._slow_sums(X, Y, same=same) if fused is None else self._fused_sums(fused, X, Y, same=same)
        values = self._head(sums, X.dtype)
        if same:
            itself = torch.eye(len(X), dtype=torch.bool, device=X.device)
            values = torch.where(itself, self._own_values(X)[:, None], values)
        return values

    def _fused_sums(self, fused: FusedRecurrence, X: Tensor, Y: Tensor, *, same: bool) -> _Sums:
        x = fused.table(X)
        y = x if same else fused.table(Y)
        if isinstance(self._readout, LastStep):
            return self._sums_of_last(fused, x, y, same=same)
        power = _powers(x)[:, None] + _powers(y)
        pooled = isinstance(self._readout, GlobalAveragePool)
        covariance, tangent = fused.summed(x, y, 1 if pooled else 0.5, lags=pooled, same=same)
        return _Sums(None, covariance, tangent, power)

    def _sums_of_last(self, fused: FusedRecurrence, x: SequenceTable, y: SequenceTable, *, same: bool) -> _Sums:
        apart, together, tangent = fused.last(x, y, same=same)
        moments = Moments(_lasts(x)[:, None], _lasts(y)[None], apart, together, self._marked(tangent))
        return _Sums(moments, moments.cross, tangent, _powers(x)[:, None] + _powers(y))

    def _slow_sums(self, X: Tensor, Y: Tensor, *, same: bool) -> _Sums:
        layers = self._parts[0]
        x = sequence_steps(layers, X, tangent=self.tangent)
        y = x if same else sequence_steps(layers, Y, tangent=self.tangent)
        zero = x.values.new_zeros(len(X), len(Y))
        shift = y.values.shape[1] - x.values.shape[1]
        if isinstance(self._readout, LastStep):
            *_, (moments, _) = pair_steps(layers, x, y, shift, itself=same, tangent=self.tangent)
            return _Sums(moments, moments.cross, zero if moments.tangent is None else moments.tangent, zero)
        weight = 1.0 / (x.lengths[:, None] * y.lengths).double()
        if isinstance(self._readout, StepwiseAverage):
            covariance, total = self._slow_lag(x, y, shift, itself=same)
            return _Sums(None, weight.sqrt() * covariance, weight.sqrt() * total, zero)
        lags = [self._slow_lag(x, y, lag, itself=same) for lag in range(1 - x.values.shape[1], y.values.shape[1])]
        covariance, total = (torch.stack(parts).sum(0) for parts in zip(*lags, strict=True))
        return _Sums(None, weight * covariance, weight * total, zero)

    def _slow_lag(self, x: SequenceSteps, y: SequenceSteps, lag: int, *, itself: bool | None) -> tuple[Tensor, Tensor]:
        """Covariance and tangent summed over the steps at which step s of x meets step s + lag of y."""
        covariance, total = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for moments, both in pair_steps(self._parts[0], x, y, lag, itself=itself, tangent=self.tangent):
            covariance = covariance + torch.where(both, moments.cross, 0.0)
            if moments.tangent is not None:
                total = total + torch.where(both, moments.tangent, 0.0)
        return covariance, total + torch.zeros_like(covariance)

    def _own_values(self, X: Tensor) -> Tensor:
        fused = self._fused(X)
        sums = self._slow_own(X) if fused is None else self._own_of(fused, fused.table(X))
        return self._head(sums, X.dtype)

    def _own_of(self, fused: FusedRecurrence, table: SequenceTable) -> _Sums:
        power = 2 * _powers(table)
        if isinstance(self._readout, LastStep):
            x, tangent = _lasts(table), table.given(table.tangents[-1])
            moments = Moments(x, x, torch.zeros_like(x), 4 * x, self._marked(tangent))
            return _Sums(moments, x, tangent, power)
        if isinstance(self._readout, GlobalAveragePool):
            covariance, tangent = fused.own_sums(table)
        else:
            covariance = table.given(table.variances.sum(0) / table.lengths)
            tangent = table.given(table.tangents.sum(0) / table.lengths)
        return _Sums(None, covariance, tangent, power)

    def _slow_own(self, X: Tensor) -> _Sums:
        layers = self._parts[0]
        x = sequence_steps(layers, X, tangent=self.tangent)
        zero = x.values.new_zeros(len(X))
        if isinstance(self._readout, LastStep):
            return _Sums(x.last, x.last.x, zero if x.last.tangent is None else x.last.tangent, zero)
        if isinstance(self._readout, StepwiseAverage):
            covariance, total = x.steps.sum(1) / x.lengths
            return _Sums(None, covariance, total, zero)
        steps = x.values.shape[1]
        lags = [self._slow_lag(x, x, lag, itself=None) for lag in range(1 - steps, steps)]
        covariance, total = (torch.stack(parts).sum(0) / x.lengths.square() for parts in zip(*lags, strict=True))
        return _Sums(None, covariance, total, zero)

    def _marked(self, tangent: Tensor) -> Tensor | None:
        return tangent if self.tangent else None

    def _head(self, sums: _Sums, dtype: torch.dtype) -> Tensor:
        """The layers after the readout; an error where numbers overflow."""
        head, powers = self._parts[2], bool((sums.power > 0).any())
        if isinstance(head, Dense):
            bias = head.bias_std**2 * torch.exp2(-UNIT * sums.power.double())
            values = head.weight_std**2 * sums.covariance + (bias if self.tangent or head.bias_init == "normal" else 0)
            if self.tangent:
                values = (values if head.trainable else 0.0) + head.weight_std**2 * sums.tangent
        elif sums.moments is not None and not powers:
            after = propagate(head, sums.moments)
            values = after.tangent if self.tangent and after.tangent is not None else after.cross
        else:
            raise _overflow("layers other than one Dense() after it")
        if powers and not self.scaled:
            values = values * torch.exp2(UNIT * sums.power.double())
        limit = torch.finfo(torch.float64 if self.scaled else dtype).max
        if not bool((values.detach().abs().amax() <= limit).all()):
            raise _overflow(f"values above {limit:.0e}")
        return values


def reads_sequences(architecture: Layer) -> bool:
    """Whether an architecture has recurrent layers, so that its points are sequences."""
    return any(isinstance(layer, Recurrent) for layer in walk(architecture))


def _lasts(table: SequenceTable) -> Tensor:
    return table.given(table.variances[-1])


def _powers(table: SequenceTable) -> Tensor:
    return table.given(table.powers)


def _unequal(least: int, most: int) -> InvalidInput:
    return InvalidInput(
        "StepwiseAverage must read sequences of one length",
        f"lengths from {least} to {most}",
        "Use GlobalAveragePool() or the last step",
    )


def _overflow(got: str) -> InvalidInput:
    return InvalidInput(
        "the kernel of these sequences overflows: it grows with hidden_std at every step",
        got,
        "Use Normalized(kernel), or a hidden_std of at most sqrt(2) for ReLU",
    )


def _parts_of(architecture: Layer) -> tuple[tuple[Recurrent, ...], Layer, Layer]:
    """Recurrent layers, readout, and what follows, of a chain; InvalidArchitecture where it is no such chain."""
    chain = _chain(architecture)
    count = next((index for index, layer in enumerate(chain) if not isinstance(layer, Recurrent)), len(chain))
    recurrent = tuple(layer for layer in chain[:count] if isinstance(layer, Recurrent))
    rest = chain[count:]
    if not recurrent or any(isinstance(layer, Recurrent) for part in rest for layer in walk(part)):
        raise InvalidArchitecture(
            "a recurrent architecture must begin with its Recurrent layers, one after the other",
            repr(architecture),
            "Put other layers after the last of them",
        )
    readout: Layer = LastStep()
    if rest and isinstance(rest[0], (LastStep, StepwiseAverage, GlobalAveragePool)):
        readout, rest = rest[0], rest[1:]
    strange = [layer for layer in rest if isinstance(layer, (SpatialLayer, LastStep, StepwiseAverage))]
    if strange:
        raise InvalidArchitecture("after the readout of a sequence there are no positions", repr(strange[0]))
    return recurrent, readout, serial(*rest)


def _chain(layer: Layer) -> list[Layer]:
    if isinstance(layer, Serial):
        return [inner for part in layer.layers for inner in _chain(part)]
    if isinstance(layer, Repeat):
        return _chain(layer.layer) * layer.times
    return [] if isinstance(layer, Identity) else [layer]
