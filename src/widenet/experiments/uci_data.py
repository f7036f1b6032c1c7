"""Collections of classification sets with their official splits: `.npz` files, or the layout of the 2014 study."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from widenet.errors import InvalidFile

FOLDS = 4
MOST_ROWS = 5000
_DESCRIPTION = "`NAME.npz` files, or folders NAME/ with NAME.txt, NAME_R.dat, conxuntos.dat and conxuntos_kfold.dat"


class Split(NamedTuple):
    """Row numbers to train on and to score on."""

    train: Int[ndarray, "train"]
    test: Int[ndarray, "test"]


@dataclass(frozen=True)
class SplitSet:
    """A classification set with the splits that its collection publishes.

    Attributes:
        name: Its name.
        X: Features, standardised by the collection, (n, d).
        y: Classes as whole numbers, (n,).
        select: The one split that chooses hyper-parameters.
        folds: The splits whose mean accuracy scores the choice.
    """

    name: str
    X: Float[ndarray, "n d"]
    y: Int[ndarray, "n"]
    select: Split
    folds: tuple[Split, ...]


@dataclass(frozen=True)
class Collection:
    """The sets of a folder, smallest first, and those left out with the reason.

    Attributes:
        sets: The sets, in rising order of their rows.
        skipped: Names and reasons of the sets left out.
    """

    sets: tuple[SplitSet, ...]
    skipped: tuple[tuple[str, str], ...]


def read_collection(folder: Path, most_rows: int = MOST_ROWS) -> Collection:
    """Read every set of a folder that has at most `most_rows` rows and no separate test file.

    Args:
        folder: `NAME.npz` files with X, y, select_train, select_test, fold0_train, fold0_test, ...,
            fold3_test; or one folder a set as the 2014 collection is distributed.
        most_rows: Larger sets are left out, as the published protocol does with 5,000.

    Raises:
        InvalidFile: If the folder is missing, holds no set, or a set in it cannot be right.

    References:
        Fernandez-Delgado et al., JMLR 15 (2014); the choice of sets: Arora et al., arXiv 1910.01663.
    """
    if not folder.is_dir():
        raise InvalidFile("the data must be a folder", str(folder), f"It should hold {_DESCRIPTION}")
    sets, skipped = [], []
    for name, found in _candidates(folder):
        if isinstance(found, str):
            skipped.append((name, found))
        elif len(found.X) > most_rows:
            skipped.append((name, f"{len(found.X)} rows, over {most_rows}"))
        else:
            sets.append(found)
    if not sets:
        left_out = f" ({len(skipped)} left out: {skipped[0][0]}, {skipped[0][1]})" if skipped else ""
        raise InvalidFile("the folder must hold data sets", f"none in {folder}{left_out}", f"Put there {_DESCRIPTION}")
    return Collection(tuple(sorted(sets, key=lambda s: (len(s.X), s.name))), tuple(skipped))


def _candidates(folder: Path) -> Iterator[tuple[str, SplitSet | str]]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz":
            yield path.stem, read_npz(path)
        elif path.is_dir() and (path / f"{path.name}.txt").is_file():
            described = _description(path / f"{path.name}.txt")
            if "n_patrons2" in described:
                yield path.name, "has a separate test file"
            else:
                yield path.name, read_original(path)


def read_npz(path: Path) -> SplitSet:
    """Read one set from `NAME.npz` (see `read_collection`); nothing in it is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidFile(f"{path.name} must be an .npz file of plain arrays", str(error)) from None
    needed = ["X", "y", "select_train", "select_test"]
    needed += [f"fold{i}_{part}" for i in range(FOLDS) for part in ("train", "test")]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InvalidFile(f"{path.name} must hold {', '.join(needed)}", f"no {', '.join(missing)}")
    folds = [(arrays[f"fold{i}_train"], arrays[f"fold{i}_test"]) for i in range(FOLDS)]
    return _checked(path.stem, (arrays["X"], arrays["y"]), [(arrays["select_train"], arrays["select_test"]), *folds])


def read_original(folder: Path) -> SplitSet:
    """Read one set as the 2014 collection distributes it.

    NAME.txt has lines `key= value`; the table named by `fich1=` (or NAME_R.dat) has a header and rows
    of a row number, the features and the class, apart by white space; conxuntos.dat has two lines of
    row numbers (from 0), conxuntos_kfold.dat eight: train and test of each fold.
    """
    name = folder.name
    described = _description(folder / f"{name}.txt")
    table = _read_lines(folder / described.get("fich1", f"{name}_R.dat"))
    width = len(table[0].split()) + 1 if "n_entradas" not in described else _whole(described["n_entradas"], name) + 2
    rows = []
    for number, line in enumerate(table[1:], start=2):
        fields = line.split()
        if len(fields) != width:
            raise InvalidFile(
                f"{name}: rows must have a number, {width - 2} features and a class",
                f"{len(fields)} fields in line {number}",
            )
        rows.append(fields[1:])
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise InvalidFile(f"{name}: the table must hold numbers", str(error)) from None
    if not rows:
        raise InvalidFile(f"{name}: the table must have rows", "only a header")
    select = _read_indices(folder / "conxuntos.dat", 1)
    return _checked(
        name, (values[:, :-1], values[:, -1]), select + _read_indices(folder / "conxuntos_kfold.dat", FOLDS)
    )


def _description(path: Path) -> dict[str, str]:
    pairs = (line.split() for line in _read_lines(path))
    return {pair[0].rstrip("="): pair[1] for pair in pairs if len(pair) == 2 and pair[0].endswith("=")}


def _read_indices(path: Path, splits: int) -> list[tuple[ndarray, ndarray]]:
    lines = _read_lines(path)
    if len(lines) != 2 * splits:
        raise InvalidFile(f"{path.parent.name}/{path.name} must have {2 * splits} lines", f"{len(lines)}")
    try:
        numbers = [np.array([int(word) for word in line.split()], dtype=np.int64) for line in lines]
    except ValueError as error:
        raise InvalidFile(f"{path.parent.name}/{path.name} must hold row numbers", str(error)) from None
    return [(numbers[2 * i], numbers[2 * i + 1]) for i in range(splits)]


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFile(f"{path.parent.name} needs a readable {path.name}", str(error)) from None
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise InvalidFile(f"{path.parent.name}/{path.name} must not be empty", "no line")
    return lines


def _whole(text: str, name: str) -> int:
    if not text.isdigit():
        raise InvalidFile(f"{name}: n_entradas= must be a whole number", repr(text))
    return int(text)


def _checked(name: str, points: tuple[ndarray, ndarray], splits: list[tuple[ndarray, ndarray]]) -> SplitSet:
    X, y = points
    if X.ndim != 2 or y.shape != X.shape[:1] or 0 in X.shape:
        raise InvalidFile(f"{name}: X must be (n, d) and y (n,)", f"{X.shape} and {y.shape}")
    if X.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
        raise InvalidFile(f"{name}: X and y must hold numbers", f"{X.dtype} and {y.dtype}")
    X = X.astype(np.float64)
    if not np.isfinite(X).all():
        bad = int((~np.isfinite(X)).any(axis=1).sum())
        raise InvalidFile(f"{name}: X must be finite", f"NaN or infinity in {bad} rows")
    if not (np.isfinite(y).all() and (y == np.round(y)).all()):
        raise InvalidFile(f"{name}: classes must be whole numbers", f"{y[y != np.round(y)][:1].tolist()}")
    whole = y.astype(np.int64)
    select, *folds = (_checked_split(name, whole, train, test) for train, test in splits)
    return SplitSet(name, X, whole, select, tuple(folds))


def _checked_split(name: str, y: ndarray, train: ndarray, test: ndarray) -> Split:
    for rows in (train, test):
        if rows.ndim != 1 or len(rows) == 0 or rows.dtype.kind not in "iu":
            raise InvalidFile(f"{name}: a split must list whole row numbers", f"{rows.dtype} of shape {rows.shape}")
        if rows.min() < 0 or rows.max() >= len(y):
            raise InvalidFile(
                f"{name}: row numbers of a split must lie in 0 ... {len(y) - 1}", f"{rows.min()} ... {rows.max()}"
            )
    shared = np.intersect1d(train, test)
    if len(shared):
        raise InvalidFile(f"{name}: no row may both train and test", f"{len(shared)} do, such as row {shared[0]}")
    if len(np.unique(y[train])) < 2:
        raise InvalidFile(f"{name}: the training rows of a split must hold two classes", "one")
    return Split(train.astype(np.int64), test.astype(np.int64))
