"""Least-squares kernel classification."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators._base import KernelEstimator, positive_rows, working_dtype
from widenet.estimators.calibration import fit_inverse_temperature, probabilities
from widenet.estimators.leave_one_out import factor_predictions
from widenet.estimators.model_file import Tensors
from widenet.estimators.reduced import LeftOut
from widenet.estimators.selection import Problem, check_gram
from widenet.estimators.series_rows import cast_rows
from widenet.estimators.ways import Request, read_request
from widenet.solvers.base import Solver

_CLASS_TYPES = (bool, int, float, str)


class KernelClassifier(ClassifierMixin, KernelEstimator):
    """Least squares on centred one-hot targets: one kernel ridge regression for each class.

    The class of the largest score wins. Probabilities are a softmax of the scores at a temperature that
    is fitted on leave-one-out scores, so they rank the classes as the scores do.

    Kernel and ridge are chosen by leave-one-out squared error of the one-hot targets (the Brier score of the raw
    scores), which orders kernels more steadily than the count of wrong rows; `KernelRegressor` describes the
    procedure and the precision. The rows of the choice are stratified by class.

    The criterion, the scales and the averaging were settled on every second of 45 UCI sets (in the order of
    their file names, from the first on); `benchmarks/bench_uci.py` measures it on all. It is weak on classes that
    lie in a row, of which least squares hides the middle one.

    Args:
        kernel: "auto", a kernel, a sequence of kernels to choose from, or any function of two arrays.
        ridge: "auto" (by leave-one-out error) or a number of at least 0.
        ridge_scale: "relative" (times the mean diagonal of the Gram matrix) or "absolute".
        standardize: Whether features are brought to mean 0 and variance 1 first; "relevance" then stretches the
            directions that matter to the targets by the gradients of a first fit (`estimators.relevance`).
        combine: How many of the best kernels are averaged; 1 takes the best alone.
        solver: "auto", "exact", "iterative", "landmarks", "features", or settings: see `KernelRegressor`.

    Attributes:
        classes_: The classes, sorted.
        kernel_: The kernel of the rows that `scaler_.transform` gives. With "auto" these rows have, besides,
            a mean squared norm of 1.
        ridge_: The relative ridge.
        selection_: The table of the choice, best first; `pandas.DataFrame(model.selection_)` shows it.
        leave_one_out_scores_: Score of every row of positive weight from the other rows, (n, classes), with the
            mean, kernel and ridge of all rows. Where the way is not "exact": of at most 5,000 rows, spread evenly over
            the classes, with the landmarks or features of all rows.
        inverse_temperature_: Factor of the scores in the softmax of `predict_proba`.
        dual_coef_: Coefficients, (n, classes).
        solution_: How well they solve the system.
        scaler_, X_fit_, target_mean_, n_features_in_, feature_names_in_: What prediction needs.

    References:
        Arora et al. 2019, arXiv 1910.01663; Rifkin and Klautau 2004, "In defense of one-vs-all classification".

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from widenet.kernels import Laplace
        >>> X, y = load_iris(return_X_y=True)
        >>> model = KernelClassifier(Laplace(4.0), ridge=0.01).fit(X, y)
        >>> model.predict(X[:2]), bool(model.predict_proba(X[:1])[0, 0] > 0.9)
        (array([0, 0]), True)
    """

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        kernel: Any = "auto",
        ridge: Any = "auto",
        ridge_scale: Any = "relative",
        standardize: Any = True,
        combine: Any = 10,
        solver: Any = "auto",
    ) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.ridge_scale = ridge_scale
        self.standardize = standardize
        self.combine = combine
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose kernel and ridge where they are "auto", solve, and calibrate.

        Args:
            X: Rows, (n, d).
            y: Classes, (n,): numbers or text.
            sample_weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On gaps, text in the rows, one row, one class, or arguments out of range.
            MemoryLimitExceeded: Where the way that was asked for cannot fit, before work starts.
            NotPositiveDefinite: Where the ridge is too small for the rounding of the kernel.
        """
        request = read_request(self.solver)
        with self._whole_fit():
            self._fit(request, X, y, sample_weight)
        return self

    def _fit(self, request: Request, X: Any, y: Any, sample_weight: Any) -> None:
        X, y, weight = self._read_training(X, y, sample_weight)
        check_classification_targets(y)
        X, y, weight = positive_rows(X, y, weight)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidInput("two or more classes are needed", f"one class, {self.classes_[0]!r}")
        taken = self._take(request, X, len(self.classes_))
        dtype = working_dtype(len(X)) if taken.name == "exact" else np.float32
        target = np.eye(len(self.classes_))[labels]
        self.target_mean_ = mean = weight @ target / weight.sum()
        target = target - mean
        if taken.name == "exact":
            left_out = LeftOut(np.arange(len(X)), self._solve(request.solver, Problem(X, target, weight), dtype))
        else:
            fit, task = self._fit_large(taken, request, Problem(X, target, weight), np.ones(target.shape[1]))
            left_out = fit.left_out(task)
        self.leave_one_out_scores_ = left_out.predictions + mean
        of = left_out.rows
        self.inverse_temperature_ = fit_inverse_temperature(self.leave_one_out_scores_, labels[of], weight[of])

    def _solve(self, solver: Solver | None, problem: Problem, dtype: type) -> np.ndarray:
        """Choose and solve by the whole Gram matrix; the leave-one-out predictions of the targets are returned.

        They come from a Cholesky factor, whatever the solver.
        """
        rows, target, weight = (
            self._scale_rows(problem.X, problem.weight, problem.target),
            problem.target,
            problem.weight,
        )
        path, gram = self._choose(rows, target, weight)
        factor = self._factorise(rows, weight, dtype, gram)
        self.X_fit_ = cast_rows(rows, factor.matrix.numpy().dtype)
        if solver is None:
            self.solution_ = factor.solve(target)
        else:
            weights = None if (weight == 1).all() else weight
            self.solution_ = solver.solve(check_gram(self.kernel_, self.X_fit_), target, self.ridge_, weights)
        self.dual_coef_ = self.solution_.value
        return factor_predictions(factor, self.solution_.value, target, weight) if path is None else path.predictions

    def predict(self, X: Any) -> np.ndarray:
        """Class of the largest score, (m,)."""
        scores = self._expansion(X)
        return self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, (m, classes)."""
        scores = self._expansion(X)
        return probabilities(scores, self.inverse_temperature_)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities, (m, classes)."""
        return np.log(np.maximum(self.predict_proba(X), np.finfo(np.float64).tiny))

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (m, classes); with two classes (m,), the second minus the first."""
        scores = self._expansion(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def _outputs(self) -> int:
        """Columns of the coefficients."""
        return len(self.classes_)

    def _tensors(self) -> Tensors:
        return {**super()._tensors(), "leave_one_out_scores": self.leave_one_out_scores_}

    def _info(self) -> dict[str, Any]:
        classes = {"dtype": self.classes_.dtype.str, "values": self.classes_.tolist()}
        if self.classes_.dtype.kind not in "biufUO" or not all(type(c) in _CLASS_TYPES for c in classes["values"]):
            raise InvalidInput("classes to save must be numbers or text", f"dtype {self.classes_.dtype}")
        return {**super()._info(), "classes": classes, "inverse_temperature": self.inverse_temperature_}

    @classmethod
    def from_state(cls, tensors: Tensors, info: dict[str, Any]) -> Self:
        """The classifier with the state of a file; `widenet.load` calls it."""
        model = super().from_state(tensors, info)
        dtype, values = np.dtype(info["classes"]["dtype"]), info["classes"]["values"]
        if dtype.kind not in "biufUO" or not all(type(c) in _CLASS_TYPES for c in values):
            raise InvalidFile("saved classes must be numbers or text", repr(info["classes"])[:80])
        model.classes_ = np.array(values, dtype=dtype)
        if model.classes_.ndim != 1 or model._outputs() != len(model.target_mean_):
            raise InvalidFile(f"{len(model.target_mean_)} classes must be named", f"shape {model.classes_.shape}")
        model.leave_one_out_scores_ = tensors["leave_one_out_scores"]
        model.inverse_temperature_ = float(info["inverse_temperature"])
        return model
