"""Weighted first and second moments of features and targets, kept about their own means in float64."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg.blas import dsyr, dsyrk  # pyright: ignore[reportAttributeAccessIssue]

from widenet._arrays import row_blocks
from widenet.solvers._fused_moments import write_centred, write_mean

_BLOCK_BYTES = 2**25  # of the rows that are centred at a time, in float64


@dataclass(eq=False)
class CentredMoments:
    """Sums over rows z_i with targets y_i and weights w_i, about the weighted means z' and y'.

    The means move with the rows by Chan's update, so that no large number is ever taken from another: with the sums of
    the rows so far (a) and of a block of rows (b), both about their own means,

        G = G_a + G_b + W_a W_b / (W_a + W_b) (z'_b - z'_a) (z'_b - z'_a)^T.

    Attributes:
        weight: W = sum_i w_i.
        feature_mean: z', (s,).
        target_mean: y', (t,).
        gram: G = sum_i w_i (z_i - z') (z_i - z')^T, (s, s) in Fortran order; only its upper triangle is kept.
        cross: sum_i w_i (z_i - z') (y_i - y')^T, (s, t).
        squares: sum_i w_i (y_i - y')^2, (t,).

    References:
        Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """

    weight: float
    feature_mean: Float[ndarray, "s"]
    target_mean: Float[ndarray, "t"]
    gram: Float[ndarray, "s s"]
    cross: Float[ndarray, "s t"]
    squares: Float[ndarray, "t"]

    @classmethod
    def empty(cls, size: int, outputs: int) -> "CentredMoments":
        """The moments of no rows."""
        gram = np.zeros((size, size), order="F")
        return cls(0.0, np.zeros(size), np.zeros(outputs), gram, np.zeros((size, outputs)), np.zeros(outputs))

    def copy(self) -> "CentredMoments":
        """Moments of their own with the same numbers."""
        arrays = (self.feature_mean, self.target_mean, self.gram, self.cross, self.squares)
        return CentredMoments(self.weight, *(array.copy(order="F") for array in arrays))

    def add_rows(self, Z: Float[ndarray, "n s"], y: Float[ndarray, "n t"], weight: Float[ndarray, "n"]) -> None:
        """Take rows in, in blocks of 32 MiB; products in float64, half of the symmetric one.

        Cost:
            n s (s + 2 t) flops.
        """
        size = max(1, min(len(Z), _BLOCK_BYTES // (8 * Z.shape[1])))
        centred = np.empty((size, Z.shape[1]))
        for part in row_blocks(len(Z), size):
            self._add_block(Z[part], y[part], weight[part], centred[: len(Z[part])])

    def _add_block(
        self,
        Z: Float[ndarray, "n s"],
        y: Float[ndarray, "n t"],
        weight: Float[ndarray, "n"],
        centred: Float[ndarray, "n s"],
    ) -> None:
        total, feature_mean = float(weight.sum()), np.empty(Z.shape[1])
        write_mean(Z, weight / total, feature_mean)
        write_centred(Z, weight, feature_mean, centred)
        target_mean = weight @ y / total
        target = (y - target_mean) * np.sqrt(weight)[:, None]
        self._move(total, feature_mean, target_mean)
        self.gram = dsyrk(1.0, centred.T, beta=1.0, c=self.gram, overwrite_c=1)
        self.cross += centred.T @ target
        self.squares += np.square(target).sum(axis=0)

    def add(self, other: "CentredMoments") -> None:
        """Take the moments of other rows in."""
        if other.weight == 0.0:
            return
        self._move(other.weight, other.feature_mean, other.target_mean)
        self.gram += other.gram
        self.cross += other.cross
        self.squares += other.squares

    def _move(self, weight: float, feature_mean: Float[ndarray, "s"], target_mean: Float[ndarray, "t"]) -> None:
        """Move the means to those with further rows, and add what lies between the two means."""
        total = self.weight + weight
        between = self.weight * weight / total
        feature_step, target_step = feature_mean - self.feature_mean, target_mean - self.target_mean
        if between > 0:
            self.gram = dsyr(between, feature_step, a=self.gram, overwrite_a=1)
            self.cross += between * np.outer(feature_step, target_step)
            self.squares += between * np.square(target_step)
        self.feature_mean = self.feature_mean + weight / total * feature_step
        self.target_mean = self.target_mean + weight / total * target_step
        self.weight = total
