"""Classifiers on a precomputed kernel that the small-data comparison trains: support vectors and least squares."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.svm import SVC

from widenet.experiments.uci_data import Split
from widenet.solvers.cholesky import Cholesky

_CACHE_MB = 1000


class Learner(ABC):
    """A kernel classifier with a grid of strengths, the most regularised first.

    Attributes:
        strengths: The grid.
    """

    strengths: tuple[float, ...]

    @property
    @abstractmethod
    def name(self) -> str:
        """What tables call it."""

    @property
    @abstractmethod
    def grid(self) -> str:
        """The grid in words, and whose choice it is."""

    @abstractmethod
    def predict(
        self, K: Float[ndarray, "n n"], y: Int[ndarray, "n"], split: Split, strengths: tuple[float, ...]
    ) -> Int[ndarray, "strengths test"]:
        """Classes of the test rows after training on the training rows, for each strength.

        Args:
            K: Gram matrix of all rows.
            y: Classes of all rows.
            split: Rows to train on and to predict.
            strengths: Those to try, of the meaning of `self.strengths`.
        """


@dataclass(frozen=True)
class SupportVectors(Learner):
    """Support vector machine, one class against one (scikit-learn's SVC), strengths C."""

    strengths: tuple[float, ...] = tuple(10.0**power for power in range(-2, 5))

    @property
    def name(self) -> str:
        """What tables call it."""
        return "SVM"

    @property
    def grid(self) -> str:
        """The grid in words, and whose choice it is."""
        return f"published (arXiv 1910.01663): C in {{{_listed(self.strengths)}}}"

    def predict(
        self, K: Float[ndarray, "n n"], y: Int[ndarray, "n"], split: Split, strengths: tuple[float, ...]
    ) -> Int[ndarray, "strengths test"]:
        """Classes of the test rows for each C; see `Learner.predict`."""
        inner, cross = K[np.ix_(split.train, split.train)], K[np.ix_(split.test, split.train)]
        machines = (SVC(kernel="precomputed", C=C, cache_size=_CACHE_MB).fit(inner, y[split.train]) for C in strengths)
        return np.stack([machine.predict(cross) for machine in machines])


@dataclass(frozen=True)
class LeastSquares(Learner):
    """Kernel ridge regression on centred one-hot classes, largest value wins; strengths are relative ridges."""

    strengths: tuple[float, ...] = tuple(10.0**power for power in range(1, -6, -1))

    @property
    def name(self) -> str:
        """What tables call it."""
        return "ridge"

    @property
    def grid(self) -> str:
        """The grid in words, and whose choice it is."""
        return f"this library's choice: ridge in {{{_listed(self.strengths)}}} times the mean diagonal"

    def predict(
        self, K: Float[ndarray, "n n"], y: Int[ndarray, "n"], split: Split, strengths: tuple[float, ...]
    ) -> Int[ndarray, "strengths test"]:
        """Classes of the test rows for each ridge; see `Learner.predict`."""
        inner, cross = K[np.ix_(split.train, split.train)], K[np.ix_(split.test, split.train)]
        classes, codes = np.unique(y[split.train], return_inverse=True)
        targets = np.eye(len(classes))[codes]
        mean = targets.mean(axis=0)
        solver = Cholesky()
        values = (cross @ solver.solve(inner, targets - mean, ridge).value + mean for ridge in strengths)
        return np.stack([classes[value.argmax(axis=1)] for value in values])


def _listed(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
