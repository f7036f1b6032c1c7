"""Kernel ridge regression."""

from typing import Any, Literal, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from widenet.errors import InvalidInput
from widenet.estimators._base import KernelChoice, KernelEstimator
from widenet.estimators.selection import SQUARED_ERROR
from widenet.solvers.base import Solver


class KernelRegressor(MultiOutputMixin, RegressorMixin, KernelEstimator):
    """Kernel ridge regression f(x) = mean + sum_i K(x, x_i) a_i with (K + ridge I) a = y - mean."""

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
        X, y, weight = self._read_training(X, y, sample_weight, multi_output=True, y_numeric=True)
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if (target == target[0]).all():
            raise InvalidInput("a target to learn must vary", f"the constant {target[0]} in all {len(y)} rows")
        self._fit_expansion(X, target, weight, SQUARED_ERROR)
        self.single_target_ = np.ndim(y) == 1
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets, (m,) or (m, targets)."""
        predicted = self._expansion(X) + self.target_mean_
        return predicted[:, 0] if self.single_target_ else predicted
