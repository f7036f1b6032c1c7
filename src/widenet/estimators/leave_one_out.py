"""Leave-one-out predictions of kernel ridge in closed form, for a whole path of ridges or from one Cholesky factor."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray

from widenet.solvers.cholesky import CholeskyFactor

_LEAST = 1e-12  # below it 1 - h has lost its digits
_LEAST_RIDGE = 1e-30  # in place of 0: the limit, without 0 / 0


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Eigen-decomposition of a weighted Gram matrix, from which every ridge follows in O(n^2).

    With weights w, D = diag(sqrt(w)) and D K D = Q diag(lambda) Q^T, the residual of row i at the absolute ridge r is
    e_i = r (M^-1 D y)_i / sqrt(w_i), M = D K D + r I, and the leverage is h_i = 1 - r (M^-1)_ii. Leaving out
    one unit of the weight of a row (the whole row where w_i <= 1) gives the error e_i / (1 - h_i / max(w_i, 1)):
    a row of weight 2 counts as the same row given twice, so weights and repetitions choose the same model.
    `solvers.Spectral` leaves out whole rows instead, whatever their weight, and serves both precisions.

    Attributes:
        values: Eigenvalues of D K D, (n,).
        vectors: Eigenvectors Q, (n, n).
        weight: w, (n,), positive.
        level: Mean diagonal of K under the weights: the unit of relative ridges.

    References:
        Allen 1974 (PRESS); Rasmussen and Williams 2006, section 5.4.2.
    """

    values: Float[ndarray, "n"]
    vectors: Float[ndarray, "n n"]
    weight: Float[ndarray, "n"]
    level: float

    @classmethod
    def of(cls, K: Float[ndarray, "n n"], weight: Float[ndarray, "n"]) -> "LeaveOneOut":
        """Decompose D K D in float64; cost 9 n^3 flops."""
        root = np.sqrt(weight)
        level = float(weight @ np.diagonal(K) / weight.sum())
        weighted = root[:, None] * np.asarray(K, dtype=np.float64) * root
        values, vectors = scipy.linalg.eigh(weighted, driver="evd", check_finite=False, overwrite_a=True)
        return cls(np.maximum(values, 0.0), vectors, weight, level)

    def predictions(self, y: Float[ndarray, "n t"], ridges: Float[ndarray, "r"]) -> Float[ndarray, "r n t"]:
        """Prediction of each row from the others, for each relative ridge.

        Args:
            y: Centred targets, (n, t).
            ridges: Ridges of at least 0 over the mean diagonal, (r,).
        """
        n, outputs = y.shape
        root = np.sqrt(self.weight)[:, None]
        absolute = np.maximum(ridges, _LEAST_RIDGE) * self.level
        inverse = absolute / (self.values[:, None] + absolute)
        spectral = inverse[:, :, None] * (self.vectors.T @ (root * y))[:, None, :]
        residual = (self.vectors @ spectral.reshape(n, -1)).reshape(n, len(ridges), outputs) / root[:, :, None]
        rest = np.square(self.vectors) @ inverse
        leverage = 1.0 - rest
        kept = 1.0 - leverage / np.maximum(self.weight, 1.0)[:, None]
        kept = np.where(kept > _LEAST, kept, rest)
        return np.moveaxis(y[:, None, :] - residual / kept[:, :, None], 1, 0)


def factor_predictions(
    factor: CholeskyFactor, dual: Float[ndarray, "n t"], y: Float[ndarray, "n t"], weight: Float[ndarray, "n"]
) -> Float[ndarray, "n t"]:
    """Prediction of each row from the others at the ridge of a Cholesky factor; n^3 / 3 more flops.

    Args:
        factor: Factor of K + N, N = ridge diag(1 / w).
        dual: Coefficients (K + N)^-1 y.
        y: Centred targets.
        weight: w.
    """
    noise = factor.noise.numpy()
    residual = noise[:, None] * dual
    inverse = np.asarray(factor.inverse_diagonal())
    leverage = 1.0 - noise * inverse
    kept = (1.0 - leverage / np.maximum(weight, 1.0))[:, None]
    return y - np.where(kept > _LEAST, residual / np.maximum(kept, _LEAST), dual / inverse[:, None])
