"""Fitted feature maps as arrays and JSON, and back: nothing is evaluated."""

from typing import Any

import numpy as np
import torch

from widenet.errors import InvalidFile, InvalidInput, WidenetError
from widenet.estimators.model_file import Tensors
from widenet.estimators.serialization import from_json, to_json
from widenet.features.angle_terms import AngleForm, feature_terms
from widenet.features.base import FeatureMap, FittedMap
from widenet.features.nystrom import FittedNystroem
from widenet.features.principal import FittedPrincipal
from widenet.features.principal_choice import AxisFunctions, Products
from widenet.kernels import Kernel
from widenet.linalg.landmark_basis import LandmarkBasis


def map_state(fitted: FittedMap, maker: FeatureMap | None, probe: Any) -> tuple[Tensors, dict[str, Any]]:
    """A fitted map as float arrays and JSON.

    Landmarks and principal directions are kept as they are. Of other maps the value is kept, and they are fitted
    anew to one row when they are read: those that need only the form of the rows come back the same.

    Args:
        fitted: The map.
        maker: The value that it was fitted from.
        probe: Some rows as the map sees them, (n, d).

    Raises:
        InvalidInput: On a map that is not of this package, or that would not come back the same.
    """
    if isinstance(fitted, FittedNystroem):
        basis = fitted.basis
        facts = {"kernel": to_json(basis.kernel), "facts": [basis.size, basis.error, basis.candidates]}
        return {"landmarks": basis.landmarks.numpy(), "lower": basis.lower.numpy()}, facts
    if isinstance(fitted, FittedPrincipal):
        arrays = {"directions": fitted.directions}
        for part in (fitted.functions, fitted.products):
            arrays |= {name: np.asarray(value, dtype=np.float64) for name, value in vars(part).items()}
        form = fitted.form
        return arrays, {"principal": to_json(form.kernel), "facts": [fitted.size, form.norm, form.fan_in]}
    state = {"map": to_json(maker), "facts": [int(probe.shape[1]), np.dtype(probe.dtype).name]}
    again = map_from_state({}, state)
    if not np.array_equal(again.transform(probe), fitted.transform(probe)):
        asked = (
            "only maps of landmarks, of principal directions, or that need no more than the form of rows can be saved"
        )
        raise InvalidInput(asked, type(maker).__name__)
    return {}, state


def map_from_state(tensors: Tensors, state: dict[str, Any]) -> FittedMap:
    """What `map_state` made, back.

    Raises:
        InvalidFile: Where the parts do not fit together.
    """
    try:
        if "kernel" in state:
            return _nystroem(tensors, state)
        if "principal" in state:
            return _principal(tensors, state)
        maker = from_json(state["map"])
        columns, dtype = state["facts"]
        if not isinstance(maker, FeatureMap) or dtype not in ("float32", "float64"):
            raise InvalidFile("a saved map must be a feature map", repr(maker)[:80])
        return maker.fit(np.ones((1, int(columns)), dtype=dtype))
    except InvalidFile:
        raise
    except (WidenetError, KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise InvalidFile("a saved map must be whole", f"{type(error).__name__}: {error}"[:160]) from error


def saved_kernel(value: Any) -> Kernel:
    """A kernel from its JSON; raises InvalidFile on anything else."""
    kernel = from_json(value)
    if not isinstance(kernel, Kernel):
        raise InvalidFile("a saved kernel must be a kernel", repr(kernel)[:80])
    return kernel


def _nystroem(tensors: Tensors, state: dict[str, Any]) -> FittedNystroem:
    landmarks, lower = torch.from_numpy(tensors["landmarks"]), torch.from_numpy(tensors["lower"])
    size, error, candidates = state["facts"]
    if landmarks.ndim < 2 or lower.shape != (len(landmarks), len(landmarks)) or int(size) < len(landmarks):
        raise InvalidFile("landmarks must have their factor", f"{tuple(landmarks.shape)} and {tuple(lower.shape)}")
    kernel = saved_kernel(state["kernel"])
    # In the order of LAPACK's factor: solutions would differ in their last digits.
    factor = lower.to(torch.float64).T.contiguous().T
    return FittedNystroem(LandmarkBasis(kernel, landmarks, factor, int(size), float(error), int(candidates)))


def _principal(tensors: Tensors, state: dict[str, Any]) -> FittedPrincipal:
    kernel, (size, norm, columns) = saved_kernel(state["principal"]), state["facts"]
    terms = feature_terms(kernel, int(columns), None if norm is None else float(norm))
    if terms is None:
        raise InvalidFile("principal features need a kernel of the angle", repr(kernel)[:80])
    form = AngleForm(kernel, terms, None if norm is None else float(norm), int(columns))
    functions = AxisFunctions(tensors["table"], tensors["degrees"].astype(np.int64), tensors["powers"])
    monomials, features = (tensors[name].astype(np.int64) for name in ("monomials", "features"))
    directions = tensors["directions"].astype(np.float64)
    # The numbers are places in arrays that compiled loops read without a check.
    shapes = monomials.ndim == features.ndim == 2 and monomials.shape[1] == features.shape[1] == 2
    known = shapes and directions.shape[0] == int(columns) and len(features) <= int(size)
    known = known and len(tensors["factors"]) == len(monomials) and tensors["table"].shape[1] == len(functions.degrees)
    known = known and (monomials[:, 0] <= np.arange(len(monomials))).all() and (monomials >= 0).all()
    known = known and (monomials[:, 1] < directions.shape[1] - 1).all() and (features >= 0).all()
    known = known and (features[:, 0] <= len(monomials)).all() and (features[:, 1] < len(functions.degrees)).all()
    if not known:
        raise InvalidFile(
            "principal features must fit together", f"{len(monomials)} products, {len(features)} features"
        )
    products = Products(monomials, tensors["factors"], features, tensors["energies"])
    return FittedPrincipal(int(size), form, directions, functions, products)
