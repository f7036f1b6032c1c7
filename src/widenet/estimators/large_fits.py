"""Fits of more rows than a Gram matrix has room for: on landmarks, on explicit features, and by iterations."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from widenet.errors import InvalidInput
from widenet.estimators.reduced import LeftOut, Reduced, Task, fit_reduced, leave_out
from widenet.estimators.selection import spread_rows
from widenet.estimators.ways import Taken
from widenet.features.base import FeatureMap, FittedMap
from widenet.features.nystrom import FittedNystroem, Nystroem
from widenet.features.sketch import Sketch
from widenet.kernels.base import Kernel
from widenet.linalg.kernel_matrix import KernelMatrix
from widenet.linalg.landmark_basis import candidate_rows
from widenet.solvers.base import Solution
from widenet.solvers.iterative import ConjugateGradient
from widenet.solvers.landmarks import Landmarks

SAMPLE = 10_000
"""Most rows that features are fitted to."""

TOLERANCE = 1e-6
"""Relative residual that iterations end at, for rows in float32; in float64 it is 1e-10, as for exact solutions."""

RIDGE_LANDMARKS = 1024
"""Landmarks on which the ridge of an iterative solution is chosen, by all rows."""


@dataclass(frozen=True, eq=False)
class LargeFit:
    """A fit f(x) = K(x, points) coefficients + offset, or z(x) . coefficients + offset, of centred targets.

    Attributes:
        solution: Its coefficients and how they were found.
        offset: (t,).
        ridge: Relative ridge.
        points: Landmarks or rows; none where the coefficients are those of the features.
        features: Features z whose leave-one-out predictions are known.
        reduced: The ridge regression on these features.
        maker: What the features were fitted from, where the coefficients are theirs.
    """

    solution: Solution
    offset: np.ndarray
    ridge: float
    points: np.ndarray
    features: FittedMap
    reduced: Reduced
    maker: FeatureMap | None = None

    def left_out(self, task: Task) -> LeftOut:
        """Leave-one-out predictions of some rows; those of the landmarks where the solution is iterative."""
        return leave_out(self.features, task, self.reduced)


def fit_large(kernel: Any, task: Task, taken: Taken, settings: Landmarks | ConjugateGradient | None) -> LargeFit:
    """Fit by the way that is taken, with its settings where they were given."""
    if not isinstance(kernel, Kernel):
        raise InvalidInput(f"the {taken.name} need a kernel of this package", repr(kernel))
    if taken.name == "iterative":
        tolerance = TOLERANCE if task.X.dtype is np.float32 else 1e-10
        solver = settings if isinstance(settings, ConjugateGradient) else ConjugateGradient(tolerance=tolerance)
        return fit_iterative(kernel, task, solver, taken.why)
    if taken.name == "features":
        return fit_features(kernel, task, taken.size, taken.why)
    return fit_landmarks(kernel, task, taken.size, taken.why)


def fit_landmarks(kernel: Kernel, task: Task, size: int, why: str) -> LargeFit:
    """Ridge regression on the span of the kernel at landmarks that randomly pivoted Cholesky chooses.

    min over a, b of sum_i w_i |y_i - f(x_i) - b|^2 + r |f|^2 in the kernel's norm, for f = sum_j a_j K(., x_j) over the
    landmarks x_j: with all rows as landmarks it is kernel ridge regression (with a free offset b).

    Args:
        kernel: K.
        task: Rows and targets.
        size: Number of landmarks.
        why: The reason for this way.

    Cost:
        n size values of the kernel, n size^2 flops in float32 and as many in float64, one pass over the rows.
    """
    fitted = choose_landmarks(kernel, task, size)
    reduced = fit_reduced(fitted, task)
    dual = fitted.basis.coefficients(torch.from_numpy(reduced.coefficients)).numpy()
    points = fitted.basis.landmarks.numpy()
    how = f"ridge regression on {len(points):,} landmarks of {len(task.X):,} rows, {_facts(reduced)} ({why})"
    solution = Solution(dual, True, reduced.residual, 1, how)
    return LargeFit(solution, reduced.offset, reduced.ridge, points, fitted, reduced)


def fit_features(kernel: Kernel, task: Task, size: int, why: str) -> LargeFit:
    """Ridge regression on explicit features that `Sketch` chooses for the kernel by a sample of the rows.

    Args:
        kernel: K.
        task: Rows and targets.
        size: Number of features.
        why: The reason for this way.

    Cost:
        The features, and n size^2 flops in float64; one pass over the rows, of which none are kept.
    """
    sample = task.X[spread_rows(task.target, SAMPLE)]
    choice = Sketch(kernel, size).decide(sample)
    fitted = choice.features.fit(sample)
    reduced = fit_reduced(fitted, task)
    how = f"ridge regression on {size:,} features ({choice.why}), {_facts(reduced)} ({why})"
    solution = Solution(reduced.coefficients, True, reduced.residual, 1, how)
    points = np.empty((0, sample.shape[1]), dtype=sample.dtype)
    return LargeFit(solution, reduced.offset, reduced.ridge, points, fitted, reduced, choice.features)


def _facts(reduced: Reduced) -> str:
    freedom, score = reduced.degrees_of_freedom, reduced.score
    return f"{freedom:,.0f} degrees of freedom, generalised cross-validation score {score:.4g}"


def choose_landmarks(kernel: Kernel, task: Task, size: int) -> FittedNystroem:
    """Landmarks among some of the rows, drawn at random."""
    count = candidate_rows(len(task.X), size)
    index = np.sort(np.random.default_rng(0).choice(len(task.X), count, replace=False))
    return Nystroem(kernel, min(size, count), candidates=count).fit(task.X[index])


def fit_iterative(kernel: Kernel, task: Task, solver: ConjugateGradient, why: str) -> LargeFit:
    """Kernel ridge regression on all rows, by products with the Gram matrix, which is never stored.

    The ridge is chosen on `RIDGE_LANDMARKS` landmarks by all the rows, where it is not given; so are the leave-one-out
    predictions, whatever the solution.

    Args:
        kernel: K.
        task: Rows and targets.
        solver: Conjugate gradients.
        why: The reason for this way.

    Cost:
        A product with the matrix for each step; the rows are copied once, in float32.
    """
    fitted = choose_landmarks(kernel, task, min(RIDGE_LANDMARKS, len(task.X)))
    reduced = fit_reduced(fitted, task)
    points = task.X[:]
    weights = None if (task.weight == 1).all() else task.weight
    found = solver.solve(KernelMatrix(kernel, points), task.target, reduced.ridge, weights)
    solution = replace(found, how=f"{found.how} ({why})")
    return LargeFit(solution, np.zeros(task.target.shape[1]), reduced.ridge, points, fitted, reduced)
