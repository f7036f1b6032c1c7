"""Kernel ridge regression."""

from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from widenet.errors import InvalidInput
from widenet.estimators._base import KernelEstimator, positive_rows, working_dtype
from widenet.estimators.model_file import Tensors
from widenet.estimators.scaler import Scaler, power_of_two
from widenet.estimators.selection import Problem, check_gram
from widenet.estimators.series_rows import cast_rows
from widenet.estimators.ways import Request, read_request
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

    `solver` says how. "exact" is the above. With "auto" it is taken where the Gram matrix fits in half of the available
    memory and the factor in 300 seconds; beyond, the first of these ways that fits is (`widenet.plan` tells before, and
    `solution_.how` after):

    - "iterative": conjugate gradients on all rows, with a Gram matrix that is never stored;
    - "landmarks": ridge regression on the span of the kernel at m rows, in one pass over the rows in float32, with m as
      large as time and memory allow: `X_fit_` are the landmarks;
    - "features": ridge regression on explicit features of the kernel (`Sketch`), in one pass. Those of networks
      have no noise: "auto" takes one, without bias if it can be, where no kernel is better by over a standard error.

    There the kernel is chosen on a part of the rows as above, and the ridge by generalised cross-validation over all
    rows on the landmarks or features ("iterative": on 1,024 landmarks), of those under which a function has at most 100
    times the variance of the targets. The rows are never copied as a whole, but once
    in float32 by "iterative". A fit that is stopped, by an error or by Ctrl-C, leaves the estimator unfitted; with
    `ConjugateGradient(checkpoint=...)` the next fit goes on from there.

    Up to 2,000 rows the Gram matrix is float64; beyond it is float32 and the solution is refined until it
    solves the system to 1e-10 in float64. Where float32 cannot factor the matrix it is formed again in
    float64 (`solution_.how` says).

    Args:
        kernel: "auto", a kernel, a sequence of kernels to choose from, or any function of two arrays.
        ridge: "auto" (by leave-one-out error) or a number of at least 0.
        ridge_scale: "relative" (times the mean diagonal of the Gram matrix) or "absolute".
        solver: "auto", "exact", "iterative", "landmarks" or "features" (see above), `Auto(memory_limit=...)`
            for "auto" with limits, `Landmarks(...)` or `ConjugateGradient(...)` for these ways with settings, or a
            `Solver` of whole Gram matrices. The `ridge_scale` of a solver plays no part: the one given here counts.
        standardize: Whether features are brought to mean 0 and variance 1 first; "relevance" then stretches the
            directions that matter to the targets by the gradients of a first fit (`estimators.relevance`).
        combine: How many of the best kernels are averaged; 1 takes the best alone.

    Attributes:
        kernel_: The kernel of the rows that `scaler_.transform` gives. With "auto" these rows have, besides,
            a mean squared norm of 1.
        ridge_: The relative ridge.
        selection_: The table of the choice, best first; `pandas.DataFrame(model.selection_)` shows it.
        dual_coef_: Coefficients a, (n, targets).
        solution_: How well a solves the system.
        scaler_, X_fit_, target_mean_, n_features_in_, feature_names_in_: What prediction needs; `X_fit_` are the
            points that `dual_coef_` belongs to.

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
            MemoryLimitExceeded: Where the way that was asked for cannot fit, before work starts.
            NotPositiveDefinite: Where the ridge is too small for the rounding of the kernel.
        """
        request = read_request(self.solver)
        with self._whole_fit():
            self._fit(request, X, y, sample_weight)
        return self

    def _fit(self, request: Request, X: Any, y: Any, sample_weight: Any) -> None:
        X, y, weight = self._read_training(X, y, sample_weight, multi_output=True, y_numeric=True)
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        X, target, weight = positive_rows(X, target, weight)
        if (target == target[0]).all():
            raise InvalidInput(
                "a target to learn must vary", f"{target[0, 0]:g} in all {len(target)} rows of positive weight"
            )
        taken = self._take(request, X, target.shape[1])
        dtype = working_dtype(len(X)) if taken.name == "exact" else np.float32
        unit = Scaler.fit(target, weight, standardize=True).scale
        # One target keeps its digits; its square would underflow where it is tiny.
        unit = power_of_two(unit) if len(unit) == 1 else unit
        self.target_mean_ = weight @ target / weight.sum()
        target = target - self.target_mean_
        if taken.name == "exact":
            rows = self._scale_rows(X, weight, target / unit)
            gram = self._choose(rows, target / unit, weight).gram
            self.solution_ = self._solve(request.solver, Problem(rows, target, weight), dtype, gram)
            self.dual_coef_ = self.solution_.value
        else:
            self._fit_large(taken, request, Problem(X, target, weight), unit)
        self.single_target_ = np.ndim(y) == 1

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
