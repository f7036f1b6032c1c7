"""The state of a long computation in one file: arrays as safetensors with the rest as JSON, whole or not there."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from widenet._files import replaced
from widenet.errors import FingerprintMismatch, InvalidFile


@dataclass(frozen=True)
class StateFile:
    """A file that holds one whole state of one computation whenever the process ends.

    Args:
        path: The file.
        form: Name and version of what is in it.
        identity: What the computation is known by: a file of another one is refused.
    """

    path: Path
    form: str
    identity: str

    def write(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Replace the file by this state.

        Raises:
            InvalidFile: Where the folder cannot be written to.
        """
        metadata = {"format": self.form, "identity": self.identity, "facts": json.dumps(dict(facts))}
        copies = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        try:
            with replaced(self.path) as aside:
                save_file(copies, aside, metadata)
                with aside.open("rb") as written:
                    os.fsync(written.fileno())
        except (OSError, SafetensorError) as error:
            raise InvalidFile(
                f"a checkpoint must be written to {self.path}", str(error), "Choose another folder"
            ) from error

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Arrays and facts of the file, or None where there is none.

        Raises:
            InvalidFile: Where the file is corrupt or of another program.
            FingerprintMismatch: Where it belongs to another computation.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            facts = json.loads(metadata.get("facts", "null"))
        except (SafetensorError, OSError, ValueError) as error:
            cause = " ".join(str(error).split())[:200]
            raise InvalidFile(f"{self.path} must be a whole checkpoint", cause, "Delete it to start anew") from error
        if metadata.get("format") != self.form or not isinstance(facts, dict):
            raise InvalidFile(f"{self.path} must be a checkpoint of the form {self.form!r}", "a foreign file")
        if metadata.get("identity") != self.identity:
            raise FingerprintMismatch(
                f"{self.path} must be a checkpoint of this run",
                "one of other data, another start or other settings",
                "Give another path, or delete the file to start anew",
            )
        return tensors, facts
