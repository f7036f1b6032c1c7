"""Products with tiles of a matrix, summed in double precision by several threads."""

import threading
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from widenet.kernels.blocks import run_tiles, tile_corners
from widenet.linalg import _fused_products

_FEW = 16  # vectors up to which loops that read the tile once beat a matrix product with its float64 copy
_TILE = 256  # rows of a strip, rows and columns of a tile that is computed for its product
_CHUNK = 512  # columns of a float64 copy: with 256 rows it stays in the cache of one core


class TileSums:
    """K v, K^T v, or both for a symmetric K, from tiles of K in any order and from any thread.

    Args:
        right: v, (columns, k), or (rows, k) for the transposed product; both are one where K is symmetric.
        length: Rows of the result.

    Attributes:
        result: The sums so far, (length, k), float64.
    """

    def __init__(self, right: Tensor, length: int) -> None:
        self.right = right
        self.result = torch.zeros(length, right.shape[1], dtype=torch.float64, device=right.device)
        self._few = right.shape[1] <= _FEW and right.device.type == "cpu"
        # Vectors in rows for the loops, which run along them.
        self._vectors = np.ascontiguousarray(right.numpy().T) if self._few else np.empty((0, 0))
        self._lock = threading.Lock()

    def add(self, tile: np.ndarray, rows: slice, columns: slice, *, mirror: bool, first: int = 0) -> None:
        """Add the product with a tile of K, and with its mirror image where asked.

        Args:
            tile: C-ordered array whose first rows hold the tile.
            rows: Rows of K that the tile holds.
            columns: Columns of K that the tile holds.
            mirror: Whether the transposed tile stands at (columns, rows).
            first: Column of the array where the tile begins.
        """
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if self._few:
            v, extent = self._vectors, (height, first, first + width)
            down, across = np.zeros((len(v), height)), np.zeros((len(v), width))
            if mirror:
                _fused_products.add_both(tile, extent, (self._part(columns), self._part(rows)), (down, across))
            else:
                _fused_products.add_rows(tile, extent, self._part(columns), down)
            self._store(rows, torch.from_numpy(down).T, columns, torch.from_numpy(across).T if mirror else None)
            return
        for start in range(0, width, _CHUNK):
            part = _part(columns, start, min(_CHUNK, width - start))
            wide = _widened(tile, height, first + start, part)
            self._store(rows, wide @ self.right[part], part, wide.T @ self.right[rows] if mirror else None)

    def add_transposed(self, tile: np.ndarray, rows: slice, columns: slice, *, first: int = 0) -> None:
        """Add the product with the transpose of a tile; arguments as in `add`."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if self._few:
            across = np.zeros((len(self._vectors), width))
            _fused_products.add_columns(tile, (height, first, first + width), self._part(rows), across)
            self._store(columns, torch.from_numpy(across).T)
            return
        for start in range(0, width, _CHUNK):
            part = _part(columns, start, min(_CHUNK, width - start))
            self._store(part, _widened(tile, height, first + start, part).T @ self.right[rows])

    def _part(self, rows: slice) -> np.ndarray:
        return np.ascontiguousarray(self._vectors[:, rows])

    def _store(self, rows: slice, down: Tensor, columns: slice | None = None, across: Tensor | None = None) -> None:
        with self._lock:
            self.result[rows] += down
            if columns is not None and across is not None:
                self.result[columns] += across


@runtime_checkable
class Tile(Protocol):
    """What computes a tile: rows, columns -> an array whose first entries of its first rows are the tile."""

    def __call__(self, rows: slice, columns: slice, *, same: bool) -> np.ndarray:
        """The tile; `same` says that it lies on the diagonal of a symmetric matrix."""
        ...


def add_tiles(sums: TileSums, tile: Tile, rows: slice, columns: slice, *, symmetric: bool) -> None:
    """Add the product with a block whose tiles are computed here and stored nowhere, from all threads.

    Args:
        sums: Where to.
        tile: What computes tiles.
        rows: Rows of the block.
        columns: Columns of the block.
        symmetric: Whether K is symmetric, so that every tile above the diagonal stands for its mirror image too.
    """
    diagonal = symmetric and rows == columns

    def add(corner: tuple[int, int]) -> None:
        across = slice(rows.start + corner[0], min(rows.start + corner[0] + _TILE, rows.stop))
        down = slice(columns.start + corner[1], min(columns.start + corner[1] + _TILE, columns.stop))
        same = diagonal and corner[0] == corner[1]
        sums.add(tile(across, down, same=same), across, down, mirror=symmetric and not same)

    corners = tile_corners(rows.stop - rows.start, columns.stop - columns.start, _TILE, symmetric=diagonal)
    run_tiles(add, corners, threads=torch.get_num_threads())


def add_block(sums: TileSums, block: Tensor, rows: slice, columns: slice, *, mirror: bool) -> None:
    """Add the product with a large block, by strips of it from all threads.

    Args:
        sums: Where to.
        block: Block of K.
        rows: Rows of K that it holds.
        columns: Columns of K that it holds.
        mirror: Whether its transpose stands at (columns, rows).
    """
    if block.device.type != "cpu":
        wide = block.to(torch.float64)
        sums.result[rows] += wide @ sums.right[columns]
        if mirror:
            sums.result[columns] += wide.T @ sums.right[rows]
        return
    values = block.contiguous().numpy()

    def add(corner: tuple[int, int]) -> None:
        strip = values[corner[0] : corner[0] + _TILE]
        sums.add(strip, _part(rows, corner[0], len(strip)), columns, mirror=mirror)

    run_tiles(add, _strips(len(values)), threads=torch.get_num_threads())


def add_transposed_block(sums: TileSums, block: Tensor, rows: slice, columns: slice) -> None:
    """Add the product with the transpose of a large block; arguments as in `add_block`."""
    if block.device.type != "cpu":
        sums.result[columns] += block.to(torch.float64).T @ sums.right[rows]
        return
    values = block.contiguous().numpy()

    def add(corner: tuple[int, int]) -> None:
        strip = values[corner[0] : corner[0] + _TILE]
        sums.add_transposed(strip, _part(rows, corner[0], len(strip)), columns)

    run_tiles(add, _strips(len(values)), threads=torch.get_num_threads())


def _strips(rows: int) -> list[tuple[int, int]]:
    return [(start, 0) for start in range(0, rows, _TILE)]


def _part(rows: slice, start: int, length: int) -> slice:
    return slice(rows.start + start, rows.start + start + length)


def _widened(tile: np.ndarray, height: int, first: int, part: slice) -> Tensor:
    """Float64 copy of a part of a tile."""
    return torch.from_numpy(tile[:height, first : first + part.stop - part.start]).to(torch.float64)
