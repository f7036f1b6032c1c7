"""Cells of tables: missing values, numbers written as text, dates, and what is refused."""

# pandas declares unions of scalars and arrays for most of its results, which no check here could narrow.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

import warnings
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from skrub import Cleaner, ToDatetime

from widenet.errors import InvalidInput

_MISSING = (
    "",
    "?",
    "-",
    "...",
    "null",
    "NULL",
    "nan",
    "NaN",
    "-nan",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "none",
    "None",
)


def checked_frame(X: object) -> pd.DataFrame:
    """The frame with names as text; raises InvalidInput where it is none, has no rows, or two columns of one name."""
    if not isinstance(X, pd.DataFrame):
        raise InvalidInput("TableEncoder takes a pandas DataFrame", type(X).__name__)
    if len(X) == 0:
        raise InvalidInput("a table needs rows", "none")
    frame = X.rename(columns=str)
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise InvalidInput("each column needs a name of its own", f"twice: {listed(list(twice))}", "Rename one")
    return frame


def clean(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table with missing values marked and dates parsed, and the formats of dates that were text."""
    for name in frame.columns:
        nested = frame[name].map(lambda cell: isinstance(cell, (list, dict, tuple, set, bytes, np.ndarray)))
        if nested.any():
            raise InvalidInput(f"column {name!r} must hold numbers, text or dates", "nested or binary cells")
    cleaner = Cleaner(drop_null_fraction=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skrub warns of ambiguous dates; their format is stored and shown
        cleaned = cleaner.fit_transform(frame.apply(mark_missing))
    steps = [(name, step) for name, steps in cleaner.all_processing_steps_.items() for step in steps]
    return cleaned, {name: step.format_ or "" for name, step in steps if isinstance(step, ToDatetime)}


def mark_missing(cells: pd.Series) -> pd.Series:
    """Text that stands for a missing value becomes one; other text loses its outer blanks."""
    if not (pd.api.types.is_string_dtype(cells) or pd.api.types.is_object_dtype(cells)):
        return cells
    stripped = cells.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    return stripped.where(~stripped.isin(_MISSING), None)


def inferred_numbers(cells: pd.Series) -> pd.Series | None:
    """The cells as float64, or None where they are text."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        return None
    if pd.api.types.is_timedelta64_dtype(cells):
        return cells.dt.total_seconds().astype(np.float64)
    if pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_bool_dtype(cells):
        return _to_float(cells)
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    text = numbers.isna() & cells.notna()
    if not text.any():
        return numbers
    share = 1 - text.sum() / cells.notna().sum()
    if share >= 0.8 and numbers.nunique() > 10:
        raise _text_among_numbers(cells, text)
    return None


def _to_float(cells: pd.Series) -> pd.Series:
    return pd.Series(cells.to_numpy(np.float64, na_value=np.nan), index=cells.index, name=cells.name)


def _text_among_numbers(cells: pd.Series, text: pd.Series) -> InvalidInput:
    row = int(np.flatnonzero(text.to_numpy())[0])
    return InvalidInput(
        f"column {cells.name!r} must hold numbers",
        f"text in {int(text.sum())} of {len(cells)} rows, the first is {shown(cells.iloc[row])} in row {row + 1}",
        "Correct these cells or leave them empty",
    )


def read_numbers(cells: pd.Series) -> pd.Series:
    """The cells as float64; raises InvalidInput on text."""
    if pd.api.types.is_timedelta64_dtype(cells):
        return cells.dt.total_seconds()
    if pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_bool_dtype(cells):
        return _to_float(cells)
    marked = mark_missing(cells)
    numbers = pd.to_numeric(marked.astype(object), errors="coerce").astype(np.float64)
    text = numbers.isna() & marked.notna()
    if text.any():
        raise _text_among_numbers(cells, text)
    return numbers


def labels(cells: pd.Series) -> pd.Series:
    """The cells as text; missing ones stay missing."""
    return cells.map(str, na_action="ignore").astype(object)


def finite(numbers: pd.Series) -> Float[np.ndarray, " n"]:
    """The numbers as an array; raises InvalidInput where one is infinite, missing ones are NaN."""
    values = numbers.to_numpy(np.float64)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise InvalidInput(
            f"column {numbers.name!r} must hold finite numbers",
            f"infinity in {len(infinite)} of {len(values)} rows, the first is row {int(infinite[0]) + 1}",
            "Correct these cells or leave them empty",
        )
    return values


def listed(names: list[Any]) -> str:
    """The first five names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def shown(cell: object) -> str:
    """A cell in quotes, cut to 40 characters."""
    text = repr(str(cell))
    return text if len(text) <= 40 else f"{text[:37]}...'"
