"""Gram matrices in blocks on many machines, and their products without the matrix."""

from functools import partial
from typing import Any

import dask
import numpy as np
import torch
from dask.base import tokenize
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from widenet.errors import InvalidInput
from widenet.estimators.distributed.partitions import (
    DaskArray,
    Rows,
    aligned,
    da,
    read_rows,
    read_values,
    require_sizes,
    task_slots,
    threads_of_task,
    tree_sum,
)
from widenet.kernels.base import Kernel
from widenet.linalg.kernel_matrix import KernelMatrix

_BLOCK_ROWS = 4096  # 128 MiB of float64 a block, as large as Dask's own blocks


def kernel_gram(kernel: Kernel, X: Rows, Y: Rows | None = None, *, block_rows: int = _BLOCK_ROWS) -> DaskArray:
    """Gram matrix K(X, Y) as a dask array of blocks, each of which is computed where it is asked for.

    K_ij = k(x_i, y_j). With Y None the blocks on and above the diagonal are computed, the others are their transposes.

    Args:
        kernel: k.
        X: Points, a dask array (n, ...) or data frame with partitions of known sizes.
        Y: Points (m, ...) of the dtype of X, or None for X itself: an exactly symmetric matrix.
        block_rows: Partitions with more rows are cut to this many.

    Returns:
        dask array (n, m) of the dtype of X.

    Raises:
        InvalidInput: On partitions of unknown sizes, and, when computed, on points that the kernel refuses.

    Cost:
        n m pairs, or n (n + 1) / 2 with Y None; a task holds one block and the points of its rows and columns.

    Example:
        >>> import dask.array as da
        >>> import numpy as np
        >>> from widenet.kernels import Laplace
        >>> X = da.from_array(np.arange(6.0).reshape(6, 1), chunks=(2, 1))
        >>> K = kernel_gram(Laplace(scale=1.0), X)
        >>> K.numblocks, (K @ np.ones(6)).compute(scheduler="synchronous").round(4)
        ((3, 3), array([1.5781, 1.9392, 2.0562, 2.0562, 1.9392, 1.5781]))
    """
    rows = _points(X, "X", block_rows)
    columns = rows if Y is None else _points(Y, "Y", block_rows)
    if columns.shape[1:] != rows.shape[1:] or columns.dtype != rows.dtype:
        raise InvalidInput(
            "X and Y must have points of one shape and dtype",
            f"{rows.shape[1:]} of {rows.dtype} and {columns.shape[1:]} of {columns.dtype}",
        )
    name = f"gram-{tokenize(kernel, rows, columns)}"
    block = partial(_block, kernel, task_slots())
    ours, theirs = _keys(rows), _keys(columns)
    graph: Any = {}
    for i, row in enumerate(ours):
        for j, column in enumerate(theirs):
            if Y is not None or i < j:
                graph[name, i, j] = (block, row, column)
            else:
                graph[name, i, j] = (block, row) if i == j else (np.transpose, (name, j, i))
    dependencies: Any = [rows, columns]
    layers = HighLevelGraph.from_collections(name, graph, dependencies)
    return da.Array(layers, name, (rows.chunks[0], columns.chunks[0]), dtype=rows.dtype)


def gram_product(kernel: Kernel, X: Rows, V: Rows, *, block_rows: int = _BLOCK_ROWS) -> DaskArray:
    """Product K(X, X) V on many machines, where no block of K outlives its task.

    Each block on or above the diagonal is evaluated once, and gives K_ij V_j and K_ij^T V_i. The sums over blocks
    follow the order of the partitions, so that the result does not depend on who computed what.

    Args:
        kernel: k.
        X: Points, a dask array (n, ...) or data frame with partitions of known sizes.
        V: (n,) or (n, k), a dask array; or a NumPy array, which travels with the tasks.
        block_rows: Partitions with more rows are cut to this many.

    Returns:
        dask array (n,) or (n, k), cut like the rows of X, of the wider dtype of X and V; sums are in float64.

    Raises:
        InvalidInput: On partitions of unknown sizes or lengths that differ, and, when computed, on points that the
            kernel refuses.

    Cost:
        n (n + 1) / 2 pairs and 2 n^2 k flops; a task holds tiles of one block, under half of the free memory.

    Example:
        >>> import dask.array as da
        >>> import numpy as np
        >>> from widenet.kernels import Laplace
        >>> X = da.from_array(np.arange(6.0).reshape(6, 1), chunks=(2, 1))
        >>> gram_product(Laplace(scale=1.0), X, np.ones(6)).compute(scheduler="synchronous").round(4)
        array([1.5781, 1.9392, 2.0562, 2.0562, 1.9392, 1.5781])
    """
    rows = _points(X, "X", block_rows)
    given = da.from_array(V, chunks=-1) if isinstance(V, np.ndarray) and V.ndim else V
    right = aligned(read_values(given, rows, "V"), rows, "V")
    points, vectors = rows.to_delayed().ravel(), right.to_delayed().ravel()
    slots, count = task_slots(), len(points)
    parts: list[list[Delayed]] = [[] for _ in range(count)]
    both = dask.delayed(partial(_both_products, kernel, slots), nout=2, traverse=False)
    own = dask.delayed(partial(_own_product, kernel, slots), traverse=False)
    for i in range(count):
        parts[i].append(own(points[i], vectors[i]))
        for j in range(i + 1, count):
            upper, lower = both(points[i], points[j], vectors[i], vectors[j])
            parts[i].append(upper)
            parts[j].append(lower)
    dtype = np.result_type(rows.dtype, right.dtype)
    blocks = [
        da.from_delayed(tree_sum(part), (size, *right.shape[1:]), np.float64)
        for part, size in zip(parts, rows.chunks[0], strict=True)
    ]
    return da.concatenate(blocks).astype(dtype)


def _points(X: Rows, name: str, block_rows: int) -> DaskArray:
    if block_rows < 1:
        raise InvalidInput("block_rows must be at least 1", repr(block_rows))
    points = read_rows(X, name)
    require_sizes(points, name)
    sizes = [min(block_rows, size - start) for size in points.chunks[0] for start in range(0, max(size, 1), block_rows)]
    return points.rechunk({0: tuple(sizes)}) if len(sizes) > points.numblocks[0] else points


def _keys(points: DaskArray) -> list[tuple[Any, ...]]:
    """Keys of the blocks in the order of their rows."""
    return [(points.name, i, *(0,) * (points.ndim - 1)) for i in range(points.numblocks[0])]


def _block(kernel: Kernel, slots: dict[str, int], X: np.ndarray, Y: np.ndarray | None = None) -> np.ndarray:
    columns = len(X if Y is None else Y)
    if len(X) == 0 or columns == 0:  # a partition that a filter has emptied
        return np.zeros((len(X), columns), X.dtype)
    with threads_of_task(slots):
        return kernel(X, Y)


def _own_product(kernel: Kernel, slots: dict[str, int], X: np.ndarray, V: np.ndarray) -> np.ndarray:
    """K(X, X) V of one partition, in float64."""
    if len(X) == 0:
        return np.zeros(V.shape)
    with threads_of_task(slots):
        return KernelMatrix(kernel, X) @ V.astype(np.float64, copy=False)


def _both_products(
    kernel: Kernel, slots: dict[str, int], X: np.ndarray, Y: np.ndarray, V: np.ndarray, W: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """K(X, Y) W and K(X, Y)^T V of two partitions from one evaluation of each tile, in float64."""
    upper = torch.zeros(len(X), *W.shape[1:], dtype=torch.float64)
    lower = torch.zeros(len(Y), *V.shape[1:], dtype=torch.float64)
    if len(X) == 0 or len(Y) == 0:
        return upper.numpy(), lower.numpy()
    left, right = (torch.as_tensor(np.array(vectors, np.float64)) for vectors in (V, W))
    with threads_of_task(slots):
        matrix = KernelMatrix(kernel, X, Y)
        for i, j in matrix.layout.corners():
            rows, columns = matrix.layout.slices(i, j)
            tile = matrix.block(i, j).to(torch.float64)
            upper[rows] += tile @ right[columns]
            lower[columns] += tile.T @ left[rows]
    return upper.numpy(), lower.numpy()
