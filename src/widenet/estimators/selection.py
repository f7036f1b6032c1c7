"""Choice of kernel and ridge by leave-one-out error in closed form."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from widenet.estimators.leave_one_out import LeaveOneOut

RIDGES = 10.0 ** np.arange(-7.0, 2.01, 0.5)
"""Ridges over the mean diagonal that are tried."""

Criterion = Callable[[np.ndarray, np.ndarray], np.ndarray]


def squared_error(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Squared error of every row, (..., n), summed over the targets (..., n, t)."""
    return np.square(predicted - target).sum(axis=-1)


SQUARED_ERROR: Criterion = squared_error
MISCLASSIFICATION: Criterion = squared_error


@dataclass(frozen=True, eq=False)
class Candidate:
    """One kernel with the ridge that suits it.

    Attributes:
        kernel: The kernel.
        ridge: Relative ridge of least score.
        score: Weighted mean of the leave-one-out loss there.
        error: Standard error of that mean over the rows.
    """

    kernel: Callable[..., np.ndarray]
    ridge: float
    score: float
    error: float


def best_ridge(
    kernel: Callable[..., np.ndarray], X: np.ndarray, target: np.ndarray, weight: np.ndarray, criterion: Criterion
) -> Candidate:
    """The ridge of least leave-one-out loss for centred targets (n, t)."""
    path = LeaveOneOut.of(np.asarray(kernel(X), dtype=np.float64), weight).predictions(target, RIDGES)
    losses = criterion(path, target)
    share = weight / weight.sum()
    scores = losses @ share
    index = int(scores.argmin())
    error = np.sqrt(np.square(share) @ np.square(losses[index] - scores[index]))
    return Candidate(kernel, float(RIDGES[index]), float(scores[index]), float(error))
