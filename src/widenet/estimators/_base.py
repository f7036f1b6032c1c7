"""What every estimator shares: reading rows, standardising them, and the fitted sum of kernel expansions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from widenet._arrays import row_blocks
from widenet.errors import InvalidInput
from widenet.estimators.selection import Criterion, best_ridge
from widenet.kernels.base import Kernel
from widenet.kernels.stationary import Laplace
from widenet.solvers.cholesky import Cholesky

KernelFunction = Callable[..., Any]
KernelChoice = str | Kernel | KernelFunction | Sequence[Kernel]

DOUBLE_ROWS = 2000
"""Up to this many rows the Gram matrix is float64; beyond it is float32 and the solution is refined in float64."""

PREDICT_BYTES = 2**27
"""Memory of one block of the cross Gram matrix in `predict`."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Affine map of the features, (x - mean) / scale.

    Attributes:
        mean: (d,), weighted mean of the training rows, or 0.
        scale: (d,), weighted standard deviation, or 1; constant features keep 1.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, X: np.ndarray, weight: np.ndarray, *, standardize: bool) -> "Scaler":
        """Weighted moments of X (n, d) under weights (n,); the identity where `standardize` is False."""
        if not standardize:
            return cls(np.zeros(X.shape[1]), np.ones(X.shape[1]))
        share = weight / weight.sum()
        mean = share @ X
        deviation = np.sqrt(share @ np.square(X - mean))
        # A constant column has a rounding-sized deviation, which must not be blown up to 1.
        floor = 10 * np.finfo(X.dtype).eps * np.abs(mean)
        return cls(mean, np.where(deviation > floor, deviation, 1.0))

    def transform(self, X: np.ndarray, dtype: Any) -> np.ndarray:
        """Scaled rows (n, d), C-contiguous, of the asked dtype."""
        return np.ascontiguousarray((X - self.mean) / self.scale, dtype=dtype)


@dataclass(frozen=True, eq=False)
class Member:
    """One kernel expansion f(x) = sum_i K(x, x_i) dual_i of a fitted model.

    Attributes:
        kernel: The kernel K.
        ridge: Ridge over the mean diagonal of K on the training rows.
        weight: Share of this expansion in the model; the shares sum to 1.
        dual: (n, t), coefficients of t targets.
    """

    kernel: KernelFunction
    ridge: float
    weight: float
    dual: np.ndarray


class KernelEstimator(BaseEstimator):
    """Common part of the estimators: input checks, and the fitted expansions."""

    def _read_training(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[np.ndarray, Any, np.ndarray]:
        try:
            X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2, **options)
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        except ValueError as error:
            raise InvalidInput("rows and targets to fit must be numbers without gaps", str(error)) from error
        if not weight.sum() > 0:
            raise InvalidInput("sample weights must have a positive sum", f"a sum of {weight.sum()}")
        return X, y, weight

    def _read_rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        try:
            return validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        except ValueError as error:
            raise InvalidInput("rows to predict must be like those of fit", str(error)) from error

    def _fit_expansion(self, X: np.ndarray, target: np.ndarray, weight: np.ndarray, criterion: Criterion) -> None:
        """Set `scaler_`, `X_fit_`, `target_mean_`, `kernel_`, `ridge_` and `members_`."""
        used = weight > 0
        X, target, weight = X[used], target[used], weight[used]
        self.scaler_ = Scaler.fit(X, weight, standardize=self.standardize)
        self.X_fit_ = self.scaler_.transform(X, np.float64 if len(X) <= DOUBLE_ROWS else np.float32)
        self.target_mean_ = weight @ target / weight.sum()
        target = target - self.target_mean_
        self.kernel_ = Laplace(float(np.sqrt(X.shape[1]))) if isinstance(self.kernel, str) else self.kernel
        if isinstance(self.ridge, str):
            rows = np.linspace(0, len(X) - 1, min(len(X), DOUBLE_ROWS)).astype(int)
            self.ridge_ = best_ridge(self.kernel_, self.X_fit_[rows], target[rows], weight[rows], criterion).ridge
            scale = "relative"
        else:
            self.ridge_, scale = float(self.ridge), self.ridge_scale
        solver = Cholesky(ridge_scale=scale, overwrite=True) if isinstance(self.solver, str) else self.solver
        weights = None if (weight == 1).all() else weight
        self.solution_ = solver.solve(self.kernel_(self.X_fit_), target, self.ridge_, weights)
        self.members_ = (Member(self.kernel_, self.ridge_, 1.0, self.solution_.value),)

    def _expansion(self, X: Any) -> np.ndarray:
        """Sum over the members of weight K(X, X_fit) dual, (m, t), in float64."""
        rows = self.scaler_.transform(self._read_rows(X), self.X_fit_.dtype)
        return expand(rows, self.X_fit_, self.members_)


def expand(X: np.ndarray, X_fit: np.ndarray, members: Sequence[Member]) -> np.ndarray:
    """Sum over the members of weight K(X, X_fit) dual, (m, t), by blocks of rows."""
    total = np.zeros((len(X), members[0].dual.shape[1]))
    size = max(1, PREDICT_BYTES // (X.itemsize * len(X_fit)))
    for rows in row_blocks(len(X), size):
        for member in members:
            total[rows] += member.weight * (member.kernel(X[rows], X_fit) @ member.dual)
    return total
