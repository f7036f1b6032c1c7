"""Labelled images in IDX files, the format of MNIST and of the sets that follow it."""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray

from widenet.errors import InvalidFile, InvalidInput

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their classes, as published: a training and a test part.

    Attributes:
        X_train: Pixels from 0 to 1, (n, H, W, 1), float32.
        y_train: Classes, (n,).
        X_test: (m, H, W, 1).
        y_test: (m,).
    """

    X_train: ndarray
    y_train: ndarray
    X_test: ndarray
    y_test: ndarray


def read_idx(path: Path) -> ndarray:
    """Array of one IDX file, plain or compressed by gzip.

    Four bytes 0, 0, type, number of axes; the length of each axis as a big-endian 32-bit number; the values.

    Args:
        path: The file.

    Raises:
        InvalidFile: If it is missing, no IDX file, or shorter or longer than its header says.
    """
    if not path.is_file():
        raise InvalidFile("an IDX file must exist", str(path))
    content = path.read_bytes()
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidFile("a compressed IDX file must be whole", f"{path.name}: {error}") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES or content[3] == 0:
        raise InvalidFile("an IDX file starts with 0, 0, a type and a number of axes", f"{path.name}: {content[:4]!r}")
    axes, kind = content[3], np.dtype(_TYPES[content[2]])
    start = 4 + 4 * axes
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if len(content) >= start else ()
    needed = start + math.prod(shape) * kind.itemsize
    if len(shape) != axes or len(content) != needed:
        raise InvalidFile(
            "an IDX file must hold what its header says", f"{path.name}: {len(content)} bytes of {needed}"
        )
    return np.frombuffer(content, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def read_images(folder: Path) -> ImageSet:
    """The four files of MNIST, Fashion-MNIST and the like: images and labels to train and to test on.

    Args:
        folder: Holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
            t10k-labels-idx1-ubyte, each as it is or with the ending .gz.

    Raises:
        InvalidFile: If one is missing or broken, or images and labels do not belong together.
    """
    found = []
    for name in _NAMES:
        plain = folder / name
        found.append(read_idx(plain if plain.is_file() else plain.with_name(f"{name}.gz")))
    X_train, y_train, X_test, y_test = found
    for X, y, part in ((X_train, y_train, "training"), (X_test, y_test, "test")):
        if X.dtype != np.uint8 or X.ndim != 3 or y.shape != X.shape[:1] or len(X) == 0:
            shapes = f"{X.dtype} {X.shape} and {y.shape}"
            raise InvalidFile(f"the {part} part must be bytes (n, H, W) with n labels", shapes)
    if X_train.shape[1:] != X_test.shape[1:]:
        raise InvalidFile("all images must have one size", f"{X_train.shape[1:]} and {X_test.shape[1:]}")
    return ImageSet(_pixels(X_train), y_train, _pixels(X_test), y_test)


def _pixels(images: ndarray) -> ndarray:
    return (images / np.float32(255))[..., None]


def shrink(images: ndarray, factor: int) -> ndarray:
    """Images of 1 / factor the height and width, each pixel the mean of factor x factor ones.

    Args:
        images: (n, H, W, channels).
        factor: Divides H and W.

    Raises:
        InvalidInput: If it does not.
    """
    n, height, width, channels = images.shape
    if factor < 1 or height % factor or width % factor:
        raise InvalidInput("the factor must divide height and width", f"{factor} for {height} x {width}")
    return images.reshape(n, height // factor, factor, width // factor, factor, channels).mean((2, 4))
