"""The affine map that brings features to mean 0 and variance 1, found and applied by blocks of rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from widenet._arrays import row_blocks

_BLOCK = 2**16  # rows of which there are copies at a time


@dataclass(frozen=True, eq=False)
class Scaler:
    """Affine map of the features, (x - mean) / scale, and a linear one of the result where there is one.

    Attributes:
        mean: (d,), weighted mean of the training rows, or 0.
        scale: (d,), weighted standard deviation, or 1; constant features keep 1.
        turn: (d, d), by which scaled rows are multiplied from the right, or None.
    """

    mean: np.ndarray
    scale: np.ndarray
    turn: np.ndarray | None = None

    @classmethod
    def fit(cls, X: np.ndarray, weight: np.ndarray, *, standardize: bool) -> "Scaler":
        """Weighted moments of X (n, d) under weights (n,); the identity where `standardize` is False."""
        if not standardize:
            return cls(np.zeros(X.shape[1]), np.ones(X.shape[1]))
        share = weight / weight.sum()
        blocks = list(row_blocks(len(X), _BLOCK))
        unit = power_of_two(np.max([np.abs(X[rows]).max(axis=0) for rows in blocks], axis=0))
        mean = np.sum([share[rows] @ (X[rows] / unit) for rows in blocks], axis=0)
        squares = [share[rows] @ np.square(X[rows] / unit - mean) for rows in blocks]
        deviation = np.sqrt(np.sum(squares, axis=0))
        # A constant column has a rounding-sized deviation, which must not be blown up to 1.
        floor = 10 * np.finfo(X.dtype).eps * np.abs(mean)
        return cls(mean * unit, np.where(deviation > floor, deviation * unit, 1.0))

    def transform(self, X: np.ndarray, dtype: Any) -> np.ndarray:
        """Scaled rows (n, d), C-contiguous, of the asked dtype."""
        result = np.empty(X.shape, dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # infinite rows are refused by the readers of the result
            for rows in row_blocks(len(X), _BLOCK):
                scaled = (X[rows] - self.mean) / self.scale
                result[rows] = scaled if self.turn is None else scaled @ self.turn
        return result

    def norm(self, X: np.ndarray, weight: np.ndarray) -> float:
        """Root of the weighted mean squared norm of the scaled rows; 1 where all are 0."""
        blocks = list(row_blocks(len(X), _BLOCK))
        largest = [np.abs(self.transform(X[rows], np.float64)).max() for rows in blocks]
        unit = float(power_of_two(np.max(largest)))
        squares = [weight[rows] @ np.square(self.transform(X[rows], np.float64) / unit).sum(axis=1) for rows in blocks]
        return float(unit * np.sqrt(np.sum(squares) / weight.sum())) or 1.0


def power_of_two(size: Any) -> Any:
    """The power of two at or below each positive size: division by it is exact, and squares stay in range."""
    return np.ldexp(1.0, np.frexp(size)[1] - 1)


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """Rows that are scaled when they are read: the whole of them is never copied.

    Attributes:
        X: Rows as they came, (n, d).
        scaler: Their map.
        dtype: Precision of what is read.
    """

    X: np.ndarray
    scaler: Scaler
    dtype: Any = np.float32

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.scaler.transform(self.X[rows], self.dtype)
