"""A stream of rows that is under way, as arrays and JSON in a checkpoint file, and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

from widenet.errors import InvalidFile, WidenetError
from widenet.estimators.feature_choice import Prepared, Sample, Settings
from widenet.estimators.feature_model import saved_scaler, saved_selection, selection_state
from widenet.estimators.fitted_maps import map_from_state, map_state
from widenet.estimators.model_file import Tensors, check_numbers
from widenet.estimators.ridge_stream import RidgeStream
from widenet.estimators.serialization import from_json, to_json
from widenet.features.base import FeatureMap
from widenet.linalg.state_file import StateFile
from widenet.solvers.streaming import NormalEquations

_FORM = "widenet stream 1"
_SUMS, _MAP, _KEPT = "sums.", "map.", "kept."
_DTYPES = {"float32": np.float32, "float64": np.float64}


def write_stream(path: Path, stream: RidgeStream, identity: str, facts: dict[str, Any]) -> None:
    """Replace the file by this state of a stream that has begun; it is whole whenever the process ends.

    Args:
        path: The file.
        stream: The stream.
        identity: What the run that goes on must have in common with this one.
        facts: What else it needs, as JSON.

    Raises:
        InvalidInput: On a feature map that cannot be saved.
        InvalidFile: Where the folder cannot be written to.
    """
    prepared, equations = stream.prepared, stream.equations
    if prepared is None or equations is None:
        return
    probe = np.random.default_rng(0).normal(size=(4, len(prepared.scaler.mean))).astype(prepared.dtype)
    arrays, fitted = map_state(prepared.map, prepared.maker, probe)
    tensors = {_MAP + name: array for name, array in arrays.items()}
    tensors |= {_SUMS + name: array for name, array in equations.arrays().items()}
    tensors |= {_KEPT + name: array for name, array in _kept_arrays(stream.kept).items()}
    tensors |= {"mean": prepared.scaler.mean, "scale": prepared.scaler.scale}
    info = {
        "facts": facts,
        "map": fitted,
        "maker": to_json(prepared.maker),
        "dtype": np.dtype(prepared.dtype).name,
        "selection": selection_state(prepared.selection),
        "rows": stream.rows,
    }
    StateFile(path, _FORM, identity).write(
        {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}, info
    )


def read_stream(
    path: Path, settings: Settings, identity: str, *, keep: bool
) -> tuple[RidgeStream, dict[str, Any]] | None:
    """The stream of a file, and its facts; None where there is no file.

    Raises:
        InvalidFile: Where the file is corrupt or of another kind.
        FingerprintMismatch: Where it belongs to another run.
    """
    found = StateFile(path, _FORM, identity).read()
    if found is None:
        return None
    info = found[1]
    try:
        tensors = {name: tensor.numpy() for name, tensor in found[0].items()}
        check_numbers(path, tensors)
        maker = from_json(info["maker"])
        if not isinstance(maker, FeatureMap):
            raise InvalidFile("a saved map must be a feature map", repr(maker)[:80])
        fitted = map_from_state(_part(tensors, _MAP), info["map"])
        equations = NormalEquations.from_arrays(_part(tensors, _SUMS))
        stream = RidgeStream(settings, equations.outputs, keep=keep)
        selection = saved_selection(info["selection"])
        stream.prepared = Prepared(saved_scaler(tensors), fitted, maker, _DTYPES[info["dtype"]], selection)
        stream.equations, stream.rows = equations, int(info["rows"])
        stream.kept = _kept(_part(tensors, _KEPT))
        return stream, info["facts"]
    except (WidenetError, KeyError, TypeError, ValueError, IndexError) as error:
        cause = f"{type(error).__name__}: {error}"[:160]
        raise InvalidFile(f"{path} must be a whole checkpoint", cause, "Delete it to start anew") from error


def run_identity(source: str, settings: dict[str, Any], kind: str) -> str:
    """What a run has in common with its checkpoint: the rows and the settings."""
    return json.dumps([source, kind, {name: to_json(value) for name, value in settings.items()}], sort_keys=True)


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _kept_arrays(kept: Sample | None) -> Tensors:
    if kept is None:
        return {}
    arrays: dict[str, Any] = {"target": kept.target, "weight": kept.weight}
    if scipy.sparse.issparse(kept.X):
        rows = scipy.sparse.csr_array(kept.X)
        arrays |= {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, "shape": np.array(rows.shape)}
    else:
        arrays["X"] = kept.X
    wide = {name: np.asarray(array) for name, array in arrays.items()}
    return {name: a if a.dtype in (np.float32, np.float64) else a.astype(np.float64) for name, a in wide.items()}


def _kept(arrays: Tensors) -> Sample | None:
    if not arrays:
        return None
    X: Any = arrays.get("X")
    if X is None:
        places = [arrays[name].astype(np.int64) for name in ("indices", "indptr", "shape")]
        X = scipy.sparse.csr_array((arrays["data"], places[0], places[1]), shape=tuple(int(n) for n in places[2]))
    return Sample(X, arrays["target"], arrays["weight"])
