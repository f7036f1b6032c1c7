"""What predicts after a regression on features: coefficients of the features, or of a kernel at its landmarks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from widenet._arrays import row_blocks
from widenet.errors import InvalidFile
from widenet.estimators.fitted_maps import map_from_state, map_state, saved_kernel
from widenet.estimators.model_file import Tensors
from widenet.estimators.serialization import from_json, to_json
from widenet.features.base import FeatureMap, FittedMap
from widenet.features.nystrom import FittedNystroem
from widenet.kernels import Kernel

_BYTES = 2**26  # of the features or kernel values of a block of rows


@dataclass(frozen=True, eq=False)
class MapReadout:
    """f(x) = z(x) . coefficients + intercept.

    Attributes:
        map: Fitted features z.
        maker: The value that they were fitted from, or None for maps that are kept as they are.
        coefficients: (s, t).
        intercept: (t,).
    """

    map: FittedMap
    maker: FeatureMap | None
    coefficients: np.ndarray
    intercept: np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """Values at rows as the map sees them, (n, t), float64, by blocks."""
        result = np.empty((X.shape[0], len(self.intercept)))
        for rows in row_blocks(len(result), max(1, _BYTES // (8 * self.map.size))):
            result[rows] = self.map.transform(X[rows]) @ self.coefficients
        return result + self.intercept

    def state(self, probe: Any) -> tuple[Tensors, dict[str, Any]]:
        """Arrays and JSON; `probe` are some rows as the map sees them."""
        tensors, info = map_state(self.map, self.maker, probe)
        return {"coefficients": self.coefficients, "intercept": self.intercept, **tensors}, {"features": info}


@dataclass(frozen=True, eq=False)
class LandmarkReadout:
    """f(x) = K(x, landmarks) dual + intercept.

    Attributes:
        kernel: K.
        landmarks: (m, d).
        dual: (m, t).
        intercept: (t,).
    """

    kernel: Kernel
    landmarks: np.ndarray
    dual: np.ndarray
    intercept: np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """Values at rows as the kernel sees them, (n, t), float64, by blocks."""
        result = np.empty((len(X), len(self.intercept)))
        for rows in row_blocks(len(result), max(1, _BYTES // (8 * len(self.landmarks)))):
            result[rows] = self.kernel(X[rows], self.landmarks).astype(np.float64) @ self.dual
        return result + self.intercept

    def state(self, probe: Any) -> tuple[Tensors, dict[str, Any]]:
        """Arrays and JSON."""
        del probe
        arrays = {"landmarks": self.landmarks, "dual": self.dual, "intercept": self.intercept}
        return arrays, {"kernel": to_json(self.kernel)}


Readout = MapReadout | LandmarkReadout


def make_readout(fitted: FittedMap, maker: FeatureMap, coefficients: np.ndarray, intercept: np.ndarray) -> Readout:
    """The function with these coefficients of the features; by the kernel at the landmarks where there are such.

    With landmarks a prediction takes m values of the kernel, and not the m^2 flops of the features.
    """
    if not isinstance(fitted, FittedNystroem):
        return MapReadout(fitted, maker, coefficients, intercept)
    basis = fitted.basis
    dual = basis.coefficients(torch.from_numpy(np.ascontiguousarray(coefficients)))
    return LandmarkReadout(basis.kernel, basis.landmarks.numpy(), dual.numpy(), intercept)


def readout_from_state(tensors: Tensors, info: dict[str, Any]) -> Readout:
    """What `state` made, back.

    Raises:
        InvalidFile: Where the parts do not fit together.
    """
    intercept = tensors["intercept"]
    if "kernel" in info:
        landmarks, dual = tensors["landmarks"], tensors["dual"]
        if landmarks.ndim != 2 or intercept.ndim != 1 or dual.shape != (len(landmarks), len(intercept)):
            raise InvalidFile("landmarks must have their coefficients", f"{landmarks.shape} and {dual.shape}")
        return LandmarkReadout(saved_kernel(info["kernel"]), landmarks, dual, intercept)
    fitted, coefficients = map_from_state(tensors, info["features"]), tensors["coefficients"]
    if intercept.ndim != 1 or coefficients.shape != (fitted.size, len(intercept)):
        raise InvalidFile(f"{fitted.size} features must have their coefficients", str(coefficients.shape))
    maker = from_json(info["features"]["map"]) if "map" in info["features"] else None
    return MapReadout(fitted, maker, coefficients, intercept)
