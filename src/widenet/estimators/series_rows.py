"""Time series as the rows of an estimator: how they are read, standardised, handed to kernels and kept in files."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from widenet.errors import InvalidFile, InvalidInput
from widenet.kernels import Sequences

LAYOUTS = ("auto", "channels_last", "time_last")
_Sequence = (list, tuple, np.ndarray, torch.Tensor)


class Block(NamedTuple):
    """Series end to end, as files keep them.

    Attributes:
        values: (steps of all series, channels).
        lengths: Number of steps of each series, (n,), as floats.
    """

    values: Float[ndarray, "steps channels"]
    lengths: Float[ndarray, " n"]


def is_table(X: Any) -> bool:
    """Whether X is a table with one series a row, or anything else that is not a collection of series.

    Collections of series are arrays with three axes, `Sequences`, lists of arrays, lists of lists of unequal lengths
    or of two levels, empty lists, and arrays of objects that are such series.
    """
    if isinstance(X, Sequences):
        return False
    if isinstance(X, (np.ndarray, torch.Tensor)):
        return X.ndim != 3 and not (isinstance(X, np.ndarray) and _holds_series(X))
    if not isinstance(X, (list, tuple)):
        return True
    if not X:
        return False
    if any(isinstance(item, (np.ndarray, torch.Tensor)) and item.ndim for item in X):
        return False
    if not all(isinstance(item, (list, tuple)) for item in X):
        return True
    nested = any(isinstance(step, _Sequence) for item in X for step in item)
    return not nested and len({len(item) for item in X}) == 1


def _holds_series(X: ndarray) -> bool:
    return X.ndim == 1 and X.dtype == object and len(X) > 0 and isinstance(X[0], _Sequence)


def table_rows(table: Float[ndarray, "n steps"]) -> ndarray:
    """Each row of a table as a series of one channel: (n,) objects."""
    return collect([row[:, None] for row in np.asarray(table, dtype=np.float64)])


def read_collection(X: Any, layout: str) -> ndarray:
    """Check a collection of series and bring each to (steps, channels) in float64.

    Args:
        X: Anything that is no table (`is_table`).
        layout: "channels_last": series are (steps, channels). "time_last": they are (channels, steps), as aeon and
            sktime have them. "auto": channels last, but refused where there are fewer steps than channels.

    Returns:
        (n,) objects, arrays (steps, channels).

    Raises:
        InvalidInput: On text, NaN, infinity, series without steps or of unequal numbers of channels, or a shape
            that "auto" does not trust.
    """
    X = X.ragged() if isinstance(X, Sequences) else X
    if len(X) == 0:
        raise InvalidInput("there must be series", f"shape {np.shape(X)}")
    series = [_read_one(i, values, layout) for i, values in enumerate(X)]
    channels = {values.shape[1] for values in series}
    if len(channels) > 1:
        other = next(i for i, values in enumerate(series) if values.shape[1] != series[0].shape[1])
        got = f"{series[0].shape[1]} in series 0 and {series[other].shape[1]} in series {other}"
        raise InvalidInput("series must have as many channels each", got)
    longest = max(len(values) for values in series)
    if layout == "auto" and longest < series[0].shape[1]:
        got = f"at most {longest} steps of {series[0].shape[1]} channels"
        cure = "Pass layout='time_last' for (n, channels, steps), as aeon has it, or 'channels_last' if it is meant"
        raise InvalidInput("series are read as (n, steps, channels), with no fewer steps than channels", got, cure)
    return collect(series)


def _read_one(index: int, values: Any, layout: str) -> Float[ndarray, "steps channels"]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    try:
        given = np.asarray(values)
        array = given.astype(np.float64) if given.dtype.kind in "biufO" else None
    except (TypeError, ValueError):
        array = None
    if array is None:
        raise InvalidInput("series must hold real numbers", f"text or unequal steps in series {index}")
    if array.ndim not in (1, 2):
        raise InvalidInput("a series must be (steps,) or have steps and channels", f"{array.shape} in series {index}")
    array = array[:, None] if array.ndim == 1 else array.T if layout == "time_last" else array
    if 0 in array.shape:
        raise InvalidInput("a series must have at least one step and one channel", f"{given.shape} in series {index}")
    if not np.isfinite(array).all():
        step = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        got = f"NaN or infinity in series {index} at step {step}"
        raise InvalidInput("series must be finite", got, "Interpolate missing values, or cut the series")
    return array


def collect(series: list[ndarray]) -> ndarray:
    """Arrays as an (n,) array of objects, whatever their shapes."""
    rows = np.empty(len(series), dtype=object)
    for i, values in enumerate(series):  # NumPy would stack arrays of one shape
        rows[i] = values
    return rows


def kernel_points(X: ndarray) -> Any:
    """Rows as kernels take them: series of one length as (n, steps, channels), others as a list, tables as they are."""
    if X.dtype != object or X.ndim != 1:
        return X
    return np.stack(list(X)) if len({len(values) for values in X}) == 1 else list(X)


def cast_rows(X: ndarray, dtype: Any) -> ndarray:
    """Rows in another precision: a table, or an array of series."""
    if X.dtype != object or X.ndim != 1:
        return X.astype(dtype)
    return collect([values.astype(dtype) for values in X])


def join(X: ndarray) -> Block:
    """Series end to end."""
    return Block(np.concatenate(list(X)), np.array([len(values) for values in X], dtype=np.float64))


def split(block: Block) -> ndarray:
    """The series of a block.

    Raises:
        InvalidFile: Where the lengths are no whole positive numbers that add up to the steps.
    """
    lengths = block.lengths.astype(np.int64)
    sound = block.values.ndim == 2 and block.lengths.ndim == 1 and bool((lengths == block.lengths).all())
    if not sound or not len(lengths) or lengths.min() < 1 or lengths.sum() != len(block.values):
        raise InvalidFile("series must have lengths that add up to their steps", f"{lengths.sum()} steps")
    return collect(np.split(block.values, np.cumsum(lengths)[:-1]))


@dataclass(frozen=True, eq=False)
class SeriesScaler:
    """Affine map of series: (x - mean) / scale channel by channel, or each series by its own moments.

    Attributes:
        each: Whether every channel of every series is brought to mean 0 and variance 1 by itself (z-normalisation).
        mean: (channels,), subtracted otherwise.
        scale: (channels,), divided by otherwise.
    """

    each: bool
    mean: Float[ndarray, " channels"]
    scale: Float[ndarray, " channels"]

    def transform(self, X: ndarray, dtype: Any) -> ndarray:
        """Scaled series (n,), of the asked dtype."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinite values are refused by the readers of the result
            scaled = [_normalised(values) if self.each else (values - self.mean) / self.scale for values in X]
        return collect([np.ascontiguousarray(values, dtype=dtype) for values in scaled])


def _normalised(values: Float[ndarray, "steps channels"]) -> Float[ndarray, "steps channels"]:
    """A series with mean 0 and variance 1 in each channel; constant channels become 0."""
    unit = np.ldexp(1.0, np.frexp(np.abs(values).max(axis=0))[1])  # squares stay in range
    scaled = values / unit
    mean = scaled.mean(axis=0)
    deviation = scaled.std(axis=0)
    constant = deviation <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return np.where(constant, 0.0, (scaled - mean) / np.where(constant, 1.0, deviation))
