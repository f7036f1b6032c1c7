"""What every estimator shares: reading rows, standardising them, and the fitted sum of kernel expansions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from widenet._arrays import row_blocks
from widenet.errors import InvalidInput, NotPositiveDefinite
from widenet.estimators.candidates import unbiased_networks
from widenet.estimators.large_fits import LargeFit, fit_large
from widenet.estimators.reduced import Task
from widenet.estimators.relevance import with_relevance
from widenet.estimators.saved_state import SavedEstimator, UsedFeatures
from widenet.estimators.scaler import ScaledRows, Scaler
from widenet.estimators.selection import (
    RIDGE_ROWS,
    Candidate,
    KernelFunction,
    Problem,
    RidgePath,
    check_gram,
    choose_kernel,
    prefer,
    read_ridge,
    ridge_path,
    screening_rows,
    spread_rows,
)
from widenet.estimators.series_rows import cast_rows, kernel_points
from widenet.estimators.ways import Request, Taken, take
from widenet.kernels import NNGP, NTK
from widenet.kernels.base import Kernel
from widenet.solvers.auto import Auto
from widenet.solvers.cholesky import Cholesky, CholeskyFactor

KernelChoice = str | Kernel | KernelFunction | Sequence[Kernel]

DOUBLE_ROWS = 2000
"""Up to this many rows the Gram matrix is float64; beyond it is float32 and the solution is refined in float64."""

DIAGONAL_ROWS = 2**16
"""Rows of a block of the diagonal of the kernel."""

PREDICT_BYTES = 2**27
"""Memory of one block of the cross Gram matrix in predictions."""


class Choice(NamedTuple):
    """What a choice computed on all rows, for later use.

    Attributes:
        path: Leave-one-out scores over the ridges, or None where the ridge was given or fewer rows were read.
        gram: The Gram matrix in float64, or None likewise.
    """

    path: RidgePath | None
    gram: np.ndarray | None


class KernelEstimator(SavedEstimator):
    """Common part of the estimators: input checks, choice, solution, prediction and files."""

    def _read_training(
        self, X: Any, y: Any, sample_weight: Any, *, multi_output: bool = False, y_numeric: bool = False
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        try:
            X, y = validate_data(
                self,
                X,
                y,
                dtype=[np.float64, np.float32],
                ensure_min_samples=2,
                multi_output=multi_output,
                y_numeric=y_numeric,
            )
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        except ValueError as error:
            raise InvalidInput("rows and targets to fit must be numbers without gaps", str(error)) from error
        if not weight.sum() > 0:
            raise InvalidInput("sample weights must have a positive sum", f"a sum of {weight.sum()}")
        return X, y, weight

    def _take(self, request: Request, X: np.ndarray, outputs: int) -> Taken:
        """The way for these rows; raises MemoryLimitExceeded before work starts."""
        return take(request, self.kernel, X.shape, outputs)

    def _read_rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        try:
            return np.asarray(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
        except ValueError as error:
            raise InvalidInput("rows to predict must be like those of fit", str(error)) from error

    def _scale_rows(self, X: np.ndarray, weight: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
        """Set `scaler_` and return the rows that kernels see, in float64; `target` is divided by its units."""
        self._fit_scaler(X, weight, target)
        return self._scaled(X, np.float64)

    def _fit_scaler(self, X: np.ndarray, weight: np.ndarray, target: np.ndarray | None) -> Scaler:
        turned = isinstance(self.standardize, str) and self.standardize == "relevance" and target is not None
        if not turned and not isinstance(self.standardize, (bool, np.bool_)):
            asked = "standardize must be True or False" + ", or 'relevance'" * (target is not None)
            raise InvalidInput(asked, repr(self.standardize))
        scaler = Scaler.fit(X, weight, standardize=bool(self.standardize))
        if turned and target is not None:
            scaler = with_relevance(scaler, Problem(X, target, weight))
        if isinstance(self.kernel, str):
            # The scales and biases of the candidates are in units of the rows' norm.
            norm = scaler.norm(X, weight)
            turn = None if scaler.turn is None else scaler.turn / norm
            scaler = Scaler(scaler.mean, scaler.scale * (norm if turn is None else 1.0), turn)
        self.scaler_ = scaler
        return scaler

    def _scaled(self, X: np.ndarray, dtype: type) -> np.ndarray:
        """The rows that kernels see, in that precision."""
        rows = self.scaler_.transform(X, dtype)
        if not np.isfinite(rows.sum(dtype=np.float64)) and not np.isfinite(rows).all():
            name = np.dtype(dtype).name
            raise InvalidInput(f"features must span less than the largest number of {name}", "overflow", "Rescale them")
        return rows

    def _choose(self, X: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Choice:
        """Set `kernel_`, `ridge_` (relative) and `selection_`; what was computed on all rows is returned."""
        problem = self._with_ridges(Problem(X, target, weight))
        part = problem.part(screening_rows(len(X)))
        self.kernel_, self.selection_ = self._choose_kernel(part)
        if problem.ridges is not None:
            (ridge,) = problem.ridges
            self.ridge_ = float(ridge / self._mean_diagonal(X, weight) if problem.absolute else ridge)
            return Choice(None, None)
        gram_rows = problem.part(RIDGE_ROWS)
        gram = check_gram(self.kernel_, gram_rows.X)
        path = ridge_path(gram, gram_rows)
        self.ridge_ = float(path.ridges[path.best])
        return Choice(path, gram) if len(gram_rows.X) == len(X) else Choice(None, None)

    def _fit_large(self, taken: Taken, request: Request, problem: Problem, unit: np.ndarray) -> tuple[LargeFit, Task]:
        """Choose kernel and ridge, and solve for more rows than a Gram matrix has room for.

        Args:
            taken: The way.
            request: What was asked for.
            problem: Rows as they came, centred targets, weights.
            unit: What each target is divided by in the choices.
        """
        dtype = np.float64 if len(problem.X) <= DOUBLE_ROWS else np.float32
        rows = ScaledRows(problem.X, self._fit_scaler(problem.X, problem.weight, problem.target / unit), dtype)
        scored = self._with_ridges(replace(problem, target=problem.target / unit))
        level = self._choose_on_part(rows, scored, for_features=taken.name == "features")
        ridge = None if scored.ridges is None else float(scored.ridges[0]) / (level if scored.absolute else 1.0)
        task = Task(rows, problem.target, problem.weight, unit, level, ridge)
        fit = fit_large(self.kernel_, task, taken, request.settings)
        self.ridge_, self.solution_ = fit.ridge, fit.solution
        self.target_mean_ = self.target_mean_ + fit.offset
        if fit.maker is None:
            self.X_fit_ = fit.points
        else:
            self.features_ = UsedFeatures(fit.features, fit.maker)
        self.dual_coef_ = fit.solution.value
        return fit, task

    def _with_ridges(self, problem: Problem) -> Problem:
        """The problem with the arguments `ridge` and `ridge_scale`."""
        ridge = read_ridge(self.ridge)
        if self.ridge_scale not in ("relative", "absolute"):
            raise InvalidInput("ridge_scale must be 'relative' or 'absolute'", repr(self.ridge_scale))
        fixed = None if ridge is None else np.array([ridge])
        return replace(problem, ridges=fixed, absolute=self.ridge_scale == "absolute")

    def _choose_on_part(self, X: ScaledRows, problem: Problem, *, for_features: bool) -> float:
        """Set `kernel_` and `selection_` by a part of many rows; the mean diagonal of the kernel is returned.

        Args:
            X: All rows.
            problem: What to choose by; its rows are not read.
            for_features: Whether features of the kernel are wanted: those of a mean would share their number, so that
                the best one is taken, and with "auto" a network, at best without bias, where none is clearly better.
        """
        index = spread_rows(problem.target, screening_rows(len(X)))
        rows = X.scaler.transform(X.X[index], np.float64)
        part = replace(problem, X=rows, target=problem.target[index], weight=problem.weight[index])
        self.kernel_, self.selection_ = choose_kernel(self.kernel, part, 1 if for_features else self.combine)
        if for_features and isinstance(self.kernel, str):
            networks = [row.kernel for row in self.selection_ if isinstance(row.kernel, (NTK, NNGP))]
            self.selection_ = prefer(self.selection_, unbiased_networks(), networks)
            self.kernel_ = next(row.kernel for row in self.selection_ if row.chosen)
        blocks = list(row_blocks(len(X), DIAGONAL_ROWS))
        total = sum(float(problem.weight[rows] @ kernel_diagonal(self.kernel_, X[rows])) for rows in blocks)
        return _positive_level(total / problem.weight.sum())

    def _choose_kernel(self, problem: Problem) -> tuple[KernelFunction, list[Candidate]]:
        """The kernel for these rows, and the table of the choice."""
        return choose_kernel(self.kernel, problem, self.combine)

    def _mean_diagonal(self, X: np.ndarray, weight: np.ndarray) -> float:
        return _positive_level(float(weight @ kernel_diagonal(self.kernel_, X) / weight.sum()))

    def _factorise(
        self, X: np.ndarray, weight: np.ndarray, dtype: type, gram: np.ndarray | None = None
    ) -> CholeskyFactor:
        """Cholesky factor at `ridge_`, in float64 where float32 cannot factor the matrix.

        Args:
            X: Rows, (n, d), float64.
            weight: Positive weights, (n,).
            dtype: Precision of the Gram matrix.
            gram: The Gram matrix of X, where it is there already; it is overwritten.
        """
        weights = None if (weight == 1).all() else weight
        solver = Cholesky(overwrite=True)
        if gram is not None:
            return solver.factor(gram, self.ridge_, weights)
        try:
            return solver.factor(check_gram(self.kernel_, cast_rows(X, dtype)), self.ridge_, weights)
        except NotPositiveDefinite:
            if dtype is np.float64:
                raise
        Auto().decide(len(X), "float64")
        return solver.factor(check_gram(self.kernel_, X), self.ridge_, weights)

    @contextmanager
    def _whole_fit(self) -> Iterator[None]:
        """A fit that ends early, by an error or by Ctrl-C, leaves nothing fitted."""
        self._forget()
        try:
            yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    def _expansion(self, X: Any) -> np.ndarray:
        """K(X, X_fit) dual + target mean, (m, t), in float64."""
        X = self._read_rows(X)
        if "features_" in vars(self):
            return self._on_features(X)
        rows = self.scaler_.transform(X, self.X_fit_.dtype)
        return expand(self.kernel_, rows, self.X_fit_, self.dual_coef_) + self.target_mean_

    def _on_features(self, X: np.ndarray) -> np.ndarray:
        """z(X) coefficients + target mean, (m, t), by blocks of rows."""
        fitted = self.features_.map
        total = np.empty((len(X), self.dual_coef_.shape[1]))
        for block in row_blocks(len(X), max(1, PREDICT_BYTES // (8 * fitted.size))):
            total[block] = fitted.transform(self.scaler_.transform(X[block], np.float64)) @ self.dual_coef_
        return total + self.target_mean_


def positive_rows(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of positive weight; without a copy where these are all."""
    used = weight > 0
    return (X, y, weight) if used.all() else (X[used], y[used], weight[used])


def _positive_level(level: float) -> float:
    if not level > 0:
        raise InvalidInput("a kernel must have a positive mean diagonal", f"{level}")
    return level


def working_dtype(n: int) -> type:
    """The precision of the Gram matrix of n rows; raises MemoryLimitExceeded where it cannot fit."""
    dtype = np.float64 if n <= DOUBLE_ROWS else np.float32
    Auto().decide(n, np.dtype(dtype).name)
    return dtype


def expand(kernel: KernelFunction, X: np.ndarray, X_fit: np.ndarray, dual: np.ndarray) -> np.ndarray:
    """K(X, X_fit) dual, (m, t), by blocks of rows, summed in float64."""
    total = np.empty((len(X), dual.shape[1]))
    for rows in prediction_blocks(X, X_fit):
        total[rows] = check_gram(kernel, X[rows], X_fit).astype(np.float64) @ dual
    return total


def prediction_blocks(X: np.ndarray, X_fit: np.ndarray) -> Iterator[slice]:
    """Slices of the rows X (m, d) whose cross Gram matrix with X_fit (n, d) takes at most `PREDICT_BYTES`."""
    return row_blocks(len(X), max(1, PREDICT_BYTES // (X.itemsize * len(X_fit))))


def kernel_diagonal(kernel: KernelFunction, X: np.ndarray) -> np.ndarray:
    """K(x, x) of the rows X (n, d), (n,)."""
    if isinstance(kernel, Kernel):
        return np.asarray(kernel.diagonal(kernel_points(X)))
    return np.array([check_gram(kernel, row[None], row[None])[0, 0] for row in X])
