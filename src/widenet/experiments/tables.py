"""Tables on disk: reading CSV, TSV and Parquet, and telling the target from the features."""

# pandas declares unions of scalars and arrays for most of its results, which no check here could narrow.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false

import csv
import difflib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from widenet.errors import InvalidFile, InvalidInput, WidenetError
from widenet.estimators.table_cells import mark_missing
from widenet.experiments.written import written_aside

Task = Literal["regression", "classification"]
LabelKind = Literal["number", "integer", "boolean", "text"]

_TEXT = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
_PARQUET = {".parquet", ".pq"}
_MOST_INTEGER_CLASSES = 10
_DECIMAL_COMMA = r"[+-]?\d*,?\d+([eE][+-]?\d+)?"


@dataclass(frozen=True)
class Table:
    """A table whose target column is set apart from its features.

    Attributes:
        name: Name of the file, without its folder.
        features: The other columns, n rows.
        target: (n,) float64 for regression, (n,) text labels for classification.
        target_name: Name of the target column.
        task: "regression" or "classification".
        reason: Why it is this task, in words.
        label_kind: What the labels were before they became text.
    """

    name: str
    features: pd.DataFrame
    target: np.ndarray
    target_name: str
    task: Task
    reason: str
    label_kind: LabelKind


def read_frame(path: Path) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet file with a row of distinct column names.

    A CSV file whose first line has semicolons or tabs and no comma is read with these as separators. Between
    semicolons, text columns that read like 1,5 in at least four cells of five have decimal commas.

    Args:
        path: The file; `.csv`, `.tsv`, `.tab`, `.txt`, `.parquet` or `.pq`.

    Raises:
        InvalidFile: If the file is missing, empty, or not such a table.
        InvalidInput: If it has no rows, or two columns of one name.
    """
    kind = path.suffix.lower()
    if kind not in _TEXT and kind not in _PARQUET:
        raise InvalidFile(f"a table must be a {', '.join([*_TEXT, *_PARQUET])} file", path.name)
    try:
        if not path.is_file():
            raise InvalidFile(f"no table at {path}", "a folder" if path.is_dir() else "nothing there")
        if path.stat().st_size == 0:
            raise InvalidFile(f"{path.name} must hold a table", "an empty file")
        frame = _read_parquet(path) if kind in _PARQUET else _read_text(path, _TEXT[kind])
    except OSError as error:
        raise InvalidFile(f"{path.name} cannot be read", error.strerror or type(error).__name__) from None
    frame = frame.rename(columns=str)
    _check_names(list(frame.columns), path.name)
    if len(frame) == 0:
        raise InvalidInput(f"{path.name} must have rows", f"{len(frame.columns)} column names and no row")
    return frame


def split_target(frame: pd.DataFrame, target: str, task: Task | None = None, name: str = "the table") -> Table:
    """Set the target column apart, check it, and recognise the task where it is not told.

    Text, booleans and at most 10 distinct integers (5 rows or more for each) are classes; other numbers are a quantity.

    Args:
        frame: The table.
        target: Name of the target column.
        task: "regression", "classification", or None to recognise it.
        name: What to call the table.

    Raises:
        InvalidInput: If the target is absent, has gaps, infinity or text among numbers, or does not vary; if the
            table has fewer than two rows or no other column.
    """
    if target not in frame.columns:
        near = difflib.get_close_matches(target, [str(c) for c in frame.columns], n=1, cutoff=0.0)
        raise InvalidInput(
            f"no column {target!r} in {name}",
            f"{len(frame.columns)} columns: {_listed(list(frame.columns))}",
            f"The nearest name is {near[0]!r}" if near else "",
        )
    if len(frame) < 2:
        raise InvalidInput(f"{name} must have at least two rows to learn from", f"{len(frame)}")
    features = frame.drop(columns=target)
    if features.shape[1] == 0:
        raise InvalidInput(f"{name} needs a column beside the target {target!r}", "one column")
    cells = frame[target]
    cells = cells.map(lambda cell: None if isinstance(cell, str) and cell.strip() in ("", "?") else cell)
    _refuse_gaps(cells)
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64) if _may_be_numbers(cells) else None
    if numbers is not None:
        _refuse_infinity(numbers, target)
    found, reason = _recognise(cells, numbers)
    if task is not None:
        found, reason = task, "as told"
    if found == "regression":
        return Table(name, features, _quantity(cells, numbers), target, found, reason, "number")
    labels, kind = _labels(cells, numbers)
    return Table(name, features, labels, target, found, reason, kind)


def sample_rows(table: Table, most: int, seed: int) -> tuple[Table, int]:
    """At most this many rows, drawn without replacement and kept in order, and the number of those left out."""
    rows = len(table.target)
    if rows <= most:
        return table, 0
    kept = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    features = table.features.iloc[kept].reset_index(drop=True)
    return replace(table, features=features, target=table.target[kept]), rows - most


def restore_labels(labels: np.ndarray, kind: LabelKind) -> np.ndarray:
    """Labels as they stood in the table: integers, booleans or text."""
    if kind == "integer":
        return np.array([int(label) for label in labels])
    if kind == "boolean":
        return np.array([label == "True" for label in labels])
    return labels


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, TSV or Parquet, by the ending of its name; aside first, then renamed.

    Raises:
        InvalidFile: If the ending is none of these, or the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in _TEXT and kind not in _PARQUET:
        raise InvalidFile(f"a table must be a {', '.join([*_TEXT, *_PARQUET])} file", path.name)
    with written_aside(path) as aside:
        if kind in _PARQUET:
            frame.to_parquet(aside, index=False)
        else:
            frame.to_csv(aside, index=False, sep=_TEXT[kind])


def _read_parquet(path: Path) -> pd.DataFrame:
    # pyarrow raises its own exceptions, among them ValueError and NotImplementedError, on files that are corrupt.
    try:
        frame = pd.read_parquet(path)
    except Exception as error:
        raise InvalidFile(f"{path.name} must be a Parquet table", _first_line(error)) from None
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index(names=_index_names(frame))


def _index_names(frame: pd.DataFrame) -> list[str]:
    return [str(n) if n is not None else f"index{i or ''}" for i, n in enumerate(frame.index.names)]


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline(10**6)
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{path.name} must be text in UTF-8", f"byte {error.start} is not") from None
    with path.open("rb") as file:
        if any(b"\0" in chunk for chunk in iter(lambda: file.read(2**20), b"")):
            raise InvalidFile(f"{path.name} must be a table of text", "binary data")
    if separator == "," and "," not in first:
        separator = next((mark for mark in (";", "\t") if mark in first), ",")
    try:
        names = next(csv.reader([first], delimiter=separator), [])
        _check_names(names, path.name)
        with warnings.catch_warnings():
            # Rows longer than the header are cut with this warning; a cut row is not the user's table.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, sep=separator, encoding="utf-8-sig", index_col=False, low_memory=False)
        return frame.apply(_with_points) if separator == ";" else frame
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{path.name} must be text in UTF-8", f"byte {error.start} is not") from None
    except pd.errors.ParserWarning:
        raise InvalidFile(f"{path.name} must have rows as long as its header", "longer rows") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, OverflowError) as error:
        raise InvalidFile(f"{path.name} must be a table of text", _first_line(error)) from None
    except WidenetError:
        raise
    except ValueError as error:
        raise InvalidFile(f"{path.name} must be a table of text", _first_line(error)) from None


def _with_points(cells: pd.Series) -> pd.Series:
    """A column of text with decimal commas as numbers; where some cells are no numbers, these stay and it is text."""
    if pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_bool_dtype(cells):
        return cells
    text = mark_missing(cells).astype(object)
    present = text.dropna().astype(str)
    number = present.str.fullmatch(_DECIMAL_COMMA)
    if not present[number].str.contains(",").any() or number.mean() < 0.8:
        return cells
    text[number.index[number]] = present[number].str.replace(",", ".")
    return pd.to_numeric(text) if number.all() else text


def _check_names(names: list[str], file: str) -> None:
    if not names:
        raise InvalidFile(f"{file} must have a row of column names", "none")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput(f"each column of {file} needs a name of its own", f"{name!r} twice", "Rename one")
        seen.add(name)


def _may_be_numbers(cells: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(cells) or isinstance(cells.dtype, pd.CategoricalDtype):
        return False
    if pd.api.types.is_datetime64_any_dtype(cells) or pd.api.types.is_timedelta64_dtype(cells):
        raise InvalidInput(f"the target {cells.name!r} must be numbers or classes", "dates or times")
    return not cells.map(lambda cell: isinstance(cell, (bool, np.bool_))).any()


def _refuse_gaps(cells: pd.Series) -> None:
    gaps = np.flatnonzero(cells.isna().to_numpy())
    if len(gaps):
        raise InvalidInput(
            f"the target {cells.name!r} must have a value in every row",
            f"none in {len(gaps)} of {len(cells)} rows, the first is row {int(gaps[0]) + 1}",
            "Drop these rows",
        )


def _refuse_infinity(numbers: pd.Series, target: str) -> None:
    infinite = np.flatnonzero(np.isinf(numbers.to_numpy()))
    if len(infinite):
        raise InvalidInput(
            f"the target {target!r} must be finite",
            f"infinity in {len(infinite)} of {len(numbers)} rows, the first is row {int(infinite[0]) + 1}",
            "Correct or drop these rows",
        )


def _recognise(cells: pd.Series, numbers: pd.Series | None) -> tuple[Task, str]:
    distinct = cells.nunique()
    if numbers is None or numbers.isna().all():
        return "classification", f"{distinct} distinct labels"
    text = numbers.isna()
    if text.any():
        if text.mean() <= 0.2 and numbers.nunique() > _MOST_INTEGER_CLASSES:
            raise _text_in_target(cells, text)
        return "classification", f"{distinct} distinct labels"
    whole = bool((numbers == numbers.round()).all())
    if whole and distinct <= _MOST_INTEGER_CLASSES and len(cells) >= 5 * distinct:
        return "classification", f"{distinct} distinct integers in {len(cells)} rows"
    return "regression", f"{distinct} distinct numbers"


def _text_in_target(cells: pd.Series, text: pd.Series) -> InvalidInput:
    row = int(np.flatnonzero(text.to_numpy())[0])
    return InvalidInput(
        f"the target {cells.name!r} must hold numbers",
        f"text in {int(text.sum())} of {len(cells)} rows, the first is {str(cells.iloc[row])[:40]!r} in row {row + 1}",
        "Correct these cells, or ask for classification",
    )


def _quantity(cells: pd.Series, numbers: pd.Series | None) -> np.ndarray:
    numbers = cells.astype(np.float64) if numbers is None and pd.api.types.is_bool_dtype(cells) else numbers
    if numbers is None:
        raise InvalidInput(f"the target {cells.name!r} must hold numbers for regression", "labels")
    if numbers.isna().any():
        raise _text_in_target(cells, numbers.isna())
    values = numbers.to_numpy(np.float64)
    if values.min() == values.max():
        raise InvalidInput(f"the target {cells.name!r} must vary", f"the constant {values[0]:g}")
    with np.errstate(over="ignore"):
        if not np.isfinite(np.var(values)):
            raise InvalidInput(f"the target {cells.name!r} must have a finite variance", "numbers too large to square")
    return values


def _labels(cells: pd.Series, numbers: pd.Series | None) -> tuple[np.ndarray, LabelKind]:
    kind: LabelKind = "text"
    if numbers is not None and not numbers.isna().any() and (numbers == numbers.round()).all():
        # Not from `numbers`: float64 holds integers to 2^53 alone.
        exact = np.asarray(pd.to_numeric(cells))
        kind, labels = "integer", np.array([str(int(number)) for number in exact], dtype=object)
    else:
        labels = np.array([str(cell) for cell in cells], dtype=object)
        if cells.map(lambda cell: isinstance(cell, (bool, np.bool_))).all():
            kind = "boolean"
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InvalidInput(
            f"the target {cells.name!r} must have at least two classes", f"one class, {classes[0][:40]!r}"
        )
    if len(classes) > max(len(labels) // 2, 2):
        raise InvalidInput(
            f"the target {cells.name!r} must have classes that repeat",
            f"{len(classes)} distinct labels in {len(labels)} rows",
            "Ask for regression if it is a quantity",
        )
    return labels, kind


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:160]


def _listed(names: list[str]) -> str:
    shown = ", ".join(str(name)[:40] for name in names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
