"""Least-squares kernel classification."""

from typing import Any, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from widenet.errors import InvalidInput
from widenet.estimators._base import KernelChoice, KernelEstimator
from widenet.estimators.selection import MISCLASSIFICATION
from widenet.solvers.base import Solver


class KernelClassifier(ClassifierMixin, KernelEstimator):
    """Least squares on centred one-hot targets: one kernel ridge regression for each class."""

    def __init__(
        self,
        kernel: KernelChoice = "auto",
        ridge: float | Literal["auto"] = "auto",
        ridge_scale: Literal["relative", "absolute"] = "relative",
        solver: Solver | Literal["auto"] = "auto",
        standardize: bool = True,
    ) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.ridge_scale = ridge_scale
        self.solver = solver
        self.standardize = standardize

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose kernel and ridge where they are "auto", and solve."""
        X, y, weight = self._read_training(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidInput("at least two classes are needed to learn from", f"one class, {self.classes_[0]!r}")
        self._fit_expansion(X, np.eye(len(self.classes_))[labels], weight, MISCLASSIFICATION)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Class of the largest score, (m,)."""
        return self.classes_[self._scores(X).argmax(axis=1)]

    def _scores(self, X: Any) -> np.ndarray:
        return self._expansion(X) + self.target_mean_

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (m, classes), or (m,) with two classes: positive means the second."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores
