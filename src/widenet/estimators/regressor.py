"""Kernel ridge regression."""

from dataclasses import is_dataclass, replace
from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from widenet.errors import InvalidInput
from widenet.estimators._base import KernelEstimator, Scaler, power_of_two, working_dtype
from widenet.estimators.model_file import Tensors
from widenet.estimators.selection import Problem, check_gram
from widenet.estimators.series_rows import cast_rows
from widenet.solvers.base import Solution, Solver


class KernelRegressor(MultiOutputMixin, RegressorMixin, KernelEstimator):
    """Kernel ridge regression: f(x) = m + sum_i K(x, x_i) a_i with (K + r W^-1) a = y - m.

    m is the weighted mean of the targets, W the diagonal matrix of the sample weights and r the ridge.

    With `kernel="auto"` the kernel is chosen by leave-one-out squared error in closed form:

    1. NTKs of depth 1 to 5 without bias and with two sizes of it, NNGPs of depth 0 to 5, and Laplace,
       gamma-exponential and Gaussian kernels over a range of scales are each scored at 19 ridges by one
       eigen-decomposition, on all rows up to 250 and beyond on the larger of 250 and n / 4 rows (at most
       1,000), evenly spread over the sorted target.
    2. The `combine` best ones, as far as they are within a standard error of the best, are averaged,
       each divided by its mean diagonal: a mean of kernels is a kernel.
    3. The ridge of that kernel is chosen by a decomposition of all rows, or of 1,500 where there are more.
    4. One Cholesky factor of all rows gives the coefficients.

    A sample weight of 2 counts as a row given twice, in the choice too. Several targets count alike in the choice:
    each is divided by its standard deviation there.

    Up to 2,000 rows the Gram matrix is float64; beyond it is float32 and the solution is refined until it
    solves the system to 1e-10 in float64. Where float32 cannot factor the matrix it is formed again in
    float64 (`solution_.how` says).

    Args:
        kernel: "auto", a kernel, a sequence of kernels to choose from, or any function of two arrays.
        ridge: "auto" (by leave-one-out error) or a number of at least 0.
        ridge_scale: "relative" (times the mean diagonal of the Gram matrix) or "absolute".
        solver: "auto" or a `Solver`. Its own `ridge_scale` plays no part: the one given here counts.
        standardize: Whether features are brought to mean 0 and variance 1 first.
        combine: How many of the best kernels are averaged; 1 takes the best alone.

    Attributes:
        kernel_: The kernel of the rows that `scaler_.transform` gives. With "auto" these rows have, besides,
            a mean squared norm of 1.
        ridge_: The relative ridge.
        selection_: The table of the choice, best first; `pandas.DataFrame(model.selection_)` shows it.
        dual_coef_: Coefficients a, (n, targets).
        solution_: How well a solves the system.
        scaler_, X_fit_, target_mean_, n_features_in_, feature_names_in_: What prediction needs.

    References:
        Jacot et al. 2018, arXiv 1806.07572; Geifman et al. 2020, arXiv 2007.01580.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Laplace
        >>> X = np.linspace(0.0, 1.0, 20)[:, None]
        >>> model = KernelRegressor(Laplace(2.0), ridge=1e-6).fit(X, np.sin(3 * X[:, 0]))
        >>> model.predict([[0.5]]).round(3)
        array([0.994])
    """

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        kernel: Any = "auto",
        ridge: Any = "auto",
        ridge_scale: Any = "relative",
        solver: Any = "auto",
        standardize: Any = True,
        combine: Any = 10,
    ) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.ridge_scale = ridge_scale
        self.solver = solver
        self.standardize = standardize
        self.combine = combine

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose kernel and ridge where they are "auto", and solve.

        Args:
            X: Rows, (n, d).
            y: Targets, (n,) or (n, targets).
            sample_weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On gaps, text, one row, a constant target, or arguments out of range.
            MemoryLimitExceeded: Where the Gram matrix cannot fit.
            NotPositiveDefinite: Where the ridge is too small for the rounding of the kernel.
        """
        solver = _read_solver(self.solver)
        X, y, weight = self._read_training(X, y, sample_weight, multi_output=True, y_numeric=True)
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if (target == target[0]).all():
            raise InvalidInput("a target to learn must vary", f"{target[0, 0]:g} in all {len(y)} rows")
        used = weight > 0
        X, target, weight = X[used], target[used], weight[used]
        dtype = working_dtype(len(X))
        rows = self._scale_rows(X, weight)
        unit = Scaler.fit(target, weight, standardize=True).scale
        # One target keeps its digits; its square would underflow where it is tiny.
        unit = power_of_two(unit) if len(unit) == 1 else unit
        self.target_mean_ = weight @ target / weight.sum()
        target = target - self.target_mean_
        gram = self._choose(rows, target / unit, weight).gram
        self.solution_ = self._solve(solver, Problem(rows, target, weight), dtype, gram)
        self.dual_coef_ = self.solution_.value
        self.single_target_ = np.ndim(y) == 1
        return self

    def _solve(self, solver: Solver | None, problem: Problem, dtype: type, gram: np.ndarray | None) -> Solution:
        """Solve, and set `X_fit_` in the precision of the matrix that was solved."""
        if solver is None:
            factor = self._factorise(problem.X, problem.weight, dtype, gram)
            self.X_fit_ = cast_rows(problem.X, factor.matrix.numpy().dtype)
            return factor.solve(problem.target)
        self.X_fit_ = cast_rows(problem.X, dtype)
        weights = None if (problem.weight == 1).all() else problem.weight
        return solver.solve(check_gram(self.kernel_, self.X_fit_), problem.target, self.ridge_, weights)

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets, (m,) or (m, targets)."""
        predicted = self._expansion(X)
        return predicted[:, 0] if self.single_target_ else predicted

    def _info(self) -> dict[str, Any]:
        return {**super()._info(), "single_target": self.single_target_}

    @classmethod
    def from_state(cls, tensors: Tensors, info: dict[str, Any]) -> Self:
        """The regressor with the state of a file; `widenet.load` calls it."""
        model = super().from_state(tensors, info)
        model.single_target_ = bool(info["single_target"])
        return model


def _read_solver(solver: Any) -> Solver | None:
    """The solver with the scale of `ridge_`, or None for "auto"."""
    if isinstance(solver, str) and solver == "auto":
        return None
    if not isinstance(solver, Solver) or not is_dataclass(solver):
        raise InvalidInput("solver must be 'auto' or a Solver that is a dataclass", repr(solver))
    return replace(solver, ridge_scale="relative")
