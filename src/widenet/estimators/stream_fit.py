"""The loop over a source of rows: how large its blocks are, and rows of tables as numbers."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from widenet._arrays import format_bytes, parse_memory
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.estimators.row_sources import IterableRows, RowBlock, RowSource
from widenet.estimators.table_encoder import TableEncoder

Progress = Callable[[int, int | None], None]

_LEAST, _MOST = 256, 16_384  # rows of a block
_DEFAULT_LIMIT = 2**30
_COPIES = 4  # of the cells of a block, from the file to the scaled rows


def as_source(source: Any) -> RowSource:
    """A source as it is, or one of the blocks of an iterable."""
    if isinstance(source, RowSource):
        return source
    if callable(source) or np.iterable(source):
        return IterableRows(source)
    raise InvalidInput("rows to stream come from a source or from an iterable of (X, y)", type(source).__name__)


def block_rows(source: RowSource, size: int, outputs: int, memory_limit: int | float | str | None) -> int:
    """Rows of a block under a memory limit that holds the sums and the features as well.

    Args:
        source: The rows.
        size: Number of features.
        outputs: Number of targets.
        memory_limit: Bytes or text; None means 1 GiB, or half of the available memory where that is less.

    Raises:
        MemoryLimitExceeded: Where the sums alone, or 256 rows, take more.
    """
    limit = min(_DEFAULT_LIMIT, parse_memory(None)) if memory_limit is None else parse_memory(memory_limit)
    fixed = 8 * size * (5 * size + 3 * outputs)  # the sums and their decomposition, landmarks with their factor
    row = _COPIES * source.row_bytes() + 16 * size + 16 * outputs
    rows = int((limit - fixed) // row)
    if rows < _LEAST:
        raise MemoryLimitExceeded(
            f"{size:,} features take {format_bytes(fixed + _LEAST * row)} for their sums and {_LEAST} rows",
            f"a memory limit of {format_bytes(limit)}",
            "Ask for fewer features, or give more memory",
        )
    return min(rows, _MOST)


def as_numbers(block: RowBlock, encoder: TableEncoder | None, source: RowSource) -> Any:
    """The rows of a block as finite numbers, dense float or sparse CSR.

    Raises:
        InvalidInput: On cells that are none, with the number of the row in the source, from 1.
    """
    if encoder is not None:
        try:
            return encoder.transform(block.X)
        except InvalidInput as error:
            raise located(error, block, source) from error
    X = block.X
    if scipy.sparse.issparse(X):
        return scipy.sparse.csr_array(X)
    rows = np.asarray(X)
    if rows.dtype.kind not in "biuf":
        raise InvalidInput(f"{source.name} must hold numbers", f"dtype {rows.dtype}", "Give a data frame for text")
    if not np.isfinite(rows.sum(dtype=np.float64)) and not np.isfinite(rows).all():
        row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(rows)))
        where = f"{rows[row, column]} in row {block.number(row) + 1}, column {column + 1}"
        raise InvalidInput(f"{source.name} must hold finite numbers", where, "Impute or drop these rows")
    return rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)


def fitted_encoder(sample: RowBlock, source: RowSource) -> TableEncoder:
    """An encoder of the columns of a table; errors name the rows of the source."""
    try:
        return TableEncoder().fit(sample.X)
    except InvalidInput as error:
        raise located(error, sample, source) from error


def finite_targets(block: RowBlock, source: RowSource) -> np.ndarray:
    """Targets of a block as numbers, (n, t).

    Raises:
        InvalidInput: Where one is missing, text or infinite, with the number of its row from 1.
    """
    values = block.y.reshape(len(block.y), -1)
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
    else:
        columns = [pd.to_numeric(pd.Series(column), errors="coerce") for column in values.T]
        numbers = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        got = f"{str(values[bad[0], 0])[:40]!r} in row {block.number(int(bad[0])) + 1}"
        raise InvalidInput(f"targets of {source.name} must be finite numbers", got, "Drop these rows")
    return numbers


def known_labels(block: RowBlock, source: RowSource) -> np.ndarray:
    """Labels of a block, (n,); text where they are neither numbers nor booleans.

    Raises:
        InvalidInput: Where one is missing, with the number of its row from 1.
    """
    labels = block.y.ravel() if block.y.ndim == 2 and block.y.shape[1] == 1 else block.y
    if labels.ndim != 1:
        raise InvalidInput(f"classes of {source.name} must be one a row", f"shape {labels.shape}")
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        got = f"none in row {block.number(int(missing[0])) + 1}"
        raise InvalidInput(f"{source.name} must have a class in every row", got, "Drop these rows")
    if labels.dtype.kind in "biufU":
        return labels
    kinds = {type(label) for label in labels}
    return labels if kinds == {str} else np.array(labels.tolist()) if len(kinds) == 1 else labels.astype(str)


def located(error: InvalidInput, block: RowBlock, source: RowSource) -> InvalidInput:
    """The error with the number of the row in the source instead of that in the block."""
    got = re.sub(r"\brow (\d+)", lambda found: f"row {block.number(int(found[1]) - 1) + 1}", error.got)
    return InvalidInput(f"{source.name}: {error.asked}", got, error.cure)
