"""Tables of numbers, categories and dates as arrays, with a state that is plain JSON."""

# pandas declares unions of scalars and arrays for most of its results, which no check here could narrow.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false

import json
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.table_cells import (
    checked_frame,
    clean,
    finite,
    inferred_numbers,
    listed,
    mark_missing,
    read_numbers,
    shown,
)
from widenet.estimators.table_cells import labels as as_labels

_FORMAT = "widenet table encoder 1"
_DAY = 86400.0
# Period of each cyclic part of a date in its own unit, and the span in days from which it says something.
_CYCLES = {"month": (12.0, 60.0), "weekday": (7.0, 7.0), "hour": (24.0, 0.0)}


@dataclass(frozen=True)
class Column:
    """How one column of a table becomes columns of an array.

    Attributes:
        name: Its name in the table.
        kind: "number", "category", "date", or "dropped".
        missing: Cells without a value when it was fitted.
        detail: What it holds, or why it was dropped, in words.
        means: Mean of each part; a missing cell takes it.
        scales: Divisor of each part.
        categories: The categories that have a part of their own, most frequent first.
        date_format: The `strptime` format of dates written as text, or "" for true dates.
        parts: Names of the parts, in the order of the array's columns.
    """

    name: str
    kind: str
    missing: int = 0
    detail: str = ""
    means: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    date_format: str = ""
    parts: list[str] = field(default_factory=list)


class TableEncoder(TransformerMixin, BaseEstimator):
    """Numbers, categories and dates of a table as centred, scaled float64 columns.

    skrub's `Cleaner` finds the missing values, the numbers written as text and the format of dates. Then a
    number is centred and divided by its standard deviation; a category becomes indicators that are centred and
    divided by their joint standard deviation sqrt(sum_k p_k (1 - p_k)), so that a column counts the same in a
    distance whatever number of categories it has; a date becomes its time and the sine and cosine of its month,
    weekday and hour, where the span of the dates makes these vary. A missing cell takes the mean, and a column that
    had missing cells gets an indicator. Categories beyond the most frequent ones share one part, and so do
    categories that were not there at fit.

    It takes data frames only. The fitted state is plain JSON (`to_json`, `from_json`); no code runs when it is read.

    Args:
        max_categories: Categories of a column that get a part of their own.

    Attributes:
        columns_: One `Column` for each column of the table, in its order.
        feature_names_in_: Names of the table's columns.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"size": ["1", "2", "?", "3"], "colour": ["red", "blue", "red", "red"]})
        >>> encoder = TableEncoder().fit(table)
        >>> [column.kind for column in encoder.columns_]
        ['number', 'category']
        >>> encoder.transform(table).shape
        (4, 5)
    """

    def __init__(self, max_categories: int = 30) -> None:
        self.max_categories = max_categories

    def fit(self, X: Any, y: object = None) -> Self:
        """Find the kind of each column, and its means, scales and categories.

        Args:
            X: The table, a data frame of n rows.
            y: Ignored.

        Raises:
            InvalidInput: If X is no data frame, has no rows, has two columns of one name, an infinite number,
                numbers mixed with text, or no column that varies.
        """
        frame = checked_frame(X)
        if self.max_categories < 1:
            raise InvalidInput("max_categories must be at least 1", repr(self.max_categories))
        cleaned, formats = clean(frame)
        self.columns_ = [self._fit_column(cleaned[name], formats.get(name, "")) for name in frame.columns]
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(self.columns_)
        if all(column.kind == "dropped" for column in self.columns_):
            raise InvalidInput("a table needs at least one feature column that varies", self._dropped_in_words())
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "n d"]:
        """Encode a table that has at least the columns seen at fit; further columns are not looked at.

        Args:
            X: The table, a data frame of n rows.

        Returns:
            The encoded rows, (n, d), float64, finite.

        Raises:
            InvalidInput: If columns are missing, or a cell does not fit the kind of its column.
        """
        frame = self._columns_of(X)
        blocks = [_encode(frame[column.name], column) for column in self.columns_ if column.kind != "dropped"]
        return np.ascontiguousarray(np.concatenate(blocks, axis=1))

    def typed(self, X: Any) -> pd.DataFrame:
        """The columns of the fit as pandas types of their kinds, so that a fit on any of the rows finds these kinds.

        Numbers become float64, categories categorical, dates datetimes in UTC; dropped columns stay as they are.

        Args:
            X: The table, a data frame of n rows.

        Raises:
            InvalidInput: If columns are missing, or a cell does not fit the kind of its column.
        """
        frame = self._columns_of(X)
        return pd.DataFrame({c.name: _typed(frame[c.name], c) for c in self.columns_}, index=frame.index)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the array's columns: the column's name, or "name: part"."""
        check_is_fitted(self, "columns_")
        names = [f"{c.name}: {part}" if part else c.name for c in self.columns_ for part in c.parts]
        return np.asarray(names, dtype=object)

    def to_json(self) -> str:
        """The fitted state as JSON text."""
        check_is_fitted(self, "columns_")
        columns = [asdict(column) for column in self.columns_]
        return json.dumps({"format": _FORMAT, "max_categories": self.max_categories, "columns": columns})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Restore a fitted encoder from `to_json`'s text.

        Raises:
            InvalidFile: If the text is not such a state.
        """
        try:
            state = json.loads(text)
            columns = [Column(**column) for column in state["columns"]]
            encoder = cls(state["max_categories"])
            sound = state["format"] == _FORMAT and all(_is_sound(column) for column in columns)
            sound = sound and type(encoder.max_categories) is int and encoder.max_categories >= 1
            sound = sound and len({column.name for column in columns}) == len(columns)
            sound = sound and any(column.parts for column in columns)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidFile("not the state of a table encoder", type(error).__name__) from None
        if not sound:
            raise InvalidFile("not the state of a table encoder", "fields of unequal length or of another kind")
        encoder.columns_ = columns
        encoder.feature_names_in_ = np.asarray([column.name for column in columns], dtype=object)
        encoder.n_features_in_ = len(columns)
        return encoder

    def _columns_of(self, X: Any) -> pd.DataFrame:
        check_is_fitted(self, "columns_")
        frame = checked_frame(X)
        absent = [column.name for column in self.columns_ if column.name not in frame.columns]
        if absent:
            raise InvalidInput(
                f"the table must have the {len(self.columns_)} feature columns of the fit",
                f"{len(absent)} missing: {listed(absent)}",
                "Give a table with the same columns",
            )
        return frame

    def _fit_column(self, cells: pd.Series, date_format: str) -> Column:
        name, missing = str(cells.name), int(cells.isna().sum())
        present = cells.dropna()
        if len(present) == 0:
            return Column(name, "dropped", missing, "no values")
        if pd.api.types.is_datetime64_any_dtype(cells):
            return _fit_dates(name, cells, date_format)
        numbers = inferred_numbers(cells)
        if numbers is not None:
            return _fit_numbers(name, numbers)
        labels = as_labels(present)
        counts = labels.value_counts()
        if len(counts) > 20 and len(counts) > 0.9 * len(present):
            return Column(name, "dropped", missing, f"text with {len(counts)} distinct values in {len(present)} rows")
        return _fit_categories(name, as_labels(cells), [str(label) for label in counts.index[: self.max_categories]])

    def _dropped_in_words(self) -> str:
        return listed([f"{c.name!r} ({c.detail})" for c in self.columns_]) or "no columns"


def _fit_numbers(name: str, numbers: pd.Series) -> Column:
    values = finite(numbers)
    missing = np.isnan(values)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low == high and not bool(missing.any()):
        return Column(name, "dropped", 0, f"constant {low:g}")
    blocks, parts = [values], [""]
    if missing.any():
        blocks, parts = [values, missing.astype(np.float64)], ["", "missing"]
    detail = f"{low:.4g} to {high:.4g}, mean {np.nanmean(values):.4g}"
    return _scaled(Column(name, "number", int(missing.sum()), detail, parts=parts), np.stack(blocks, axis=1))


def _fit_categories(name: str, labels: pd.Series, categories: list[str]) -> Column:
    missing = int(labels.isna().sum())
    distinct = labels.nunique()
    if distinct == 1 and not missing:
        return Column(name, "dropped", 0, f"constant {shown(labels.iloc[0])}")
    parts = [*categories, "other"] + (["missing"] if missing else [])
    column = Column(name, "category", missing, f"{distinct} categories", categories=categories, parts=parts)
    indicators = _indicators(labels, column)
    means = indicators.mean(axis=0)
    spread = float(np.sqrt((means * (1 - means)).sum()))
    return _with(column, means, np.full(len(means), spread))


def _fit_dates(name: str, dates: pd.Series, date_format: str) -> Column:
    moments = _naive(dates)
    days = (moments.max() - moments.min()).total_seconds() / _DAY
    missing = int(moments.isna().sum())
    if days == 0 and not missing:
        return Column(name, "dropped", 0, f"constant {moments.iloc[0]}")
    timed = bool((moments.dropna() != moments.dropna().dt.normalize()).any())
    cycles = [part for part, (_, span) in _CYCLES.items() if days >= span and (part != "hour" or timed)]
    parts = ["time"] + [f"{wave} of {part}" for part in cycles for wave in ("sine", "cosine")]
    parts += ["missing"] if missing else []
    detail = f"{moments.min():%Y-%m-%d} to {moments.max():%Y-%m-%d}"
    column = Column(name, "date", missing, detail, date_format=date_format, parts=parts)
    return _scaled(column, _date_parts(moments, column))


def _scaled(column: Column, values: Float[np.ndarray, "n parts"]) -> Column:
    with np.errstate(over="ignore", invalid="ignore"):
        means, scales = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    if not (np.isfinite(means).all() and np.isfinite(scales).all()):
        raise InvalidInput(f"column {column.name!r} must have a finite mean and spread", "numbers too large to square")
    return _with(column, means, np.where(scales > 0, scales, 1.0))


def _with(column: Column, means: np.ndarray, scales: np.ndarray) -> Column:
    return replace(column, means=[float(m) for m in means], scales=[float(s) for s in scales])


def _typed(cells: pd.Series, column: Column) -> pd.Series:
    if column.kind == "number":
        return read_numbers(cells)
    if column.kind == "category":
        return as_labels(mark_missing(cells)).astype("category")
    return _as_dates(cells, column) if column.kind == "date" else cells


def _encode(cells: pd.Series, column: Column) -> Float[np.ndarray, "n parts"]:
    if column.kind == "number":
        values = finite(read_numbers(cells))
        blocks = [values] + ([np.isnan(values).astype(np.float64)] if len(column.parts) == 2 else [])
        raw = np.stack(blocks, axis=1)
    elif column.kind == "category":
        raw = _category_parts(cells, column)
    else:
        raw = _date_parts(_as_dates(cells, column), column)
    means, scales = np.asarray(column.means), np.asarray(column.scales)
    return (np.where(np.isnan(raw), means, raw) - means) / scales


def _as_dates(cells: pd.Series, column: Column) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(cells):
        return _naive(cells)
    cells = mark_missing(cells)
    dates = pd.to_datetime(cells, format=column.date_format or None, errors="coerce", utc=True)
    wrong = dates.isna() & cells.notna()
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        like = f" like {column.date_format}" if column.date_format else ""
        raise InvalidInput(
            f"column {column.name!r} must hold dates{like}", f"{shown(cells.iloc[row])} in row {row + 1}"
        )
    return _naive(dates)


def _naive(dates: pd.Series) -> pd.Series:
    return pd.to_datetime(dates, utc=True).dt.tz_localize(None)


def _date_parts(moments: pd.Series, column: Column) -> Float[np.ndarray, "n parts"]:
    days = (moments - pd.Timestamp("1970-01-01")).dt.total_seconds().to_numpy(np.float64) / _DAY
    raw = {
        "month": moments.dt.month.to_numpy(np.float64) - 1,
        "weekday": moments.dt.day_of_week.to_numpy(np.float64),
        "hour": (days - np.floor(days)) * 24,
    }
    values = {"time": days, "missing": np.isnan(days).astype(np.float64)}
    for part, (period, _) in _CYCLES.items():
        values[f"sine of {part}"] = np.sin(2 * np.pi * raw[part] / period)
        values[f"cosine of {part}"] = np.cos(2 * np.pi * raw[part] / period)
    return np.stack([values[part] for part in column.parts], axis=1)


def _category_parts(cells: pd.Series, column: Column) -> Float[np.ndarray, "n parts"]:
    """Indicators of cells as they came; where all are text, each text is looked at once."""
    codes, distinct = pd.factorize(cells)
    if not all(isinstance(cell, str) for cell in distinct):
        return _indicators(as_labels(mark_missing(cells)), column)
    # A missing cell has the code -1, the last of these rows.
    texts = pd.Series([*distinct, None], dtype=object)
    return _indicators(as_labels(mark_missing(texts)), column)[codes]


def _indicators(labels: pd.Series, column: Column) -> Float[np.ndarray, "n parts"]:
    position = {category: index for index, category in enumerate(column.categories)}
    other = len(position)
    where = np.array([other if pd.isna(label) else position.get(label, other) for label in labels])
    missing = labels.isna().to_numpy()
    indicators = np.zeros((len(labels), len(column.parts)))
    indicators[np.arange(len(labels)), where] = 1.0
    if column.parts[-1] == "missing" and len(column.parts) == other + 2:
        indicators[missing] = 0.0
        indicators[missing, -1] = 1.0
    else:
        indicators[missing] = np.nan
    return indicators


def _is_sound(column: Column) -> bool:
    texts = [column.name, column.kind, column.detail, column.date_format, *column.categories, *column.parts]
    if not all(isinstance(text, str) for text in texts) or type(column.missing) is not int:
        return False
    numbers = [*column.means, *column.scales]
    if (
        not all(isinstance(number, float) and isfinite(number) for number in numbers)
        or min(column.scales, default=1) <= 0
    ):
        return False
    if not len(column.means) == len(column.scales) == len(column.parts):
        return False
    if column.kind == "date":
        known = {"time", "missing", *(f"{wave} of {part}" for part in _CYCLES for wave in ("sine", "cosine"))}
        pd.to_datetime(pd.Series(["?"]), format=column.date_format or None, errors="coerce")  # ValueError: no format
        return bool(column.parts) and set(column.parts) <= known
    sound = {"number": [""], "category": [*column.categories, "other"], "dropped": []}.get(column.kind)
    return column.parts == sound or (
        column.kind in {"number", "category"} and column.parts == [*(sound or []), "missing"]
    )
