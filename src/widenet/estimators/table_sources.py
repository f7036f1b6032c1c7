"""Rows of Parquet, CSV and array files in blocks, and only the columns that are asked for."""

# pandas declares unions of scalars and arrays for most of its results, which no check here could narrow.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

import difflib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import zarr

from widenet.errors import InvalidFile, InvalidInput, WidenetError
from widenet.estimators.row_sources import ArrayRows, RowBlock, RowSource, draw
from widenet.estimators.table_cells import listed, mark_missing

_SAMPLED_GROUPS = 32  # row groups of a Parquet file that a sample is drawn from
_TEXT = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
_PARQUET = {".parquet", ".pq"}
_DECIMAL_COMMA = r"[+-]?\d*,\d+([eE][+-]?\d+)?"


class TableRows(RowSource):
    """Rows of a table on disk with a column to predict; its other columns, or those named, are the features."""

    is_table = True
    path: Path
    target: str
    features: tuple[str, ...] | None

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Name of the file."""
        return self.path.name

    @property
    def _columns(self) -> list[str]:
        """The columns to read; raises InvalidInput where one is missing."""
        names = self._names
        asked = [self.target, *(self.features or ())]
        absent = [name for name in asked if name not in names]
        if absent:
            near = difflib.get_close_matches(absent[0], names, n=1, cutoff=0.0)
            got = f"{len(names)} columns: {listed(names)}"
            cure = f"The nearest name is {near[0]!r}" if near else ""
            raise InvalidInput(f"no column {absent[0]!r} in {self.name}", got, cure)
        features = [name for name in self.features or names if name != self.target]
        if not features:
            raise InvalidInput(f"{self.name} needs a column beside the target {self.target!r}", "one column")
        return [*features, self.target]

    @property
    def _names(self) -> list[str]:
        """All names of columns."""
        raise NotImplementedError

    def _block(self, frame: pd.DataFrame, start: int) -> RowBlock:
        return RowBlock(frame.drop(columns=self.target), frame[self.target].to_numpy(), start)

    def identity(self) -> str:
        """Name, bytes and time of the file, and the columns."""
        facts = self.path.stat()
        return f"{self.path.name} {facts.st_size} {facts.st_mtime_ns} {self._columns}"


@dataclass(frozen=True, eq=False)
class ParquetRows(TableRows):
    """Rows of a Parquet file, of which only the columns in use are read, a batch at a time.

    Attributes:
        path: The file.
        target: Name of the column to predict.
        features: Names of the columns to learn from, or None for all others.

    Raises:
        InvalidFile: Where the file is no Parquet table.
        InvalidInput: Where a column is missing.
    """

    path: Path
    target: str
    features: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_file(self.path)
        self._columns  # noqa: B018 (refuses names that are not there before any work)

    @cached_property
    def _footer(self) -> pyarrow.parquet.FileMetaData:
        with _parquet_errors(self.path):
            return pyarrow.parquet.read_metadata(self.path)

    @cached_property
    def _names(self) -> list[str]:
        return [str(name) for name in self._footer.schema.to_arrow_schema().names]

    @property
    def rows(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of rows, from the footer of the file."""
        return int(self._footer.num_rows)

    def blocks(self, size: int, start: int = 0) -> Iterator[RowBlock]:
        """Blocks of at most `size` rows; row groups before `start` are not read."""
        first = int(np.searchsorted(self._ends, start, side="right"))
        for block in self._batches(size, list(range(first, self._footer.num_row_groups))):
            skipped = max(0, start - block.start)
            if skipped < len(block):
                kept = block.take(slice(skipped, None)) if skipped else block
                yield RowBlock(kept.X, kept.y, block.start + skipped)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Rows up to the end of each row group."""
        return np.cumsum([self._footer.row_group(i).num_rows for i in range(self._footer.num_row_groups)])

    def _batches(self, size: int, groups: list[int]) -> Iterator[RowBlock]:
        with _parquet_errors(self.path), pyarrow.parquet.ParquetFile(self.path, buffer_size=2**20) as file:
            for group in groups:
                position = int(self._ends[group - 1]) if group else 0
                for batch in file.iter_batches(size, [group], self._columns, use_threads=False):
                    yield self._block(batch.to_pandas(), position)
                    position += batch.num_rows

    def sample(self, rows: int, seed: int) -> RowBlock:
        """Rows at random of at most 32 row groups that lie evenly; see `RowSource.sample`."""
        count = self._footer.num_row_groups
        groups = sorted({int(place) for place in np.linspace(0, count - 1, min(count, _SAMPLED_GROUPS))})
        return draw(self._batches(8192, groups), rows, seed, self.name)


@dataclass(frozen=True, eq=False)
class CSVRows(TableRows):
    """Rows of a CSV or TSV file with a line of names, parsed a block at a time.

    Separators other than that of the file's ending, and decimal commas between semicolons, are found from its first
    rows.

    Attributes:
        path: The file.
        target: Name of the column to predict.
        features: Names of the columns to learn from, or None for all others.

    Raises:
        InvalidFile: Where the file is no table of text.
        InvalidInput: Where a column is missing, or two have one name.
    """

    path: Path
    target: str
    features: tuple[str, ...] | None = None
    rows: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        require_file(self.path)
        self._columns  # noqa: B018 (refuses names that are not there before any work)

    @cached_property
    def _separator(self) -> str:
        with _text_errors(self.path), self.path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline(10**6)
        separator = _TEXT.get(self.path.suffix.lower(), ",")
        if separator == "," and "," not in first:
            return next((mark for mark in (";", "\t") if mark in first), ",")
        return separator

    @cached_property
    def _names(self) -> list[str]:
        with _text_errors(self.path):
            head = pd.read_csv(self.path, sep=self._separator, encoding="utf-8-sig", header=None, nrows=1, dtype=str)
        names = [str(name) for name in head.iloc[0]]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InvalidInput(f"each column of {self.name} needs a name of its own", f"{twice[0]!r} twice")
        return names

    @cached_property
    def _decimal(self) -> str:
        """The decimal mark: a comma where a column of text between semicolons reads like 1,5."""
        if self._separator != ";":
            return "."
        with _text_errors(self.path):
            head = pd.read_csv(self.path, sep=";", encoding="utf-8-sig", index_col=False, nrows=1000, dtype=str)
        texts = [mark_missing(head[name]).dropna().astype(str) for name in head.columns]
        return "," if any(len(text) and text.str.fullmatch(_DECIMAL_COMMA).mean() >= 0.8 for text in texts) else "."

    def blocks(self, size: int, start: int = 0) -> Iterator[RowBlock]:
        """Blocks of at most `size` rows; rows before `start` are scanned but not parsed."""
        position, columns = start, self._columns
        with _text_errors(self.path):
            chunks = pd.read_csv(
                self.path,
                sep=self._separator,
                decimal=self._decimal,
                encoding="utf-8-sig",
                index_col=False,
                usecols=None if len(columns) == len(self._names) else columns,  # with it, longer rows are cut
                chunksize=size,
                low_memory=False,
                skiprows=range(1, start + 1) if start else None,
            )
        with chunks:
            while (frame := self._parsed(chunks, position)) is not None:
                if len(frame):
                    yield self._block(frame[columns], position)
                position += len(frame)

    def _parsed(self, chunks: Iterator[pd.DataFrame], position: int) -> pd.DataFrame | None:
        with _text_errors(self.path, position), warnings.catch_warnings():
            # Rows longer than the header are cut with this warning; a cut row is not the user's table.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return next(chunks, None)


def open_rows(path: str | Path, target: str | Path | int, features: Sequence[str] | None = None) -> RowSource:
    """Rows of a file with their targets, read in blocks.

    Args:
        path: A .parquet, .csv or .tsv table; a .npy file; or a .zarr folder or file of an array (n, d).
        target: Name of the column to predict in a table. For an array, the file of the targets in the same format.
        features: Names of the columns of a table to learn from; None means all others.

    Returns:
        What `fit_stream` of an estimator takes.

    Raises:
        InvalidFile: Where there is no such file, or it is of another kind.
        InvalidInput: Where a column is missing.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in _PARQUET or kind in _TEXT:
        source = ParquetRows if kind in _PARQUET else CSVRows
        return source(path, str(target), None if features is None else tuple(features))
    if kind not in (".npy", ".zarr"):
        raise InvalidFile("rows must be in a .parquet, .csv, .tsv, .npy or .zarr file", path.name)
    if features is not None:
        raise InvalidInput("columns of an array have no names to choose by", listed(list(features)))
    return ArrayRows(_array(path), _array(Path(str(target))))


def _array(path: Path) -> Any:
    read: Callable[[], Any] = (
        (lambda: zarr.open_array(path, mode="r")) if path.suffix == ".zarr" else (lambda: np.load(path, mmap_mode="r"))
    )
    try:
        return read()
    except Exception as error:  # zarr and NumPy raise many kinds on files that are corrupt or not there
        raise InvalidFile(f"{path} must be an array", f"{type(error).__name__}: {error}"[:160]) from None


def require_file(path: Path) -> None:
    """InvalidFile unless the path is a file that is not empty."""
    if not path.is_file():
        raise InvalidFile(f"no table at {path}", "a folder" if path.is_dir() else "nothing there")
    if path.stat().st_size == 0:
        raise InvalidFile(f"{path.name} must hold a table", "an empty file")


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except WidenetError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, NotImplementedError) as error:
        raise InvalidFile(f"{path.name} must be a Parquet table", _first_line(error)) from None


@contextmanager
def _text_errors(path: Path, row: int = 0) -> Iterator[None]:
    after = f" after row {row}" if row else ""
    try:
        yield
    except WidenetError:
        raise
    except UnicodeDecodeError:
        raise InvalidFile(f"{path.name} must be text in UTF-8", f"a byte that is not{after}") from None
    except pd.errors.ParserWarning:
        raise InvalidFile(f"{path.name} must have rows as long as its header", f"longer rows{after}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OverflowError, OSError, ValueError) as error:
        raise InvalidFile(f"{path.name} must be a table of text", _first_line(error)) from None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:160]
