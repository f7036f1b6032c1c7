"""The Cholesky solver: one factor in place, in the precision of K, and a solution refined in float64."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widenet._arrays import Array
from widenet.errors import InvalidInput, NotPositiveDefinite
from widenet.solvers.base import ROUNDING, RidgeScale, Solution, Solver, System, read_system, read_targets
from widenet.solvers.factorisation import factorise
from widenet.solvers.refinement import refine

_TILE = 512  # rows and columns of a tile: its float64 copy, 2 MiB, stays in cache between its two uses


@dataclass(frozen=True)
class Cholesky(Solver):
    """Solve by K + ridge I = L L^T in the precision of K, then refine the solution in float64.

    A float32 matrix is factorised in float32, at half the memory and twice the speed, and the factor
    preconditions conjugate gradients whose residuals are accumulated in float64 from the exact float32
    values of K. The solution then satisfies the system to `tolerance`, as if all had been float64.

    Attributes:
        ridge_scale: "relative" (times the mean diagonal) or "absolute".
        overwrite: Whether the factor may take the lower triangle and the diagonal of K (C order,
            writeable). The strict upper triangle keeps K; no second matrix is held.
        tolerance: Goal for |(K + ridge I) a - y| / |y|.
        max_steps: Most refinement steps.

    Cost:
        n^3 / 3 flops in the precision of K; 2 or 3 refinement steps of 4 n^2 flops an output each.
        Memory: one matrix, two without `overwrite`.

    Example:
        >>> import numpy as np
        >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
        >>> solution = Cholesky(ridge_scale="absolute").solve(K, np.array([4.0, 0.0]), ridge=1.0)
        >>> solution.value.round(12), solution.converged
        (array([ 1.5, -0.5]), True)
    """

    ridge_scale: RidgeScale = "relative"
    overwrite: bool = False
    tolerance: float = 1e-10
    max_steps: int = 100

    def solve(self, K: Array, y: Array, ridge: float, weights: Array | None = None) -> Solution:
        """Factorise and solve; see `Solver.solve`."""
        return self.factor(K, ridge, weights).solve(y)

    def factor(self, K: Array, ridge: float, weights: Array | None = None) -> "CholeskyFactor":
        """Factorise K + ridge diag(1 / w) once, for many uses; arguments as in `Solver.solve`.

        Raises:
            NotPositiveDefinite: Where a pivot is not positive; K is left as it came.
        """
        system = read_system(K, ridge, self.ridge_scale, weights)
        matrix = system.K
        if not matrix.is_contiguous() and matrix.T.is_contiguous():
            matrix = matrix.T
        if not (self.overwrite and matrix.is_contiguous()):
            matrix = matrix.clone(memory_format=torch.contiguous_format)
        if (matrix.diagonal() + system.noise.to(matrix.dtype)).min() <= 0:
            pivot = int((system.diagonal + system.noise).argmin())
        else:
            matrix.diagonal().copy_(system.diagonal + system.noise)
            pivot = factorise(matrix)
        if pivot is not None:
            _restore(matrix, system.diagonal)
            raise _not_positive_definite(matrix, system, pivot)
        return CholeskyFactor(matrix, system.diagonal, system.noise, self.tolerance, self.max_steps, system.numpy)


@dataclass(frozen=True, eq=False)
class CholeskyFactor:
    """K + N = L L^T, with N = ridge diag(1 / w).

    Attributes:
        matrix: (n, n): L in the lower triangle with the diagonal, K in the strict upper triangle.
        diagonal: Diagonal of K in float64, (n,).
        noise: Diagonal of N in float64, (n,).
        tolerance: Goal for the relative residual of `solve`.
        max_steps: Most refinement steps of `solve`.
        numpy: Whether results are NumPy arrays.
    """

    matrix: Tensor
    diagonal: Tensor
    noise: Tensor
    tolerance: float
    max_steps: int
    numpy: bool

    def solve(self, y: Array) -> Solution:
        """Solve (K + N) a = y, (n,) or (n, outputs), refined in float64."""
        target = read_targets(y, len(self.matrix), self.matrix.device)
        refined = refine(self._product, self._precondition, target, self.tolerance, self.max_steps)
        how = f"Cholesky in {str(self.matrix.dtype)[6:]}, refined in float64 in {refined.steps} steps"
        value = refined.value[:, 0] if np.ndim(y) == 1 else refined.value
        return Solution(self._restore(value), refined.residual <= self.tolerance, refined.residual, refined.steps, how)

    def half_solve(self, B: Array) -> Array:
        """L^-1 B for B of shape (n,) or (n, m), in the precision of K: posterior variances are its column norms."""
        right = torch.as_tensor(B, dtype=self.matrix.dtype, device=self.matrix.device)
        if right.ndim not in (1, 2) or len(right) != len(self.matrix):
            raise InvalidInput(f"B must have {len(self.matrix)} rows", f"shape {tuple(right.shape)}")
        columns = right[:, None] if right.ndim == 1 else right
        solved = torch.linalg.solve_triangular(self.matrix, columns, upper=False)
        return self._restore(solved[:, 0] if right.ndim == 1 else solved)

    def log_determinant(self) -> float:
        """Logarithm of det(K + N), summed in float64 from the pivots."""
        return 2.0 * float(self.matrix.diagonal().to(torch.float64).log().sum())

    def inverse_diagonal(self) -> Array:
        """Diagonal of (K + N)^-1, (n,), float64.

        Cost:
            n^3 / 3 flops by block columns of L^-1, 512 columns of memory.
        """
        n, L = len(self.matrix), self.matrix
        result = torch.empty(n, dtype=torch.float64, device=L.device)
        for start in range(0, n, _TILE):
            stop = min(start + _TILE, n)
            unit = torch.eye(n - start, stop - start, dtype=L.dtype, device=L.device)
            columns = torch.linalg.solve_triangular(L[start:, start:], unit, upper=False)
            result[start:stop] = columns.square_().sum(0, dtype=torch.float64)
        return self._restore(result)

    def leave_one_out(self, y: Array) -> Array:
        """Prediction of every row from all the others, of the shape of y: y_i - a_i / ((K + N)^-1)_ii."""
        target = read_targets(y, len(self.matrix), self.matrix.device)
        value = torch.as_tensor(self.solve(target).value)
        inverse = torch.as_tensor(self.inverse_diagonal())
        predicted = target - value / inverse[:, None]
        return self._restore(predicted[:, 0] if np.ndim(y) == 1 else predicted)

    def _restore(self, result: Tensor) -> Array:
        return result.numpy() if self.numpy else result

    def _precondition(self, residual: Float[Tensor, "n outputs"]) -> Float[Tensor, "n outputs"]:
        # Scaled to length 1 first: squares of small residuals would underflow in float32.
        length = torch.linalg.vector_norm(residual, dim=0).clamp_min(torch.finfo(torch.float64).tiny)
        right = (residual / length).to(self.matrix.dtype)
        right = torch.linalg.solve_triangular(self.matrix, right, upper=False)
        right = torch.linalg.solve_triangular(self.matrix.T, right, upper=True)
        return right.to(torch.float64) * length

    def _product(self, a: Float[Tensor, "n outputs"]) -> Float[Tensor, "n outputs"]:
        """(K + N) a in float64 from the strict upper triangle, each tile read once and used for both halves."""
        result = (self.diagonal + self.noise)[:, None] * a
        n = len(a)
        for i in range(0, n, _TILE):
            rows = slice(i, min(i + _TILE, n))
            for j in range(i, n, _TILE):
                columns = slice(j, min(j + _TILE, n))
                tile = self.matrix[rows, columns].to(torch.float64)
                if i == j:
                    tile = tile.triu(1)
                result[rows].addmm_(tile, a[columns])
                result[columns].addmm_(tile.T, a[rows])
        return result


def _restore(matrix: Tensor, diagonal: Tensor) -> None:
    """Write K back over a factor, from its strict upper triangle and its diagonal."""
    n = len(matrix)
    for i in range(0, n, _TILE):
        for j in range(i + _TILE, n, _TILE):
            matrix[j : j + _TILE, i : i + _TILE] = matrix[i : i + _TILE, j : j + _TILE].T
        tile = matrix[i : i + _TILE, i : i + _TILE].triu(1)
        matrix[i : i + _TILE, i : i + _TILE] = tile + tile.T
    matrix.diagonal().copy_(diagonal)


def _not_positive_definite(matrix: Tensor, system: System, pivot: int) -> NotPositiveDefinite:
    """The error for a bad pivot, with the ridge that the rounding of this precision asks for."""
    n, scale = len(matrix), float(system.diagonal.abs().mean())
    lowest, estimate = 0.0, ""
    if n <= _TILE:
        lowest = float(torch.linalg.eigvalsh(matrix.to(torch.float64))[0])
        estimate = f", smallest eigenvalue of K {lowest:.2g}"
    vector = matrix.diagonal().sqrt().nan_to_num(nan=1.0)
    for _ in range(8):  # power method
        vector = matrix @ (vector / torch.linalg.vector_norm(vector).clamp_min(torch.finfo(matrix.dtype).tiny))
    largest = float(torch.linalg.vector_norm(vector))
    need = max(system.ridge, -2 * lowest) + ROUNDING * torch.finfo(matrix.dtype).eps * largest
    relative = f" (relative {need / scale:.1g})" if scale > 0 else ""
    wider = " or compute K in float64" if matrix.dtype == torch.float32 else ""
    return NotPositiveDefinite(
        f"K + ridge I must be positive definite in {str(matrix.dtype)[6:]}",
        f"a pivot that is not positive at row {pivot} of {n}, absolute ridge {system.ridge:.3g}{estimate}",
        f"Try a ridge of {need:.1g}{relative}{wider}",
    )
