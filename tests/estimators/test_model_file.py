"""Files of models: whole or absent, and refused unless they are ours."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from widenet.errors import InvalidFile
from widenet.estimators.model_file import read_model, write_model

TENSORS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([0.5], dtype=np.float32)}


def test_what_was_written_is_read(tmp_path):
    write_model(tmp_path / "model", TENSORS, {"words": ["one", None, 2.5]})
    tensors, info = read_model(tmp_path / "model")
    assert info == {"words": ["one", None, 2.5]}
    assert {name: (tensor.dtype, tensor.tolist()) for name, tensor in tensors.items()} == {
        name: (tensor.dtype, tensor.tolist()) for name, tensor in TENSORS.items()
    }


def test_a_second_model_replaces_the_first_and_leaves_nothing_aside(tmp_path):
    for number in (1.0, 2.0):
        write_model(tmp_path / "model", {"a": np.array([number])}, {})
    assert read_model(tmp_path / "model")[0]["a"].tolist() == [2.0]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_write_keeps_the_old_model(tmp_path, monkeypatch):
    write_model(tmp_path / "model", TENSORS, {})

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InvalidFile, match="No space left"):
        write_model(tmp_path / "model", {"a": np.zeros(1)}, {})
    assert read_model(tmp_path / "model")[0]["a"].tolist() == TENSORS["a"].tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        (TENSORS, None),
        (TENSORS, {"format": "widenet model 0", "model": "{}"}),
        (TENSORS, {"format": "widenet model 1"}),
        (TENSORS, {"format": "widenet model 1", "model": "{"}),
        (TENSORS, {"format": "widenet model 1", "model": json.dumps([1])}),
        ({"a": np.array([np.nan])}, {"format": "widenet model 1", "model": "{}"}),
        ({"a": np.array([1])}, {"format": "widenet model 1", "model": "{}"}),
    ],
)
def test_foreign_files_are_refused(tensors, metadata, tmp_path):
    save_file(tensors, tmp_path / "model", metadata)
    with pytest.raises(InvalidFile, match="model"):
        read_model(tmp_path / "model")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidFile, match="absent"):
        read_model(tmp_path / "absent")
