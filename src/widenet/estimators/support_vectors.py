"""C-support vector machines on Gram matrices: chosen by validation, kept as coefficients of kernel expansions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.svm import SVC

from widenet.errors import InvalidInput
from widenet.estimators.selection import Candidate, KernelFunction, Problem, ridge_path

_CACHE_MB = 500
_MOST_STEPS = 100_000  # libsvm takes hours on Gram matrices with large C and labels that no margin separates


class Machine(NamedTuple):
    """Support vector machines of every pair of classes, (a, b) in the order of `itertools.combinations`.

    Attributes:
        dual: Coefficients, (n, pairs); K(x, X) dual + offset is positive where a pair votes for its first class.
        offset: (pairs,).
        converged: Whether libsvm reached its tolerance.
        steps: Its steps, of all pairs.
    """

    dual: Float[ndarray, "n pairs"]
    offset: Float[ndarray, " pairs"]
    converged: bool
    steps: int


@dataclass(frozen=True)
class SupportVectorMachine:
    """C-SVM, one class against one, with kernel and C chosen by validation inside the training rows.

    Every kernel and C is trained on all folds but one and counted on that one. The rows are dealt out to the folds at
    random, class by class. Where several tie, the kernel of least leave-one-out error of kernel ridge wins, then the
    largest C: with few rows most of the grid ties, and this tells among them.

    Args:
        C: Penalties to choose from.
        folds: Folds; 10 validates on a tenth of the rows at a time, as the paper of the recurrent kernel does.
        seed: Seed of the folds.

    Raises:
        InvalidInput: On penalties that are not positive, or fewer than two folds.

    References:
        Alemohammad et al. 2021, arXiv 2006.10246 (the grid of C and the folds); Chang and Lin 2011, "LIBSVM".
    """

    C: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
    folds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.C or not all(0 < value < np.inf for value in self.C):
            raise InvalidInput("C must hold one or more finite positive penalties", repr(self.C))
        if self.folds < 2:
            raise InvalidInput("folds must be at least 2", repr(self.folds))

    def fold_of(self, labels: Int[ndarray, "n"]) -> Int[ndarray, "n"]:
        """Number of the fold of each row, (n,): every class and all rows are spread evenly."""
        order = np.random.default_rng(self.seed).permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")]
        fold = np.empty(len(labels), dtype=np.int64)
        fold[order] = np.arange(len(labels)) % min(self.folds, len(labels))
        return fold

    def choose(
        self, kernels: Sequence[KernelFunction], gram_of: Callable[[KernelFunction], ndarray], problem: Problem
    ) -> list[Candidate]:
        """Score every kernel with its best C; the first of the result is the choice.

        Args:
            kernels: The kernels.
            gram_of: Gives the Gram matrix of a kernel on all rows, (n, n).
            problem: The rows with centred one-hot targets.

        Returns:
            Candidates, best first: `score` and `error` are the share of wrong rows and its standard error,
            `ridge` is 1 / C.
        """
        labels = problem.target.argmax(axis=1)
        ranked = []
        for kernel in kernels:
            started = time.perf_counter()
            gram = gram_of(kernel)
            wrong = self.validate(gram, labels, problem.weight)
            best = len(wrong) - 1 - int(wrong[::-1].argmin())
            rate = float(wrong[best])
            error = float(np.sqrt(rate * (1 - rate) / len(labels)))
            ridge = float(ridge_path(gram, problem).scores.min())
            seconds = time.perf_counter() - started
            ranked.append((ridge, Candidate(kernel, 1 / sorted(self.C)[best], rate, error, seconds, len(labels))))
        table = [candidate for _, candidate in sorted(ranked, key=lambda pair: (round(pair[1].score, 12), pair[0]))]
        return [candidate._replace(chosen=index == 0) for index, candidate in enumerate(table)]

    def validate(
        self, gram: Float[ndarray, "n n"], labels: Int[ndarray, "n"], weight: Float[ndarray, "n"]
    ) -> Float[ndarray, " C"]:
        """Share of the weight of the rows that machines of the other folds get wrong, for each C in rising order."""
        fold = self.fold_of(labels)
        wrong = np.zeros(len(self.C))
        for number in range(fold.max() + 1):
            train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            for i, C in enumerate(sorted(self.C)):
                predicted = _predict(gram, labels, (train, test), weight, C)
                wrong[i] += weight[test] @ (predicted != labels[test])
        return wrong / weight.sum()

    def validation_scores(
        self, gram: Float[ndarray, "n n"], labels: Int[ndarray, "n"], weight: Float[ndarray, "n"], C: float
    ) -> Float[ndarray, "n classes"]:
        """Score of every row from the machine of the folds that it is not in, (n, classes)."""
        fold, classes = self.fold_of(labels), int(labels.max()) + 1
        scores = np.zeros((len(labels), classes))
        for number in range(fold.max() + 1):
            train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            known = np.unique(labels[train])
            if len(known) == 1:
                scores[test, known[0]] = 1.0
                continue
            codes = np.searchsorted(known, labels[train])
            machine = train_machine(gram[np.ix_(train, train)], codes, weight[train], C)
            pairs = gram[np.ix_(test, train)] @ machine.dual + machine.offset
            scores[np.ix_(test, known)] = pair_scores(pairs, len(known))
        return scores


def _predict(gram: ndarray, labels: ndarray, split: tuple[ndarray, ndarray], weight: ndarray, C: float) -> ndarray:
    train, test = split
    if len(np.unique(labels[train])) == 1:
        return np.full(len(test), labels[train[0]])
    machine = SVC(kernel="precomputed", C=C, cache_size=_CACHE_MB, max_iter=_MOST_STEPS)
    machine.fit(gram[np.ix_(train, train)], labels[train], sample_weight=weight[train])
    return machine.predict(gram[np.ix_(test, train)])


def train_machine(
    gram: Float[ndarray, "n n"], labels: Int[ndarray, "n"], weight: Float[ndarray, "n"], C: float
) -> Machine:
    """Train on all rows; labels are 0 ... classes - 1, every one present."""
    svc = SVC(kernel="precomputed", C=C, cache_size=_CACHE_MB, max_iter=_MOST_STEPS)
    svc.fit(gram, labels, sample_weight=weight)
    classes = len(svc.classes_)
    pairs = list(combinations(range(classes), 2))
    dual = np.zeros((len(gram), len(pairs)))
    owner = labels[svc.support_]
    coefficients, offset = np.asarray(svc.dual_coef_), np.array(svc.intercept_, dtype=np.float64)
    # libsvm keeps, for a support vector of class a, its coefficient against class b in row b - 1 or b (b < a).
    for column, (first, second) in enumerate(pairs):
        dual[svc.support_[owner == first], column] = coefficients[second - 1, owner == first]
        dual[svc.support_[owner == second], column] = coefficients[first, owner == second]
    if classes == 2:  # scikit-learn turns the sign for two classes alone
        dual, offset = -dual, -offset
    return Machine(dual, offset, svc.fit_status_ == 0, int(np.sum(svc.n_iter_)))


def pair_scores(pairs: Float[ndarray, "m pairs"], classes: int) -> Float[ndarray, "m classes"]:
    """Votes for each class, ties told apart by the sum of the margins, squashed to less than half a vote.

    For two classes the score is the margin itself, with both signs.
    """
    if classes == 2:
        return np.stack([pairs[:, 0], -pairs[:, 0]], axis=1)
    votes, margins = np.zeros((len(pairs), classes)), np.zeros((len(pairs), classes))
    for column, (first, second) in enumerate(combinations(range(classes), 2)):
        value = pairs[:, column]
        votes[:, first] += value > 0
        votes[:, second] += value <= 0
        margins[:, first] += value
        margins[:, second] -= value
    return votes + margins / (3 * (np.abs(margins) + 1))
