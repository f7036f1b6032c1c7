"""What every estimator shares: reading rows, standardising them, and the fitted sum of kernel expansions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from widenet._arrays import row_blocks
from widenet.errors import InvalidInput, NotPositiveDefinite
from widenet.estimators.candidates import candidate_grams
from widenet.estimators.selection import (
    RIDGE_ROWS,
    Candidate,
    KernelFunction,
    Path,
    Problem,
    check_gram,
    combine_best,
    compare,
    ridge_path,
    screening_rows,
)
from widenet.kernels.base import Kernel
from widenet.solvers.auto import Auto
from widenet.solvers.cholesky import Cholesky, CholeskyFactor

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

    def _scale_rows(self, X: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Set `scaler_` and return the rows that kernels see, in float64."""
        scaler = Scaler.fit(X, weight, standardize=self.standardize)
        if isinstance(self.kernel, str):
            # The scales and biases of the candidates are in units of the rows' norm.
            rows = scaler.transform(X, np.float64)
            norm = float(np.sqrt(weight @ np.square(rows).sum(axis=1) / weight.sum())) or 1.0
            scaler = Scaler(scaler.mean, scaler.scale * norm)
        self.scaler_ = scaler
        return scaler.transform(X, np.float64)

    def _choose(self, X: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Path | None:
        """Set `kernel_`, `ridge_` (relative) and `selection_`; the ridge path on all rows, where there was one."""
        ridge = _read_ridge(self.ridge)
        fixed = None if ridge is None else np.array([ridge])
        problem = Problem(X, target, weight, fixed, self.ridge_scale == "absolute")
        part = problem.part(screening_rows(len(X)))
        self.kernel_, self.selection_ = _choose_kernel(self.kernel, part, self.combine)
        gram_rows = problem.part(RIDGE_ROWS)
        if ridge is not None and self.ridge_scale == "relative":
            self.ridge_ = ridge
            return None
        path = ridge_path(check_gram(self.kernel_, gram_rows.X), gram_rows)
        self.ridge_ = float(path.ridges[path.best])
        return path if len(gram_rows.X) == len(X) else None

    def _factorise(self, X: np.ndarray, weight: np.ndarray, dtype: type) -> CholeskyFactor:
        """Cholesky factor at `ridge_`, in float64 where float32 cannot factor the matrix."""
        weights = None if (weight == 1).all() else weight
        solver = Cholesky(overwrite=True)
        try:
            return solver.factor(check_gram(self.kernel_, X.astype(dtype)), self.ridge_, weights)
        except NotPositiveDefinite:
            if dtype is np.float64:
                raise
        Auto().decide(len(X), "float64")
        return solver.factor(check_gram(self.kernel_, X), self.ridge_, weights)

    def _expansion(self, X: Any) -> np.ndarray:
        """K(X, X_fit) dual + target mean, (m, t), in float64."""
        rows = self.scaler_.transform(self._read_rows(X), self.X_fit_.dtype)
        return expand(self.kernel_, rows, self.X_fit_, self.dual_coef_) + self.target_mean_


def working_dtype(n: int) -> type:
    """The precision of the Gram matrix of n rows; raises MemoryLimitExceeded where it cannot fit."""
    dtype = np.float64 if n <= DOUBLE_ROWS else np.float32
    Auto().decide(n, np.dtype(dtype).name)
    return dtype


def expand(kernel: KernelFunction, X: np.ndarray, X_fit: np.ndarray, dual: np.ndarray) -> np.ndarray:
    """K(X, X_fit) dual, (m, t), by blocks of rows, summed in float64."""
    total = np.empty((len(X), dual.shape[1]))
    size = max(1, PREDICT_BYTES // (X.itemsize * len(X_fit)))
    for rows in row_blocks(len(X), size):
        total[rows] = check_gram(kernel, X[rows], X_fit).astype(np.float64) @ dual
    return total


def _read_ridge(ridge: Any) -> float | None:
    if isinstance(ridge, str) and ridge == "auto":
        return None
    if isinstance(ridge, bool) or not isinstance(ridge, (int, float, np.number)) or not 0 <= ridge < np.inf:
        raise InvalidInput("the ridge must be 'auto' or a finite number of at least 0", repr(ridge))
    return float(ridge)


def _choose_kernel(choice: KernelChoice, problem: Problem, combine: int) -> tuple[KernelFunction, list[Candidate]]:
    if isinstance(combine, bool) or not isinstance(combine, (int, np.integer)) or combine < 1:
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
