"""Solvers of kernel ridge systems."""

from widenet.solvers.auto import Auto, Decision
from widenet.solvers.base import RidgeScale, Solution, Solver
from widenet.solvers.cholesky import Cholesky, CholeskyFactor
from widenet.solvers.spectral import Spectral, Spectrum

__all__ = ["Auto", "Cholesky", "CholeskyFactor", "Decision", "RidgeScale", "Solution", "Solver", "Spectral", "Spectrum"]
