"""What the chosen kernel does on a table: its leave-one-out curve, its profile over the angle, and its spectra."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import eigvalsh
from torch import Tensor

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput, WidenetError
from widenet.estimators import KernelClassifier, KernelRegressor
from widenet.estimators.leave_one_out import LeaveOneOut
from widenet.estimators.table_encoder import TableEncoder
from widenet.experiments.comparison import Comparison
from widenet.kernels import NTK, Gaussian, Kernel, Laplace, Scaled, Sum
from widenet.kernels.angle import AngularTerm
from widenet.theory import decay_slope, zonal_spectrum

RIDGES = 10.0 ** np.arange(-7.0, 2.01, 0.25)
MOST_ROWS = 2000
SPHERE_DIMENSION = 10
DEGREES = 30


@dataclass(frozen=True)
class OnRadius(Kernel):
    """A kernel on points scaled by a radius: K(r x, r y)."""

    kernel: Kernel
    radius: float

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        terms = self.kernel._angular(fan_in, None if norm is None else norm * self.radius)
        if terms is None:
            return None
        return tuple(
            AngularTerm(t.degree, _times(self.radius ** (2 * t.degree), t.function), t.vanishing) for t in terms
        )

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.kernel._cross(self.radius * X, self.radius * Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.kernel._diagonal(self.radius * X)


def _times(factor: float, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda theta: factor * function(theta)


@dataclass(frozen=True, eq=False)
class KernelView:
    """The best kernel method of a comparison, fitted once more on all rows.

    Attributes:
        name: Name of the method.
        kernel: Its kernel.
        ridge: Its relative ridge.
        ridges: Relative ridges of the curve.
        losses: Mean squared leave-one-out error at each ridge, over the variance of the target.
        loss_errors: Standard errors over the rows of these means.
        angles: Angles in degrees.
        profiles: Name and K(angle) / K(0) of the kernel and two others, for rows of the typical length.
        gram_eigenvalues: Eigenvalues of the Gram matrix over the mean diagonal and the number of rows, largest first.
        effective_dimension: sum_i lambda_i / (lambda_i + ridge) of the Gram matrix.
        sphere: lambda_k / lambda_0 on the sphere in 10 dimensions by degree, NaN where too small to be known.
        slope: Fitted power of the decay of `sphere`, or NaN.
    """

    name: str
    kernel: Kernel
    ridge: float
    ridges: Float[ndarray, " r"]
    losses: Float[ndarray, " r"]
    loss_errors: Float[ndarray, " r"]
    angles: Float[ndarray, " a"]
    profiles: list[tuple[str, Float[ndarray, " a"]]]
    gram_eigenvalues: Float[ndarray, " n"]
    effective_dimension: float
    sphere: Float[ndarray, " k"]
    slope: float


def view_kernel(comparison: Comparison) -> KernelView | None:
    """Fit the best kernel method on all rows and look at its kernel; None where no kernel method has scores.

    Cost: one fit of the method and one eigen-decomposition of at most 2,000 rows.
    """
    kernel_results = [r for r in comparison.results if r.method.family == "widenet" and not r.failure]
    if not kernel_results:
        return None
    table, method = comparison.table, kernel_results[0].method
    X = TableEncoder().fit(table.features).transform(table.features)
    model = method.make(comparison.plan.seed, X.shape[1])
    if not isinstance(model, (KernelRegressor, KernelClassifier)):
        raise InvalidInput("only the kernel of a kernel estimator can be viewed", type(model).__name__)
    model.fit(X, table.target)
    kernel, ridge = model.kernel_, float(model.ridge_)
    if not isinstance(kernel, Kernel):
        raise InvalidInput("only kernels of this package can be viewed", type(kernel).__name__)
    X = model.scaler_.transform(X, np.float64)
    rows = np.linspace(0, len(X) - 1, min(len(X), MOST_ROWS)).astype(int)
    X, target = X[rows], _centred_targets(comparison)[rows]
    K = np.asarray(kernel(X), dtype=np.float64)
    path = LeaveOneOut.of(K.copy(), np.ones(len(K))).predictions(target, RIDGES)
    losses = np.square(path - target).sum(axis=2) / np.square(target).sum(axis=1).mean()
    values = np.maximum(eigvalsh(K)[::-1] / np.trace(K), 0.0)
    shares = len(K) * values
    radius = float(np.sqrt(np.square(X).sum(axis=1).mean()))
    angles, profiles = _profiles(kernel, radius, X.shape[1])
    sphere, slope = _sphere(kernel, radius)
    return KernelView(
        name=method.name,
        kernel=kernel,
        ridge=ridge,
        ridges=RIDGES,
        losses=losses.mean(axis=1),
        loss_errors=losses.std(axis=1, ddof=1) / np.sqrt(len(K)),
        angles=angles,
        profiles=profiles,
        gram_eigenvalues=values,
        effective_dimension=float(np.sum(shares / (shares + ridge))),
        sphere=sphere,
        slope=slope,
    )


def kernel_shares(kernel: Kernel) -> list[tuple[float, Kernel]]:
    """The terms of a weighted sum of kernels with their factors, largest first."""
    if isinstance(kernel, Sum):
        return sorted(kernel_shares(kernel.first) + kernel_shares(kernel.second), key=lambda term: -term[0])
    if isinstance(kernel, Scaled):
        return [(kernel.factor * factor, inner) for factor, inner in kernel_shares(kernel.kernel)]
    return [(1.0, kernel)]


def kernel_in_words(kernel: Kernel) -> str:
    """A kernel's expression with its numbers to three digits, for people."""
    return re.sub(r"\d+\.\d{4,}(e[+-]?\d+)?", lambda number: f"{float(number[0]):.3g}", repr(kernel))


def _centred_targets(comparison: Comparison) -> np.ndarray:
    target = comparison.table.target
    if comparison.table.task == "regression":
        columns = target[:, None].astype(np.float64)
    else:
        columns = (target[:, None] == np.unique(target)[None, :]).astype(np.float64)
    return columns - columns.mean(axis=0)


def _profiles(kernel: Kernel, radius: float, dimension: int) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    angles = np.linspace(0.0, 180.0, 121)
    circle = np.zeros((len(angles), max(dimension, 2)))
    circle[:, 0], circle[:, 1] = radius * np.cos(np.deg2rad(angles)), radius * np.sin(np.deg2rad(angles))
    others = [
        ("NTK, 3 layers", NTK(fully_connected(3))),
        ("Laplace", Laplace(np.sqrt(2) * radius)),
        ("Gaussian", Gaussian(np.sqrt(2) * radius)),
    ]
    curves = [("chosen", kernel), *(pair for pair in others if pair[1] != kernel)]
    values = [(name, np.asarray(k(circle[:1], circle))[0]) for name, k in curves]
    return angles, [(name, v / v[0]) for name, v in values]


def _sphere(kernel: Kernel, radius: float) -> tuple[np.ndarray, float]:
    """Eigenvalues by degree over the first one on the sphere in 10 dimensions, for rows of the typical length."""
    unknown = np.full(DEGREES + 1, np.nan)
    try:
        spectrum = zonal_spectrum(OnRadius(kernel, radius), SPHERE_DIMENSION, DEGREES, "quadrature")
    except InvalidInput:  # a kernel that is not a function of the angle has no such spectrum
        return unknown, float("nan")
    known = spectrum.eigenvalues > 10 * spectrum.errors
    values = np.where(known, spectrum.eigenvalues, np.nan) / spectrum.eigenvalues[0]
    try:
        slope = decay_slope(spectrum, DEGREES // 2, DEGREES) if known[DEGREES // 2 :].all() else float("nan")
    except WidenetError:
        slope = float("nan")
    return values, float(slope)
