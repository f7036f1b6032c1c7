"""Ridge regression on a fitted feature map: one pass over the rows, and the ridge by generalised cross-validation."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_blas_funcs

from widenet._arrays import row_blocks
from widenet.estimators.scaler import ScaledRows
from widenet.estimators.selection import spread_rows
from widenet.features.base import FittedMap
from widenet.solvers.centred_moments import CentredMoments
from widenet.solvers.ridge_path import RidgeSpectrum, best_ridge
from widenet.solvers.streaming import NormalEquations

RIDGES = 10.0 ** np.arange(-8.0, 1.01, 0.25)
"""Ridges over the mean diagonal that are tried; each costs a few products with a vector."""

CALIBRATION_ROWS = 5000
"""Most rows whose leave-one-out predictions calibrate the probabilities of a classifier."""

_BLOCK_BYTES = 2**26  # of the features of a block of rows in float64


@dataclass(frozen=True, eq=False)
class Task:
    """What is fitted.

    Attributes:
        X: Rows as kernels take them, n of them.
        target: Centred targets, (n, t).
        weight: Positive weights, (n,).
        unit: What each target is divided by in the choice of the ridge, (t,).
        level: Mean diagonal of the kernel: the unit of relative ridges.
        ridge: Relative ridge, or None to choose it.
    """

    X: ScaledRows
    target: np.ndarray
    weight: np.ndarray
    unit: np.ndarray
    level: float
    ridge: float | None


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Leave-one-out predictions of some rows.

    Attributes:
        rows: Numbers of the rows, (k,).
        predictions: Of the centred targets, (k, t).
    """

    rows: np.ndarray
    predictions: np.ndarray


@dataclass(frozen=True, eq=False)
class Reduced:
    """A ridge regression f(x) = z(x) . coefficients + offset of centred targets on features z.

    Attributes:
        coefficients: (s, t).
        offset: (t,).
        ridge: Relative ridge.
        score: GCV score over the variance of the targets: 0 is perfect, 1 says nothing.
        degrees_of_freedom: Trace of the hat matrix.
        residual: Largest |(G + r) a - c| / |c| over the targets of the normal equations G, c, in float64.
        spectrum: The decomposed normal equations, for leave-one-out predictions.
    """

    coefficients: np.ndarray
    offset: np.ndarray
    ridge: float
    score: float
    degrees_of_freedom: float
    residual: float
    spectrum: RidgeSpectrum


def fit_reduced(features: FittedMap, task: Task) -> Reduced:
    """Gather the normal equations of the features of all rows, choose the ridge, and solve.

    The ridge is that of least generalised cross-validation score of all the n rows, (|y - f|^2 / n) / (1 - dof / n)^2
    summed over the targets, each in its unit: unlike the choice on a part of the rows it needs no guess of how the
    best ridge moves with n. Ridges under which functions would be absurdly large are left out (`best_ridge`).

    Args:
        features: The fitted map, s features.
        task: Rows and targets.

    Cost:
        The features, n s^2 flops in float64 and 9 s^3 for all ridges.
    """
    equations = NormalEquations(features.size, task.target.shape[1])
    for rows in row_blocks(len(task.X), max(features.size + 1, _BLOCK_BYTES // (8 * features.size))):
        equations.add(features.transform(task.X[rows]), task.target[rows], task.weight[rows])
    spectrum = equations.decompose("absolute")
    ridges = RIDGES if task.ridge is None else np.array([task.ridge])
    scores = (spectrum.generalized_cross_validation(ridges * task.level) / np.square(task.unit)).sum(axis=1)
    variance = task.weight @ np.square(task.target / task.unit).sum(axis=1) / task.weight.sum()
    best = best_ridge(ridges, scores / variance)
    ridge = float(ridges[best])
    path = spectrum.path(np.array([ridge * task.level]))
    freedom = float(path.degrees_of_freedom[0])
    a = path.coefficients[0]
    residual = _residual(equations, a, ridge * task.level)
    return Reduced(a, path.intercepts[0], ridge, float(scores[best] / variance), freedom, residual, spectrum)


def _residual(equations: NormalEquations, a: np.ndarray, ridge: float) -> float:
    state = equations.arrays()
    if "gram" not in state:  # fewer rows than features: they wait as they are
        moments = CentredMoments.empty(*a.shape)
        moments.add_rows(state["waiting_Z"], state["waiting_y"], state["waiting_weight"])
        state |= {"gram": moments.gram, "cross": moments.cross}
    gram, cross = state["gram"], state["cross"]  # of the Gram matrix the upper triangle alone is kept
    (multiply,) = get_blas_funcs(("symm",), (gram, a))
    rest = np.linalg.norm(multiply(1.0, gram, a, lower=0) + ridge * a - cross, axis=0)
    length = np.linalg.norm(cross, axis=0)
    return float((rest / np.where(length > 0, length, 1.0)).max())


def leave_out(features: FittedMap, task: Task, fitted: Reduced) -> LeftOut:
    """Leave-one-out predictions of at most `CALIBRATION_ROWS` rows, spread evenly over the classes."""
    rows = spread_rows(task.target, CALIBRATION_ROWS)
    Z = features.transform(task.X[rows])
    ridge = np.array([fitted.ridge * task.level])
    predictions = fitted.spectrum.leave_one_out(Z, task.target[rows], ridge, task.weight[rows])
    return LeftOut(rows, predictions[0])
