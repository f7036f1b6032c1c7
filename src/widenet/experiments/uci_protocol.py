"""The small-data protocol: choose kernel and strength on one split, score the choice on four folds.

Arora et al. 2020, arXiv 1910.01663: hyper-parameters that are best on the one supplied 50/50 split are
trained again on each of the four supplied folds, and the mean of the four test accuracies is the score.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float, Int
from joblib import Parallel, delayed
from numpy import ndarray

from widenet.errors import FingerprintMismatch, InvalidFile
from widenet.experiments.kernel_grids import Family, GridPoint
from widenet.experiments.learners import Learner
from widenet.experiments.uci_data import SplitSet
from widenet.experiments.written import written_aside
from widenet.kernels.base import Kernel
from widenet.kernels.wrappers import Homogeneous

RULES = ("first", "middle")
RULE_WORDS = {
    "first": "published: of the best on the selection split, the first in the order of the grid",
    "middle": (
        "this library's choice: of the best on the selection split, the one nearest to the middle of the grid, then "
        "the most regularised (largest margin), then the first"
    ),
}
Progress = Callable[[str, int, int], None]
_FORMAT = 1


@dataclass(frozen=True)
class Choice:
    """What a rule chose and how it scored.

    Attributes:
        kernel: The kernel, as its repr.
        strength: C or relative ridge.
        tied: How many candidates shared the best validation accuracy.
        folds: Test accuracies on the folds, percent.
    """

    kernel: str
    strength: float
    tied: int
    folds: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Mean test accuracy over the folds, percent."""
        return float(np.mean(self.folds))


@dataclass(frozen=True)
class Record:
    """One set, one family of kernels, one learner.

    Attributes:
        name: Name of the set.
        rows: Its rows.
        family: Name of the family.
        learner: Name of the learner.
        correct: Right answers on the selection split for each kernel (rows) and strength (columns).
        choices: The choice of each rule of `RULES`.
        seconds: Time spent on it, Gram matrices included.
    """

    name: str
    rows: int
    family: str
    learner: str
    correct: tuple[tuple[int, ...], ...]
    choices: dict[str, Choice]
    seconds: float


def run_protocol(
    sets: Sequence[SplitSet],
    families: Sequence[Family],
    learners: Sequence[Learner],
    store: Path,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Record]:
    """Run every family and learner on every set; finished ones are read from `store` instead.

    Every result is written to `store` as soon as it is there, so that an interrupted run goes on where
    it stopped. Families are run one after the other, sets in the order given.

    Args:
        sets: The data.
        families: Kernels to choose from.
        learners: Classifiers, which share the Gram matrices of a family.
        store: Folder of results, one JSON file a set, family and learner; made if missing.
        jobs: Processes to run at once.
        progress: Called with a text, the number of finished pieces and their total.

    Raises:
        FingerprintMismatch: If `store` holds results of other data or grids under the same names.
    """
    store.mkdir(parents=True, exist_ok=True)
    pieces = [(data, family) for family in families for data in sets]
    records: list[Record] = []
    missing = []
    for data, family in pieces:
        stored = stored_records([data], [family], learners, store)
        records += stored
        lacking = [learner for learner in learners if learner.name not in {record.learner for record in stored}]
        if lacking:
            missing.append((data, family, lacking))
    done = len(pieces) - len(missing)
    if progress is not None:
        progress("", done, len(pieces))
    # The generator hands results over as they finish, so that Ctrl-C loses no more than what is running.
    work = (delayed(_evaluate_and_store)(*piece, store) for piece in missing)
    results = cast(Iterator[list[Record]], Parallel(n_jobs=jobs, return_as="generator_unordered")(work))
    for found in results:
        records += found
        done += 1
        if progress is not None:
            progress(f"{found[0].name}, {found[0].family}", done, len(pieces))
    return records


def stored_records(
    sets: Sequence[SplitSet], families: Sequence[Family], learners: Sequence[Learner], store: Path
) -> list[Record]:
    """The results that `store` holds for these, as `run_protocol` left them, finished or not."""
    found = (_read(store, data, f, learner) for f in families for data in sets for learner in learners)
    return [record for record in found if record is not None]


def evaluate(data: SplitSet, family: Family, learners: Sequence[Learner]) -> list[Record]:
    """The protocol on one set: one pass over the kernels that the learners share, then the folds of the choices.

    Cost:
        One Gram matrix of all rows a kernel, held in float64 one at a time.
    """
    points = family.points(data.X.shape[1])
    correct = np.zeros((len(learners), len(points)), dtype=object)
    seconds = np.zeros(len(learners))
    for i, point in enumerate(points):
        start = time.perf_counter()
        K = gram(point.kernel, data.X)
        seconds += time.perf_counter() - start
        for j, learner in enumerate(learners):
            start = time.perf_counter()
            predicted = learner.predict(K, data.y, data.select, learner.strengths)
            correct[j, i] = (predicted == data.y[data.select.test]).sum(axis=1).tolist()
            seconds[j] += time.perf_counter() - start
    records = []
    for j, learner in enumerate(learners):
        start = time.perf_counter()
        counts = np.array(correct[j].tolist(), dtype=np.int64)
        chosen = {rule: choose(counts, points, rule) for rule in RULES}
        folds = {pair: _fold_scores(data, points, learner, pair) for pair in set(chosen.values())}
        tied = int((counts == counts.max()).sum())
        choices = {
            rule: Choice(repr(points[pair[0]].kernel), learner.strengths[pair[1]], tied, folds[pair])
            for rule, pair in chosen.items()
        }
        spent = float(seconds[j]) + time.perf_counter() - start
        table = tuple(tuple(row) for row in counts.tolist())
        records.append(Record(data.name, len(data.X), family.name, learner.name, table, choices, spent))
    return records


def gram(kernel: Kernel, X: Float[ndarray, "n d"]) -> Float[ndarray, "n n"]:
    """Gram matrix in which a zero row has value 0 with every point under a homogeneous kernel, its limit."""
    nonzero = X.any(axis=1)
    if nonzero.all() or not isinstance(kernel, Homogeneous):
        return kernel(X)
    K = np.zeros((len(X), len(X)))
    K[np.ix_(nonzero, nonzero)] = kernel(X[nonzero])
    return K


def choose(correct: Int[ndarray, "kernels strengths"], points: Sequence[GridPoint], rule: str) -> tuple[int, int]:
    """Kernel and strength that a rule picks among those with the most right answers.

    Args:
        correct: Right answers on the selection split.
        points: The kernels with their places in the grid.
        rule: "first" or "middle", see `RULE_WORDS`.
    """
    best = [(int(i), int(j)) for i, j in np.argwhere(correct == correct.max())]
    if rule == "first":
        return best[0]
    last = max(correct.shape[1] - 1, 1)

    def distance(pair: tuple[int, int]) -> tuple[float, int, int]:
        i, j = pair
        return sum(abs(coordinate) for coordinate in (*points[i].place, 2 * j / last - 1)), j, i

    return min(best, key=distance)


def _fold_scores(
    data: SplitSet, points: Sequence[GridPoint], learner: Learner, pair: tuple[int, int]
) -> tuple[float, ...]:
    K, strengths = gram(points[pair[0]].kernel, data.X), (learner.strengths[pair[1]],)
    hits = (learner.predict(K, data.y, fold, strengths)[0] == data.y[fold.test] for fold in data.folds)
    return tuple(100 * float(hit.mean()) for hit in hits)


def _evaluate_and_store(data: SplitSet, family: Family, learners: list[Learner], store: Path) -> list[Record]:
    records = evaluate(data, family, learners)
    for record, learner in zip(records, learners, strict=True):
        document = {"format": _FORMAT, "fingerprint": _fingerprint(data, family, learner), "set": record.name}
        document |= {"rows": record.rows, "family": record.family, "learner": record.learner}
        document |= {"seconds": record.seconds, "strengths": learner.strengths, "correct": record.correct}
        document["kernels"] = [repr(point.kernel) for point in family.points(data.X.shape[1])]
        document["choices"] = {
            rule: {"kernel": c.kernel, "strength": c.strength, "tied": c.tied, "folds": c.folds}
            for rule, c in record.choices.items()
        }
        with written_aside(_path(store, data, family, learner)) as aside:
            aside.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return records


def _read(store: Path, data: SplitSet, family: Family, learner: Learner) -> Record | None:
    path = _path(store, data, family, learner)
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        fingerprint, seconds = document["fingerprint"], float(document["seconds"])
        correct = tuple(tuple(int(count) for count in row) for row in document["correct"])
        choices = {rule: _read_choice(document["choices"][rule]) for rule in RULES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidFile(f"{path} must be a stored result", repr(error), "Delete it to run it again") from None
    if fingerprint != _fingerprint(data, family, learner):
        raise FingerprintMismatch(
            f"{path} must belong to this data and grid", "other data, splits or grid", "Choose another output folder"
        )
    return Record(data.name, len(data.X), family.name, learner.name, correct, choices, seconds)


def _read_choice(document: dict) -> Choice:
    folds = tuple(float(score) for score in document["folds"])
    return Choice(str(document["kernel"]), float(document["strength"]), int(document["tied"]), folds)


def _path(store: Path, data: SplitSet, family: Family, learner: Learner) -> Path:
    words = "--".join((data.name, family.name, learner.name))
    return store / ("".join(c if c.isalnum() or c in "-_." else "" for c in words) + ".json")


def _fingerprint(data: SplitSet, family: Family, learner: Learner) -> str:
    digest = hashlib.sha256()
    for array in _arrays(data):
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    digest.update(repr((_FORMAT, family.points(data.X.shape[1]), learner)).encode())
    return digest.hexdigest()


def _arrays(data: SplitSet) -> Iterator[ndarray]:
    yield from (data.X, data.y)
    for split in (data.select, *data.folds):
        yield from split
