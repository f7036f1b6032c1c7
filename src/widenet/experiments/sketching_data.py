"""Points for the comparison of feature maps: scikit-learn's digits, `.npz` files of X and y, images in IDX files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits

from widenet.errors import InvalidFile
from widenet.experiments.image_files import read_images
from widenet.experiments.sketching_errors import Problem

_PIXELS, _LEVELS = 40, 256  # columns from which on, and values up to which, columns without signs are pixels
_SPARSE = 0.5  # share of non-zeros below which rows of zeros and ones are kept as CSR


def digits(rows: int, seed: int = 0) -> tuple[Problem, Problem]:
    """Random rows of the 1,797 handwritten digits, pixels over 16, and the rest to score on."""
    X, y = (np.asarray(part) for part in load_digits(return_X_y=True))
    return _cut("digits", X, y, rows, seed)


def read_problems(folder: Path, rows: int, seed: int = 0) -> Iterator[tuple[Problem, Problem]]:
    """Random rows of every set of a folder, and as many others to score on.

    Args:
        folder: With `NAME.npz` files of X (n, d) and y (n,), or with images in the four IDX files of MNIST.
        rows: Of each set.
        seed: Of the choice of rows.

    Raises:
        InvalidFile: If there is none of both, or a file lacks X or y.
    """
    files = sorted(folder.glob("*.npz"))
    if files:
        for path in files:
            with np.load(path) as arrays:
                if not {"X", "y"} <= set(arrays):
                    raise InvalidFile(f"{path} must hold X and y", ", ".join(arrays))
                yield _cut(path.stem, arrays["X"], arrays["y"], rows, seed)
        return
    images = read_images(folder)
    yield _cut(folder.name, images.X_train.reshape(len(images.X_train), -1), images.y_train, rows, seed)


def _cut(name: str, X: np.ndarray, y: np.ndarray, rows: int, seed: int) -> tuple[Problem, Problem]:
    """Two disjoint random parts of a set: pixels over the largest, zero-one columns as they are, else standardised."""
    one_hot = bool(((X == 0) | (X == 1)).all())
    pixels = X.min() >= 0 and len(np.unique(X[:100])) <= _LEVELS and X.shape[1] >= _PIXELS
    if pixels and not one_hot:
        X = X / X.max()
    elif not one_hot:
        spread = X.std(0)
        X = (X - X.mean(0)) / np.where(spread > 0, spread, 1)
    order = np.random.default_rng(seed).permutation(len(X))
    count = min(rows, len(X) // 2)
    parts = []
    for chosen in (order[:count], order[count : 2 * count]):
        dense = np.ascontiguousarray(X[chosen], dtype=np.float32)
        thin = one_hot and (dense != 0).mean() < _SPARSE
        parts.append(Problem(name, dense, sparse.csr_array(dense) if thin else None, y[chosen]))
    return parts[0], parts[1]
