"""Least-squares classification on explicit features of wide-network kernels, for any number of rows."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.calibration import probabilities
from widenet.estimators.feature_base import FeatureEstimator
from widenet.estimators.ridge_stream import RidgeStream
from widenet.estimators.row_sources import RowBlock, RowSource
from widenet.estimators.stream_fit import known_labels

_CLASS_TYPES = (bool, int, float, str)
_MOST_CLASSES = 10_000


class FeatureClassifier(ClassifierMixin, FeatureEstimator):
    """Least squares on one-hot targets and features z(x) of a kernel: one ridge regression for each class.

    The class of the largest score wins. Probabilities are a softmax of the scores at a temperature that is fitted on
    leave-one-out scores of up to 5,000 rows of the sample, as `KernelClassifier` has them. `FeatureRegressor` describes
    features, ridge, and the ways in which rows come.

    Args:
        features: "auto", a kernel (Nystroem features of it; of sparse rows principal features), or a feature map.
        size: Number of features where `features` is no map.
        ridge: "auto" or a number of at least 0.
        ridge_scale: "relative" (times the mean squared norm of the features) or "absolute".
        standardize: Whether dense columns are brought to mean 0 and variance 1 first, by the sample. Sparse ones never.
        random_state: Seed of the sample and of the features.

    Attributes:
        classes_: The classes, sorted.
        inverse_temperature_: Factor of the scores in the softmax of `predict_proba`.
        ridge_, gcv_, selection_, encoder_, n_features_in_, feature_names_in_: As in `FeatureRegressor`.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from widenet.kernels import Laplace
        >>> X, y = load_iris(return_X_y=True)
        >>> model = FeatureClassifier(Laplace(4.0), size=100).fit(X, y)
        >>> model.predict(X[:2]), bool(model.predict_proba(X[:1])[0, 0] > 0.9)
        (array([0, 0]), True)
    """

    classes_: np.ndarray
    saved_temperature_: float

    _calibrated = True

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        features: Any = "auto",
        size: Any = 1024,
        ridge: Any = "auto",
        ridge_scale: Any = "relative",
        standardize: Any = True,
        random_state: Any = 0,
    ) -> None:
        self.features = features
        self.size = size
        self.ridge = ridge
        self.ridge_scale = ridge_scale
        self.standardize = standardize
        self.random_state = random_state

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Take further rows in: the result is that of all rows so far, whatever classes came when.

        Features are chosen by the first 10,000 rows; a prediction before that is the fit of the rows so far.

        Args:
            X: Rows, (n, d), dense or sparse; after `fit_stream` of a table, a data frame.
            y: Classes, (n,).
            classes: Classes that may come, at the first call; others join when they come.
            sample_weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On gaps, text in the rows, or rows of another form than those before.
        """
        return self._partial_fit(X, y, classes, sample_weight)

    @property
    def inverse_temperature_(self) -> float:
        """Factor of the scores in the softmax of `predict_proba`."""
        self._model()
        return self.saved_temperature_ if "saved_" in vars(self) else self.stream_.inverse_temperature()

    def predict(self, X: Any) -> np.ndarray:
        """Class of the largest score, (m,)."""
        scores = self._predictions(X)
        return self.classes_[scores.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, (m, classes)."""
        scores = self._predictions(X)
        return probabilities(scores, self.inverse_temperature_)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities, (m, classes)."""
        return np.log(np.maximum(self.predict_proba(X), np.finfo(np.float64).tiny))

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (m, classes); with two classes (m,), the second minus the first."""
        scores = self._predictions(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def _first(self, y: np.ndarray, classes: Any) -> int:
        check_classification_targets(y)
        self.classes_ = np.unique(y) if classes is None else np.unique(np.asarray(classes))
        return len(self.classes_)

    def _outputs(self, y: np.ndarray, stream: RidgeStream) -> np.ndarray:
        check_classification_targets(y)
        every = np.union1d(self.classes_, y)
        if len(every) > _MOST_CLASSES:
            raise InvalidInput(f"at most {_MOST_CLASSES:,} classes", f"{len(every):,}", "Use FeatureRegressor")
        if len(every) > len(self.classes_):
            place = {label: column for column, label in enumerate(self.classes_.tolist())}
            stream.arrange_outputs([place.get(label) for label in every.tolist()])
            self.classes_ = every
        target = np.zeros((len(y), len(every)))
        target[np.arange(len(y)), np.searchsorted(every, y)] = 1.0
        return target

    def _block_targets(self, block: RowBlock, source: RowSource) -> np.ndarray:
        return known_labels(block, source)

    def _check_whole(self, stream: RidgeStream) -> None:
        if len(self.classes_) < 2:
            raise InvalidInput("two or more classes are needed", f"one class, {self.classes_[0]!r}")

    def _calibration_state(self) -> dict[str, Any]:
        return {"inverse_temperature": float(self.inverse_temperature_)}

    def _restore_calibration(self, info: dict[str, Any]) -> None:
        self.saved_temperature_ = float(info["inverse_temperature"])

    def _target_state(self) -> dict[str, Any]:
        values = self.classes_.tolist()
        if self.classes_.dtype.kind not in "biufUO" or not all(type(label) in _CLASS_TYPES for label in values):
            raise InvalidInput("classes to save must be numbers or text", f"dtype {self.classes_.dtype}")
        return {"dtype": self.classes_.dtype.str, "values": values}

    def _restore_targets(self, state: dict[str, Any]) -> int:
        dtype, values = np.dtype(state["dtype"]), state["values"]
        if dtype.kind not in "biufUO" or not all(type(label) in _CLASS_TYPES for label in values):
            raise InvalidFile("saved classes must be numbers or text", repr(state)[:80])
        self.classes_ = np.array(values, dtype=dtype)
        return len(self.classes_)
