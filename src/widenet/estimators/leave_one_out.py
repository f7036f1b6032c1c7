"""Leave-one-out predictions of kernel ridge in closed form, for a whole path of ridges."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Eigen-decomposition of a weighted Gram matrix, from which every ridge follows in O(n^2).

    With weights w, D = diag(sqrt(w)) and D K D = Q diag(lambda) Q^T, the residual of row i at the absolute ridge r is
    e_i = r (M^-1 D y)_i / sqrt(w_i), M = D K D + r I, and the leverage is h_i = 1 - r (M^-1)_ii. Leaving out
    one unit of the weight of a row (the whole row where w_i <= 1) gives the error e_i / (1 - h_i / max(w_i, 1)):
    a row of weight 2 counts as the same row given twice.

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
        """Decompose D K D; cost 9 n^3 flops."""
        root = np.sqrt(weight)
        level = float(weight @ np.diagonal(K) / weight.sum())
        values, vectors = scipy.linalg.eigh(
            root[:, None] * K * root, driver="evd", check_finite=False, overwrite_a=True
        )
        return cls(np.maximum(values, 0.0), vectors, weight, level)

    def predictions(self, y: Float[ndarray, "n t"], ridges: Float[ndarray, "r"]) -> Float[ndarray, "r n t"]:
        """Prediction of each row from the others, for each relative ridge.

        Args:
            y: Centred targets, (n, t).
            ridges: Positive ridges over the mean diagonal, (r,).
        """
        root = np.sqrt(self.weight)[:, None]
        projected = self.vectors.T @ (root * y)
        squares = np.square(self.vectors)
        result = np.empty((len(ridges), *y.shape))
        for index, ridge in enumerate(ridges * self.level):
            inverse = 1.0 / (self.values + ridge)
            residual = ridge * (self.vectors @ (inverse[:, None] * projected)) / root
            leverage = 1.0 - ridge * (squares @ inverse)
            kept = 1.0 - leverage / np.maximum(self.weight, 1.0)
            result[index] = y - residual / np.maximum(kept, np.finfo(y.dtype).eps)[:, None]
        return result
