"""Methods over sets of time series, with every result kept in a file of its own."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from widenet.errors import FingerprintMismatch, InvalidFile, InvalidInput
from widenet.experiments.outcome import Progress
from widenet.experiments.series_data import SeriesSet
from widenet.experiments.series_methods import Method, Score
from widenet.experiments.written import written_aside

_FORMAT = 1


@dataclass(frozen=True)
class SeriesRecord:
    """One classifier on one set.

    Attributes:
        set: Name of the set.
        score: What the classifier reached.
    """

    set: str
    score: Score


def run_methods(
    sets: Sequence[SeriesSet], methods: Sequence[Method], store: Path, progress: Progress | None = None
) -> list[SeriesRecord]:
    """Run every method on every set, set by set; finished ones are read from `store` instead.

    Args:
        sets: The data.
        methods: The methods.
        store: Folder of results, one JSON file a set and method; made if missing.
        progress: Called with a text, the number of finished pieces and their total.

    Raises:
        InvalidInput: Where a method cannot serve a set, with its name.
        FingerprintMismatch: If `store` holds results of other data or grids under the same names.
    """
    store.mkdir(parents=True, exist_ok=True)
    records: list[SeriesRecord] = []
    total = len(sets) * len(methods)
    for i, data in enumerate(sets):
        for j, method in enumerate(methods):
            if progress is not None:
                progress(f"{data.name}, {' and '.join(method.classifiers)}", i * len(methods) + j, total)
            records += [SeriesRecord(data.name, score) for score in _scores(data, method, store)]
    return records


def _scores(data: SeriesSet, method: Method, store: Path) -> list[Score]:
    path = store / f"{_plain(data.name)}--{_plain(method.classifiers[0])}.json"
    fingerprint = _fingerprint(data, method)
    if path.is_file():
        return _read(path, fingerprint)
    try:
        scores = method.evaluate(data)
    except InvalidInput as error:
        raise InvalidInput(f"{data.name}: {error.asked}", error.got, error.cure) from error
    document = {"format": _FORMAT, "fingerprint": fingerprint, "set": data.name}
    document |= {"series": [len(data.train), len(data.test)], "lengths": data.lengths, "method": repr(method)}
    document |= {"scores": [asdict(score) for score in scores]}
    with written_aside(path) as aside:
        aside.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return scores


def _read(path: Path, fingerprint: str) -> list[Score]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document["fingerprint"]
        scores = [_score(entry) for entry in document["scores"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidFile(f"{path} must be a stored result", repr(error), "Delete it to run it again") from None
    if found != fingerprint:
        asked = f"{path} must belong to this data and method"
        raise FingerprintMismatch(asked, "other data or another grid", "Choose another output folder")
    return scores


def _score(entry: dict[str, Any]) -> Score:
    return Score(str(entry["classifier"]), float(entry["accuracy"]), float(entry["seconds"]), dict(entry["details"]))


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "" for c in name)


def _fingerprint(data: SeriesSet, method: Method) -> str:
    digest = hashlib.sha256(repr((_FORMAT, method)).encode())
    for series in (*data.train, *data.test):
        digest.update(repr(series.shape).encode() + np.ascontiguousarray(series).tobytes())
    for labels in (data.y_train, data.y_test):
        digest.update(labels.astype(np.int64).tobytes())
    return digest.hexdigest()
