"""Gram matrices on disk: resumed after a kill to the same bytes, refused where they are not ours."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from widenet.architectures import AvgPool, Conv, Dense, GlobalAveragePool, ReLU
from widenet.errors import FingerprintMismatch, InvalidFile, InvalidInput, MemoryLimitExceeded
from widenet.kernels import NTK, Zonal
from widenet.kernels.stationary import Gaussian, Laplace
from widenet.linalg import KernelMatrix, StoredKernelMatrix

KERNEL = Laplace(scale=2.0)


def points(n: int, seed: int = 0, dtype=np.float32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(dtype)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("other", [None, 31])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_read_is_what_the_kernel_gives(tmp_path: Path, other, dtype):
    X = points(50, dtype=dtype)
    Y = None if other is None else points(other, 1, dtype)
    stored = KernelMatrix(KERNEL, X, Y).store(tmp_path / "deep" / "gram", block_size=16)
    expected = KERNEL(X, Y)
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    v = np.random.default_rng(3).normal(size=(expected.shape[1], 2))
    again = StoredKernelMatrix(tmp_path / "deep" / "gram")
    assert again.fingerprint == stored.fingerprint
    assert (again.shape, again.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(again.dense(), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(again @ v, expected @ v, rtol=0, atol=30 * tolerance)
    np.testing.assert_allclose(again.T @ expected, expected.T @ expected, rtol=0, atol=50 * tolerance)
    np.testing.assert_array_equal(again.rows([3, -1, 17, 3]), again.dense()[[3, -1, 17, 3]])
    np.testing.assert_array_equal(again.diagonal(), np.diag(again.dense()))
    np.testing.assert_allclose(again.T.rows([30, 2]), expected.T[[30, 2]], rtol=0, atol=tolerance)


def test_torch_points_give_torch_rows(tmp_path: Path):
    stored = KernelMatrix(KERNEL, torch.from_numpy(points(9))).store(tmp_path / "gram")
    assert isinstance(stored.rows([0]), torch.Tensor)
    assert isinstance(StoredKernelMatrix(tmp_path / "gram").dense(), torch.Tensor)


def test_the_array_kind_of_store_is_that_of_its_own_points(tmp_path: Path):
    KernelMatrix(KERNEL, points(9)).store(tmp_path / "gram")
    again = KernelMatrix(KERNEL, torch.from_numpy(points(9))).store(tmp_path / "gram")
    assert isinstance(again.dense(), torch.Tensor)
    assert again.dtype == torch.float32
    assert isinstance(StoredKernelMatrix(tmp_path / "gram").dense(), np.ndarray)


def test_only_the_upper_half_is_written(tmp_path: Path):
    KernelMatrix(KERNEL, points(40)).store(tmp_path / "gram", block_size=16)
    blocks = {name for name in contents(tmp_path / "gram") if name.startswith("c/")}
    assert blocks == {"c/0/0", "c/0/1", "c/0/2", "c/1/1", "c/1/2", "c/2/2"}


# One process imports the package; each writer is a fork of it. It is killed once it has written a random number of
# blocks more, none at times, and a random while after that: in the middle of whatever it does then.
_KILLER = """
import os, random, signal, sys, time
import numpy as np
from widenet import AvgPool, Conv, Dense, GlobalAveragePool, Laplace, NTK, KernelMatrix, ReLU

def written():
    return sum(len(files) for _, _, files in os.walk(os.path.join(sys.argv[1], "c")))

X = np.random.default_rng(0).normal(size=eval(sys.argv[3])).astype(np.float32)
matrix, size, more = KernelMatrix(eval(sys.argv[2]), X), int(sys.argv[4]), eval(sys.argv[5])
chance = random.Random(11)
for _ in range(10):
    goal = written() + chance.choice(more)
    writer = os.fork()
    if writer == 0:
        matrix.store(sys.argv[1], block_size=size)
        os._exit(0)
    while written() < goal and os.waitid(os.P_PID, writer, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)
    time.sleep(chance.uniform(0.0, 0.01))
    os.kill(writer, signal.SIGKILL)
    _, status = os.waitpid(writer, 0)
    print(os.WTERMSIG(status) == signal.SIGKILL, written())
"""


CONVOLUTIONAL = NTK(Conv(3) >> ReLU() >> AvgPool() >> Conv(2) >> ReLU() >> GlobalAveragePool() >> Dense(), (4, 4, 1))


@pytest.mark.parametrize(
    ("kernel", "shape", "size", "more"),
    [
        (KERNEL, (800, 3), 20, [0, 1, 10, 60]),
        (CONVOLUTIONAL, (60, 4, 4, 1), 4, [0, 1, 5, 12]),
        (CONVOLUTIONAL, (60, 16), 4, [0, 1, 5, 12]),
    ],
    ids=["rows", "images", "flat images"],
)
def test_ten_kills_at_random_moments_and_a_resume_end_in_the_same_bytes(tmp_path: Path, kernel, shape, size, more):
    interrupted, whole = tmp_path / "interrupted", tmp_path / "whole"
    command = [sys.executable, "-c", _KILLER, interrupted, repr(kernel), repr(shape), str(size), repr(more)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    hits, written = zip(*(line.split() for line in done.stdout.splitlines()), strict=True)
    assert hits == ("True",) * 10
    blocks = -(-shape[0] // size)
    assert 0 < int(written[-1]) < blocks * (blocks + 1) // 2, "the last kill must strike in the middle"
    assert len(set(written)) >= 4, "and several kills must find work done between them"
    X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    matrix = KernelMatrix(kernel, X)
    matrix.store(whole, block_size=size)
    matrix.store(interrupted, block_size=size)
    assert contents(interrupted) == contents(whole)
    expected = kernel(X)
    np.testing.assert_allclose(StoredKernelMatrix(interrupted).dense(), expected, rtol=0, atol=1e-6 * expected.max())


def test_blocks_that_hold_are_kept_and_torn_ones_are_written_again(tmp_path: Path):
    folder = tmp_path / "gram"
    matrix = KernelMatrix(KERNEL, points(64))
    matrix.store(folder, block_size=16)
    whole = contents(folder)
    torn = folder / "c" / "1" / "2"
    for damage in (b"", torn.read_bytes()[:100], b"x" + torn.read_bytes()[1:]):
        torn.write_bytes(damage)
        with pytest.raises(InvalidFile, match=r"block \(1, 2\).*checksum"):
            StoredKernelMatrix(folder).dense()
        (folder / "c" / "0" / "3").unlink()
        (folder / "c" / "0" / "abc.partial").write_bytes(b"half")
        kept = (folder / "c" / "0" / "0").stat().st_mtime_ns
        with pytest.raises(InvalidFile, match="1 of 10 blocks missing"):
            StoredKernelMatrix(folder)
        matrix.store(folder, block_size=16)
        assert (folder / "c" / "0" / "0").stat().st_mtime_ns == kept
        assert contents(folder) == whole


@pytest.mark.parametrize(
    "other",
    [
        KernelMatrix(KERNEL, points(40, seed=1)),
        KernelMatrix(Laplace(scale=2.0000001), points(40)),
        KernelMatrix(Gaussian(scale=2.0), points(40)),
        KernelMatrix(KERNEL, points(40, dtype=np.float64)),
        KernelMatrix(KERNEL, points(39)),
        KernelMatrix(KERNEL, points(40), points(40)),
    ],
    ids=["data", "scale", "kernel", "dtype", "rows", "two sets"],
)
def test_another_matrix_is_refused(tmp_path: Path, other):
    KernelMatrix(KERNEL, points(40)).store(tmp_path / "gram", block_size=16)
    before = contents(tmp_path / "gram")
    with pytest.raises(FingerprintMismatch, match="must hold this Gram matrix or none"):
        other.store(tmp_path / "gram", block_size=16)
    assert contents(tmp_path / "gram") == before


def _cubic(u: torch.Tensor) -> torch.Tensor:
    return (1 + u) ** 3


def test_another_function_of_the_same_name_is_refused(tmp_path: Path, monkeypatch):
    KernelMatrix(Zonal(_cubic), points(40)).store(tmp_path / "gram", block_size=16)
    before = contents(tmp_path / "gram")
    KernelMatrix(Zonal(_cubic), points(40)).store(tmp_path / "gram", block_size=16)

    def other(u: torch.Tensor) -> torch.Tensor:
        return (1 + u) ** 2

    other.__qualname__ = other.__name__ = "_cubic"
    monkeypatch.setattr(sys.modules[__name__], "_cubic", other)
    with pytest.raises(FingerprintMismatch, match="must hold this Gram matrix or none"):
        KernelMatrix(Zonal(other), points(40)).store(tmp_path / "gram", block_size=16)
    assert contents(tmp_path / "gram") == before


def test_a_function_without_a_name_is_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="top of a module"):
        KernelMatrix(Zonal(lambda u: u), points(5)).store(tmp_path / "gram")
    assert not (tmp_path / "gram").exists()


def test_another_block_size_is_refused(tmp_path: Path):
    KernelMatrix(KERNEL, points(40)).store(tmp_path / "gram", block_size=16)
    with pytest.raises(FingerprintMismatch):
        KernelMatrix(KERNEL, points(40)).store(tmp_path / "gram", block_size=8)


def test_an_interrupt_leaves_a_store_that_resumes(tmp_path: Path):
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KernelMatrix(KERNEL, points(64), progress=interrupt).store(tmp_path / "gram", block_size=16)
    told = []
    matrix = KernelMatrix(KERNEL, points(64), progress=lambda done, total: told.append((done, total)))
    matrix.store(tmp_path / "gram", block_size=16)
    assert told == [(k, 10) for k in range(1, 11)]


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b'{"zarr_format": 3}', b"\x00\xff"])
def test_a_foreign_or_corrupt_folder_is_refused_and_left_alone(tmp_path: Path, header):
    folder = tmp_path / "gram"
    folder.mkdir()
    (folder / "zarr.json").write_bytes(header)
    for use in (StoredKernelMatrix, KernelMatrix(KERNEL, points(10)).store):
        with pytest.raises(InvalidFile, match="foreign or corrupt folder"):
            use(folder)
    assert contents(folder) == {"zarr.json": header}


def test_a_zarr_array_of_another_program_is_refused(tmp_path: Path):
    KernelMatrix(KERNEL, points(10)).store(tmp_path / "gram")
    header = json.loads((tmp_path / "gram" / "zarr.json").read_text())
    for attributes in (
        {},
        {"widenet": 3},
        {"widenet": {}},
        {"widenet": header["attributes"]["widenet"] | {"format": 99}},
    ):
        (tmp_path / "gram" / "zarr.json").write_text(json.dumps(header | {"attributes": attributes}))
        with pytest.raises(InvalidFile, match="foreign or corrupt"):
            StoredKernelMatrix(tmp_path / "gram")


def test_a_missing_folder_a_file_and_a_folder_that_cannot_be_written_are_refused(tmp_path: Path):
    (tmp_path / "file").write_text("text")
    matrix = KernelMatrix(KERNEL, points(10))
    with pytest.raises(InvalidFile, match="no folder"):
        StoredKernelMatrix(tmp_path / "none")
    with pytest.raises(InvalidFile, match="foreign or corrupt file"):
        matrix.store(tmp_path / "file")
    with pytest.raises(InvalidFile, match="must be writable"):
        matrix.store(tmp_path / "file" / "gram")


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch):
    def refuse(*given, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("zarr.create_array", refuse)
    with pytest.raises(InvalidFile, match=r"must be writable; got Permission denied"):
        KernelMatrix(KERNEL, points(10)).store(tmp_path / "gram")


def test_a_disk_that_is_too_small_is_refused_before_work_starts(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(InvalidFile, match="of disk; got 1e\\+03 B free"):
        KernelMatrix(KERNEL, points(40)).store(tmp_path / "gram", block_size=16)
    assert not (tmp_path / "gram").exists()


def test_dense_is_refused_over_the_memory_limit(tmp_path: Path):
    KernelMatrix(KERNEL, points(40)).store(tmp_path / "gram")
    with pytest.raises(MemoryLimitExceeded, match="40 x 40 matrix"):
        StoredKernelMatrix(tmp_path / "gram", memory_limit=1000).dense()
