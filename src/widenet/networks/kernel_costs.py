"""What the ways to a tangent kernel cost, and the blocks in which each fits a memory limit."""

from dataclasses import dataclass
from math import ceil

import torch

from widenet._arrays import format_bytes
from widenet.errors import MemoryLimitExceeded
from widenet.networks.kernel_factors import SLICE, Form, Way
from widenet.networks.module_structure import PartSize, Structure

# Only ratios of these matter, to weigh products, passes over memory and calls against one another: one core's order.
_FLOPS, _BYTES, _CALLS = 5e10, 5e9, 1e4  # a second
_BATCH = 56 * 2**20  # bytes of a batch of points while it is evaluated: larger ones gain nothing
_COLUMNS = 192 * 2**20  # bytes of what is kept of a block of columns
_TEMPORARY = 32 * 2**20  # bytes of the temporaries of a tile of pairs
_FEWEST = 64  # columns of a block that keep products of matrices efficient


@dataclass(frozen=True)
class Task:
    """What is asked.

    Attributes:
        rows: n points.
        columns: m points.
        symmetric: Whether they are the same.
        form: Trace, per output, or full.
        itemsize: Bytes of a number.
        limit: Bytes of memory, the result's included.
    """

    rows: int
    columns: int
    symmetric: bool
    form: Form
    itemsize: int
    limit: int

    @property
    def pairs(self) -> float:
        """Pairs of points that are computed."""
        return self.rows * (self.rows + 1) / 2 if self.symmetric else self.rows * self.columns

    def result(self, outputs: int) -> int:
        """Bytes of the result."""
        cells = {"trace": 1, "per_output": outputs, "full": outputs**2}[self.form]
        return self.rows * self.columns * cells * self.itemsize

    def numbers(self, outputs: int) -> tuple[int, int]:
        """Inner products of cotangents of a pair, counted in their lengths, and numbers that come of them."""
        return {"trace": (outputs, 1), "per_output": (outputs, outputs), "full": (outputs**2, outputs**2)}[self.form]


@dataclass(frozen=True)
class Work:
    """What a method does.

    Attributes:
        a_point: Flops of evaluating one point.
        a_pair: Flops of one pair of points.
        moved: Bytes moved by one pair.
        kept: Bytes kept of one point while its pairs are computed.
        passing: Bytes of one point while it is evaluated.
        calls: Evaluations of the module on a block of points for each column; 0 where points are evaluated once.
        forming: Flops of the gradients of one point that are formed in slices, for every block that it meets.
    """

    a_point: float
    a_pair: float
    moved: float
    kept: int
    passing: int
    calls: int = 0
    forming: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Blocks that fit the memory limit, and the cost of the whole with them.

    Attributes:
        rows: Points of X that are kept at a time.
        columns: Points of Y that are kept at a time.
        batch: Points that are evaluated at a time.
        flops: Floating point operations in all.
        memory: Bytes at the peak, the result's included.
        seconds: A rough time, to compare methods by.
    """

    rows: int
    columns: int
    batch: int
    flops: float
    memory: int
    seconds: float


def jacobian_work(structure: Structure, parameters: int, task: Task) -> Work:
    """Gradients of every output and point by some parameters, and their inner products."""
    outputs, length = structure.outputs, task.numbers(structure.outputs)[0]
    kept = outputs * parameters * task.itemsize
    evaluation = (1 + 2 * outputs) * structure.flops
    return Work(evaluation, 2.0 * length * parameters, 0.0, kept, (1 + outputs) * structure.saved + kept)


def products_work(structure: Structure, task: Task) -> Work:
    """A pull-back for every column and output, and a push-forward of it to all rows."""
    outputs, flops = structure.outputs, float(structure.flops)
    passing = 2 * structure.saved
    return Work(2.0 * outputs * flops, 3.0 * outputs * flops, 2.0 * outputs * structure.saved, 0, passing, outputs)


def way_of(size: PartSize, outputs: int, task: Task) -> Way:
    """How a part enters the kernel: by gradients that are formed, or by sums over pairs of positions, as costs less.

    Always by gradients for gains and for groups of channels, never for matrices at one position. Gradients that take
    more memory than what they are formed of are formed in slices.

    Args:
        size: Sizes of the part.
        outputs: Outputs of the network.
        task: What is asked.
    """
    if size.groups != 1:
        return "gradients"
    if size.positions == 1:
        return "outer products"
    formed, kept = _expanded(size, outputs, task), _positions(size, outputs, task)
    points = task.rows + (0 if task.symmetric else task.columns)
    times = [
        (points * w.a_point + task.pairs * w.a_pair) / _FLOPS + task.pairs * w.moved / _BYTES for w in (formed, kept)
    ]
    if times[0] > times[1]:
        return "pairs of positions"
    return "gradients in slices" if _sliced(size, outputs, task).kept < formed.kept else "gradients"


def _expanded(size: PartSize, outputs: int, task: Task) -> Work:
    length = task.numbers(outputs)[0]
    forming = 2.0 * outputs * size.positions * size.parameters
    kept = outputs * size.parameters * task.itemsize
    return Work(forming, 2.0 * length * size.parameters, 0.0, kept, kept + size.positions * size.inputs * task.itemsize)


def _positions(size: PartSize, outputs: int, task: Task) -> Work:
    length, numbers = task.numbers(outputs)
    kept = size.positions * (size.inputs + outputs * size.outputs) * task.itemsize
    if size.positions == 1:
        flops = 2.0 * (size.inputs + length * size.outputs)
        return Work(0.0, flops, 3.0 * numbers * task.itemsize, kept, kept)
    flops = 2.0 * size.positions**2 * (size.inputs + outputs * size.outputs)
    if task.form == "trace":
        return Work(0.0, flops, 4.0 * size.positions**2 * task.itemsize, kept, kept)
    carried = outputs * size.positions * size.outputs
    return Work(0.0, flops + 2.0 * carried * length / outputs, 4.0 * carried * task.itemsize, kept, kept)


def _sliced(size: PartSize, outputs: int, task: Task) -> Work:
    formed, kept = _expanded(size, outputs, task), _positions(size, outputs, task)
    one = outputs * size.inputs * task.itemsize  # gradients by one channel
    return Work(0.0, formed.a_pair, 0.0, kept.kept + one, kept.kept, forming=formed.a_point)


def structured_work(structure: Structure, rest: int, task: Task) -> Work:
    """Factors of every part, and gradients by the parameters that no part has.

    Args:
        structure: The module.
        rest: Number of those parameters.
        task: What is asked.
    """
    outputs = structure.outputs
    works = []
    ways = {"gradients": _expanded, "gradients in slices": _sliced}
    for _, size in structure.parts:
        works.append(ways.get(way_of(size, outputs, task), _positions)(size, outputs, task))
    if rest:
        works.append(jacobian_work(structure, rest, task))
    return Work(
        (1 + outputs) * structure.flops + sum(work.a_point for work in works),
        sum(work.a_pair for work in works),
        sum(work.moved for work in works),
        sum(work.kept for work in works),
        # Inputs and derivatives of all layers, then the gradients of one after the other.
        (1 + outputs) * structure.saved + sum(work.passing for work in works),
        forming=sum(work.forming for work in works),
    )


def lay_out(work: Work, structure: Structure, task: Task) -> Layout:
    """The blocks of a method that fit the memory limit, as large as is useful.

    Args:
        work: What the method does.
        structure: The module.
        task: What is asked.

    Raises:
        MemoryLimitExceeded: Where not even single points fit.
    """
    result = task.result(structure.outputs)
    beside = result + min(3 * result, _TEMPORARY)
    if work.forming:
        beside += 2 * SLICE
    if work.calls:
        beside += 4 * structure.parameters * task.itemsize
    free = task.limit - beside
    one = work.passing + (1 if task.symmetric and task.rows == 1 else 2) * work.kept
    if free < one:
        raise MemoryLimitExceeded(
            f"the kernel of {task.rows} x {task.columns} points needs at least {format_bytes(beside + one)}",
            f"a memory limit of {format_bytes(task.limit)}",
            "Give a larger memory_limit, ask for fewer points at a time, or use the trace form",
        )
    passing = max(work.passing, 1)
    batch = int(max(1, min(max(task.rows, task.columns), _BATCH // passing, free // 4 // passing)))
    batch -= batch % min(batch, torch.get_num_threads())  # points are shared among threads
    free -= batch * work.passing
    kept = max(work.kept, 1)
    if task.symmetric and task.rows * kept <= free:
        rows, columns = task.rows, task.rows
    else:
        columns = int(max(1, min(task.columns, max(_FEWEST, _COLUMNS // kept), free // 4 // kept)))
        columns = ceil(task.columns / ceil(task.columns / columns))
        rows = int(max(1, min(task.rows, (free - columns * kept) // kept)))
    return _costed(work, task, (rows, columns, batch), beside)


def _costed(work: Work, task: Task, blocks: tuple[int, int, int], beside: int) -> Layout:
    rows, columns, batch = blocks
    strips = ceil(task.rows / rows)
    if work.calls:
        points, calls = task.columns, task.columns * work.calls * ceil(task.rows / batch)
    else:
        others = task.rows * (strips - 1) / 2 if task.symmetric else strips * task.columns
        points, calls = task.rows + others, 0
    meetings = ceil(task.columns / columns) * task.rows + strips * task.columns
    if task.symmetric:
        meetings = task.rows + (meetings / 2 if strips > 1 else 0)
    flops = points * work.a_point + task.pairs * work.a_pair + meetings * work.forming
    whole = task.symmetric and rows == task.rows
    held = 0 if work.calls else (rows + (0 if whole else columns)) * work.kept
    seconds = flops / _FLOPS + task.pairs * work.moved / _BYTES + calls / _CALLS
    return Layout(rows, columns, batch, flops, int(beside + held + batch * work.passing), seconds)
