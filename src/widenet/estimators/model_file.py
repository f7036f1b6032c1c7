"""The file of a fitted model: safetensors with the rest as JSON in its metadata; written aside, then renamed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from widenet._files import replaced
from widenet.errors import InvalidFile

_FORMAT = "widenet model 1"

Tensors = dict[str, np.ndarray]


def write_model(path: str | Path, tensors: Tensors, info: dict[str, Any]) -> None:
    """Write float tensors and JSON to one file, which is complete or absent whenever the process ends.

    Raises:
        InvalidFile: Where the folder is missing or cannot be written.
    """
    path = Path(path)
    metadata = {"format": _FORMAT, "model": json.dumps(info, allow_nan=False)}
    try:
        with replaced(path) as aside:
            save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, aside, metadata)
    except (OSError, SafetensorError) as error:
        raise InvalidFile(
            f"a model must be written to {path}", str(error), "Choose a folder that can be written"
        ) from error


def read_model(path: str | Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and JSON of a model file; float32 and float64 tensors of finite numbers only.

    Raises:
        InvalidFile: Where the file is missing, truncated, corrupt, or of another program.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise InvalidFile(f"{path} must be a model saved by widenet", f"format {metadata.get('format')!r}"[:80])
            info = json.loads(metadata["model"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except InvalidFile:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        cause = " ".join(str(error).split())[:200]
        raise InvalidFile(f"{path} must be a model saved by widenet", cause) from error
    if not isinstance(info, dict):
        raise InvalidFile(f"{path} must describe a model", type(info).__name__)
    check_numbers(path, tensors)
    return tensors, info


def check_numbers(path: str | Path, tensors: Tensors) -> None:
    """Raise InvalidFile unless all tensors of a file are of float32 or float64 and finite."""
    for name, tensor in tensors.items():
        if tensor.dtype not in (np.float32, np.float64) or not np.isfinite(tensor).all():
            raise InvalidFile(f"{path} must hold finite numbers", f"{tensor.dtype} in {name!r}")
