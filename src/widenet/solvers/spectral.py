"""The spectral solver: one eigen-decomposition, then every ridge and every training time in closed form."""

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from widenet._arrays import Array
from widenet.errors import InvalidInput, NotPositiveDefinite
from widenet.solvers.base import (
    ROUNDING,
    RidgeScale,
    Solution,
    Solver,
    System,
    absolute_ridge,
    read_system,
    read_targets,
)
from widenet.solvers.refinement import refine


@dataclass(frozen=True)
class Spectral(Solver):
    """Solve by W^1/2 K W^1/2 = V diag(s) V^T, which serves every ridge and every training time.

    Attributes:
        ridge_scale: "relative" (times the mean diagonal) or "absolute".
        tolerance: Goal for |(K + ridge I) a - y| / |y| of `solve`.
        max_steps: Most refinement steps of `solve`.

    Cost:
        About 9 n^3 flops in the precision of K, in the time of about twelve Cholesky factors (measured at
        1,000 rows). Memory for four matrices, K among them, and one more with weights.

    Example:
        >>> import numpy as np
        >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
        >>> spectrum = Spectral(ridge_scale="absolute").decompose(K)
        >>> spectrum.leave_one_out(np.array([4.0, 0.0]), np.array([1.0, 2.0])).round(12)
        array([[0.        , 1.33333333],
               [0.        , 1.        ]])
    """

    ridge_scale: RidgeScale = "relative"
    tolerance: float = 1e-10
    max_steps: int = 100

    def solve(self, K: Array, y: Array, ridge: float, weights: Array | None = None) -> Solution:
        """Decompose and solve for one ridge; see `Solver.solve`."""
        system = read_system(K, ridge, self.ridge_scale, weights)
        spectrum = _decompose(system, self.ridge_scale)
        target = read_targets(y, len(system.K), system.K.device)
        lowest = float(spectrum._eigenvalues.min()) + system.ridge
        if lowest <= 0:
            need = system.ridge - 2 * lowest + spectrum._rounding
            relative = _relative(need, self.ridge_scale, system.diagonal, system.weights)
            raise NotPositiveDefinite(
                f"K + ridge I must be positive definite in {str(system.K.dtype)[6:]}",
                f"a smallest eigenvalue of {lowest:.3g} with the absolute ridge {system.ridge:.3g}",
                f"A ridge of {need:.1g}{relative} should do",
            )
        matrix = system.K.to(torch.float64)
        refined = refine(
            lambda a: matrix @ a + system.noise[:, None] * a,
            lambda r: spectrum._coefficients(
                r, torch.tensor([system.ridge], dtype=torch.float64, device=system.K.device)
            )[0],
            target,
            self.tolerance,
            self.max_steps,
        )
        how = f"eigen-decomposition in {str(system.K.dtype)[6:]}, refined in float64 in {refined.steps} steps"
        value = refined.value[:, 0] if np.ndim(y) == 1 else refined.value
        return Solution(system.restore(value), refined.residual <= self.tolerance, refined.residual, refined.steps, how)

    def decompose(self, K: Array, weights: Array | None = None) -> "Spectrum":
        """Eigen-decomposition of K, or of W^1/2 K W^1/2, in the precision of K.

        Args:
            K: Gram matrix, (n, n), NumPy or torch, float32 or float64.
            weights: Positive sample weights, (n,), or None for ones.
        """
        return _decompose(read_system(K, 0.0, self.ridge_scale, weights), self.ridge_scale)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """V diag(s) V^T = W^1/2 K W^1/2, and what it gives in closed form.

    Ridges are arrays (ridges,), with the meaning of `ridge_scale`; targets are (n,) or (n, outputs).
    Results have the ridges or times first and the shape of y after, in the array kind of K and float64.

    Attributes:
        vectors: V, (n, n), in the precision of K.
        ridge_scale: "relative" or "absolute".
        diagonal: Diagonal of K in float64, (n,).
        weights: Sample weights in float64, (n,), or None.
        numpy: Whether results are NumPy arrays.
    """

    _eigenvalues: Tensor
    vectors: Tensor
    ridge_scale: RidgeScale
    diagonal: Tensor
    weights: Tensor | None
    numpy: bool

    @property
    def eigenvalues(self) -> Array:
        """s, ascending, float64, (n,)."""
        return self._restore(self._eigenvalues)

    def coefficients(self, y: Array, ridges: Array) -> Array:
        """Coefficients (K + ridge W^-1)^-1 y for every ridge, (ridges, n[, outputs]), without refinement."""
        return self._shaped(self._coefficients(self._targets(y), self._ridges(ridges)), y)

    def leave_one_out(self, y: Array, ridges: Array) -> Array:
        """Prediction of every row by the solution of all the other rows, (ridges, n[, outputs]).

        f_-i(x_i) = y_i - a_i / G_ii with G = (K + ridge W^-1)^-1: exact, no refit. The absolute ridge
        stays that of all the rows.

        Cost:
            2 n^2 (outputs + 1) flops a ridge.
        """
        target, ridge = self._targets(y), self._ridges(ridges)
        errors = self._coefficients(target, ridge) / self._inverse_diagonal(ridge)[:, :, None]
        return self._shaped(target - errors, y)

    def leave_one_out_errors(self, y: Array, ridges: Array) -> Array:
        """Mean squared leave-one-out error, weighted by w, (ridges[, outputs])."""
        target, ridge = self._targets(y), self._ridges(ridges)
        errors = self._coefficients(target, ridge) / self._inverse_diagonal(ridge)[:, :, None]
        return self._shaped(self._mean(errors.square()), y)

    def generalized_cross_validation(self, y: Array, ridges: Array) -> Array:
        """GCV score, mean(w (y - f)^2) / (1 - dof / n)^2, (ridges[, outputs]).

        References:
            Golub, Heath and Wahba 1979, "Generalized cross-validation as a method for choosing a good ridge parameter".
        """
        target, ridge = self._targets(y), self._ridges(ridges)
        noise = ridge[:, None] if self.weights is None else ridge[:, None] / self.weights
        residual = noise[:, :, None] * self._coefficients(target, ridge)  # y - K a = ridge W^-1 a
        share = (ridge[:, None] / (self._eigenvalues + ridge[:, None])).mean(1)
        return self._shaped(self._mean(residual.square()) / share[:, None] ** 2, y)

    def degrees_of_freedom(self, ridges: Array) -> Array:
        """Effective degrees of freedom, the trace of K (K + ridge W^-1)^-1 = sum s / (s + ridge), (ridges,)."""
        ridge = self._ridges(ridges)
        return self._restore((self._eigenvalues / (self._eigenvalues + ridge[:, None])).sum(1))

    def log_marginal_likelihood(self, y: Array, ridges: Array) -> Array:
        """Logarithm of N(y | 0, K + ridge W^-1) of every output, (ridges[, outputs]).

        -1/2 y^T a - 1/2 log det(K + ridge W^-1) - n/2 log(2 pi).

        References:
            Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", equation 2.30.
        """
        target, ridge = self._targets(y), self._ridges(ridges)
        rotated = self._rotate(target)
        shifted = self._eigenvalues + ridge[:, None]
        fit = torch.einsum("rn,np->rp", 1 / shifted, rotated.square())
        determinant = shifted.log().sum(1, keepdim=True)
        if self.weights is not None:
            determinant = determinant - self.weights.log().sum()
        return self._shaped(-0.5 * (fit + determinant + len(target) * math.log(2 * math.pi)), y)

    def gradient_flow(self, y: Array, times: Array, K_cross: Array | None = None) -> Array:
        """Predictions after gradient flow on 1/2 sum w (f - y)^2 from f = 0 for each time t.

        On the training points f_t = (I - e^{-K W t}) y; elsewhere f_t(x) = K(x, X) a_t with the a_t of
        `gradient_flow_coefficients`. From another start f_0 give y - f_0(X) and add f_0(x).

        Args:
            y: Targets, or targets minus the start, (n,) or (n, outputs).
            times: Training times, (times,), at least 0; infinity means to convergence.
            K_cross: K(x, X), (m, n), or None for the training points.

        Returns:
            (times, m or n[, outputs]).

        References:
            Jacot, Gabriel and Hongler 2018, arXiv 1806.07572, section 4;
            Lee et al. 2019, arXiv 1902.06720, equation 10.
        """
        target, time = self._targets(y), self._times(times)
        if K_cross is None:
            # Not K a_t: e^{-s t} is exact where s is near 0, and needs no product with K.
            s = self._nonnegative()
            decay = torch.where(s > 0, torch.exp(-s * time[:, None]), 1.0)  # 0 times infinity is not a number
            remaining = self._apply(decay, target, -1)
            return self._shaped(target - remaining, y)
        cross = torch.as_tensor(K_cross, device=self.vectors.device).to(torch.float64)
        if cross.ndim != 2 or cross.shape[1] != len(target):
            raise InvalidInput(f"K_cross must have {len(target)} columns", f"shape {tuple(cross.shape)}")
        return self._shaped(cross @ self._flow(target, time), y)

    def gradient_flow_coefficients(self, y: Array, times: Array) -> Array:
        """a_t with f_t(x) = K(x, X) a_t, (times, n[, outputs]): a_t = K^-1 (I - e^{-K t}) y where w = 1.

        Eigenvalues below the rounding of K count as 0, where (1 - e^{-s t}) / s is t, and 0 at t = infinity.
        """
        return self._shaped(self._flow(self._targets(y), self._times(times)), y)

    def _flow(self, target: Tensor, time: Tensor) -> Tensor:
        s, t = self._nonnegative(), time[:, None]
        positive = torch.where(s > 0, s, torch.ones_like(s))
        learned = torch.where(s > 0, -torch.expm1(-positive * t) / positive, torch.where(t.isinf(), 0.0, t))
        return self._apply(learned, target, 1)

    def _nonnegative(self) -> Tensor:
        return torch.where(self._eigenvalues > self._rounding, self._eigenvalues, 0.0)

    @property
    def _rounding(self) -> float:
        return ROUNDING * torch.finfo(self.vectors.dtype).eps * float(self._eigenvalues[-1])

    def _coefficients(self, target: Tensor, ridge: Tensor) -> Tensor:
        return self._apply(1 / (self._eigenvalues + ridge[:, None]), target, 1)

    def _apply(self, filters: Tensor, target: Tensor, power: int) -> Tensor:
        """W^(power/2) V diag(filter) V^T W^1/2 y for every filter, (filters, n, outputs)."""
        weighted = (filters[:, :, None] * self._rotate(target)).to(self.vectors.dtype)
        n, (count, _, outputs) = len(target), weighted.shape
        result = self.vectors @ weighted.permute(1, 0, 2).reshape(n, count * outputs)
        result = result.reshape(n, count, outputs).permute(1, 0, 2).to(torch.float64)
        return result if self.weights is None else result * self.weights[:, None] ** (power / 2)

    def _rotate(self, target: Tensor) -> Tensor:
        """V^T W^1/2 y in float64, (n, outputs)."""
        weighted = target if self.weights is None else target * self.weights[:, None].sqrt()
        # Scaled to length 1 first, so that float32 neither overflows nor underflows.
        length = torch.linalg.vector_norm(weighted, dim=0).clamp_min(torch.finfo(torch.float64).tiny)
        return (self.vectors.T @ (weighted / length).to(self.vectors.dtype)).to(torch.float64) * length

    def _inverse_diagonal(self, ridge: Tensor) -> Tensor:
        """Diagonal of (K + ridge W^-1)^-1 for every ridge, (ridges, n)."""
        inverse = (1 / (self._eigenvalues + ridge[:, None])).to(self.vectors.dtype)
        result = (self.vectors.square() @ inverse.T).T.to(torch.float64)
        return result if self.weights is None else result * self.weights

    def _mean(self, values: Tensor) -> Tensor:
        """Mean over the rows, weighted by w, (ridges, outputs)."""
        if self.weights is None:
            return values.mean(1)
        return (values * self.weights[:, None]).sum(1) / self.weights.sum()

    def _targets(self, y: Array) -> Tensor:
        return read_targets(y, len(self.vectors), self.vectors.device)

    def _ridges(self, ridges: Array) -> Tensor:
        """Absolute ridges, each large enough that K + ridge W^-1 is positive definite beyond its rounding."""
        given = torch.as_tensor(ridges, dtype=torch.float64).reshape(-1)
        absolute = [absolute_ridge(float(r), self.ridge_scale, self.diagonal, self.weights) for r in given]
        lowest, rounding = float(self._eigenvalues[0]), self._rounding
        # An eigenvalue known to +-rounding is no divisor below it: leave-one-out would be noise.
        if absolute and min(absolute) + lowest <= rounding:
            need = (rounding - lowest) * 2
            wider = " or compute K in float64" if self.vectors.dtype == torch.float32 else ""
            raise NotPositiveDefinite(
                f"K + ridge I must be positive definite beyond the rounding {rounding:.2g} of K for every ridge",
                f"a smallest eigenvalue of {lowest:.3g} with the absolute ridge {min(absolute):.3g}",
                f"Drop ridges below {need:.1g}{_relative(need, self.ridge_scale, self.diagonal, self.weights)}{wider}",
            )
        return torch.tensor(absolute, dtype=torch.float64, device=self.vectors.device)

    def _times(self, times: Array) -> Tensor:
        time = torch.as_tensor(times, dtype=torch.float64, device=self.vectors.device).reshape(-1)
        if not bool((time >= 0).all()):
            raise InvalidInput("times must be at least 0", str(time.tolist()))
        return time

    def _restore(self, result: Tensor) -> Array:
        return result.numpy() if self.numpy else result

    def _shaped(self, result: Tensor, y: Array) -> Array:
        return self._restore(result[..., 0] if np.ndim(y) == 1 else result)


def _relative(ridge: float, scale: RidgeScale, diagonal: Tensor, weights: Tensor | None) -> str:
    """An absolute ridge as the caller would give it, in words."""
    mean = absolute_ridge(1.0, "relative", diagonal, weights)
    return f" (relative {ridge / mean:.1g})" if scale == "relative" and mean > 0 else ""


def _decompose(system: System, ridge_scale: RidgeScale) -> Spectrum:
    matrix = system.K
    if system.weights is not None:
        root = system.weights.sqrt().to(matrix.dtype)
        matrix = root[:, None] * matrix * root
    if matrix.device.type == "cpu":
        # LAPACK's divide and conquer through SciPy: 1.2 times faster than torch's, 1.2 to 2 times faster than MRRR.
        values, vectors = scipy.linalg.eigh(matrix.numpy(), driver="evd", check_finite=False)
        s, V = torch.from_numpy(values), torch.from_numpy(vectors)
    else:
        s, V = torch.linalg.eigh(matrix)
    return Spectrum(s.to(torch.float64), V, ridge_scale, system.diagonal, system.weights, system.numpy)
