"""Gram matrices on disk: written block by block, resumed after a kill, read lazily."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.codecs import Crc32cCodec

from widenet._arrays import Array, format_bytes, parse_memory
from widenet.errors import FingerprintMismatch, InvalidFile, InvalidInput
from widenet.kernels.progress import counted
from widenet.linalg.block_matrix import BlockLayout, BlockMatrix, Progress

_FORMAT = 1


class StoredKernelMatrix(BlockMatrix):
    """A Gram matrix in a folder on disk, written by `KernelMatrix.store`; blocks are read when needed.

    Every block carries a checksum that is compared at each read. Results are arrays of the kind, NumPy or
    torch, of the points of the first call that wrote to the folder.

    Args:
        path: The folder.
        memory_limit: Bytes or text for `dense`; None means half of the available memory.
        progress: Told (blocks done, blocks in all) after every block of a long computation.

    Raises:
        InvalidFile: Where the folder is missing, foreign, corrupt or not complete.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        memory_limit: int | float | str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.path, self.memory_limit, self.progress = Path(path), memory_limit, progress
        self._array, facts = _open(self.path)
        self.fingerprint: str = facts["fingerprint"]
        self.layout = _layout(self._array, facts)
        self._numpy, self._device = bool(facts["numpy"]), torch.device("cpu")
        self._torch_dtype = torch.float32 if self._array.dtype == np.float32 else torch.float64
        missing = sum(not _block_path(self.path, i, j).exists() for i, j in self.layout.corners())
        if missing:
            raise InvalidFile(
                f"the Gram matrix in {self.path} must be complete",
                f"{missing} of {self.layout.count()} blocks missing",
                "Call KernelMatrix.store with the same kernel and data to finish it",
            )

    def __repr__(self) -> str:
        return f"StoredKernelMatrix({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"

    def block(self, i: int, j: int) -> Tensor:
        """Block (i, j), read from disk and checked.

        Raises:
            InvalidFile: Where the checksum does not hold.
        """
        block = _read_block(self._array, self.layout, i, j)
        if block is None:
            raise InvalidFile(
                f"block ({i}, {j}) in {self.path} must be readable",
                "a checksum that does not hold",
                "Call KernelMatrix.store with the same kernel and data to write it again",
            )
        return torch.from_numpy(block)

    def rows(self, indices: Array) -> Array:
        """Rows of the matrix, (len(indices), m); only the blocks that hold them are read."""
        index, layout = self._indices(indices), self.layout
        result = torch.empty(len(index), self.shape[1], dtype=self._torch_dtype)
        for i, j in layout.corners():
            rows, columns = layout.slices(i, j)
            here = ((index >= rows.start) & (index < rows.stop)).nonzero()[:, 0]
            mirrored = ((index >= columns.start) & (index < columns.stop)).nonzero()[:, 0]
            if len(here) == 0 and (i == j or not layout.symmetric or len(mirrored) == 0):
                continue
            block = self.block(i, j)
            result[here, columns] = block[index[here] - rows.start]
            if layout.symmetric and i != j:
                result[mirrored, rows] = block[:, index[mirrored] - columns.start].T
        return result.numpy() if self._numpy else result

    def diagonal(self) -> Array:
        """Diagonal, (min(n, m),), from the blocks on it."""
        count = -(-min(self.shape) // self.layout.size)
        result = torch.cat([self.block(i, i).diagonal() for i in range(count)])
        return result.numpy() if self._numpy else result

    def _memory_limit(self) -> int:
        return parse_memory(self.memory_limit)


def fingerprint(kernel: str, X: Tensor, Y: Tensor | None, layout: BlockLayout) -> str:
    """SHA-256 of the bytes of the points, the kernel's repr, dtype, block layout and package version.

    Raises:
        InvalidInput: Where the repr does not name the kernel: a function in it has no name or an address.
    """
    if "<lambda>" in kernel or " at 0x" in kernel:
        raise InvalidInput(
            "a Gram matrix on disk is known by the repr of its kernel, which must name its functions",
            kernel,
            "Name the function at the top of a module",
        )
    digest = hashlib.sha256()
    facts = [_FORMAT, version("widenet"), kernel, str(X.dtype), layout.rows, layout.columns, layout.size]
    digest.update(json.dumps([*facts, layout.symmetric, list(X.shape)]).encode())
    for points in (X,) if Y is None else (X, Y):
        digest.update(np.ascontiguousarray(points.cpu().numpy()).data)
    return digest.hexdigest()


def store_blocks(matrix: BlockMatrix, path: Path, identity: str, *, numpy: bool, progress: Progress | None) -> None:
    """Write the blocks of a matrix that are not yet in the folder with a checksum that holds.

    One writer at a time: unfinished blocks are taken for those of a killed one, and deleted.

    Args:
        matrix: Where blocks come from; its layout is that on disk.
        path: The folder.
        identity: Fingerprint of the matrix.
        numpy: Whether the points were NumPy arrays, so that readers give NumPy arrays back.
        progress: Told (blocks done, blocks in all).

    Raises:
        FingerprintMismatch: Where the folder holds another matrix, by its fingerprint or by one block
            computed again: two functions may have one name.
        InvalidFile: Where the folder is foreign or cannot be written.
    """
    layout = matrix.layout
    with _write_errors(path):
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            _create(
                matrix,
                path,
                {"format": _FORMAT, "fingerprint": identity, "symmetric": layout.symmetric, "numpy": numpy},
            )
    array, facts = _open(path, mode="r+")
    if facts["fingerprint"] != identity:
        raise FingerprintMismatch(
            f"the folder {path} must hold this Gram matrix or none",
            "one of other data, kernel, dtype, block size or version of widenet",
            "Give another folder or delete this one",
        )
    _check_values(matrix, path, array)
    for leftover in path.glob("c/*/*.partial"):  # of a write that a kill cut short
        leftover.unlink(missing_ok=True)
    total = layout.count()
    with counted(total) as step:
        for done, (i, j) in enumerate(layout.corners()):
            if not _block_path(path, i, j).exists() or _read_block(array, layout, i, j) is None:
                block = matrix.block(i, j).cpu().numpy()
                with _write_errors(path):
                    array[layout.slices(i, j)] = block
            step()
            if progress is not None:
                progress(done + 1, total)


def _check_values(matrix: BlockMatrix, path: Path, array: Any) -> None:
    """Compare the first block that holds with the same block computed again."""
    for i, j in matrix.layout.corners():
        stored = _read_block(array, matrix.layout, i, j) if _block_path(path, i, j).exists() else None
        if stored is not None:
            found = matrix.block(i, j).cpu().numpy()
            off, largest = np.abs(stored - found).max(), np.abs(found).max()
            if not off <= 1e3 * np.finfo(found.dtype).eps * largest:
                raise FingerprintMismatch(
                    f"the folder {path} must hold this Gram matrix or none",
                    f"a kernel of the same name, whose values differ by {off:.3g}",
                    "Give another folder or delete this one",
                )
            return


def _create(matrix: BlockMatrix, path: Path, facts: dict[str, Any]) -> None:
    """Make an empty array aside and rename it, so that a kill leaves either nothing or a whole header."""
    layout = matrix.layout
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = layout.count() * layout.size**2 * matrix._torch_dtype.itemsize, shutil.disk_usage(path.parent).free
    if needed > free:
        raise InvalidFile(
            f"the Gram matrix in {path} needs {format_bytes(needed)} of disk", f"{format_bytes(free)} free there"
        )
    for leftover in path.parent.glob(f".{path.name}.*.partial"):  # of a start that a kill cut short
        shutil.rmtree(leftover, ignore_errors=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    # Raw numbers and a checksum: compression gains little on a Gram matrix and costs most of the time.
    zarr.create_array(
        aside,
        shape=matrix.shape,
        chunks=(layout.size, layout.size),
        dtype=str(matrix._torch_dtype)[6:],
        filters=None,
        compressors=[Crc32cCodec()],
        fill_value=float("nan"),
        attributes={"widenet": facts},
        config={"write_empty_chunks": True},
    )
    aside.rename(path)


def _open(path: Path, mode: Literal["r", "r+"] = "r") -> tuple[Any, Any]:
    """The array in a folder and its facts; InvalidFile where it is not ours."""
    if not path.exists():
        raise InvalidFile("a stored Gram matrix must exist", f"no folder {path}")
    try:
        array = zarr.open_array(path, mode=mode)
        facts: Any = array.attrs["widenet"]
        if facts["format"] != _FORMAT or len(array.shape) != 2 or array.dtype not in (np.float32, np.float64):
            raise KeyError
        _ = (str(facts["fingerprint"]), bool(facts["symmetric"]), bool(facts["numpy"]), array.chunks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        kind = "folder" if path.is_dir() else "file"
        raise InvalidFile(
            f"{path} must be a Gram matrix stored by widenet", f"a foreign or corrupt {kind}", "Give another folder"
        ) from error
    return array, facts


def _layout(array: Any, facts: Any) -> BlockLayout:
    return BlockLayout(array.shape[0], array.shape[1], array.chunks[0], bool(facts["symmetric"]))


def _block_path(path: Path, i: int, j: int) -> Path:
    return path / "c" / str(i) / str(j)


def _read_block(array: Any, layout: BlockLayout, i: int, j: int) -> np.ndarray | None:
    """Block (i, j), or None where its checksum does not hold."""
    try:
        return np.asarray(array[layout.slices(i, j)])
    except ValueError:
        return None


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidFile(
            f"the folder {path} must be writable", error.strerror or type(error).__name__, "Give another folder"
        ) from error
