"""Solvers of kernel ridge systems."""

from widenet.solvers.auto import Auto, Decision
from widenet.solvers.base import RidgeScale, Solution, Solver
from widenet.solvers.cholesky import Cholesky, CholeskyFactor
from widenet.solvers.iterative import ConjugateGradient
from widenet.solvers.landmark_equations import LandmarkEquations, LandmarkFit, LandmarkPath
from widenet.solvers.landmarks import LandmarkDecision, Landmarks
from widenet.solvers.ridge_path import RidgePath, RidgeSpectrum
from widenet.solvers.spectral import Spectral, Spectrum
from widenet.solvers.streaming import NormalEquations

__all__ = [
    "Auto",
    "Cholesky",
    "CholeskyFactor",
    "ConjugateGradient",
    "Decision",
    "LandmarkDecision",
    "LandmarkEquations",
    "LandmarkFit",
    "LandmarkPath",
    "Landmarks",
    "NormalEquations",
    "RidgePath",
    "RidgeScale",
    "RidgeSpectrum",
    "Solution",
    "Solver",
    "Spectral",
    "Spectrum",
]
