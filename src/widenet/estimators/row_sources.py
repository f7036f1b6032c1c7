"""Rows that are read in blocks, however many there are: arrays in memory or on disk, and iterators of blocks."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from widenet.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Some consecutive rows with their targets.

    Attributes:
        X: Rows: an array (n, d), sparse rows of SciPy (CSR), or a data frame.
        y: Targets as they are in the source, (n,) or (n, outputs).
        start: Number of the first row in the source, from 0.
        numbers: Numbers of the rows where they are not consecutive, or None.
    """

    X: Any
    y: np.ndarray
    start: int
    numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Any) -> "RowBlock":
        """The rows of a slice, a mask or an array of numbers."""
        X = self.X.iloc[rows] if isinstance(self.X, pd.DataFrame) else self.X[rows]
        places = np.arange(self.start, self.start + len(self)) if self.numbers is None else self.numbers
        return RowBlock(X, self.y[rows], self.start, places[rows])

    def number(self, row: int) -> int:
        """Number in the source of a row of the block, both from 0."""
        return self.start + row if self.numbers is None else int(self.numbers[row])


class RowSource(ABC):
    """Rows with targets that can be read block after block.

    Attributes:
        name: What to call it in messages.
        rows: Number of its rows, or None where only a pass would tell.
        is_table: Whether its blocks are data frames, which an encoder turns into numbers.
    """

    name: str
    rows: int | None
    is_table: bool = False

    @abstractmethod
    def blocks(self, size: int, start: int = 0) -> Iterator[RowBlock]:
        """Blocks of at most `size` rows, from row number `start` on, in the order of the source."""

    @abstractmethod
    def identity(self) -> str:
        """Text that differs between sources of different rows, as far as can be told without reading them all."""

    def row_bytes(self) -> int:
        """About how many bytes a row takes while it is read."""
        head = next(self.blocks(64), None)
        return 0 if head is None else max(1, held_bytes(head.X) // len(head))

    def sample(self, rows: int, seed: int) -> RowBlock:
        """So many rows at random, each with the same chance, in their order; all of them where there are fewer.

        One pass over the source: each row draws a number, and those with the least numbers stay.

        Raises:
            InvalidInput: Where the source has no rows.
        """
        return draw(self.blocks(8192), rows, seed, self.name)


@dataclass(frozen=True, eq=False)
class ArrayRows(RowSource):
    """Rows of arrays that can be sliced: in memory, mapped from .npy files, of zarr, or sparse CSR.

    Attributes:
        X: Rows, (n, d).
        y: Targets, (n,) or (n, outputs).

    Raises:
        InvalidInput: Where X has not two axes, or y not as many rows.
    """

    X: Any
    y: Any

    def __post_init__(self) -> None:
        shape, targets = np.shape(self.X) or self.X.shape, np.shape(self.y) or self.y.shape
        if len(shape) != 2 or len(targets) not in (1, 2) or shape[0] != targets[0]:
            asked = "rows must be (n, d) with targets (n,) or (n, outputs)"
            raise InvalidInput(asked, f"{tuple(shape)} and {tuple(targets)}")

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What to call it in messages."""
        return "the rows"

    @property
    def rows(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of rows."""
        return int(self.X.shape[0])

    def blocks(self, size: int, start: int = 0) -> Iterator[RowBlock]:
        """Blocks of rows, copied from the disk as they are asked for."""
        for first in range(start, self.rows, size):
            part = slice(first, min(first + size, self.rows))
            X = self.X[part] if scipy.sparse.issparse(self.X) else np.asarray(self.X[part])
            yield RowBlock(X, np.asarray(self.y[part]), first)

    def identity(self) -> str:
        """Shape, dtype and a checksum of the first and last rows."""
        ends = [self.X[:1], self.X[-1:], self.y[:1], self.y[-1:]]
        dense = [end.toarray() if scipy.sparse.issparse(end) else np.asarray(end) for end in ends]
        code = zlib.crc32(
            b"".join(
                np.ascontiguousarray(end).astype("S32" if end.dtype.kind in "OU" else end.dtype).tobytes()
                for end in dense
            )
        )
        return f"{tuple(self.X.shape)} {self.X.dtype} {code}"

    def sample(self, rows: int, seed: int) -> RowBlock:
        """Rows at random without a pass over the source, where it is NumPy's or sparse; see `RowSource.sample`."""
        if not (isinstance(self.X, np.ndarray) or scipy.sparse.issparse(self.X)) or self.rows == 0:
            return super().sample(rows, seed)
        if self.rows <= rows:
            return next(self.blocks(self.rows))
        chosen = np.sort(np.random.default_rng(seed).choice(self.rows, rows, replace=False))
        return RowBlock(self.X[chosen], np.asarray(self.y)[chosen], 0, chosen)


class IterableRows(RowSource):
    """Blocks (X, y) from an iterable, or from a function that begins anew at each call.

    A list, or a function, is read as often as needed. An iterator is read once: what a sample needs is taken from its
    first rows, which had better be in random order.

    Args:
        blocks: An iterable of pairs (X, y), or a function without arguments that returns one. X is an array (n, d),
            sparse rows, or a data frame.

    Raises:
        InvalidInput: Where there is no block, or the first one is no pair of rows with as many targets.

    Example:
        >>> source = IterableRows([(np.zeros((3, 2)), np.arange(3.0)), (np.ones((2, 2)), np.arange(2.0))])
        >>> [(len(block), block.start) for block in source.blocks(2)]
        [(2, 0), (1, 2), (2, 3)]
    """

    name = "the blocks"
    rows = None

    def __init__(self, blocks: Any) -> None:
        self._begin: Callable[[], Any] = blocks if callable(blocks) else lambda: blocks
        first = self._begin()
        self._once = iter(first) if iter(first) is first and not callable(blocks) else None
        self._head: list[RowBlock] = []
        probe = next(self._pairs(), None)
        if probe is None:
            raise InvalidInput("there must be rows to learn from", "no block")
        self.is_table = isinstance(probe.X, pd.DataFrame)
        if self._once is not None:
            self._head = [probe]

    def _pairs(self) -> Iterator[RowBlock]:
        start, columns = 0, None
        for pair in self._begin() if self._once is None else self._once:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise InvalidInput("blocks must be pairs (X, y)", type(pair).__name__)
            X = _rows(pair[0])
            block = RowBlock(X, np.asarray(pair[1]), start)
            if X.shape[0] != len(block) or X.ndim != 2:
                raise InvalidInput(
                    f"a block must have a target for each row, from row {start} on", f"{X.shape} and {block.y.shape}"
                )
            columns = X.shape[1] if columns is None else columns
            if X.shape[1] != columns:
                raise InvalidInput(f"blocks must have {columns} columns", f"{X.shape[1]} from row {start + 1} on")
            start += len(block)
            yield block

    def blocks(self, size: int, start: int = 0) -> Iterator[RowBlock]:
        """Blocks of at most `size` rows."""
        position = 0
        for block in chain(self._taken(), self._pairs()):
            for first in range(max(0, start - position), len(block), size):
                yield RowBlock(*_parts(block, slice(first, first + size)), position + first)
            position += len(block)

    def _taken(self) -> Iterator[RowBlock]:
        """The blocks that a look at the first rows has taken from an iterator; they go as they are used."""
        while self._head:
            yield self._head.pop(0)

    def identity(self) -> str:
        """Nothing is known of rows that are still to come."""
        return "blocks"

    def row_bytes(self) -> int:
        """Bytes of a row of the first block."""
        head = self._head[0] if self._once is not None else next(self._pairs())
        return max(1, held_bytes(head.X) // max(1, len(head)))

    def sample(self, rows: int, seed: int) -> RowBlock:
        """Rows at random, of an iterator the first ones; see `RowSource.sample`."""
        if self._once is None:
            return super().sample(rows, seed)
        for block in self._pairs():
            self._head.append(block)
            if sum(map(len, self._head)) >= rows:
                break
        return draw(iter(self._head), rows, seed, self.name)


def draw(blocks: Iterator[RowBlock], rows: int, seed: int, name: str) -> RowBlock:
    """So many rows of the blocks at random, in their order."""
    generator = np.random.default_rng(seed)
    kept: list[RowBlock] = []
    numbers: list[np.ndarray] = []
    largest = 1.0
    for block in blocks:
        drawn = generator.random(len(block))
        within = np.flatnonzero(drawn < largest)
        if len(within) == 0:
            continue
        kept.append(block.take(within))
        numbers.append(drawn[within])
        if sum(map(len, numbers)) > 2 * rows:
            joined = np.concatenate(numbers)
            largest = float(np.partition(joined, rows - 1)[rows - 1])
            least = np.flatnonzero(joined <= largest)
            kept, numbers = [joined_rows(kept).take(least)], [joined[least]]
    if not kept:
        raise InvalidInput(f"{name} must have rows to learn from", "none")
    order = np.sort(np.argsort(np.concatenate(numbers), kind="stable")[:rows])
    return joined_rows(kept).take(order)


def joined_rows(blocks: list[RowBlock]) -> RowBlock:
    """Blocks of one kind as one block."""
    if len(blocks) == 1:
        return blocks[0]
    parts = [block.X for block in blocks]
    if isinstance(parts[0], pd.DataFrame):
        X: Any = pd.concat(parts, ignore_index=True)
    else:
        X = scipy.sparse.vstack(parts, format="csr") if scipy.sparse.issparse(parts[0]) else np.concatenate(parts)
    places = [block.numbers for block in blocks if block.numbers is not None]
    numbers = np.concatenate(places) if len(places) == len(blocks) else None
    return RowBlock(X, np.concatenate([block.y for block in blocks]), blocks[0].start, numbers)


def held_bytes(X: Any) -> int:
    """Bytes of rows in memory."""
    if isinstance(X, pd.DataFrame):
        return int(X.memory_usage(deep=True, index=False).sum())
    if scipy.sparse.issparse(X):
        return int(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
    return int(X.nbytes)


def _rows(X: Any) -> Any:
    if scipy.sparse.issparse(X):
        return scipy.sparse.csr_array(X)
    return X if isinstance(X, pd.DataFrame) else np.asarray(X)


def _parts(block: RowBlock, rows: slice) -> tuple[Any, np.ndarray]:
    part = block.take(rows)
    return part.X, part.y
