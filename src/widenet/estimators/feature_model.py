"""A solved regression on features: what predicts, how it was chosen, and its file."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from widenet.errors import InvalidFile
from widenet.estimators.feature_choice import scaled_rows
from widenet.estimators.fitted_maps import saved_kernel
from widenet.estimators.model_file import Tensors
from widenet.estimators.readouts import Readout, readout_from_state
from widenet.estimators.scaler import Scaler
from widenet.estimators.selection import Candidate
from widenet.estimators.serialization import to_json

_DTYPES = {"float32": np.float32, "float64": np.float64}


@dataclass(frozen=True, eq=False)
class FeatureModel:
    """What a regression on features predicts with.

    Attributes:
        scaler: Affine map of the rows.
        dtype: Precision of the rows that the features see.
        readout: The function of the scaled rows.
        ridge: Its ridge, over the mean squared norm of the features.
        ridges: The ridges that were compared, (r,).
        scores: Their GCV scores over the variance of the targets: 0 is perfect, 1 says nothing, (r,).
        degrees_of_freedom: Trace of the hat matrix.
        rows: Rows that it was fitted to.
        selection: The table of the choice of the kernel, best first.
    """

    scaler: Scaler
    dtype: Any
    readout: Readout
    ridge: float
    ridges: np.ndarray
    scores: np.ndarray
    degrees_of_freedom: float
    rows: int
    selection: tuple[Candidate, ...]

    def predict(self, X: Any) -> np.ndarray:
        """Values at rows, dense or sparse, (n, t)."""
        return self.readout.predict(scaled_rows(self.scaler, X, self.dtype))

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Arrays and JSON; `model_from_state` reads them."""
        columns = len(self.scaler.mean)
        # Rows on which features are compared with those that a file gives back.
        probe = np.random.default_rng(0).normal(size=(4, columns)).astype(self.dtype)
        tensors, readout = self.readout.state(probe)
        finite = np.where(np.isfinite(self.scores), self.scores, np.finfo(np.float64).max)
        tensors |= {"mean": self.scaler.mean, "scale": self.scaler.scale, "ridges": self.ridges, "scores": finite}
        info = {
            "readout": readout,
            "dtype": np.dtype(self.dtype).name,
            "ridge": self.ridge,
            "degrees_of_freedom": self.degrees_of_freedom,
            "rows": self.rows,
            "selection": selection_state(self.selection),
        }
        return tensors, info


def model_from_state(tensors: Tensors, info: dict[str, Any]) -> FeatureModel:
    """What `FeatureModel.state` made, back.

    Raises:
        InvalidFile: Where the parts do not fit together.
    """
    ridges, scores = tensors["ridges"], tensors["scores"]
    if ridges.ndim != 1 or ridges.shape != scores.shape:
        raise InvalidFile("ridges must have their scores", f"{ridges.shape} and {scores.shape}")
    return FeatureModel(
        saved_scaler(tensors),
        _DTYPES[info["dtype"]],
        readout_from_state(tensors, info["readout"]),
        float(info["ridge"]),
        ridges,
        scores,
        float(info["degrees_of_freedom"]),
        int(info["rows"]),
        saved_selection(info["selection"]),
    )


def saved_scaler(tensors: Tensors) -> Scaler:
    """The scaler of a file."""
    mean, scale = tensors["mean"].astype(np.float64), tensors["scale"].astype(np.float64)
    if mean.ndim != 1 or mean.shape != scale.shape or not (scale > 0).all():
        raise InvalidFile("means of columns must have positive scales", f"{mean.shape} and {scale.shape}")
    return Scaler(mean, scale)


def selection_state(selection: tuple[Candidate, ...]) -> list[Any]:
    """The table of a choice as JSON."""
    return [to_json(tuple(row)) for row in selection]


def saved_selection(rows: list[Any]) -> tuple[Candidate, ...]:
    """The table of a choice from its JSON."""
    return tuple(_saved_candidate(*row) for row in rows)


def _saved_candidate(kernel: Any, ridge: float, *facts: Any) -> Candidate:
    score, error, seconds, rows, chosen = facts
    return Candidate(
        saved_kernel(kernel), float(ridge), float(score), float(error), float(seconds), int(rows), bool(chosen)
    )
