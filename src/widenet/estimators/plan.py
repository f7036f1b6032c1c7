"""What a fit of so many rows would cost by each way there is, before it is begun."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from widenet._arrays import format_bytes, is_count, parse_memory
from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import NTK
from widenet.kernels.base import Kernel
from widenet.linalg.landmark_basis import candidate_rows, whitened
from widenet.solvers.centred_moments import CentredMoments

WayName = Literal["exact", "iterative", "landmarks", "features"]

TIME_LIMIT = 300.0
"""Seconds that a choice plans with where nothing else is said."""

SIZES = (256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Numbers of landmarks or features among which a plan chooses."""

_ITERATIONS = 60  # products with the whole matrix until 1e-6, a usual number with a preconditioner of _RANK
_RANK = 7.0  # times sqrt(n), as `ConjugateGradient` takes it
_BLOCKS = 2**28  # bytes of the blocks that are there at a time
_VECTORS = 12 * 8  # bytes of the vectors of an iteration or a refinement, for each row and output
_PATH = 11  # times size^3 flops, at the speed of sums of products: the eigen-decomposition of all ridges
_CHOICE = 3  # times candidates size^2 flops in float32: the choice of the landmarks
_SKETCH = 2  # times a value of a kernel: a feature that is drawn at random or made along a tree of sketches


class Way(NamedTuple):
    """One way to a solution, with what it costs: a row of the table of a plan.

    Attributes:
        name: "exact", "iterative", "landmarks" or "features".
        size: Landmarks or features; 0 where there are none.
        seconds: Predicted seconds, on all the workers.
        memory: Predicted bytes of each worker, without the rows that the caller holds.
        fits: Whether memory and seconds are within the limits.
        why: What they are spent on, or which limit is too small.
    """

    name: WayName
    size: int
    seconds: float
    memory: int
    fits: bool
    why: str


@dataclass(frozen=True)
class Plan:
    """The costs of all ways for one fit, and the way that is taken.

    Attributes:
        rows: Training rows n.
        columns: Their features d.
        outputs: Columns of the targets.
        memory_limit: Bytes that each worker may take.
        time_limit: Seconds; infinity means no limit.
        workers: Machines that share the rows.
        ways: The ways, from the most exact one.
        choice: The way that is taken.

    Example:
        >>> print(Machine(1e11, 5e10, 5e8).plan(10**6, 50, memory_limit="8 GiB").choice.name)
        landmarks
    """

    rows: int
    columns: int
    outputs: int
    memory_limit: int
    time_limit: float
    workers: int
    ways: tuple[Way, ...]
    choice: Way

    def way(self, name: str) -> Way:
        """The row of the table of that name."""
        return next(way for way in self.ways if way.name == name)

    def __str__(self) -> str:
        """The table as text."""
        limit = "no limit of time" if np.isinf(self.time_limit) else _seconds(self.time_limit)
        head = f"{self.rows:,} rows of {self.columns:,}, {self.outputs} output{'s' * (self.outputs > 1)}"
        several = f", each of {self.workers} workers" if self.workers > 1 else ""
        lines = [f"{head}; {limit}, {format_bytes(self.memory_limit)}{several}"]
        lines.append(f"  {'way':<10} {'size':>6} {'time':>9} {'memory':>9}  why")
        for way in self.ways:
            mark = ">" if way.name == self.choice.name else " "
            size = f"{way.size:,}" if way.size else ""
            row = f"{mark} {way.name:<10} {size:>6} {_seconds(way.seconds):>9} {format_bytes(way.memory):>9}"
            lines.append(f"{row}  {way.why}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Machine:
    """What one machine does in a second: the constants of a plan.

    Attributes:
        single: Flops a second of float32 triangular solutions, n m^2 of n right-hand sides; products are as fast.
        double: Flops a second of sums of products of float32 features in float64, n m^2 of n rows: half of a product.
        entries: Kernel values a second, beside their inner products.
    """

    single: float
    double: float
    entries: float

    def plan(
        self,
        rows: int,
        columns: int,
        outputs: int = 1,
        memory_limit: int | float | str | None = None,
        time_limit: float | None = TIME_LIMIT,
        workers: int = 1,
    ) -> Plan:
        """The plan of a fit on such machines; see `widenet.plan`."""
        _require_counts({"rows": rows, "columns": columns, "outputs": outputs, "workers": workers})
        seconds = np.inf if time_limit is None else float(time_limit)
        if not seconds > 0:
            raise InvalidInput("a time limit must be a positive number of seconds or None", repr(time_limit))
        memory = parse_memory(memory_limit)
        task = _Task(self, rows, columns, outputs, memory, seconds, workers)
        ways = (
            task.judged(task.exact()),
            task.judged(task.iterative()),
            task.largest(task.landmarks),
            task.largest(task.features),
        )
        return Plan(rows, columns, outputs, memory, seconds, workers, ways, _choose(ways))


class _Cost(NamedTuple):
    name: WayName
    size: int
    seconds: float
    memory: float
    why: str


@dataclass(frozen=True)
class _Task:
    machine: Machine
    rows: int
    columns: int
    outputs: int
    memory: int
    seconds: float
    workers: int

    @property
    def _share(self) -> float:
        """Rows of one worker."""
        return self.rows / self.workers

    def _value(self) -> float:
        """Seconds of one kernel value with its inner product."""
        return 2 * self.columns / self.machine.single + 1 / self.machine.entries

    def _syrk(self, size: int) -> float:
        """Seconds a row and landmark: its part of the whitening in float32, and of the normal equations in float64."""
        return size / self.machine.single + size / self.machine.double

    def exact(self) -> _Cost:
        """Half of the Gram matrix and its Cholesky factor in its place, on one worker, float32."""
        n = self.rows
        seconds = n**2 / 2 * self._value() + n**3 / 3 / self.machine.single
        memory = 4 * n**2 + n * (12 * self.columns + _VECTORS * self.outputs)
        alone = ", on one worker" if self.workers > 1 else ""
        return _Cost("exact", 0, seconds, memory, f"the matrix {format_bytes(4 * n**2)}, its factor{alone}")

    def iterative(self) -> _Cost:
        """Products with the matrix that is never stored, each of which evaluates half of it again."""
        n, rank = self.rows, min(int(_RANK * self.rows**0.5), self.rows)
        product = n**2 / 2 * (self._value() + 4 * self.outputs / self.machine.double) / self.workers
        ready = self._share * rank * (2 * self._value() + self._syrk(rank))
        memory = _BLOCKS + self._share * (4 * self.columns + 4 * rank + _VECTORS * self.outputs)
        why = f"about {_ITERATIONS} products of {_seconds(product)} each"
        return _Cost("iterative", 0, _ITERATIONS * product + ready, memory, why)

    def landmarks(self, size: int) -> _Cost:
        """The choice; one pass over the rows: kernel values, their whitening, sums of products; the ridge path."""
        choice = _CHOICE * candidate_rows(self.rows, size) * size**2 / self.machine.single
        passes = self._share * size * (self._value() + self._syrk(size))
        path = _PATH * size**3 / self.machine.double
        memory = _BLOCKS + 32 * size**2
        why = f"choice {_seconds(choice)}, one pass {_seconds(passes)}, ridges {_seconds(path)}"
        return _Cost("landmarks", size, choice + passes + path, memory, why)

    def features(self, size: int) -> _Cost:
        """One pass over the rows: their features and the normal equations; the rows are never copied."""
        sketch = self._share * size * (_SKETCH * self._value() + size / self.machine.double)
        path = _PATH * size**3 / self.machine.double
        memory = _BLOCKS + 32 * size**2
        return _Cost("features", size, sketch + path, memory, f"one pass {_seconds(sketch)}, ridges {_seconds(path)}")

    def judged(self, cost: _Cost) -> Way:
        """The cost with the judgement of the limits."""
        short = []
        if cost.memory > self.memory:
            short.append("memory")
        if cost.seconds > self.seconds:
            short.append("time")
        why = f"too little {' and '.join(short)}: {cost.why}" if short else cost.why
        return Way(cost.name, cost.size, cost.seconds, int(cost.memory), not short, why)

    def largest(self, cost: Callable[[int], _Cost]) -> Way:
        """The way with the largest size that is within the limits, or with the least size where none is."""
        sizes = [size for size in SIZES if size < self.rows] or [self.rows]
        judged = [self.judged(cost(size)) for size in sizes]
        return next((way for way in reversed(judged) if way.fits), judged[0])


def _choose(ways: tuple[Way, ...]) -> Way:
    fitting = [way for way in ways if way.fits]
    if fitting:
        return fitting[0]
    landmarks, features = ways[2], ways[3]
    return landmarks if landmarks.memory <= features.memory or "memory" not in landmarks.why else features


def _require_counts(counts: dict[str, Any]) -> None:
    for name, count in counts.items():
        if not is_count(count):
            raise InvalidInput(f"{name} must be a whole number of at least 1", repr(count))


def _seconds(seconds: float) -> str:
    """A time for people, such as '1.5 min'."""
    for unit, size in (("s", 60), ("min", 60), ("h", 24), ("days", 365)):
        if seconds < size:
            return f"{seconds:.0f} {unit}" if seconds >= 100 else f"{seconds:.2g} {unit}"
        seconds /= size
    return f"{seconds:.3g} years"


# Of one virtual core of an AMD EPYC 9004 (Zen 4, 2.6 GHz), two at work, in the midst of a fit; values of an NTK of
# depth 3 with biases. Kernels of the angle are two to five times faster, a mean of several takes the time of all.
_CORE = (8.5e10, 3.6e10, 1e8)


def stated_machine() -> Machine:
    """The constants of this package's own measurements for one core, times the threads of torch."""
    threads = torch.get_num_threads()
    return Machine(*(threads * rate for rate in _CORE))


def calibrate(kernel: Kernel | None = None, columns: int = 16) -> Machine:
    """Measure in some two seconds what this machine does in one, once all loops are compiled.

    Args:
        kernel: The kernel whose values are timed; None means an NTK of depth 3 with biases.
        columns: Features of a row.

    Returns:
        Its constants, for `Machine.plan`. They move with whatever else the machine does, which is why a fit plans
        with the constants that are stated.
    """
    kernel = NTK(fully_connected(3, bias_std=0.3)) if kernel is None else kernel
    generator = torch.Generator().manual_seed(0)
    size = 2048
    square = torch.randn(size, size, generator=generator)
    rows = torch.randn(size, columns, generator=generator)
    wide = square.double()
    lower = torch.linalg.cholesky(wide @ wide.T + torch.eye(size)).to(torch.float32)
    single = size**3 / _best(lambda: whitened(square.clone(), lower))
    moments, ones = CentredMoments.empty(size, 1), np.ones((size, 1))
    double = size**3 / _best(lambda: moments.add_rows(square.numpy(), ones, ones[:, 0]))
    product = 2 * columns * size**2 / single
    entries = size**2 / max(_best(lambda: kernel(rows, rows.flip(0))) - product, 1e-9)
    return Machine(single, double, entries)


def _best(task: Callable[[], object]) -> float:
    """Least seconds of a task over a sixth of a second, after a first run that may compile."""
    task()
    begun, least = time.perf_counter(), np.inf
    while time.perf_counter() - begun < 1 / 6:
        start = time.perf_counter()
        task()
        least = min(least, time.perf_counter() - start)
    return least


def plan(
    rows: int,
    columns: int,
    outputs: int = 1,
    memory_limit: int | float | str | None = None,
    time_limit: float | None = TIME_LIMIT,
    workers: int = 1,
) -> Plan:
    """What a fit would cost by each way, and which way `solver="auto"` takes: ask before you begin.

    The decisions, in order:

    1. "exact", the Cholesky factor of the whole Gram matrix, where the matrix fits in memory and the time in the limit.
    2. "iterative", conjugate gradients on the matrix that is never stored, where the time is within the limit.
    3. "landmarks", ridge regression on the span of as many landmarks as memory and time allow.
    4. "features", the same on explicit features: nothing of the size of the rows is held, not even a copy of them.
    5. Where all take too long, the fewest landmarks that are considered (256).

    The constants are those of a virtual core of an AMD EPYC 9004 (Zen 4), times the threads of torch, and those of an
    NTK with biases for the values of a kernel. A machine is measured, and plans with what was found, by
    `calibrate().plan(...)`. The choice of kernel takes some seconds more, whatever the number of rows. Predictions are
    within a factor of about two.

    Args:
        rows: Training rows n.
        columns: Features d of a row.
        outputs: Columns of the targets; classes of a classification.
        memory_limit: Bytes, or text such as "8 GiB", for each worker; None means half of the available memory.
        time_limit: Seconds, or None for no limit.
        workers: Machines like this one that share the rows.

    Returns:
        The plan, with all ways and the choice; `print` shows it as a table.

    Raises:
        InvalidInput: On counts below 1 or limits that are not positive.

    Example:
        >>> costs = plan(2_000, 20, memory_limit="4 GiB")
        >>> costs.choice.name, costs.way("landmarks").size
        ('exact', 1536)
    """
    return stated_machine().plan(rows, columns, outputs, memory_limit, time_limit, workers)
