"""Solvers of kernel ridge systems."""

from widenet.solvers.base import RidgeScale, Solution, Solver
from widenet.solvers.cholesky import Cholesky, CholeskyFactor
from widenet.solvers.spectral import Spectral, Spectrum

__all__ = ["Cholesky", "CholeskyFactor", "RidgeScale", "Solution", "Solver", "Spectral", "Spectrum"]
