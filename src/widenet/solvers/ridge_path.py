"""Ridge regression on features for every ridge, from one decomposition of its normal equations."""

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray

from widenet._arrays import Array
from widenet.errors import InvalidInput
from widenet.solvers.base import RidgeScale
from widenet.solvers.centred_moments import CentredMoments

_ROUNDING = 64  # of eps times the largest eigenvalue: eigenvalues below are the rounding of the sums
_LARGEST_VARIANCE = 100.0  # of functions, over that of the targets
_LEAST = 1e-12  # below it 1 - h has lost its digits


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Solutions of ridge regression for several ridges: f(z) = z . coefficients + intercept.

    Attributes:
        ridges: The ridges as they were asked for, (r,).
        absolute: What is added to the eigenvalues, (r,).
        coefficients: (r, s, t).
        intercepts: (r, t).
        squared_errors: Mean squared error of the rows themselves, weighted, (r, t).
        degrees_of_freedom: Trace of the hat matrix, the intercept's 1 included, (r,).
        gcv: Generalised cross-validation score of each target, (r, t); infinite where no freedom is left.
    """

    ridges: Float[ndarray, "r"]
    absolute: Float[ndarray, "r"]
    coefficients: Float[ndarray, "r s t"]
    intercepts: Float[ndarray, "r t"]
    squared_errors: Float[ndarray, "r t"]
    degrees_of_freedom: Float[ndarray, "r"]
    gcv: Float[ndarray, "r t"]


@dataclass(frozen=True, eq=False)
class RidgeSpectrum:
    """V diag(d) V^T, the centred second moments of features, and what follows for every ridge.

    The problem solved is min over a, b of sum_i w_i |y_i - z_i . a - b|^2 + ridge |a|^2; the intercept b carries no
    penalty. A relative ridge is multiplied by the mean squared norm of the features, which is the mean diagonal of the
    Gram matrix Z Z^T, as for all solvers of this package.

    Attributes:
        eigenvalues: d, positive, ascending, (k,); directions whose eigenvalue is rounding are left out.
        vectors: V, (s, k).
        projections: V^T Z^T W y of the centred rows, (k, t).
        outside: Squared length of the part of the centred targets that no coefficients reach, (t,).
        feature_mean: Weighted mean of the features, (s,).
        target_mean: Weighted mean of the targets, (t,).
        weight: W, the sum of the weights.
        observations: Number of rows; one of weight w > 1 counts as w rows.
        level: Mean squared norm of the features, the unit of relative ridges.
        ridge_scale: "relative" or "absolute".
    """

    eigenvalues: Float[ndarray, "k"]
    vectors: Float[ndarray, "s k"]
    projections: Float[ndarray, "k t"]
    outside: Float[ndarray, "t"]
    feature_mean: Float[ndarray, "s"]
    target_mean: Float[ndarray, "t"]
    weight: float
    observations: float
    level: float
    ridge_scale: RidgeScale = field(default="relative")

    @classmethod
    def of_moments(cls, moments: CentredMoments, observations: float, ridge_scale: str = "relative") -> "RidgeSpectrum":
        """Decompose the moments of more rows than features; cost 9 s^3 flops, memory for four matrices (s, s)."""
        level = (float(np.trace(moments.gram)) / moments.weight) + float(np.square(moments.feature_mean).sum())
        values, vectors = scipy.linalg.eigh(moments.gram, lower=False, driver="evd", check_finite=False)
        kept = values > _floor(values)
        values, vectors = values[kept], vectors[:, kept]
        projections = vectors.T @ moments.cross
        reached = np.square(projections) / values[:, None]
        outside = np.maximum(moments.squares - reached.sum(axis=0), 0.0)
        means = (moments.feature_mean, moments.target_mean)
        return cls(
            values, vectors, projections, outside, *means, moments.weight, observations, level, _checked(ridge_scale)
        )

    @classmethod
    def of_rows(
        cls,
        Z: Float[ndarray, "n s"],
        y: Float[ndarray, "n t"],
        weight: Float[ndarray, "n"],
        ridge_scale: str = "relative",
    ) -> "RidgeSpectrum":
        """Decompose the Gram matrix of fewer rows than features (the dual); cost 9 n^3 + 4 n^2 s flops."""
        share, root = weight / weight.sum(), np.sqrt(weight)[:, None]
        feature_mean, target_mean = share @ Z.astype(np.float64, copy=False), share @ y
        centred, target = root * np.subtract(Z, feature_mean, dtype=np.float64), root * (y - target_mean)
        values, vectors = scipy.linalg.eigh(centred @ centred.T, driver="evd", check_finite=False)
        kept = values > _floor(values)
        turned = vectors.T @ target
        outside = np.square(turned[~kept]).sum(axis=0)
        root_values = np.sqrt(values[kept])
        # For targets that the features reach in full, what is outside would be lost as a difference.
        features = centred.T @ (vectors[:, kept] / root_values)
        projections = root_values[:, None] * turned[kept]
        total = float(weight.sum())
        level = float(np.square(centred).sum()) / total + float(np.square(feature_mean).sum())
        means = (feature_mean, target_mean)
        seen = observations(weight)
        return cls(values[kept], features, projections, outside, *means, total, seen, level, _checked(ridge_scale))

    def absolute(self, ridges: Array) -> Float[ndarray, "r"]:
        """What is added to the eigenvalues, from ridges as they are given.

        Raises:
            InvalidInput: On ridges that are not finite numbers of at least 0.
        """
        array = np.atleast_1d(np.asarray(ridges, dtype=np.float64))
        if array.ndim != 1 or not ((array >= 0) & (array < np.inf)).all():
            raise InvalidInput("ridges must be finite and at least 0", repr(ridges)[:80])
        return array * self.level if self.ridge_scale == "relative" else array

    @property
    def target_variances(self) -> Float[ndarray, "t"]:
        """Weighted variance of each target."""
        return (self.outside + (np.square(self.projections) / self.eigenvalues[:, None]).sum(axis=0)) / self.weight

    def coefficients(self, ridges: Array) -> Float[ndarray, "r s t"]:
        """Coefficients a for each ridge; for ridge 0 those of least length."""
        shrunk = self.projections / (self.eigenvalues + self.absolute(ridges)[:, None])[:, :, None]
        return np.einsum("sk,rkt->rst", self.vectors, shrunk, optimize=True)

    def degrees_of_freedom(self, ridges: Array) -> Float[ndarray, "r"]:
        """Trace of the hat matrix, 1 + sum_k d_k / (d_k + ridge)."""
        return 1.0 + (self.eigenvalues / (self.eigenvalues + self.absolute(ridges)[:, None])).sum(axis=1)

    def squared_errors(self, ridges: Array) -> Float[ndarray, "r t"]:
        """Weighted mean squared error of the rows of the fit."""
        absolute = self.absolute(ridges)[:, None]
        rest = np.square(absolute / (self.eigenvalues + absolute))
        return (self.outside + rest @ (np.square(self.projections) / self.eigenvalues[:, None])) / self.weight

    def generalized_cross_validation(self, ridges: Array) -> Float[ndarray, "r t"]:
        """GCV score, mean(w (y - f)^2) / (1 - dof / n)^2; infinite where dof reaches the number n of rows.

        References:
            Golub, Heath and Wahba 1979, "Generalized cross-validation as a method for choosing a good ridge parameter".
        """
        free = 1.0 - self.degrees_of_freedom(ridges) / self.observations
        usable = free > _LEAST
        scores = self.squared_errors(ridges) / np.square(np.where(usable, free, 1.0))[:, None]
        return np.where(usable[:, None], scores, np.inf)

    def path(self, ridges: Array) -> RidgePath:
        """Everything for each ridge.

        Args:
            ridges: Ridges of at least 0 in the unit of `ridge_scale`, (r,).

        Cost:
            2 s k t flops a ridge.
        """
        coefficients = self.coefficients(ridges)
        intercepts = self.target_mean - np.einsum("s,rst->rt", self.feature_mean, coefficients)
        return RidgePath(
            np.atleast_1d(np.asarray(ridges, dtype=np.float64)),
            self.absolute(ridges),
            coefficients,
            intercepts,
            self.squared_errors(ridges),
            self.degrees_of_freedom(ridges),
            self.generalized_cross_validation(ridges),
        )

    def leave_one_out(self, Z: Array, y: Array, ridges: Array, weight: Array | None = None) -> Float[ndarray, "r n t"]:
        """Prediction of each of these rows by the solution of all the other rows of the fit.

        f_-i = y_i - (y_i - f_i) / (1 - h_i / max(w_i, 1)) with the leverage
        h_i = w_i (1 / W + |(diag(d) + ridge)^-1/2 V^T (z_i - z')|^2): exact, without a refit. It leaves out one
        unit of the weight of a row, so that a row of weight 2 counts as one given twice. Rows may come in any
        blocks, and may be any part of the rows of the fit.

        Args:
            Z: Features of rows of the fit, (n, s).
            y: Their targets, (n,) or (n, t).
            ridges: Ridges in the unit of `ridge_scale`, (r,).
            weight: Their weights, (n,), or None for ones.

        Returns:
            Predictions, (r, n, t); where a row alone decides its own prediction, the mean of the targets.

        Cost:
            2 n k (s + r + r t) flops.

        References:
            Allen 1974, "The relationship between variable selection and data augmentation" (PRESS).
        """
        target = np.asarray(y, dtype=np.float64).reshape(len(Z), -1)
        weights = np.ones(len(Z)) if weight is None else np.asarray(weight, dtype=np.float64)
        turned = np.subtract(Z, self.feature_mean, dtype=np.float64) @ self.vectors
        inverse = 1.0 / (self.eigenvalues + self.absolute(ridges)[:, None])
        leverage = weights[:, None] * (1.0 / self.weight + np.square(turned) @ inverse.T)
        kept = (1.0 - leverage / np.maximum(weights, 1.0)[:, None]).T[:, :, None]
        fitted = np.einsum("nk,rkt->rnt", turned, inverse[:, :, None] * self.projections, optimize=True)
        fitted += self.target_mean
        left_out = target - (target - fitted) / np.maximum(kept, _LEAST)
        return np.where(kept > _LEAST, left_out, self.target_mean)


def best_ridge(ridges: Float[ndarray, "r"], scores: Float[ndarray, "r"]) -> int:
    """Position of the relative ridge of least score, of those under which functions are not absurdly large.

    A relative ridge r is the variance of the noise over that of a Gaussian process f at a point, so that f has the
    variance (score / r) of the targets'. It may be up to 100 times it. Where features are few beside the rows, smaller
    ridges can have the least score by a little: coefficients then grow without bound in directions that the rows hardly
    have, and rows that have them are predicted absurdly.

    Args:
        ridges: Over the mean diagonal of the kernel, ascending.
        scores: Cross-validation errors over the variance of the targets.

    Returns:
        The position; the last one where no ridge is large enough.
    """
    tame = ridges * _LARGEST_VARIANCE >= scores
    return int(np.where(tame, scores, np.inf).argmin()) if tame.any() else len(ridges) - 1


def observations(weight: Float[ndarray, "n"]) -> float:
    """How many rows these weights stand for: one of weight w > 1 counts as w rows, others as one."""
    return float(np.maximum(weight, 1.0).sum())


def _floor(values: Float[ndarray, "k"]) -> float:
    return _ROUNDING * float(np.finfo(np.float64).eps) * float(values[-1])


def _checked(ridge_scale: str) -> RidgeScale:
    if ridge_scale == "relative" or ridge_scale == "absolute":  # noqa: PLR1714 (narrows the type)
        return ridge_scale
    raise InvalidInput("ridge_scale must be 'relative' or 'absolute'", repr(ridge_scale))
