"""Choice of kernel and ridge by leave-one-out error in closed form."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from widenet._arrays import is_count
from widenet.errors import InvalidInput
from widenet.estimators.candidates import candidate_grams
from widenet.estimators.leave_one_out import LeaveOneOut
from widenet.estimators.series_rows import kernel_points
from widenet.kernels import Kernel

KernelFunction = Callable[..., Any]

RIDGES = 10.0 ** np.arange(-8.0, 1.01, 0.5)
"""Ridges over the mean diagonal that are tried."""

SCREEN_ALL = 250
"""Up to this many rows every candidate is scored on all of them."""

RIDGE_ROWS = 1500
"""Most rows on which the ridge of the chosen kernel is scored."""


class Candidate(NamedTuple):
    """One kernel with the ridge that suits it: a row of the table of a selection.

    Attributes:
        kernel: The kernel.
        ridge: Ridge of least score, over the mean diagonal.
        score: Leave-one-out squared error over that of the mean of the targets: 0 is perfect, 1 says nothing.
        error: Standard error of the score over the rows.
        seconds: Time that its Gram matrix, decomposition and ridge path took.
        rows: Rows on which it was scored.
        chosen: Whether the fitted kernel is it, or has it as one of its terms.
    """

    kernel: KernelFunction
    ridge: float
    score: float
    error: float
    seconds: float
    rows: int
    chosen: bool = False


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Leave-one-out scores of one kernel over the ridges.

    Attributes:
        ridges: Relative ridges, (r,).
        scores: Relative leave-one-out squared errors, (r,).
        best: Index of the least.
        predictions: Leave-one-out predictions of the centred targets at the best ridge, (n, t).
        error: Standard error of the least score.
        level: Mean diagonal of the kernel.
    """

    ridges: np.ndarray
    scores: np.ndarray
    best: int
    predictions: np.ndarray
    error: float
    level: float


@dataclass(frozen=True, eq=False)
class Problem:
    """What a selection reads: rows, centred targets, weights, and the ridges to try.

    Attributes:
        X: (n, d).
        target: (n, t), with a weighted mean of 0.
        weight: (n,), positive.
        ridges: Ridges to try, or None for `RIDGES`.
        absolute: Whether the ridges are absolute.
    """

    X: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    ridges: np.ndarray | None = None
    absolute: bool = False

    def part(self, most: int) -> "Problem":
        """At most so many rows, evenly spread over the sorted first target (so over the classes too)."""
        if len(self.X) <= most:
            return self
        rows = spread_rows(self.target, most)
        return replace(self, X=self.X[rows], target=self.target[rows], weight=self.weight[rows])


def spread_rows(target: np.ndarray, most: int) -> np.ndarray:
    """Numbers of at most so many rows, evenly spread over the sorted first target (so over the classes too), sorted.

    Args:
        target: (n, t); one column is sorted, of several the largest counts.
        most: How many rows.
    """
    if len(target) <= most:
        return np.arange(len(target))
    shuffled = np.random.default_rng(0).permutation(len(target))
    key = target[shuffled, 0] if target.shape[1] == 1 else target[shuffled].argmax(axis=1)
    order = shuffled[np.argsort(key, kind="stable")]
    return np.sort(order[((np.arange(most) + 0.5) * len(order) / most).astype(int)])


def screening_rows(n: int) -> int:
    """Rows on which the candidates are compared: all up to 250, else the larger of 250 and n / 4, at most 1,000.

    With n / 4 rows, forty decompositions (9 m^3 flops each) cost as much as seventeen Cholesky factors (n^3 / 3) of
    all the rows.
    """
    return min(n, max(SCREEN_ALL, n // 4), 1000)


def ridge_path(gram: np.ndarray, problem: Problem) -> RidgePath:
    """Leave-one-out scores over the ridges."""
    decomposed = LeaveOneOut.of(gram, problem.weight)
    if not decomposed.level > 0:
        raise InvalidInput("a kernel must have a positive mean diagonal", f"{decomposed.level}")
    ridges = RIDGES if problem.ridges is None else problem.ridges
    ridges = ridges / decomposed.level if problem.absolute else ridges
    predictions = decomposed.predictions(problem.target, ridges)
    losses = np.square(predictions - problem.target).sum(axis=2)
    share = problem.weight / problem.weight.sum()
    baseline = float(share @ np.square(problem.target).sum(axis=1)) or 1.0
    scores = losses @ share / baseline
    best = int(scores.argmin())
    spread = losses[best] / baseline - scores[best]
    error = float(np.sqrt(problem.weight.sum() * (share @ np.square(spread))) / problem.weight.sum())
    return RidgePath(ridges, scores, best, predictions[best], error, decomposed.level)


def check_gram(kernel: KernelFunction, X: np.ndarray, Y: np.ndarray | None = None) -> np.ndarray:
    """K(X, Y) of a kernel or of any function of two arrays, checked."""
    points = kernel_points(X)
    gram = np.asarray(kernel(points) if Y is None else kernel(points, kernel_points(Y)))
    shape = (len(X), len(X if Y is None else Y))
    if gram.shape != shape:
        raise InvalidInput(f"a kernel must return a matrix of shape {shape}", f"shape {gram.shape} from {kernel!r}")
    # A sum is finite only if no entry is NaN or infinite, and needs no second matrix.
    if not np.isfinite(gram.sum(dtype=np.float64)):
        raise InvalidInput("a kernel must return finite values", f"NaN or infinity from {kernel!r}")
    return gram


def compare(grams: Iterable[tuple[KernelFunction, np.ndarray]], problem: Problem) -> Iterator[tuple[Candidate, float]]:
    """Every candidate with its best ridge, and the mean diagonal of its Gram matrix."""
    started = time.perf_counter()
    for kernel, gram in grams:
        path = ridge_path(gram, problem)
        now = time.perf_counter()
        score, ridge = float(path.scores[path.best]), float(path.ridges[path.best])
        yield Candidate(kernel, ridge, score, path.error, now - started, len(problem.X)), path.level
        started = now


def combine_best(compared: Iterable[tuple[Candidate, float]], count: int) -> tuple[KernelFunction, list[Candidate]]:
    """The mean of the best kernels, each divided by its mean diagonal, and the table of all.

    Only those kernels count that are at most one standard error worse than the best one.

    Args:
        compared: Candidates with their mean diagonals.
        count: How many kernels to average at most; 1 takes the best as it is.

    Returns:
        The kernel, and all candidates in the order of their scores.
    """
    ranked = sorted(compared, key=lambda pair: pair[0].score)
    worst = ranked[0][0].score + ranked[0][0].error
    chosen = [pair for pair in ranked[:count] if pair[0].score <= worst]
    table = [candidate._replace(chosen=index < len(chosen)) for index, (candidate, _) in enumerate(ranked)]
    if len(chosen) == 1:
        return chosen[0][0].kernel, table
    terms = [_scaled(1.0 / (len(chosen) * level), candidate.kernel) for candidate, level in chosen]
    return reduce(add, terms), table


def prefer(table: list[Candidate], *wanted: Sequence[Kernel]) -> list[Candidate]:
    """The table with the best of some kernels chosen, if it is at most a standard error worse than the best of all.

    Args:
        table: Candidates, best first.
        wanted: Kernels, those first that are wanted most; where none of them is good enough the best of all is chosen.
    """
    worst = table[0].score + table[0].error
    good = [(place, row.kernel) for place, row in enumerate(table) if row.score <= worst]
    best = next((place for kernels in wanted for place, kernel in good if kernel in kernels), 0)
    return [row._replace(chosen=place == best) for place, row in enumerate(table)]


def _scaled(factor: float, kernel: KernelFunction) -> Kernel:
    if not isinstance(kernel, Kernel):
        raise InvalidInput("only kernels of this package can be averaged", repr(kernel))
    return factor * kernel


def read_ridge(ridge: Any) -> float | None:
    """The argument `ridge` as a number, or None for "auto"; raises InvalidInput on anything else."""
    if isinstance(ridge, str) and ridge == "auto":
        return None
    if isinstance(ridge, bool) or not isinstance(ridge, (int, float, np.number)) or not 0 <= ridge < np.inf:
        raise InvalidInput("the ridge must be 'auto' or a finite number of at least 0", repr(ridge))
    return float(ridge)


def choose_kernel(choice: Any, problem: Problem, combine: int) -> tuple[KernelFunction, list[Candidate]]:
    """The kernel that `choice` names, or that is best of those it offers, and the table of the choice."""
    if not is_count(combine):
        raise InvalidInput("combine must be a whole number of at least 1", repr(combine))
    if isinstance(choice, str):
        if choice != "auto":
            raise InvalidInput("kernel must be 'auto', a kernel, or several to choose from", repr(choice))
        return combine_best(compare(candidate_grams(problem.X), problem), combine)
    if isinstance(choice, Sequence):
        if not choice or not all(isinstance(kernel, Kernel) for kernel in choice):
            raise InvalidInput("kernels to choose from must be one or more kernels", repr(choice))
        grams = ((kernel, check_gram(kernel, problem.X)) for kernel in choice)
        return combine_best(compare(grams, problem), combine)
    if not callable(choice):
        raise InvalidInput("kernel must be 'auto', a kernel, or several to choose from", repr(choice))
    return choice, []
