"""Rows in partitions on many machines: what form they have, work on each of them, and sums in one fixed order."""

import operator
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from widenet.errors import InvalidInput, MissingPackage

try:
    import dask
    import dask.array
    import dask.dataframe as dd
    from dask.delayed import Delayed
    from distributed import default_client, get_worker
except ImportError as error:
    raise MissingPackage(
        "widenet on more than one machine needs Dask", str(error), "Install it with: pip install 'widenet[dask]'"
    ) from error

Rows = Any  # a dask array, or a dask data frame or series
DaskArray = Any
da: Any = dask.array  # whose annotations refuse what its documentation allows


def read_rows(X: Rows, name: str = "X") -> DaskArray:
    """Points as a dask array of numbers that is cut along its rows only; nothing is computed.

    Args:
        X: dask array (n, ...) of float32, float64, integers or booleans, or a dask data frame of such columns.
        name: What errors call it.

    Returns:
        The array, of float32 or float64; a partition's rows may be unknown in number.

    Raises:
        InvalidInput: On anything that is no dask collection, on text and categories, and on an array without rows.
    """
    array = partitioned(_numbers(_collection(X, name), name), name)
    if array.ndim < 2 or 0 in array.shape:
        raise InvalidInput(f"{name} must be (points, ..., channels) with at least one of each", f"shape {array.shape}")
    return array


def read_values(y: Rows, X: DaskArray, name: str = "y") -> DaskArray:
    """Numbers that belong to the rows of X, (n,) or (n, outputs), in partitions like those of X.

    Raises:
        InvalidInput: Where they are no numbers, or do not fit the rows of X.
    """
    array = aligned(partitioned(_numbers(_collection(y, name), name), name), X, name)
    if array.ndim > 2:
        raise InvalidInput(f"{name} must be (n,) or (n, outputs)", f"shape {array.shape}")
    return array


def partitioned(rows: Rows, name: str) -> DaskArray:
    """A dask collection as an array that is cut along its first axis only."""
    if isinstance(_collection(rows, name), (dd.DataFrame, dd.Series)):
        return rows.to_dask_array()
    return rows.rechunk(dict.fromkeys(range(1, rows.ndim), -1)) if max(rows.numblocks[1:], default=1) > 1 else rows


def aligned(values: DaskArray, X: DaskArray, name: str) -> DaskArray:
    """`values` cut at the rows where X is cut; where the sizes are unknown, as many partitions must do.

    Raises:
        InvalidInput: On another number of rows, or of partitions where their sizes are unknown.
    """
    ours, theirs = values.chunks[0], X.chunks[0]
    if not np.isnan(sum(ours) + sum(theirs)):
        if sum(ours) != sum(theirs):
            raise InvalidInput(f"{name} must have a row for each of the {sum(theirs)} of X", f"{sum(ours)} rows")
        return values if ours == theirs else values.rechunk({0: theirs})
    if len(ours) != len(theirs):
        raise InvalidInput(
            f"{name} and X must be cut alike where the sizes of partitions are unknown",
            f"{len(ours)} and {len(theirs)} partitions",
            "Call compute_chunk_sizes() on both, or repartition them alike",
        )
    return values


def require_sizes(X: DaskArray, name: str) -> None:
    """InvalidInput unless the number of rows of every partition is known."""
    if np.isnan(X.shape[0]):
        raise InvalidInput(
            f"{name} must have partitions of known sizes",
            f"{X.numblocks[0]} partitions of unknown sizes",
            f"Call {name}.compute_chunk_sizes(), or to_dask_array(lengths=True) on a data frame",
        )


def read_pair(X: Rows, y: Rows) -> tuple[Rows, Rows]:
    """Rows with their targets of any kind, cut alike: an array of numbers, or a data frame as it is."""
    if not isinstance(X, dd.DataFrame):
        rows = read_rows(X)
        return rows, aligned(partitioned(y, "y"), rows, "y")
    if isinstance(_collection(y, "y"), da.Array):
        y = partitioned(y, "y")
    parts = y.numblocks[0] if isinstance(y, da.Array) else y.npartitions
    if parts != X.npartitions:
        cure = "Repartition them alike"
        raise InvalidInput("y and X must be cut alike", f"{parts} and {X.npartitions} partitions", cure)
    return X, y


def map_partitions(task: Callable[..., Any], X: Rows, *values: Rows, shared: Delayed | None = None) -> list[Delayed]:
    """`task(number, rows, *values)` on every partition, lazily, where the partition lies.

    A task uses the cores of its machine divided by the tasks that run there at a time. It is one with the tasks that
    load the blocks of an array, so that no more rows are in memory than there are tasks at work.

    Args:
        task: Picklable function of the number of a partition and of its arrays, frames or series.
        X: Points, as by `read_rows`, or a data frame.
        values: What belongs to their rows, cut like X.
        shared: What each task gets first, before the number; it travels to a worker once.

    Returns:
        One delayed result a partition, in the order of the rows.
    """
    collections = (X, *values)
    arrays = all(isinstance(collection, da.Array) for collection in collections)
    dtypes = tuple(array.dtype for array in collections) if arrays else ()
    work = partial(_on_partition, task, dtypes, task_slots())
    if not arrays:
        lazily = dask.delayed(work, traverse=False)
        columns = [np.ravel(collection.to_delayed()) for collection in collections]
        return [
            lazily(np.array([number]), *blocks, shared=shared)
            for number, blocks in enumerate(zip(*columns, strict=True))
        ]
    numbers = da.from_array(np.arange(X.numblocks[0]), chunks=1, inline_array=True)
    pairs, further = [], count(1)
    for array in (numbers, *collections):
        pairs += [array, (0, *islice(further, array.ndim - 1))]
    # The result has every axis of every array, though a block of it is no array: an axis less would copy the blocks.
    axes = tuple(range(next(further)))
    like = np.empty((0,) * len(axes), object)
    blocks = da.blockwise(work, axes, *pairs, align_arrays=False, dtype=object, meta=like, shared=shared)
    return list(blocks.to_delayed().ravel())


def tree_sum(parts: Sequence[Delayed]) -> Delayed:
    """Sum of delayed values by a binary tree over their order, so that no scheduling changes its rounding."""
    add = dask.delayed(operator.add, traverse=False)
    while len(parts) > 1:
        rest = [parts[-1]] if len(parts) % 2 else []
        parts = [add(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)] + rest
    return parts[0]


def task_slots() -> dict[str, int]:
    """How many tasks each machine of the current client's cluster runs at a time; empty without a client."""
    try:
        workers = default_client().scheduler_info(n_workers=-1)["workers"].values()
    except ValueError:
        return {}
    slots: Counter[str] = Counter()
    for worker in workers:
        slots[worker["host"]] += worker["nthreads"]
    return dict(slots)


class _BlasLimit:
    """Threads of BLAS, which a process has one number of: set by the first of some tasks, restored by the last."""

    def __init__(self) -> None:
        self._lock, self._tasks, self._limit = threading.Lock(), 0, None
        self._libraries = ThreadpoolController()  # to look for them takes longer than a small task

    @contextmanager
    def of(self, threads: int) -> Iterator[None]:
        with self._lock:
            self._tasks += 1
            if self._limit is None:
                self._limit = self._libraries.limit(limits=threads, user_api="blas")
        try:
            yield
        finally:
            with self._lock:
                self._tasks -= 1
                if not self._tasks and self._limit is not None:
                    self._limit.restore_original_limits()
                    self._limit = None


_blas = _BlasLimit()


@contextmanager
def threads_of_task(slots: dict[str, int]) -> Iterator[None]:
    """Let torch, the fused loops and BLAS use this task's share of the cores: cores / tasks of the machine.

    Outside a worker a task of one of Dask's own threads gets one core; on the caller's thread, it keeps the setting.
    """
    before = torch.get_num_threads()
    try:
        worker = get_worker()
    except ValueError:
        share = before if threading.current_thread() is threading.main_thread() else 1
    else:
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        host = worker.address.rpartition(":")[0].rpartition("/")[2].strip("[]")
        share = max(1, cores // slots.get(host, worker.state.nthreads))
    torch.set_num_threads(share)
    try:
        with _blas.of(share):
            yield
    finally:
        torch.set_num_threads(before)


def _on_partition(
    task: Callable[..., Any],
    dtypes: tuple[np.dtype, ...],
    slots: dict[str, int],
    number: np.ndarray,
    *blocks: Any,
    shared: Any = None,
) -> Any:
    lengths, place = [len(block) for block in blocks], int(number[0])
    try:
        if len(set(lengths)) > 1:
            raise InvalidInput("X and what belongs to its rows must be equally long", f"{lengths} rows")
        for block, dtype in zip(blocks, dtypes, strict=bool(dtypes)):
            if block.dtype != dtype:
                raise InvalidInput(
                    f"the partitions must all have the dtype {dtype}", str(block.dtype), "Cast them with astype"
                )
        with threads_of_task(slots):
            return task(place, *blocks) if shared is None else task(shared, place, *blocks)
    except InvalidInput as error:
        named = f"partition {place}" in str(error)
        raise InvalidInput(
            error.asked if named else f"in partition {place}, {error.asked}", error.got, error.cure
        ) from None


def _collection(rows: Rows, name: str) -> Rows:
    if not isinstance(rows, (da.Array, dd.DataFrame, dd.Series)):
        cure = "Fit the estimator itself on one machine"
        raise InvalidInput(f"{name} must be a dask array or data frame", type(rows).__name__, cure)
    return rows


def _numbers(rows: Rows, name: str) -> Rows:
    """The rows as float32 or float64; a table as float32 only where all its columns are."""
    dtypes = dict(rows.dtypes) if isinstance(rows, dd.DataFrame) else {name: rows.dtype}
    single = {str(dtype).lower() for dtype in dtypes.values()} == {"float32"}
    bad = [
        f"{column}: {dtype}"
        for column, dtype in dtypes.items()
        if dtype.kind not in "biuf" or (dtype.kind == "f" and dtype.itemsize not in (4, 8))
    ]
    if bad:
        cure = "Encode text columns first, cast the others with astype"
        raise InvalidInput(f"{name} must hold numbers, float32 or float64", ", ".join(bad), cure)
    return rows.astype(np.float32 if single else np.float64)
