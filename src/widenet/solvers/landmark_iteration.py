"""Kernel ridge on landmarks by conjugate gradients: products with K(X, landmarks), which is never stored."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from widenet._arrays import row_blocks
from widenet.errors import NotPositiveDefinite
from widenet.linalg.conjugate_gradient import Reached, block_conjugate_gradient
from widenet.linalg.landmark_basis import LandmarkBasis
from widenet.linalg.preconditioners import add_gram
from widenet.linalg.products import TileSums, add_block, add_transposed_block

_SAMPLE = 8  # rows of the preconditioner for each landmark: its condition is then about 4, by Marchenko and Pastur
_LEAST_SAMPLE = 4096
_BYTES = 2**26  # of the values of the kernel that are computed at a time


@dataclass(frozen=True, eq=False)
class Iterated:
    """Coefficients w in the coordinates of the features, intercepts, and what was reached."""

    weights: Float[Tensor, "m outputs"]
    intercepts: Float[Tensor, "outputs"]
    reached: Reached


class CentredRows:
    """Rows z_i - z' with z_i = L^-1 K(landmarks, x_i), about their weighted mean, without being stored.

    Args:
        basis: Landmarks and L.
        X: Points, (n, ...).
        weight: Weights, (n,), float64.
    """

    def __init__(self, basis: LandmarkBasis, X: Tensor, weight: Tensor) -> None:
        self.basis, self.X, self.weight = basis, X, weight
        self.lower = basis.lower.to(X.device)
        self.mean = torch.zeros(basis.rank, dtype=torch.float64, device=X.device)

    def centre(self, y: Float[Tensor, "n outputs"]) -> Float[Tensor, "m outputs"]:
        """Find the mean, and give sum_i w_i (z_i - z') (y_i - y')^T, in one pass."""
        total = self.weight.sum()
        centred = (y - self.weight @ y / total) * self.weight[:, None]
        right = torch.cat([self.weight[:, None], centred], dim=1)
        sums = torch.zeros(self.basis.rank, right.shape[1], dtype=torch.float64, device=self.X.device)
        for rows in self._blocks():
            self._add_transposed(sums, self.basis.cross(self.X[rows]), right[rows])
        turned = torch.linalg.solve_triangular(self.lower, sums, upper=False)
        self.mean = turned[:, 0] / total
        return turned[:, 1:]

    def gram_product(self, V: Float[Tensor, "m k"]) -> Float[Tensor, "m k"]:
        """sum_i w_i (z_i - z') (z_i - z')^T V; every value of the kernel is computed once."""
        right = torch.linalg.solve_triangular(self.lower.T, V, upper=True)
        shift = self.mean @ V
        sums = torch.zeros_like(V)
        for rows in self._blocks():
            cross = self.basis.cross(self.X[rows])
            forward = TileSums(right, len(cross))
            add_block(forward, cross, slice(0, len(cross)), slice(0, cross.shape[1]), mirror=False)
            self._add_transposed(sums, cross, (forward.result - shift) * self.weight[rows, None])
        return torch.linalg.solve_triangular(self.lower, sums, upper=False)

    def sample_gram(self, rows: Tensor) -> Float[Tensor, "m m"]:
        """The same matrix estimated from some rows: its lower triangle."""
        weight = self.weight[rows]
        result = torch.zeros_like(self.lower)
        for part in row_blocks(len(rows), max(1, _BYTES // (8 * self.basis.rank))):
            Z = self.basis.features(self.X[rows[part]])[:, : self.basis.rank].to(torch.float64)
            add_gram(result, (Z - self.mean).T, weight[part].sqrt())
        return result * float(self.weight.sum() / weight.sum())

    def _blocks(self):
        return row_blocks(len(self.X), max(1, _BYTES // (self.X.element_size() * self.basis.rank)))

    def _add_transposed(self, sums: Tensor, cross: Tensor, right: Tensor) -> None:
        backward = TileSums(right, cross.shape[1])
        add_transposed_block(backward, cross, slice(0, len(cross)), slice(0, cross.shape[1]))
        sums += backward.result


def iterate(
    rows: CentredRows, y: Float[Tensor, "n outputs"], ridge: float, limits: tuple[float, int], seed: int
) -> Iterated:
    """Minimise sum_i w_i |y_i - w . z_i - b|^2 + ridge |w|^2 by preconditioned block conjugate gradients.

    The preconditioner is the same matrix from a sample of the rows: eight for each landmark, and 4,096 at least.

    Args:
        rows: The features.
        y: Targets, float64.
        ridge: The absolute ridge.
        limits: Goal for the largest relative residual of the normal equations, and most steps.
        seed: Seed of the sample.

    Raises:
        NotPositiveDefinite: Where the ridge is below the rounding of the preconditioner.

    Cost:
        n m values of the kernel a step; 16 m^3 flops for the preconditioner. Memory: m^2 float64 numbers, four times.

    References:
        Rudi, Carratino and Rosasco 2017, arXiv 1705.10958 (Falkon). Its preconditioner takes the landmarks for the
        sample; here they are chosen by their residual, and would stand for the rows badly.
    """
    n, m = len(rows.X), rows.basis.rank
    right = rows.centre(y)
    generator = torch.Generator().manual_seed(seed)
    count = min(n, max(_SAMPLE * m, _LEAST_SAMPLE))
    sample = torch.randperm(n, generator=generator)[:count].to(rows.X.device)
    matrix = rows.sample_gram(sample)
    matrix.diagonal().add_(ridge)
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info):
        raise NotPositiveDefinite(
            f"a ridge of {ridge:.2g} must stand out of the rounding of Z^T W Z",
            f"a largest diagonal entry of {float(matrix.diagonal().max()):.2g}",
            "Give a larger ridge",
        )
    reached = block_conjugate_gradient(
        lambda V: rows.gram_product(V) + ridge * V,
        lambda R: torch.cholesky_solve(R, lower),
        right,
        limits,
    )
    mean = rows.weight @ y / rows.weight.sum()
    return Iterated(reached.value, mean - rows.mean @ reached.value, reached)
