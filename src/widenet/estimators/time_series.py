"""Least squares and support vectors on recurrent kernels of time series."""

from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, _check_y, check_is_fitted

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators._base import KernelEstimator
from widenet.estimators.calibration import fit_inverse_temperature
from widenet.estimators.classifier import KernelClassifier
from widenet.estimators.model_file import Tensors
from widenet.estimators.recurrent_grid import automatic_grids, normalized_kernels, published_grid
from widenet.estimators.regressor import KernelRegressor
from widenet.estimators.scaler import Scaler
from widenet.estimators.selection import Candidate, KernelFunction, Problem, check_gram, choose_kernel
from widenet.estimators.series_rows import (
    LAYOUTS,
    Block,
    SeriesScaler,
    is_table,
    join,
    read_collection,
    split,
    table_rows,
)
from widenet.estimators.support_vectors import SupportVectorMachine, pair_scores, train_machine
from widenet.estimators.ways import Request, Taken
from widenet.solvers.auto import Auto
from widenet.solvers.base import Solution

_LIBSVM_TOLERANCE = 1e-3


class SeriesEstimator(KernelEstimator):
    """Common part of the estimators of time series: what they read, and the kernels that they choose from."""

    ridge_scale = "relative"
    solver: Any = "auto"
    layout: Any
    fixed_length_: int | None
    channels_: int
    reads_table_: bool

    def __sklearn_tags__(self) -> Any:
        """Tables are series of one channel, arrays with three axes are series of several."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _read_training(
        self, X: Any, y: Any, sample_weight: Any, *, multi_output: bool = False, y_numeric: bool = False
    ) -> tuple[np.ndarray, Any, np.ndarray]:
        if self.layout not in LAYOUTS:
            raise InvalidInput(f"layout must be one of {', '.join(LAYOUTS)}", repr(self.layout))
        if is_table(X):
            table, y, weight = super()._read_training(
                X, y, sample_weight, multi_output=multi_output, y_numeric=y_numeric
            )
            self.fixed_length_, self.channels_, self.reads_table_ = table.shape[1], 1, True
            return table_rows(table), y, weight
        series = read_collection(X, self.layout)
        try:
            y = _check_y(y, multi_output=multi_output, y_numeric=y_numeric, estimator=self)
            check_consistent_length(series, y)
            weight = _check_sample_weight(sample_weight, series, dtype=np.float64, ensure_non_negative=True)
        except ValueError as error:
            raise InvalidInput("series and targets to fit must be equal in number, without gaps", str(error)) from error
        if len(series) < 2 or not weight.sum() > 0:
            got = f"{len(series)} series, weights that add up to {weight.sum():g}"
            raise InvalidInput("two series or more are needed, and weights with a positive sum", got)
        # An array has one length by its make; a list may go on with others.
        fixed = isinstance(X, (np.ndarray, torch.Tensor)) and X.ndim == 3
        self.fixed_length_ = len(series[0]) if fixed else None
        self.channels_ = self.n_features_in_ = series[0].shape[1]
        self.reads_table_ = False
        vars(self).pop("feature_names_in_", None)
        return series, y, weight

    def _take(self, request: Request, X: np.ndarray, outputs: int) -> Taken:
        if request.name not in ("auto", "exact"):
            raise InvalidInput("series are solved by solver='auto', 'exact' or a Solver", repr(self.solver))
        return Taken("exact", 0, "")

    def _read_rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        if not is_table(X):
            series = read_collection(X, self.layout)
        elif self.reads_table_:
            series = table_rows(super()._read_rows(X))
        else:
            series = read_collection(np.atleast_2d(np.asarray(X)), self.layout)
        if series[0].shape[1] != self.channels_:
            got = f"{series[0].shape[1]} channels"
            raise InvalidInput(f"series to predict must have {self.channels_} channels as those of fit", got)
        other = next((len(values) for values in series if len(values) != self.fixed_length_), None)
        # The repr of a kernel names all its layers.
        if self.fixed_length_ is not None and other is not None and "StepwiseAverage" in repr(self.kernel_):
            asked = f"series to predict must have {self.fixed_length_} steps as those of fit, step by step compared"
            raise InvalidInput(asked, f"{other} steps", "Fit a list of series for a kernel that takes all lengths")
        return series

    def _scale_rows(self, X: np.ndarray, weight: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
        """Set `scaler_` and return the series that kernels see, in float64."""
        mode = "channels" if self.standardize is True else self.standardize
        if not isinstance(mode, (str, bool, np.bool_)) or mode not in ("channels", "series", False):
            raise InvalidInput("standardize must be 'channels', 'series' or False", repr(self.standardize))
        steps = np.concatenate(list(X))
        moments = Scaler.fit(steps, np.repeat(weight, [len(x) for x in X]), standardize=mode == "channels")
        self.scaler_ = SeriesScaler(mode == "series", moments.mean, moments.scale)
        rows = self.scaler_.transform(X, np.float64)
        if not all(np.isfinite(values).all() for values in rows):
            raise InvalidInput("series must span less than the largest number of float64", "overflow", "Rescale them")
        return rows

    def _choose_kernel(self, problem: Problem) -> tuple[KernelFunction, list[Candidate]]:
        return choose_kernel(self._kernels(problem.X), problem, self.combine)

    def _kernels(self, X: np.ndarray) -> Any:
        """The kernel, or the kernels to choose from."""
        if not isinstance(self.kernel, str) or self.kernel not in ("auto", "published"):
            return self.kernel
        if self.kernel == "published":
            return published_grid().kernels()
        steps = float(np.mean([len(values) for values in X]))
        grids = automatic_grids(len(X), steps, fixed=self.fixed_length_ is not None)
        return tuple(kernel for grid in grids for kernel in grid.kernels())

    def _tensors(self) -> Tensors:
        block = join(self.X_fit_)
        return {**super()._tensors(), "X_fit": block.values, "lengths": block.lengths}

    def _info(self) -> dict[str, Any]:
        return {**super()._info(), "fixed_length": self.fixed_length_, "reads_table": self.reads_table_}

    def _restore_rows(self, tensors: Tensors, info: dict[str, Any]) -> None:
        self.X_fit_ = split(Block(tensors["X_fit"], tensors["lengths"].astype(np.float64)))
        mean, scale = tensors["mean"].astype(np.float64), tensors["scale"].astype(np.float64)
        self.channels_ = self.X_fit_[0].shape[1]
        if mean.shape != (self.channels_,) or scale.shape != mean.shape or not (scale > 0).all():
            raise InvalidFile(f"{self.channels_} channels must have a mean and a positive scale each", f"{mean.shape}")
        self.scaler_ = SeriesScaler(self.standardize == "series", mean, scale)
        fixed = info["fixed_length"]
        if fixed is not None and (type(fixed) is not int or {len(values) for values in self.X_fit_} != {fixed}):
            raise InvalidFile("a fixed length must be that of the series", repr(fixed))
        self.fixed_length_, self.reads_table_ = fixed, bool(info["reads_table"])
        if self.reads_table_ and (fixed is None or self.channels_ != 1):
            raise InvalidFile("a table must have series of one length and one channel", f"{self.channels_} channels")
        self.n_features_in_ = fixed if self.reads_table_ and fixed is not None else self.channels_


class RecurrentKernelClassifier(SeriesEstimator, KernelClassifier):
    """Classification of time series by the kernel of an infinitely wide recurrent network (RNTK).

    Series may differ in length; nothing is padded, cut or warped. X is an array (n, steps, channels), a list of series
    (steps, channels) or (steps,), `Sequences` with a mask, or a table (n, steps) of series of one channel.

    With `selection="leave_one_out"` it is `KernelClassifier` on these kernels: least squares on one-hot targets,
    kernel and ridge by closed-form leave-one-out error on all series up to 250, and beyond on the larger of 250 and
    n / 4. With "svm" it is a C-support vector machine, one class against one, whose kernel and C are chosen by ten-fold
    validation; its kernel is normalised, K(x, y) / sqrt(K(x, x) K(y, y)), so that C means the same for all.

    Args:
        kernel: "auto" (about a dozen networks for each readout that suits the series, see `automatic_grids`),
            "published" (the grid of the paper, 900 networks), a kernel, or several to choose from, such as
            `RecurrentGrid(layers=(1, 2)).kernels()`.
        ridge: "auto" or a number of at least 0, times the mean diagonal of the Gram matrix. No part of "svm".
        standardize: "channels": each channel is brought to mean 0 and variance 1 over all steps of the training
            series. "series": each channel of each series by itself (z-normalisation), which drops its level and size.
            False: series are taken as they are.
        combine: How many of the best kernels are averaged; 1 takes the best alone. No part of "svm".
        layout: "channels_last": series are (steps, channels). "time_last": (channels, steps), as aeon and sktime
            have them. "auto": channels last, and refused where there are fewer steps than channels.
        selection: "leave_one_out", "svm", or a `SupportVectorMachine` with a grid and folds of its own.

    Attributes:
        classes_: The classes, sorted.
        kernel_: The kernel of the series that `scaler_.transform` gives.
        ridge_: The relative ridge; 1 / C for "svm".
        selection_: The table of the choice, best first.
        leave_one_out_scores_: Score of every series from the others, (n, classes); for "svm" from the machine of the
            folds that it is not in.
        inverse_temperature_: Factor of the scores in the softmax of `predict_proba`.
        dual_coef_, target_mean_, solution_: Coefficients (n, classes) and offsets; for "svm" a column each pair of
            classes.
        fixed_length_: Length of the series of the table or array that it was fitted to; None for a list, which may go
            on with other lengths.
        reads_table_: Whether it was fitted to a table; then tables to predict must have its columns.
        channels_, scaler_, X_fit_, n_features_in_, feature_names_in_: What prediction needs.

    References:
        Alemohammad et al. 2021, arXiv 2006.10246.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X = [np.sin((1 + i % 2) * np.arange(20 + i) / 3) + 0.1 * rng.normal(size=20 + i) for i in range(30)]
        >>> model = RecurrentKernelClassifier().fit(X[:20], np.arange(20) % 2)
        >>> model.predict(X[20:])
        array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    """

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        kernel: Any = "auto",
        ridge: Any = "auto",
        standardize: Any = "channels",
        combine: Any = 1,
        layout: Any = "auto",
        selection: Any = "leave_one_out",
    ) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.standardize = standardize
        self.combine = combine
        self.layout = layout
        self.selection = selection

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the kernel and its strength where they are open, solve, and calibrate.

        Args:
            X: Series: (n, steps, channels), a list of series, or a table (n, steps).
            y: Classes, (n,): numbers or text.
            sample_weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On gaps, text, series without steps or of unequal channels, one series, one class, or
                arguments out of range.
            MemoryLimitExceeded: Where the Gram matrix cannot fit.
            NotPositiveDefinite: Where the ridge is too small for the rounding of the kernel.
        """
        machine = self._machine()
        return super().fit(X, y, sample_weight) if machine is None else self._fit_machine(machine, X, y, sample_weight)

    def _machine(self) -> SupportVectorMachine | None:
        if isinstance(self.selection, SupportVectorMachine):
            return self.selection
        if self.selection not in ("leave_one_out", "svm"):
            asked = "selection must be 'leave_one_out', 'svm' or a SupportVectorMachine"
            raise InvalidInput(asked, repr(self.selection))
        return SupportVectorMachine() if self.selection == "svm" else None

    def _fit_machine(self, machine: SupportVectorMachine, X: Any, y: Any, sample_weight: Any) -> Self:
        X, y, weight = self._read_training(X, y, sample_weight)
        check_classification_targets(y)
        used = weight > 0
        X, weight = X[used], weight[used]
        self.classes_, labels = np.unique(y[used], return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidInput("two or more classes are needed", f"one class, {self.classes_[0]!r}")
        Auto().decide(len(X), "float64")
        rows = self._scale_rows(X, weight)
        target = np.eye(len(self.classes_))[labels]
        problem = Problem(rows, target - weight @ target / weight.sum(), weight)
        kernels = normalized_kernels(self._kernels(rows))
        self.selection_ = machine.choose(kernels, lambda kernel: check_gram(kernel, rows), problem)
        self.kernel_, self.ridge_ = self.selection_[0].kernel, self.selection_[0].ridge
        gram = check_gram(self.kernel_, rows)
        trained = train_machine(gram, labels, weight, 1 / self.ridge_)
        how = f"support vectors, C = {1 / self.ridge_:g}"
        self.solution_ = Solution(trained.dual, trained.converged, _LIBSVM_TOLERANCE, max(trained.steps, 1), how)
        self.X_fit_, self.dual_coef_, self.target_mean_ = rows, trained.dual, trained.offset
        self.leave_one_out_scores_ = machine.validation_scores(gram, labels, weight, 1 / self.ridge_)
        self.inverse_temperature_ = fit_inverse_temperature(self.leave_one_out_scores_, labels, weight)
        return self

    def _outputs(self) -> int:
        classes = len(self.classes_)
        return classes if self._machine() is None else classes * (classes - 1) // 2

    def _expansion(self, X: Any) -> np.ndarray:
        values = super()._expansion(X)
        return values if self._machine() is None else pair_scores(values, len(self.classes_))


class RecurrentKernelRegressor(SeriesEstimator, KernelRegressor):
    """Kernel ridge regression of time series on the kernel of an infinitely wide recurrent network (RNTK).

    Series, kernels and their choice are those of `RecurrentKernelClassifier`; the rest is `KernelRegressor`.

    Args:
        kernel: "auto" (about a dozen networks for each readout that suits the series, see `automatic_grids`),
            "published" (the grid of the paper, 900 networks), a kernel, or several to choose from, such as
            `RecurrentGrid(layers=(1, 2)).kernels()`.
        ridge: "auto" or a number of at least 0, times the mean diagonal of the Gram matrix.
        solver: "auto" or a `Solver`.
        standardize: "channels", "series" or False, as in `RecurrentKernelClassifier`.
        combine: How many of the best kernels are averaged; 1 takes the best alone.
        layout: "auto", "channels_last" or "time_last", as in `RecurrentKernelClassifier`.

    Attributes:
        kernel_: The kernel of the series that `scaler_.transform` gives.
        ridge_: The relative ridge.
        selection_: The table of the choice, best first.
        dual_coef_, solution_, target_mean_: Coefficients (n, targets), how well they solve the system, offsets.
        fixed_length_: Length of the series of the table or array that it was fitted to; None for a list, which may go
            on with other lengths.
        reads_table_: Whether it was fitted to a table; then tables to predict must have its columns.
        channels_, scaler_, X_fit_, n_features_in_, feature_names_in_: What prediction needs.

    References:
        Alemohammad et al. 2021, arXiv 2006.10246.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X = [np.cumsum(rng.normal(size=20 + i % 5)) for i in range(60)]
        >>> y = np.array([x[-4:].mean() for x in X])
        >>> model = RecurrentKernelRegressor().fit(X[:40], y[:40])
        >>> bool(model.score(X[40:], y[40:]) > 0.5)
        True
    """

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        kernel: Any = "auto",
        ridge: Any = "auto",
        solver: Any = "auto",
        standardize: Any = "channels",
        combine: Any = 1,
        layout: Any = "auto",
    ) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.solver = solver
        self.standardize = standardize
        self.combine = combine
        self.layout = layout
