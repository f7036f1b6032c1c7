"""Fitted estimators as arrays and JSON, and back."""

from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from widenet.errors import InvalidFile
from widenet.estimators.fitted_maps import map_from_state, map_state
from widenet.estimators.model_file import Tensors, write_model
from widenet.estimators.scaler import Scaler
from widenet.estimators.selection import Candidate, KernelFunction
from widenet.estimators.serialization import from_json, to_json
from widenet.estimators.series_rows import SeriesScaler
from widenet.features.base import FeatureMap, FittedMap
from widenet.kernels.base import Kernel
from widenet.solvers.base import Solution

_MAP = "map."  # before the names of the arrays of a feature map


class UsedFeatures(NamedTuple):
    """Features of a fit.

    Attributes:
        map: The fitted map.
        maker: The value that it was fitted from; None where a file keeps the fitted map itself.
    """

    map: FittedMap
    maker: FeatureMap | None


class SavedEstimator(BaseEstimator):
    """What estimators keep of a fit, and its file.

    Attributes:
        features_: The features of a fit on features, which has no `X_fit_`; absent otherwise.
    """

    kernel: Any
    ridge: Any
    ridge_scale: Any
    standardize: Any
    combine: Any
    scaler_: Scaler | SeriesScaler
    X_fit_: np.ndarray
    target_mean_: np.ndarray
    kernel_: KernelFunction
    ridge_: float
    selection_: list[Candidate]
    dual_coef_: np.ndarray
    solution_: Solution
    n_features_in_: int
    feature_names_in_: np.ndarray
    features_: UsedFeatures

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to one file, which `widenet.load` reads.

        Raises:
            InvalidInput: On a kernel that is not of this package, such as a lambda.
            InvalidFile: Where the file cannot be written.
        """
        check_is_fitted(self)
        write_model(path, self._tensors(), {"estimator": type(self).__name__, **self._info()})

    def _tensors(self) -> Tensors:
        """Arrays of the fitted state; subclasses add theirs."""
        tensors = {
            "mean": self.scaler_.mean,
            "scale": self.scaler_.scale,
            "dual_coef": self.dual_coef_,
            "target_mean": self.target_mean_,
        }
        if isinstance(self.scaler_, Scaler) and self.scaler_.turn is not None:
            tensors["turn"] = self.scaler_.turn
        if "features_" not in vars(self):
            return {**tensors, "X_fit": self.X_fit_}
        return tensors | {f"{_MAP}{name}": value for name, value in self._map_state()[0].items()}

    def _info(self) -> dict[str, Any]:
        """The rest of the fitted state as JSON; subclasses add theirs."""
        names = self.feature_names_in_.tolist() if "feature_names_in_" in vars(self) else None
        solution = self.solution_
        return {
            "parameters": {name: to_json(value) for name, value in self.get_params(deep=False).items()},
            "features": names,
            "kernel": to_json(self.kernel_),
            "ridge": self.ridge_,
            "selection": [to_json(tuple(row)) for row in self.selection_],
            "solution": [solution.converged, solution.residual, solution.steps, solution.how],
            "map": self._map_state()[1] if "features_" in vars(self) else None,
        }

    def _map_state(self) -> tuple[Tensors, dict[str, Any]]:
        used = self.features_
        probe = np.random.default_rng(0).standard_normal((4, len(self.scaler_.mean)))
        return map_state(used.map, used.maker, probe)

    @classmethod
    def from_state(cls, tensors: Tensors, info: dict[str, Any]) -> Self:
        """The estimator with the state of a file; `widenet.load` calls it.

        Raises:
            InvalidFile: Where the parts do not fit together.
        """
        parameters = {name: from_json(value) for name, value in info["parameters"].items()}
        model = cls(**parameters)
        model._restore_rows(tensors, info)
        model.dual_coef_, model.target_mean_ = tensors["dual_coef"], tensors["target_mean"]
        count = model.features_.map.size if "features_" in vars(model) else len(model.X_fit_)
        _check_shapes(tensors, {"dual_coef": (count, -1), "target_mean": model.dual_coef_.shape[1:]})
        if info["features"] is not None:
            model.feature_names_in_ = np.array([str(name) for name in info["features"]], dtype=object)
            if len(model.feature_names_in_) != model.n_features_in_:
                asked = f"a model of {model.n_features_in_} features must name as many"
                raise InvalidFile(asked, str(len(info["features"])))
        model.kernel_, model.ridge_ = _saved_kernel(info["kernel"]), float(info["ridge"])
        model.selection_ = [_saved_candidate(row) for row in info["selection"]]
        converged, residual, steps, how = info["solution"]
        model.solution_ = Solution(model.dual_coef_, bool(converged), float(residual), int(steps), str(how))
        return model

    def _restore_rows(self, tensors: Tensors, info: dict[str, Any]) -> None:
        """Set the scaler, the rows of the fit and their number of features from a file."""
        features = tensors["mean"].size
        _check_shapes(tensors, {"mean": (features,), "scale": (features,)})
        state = info.get("map")  # files of older versions have none
        if state is None:
            self.X_fit_ = tensors["X_fit"]
            _check_shapes(tensors, {"X_fit": (-1, features)})
        else:
            parts = {name.removeprefix(_MAP): value for name, value in tensors.items() if name.startswith(_MAP)}
            maker = from_json(state["map"]) if "map" in state else None
            self.features_ = UsedFeatures(map_from_state(parts, state), maker)
        turn = tensors.get("turn")
        if turn is not None:
            _check_shapes(tensors, {"turn": (features, features)})
        self.scaler_ = Scaler(tensors["mean"].astype(np.float64), tensors["scale"].astype(np.float64), turn)
        if not (self.scaler_.scale > 0).all():
            raise InvalidFile("the scales of the features must be positive", str(self.scaler_.scale.min()))
        self.n_features_in_ = features


def _check_shapes(tensors: Tensors, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise InvalidFile where a tensor has another shape; -1 stands for any size."""
    for name, shape in shapes.items():
        got = tensors[name].shape
        if len(got) != len(shape) or any(asked not in (-1, size) for asked, size in zip(shape, got, strict=True)):
            raise InvalidFile(f"{name} must have shape {shape}", str(got))


def _saved_kernel(value: Any) -> Kernel:
    kernel = from_json(value)
    if not isinstance(kernel, Kernel):
        raise InvalidFile("a saved kernel must be a kernel", repr(kernel)[:80])
    return kernel


def _saved_candidate(row: Any) -> Candidate:
    kernel, ridge, score, error, seconds, rows, chosen = row
    return Candidate(
        _saved_kernel(kernel), float(ridge), float(score), float(error), float(seconds), int(rows), bool(chosen)
    )
