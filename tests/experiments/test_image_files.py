"""IDX files: what they hold, and what is refused."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments.image_files import read_idx, read_images, shrink

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(values: np.ndarray) -> bytes:
    """An IDX file written byte by byte, as its description says."""
    kind = values.dtype.str[1:]
    head = bytes([0, 0, CODES[kind], values.ndim]) + b"".join(struct.pack(">I", length) for length in values.shape)
    return head + b"".join(struct.pack(f">{values.dtype.char}", value) for value in values.ravel().tolist())


def write_set(folder: Path, images: np.ndarray, labels: np.ndarray, *, compress: bool) -> None:
    for part in ("train", "t10k"):
        for name, values in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = idx(values)
            path = folder / (f"{name}.gz" if compress else name)
            path.write_bytes(gzip.compress(content) if compress else content)


@pytest.mark.parametrize("kind", CODES)
def test_every_type_comes_back(tmp_path, kind):
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    (tmp_path / "a").write_bytes(idx(values))
    read = read_idx(tmp_path / "a")
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize("compress", [False, True])
def test_a_set_of_images(tmp_path, compress):
    images, labels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.array([0, 1, 9], dtype=np.uint8)
    write_set(tmp_path, images, labels, compress=compress)
    found = read_images(tmp_path)
    assert found.X_train.shape == (3, 4, 4, 1)
    assert found.X_train.dtype == np.float32
    assert found.X_test[2, 3, 3, 0] == np.float32(47) / np.float32(255)
    assert found.y_test.tolist() == [0, 1, 9]


def test_broken_files_are_refused(tmp_path):
    whole = idx(np.zeros((2, 3), np.uint8))
    compressed = gzip.compress(whole)
    for content in (
        b"",
        b"\0\0",
        whole[:-1],
        whole + b"x",
        whole[:9],
        b"\1" + whole[1:],
        b"\0\0\x07\1",
        compressed[:-9],
    ):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(InvalidFile):
            read_idx(tmp_path / "a")
    with pytest.raises(InvalidFile, match="must exist"):
        read_idx(tmp_path / "b")


@given(st.binary(max_size=40))
def test_garbage_is_refused_or_read_whole(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage") / "a"
    path.write_bytes(content)
    try:
        values = read_idx(path)
    except InvalidFile:
        return
    assert values.nbytes + 4 + 4 * values.ndim == len(content)


def test_images_and_labels_must_belong_together(tmp_path):
    write_set(tmp_path, np.zeros((3, 4, 4), np.uint8), np.zeros(2, np.uint8), compress=False)
    with pytest.raises(InvalidFile, match="training part"):
        read_images(tmp_path)


def test_shrink_takes_means():
    images = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(shrink(images, 2)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(shrink(images, 1), images)
    with pytest.raises(InvalidInput, match="3 for 4 x 4"):
        shrink(images, 3)
