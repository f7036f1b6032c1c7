"""Sequences of different lengths: how they come in, and the packed tensor that kernels read."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import Array, Inputs, read_inputs
from widenet.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of different lengths in one padded array.

    Lists of arrays need no such wrapping: kernels of recurrent networks take them as they are.

    Args:
        values: (n, T, channels) or, of one channel, (n, T); NumPy or torch. What stands where the mask is False is
            never read, and may be NaN.
        mask: (n, T), True where there is a step: one run of steps a sequence, at either end or between. None: all.

    Raises:
        InvalidInput: On a mask of another shape or kind, a sequence without a step, or one with gaps.

    Example:
        >>> import numpy as np
        >>> series = Sequences(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]]), np.array([[1, 1, 1], [1, 1, 0]]) > 0)
        >>> series.lengths
        array([3, 2])
    """

    values: Array
    mask: Array | None = None

    def __post_init__(self) -> None:
        if np.ndim(self.values) not in (2, 3) or 0 in np.shape(self.values):
            raise InvalidInput("Sequences takes values (n, T, channels) or (n, T)", f"shape {np.shape(self.values)}")
        if self.mask is None:
            return
        shape, expected = tuple(np.shape(self.mask)), tuple(np.shape(self.values))[:2]
        if shape != expected:
            raise InvalidInput(f"the mask of Sequences must be (n, T) = {expected}", f"shape {shape}")
        mask = _mask_array(self.mask)
        if mask.dtype != np.bool_:
            raise InvalidInput("the mask of Sequences must be True or False", f"dtype {mask.dtype}", "Use mask > 0")
        empty = np.flatnonzero(~mask.any(1))
        if len(empty):
            raise InvalidInput(
                "every sequence must have at least one step", f"none in {len(empty)}, the first is {empty[0]}"
            )
        runs = mask[:, 0] + np.diff(mask.astype(np.int8), axis=1).clip(0).sum(1)
        gaps = np.flatnonzero(runs > 1)
        if len(gaps):
            raise InvalidInput(
                "the steps of a sequence must follow one another",
                f"gaps in the mask of {len(gaps)} sequences, the first is {gaps[0]}",
                "Fill the gaps, or drop the missing steps and close up",
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of every sequence, (n,)."""
        if self.mask is None:
            return np.full(len(self.values), self.values.shape[1])
        return _mask_array(self.mask).sum(1)

    def ragged(self) -> list[Array]:
        """The sequences as a list of arrays (T_i, channels) or (T_i,)."""
        if self.mask is None:
            return list(self.values)
        mask = _mask_array(self.mask)
        firsts = mask.argmax(1)
        ends = zip(firsts.tolist(), (firsts + mask.sum(1)).tolist(), strict=True)
        return [row[first:end] for row, (first, end) in zip(self.values, ends, strict=True)]


def _mask_array(mask: Array) -> np.ndarray:
    return mask.cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)


def pack_sequences(X: Array, Y: Array | None, shape: tuple[int, ...] | None) -> Inputs:
    """One or two sets of sequences as packed tensors (n, T, channels + 1).

    Sequences end at the last step; the last channel is 1 at their steps and 0 before them.

    Args:
        X: A list of arrays (T_i, channels) or (T_i,), `Sequences`, or an array (n, T, channels) or (n, T).
        Y: Further sequences, whose lengths may differ from those of X, or None.
        shape: (T, channels), with -1 for any, or None: one channel where arrays have no axis of channels. Where both
            are numbers, rows (n, T channels) are read as well.

    Raises:
        InvalidInput: On a sequence of length 0, numbers that are not finite, channels, dtypes or kinds that differ.
    """
    first = _pack(X, "X", shape)
    if Y is None:
        return Inputs(first, None, not _is_torch(X))
    other = _pack(Y, "Y", shape)
    if _is_torch(X) != _is_torch(Y):
        raise InvalidInput("X and Y must be of one array kind", "NumPy arrays and torch tensors")
    if first.dtype != other.dtype or first.device != other.device:
        raise InvalidInput(
            "X and Y must have one dtype and one device",
            f"{first.dtype} on {first.device} and {other.dtype} on {other.device}",
            "Cast one of them",
        )
    if first.shape[2] != other.shape[2]:
        raise InvalidInput("X and Y must have equally many channels", f"{first.shape[2] - 1} and {other.shape[2] - 1}")
    return Inputs(first, other, not _is_torch(X))


def _is_torch(sequences: Array) -> bool:
    if isinstance(sequences, Sequences):
        sequences = sequences.values
    if isinstance(sequences, (list, tuple)):
        return any(isinstance(item, Tensor) for item in sequences)
    return isinstance(sequences, Tensor)


def _pack(sequences: Array, name: str, shape: tuple[int, ...] | None) -> Tensor:
    if isinstance(sequences, Sequences):
        sequences = sequences.ragged() if sequences.mask is not None else sequences.values
    ragged = isinstance(sequences, (list, tuple)) or getattr(sequences, "dtype", None) == np.dtype(object)
    if ragged and not isinstance(sequences, Tensor) and np.ndim(sequences[0] if len(sequences) else 0) > 0:
        packed = _pack_ragged(list(sequences), name, shape)
    else:
        values = read_inputs(sequences).X
        packed = _with_marks([_with_channels(values, name, shape)], values.shape[0])
    _check_shape(packed, name, shape)
    return packed


def _pack_ragged(sequences: list[Array], name: str, shape: tuple[int, ...] | None) -> Tensor:
    parts = []
    for index, sequence in enumerate(sequences):
        if len(sequence) == 0:
            raise InvalidInput(f"every sequence of {name} must have at least one step", f"none in sequence {index}")
        try:
            values = read_inputs(sequence[None] if isinstance(sequence, Tensor) else np.array(sequence)[None]).X
        except InvalidInput as error:
            raise InvalidInput(f"sequence {index} of {name}: {error.asked}", error.got, error.cure) from None
        parts.append(_with_channels(values, f"sequence {index} of {name}", None if shape is None else (-1, *shape[1:])))
    for index, part in enumerate(parts):
        if part.shape[2] != parts[0].shape[2]:
            raise InvalidInput(
                f"all sequences of {name} must have equally many channels",
                f"{parts[0].shape[2]} in sequence 0 and {part.shape[2]} in sequence {index}",
            )
        if part.dtype != parts[0].dtype or part.device != parts[0].device:
            raise InvalidInput(
                f"all sequences of {name} must have one dtype and one device",
                f"{parts[0].dtype} in sequence 0 and {part.dtype} in sequence {index}",
                "Cast them",
            )
    return _with_marks(parts, len(parts))


def _with_channels(values: Tensor, name: str, shape: tuple[int, ...] | None) -> Tensor:
    """Sequences (n, T) as (n, T, 1); rows as (n, T, channels) where the shape says both."""
    if values.ndim == 2 and shape is not None and min(shape) > 0 and values.shape[1] == shape[0] * shape[1]:
        return values.reshape(len(values), *shape)
    if values.ndim == 2:
        return values[:, :, None]
    if values.ndim != 3:
        raise InvalidInput(f"{name} must be steps, or (steps, channels)", f"shape {tuple(values.shape[1:])}")
    return values


def _with_marks(parts: list[Tensor], count: int) -> Tensor:
    """Sequences (., T_i, channels) in one tensor (n, T, channels + 1), right-aligned, with marks at their steps."""
    steps, first = max(part.shape[1] for part in parts), parts[0]
    if any(part.requires_grad for part in parts):
        marked = [torch.cat([part, torch.ones_like(part[:, :, :1])], 2) for part in parts]
        return torch.cat([torch.nn.functional.pad(part, (0, 0, steps - part.shape[1], 0)) for part in marked])
    packed = torch.zeros(count, steps, first.shape[2] + 1, dtype=first.dtype, device=first.device)
    rows = iter(packed.split([len(part) for part in parts]))
    for part, row in zip(parts, rows, strict=True):
        row[:, steps - part.shape[1] :, :-1] = part
        row[:, steps - part.shape[1] :, -1] = 1
    return packed


def _check_shape(packed: Tensor, name: str, shape: tuple[int, ...] | None) -> None:
    if shape is None:
        return
    channels, found = shape[1], packed.shape[2] - 1
    if channels not in (-1, found):
        raise InvalidInput(f"input_shape {shape} asks for {channels} channels in {name}", f"{found} channels")
    if shape[0] != -1 and not bool((sequence_lengths(packed) == shape[0]).all()):
        raise InvalidInput(
            f"input_shape {shape} asks for sequences of length {shape[0]} in {name}",
            f"lengths up to {packed.shape[1]}",
            "Use -1 for any length",
        )


def sequence_lengths(packed: Tensor) -> Tensor:
    """Number of steps of every packed sequence, (n,)."""
    return (packed[:, :, -1].detach() > 0.5).sum(1)


def reversed_sequences(packed: Tensor) -> Tensor:
    """Every packed sequence from its last step to its first."""
    steps, lengths = packed.shape[1], sequence_lengths(packed)
    places = torch.arange(steps, device=packed.device) - (steps - lengths)[:, None]  # number of the step, from 0
    source = torch.where(places >= 0, steps - 1 - places, torch.arange(steps, device=packed.device))
    return packed.gather(1, source[:, :, None].expand_as(packed))


def trimmed(packed: Tensor) -> Tensor:
    """The packed sequences without the steps at which none has begun."""
    return packed[:, packed.shape[1] - int(sequence_lengths(packed).max()) :]
