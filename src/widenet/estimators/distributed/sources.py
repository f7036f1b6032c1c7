"""Rows in partitions as a source of blocks, and a sample of them that is drawn where they lie."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask
import numpy as np
import pandas as pd

from widenet.errors import InvalidInput
from widenet.estimators.distributed.partitions import DaskArray, Rows, dd, map_partitions, read_pair, tree_sum
from widenet.estimators.row_sources import RowBlock, RowSource, joined_rows
from widenet.estimators.stream_fit import as_numbers, finite_targets, known_labels

SAMPLE_ROWS = 10_000
"""Rows on which transformers and landmarks are fitted, where there are so many."""


class PartitionRows(RowSource):
    """The rows of one partition, in memory.

    Args:
        number: Number of the partition, from 0.
        X: Rows, (n, d), or a data frame.
        y: Targets, (n,) or (n, outputs).

    Raises:
        InvalidInput: Where y has not as many rows as X.
    """

    def __init__(self, number: int, X: Any, y: Any) -> None:
        self.name = f"partition {number}"
        self.X, self.y, self.rows = X, np.asarray(y), len(X)
        self.is_table = isinstance(X, pd.DataFrame)
        if len(self.y) != self.rows:
            raise InvalidInput(f"{self.name} must have a target for each of {self.rows} rows", f"{len(self.y)}")

    def blocks(self, size: int, start: int = 0) -> Iterator[RowBlock]:
        """Blocks of at most `size` rows."""
        whole = RowBlock(self.X, self.y, 0)
        for first in range(start, len(whole), size):
            part = whole.take(slice(first, first + size))
            yield RowBlock(part.X, part.y, first)

    def identity(self) -> str:
        """Number and size of the partition."""
        return f"{self.name} of {self.rows} rows"


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows of some partitions that have drawn the least numbers, with what is to be known of all of these partitions.

    Attributes:
        asked: How many rows at most.
        numbers: The numbers that the rows have drawn, (k,).
        block: The rows, in their order, or None where there is none.
        rows: How many rows the partitions have.
        labels: The classes of all their rows, sorted; empty where targets are no classes.
    """

    asked: int
    numbers: np.ndarray
    block: RowBlock | None
    rows: int
    labels: np.ndarray

    def __add__(self, other: "Drawn") -> "Drawn":
        rows = self.rows + other.rows
        if self.block is None or other.block is None:
            one = self if other.block is None else other
            return Drawn(self.asked, one.numbers, one.block, rows, one.labels)
        numbers = np.concatenate([self.numbers, other.numbers])
        kept = np.sort(np.argsort(numbers, kind="stable")[: self.asked])
        block = joined_rows([self.block, other.block]).take(kept)
        return Drawn(self.asked, numbers[kept], block, rows, np.union1d(self.labels, other.labels))


class DaskRows(RowSource):
    """Rows of a dask collection: a sample of them is drawn on the workers, blocks come partition by partition.

    Args:
        X: dask array (n, d), or a data frame whose columns an encoder turns into numbers.
        y: Targets, cut like X.
        classes: Whether targets are classes, all of which a sample collects.

    Attributes:
        labels: The classes of all rows, after a sample.
    """

    name = "the rows"

    def __init__(self, X: Rows, y: Rows, *, classes: bool = False) -> None:
        self.X, self.y = read_pair(X, y)
        self.classes = classes
        self.is_table = isinstance(self.X, dd.DataFrame)
        length = float("nan") if self.is_table else self.X.shape[0]
        self.rows = None if np.isnan(length) else int(length)
        self.labels = np.empty(0)

    def sample(self, rows: int, seed: int) -> RowBlock:
        """Rows at random, each with the same chance, whatever worker holds them; one pass.

        Each row draws a number by a generator of the seed and its partition, and those with the least numbers stay.
        """
        parts = map_partitions(partial(draw_rows, rows, seed, self.classes), self.X, self.y)
        (drawn,) = dask.compute(tree_sum(parts))
        if drawn.block is None:
            raise InvalidInput(f"{self.name} must be there to learn from", "partitions without rows")
        self.rows, self.labels = drawn.rows, drawn.labels
        return RowBlock(drawn.block.X, drawn.block.y, 0)

    def blocks(self, size: int, start: int = 0) -> Iterator[RowBlock]:
        """Blocks of at most `size` rows, in this process, a partition at a time."""
        first = 0
        for part in map_partitions(PartitionRows, self.X, self.y):
            (held,) = dask.compute(part)
            for block in held.blocks(size, max(0, start - first)):
                yield RowBlock(block.X, block.y, first + block.start)
            first += len(held.y)

    def row_bytes(self) -> int:
        """Bytes of a row in memory: eight a column."""
        return 8 * math.prod(self.X.shape[1:]) if not self.is_table else 8 * len(self.X.columns)

    def identity(self) -> str:
        """Dask's name of the collection, which follows from how it is made."""
        return f"{self.X.name if not self.is_table else self.X._name}"


def draw_rows(asked: int, seed: int, classes: bool, number: int, X: Any, y: Any) -> Drawn:
    """A task: the rows of one partition that draw the least numbers."""
    source = PartitionRows(number, X, y)
    labels = np.empty(0)
    count = len(source.y)
    if count == 0:
        return Drawn(asked, np.empty(0), None, 0, labels)
    whole = next(source.blocks(count))
    if not source.is_table:
        as_numbers(whole, None, source)  # refuses what is not finite, by partition and row
    if classes:
        labels = np.unique(known_labels(whole, source))
    else:
        finite_targets(whole, source)
    numbers = np.random.default_rng([seed, number]).random(count)
    kept = np.sort(np.argsort(numbers, kind="stable")[:asked])
    return Drawn(asked, numbers[kept], whole.take(kept), count, labels)


def sample_points(X: DaskArray, rows: int, seed: int) -> np.ndarray:
    """Rows of points of any form at random, drawn on the workers."""
    (drawn,) = dask.compute(tree_sum(map_partitions(partial(_draw_points, rows, seed), X)))
    if drawn.block is None:
        raise InvalidInput("there must be points to choose from", "partitions without rows")
    return drawn.block.X.reshape(-1, *X.shape[1:])


def _draw_points(asked: int, seed: int, number: int, X: np.ndarray) -> Drawn:
    return draw_rows(asked, seed, False, number, X.reshape(len(X), math.prod(X.shape[1:])), np.zeros(len(X)))
