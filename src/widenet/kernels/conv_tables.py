"""Second moments of the units at every position of every image, as the tables that the fused loops read."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from widenet.errors import InvalidInput
from widenet.kernels import _fused_conv as loops
from widenet.kernels.conv_plan import Plan, Step

_SMALL, _LARGE = 1e-12, 1e12  # numbers between these, and products of two, are safe in single precision


@dataclass(frozen=True)
class Tables:
    """Tables of a set of images.

    Attributes:
        values: (n, numbers): what the steps name by the row they start at; the inputs come last.
        outputs: Second moments of what flattening leaves, (n,).
        fits_single: Whether all numbers but zeros are safe in single precision.
    """

    values: np.ndarray
    outputs: np.ndarray
    fits_single: bool


# Second moments of pooled positions, from the tables so far and the number of the segment that ends with the pool.
Pooled = Callable[[np.ndarray, int], np.ndarray]


def tables_of(plan: Plan, images: np.ndarray, pooled: Pooled) -> Tables:
    """Tables of images for the steps of a plan.

    Args:
        plan: The steps.
        images: (n, rows, columns, channels), in double precision.
        pooled: What gives the second moments of pooled positions.

    Returns:
        The tables; a root that is 0 has 0 for its inverse.

    Raises:
        InvalidInput: If layer normalisation reads a position where all units are 0.

    Cost:
        n (2 layers + channels) positions numbers.
    """
    return _Fill(plan, images, pooled).run()


def fits_single(values: np.ndarray) -> bool:
    """Whether numbers, zeros aside, and products of two of them are safe in single precision."""
    sizes = np.abs(values)
    smallest = np.min(sizes, initial=1.0, where=sizes > 0)
    return bool(smallest > _SMALL and np.max(sizes, initial=0.0) < _LARGE)


class _Fill:
    """Carries the second moments of all slots from step to step."""

    def __init__(self, plan: Plan, images: np.ndarray, pooled: Pooled) -> None:
        n, rows, columns, channels = images.shape
        self.plan, self.images, self.pooled = plan, images, pooled
        self.values = np.zeros((n, plan.rows + plan.firsts * rows * columns * channels))
        self.squares = dict[int, np.ndarray]()
        self.outputs = np.zeros(n)
        self.inputs, self.segment = plan.rows, 0

    def run(self) -> Tables:
        for step in self.plan.steps:
            self._step(step)
        return Tables(self.values, self.outputs, fits_single(self.values))

    def _step(self, step: Step) -> None:
        if step.kind == loops.FIRST:
            scaled = self.images * np.sqrt(step.gain / self.images.shape[-1])
            self._put(self.inputs, scaled.transpose(0, 3, 1, 2))
            self.inputs += scaled[0].size
            self._written(step, self._windows(np.square(scaled).sum(-1), step) + step.bias)
        elif step.kind == loops.CONVOLUTION:
            self._written(step, self._windows(self._read(step), step) + step.bias)
        elif step.kind == loops.ADDITION:
            second = self.squares[step.other] * step.other_gain
            self._put(step.other_roots, np.sqrt(second))
            self._written(step, self._read(step) + second)
        elif step.kind == loops.NORMALISATION:
            squares = self.squares[step.source]
            if not (squares > 0).all():
                raise InvalidInput("LayerNorm must read units of positive variance", "a point at which they all are 0")
            self._written(step, squares)
            self.squares[step.target] = np.ones_like(squares)
        elif step.kind == loops.POOLING:
            self._read(step)
        elif step.kind == loops.POOLED:
            rows, columns = self.plan.grids[step.grid].sizes
            squares = self.pooled(self.values, self.segment).reshape(-1, rows, columns)
            self.segment += 1
            self._written(step, np.maximum(squares, 0.0))
        else:
            self.outputs = self._read(step).sum((1, 2))
            self._put(step.inverses, _inverses(self.outputs))

    def _read(self, step: Step) -> np.ndarray:
        """Second moments that go into a step; their roots are written."""
        squares = self.squares[step.source] * step.gain
        self._put(step.roots, np.sqrt(squares))
        return squares

    def _written(self, step: Step, squares: np.ndarray) -> None:
        self._put(step.inverses, _inverses(squares))
        self.squares[step.target] = squares

    def _put(self, start: int, numbers: np.ndarray) -> None:
        flat = numbers.reshape(len(numbers), -1)
        self.values[:, start : start + flat.shape[1]] = flat

    def _windows(self, squares: np.ndarray, step: Step) -> np.ndarray:
        """Sums over the windows of a convolution."""
        rows, columns = self.plan.grids[step.grid_after].sizes
        squares = self._padded(squares, 1, step.pad, (rows - 1) * step.stride + step.rows)
        squares = self._padded(squares, 2, step.pad_columns, (columns - 1) * step.stride_columns + step.columns)
        total = np.zeros((len(squares), rows, columns))
        for i in range(step.rows):
            for j in range(step.columns):
                total += squares[:, i :: step.stride, j :: step.stride_columns][:, :rows, :columns]
        return total

    def _padded(self, squares: np.ndarray, axis: int, before: int, length: int) -> np.ndarray:
        around = np.arange(-before, length - before)
        if self.plan.wraps:
            return squares.take(around, axis=axis, mode="wrap")
        inside = (around >= 0) & (around < squares.shape[axis])
        shape = [1, 1, 1]
        shape[axis] = length
        return squares.take(around, axis=axis, mode="clip") * inside.reshape(shape)


def _inverses(squares: np.ndarray) -> np.ndarray:
    """sqrt(1/2) over the roots, 0 where they are 0."""
    return np.sqrt(np.divide(0.5, squares, out=np.zeros_like(squares), where=squares > 0))
