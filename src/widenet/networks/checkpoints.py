"""Checkpoints of a training run: arrays as safetensors with the rest as JSON, written aside and renamed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from widenet._arrays import is_count
from widenet.errors import InvalidInput
from widenet.linalg.state_file import StateFile
from widenet.networks.descent import GradientDescent

_FORMAT = "widenet training 1"


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a training run is saved; `train` goes on from a file that is there.

    The file holds one whole state whenever the process ends, by kill or loss of power too. It belongs to one start,
    one set of rows and one `GradientDescent`, of which only `steps` and `target_loss` may change.

    Args:
        path: The file.
        every: Steps between two states; the last one, and the one at Ctrl-C, are saved as well.

    Raises:
        InvalidInput: Where `every` is no whole number of at least 1.
    """

    path: str | Path
    every: int = 100

    def __post_init__(self) -> None:
        if not is_count(self.every):
            raise InvalidInput("every must be a whole number of steps, 1 or more", repr(self.every))

    def write(self, identity: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Replace the file by this state.

        Raises:
            InvalidInput: Where the facts are no JSON.
            InvalidFile: Where the folder cannot be written to.
        """
        try:
            json.dumps(dict(facts))
        except (TypeError, ValueError) as error:
            cure = "Let it return a number or a dict of numbers"
            raise InvalidInput("what a recorder returns must be JSON to be saved", str(error), cure) from error
        StateFile(Path(self.path), _FORMAT, identity).write(tensors, facts)

    def read(self, identity: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Arrays and facts of the file, or None where there is none.

        Raises:
            InvalidFile: Where the file is corrupt or of another program.
            FingerprintMismatch: Where it belongs to another run.
        """
        return StateFile(Path(self.path), _FORMAT, identity).read()


def run_identity(descent: GradientDescent, state: Mapping[str, Tensor], data: tuple[Tensor, Tensor]) -> str:
    """SHA-256 of what a run must have in common with its checkpoint: start, rows, and settings but for the length."""
    settings = {name: value for name, value in vars(descent).items() if name not in ("steps", "target_loss")}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=_plain).encode())
    for name, tensor in (*sorted(state.items()), ("X", data[0]), ("y", data[1])):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A mapping, or a number of NumPy's, as JSON has it."""
    if isinstance(value, Mapping):
        return dict(value)
    return int(value) if isinstance(value, Integral) else float(value)
