"""The Gram matrices of an NTK and an NNGP on the same points, decomposed once, and what predictions need of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from widenet._arrays import Array, read_inputs
from widenet.errors import InvalidInput
from widenet.kernels.base import Kernel
from widenet.solvers.base import ROUNDING
from widenet.solvers.spectral import Spectral, Spectrum


@dataclass(frozen=True, eq=False)
class GramPair:
    """Theta = V diag(s) V^T and K = U diag(k) U^T on points X, in float64 whatever the precision of the kernels.

    Each is computed and decomposed when it is first asked for. Where points are None, X is meant.

    Attributes:
        ntk: Theta.
        nngp: K.
        X: Points, (n, ...).
    """

    ntk: Kernel
    nngp: Kernel
    X: Tensor

    @cached_property
    def ntk_spectrum(self) -> Spectrum:
        """Decomposition of Theta(X, X)."""
        return Spectral().decompose(_double(self.ntk(self.X)))

    @cached_property
    def nngp_spectrum(self) -> Spectrum:
        """Decomposition of K(X, X)."""
        return Spectral().decompose(_double(self.nngp(self.X)))

    @cached_property
    def rates(self) -> Float[Tensor, " n"]:
        """s, those below rounding as 0."""
        return _nonnegative(torch.as_tensor(self.ntk_spectrum.eigenvalues))

    @cached_property
    def nngp_rates(self) -> Float[Tensor, " n"]:
        """k, those below rounding as 0."""
        return _nonnegative(torch.as_tensor(self.nngp_spectrum.eigenvalues))

    @cached_property
    def root(self) -> Float[Tensor, "n n"]:
        """V^T R, with K = R R^T and R = U sqrt(k), which exists where K is singular too, unlike its Cholesky factor."""
        return self.ntk_spectrum.vectors.T @ (self.nngp_spectrum.vectors * self.nngp_rates.sqrt())

    def cross(self, X: Array | None) -> Float[Tensor, "m n"]:
        """Theta(x, X) V."""
        V = self.ntk_spectrum.vectors
        return V * self.rates if X is None else _double(self.ntk(self.points(X), self.X)) @ V

    def kernel_cross(self, name: Literal["ntk", "nngp"], X: Array | None) -> Float[Tensor, "m n"]:
        """k(x, X) of one of the two kernels."""
        kernel = self.ntk if name == "ntk" else self.nngp
        return _double(kernel(self.X) if X is None else kernel(self.points(X), self.X))

    def whitened_cross(self, X: Array | None) -> Float[Tensor, "n m"]:
        """The whitened part v = R^-1 K(X, x) of the start that is known at X."""
        k, U = self.nngp_rates, self.nngp_spectrum.vectors
        if X is None:
            return k.sqrt()[:, None] * U.T
        inverse = torch.where(k > 0, 1 / torch.where(k > 0, k, 1.0).sqrt(), 0.0)
        return inverse[:, None] * (U.T @ _double(self.nngp(self.X, self.points(X))))

    def open_variance(self, X: Array | None) -> Float[Tensor, " m"]:
        """K(x, x) - |v|^2: what a start, known at X, leaves open at x."""
        if X is None:
            return torch.zeros(len(self.X), dtype=torch.float64, device=self.X.device)
        known = self.whitened_cross(X).square().sum(0)
        return (_double(self.nngp.diagonal(self.points(X))) - known).clamp_min(0.0)

    def open_covariance(self, X: Array | None) -> Float[Tensor, "m m"]:
        """K(x, x') - v^T v'."""
        if X is None:
            return torch.zeros(len(self.X), len(self.X), dtype=torch.float64, device=self.X.device)
        known = self.whitened_cross(X)
        return _double(self.nngp(self.points(X))) - known.T @ known

    def points(self, X: Array) -> Tensor:
        """Points to predict, as those of the fit are.

        Raises:
            InvalidInput: On another dtype, device or shape.
        """
        found = read_inputs(X).X
        if found.dtype != self.X.dtype or found.device != self.X.device or found.shape[1:] != self.X.shape[1:]:
            raise InvalidInput(
                f"points to predict must be {self.X.dtype} on {self.X.device}, of shape {tuple(self.X.shape[1:])} each",
                f"{found.dtype} on {found.device}, of shape {tuple(found.shape[1:])}",
            )
        return found


def _nonnegative(eigenvalues: Tensor) -> Tensor:
    """Eigenvalues with those below the rounding of float64 as 0."""
    rounding = ROUNDING * torch.finfo(torch.float64).eps * float(eigenvalues[-1])
    return torch.where(eigenvalues > rounding, eigenvalues, 0.0)


def _double(matrix: Array) -> Tensor:
    return torch.as_tensor(matrix).detach().to(torch.float64)
