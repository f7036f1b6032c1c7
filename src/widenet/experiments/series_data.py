"""Collections of time series classification sets with their training and test series."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from widenet.errors import InvalidFile
from widenet.experiments.series_files import SUFFIXES, SeriesTable, read_series

_ARRAYS = ("X_train", "y_train", "X_test", "y_test")
_DESCRIPTION = "NAME.npz files with X_train, y_train, X_test and y_test, or folders NAME/ with NAME_TRAIN and NAME_TEST"


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """A classification set of time series, split as its archive splits it.

    Attributes:
        name: Its name.
        train: Training series, (length, channels) each.
        y_train: Their classes as whole numbers from 0.
        test: Test series.
        y_test: Their classes.
        classes: Names of the classes.
    """

    name: str
    train: list[ndarray]
    y_train: Int[ndarray, "n"]
    test: list[ndarray]
    y_test: Int[ndarray, "m"]
    classes: tuple[str, ...]

    @property
    def lengths(self) -> tuple[int, int]:
        """Shortest and longest length of a series."""
        lengths = [len(series) for series in (*self.train, *self.test)]
        return min(lengths), max(lengths)


def read_archive(folder: Path, names: tuple[str, ...] = ()) -> list[SeriesSet]:
    """Read the sets of a folder, those that cost least first (training series squared times length).

    Args:
        folder: `NAME.npz` files with X_train (n, length) or (n, length, channels), y_train, X_test, y_test; or the
            layout of the UCR archive, folders NAME with NAME_TRAIN.tsv and NAME_TEST.tsv (or `.ts`).
        names: Sets to read; all of them if empty.

    Raises:
        InvalidFile: If the folder is missing, lacks a named set, holds none, or a set in it cannot be right.
    """
    if not folder.is_dir():
        raise InvalidFile("the data must be a folder", str(folder), f"It should hold {_DESCRIPTION}")
    found = dict(_candidates(folder))
    absent = [name for name in names if name not in found]
    if absent or not found:
        known = f"{len(found)} others" if found else "none"
        asked = f"the folder {folder} must hold {', '.join(absent) or 'data sets'}"
        raise InvalidFile(asked, known, f"Put there {_DESCRIPTION}")
    sets = [_read(name, path) for name, path in found.items() if not names or name in names]
    return sorted(sets, key=lambda data: (len(data.train) ** 2 * data.lengths[1], data.name))


def _candidates(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz":
            yield path.stem, path
        elif path.is_dir() and _part(path, "TRAIN") is not None:
            yield path.name, path


def _part(folder: Path, part: str) -> Path | None:
    files = (folder / f"{folder.name}_{part}{suffix}" for suffix in SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def _read(name: str, path: Path) -> SeriesSet:
    if path.suffix == ".npz":
        arrays = _read_arrays(path)
        series = [_split(name, arrays[part]) for part in ("X_train", "X_test")]
        labels = [_class_names(name, arrays[part]) for part in ("y_train", "y_test")]
    else:
        train, test = (_read_part(path, part) for part in ("TRAIN", "TEST"))
        series = [train.series, test.series]
        labels = [_class_names(name, table.labels) for table in (train, test)]
    return _checked(name, series, labels)


def _read_part(folder: Path, part: str) -> SeriesTable:
    file = _part(folder, part)
    if file is None:
        raise InvalidFile(f"{folder.name} must have a file {folder.name}_{part}.tsv or .ts", "none")
    return read_series(file)


def _read_arrays(path: Path) -> dict[str, ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidFile(f"{path.name} must be an .npz file of plain arrays", str(error)) from None
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise InvalidFile(f"{path.name} must hold {', '.join(_ARRAYS)}", f"no {', '.join(missing)}")
    return arrays


def _split(name: str, X: ndarray) -> list[ndarray]:
    """Series (length, channels) of an array (n, length) or (n, length, channels); NaN at the end is padding."""
    if X.ndim not in (2, 3) or 0 in X.shape or X.dtype.kind not in "biuf":
        raise InvalidFile(f"{name}: series must be numbers (n, length) or (n, length, channels)", f"{X.shape}")
    X = X.reshape(*X.shape[:2], -1).astype(np.float64)
    padded = np.asarray(np.isnan(X).all(axis=2))
    lengths = X.shape[1] - padded[:, ::-1].cumprod(axis=1).sum(axis=1)
    series = [values[:length] for values, length in zip(X, lengths, strict=True)]
    for number, values in enumerate(series):
        if not len(values) or not np.isfinite(values).all():
            raise InvalidFile(f"{name}: series must be finite and not empty", f"gaps or infinity in series {number}")
    return series


def _class_names(name: str, labels: ndarray | None) -> list[str]:
    if labels is None or labels.ndim != 1:
        raise InvalidFile(f"{name}: each series must have a class", "none" if labels is None else f"{labels.shape}")
    if labels.dtype.kind == "f" and (labels == np.round(labels)).all():
        labels = labels.astype(np.int64)
    return [str(label) for label in labels]


def _checked(name: str, series: list[list[ndarray]], labels: list[list[str]]) -> SeriesSet:
    if [len(part) for part in series] != [len(part) for part in labels]:
        raise InvalidFile(f"{name}: each series must have a class", "another number of classes than of series")
    channels = {values.shape[1] for part in series for values in part}
    if len(channels) > 1:
        raise InvalidFile(f"{name}: series must have as many channels each", f"{sorted(channels)}")
    classes, codes = np.unique(np.array(labels[0] + labels[1]), return_inverse=True)
    train, test = codes[: len(labels[0])], codes[len(labels[0]) :]
    if len(np.unique(train)) < 2:
        raise InvalidFile(f"{name}: training series must be of two or more classes", f"one, {labels[0][0]!r}")
    return SeriesSet(name, series[0], train, series[1], test, tuple(str(c) for c in classes))
