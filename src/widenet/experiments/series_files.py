"""Files of labelled time series: UCR's `.tsv`, and the `.ts` format of aeon and sktime."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy import ndarray

from widenet.errors import InvalidFile

LabelKind = Literal["integer", "text", "number", "none"]
SUFFIXES = (".tsv", ".ts")
_MISSING = {"", "?", "nan"}
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, eq=False)
class SeriesTable:
    """Time series with their labels.

    Attributes:
        name: Name of the file, without its folder.
        series: One array (length, channels) for each series, float64, finite.
        labels: (n,) integers or text for classes, float64 for a quantity, or None where the file has none.
        kind: What the labels are: "integer", "text", "number" or "none".
    """

    name: str
    series: list[ndarray]
    labels: ndarray | None
    kind: LabelKind


def read_series(path: Path, *, quantity: bool = False) -> SeriesTable:
    r"""Read a `.tsv` or `.ts` file of time series.

    `.tsv`, as the UCR archive has it: one series a line, no header, the label first, values apart by tabs. NaN at the
    end of a line pads a shorter series and is cut off. `.ts`: a header of lines `@name value` up to `@data`, then
    one series a line, channels apart by colons, values by commas, and the label last where `@classLabel true`
    or `@targetLabel true` says so. Labels that are `?` or empty in every line count as no labels.

    Args:
        path: The file.
        quantity: Whether the labels of a `.tsv` file are numbers to predict rather than classes.

    Raises:
        InvalidFile: If the file is missing, of another kind, or has missing values, time stamps, text among
            its values, or lines that do not fit its header.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "two_TRAIN.tsv"
        ...     _ = path.write_text("1\t0.5\t0.7\t0.1\n2\t-0.5\t1.5\tNaN\n")
        ...     table = read_series(path)
        >>> table.labels.tolist(), [len(series) for series in table.series]
        ([1, 2], [3, 2])
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise InvalidFile(f"a file of time series must be {' or '.join(SUFFIXES)}", path.name)
    lines = _lines(path)
    if kind == ".tsv":
        series, words = _read_tsv(path.name, lines)
    else:
        header, body = _read_header(path.name, lines)
        series, words = _read_ts(path.name, header, body)
        quantity = header.target
    if not series:
        raise InvalidFile(f"{path.name} must hold time series", "none")
    labels, label_kind = _labels(path.name, words, quantity=quantity)
    return SeriesTable(path.name, series, labels, label_kind)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    if not path.is_file():
        raise InvalidFile(f"no file of time series at {path}", "a folder" if path.is_dir() else "nothing there")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{path.name} must be text in UTF-8", f"byte {error.start} is not") from None
    except OSError as error:
        raise InvalidFile(f"{path.name} cannot be read", error.strerror or type(error).__name__) from None
    if not text.strip():
        raise InvalidFile(f"{path.name} must hold time series", "an empty file")
    return [(i, line.rstrip("\r")) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _read_tsv(name: str, lines: list[tuple[int, str]]) -> tuple[list[ndarray], list[str]]:
    series, labels = [], []
    for number, line in lines:
        label, *words = line.split("\t")
        while words and words[-1].strip().lower() in _MISSING:
            words.pop()
        if not words:
            raise InvalidFile(f"{name} must have a label and values in each line, apart by tabs", f"line {number}")
        series.append(_values(name, number, words)[:, None])
        labels.append(label.strip())
    return series, labels


@dataclass(frozen=True)
class _Header:
    """What the lines above `@data` say.

    Attributes:
        labelled: Whether each line ends with a label.
        target: Whether that label is a number to predict.
        classes: The classes named there, or None.
        channels: Channels of every series, or None where it is not said.
        length: Length of every series, or None.
        equal: Whether all lengths are said to be equal.
    """

    labelled: bool
    target: bool
    classes: tuple[str, ...] | None
    channels: int | None
    length: int | None
    equal: bool


def _read_header(name: str, lines: list[tuple[int, str]]) -> tuple[_Header, list[tuple[int, str]]]:
    said: dict[str, list[str]] = {}
    for place, (number, line) in enumerate(lines):
        text = line.strip()
        if text.startswith("#"):
            continue
        if not text.startswith("@"):
            raise InvalidFile(f"{name} must have lines @name value above @data", f"{text[:40]!r} in line {number}")
        key, *values = text[1:].split()
        if key.lower() == "data":
            return _understood(name, said), lines[place + 1 :]
        said[key.lower()] = values
    raise InvalidFile(f"{name} must have a line @data above its series", "none")


def _understood(name: str, said: dict[str, list[str]]) -> _Header:
    if _flag(name, said, "timestamps"):
        raise InvalidFile(f"{name} must have series without time stamps", "@timeStamps true", "Resample them evenly")
    classes, target = _flag(name, said, "classlabel"), _flag(name, said, "targetlabel")
    if classes and target:
        raise InvalidFile(f"{name} must have one kind of label", "@classLabel and @targetLabel both true")
    named = tuple(said.get("classlabel", [])[1:]) if classes else ()
    channels = _whole(name, said, "dimensions") or _whole(name, said, "dimension")
    channels = 1 if channels is None and _flag(name, said, "univariate") else channels
    length = _whole(name, said, "serieslength")
    return _Header(classes or target, target, named or None, channels, length, _flag(name, said, "equallength"))


def _flag(name: str, said: dict[str, list[str]], key: str) -> bool:
    word = (said.get(key) or ["false"])[0].lower()
    if word not in _FLAGS:
        raise InvalidFile(f"{name}: @{key} must be true or false", repr(word[:40]))
    return _FLAGS[word]


def _whole(name: str, said: dict[str, list[str]], key: str) -> int | None:
    if key not in said:
        return None
    word = (said[key] or [""])[0]
    if not word.isdigit() or int(word) == 0:
        raise InvalidFile(f"{name}: @{key} must be a positive whole number", repr(word[:40]))
    return int(word)


def _read_ts(name: str, header: _Header, lines: list[tuple[int, str]]) -> tuple[list[ndarray], list[str]]:
    series, labels = [], []
    for number, line in lines:
        if line.lstrip().startswith("#"):
            continue
        *parts, label = line.split(":") if header.labelled else [*line.split(":"), "?"]
        channels = [_values(name, number, part.split(",")) for part in parts]
        if not channels:
            raise InvalidFile(f"{name} must have values and a label in each line", f"no colon in line {number}")
        if header.channels is not None and len(channels) != header.channels:
            raise InvalidFile(f"{name} must have {header.channels} channels", f"{len(channels)} in line {number}")
        if len({len(channel) for channel in channels}) > 1:
            lengths = ", ".join(str(len(channel)) for channel in channels[:8])
            raise InvalidFile(f"{name}: channels of a series must have one length", f"{lengths} in line {number}")
        series.append(np.stack(channels, axis=1))
        labels.append(label.strip())
        _check_line(name, number, header, series, labels[-1])
    return series, labels


def _check_line(name: str, number: int, header: _Header, series: list[ndarray], label: str) -> None:
    length, channels = series[-1].shape
    if channels != series[0].shape[1]:
        asked = f"{name} must have as many channels in each series"
        raise InvalidFile(asked, f"{channels} in line {number}, {series[0].shape[1]} before")
    expected = header.length or (len(series[0]) if header.equal else None)
    if header.equal and length != expected:
        raise InvalidFile(f"{name} must have series of length {expected}", f"{length} in line {number}")
    if header.classes is not None and label not in header.classes and label.lower() not in _MISSING:
        known = " ".join(header.classes[:8])
        raise InvalidFile(f"{name} must have labels of its header ({known})", f"{label[:40]!r} in line {number}")


def _values(name: str, number: int, words: list[str]) -> ndarray:
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        for place, word in enumerate(words, start=1):
            _check_word(name, number, place, word)
        raise
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        _check_word(name, number, place + 1, words[place])
    return values


def _check_word(name: str, number: int, place: int, word: str) -> None:
    word = word.strip()
    if word.lower() in _MISSING:
        got = f"a missing value, {word!r}, at step {place} of line {number}"
        raise InvalidFile(f"{name} must have a value at every step", got, "Interpolate it, or cut the series")
    try:
        finite = math.isfinite(float(word))
    except ValueError:
        finite = False
    if not finite:
        raise InvalidFile(f"{name} must hold finite numbers", f"{word[:40]!r} at step {place} of line {number}")


def _labels(name: str, words: list[str], *, quantity: bool) -> tuple[ndarray | None, LabelKind]:
    missing = [i for i, word in enumerate(words) if word.lower() in _MISSING]
    if len(missing) == len(words):
        return None, "none"
    if missing:
        raise InvalidFile(f"{name} must have a label for each series", f"none for {len(missing)} of {len(words)}")
    numbers = list(_numbers(words))
    if quantity:
        wrong = [word for word, number in zip(words, numbers, strict=True) if not math.isfinite(number)]
        if wrong:
            raise InvalidFile(f"{name} must have numbers to predict", f"{wrong[0][:40]!r}")
        return np.array(numbers), "number"
    # Files of before 2018 write the classes 1 and 2 as 1.0000000e+00 and 2.0000000e+00.
    if all(number.is_integer() and abs(number) < 2**53 for number in numbers):
        return np.array([int(number) for number in numbers]), "integer"
    return np.array(words, dtype=object), "text"


def _numbers(words: list[str]) -> Iterator[float]:
    for word in words:
        try:
            yield float(word)
        except ValueError:
            yield math.nan
