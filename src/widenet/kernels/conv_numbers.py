"""The arrays by which the fused loops know a convolutional network."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from widenet.kernels import _fused_conv as loops
from widenet.kernels._fused_lanes import lanes
from widenet.kernels.conv_plan import Plan


@dataclass(frozen=True, eq=False)
class Numbers:
    """A plan as arrays.

    Attributes:
        arrays: Integers and reals of the steps; rows, columns and strides of the grids; where the displacements of a
            grid start among its pairs of positions; where the pools start; whether images wrap around, whether the
            tangent is asked for, positions of a state in the workspace, pairs of positions of a pool.
        segments: (segments, 6): steps from, to, last grid, pool to clear or -1, largest displacement of rows, columns.
        sites: Positions of the largest grid.
        work_rows: Rows of lanes of the workspace.
        pool_rows: Rows of lanes of the pools; 0 where there are none.
        table_rows: Numbers in the tables of an image.
    """

    arrays: tuple[np.ndarray, ...]
    segments: np.ndarray
    sites: int
    work_rows: int
    pool_rows: int
    table_rows: int

    def near_pool(self, plan: Plan, segment: int) -> tuple[np.ndarray, np.ndarray]:
        """The segments up to a pool, on the displacements that meet in one of its windows; where its diagonal stands.

        Args:
            plan: The steps.
            segment: The segment that ends with the pool.

        Returns:
            Segments as above, and the rows of lanes of the pools that hold equal positions.
        """
        chosen = self.segments[: segment + 1].copy()
        _limit(chosen, plan, segment, np.zeros(2, np.int64))
        step = plan.steps[plan.segments[segment + 1] - 1]
        rows, columns = plan.grids[step.grid_after].sizes
        middle = (rows - 1) * (2 * columns - 1) + columns - 1
        start = self.arrays[4][step.target] // lanes(np.float64) + self.arrays[3][step.grid_after, middle]
        return chosen, start + np.arange(rows * columns)


def _limit(segments: np.ndarray, plan: Plan, last: int, reach: np.ndarray) -> None:
    """Keep the displacements that meet in displacements up to `reach` behind the pool of segment `last`."""
    for number in range(last, -1, -1):
        step = plan.steps[plan.segments[number + 1] - 1]
        reach = reach * (step.stride, step.stride_columns) + (step.rows - 1, step.columns - 1)
        segments[number, 4:] = reach
        reach = reach * plan.grids[step.grid].strides


@lru_cache(maxsize=32)
def numbers_of(plan: Plan, tangent: bool, channels: int) -> Numbers:
    """The arrays of a plan for images of some channels."""
    rows, columns = plan.grids[0].sizes
    steps, inputs = [], plan.rows
    for step in plan.steps:
        first = step.kind == loops.FIRST
        steps.append(replace(step, roots=inputs, channels=channels, sites=rows * columns) if first else step)
        inputs += rows * columns * channels * first
    bounds = [*plan.segments, len(steps)]
    ends = [steps[stop - 1].grid for stop in bounds[1:]]
    grids = [
        (*grid.sizes, *(a // b for a, b in zip(plan.grids[ends[grid.segment]].strides, grid.strides, strict=True)))
        for grid in plan.grids
    ]
    largest = max(rows * columns for rows, columns, *_ in grids)
    # The loop for 3 x 3 keeps three rows of sums, with a register between them, in place of a state.
    sites = max(largest + 1, *(3 * (columns + 1) + 1 for _, columns, *_ in grids))
    pools = [step for step in steps if step.kind == loops.POOLING]
    pairs = [0, *((plan.grids[step.grid_after].sizes[0] * plan.grids[step.grid_after].sizes[1]) ** 2 for step in pools)]
    room = max(pairs)
    pool_starts = np.array([0, 1, 2, 3]) * room * lanes(np.float64)
    rows_of_segments = [
        (start, stop, end, steps[stop - 1].target if steps[stop - 1].kind == loops.POOLING else -1, 2**30, 2**30)
        for start, stop, end in zip(bounds[:-1], bounds[1:], ends, strict=True)
    ]
    segments = np.array(rows_of_segments)
    if plan.flattens:
        segments[-1, 4:] = 0
        _limit(segments, plan, len(segments) - 2, np.zeros(2, np.int64))
    arrays = (
        np.array([step.integers for step in steps]),
        np.array([step.reals for step in steps]),
        np.array(grids),
        _starts([grid.sizes for grid in plan.grids], plan.wraps),
        pool_starts,
        np.array([plan.wraps, tangent, sites, room]),
    )
    work = (3 + 2 * plan.slots) * sites + 1
    return Numbers(arrays, segments, largest, work, 4 * room, inputs)


def _starts(sizes: list[tuple[int, int]], wraps: bool) -> np.ndarray:
    """Where the pairs of positions of every displacement start, (grids, displacements)."""
    starts = np.zeros((len(sizes), max((2 * rows - 1) * (2 * columns - 1) for rows, columns in sizes)), np.int64)
    for row, (rows, columns) in zip(starts, sizes, strict=True):
        down, right = (np.arange(1 - length, length) for length in (rows, columns))
        if wraps:
            counts = np.outer(np.where(down < 0, 0, rows), np.where(right < 0, 0, columns))
        else:
            counts = np.outer(rows - np.abs(down), columns - np.abs(right))
        row[: counts.size] = np.cumsum(counts.ravel()) - counts.ravel()
    return starts
