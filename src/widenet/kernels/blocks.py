"""Gram matrices by cache-sized blocks: one preallocated result, the symmetric half, all threads."""

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from widenet.kernels import _fused
from widenet.kernels.progress import counted

_PAIRS = 2**18  # entries of one block: a few temporaries of it fit in the cache of one core
_DEVICE_PAIRS = 2**24  # on other devices: large enough that launches cost nothing
_TEMPORARIES = 40  # tensors of the size of a block of moments that layers hold at a time, measured


@runtime_checkable
class Cross(Protocol):
    """The block function of a kernel: (n, ...), (m, ...) -> (n, m)."""

    def __call__(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """Values of the pairs of a block; `same` says that Y is X."""
        ...


def fill_blocks(cross: Cross, X: Tensor, Y: Tensor | None, pair_size: int = 1) -> Tensor:
    """Gram matrix from a kernel's block function, by cache-sized blocks on the CPU.

    With Y None only blocks on and above the diagonal are computed; the others are their mirror images.
    Blocks do not depend on the number of threads, so neither does the result.

    Args:
        cross: Block function `cross(X, Y, same=...)`; `same` is true for blocks on the diagonal.
        X: Points, (n, *positions, channels).
        Y: Points, (m, *positions, channels), or None for X itself.
        pair_size: How many numbers the evaluation of one pair holds at a time; larger ones make smaller blocks.

    Returns:
        (n, m) or (n, n), without gradients.

    Cost:
        (n + 1) n / 2 pairs with Y None, else n m; memory: the result and one block per thread.
    """
    columns = X if Y is None else Y
    result = new_matrix(len(X), len(columns), X)
    size = _block_size(X, pair_size)
    tiles = tile_corners(len(X), len(columns), size, symmetric=Y is None)

    def fill(corner: tuple[int, int]) -> None:
        i, j = corner
        rows, others = slice(i, i + size), slice(j, j + size)
        block = cross(X[rows], columns[others], same=Y is None and i == j)
        if Y is None and i == j:
            block = block.triu() + block.triu(1).T  # the product of the points is symmetric only up to rounding
        result[rows, others] = block
        if Y is None and i != j:
            _store_transposed(block, result, j, i)

    with torch.no_grad():
        run_tiles(fill, tiles, threads=_threads(result))
    return result


def _store_transposed(block: Tensor, result: Tensor, row: int, column: int) -> None:
    if result.device.type == "cpu":
        # torch copies a transpose column by column; a loop over cache lines takes a fifth of the time.
        _fused.store_mirrored(block.contiguous().numpy(), tuple(block.shape), result.numpy(), row, column)
    else:
        result[row : row + block.shape[1], column : column + block.shape[0]] = block.T


def working_bytes(X: Tensor, pair_size: int) -> int:
    """Memory that the blocks of all threads take while they are computed, where pairs hold more than a number or two.

    Args:
        X: Points.
        pair_size: How many numbers the evaluation of one pair holds at a time.
    """
    if pair_size == 1:
        return 0
    size = _block_size(X, pair_size)
    pairs = size * (size + 2)  # every point of a block may need its moments with itself
    return 8 * _TEMPORARIES * pair_size * pairs * (torch.get_num_threads() if X.device.type == "cpu" else 1)


def _block_size(X: Tensor, pair_size: int) -> int:
    return max(1, math.isqrt((_PAIRS if X.device.type == "cpu" else _DEVICE_PAIRS) // pair_size))


def _threads(result: Tensor) -> int:
    return torch.get_num_threads() if result.device.type == "cpu" else 1


def tile_corners(rows: int, columns: int, size: int, *, symmetric: bool) -> list[tuple[int, int]]:
    """First row and column of every tile; of those on and above the diagonal where the matrix is symmetric."""
    return [(i, j) for i in range(0, rows, size) for j in range(i if symmetric else 0, columns, size)]


def new_matrix(rows: int, columns: int, like: Tensor) -> Tensor:
    """Uninitialised matrix of the dtype and device of `like`.

    On the CPU NumPy allocates it, since it asks Linux for huge pages: first touches of ordinary 4 KiB
    pages are a large part of the time of a naive Gram matrix.
    """
    if like.device.type != "cpu":
        return torch.empty(rows, columns, dtype=like.dtype, device=like.device)
    return torch.from_numpy(np.empty((rows, columns), np.float32 if like.dtype == torch.float32 else np.float64))


def run_tiles(work: Callable[[tuple[int, int]], None], tiles: Sequence[tuple[int, int]], *, threads: int) -> None:
    """Call `work` on every tile from `threads` threads, in each of which torch uses one thread.

    An error or Ctrl-C stops the others at their next tile, and is raised when all have stopped.
    """
    with counted(len(tiles)) as step:
        if threads == 1:
            for tile in tiles:
                work(tile)
                step()
        else:
            _run_in_pool(work, step, tiles, threads)


def _run_in_pool(
    work: Callable[[tuple[int, int]], None], step: Callable[[], None], tiles: Sequence[tuple[int, int]], threads: int
) -> None:
    queue, turn, stop = iter(tiles), threading.Lock(), threading.Event()

    def next_tile() -> tuple[int, int] | None:
        with turn:
            return None if stop.is_set() else next(queue, None)

    def worker() -> None:
        try:
            with torch.no_grad():
                while (tile := next_tile()) is not None:
                    work(tile)
                    step()
        finally:
            stop.set()

    pool = _pools.of(threads)
    futures = [pool.submit(worker) for _ in range(min(threads, len(tiles)))]
    try:
        wait(futures)
    finally:
        stop.set()
        wait(futures)
    for future in futures:
        future.result()


class _Pools:
    """Thread pools by size, each started once; their threads run torch on one core each."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop the pools without joining them: after a fork their threads exist in the parent only."""
        self.lock, self.pools = threading.Lock(), dict[int, ThreadPoolExecutor]()

    def of(self, threads: int) -> ThreadPoolExecutor:
        with self.lock:
            if threads not in self.pools:
                self.pools[threads] = self._start(threads)
            return self.pools[threads]

    def _start(self, threads: int) -> ThreadPoolExecutor:
        ours, ready = torch.get_num_threads(), threading.Barrier(threads + 1)

        def use_one_core() -> None:
            torch.get_num_threads()  # torch gives a new thread its default at the first question: before the next line
            torch.set_num_threads(1)  # holds for this thread, and as the default of threads that torch has not met
            ready.wait()

        pool = ThreadPoolExecutor(threads, thread_name_prefix="widenet", initializer=use_one_core)
        for _ in range(threads):
            pool.submit(int)
        ready.wait()
        torch.set_num_threads(ours)
        return pool


_pools = _Pools()
os.register_at_fork(after_in_child=_pools.forget)
