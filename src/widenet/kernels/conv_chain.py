"""Kernels of convolutional networks by fused loops on the CPU."""

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from widenet.architectures import Dense, Layer, Repeat, Scale, Serial
from widenet.kernels import _fused_displacements as displacements
from widenet.kernels._fused_lanes import lanes
from widenet.kernels.blocks import new_matrix, run_tiles
from widenet.kernels.conv_numbers import Numbers, numbers_of
from widenet.kernels.conv_plan import Plan
from widenet.kernels.conv_steps import is_linear, plan_of
from widenet.kernels.conv_tables import Tables, tables_of
from widenet.kernels.moments import Moments
from widenet.kernels.propagate import propagate

_WORK = 2**25  # pairs of positions times steps of one tile: some tens of milliseconds
_SHARES = 4  # tiles of a thread at least, so that threads end at about the same time
_IMAGES = 64  # of which tables are made at a time
_EXACT_BELOW = {4: 1e-3, 8: 1e-6}  # near below this has lost its digits in the covariance, by bytes of a number


@dataclass(frozen=True)
class ConvProgram:
    """Kernel of a convolutional network of positively homogeneous activations, by fused loops.

    It serves chains and residual sums of `Conv`, `Dense`, `AbsLinear` activations, factors, layer normalisation and
    pooling, that end with `Flatten`, `GlobalAveragePool` or `GlobalSumPool` and layers on the vectors that these leave.

    Attributes:
        plan: The steps.
        tangent: Whether the NTK is asked for, or else the NNGP.
    """

    plan: Plan
    tangent: bool

    @staticmethod
    @lru_cache(maxsize=128)
    def of(architecture: Layer, tangent: bool, positions: tuple[int, ...]) -> "ConvProgram | None":
        """The program of an architecture on images of one size; None where its layers or their order are others."""
        plan = plan_of(architecture, positions)
        return None if plan is None else ConvProgram(plan, tangent)

    @property
    def pair_size(self) -> int:
        """By which blocks of pairs are cut that `cross` computes for others: to some 10 milliseconds of work."""
        return 16 if self.plan.flattens else 1024

    def working_bytes(self, channels: int) -> tuple[int, int]:
        """Memory of tables that are made and of the workspaces of all threads; and of the tables of two images."""
        numbers = numbers_of(self.plan, self.tangent, channels)
        register = numbers.work_rows + numbers.pool_rows + 2 * numbers.table_rows
        threads = torch.get_num_threads()
        return 64 * register * threads + 8 * 3 * _IMAGES * numbers.table_rows, 2 * 2 * 8 * numbers.table_rows

    def gram(self, X: Tensor, Y: Tensor | None) -> Tensor:
        """Kernel of all pairs of images, (n, m), by tiles on all threads; without gradients.

        Single precision stays so inside, as near-duplicates and constant regions are carried without loss of digits;
        after pooling in the middle, and for numbers beyond 1e12, the loops use double precision.

        Args:
            X: Images, (n, *positions, channels), on the CPU.
            Y: Images, (m, *positions, channels), or None for X itself; the result is then exactly symmetric.

        Cost:
            A few nanoseconds at most for a pair of images, a pair of positions and a layer; positions are those of one
            image where the network flattens, and all pairs of them where it pools. Memory: the result, tables of
            (2 layers + channels) numbers a position and image, and for each thread a workspace of a few images times
            the lanes of a register; with pooling in the middle also the pooled pairs of positions for that many images.
        """
        return self._run(X, Y, torch.get_num_threads())

    def cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """The same for one block, on the thread that asks."""
        return self._run(X, None if same else Y, 1)

    def diagonal(self, X: Tensor) -> Tensor:
        """Kernel of every image with itself, (n,)."""
        tiles = _Tiles(self, X, None)
        values = torch.empty(len(X), dtype=X.dtype)

        def fill(tile: tuple[int, int]) -> None:
            each = np.arange(*tile)
            values[tile[0] : tile[1]] = torch.from_numpy(tiles.listed(each, each))

        run_tiles(fill, _spans(len(X), tiles.pairs), threads=torch.get_num_threads())
        return values

    def _run(self, X: Tensor, Y: Tensor | None, threads: int) -> Tensor:
        tiles = _Tiles(self, X, Y)
        n, m = len(X), len(X if Y is None else Y)
        result = new_matrix(n, m, X)
        K = result.numpy()
        if self.plan.flattens and len(self.plan.segments) == 1:
            run_tiles(lambda tile: tiles.fill_rows(tile, K), tiles.row_corners(n, m, threads), threads=threads)
            return result
        starts = np.cumsum([0, *range(n, 1, -1)]) if Y is None else np.arange(n) * m

        def fill(tile: tuple[int, int]) -> None:
            number = np.arange(*tile)
            i = np.searchsorted(starts, number, side="right") - 1
            j = number - starts[i] + (i if Y is None else 0)
            K[i, j] = tiles.listed(i, j)
            if Y is None:
                K[j, i] = K[i, j]

        run_tiles(fill, _spans(n * (n + 1) // 2 if Y is None else n * m, tiles.pairs), threads=threads)
        return result


class _Memory(threading.local):
    """Workspace of each thread: states, pools, and the tables of one register of images on either side."""

    def __init__(self, numbers: Numbers, dtype: np.dtype) -> None:
        self.width = lanes(dtype)
        self.work = np.empty(self.width * numbers.work_rows, dtype)
        self.pools = np.empty(self.width * numbers.pool_rows, dtype) if numbers.pool_rows else None
        self.x, self.y = (np.empty((numbers.table_rows, self.width), dtype) for _ in range(2))


class _Tiles:
    """What the tiles of one Gram matrix share: tables of the images, and the numbers of the program."""

    def __init__(self, program: ConvProgram, X: Tensor, Y: Tensor | None) -> None:
        self.plan, self.tangent, self.same = program.plan, program.tangent, Y is None
        points = [X] if Y is None else [X, Y]
        self.numbers = numbers_of(program.plan, program.tangent, X.shape[-1])
        self.memory = _Memory(self.numbers, np.dtype(np.float64))
        single = X.dtype == torch.float32 and not self.numbers.pool_rows
        tables = [self._tables(images, np.dtype(np.float32 if single else np.float64)) for images in points]
        if single and all(table.fits_single for table in tables):
            self.memory = _Memory(self.numbers, np.dtype(np.float32))
        elif single:
            tables = [self._tables(images, np.dtype(np.float64)) for images in points]
        self.x, self.y, self.width = tables[0], tables[-1], self.memory.width
        work = self.width * len(program.plan.steps) * self.numbers.sites
        self.pairs = max(1, _WORK // (work * self.numbers.sites)) * self.width
        self.rows = max(1, _WORK // (work * self.width)) * self.width

    def _tables(self, points: Tensor, dtype: np.dtype) -> Tables:
        """Tables of all images, some at a time: between the steps they take several times their room."""
        images = (points[:, None] if points.ndim == 3 else points).detach().numpy()
        parts = [images[start:stop] for start, stop in _spans(len(images), _IMAGES)]
        parts = [tables_of(self.plan, part.astype(np.float64), self._pooled) for part in parts]
        values = np.concatenate([part.values.astype(dtype) for part in parts])
        outputs = np.concatenate([part.outputs for part in parts])
        return Tables(values, outputs, all(part.fits_single for part in parts))

    def _program(self) -> tuple:
        return (*self.numbers.arrays, _EXACT_BELOW[self.memory.work.itemsize])

    def _pairs(self, tables: tuple[np.ndarray, np.ndarray], which: np.ndarray, segments: np.ndarray) -> np.ndarray:
        """Sums over the positions for at most a register of pairs of images, (3, lanes)."""
        memory, out = self.memory, np.zeros((3, self.memory.width))
        displacements.pack(tables[0], which[0], memory.x)
        displacements.pack(tables[1], which[1], memory.y)
        displacements.run_segments(memory.work, memory.pools, (memory.x, memory.y), self._program(), segments, out)
        return out

    def _pooled(self, values: np.ndarray, segment: int) -> np.ndarray:
        """Second moments of the positions that a pooling leaves, of each image with itself."""
        segments, place = self.numbers.near_pool(self.plan, segment)
        width, pools, found = self.memory.width, self.memory.pools, np.empty((len(values), len(place)))
        if pools is None:
            raise AssertionError("a pooling without pools")
        for start, stop in _spans(len(values), width):
            each = np.arange(start, stop)
            self._pairs((values, values), np.stack([each, each]), segments)
            found[start:stop] = pools.reshape(-1, width)[place, : stop - start].T
        return found

    def listed(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Kernel of a list of pairs of images, (pairs,)."""
        sums, tables = np.empty((3, len(first))), (self.x.values, self.y.values)
        for start, stop in _spans(len(first), self.width):
            which = np.stack([first[start:stop], second[start:stop]])
            sums[:, start:stop] = self._pairs(tables, which, self.numbers.segments)[:, : stop - start]
        return self._after(sums, self.x.outputs[first], self.y.outputs[second])

    def row_corners(self, n: int, m: int, threads: int) -> list[tuple[int, int]]:
        """First rows and columns of the tiles of a network that flattens; of few images, some tiles for each thread."""
        share = -(-n * m // (self.width**2 * _SHARES * threads * (2 if self.same else 1))) * self.width
        self.rows = min(self.rows, share)
        corners = [(i, j) for j in range(0, m, self.width) for i in range(0, n, self.rows)]
        return [(i, j) for i, j in corners if not self.same or i <= j]

    def fill_rows(self, corner: tuple[int, int], K: np.ndarray) -> None:
        """Kernel of some images with one register of others, and its mirror image where the sets are one."""
        i, j = corner
        others = slice(j, j + self.width)
        rows = slice(i, min(i + self.rows, j + self.width) if self.same else i + self.rows)
        memory, X = self.memory, self.x.values[rows]
        which = np.arange(j, min(others.stop, len(self.y.values)))
        displacements.pack(self.y.values, which, memory.y)
        sums = np.zeros((len(X), 3, self.width))
        own = i - j if self.same else self.width
        program = self._program()
        displacements.run_rows((memory.work, memory.pools), (X, memory.y), program, self.numbers.segments, own, sums)
        sums = sums[:, :, : len(which)].transpose(1, 0, 2)
        block = self._after(sums, self.x.outputs[rows][:, None], self.y.outputs[others][None, :])
        if self.same and rows.stop > j:
            # Rows and registers start at multiples of a register: the square on the diagonal is the end of the block.
            square = block[j - i :]
            square[:] = np.triu(square, 1) + np.triu(square, 1).T
            np.fill_diagonal(square, self.listed(which, which))
        K[rows, others] = block
        if self.same:
            K[others, rows] = block.T

    def _after(self, sums: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What the layers behind flattening or pooling make of the sums of covariance, tangent and near."""
        covariance, tangent, near = sums
        if is_linear(self.plan.tail):
            covariance, tangent = _linear_tail(self.plan.tail, covariance, tangent)
            return tangent if self.tangent else covariance
        own_x, own_y = torch.from_numpy(x), torch.from_numpy(y)
        size, part = 4 * (own_x * own_y).sqrt(), torch.from_numpy(near).clamp(0, 1)
        moments = Moments(own_x, own_y, size * part, size * (1 - part), torch.from_numpy(tangent))
        after = propagate(self.plan.tail, moments)
        return (after.tangent if self.tangent and after.tangent is not None else after.cross).numpy()


def _linear_tail(layer: Layer, covariance: np.ndarray, tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(layer, Serial):
        for part in layer.layers:
            covariance, tangent = _linear_tail(part, covariance, tangent)
    elif isinstance(layer, Repeat):
        for _ in range(layer.times):
            covariance, tangent = _linear_tail(layer.layer, covariance, tangent)
    elif isinstance(layer, Scale):
        return layer.factor**2 * covariance, layer.factor**2 * tangent
    elif isinstance(layer, Dense):
        gain, bias = layer.weight_std**2, layer.bias_std**2
        covariance, tangent = gain * covariance, gain * tangent
        tangent = tangent + covariance + bias if layer.trainable else tangent
        return covariance + (bias if layer.bias_init == "normal" else 0.0), tangent
    return covariance, tangent


def _spans(count: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, count)) for start in range(0, count, size)]
