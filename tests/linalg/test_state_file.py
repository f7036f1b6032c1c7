"""One whole state, or none: round trips, other computations, foreign and broken files."""

from pathlib import Path

import pytest
import torch

from widenet.errors import FingerprintMismatch, InvalidFile
from widenet.linalg.state_file import StateFile


def test_a_state_comes_back_as_it_was(tmp_path: Path):
    file = StateFile(tmp_path / "state", "form 1", "me")
    assert file.read() is None
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.zeros(0, 2)}
    file.write(tensors, {"steps": 3, "best": float("inf")})
    file.write(tensors, {"steps": 4, "best": float("inf")})
    found = file.read()
    assert found is not None
    assert found[1] == {"steps": 4, "best": float("inf")}
    assert all(torch.equal(found[0][name], tensors[name]) for name in tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_files_of_others_are_refused(tmp_path: Path):
    path = tmp_path / "state"
    StateFile(path, "form 1", "me").write({"a": torch.ones(3)}, {})
    with pytest.raises(FingerprintMismatch, match="of this run"):
        StateFile(path, "form 1", "you").read()
    with pytest.raises(InvalidFile, match="foreign"):
        StateFile(path, "form 2", "me").read()
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InvalidFile, match="Delete it"):
        StateFile(path, "form 1", "me").read()
    with pytest.raises(InvalidFile, match="another folder"):
        StateFile(tmp_path / "none" / "state", "form 1", "me").write({}, {})
