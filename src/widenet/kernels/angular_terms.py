"""Terms |x|^p |y|^p k(theta) of kernels of the angle, and their compiled form."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from widenet.kernels.profile import AngleProfile, RoughFunctionError


@dataclass(frozen=True)
class AngularTerm:
    """One term |x|^degree |y|^degree k(theta) of a kernel, theta being the angle between x and y.

    Attributes:
        degree: Power of the norms.
        function: k, from float64 angles in [0, pi] to values; exact near 0 and pi. Pure: its values at the first
            call are compiled and kept.
        vanishing: Whether k decays to values that an error relative to its largest one would hide: the Gram matrix
            is then formed from the points themselves.
    """

    degree: float
    function: Callable[[Tensor], Tensor]
    vanishing: bool = False


@dataclass(frozen=True, eq=False)
class CompiledTerms:
    """Terms at one precision: their profiles, and the same as arrays for the loops."""

    degrees: tuple[float, ...]
    profiles: tuple[AngleProfile, ...]
    coefficients: np.ndarray
    maps: np.ndarray
    roots: np.ndarray
    at_duplicates: np.ndarray
    near: float
    far: float


@lru_cache(maxsize=128)
def compiled_terms(terms: tuple[AngularTerm, ...], dtype: torch.dtype) -> CompiledTerms | None:
    """The compiled terms, those of equal degree added; None where a function is too rough to compile."""
    degrees = tuple(sorted({term.degree for term in terms}))
    sums = [tuple(term.function for term in terms if term.degree == degree) for degree in degrees]
    try:
        profiles = tuple(AngleProfile.compile(_SumFunction(functions), dtype) for functions in sums)
    except RoughFunctionError:
        return None
    kind = np.float32 if dtype == torch.float32 else np.float64
    longest = max(len(half.coefficients) for profile in profiles for half in profile.halves)
    coefficients = np.zeros((len(profiles), 2, 4 * -(-(longest - 1) // 4) + 1), kind)
    maps = np.zeros((len(profiles), 3, 2), kind)
    for i, profile in enumerate(profiles):
        for j, half in enumerate(profile.halves):
            coefficients[i, j, coefficients.shape[2] - len(half.coefficients) :] = half.coefficients
            maps[i, :, j] = half.end, half.slope, half.pole
    return CompiledTerms(
        degrees,
        profiles,
        coefficients,
        maps,
        np.array([profile.roots for profile in profiles]),
        np.array([profile.halves[0].end for profile in profiles]),
        max(profile.halves[0].switch for profile in profiles),
        max(profile.halves[1].switch for profile in profiles),
    )


@dataclass(frozen=True)
class _SumFunction:
    """The sum of functions of the angle, equal by value so that its compiled profile is found again."""

    functions: tuple[Callable[[Tensor], Tensor], ...]

    def __call__(self, theta: Tensor) -> Tensor:
        values = [function(theta) for function in self.functions]
        return values[0] if len(values) == 1 else torch.stack(values).sum(0)
