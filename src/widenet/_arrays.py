"""The border between NumPy and torch, input checks, and blocks under a memory limit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite
from numbers import Integral
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from widenet.errors import InvalidInput

Array = Any  # a NumPy array, a torch tensor, or anything that `np.asarray` reads

_FEW = 2**18  # numbers
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


@dataclass(frozen=True)
class Inputs:
    """Checked inputs as tensors of one dtype on one device.

    Attributes:
        X: First points, (n, *positions, channels).
        Y: Second points, (m, *positions, channels), or None where they are the first ones.
        numpy: Whether results go back as NumPy arrays.
    """

    X: Tensor
    Y: Tensor | None
    numpy: bool

    def restore(self, result: Tensor) -> Array:
        """Return a result in the array kind that came in."""
        return result.detach().numpy() if self.numpy else result


def read_inputs(X: Array, Y: Array | None = None) -> Inputs:
    """Check one or two sets of points and bring them to torch without a copy where possible.

    Integers and booleans become float64. float32 and float64 are kept; a mixture is refused, since
    a silent cast would hide which precision the result has.

    Args:
        X: Points, (n, *positions, channels).
        Y: Further points, or None.

    Raises:
        InvalidInput: On text, complex or non-finite numbers, empty or one-dimensional input,
            mixed dtypes or devices, or unequal point shapes.
    """
    points = _as_points(X, "X")
    if Y is None:
        return Inputs(points, None, not isinstance(X, Tensor))
    others = _as_points(Y, "Y")
    if isinstance(X, Tensor) != isinstance(Y, Tensor):
        raise InvalidInput("X and Y must be of one array kind", f"{type(X).__name__} and {type(Y).__name__}")
    if points.dtype != others.dtype or points.device != others.device:
        raise InvalidInput(
            "X and Y must have one dtype and one device",
            f"{points.dtype} on {points.device} and {others.dtype} on {others.device}",
            "Cast one of them",
        )
    if points.shape[1:] != others.shape[1:]:
        raise InvalidInput(
            "X and Y must have points of one shape", f"{tuple(points.shape[1:])} and {tuple(others.shape[1:])}"
        )
    return Inputs(points, others, not isinstance(X, Tensor))


def _as_points(array: Array, name: str) -> Tensor:
    if isinstance(array, Tensor):
        points = array
        if points.is_complex():
            raise InvalidInput(f"{name} must be real", str(points.dtype))
        if not points.is_floating_point():
            points = points.to(torch.float64)
    else:
        values = np.asarray(array)
        if values.dtype.kind in "biu":
            values = values.astype(np.float64)
        elif values.dtype.kind == "O":
            try:
                values = values.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise InvalidInput(f"{name} must hold numbers", str(error), "Encode text columns first") from None
        elif values.dtype.kind != "f":
            raise InvalidInput(f"{name} must hold real numbers", f"dtype {values.dtype}", "Encode text columns first")
        if values.dtype.itemsize > 8:
            raise InvalidInput(
                f"{name} must be float32 or float64", str(values.dtype), "Cast it with .astype('float64')"
            )
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        # NumPy calls one row of a reversed array contiguous; torch takes no negative stride.
        plain = values.flags.writeable and min(values.strides, default=0) >= 0
        points = torch.from_numpy(values if plain else values.copy())
    if points.dtype not in (torch.float32, torch.float64):
        raise InvalidInput(f"{name} must be float32 or float64", str(points.dtype), "Cast it with .astype('float32')")
    if points.ndim < 2 or 0 in points.shape:
        raise InvalidInput(
            f"{name} must be (points, ..., channels) with at least one of each", f"shape {tuple(points.shape)}"
        )
    # One pass over the data: a sum is finite only if no entry is NaN or infinite; it can also overflow.
    # A few numbers are summed by NumPy: torch's idle threads would spin for milliseconds beside what follows.
    few = points.device.type == "cpu" and points.numel() < _FEW
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(points.detach().numpy().sum() if few else points.detach().sum())
    if not isfinite(total) and not torch.isfinite(points.detach()).all():
        bad = (~torch.isfinite(points.detach())).reshape(len(points), -1).any(1).nonzero()[:, 0]
        raise InvalidInput(
            f"{name} must be finite",
            f"NaN or infinity in {len(bad)} of {len(points)} rows, the first is row {int(bad[0])}",
            "Impute or drop them",
        )
    return points


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Whether `value` is a whole number, of Python or NumPy and no bool, of at least `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def row_blocks(rows: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` rows."""
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def parse_memory(limit: int | float | str | None) -> int:
    """Bytes of a memory limit such as `2**30`, `"1 GiB"` or `"500 MB"`; None means half of the available memory."""
    if limit is None:
        return available_memory() // 2
    if isinstance(limit, str):
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*", limit)
        if match is None or match[2].upper() not in _UNITS:
            raise InvalidInput("a memory limit must read like '1 GiB' or '500 MB'", repr(limit))
        limit = float(match[1]) * _UNITS[match[2].upper()]
    if not 0 < limit < inf:
        raise InvalidInput("a memory limit must be positive and finite", repr(limit))
    return int(limit)


def available_memory() -> int:
    """Bytes that a new allocation can use now: the system's estimate, or less under a container's memory limit."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    groups = Path("/proc/self/cgroup")
    limited = _left_to_groups(Path("/sys/fs/cgroup"), groups.read_text() if groups.exists() else "")
    return int(min(free[0] if free else 4 * 2**30, limited))


def _left_to_groups(root: Path, groups: str) -> float:
    """Bytes left under the limits of control groups, given as in /proc/self/cgroup, and of those around them."""
    left = inf
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = top / path.lstrip("/")
        around = [group, *(folder for folder in group.parents if folder.is_relative_to(top))]
        left = min(left, *(_left_to_group(folder, *names) for folder in around))
    return left


def _left_to_group(group: Path, limit: str, usage: str, cache: str) -> float:
    try:
        most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
        counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:  # the top group has no limit of its own, and a container may not see the groups around it
        return inf
    # Unused file pages count as used, but give way.
    return inf if most == "max" else max(0, int(most) - used + int(counts.get(cache, 0)))


def format_bytes(count: float) -> str:
    """A byte count for people, such as '1.5 GiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
