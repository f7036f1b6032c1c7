"""The angle profile: a function of the angle compiled into two short polynomials, with a measured error."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor

from widenet.errors import InvalidInput, WidenetError

AngleFunction = Callable[[Tensor], Tensor]

SMALLEST_SINE = 1e-37  # stands for an exact antipode, whose sine 0 would lose its sign; normal in float32

_LARGEST = math.sqrt(0.5)  # sin(pi / 4), the largest sine of a half
_POLES = (math.inf, 2.0, 1.0, 0.5, 0.25, 0.12, 0.06, 0.03)
_TARGET = {torch.float32: 3e-8, torch.float64: 2e-15}
_ROUNDED = {torch.float32: 2e-7, torch.float64: 5e-15}
_LIMIT = {torch.float32: 8e-7, torch.float64: 2e-13}
_COUNTS = {torch.float32: (5, 9, 13, 17, 21, 25, 33), torch.float64: (13, 17, 21, 25, 29, 33, 41, 49, 57, 65)}
_PIECE = 2000
# Rounding of a product of unit rows, and the error that it may leave in a value, both in units of eps / 2.
# Largest of 4e6 random and image pairs in 20 to 784 dimensions: 7; of 1e6 random ones in up to 10,000: 4.
_PRODUCT_ERROR = 7
_AMPLIFIED = {torch.float32: 2.0, torch.float64: 50.0}


class RoughFunctionError(WidenetError, ValueError):
    """A function of the angle that no short polynomial follows."""


@dataclass(frozen=True, eq=False)
class Half:
    """k(v) = end + v q(t), t = (slope v - 1) / (pole v + 1), for the angles of one half.

    v = sigma^(1 / 2^roots), where sigma is the sine of half the angle to the nearer end (0 or pi).

    Attributes:
        end: k at the end, exact.
        slope: Factor of v that maps the half to [-1, 1].
        pole: 0, or the grading towards the end that deep networks want.
        coefficients: Of q, highest power first.
        switch: Sine below which a product of unit rows is not exact enough.
    """

    end: float
    slope: float
    pole: float
    coefficients: np.ndarray
    switch: float


@dataclass(frozen=True, eq=False)
class AngleProfile:
    """A function k(theta) on [0, pi], compiled for fast evaluation at one precision.

    k is analytic in the angle for infinitely wide networks, though not in the cosine; on each half of
    [0, pi] it is k(end) + v q(t), with v = sin(angle to the nearer end / 2), t a Moebius map of v onto [-1, 1]
    and q a polynomial found by Chebyshev interpolation. The map's pole grades the nodes towards the end.

    Attributes:
        halves: Of angles up to pi / 2, and above.
        roots: Number of square roots taken of the sine first, for kernels such as exp(-|x - y|^(1/2)).
        error: Largest error, as a part of the largest |k|, on a grid independent of the nodes, in the
            arithmetic of `dtype`.
        dtype: Working precision.

    Example:
        >>> profile = AngleProfile.compile(lambda theta: torch.exp(-theta))
        >>> profile(torch.tensor([1.0], dtype=torch.float64))
        tensor([0.3679], dtype=torch.float64)
        >>> profile.error < 1e-14
        True
    """

    halves: tuple[Half, Half]
    roots: int
    error: float
    dtype: torch.dtype = field(default=torch.float64)

    @staticmethod
    def compile(function: AngleFunction, dtype: torch.dtype = torch.float64) -> "AngleProfile":
        """Find the shortest polynomials that follow a function of the angle to working precision.

        Args:
            function: Maps float64 angles in [0, pi] to values; exact near 0 and pi.
            dtype: Working precision, torch.float32 or torch.float64.

        Raises:
            RoughFunctionError: Where 33 (float32) or 65 (float64) coefficients do not reach the precision.

        Cost:
            Some thousands of values of the function.
        """
        return _compile(function, dtype)

    def __call__(self, theta: Tensor) -> Tensor:
        """k(theta), in the profile's precision."""
        return self.of_sines(sines_of_angles(theta.to(torch.float64)).to(self.dtype))

    def derivative(self, theta: Tensor) -> Tensor:
        """k'(theta), in the profile's precision."""
        sigma = sines_of_angles(theta.to(torch.float64)).to(self.dtype)
        cosine = torch.sqrt(1 - sigma * sigma)
        return self.slope_in_sines(sigma) * torch.where(torch.signbit(sigma), -0.5, 0.5) * cosine

    def of_sines(self, sigma: Tensor) -> Tensor:
        """K of signed sines: sin(theta / 2) up to pi / 2, minus sin((pi - theta) / 2) above."""
        return torch.where(torch.signbit(sigma), self._value(1, sigma.abs()), self._value(0, sigma.abs()))

    def slope_in_sines(self, sigma: Tensor) -> Tensor:
        """Dk / d|sigma| of signed sines; infinite at 0 for kernels with a cusp there."""
        return torch.where(torch.signbit(sigma), self._slope(1, sigma.abs()), self._slope(0, sigma.abs()))

    def slope_in_cosines(self, sigma: Tensor) -> Tensor:
        """Dk / dcos(theta) of signed sines; taken as 0 at 0 and at pi, where it may be infinite."""
        sine = sigma.abs()
        slope = self.slope_in_sines(sigma) / (4 * torch.where(torch.signbit(sigma), sine, -sine))
        return torch.where(sine > SMALLEST_SINE, slope, 0.0)

    def _value(self, index: int, sine: Tensor) -> Tensor:
        half = self.halves[index]
        v = sine ** (0.5**self.roots)
        t = (half.slope * v - 1) / (half.pole * v + 1)
        value = torch.full_like(t, half.coefficients[0])
        for coefficient in half.coefficients[1:]:
            value = value * t + coefficient
        return half.end + v * value

    def _slope(self, index: int, sine: Tensor) -> Tensor:
        half = self.halves[index]
        v = sine ** (0.5**self.roots)
        t = (half.slope * v - 1) / (half.pole * v + 1)
        value, slope = torch.full_like(t, half.coefficients[0]), torch.zeros_like(t)
        for coefficient in half.coefficients[1:]:
            slope = slope * t + value
            value = value * t + coefficient
        in_v = value + v * slope * (half.slope + half.pole) / (half.pole * v + 1) ** 2
        return in_v * 0.5**self.roots * sine ** (0.5**self.roots - 1)


@lru_cache(maxsize=256)
def _compile(function: AngleFunction, dtype: torch.dtype) -> AngleProfile:
    best: AngleProfile | None = None
    for roots in (0, 1, 2):
        samples = [_Samples.of(function, index, roots, dtype) for index in (0, 1)]
        size = max(np.abs([s.end, *s.truth]).max() for s in samples)
        if not np.isfinite(size):
            raise RoughFunctionError("a function of the angle must be finite on [0, pi]", f"a largest value of {size}")
        if size != 0 and not torch.finfo(dtype).tiny < size < torch.finfo(dtype).max / _COUNTS[dtype][-1]:
            raise InvalidInput(f"a kernel must lie in the range of {dtype}", f"a value of {size:.3g}", "Use float64")
        fits = [_shortest(s, roots, dtype, size or 1.0) for s in samples]
        profile = AngleProfile((fits[0][0], fits[1][0]), roots, max(error for _, error in fits), dtype)
        if best is None or profile.error < best.error:
            best = profile
        if profile.error <= _LIMIT[dtype]:
            return profile
    raise RoughFunctionError(
        f"a function of the angle must be smooth enough for {_COUNTS[dtype][-1]} coefficients",
        f"an error of {best.error:.1e} of its largest value",
    )


@dataclass(frozen=True, eq=False)
class _Samples:
    """A function of the angle on one half: at the nodes of all candidates and on the grid of the error, in one call."""

    end: float
    nodes: dict[tuple[int, float], np.ndarray]
    grid: np.ndarray
    truth: np.ndarray

    @staticmethod
    def of(function: AngleFunction, index: int, roots: int, dtype: torch.dtype) -> "_Samples":
        grid = np.unique(np.concatenate([np.geomspace(1e-12, _LARGEST, 500), np.linspace(1e-4, _LARGEST, 801)]))
        candidates = [(count, pole) for count in _COUNTS[dtype] for pole in _POLES]
        sines = [_nodes(count, pole, roots)[1] ** (2**roots) for count, pole in candidates]
        near = 2 * np.arcsin(np.minimum(np.concatenate([[0.0], grid, *sines]), _LARGEST))
        theta = torch.from_numpy(math.pi - near if index else near)
        with torch.no_grad():
            # Short pieces: torch would wake every thread for longer ones, at many times the cost on a busy machine.
            values = torch.cat([function(part).to(torch.float64) for part in theta.split(_PIECE)]).numpy()
        at_nodes = np.split(values[1 + len(grid) :], np.cumsum([len(s) for s in sines])[:-1])
        return _Samples(float(values[0]), dict(zip(candidates, at_nodes, strict=True)), grid, values[1 : 1 + len(grid)])


def _nodes(count: int, pole: float, roots: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Chebyshev nodes t, their v, and the slope and inverse pole of the map from v to t."""
    inverse = 1 / pole
    slope = 2 / _LARGEST ** (0.5**roots) + inverse
    t = np.cos((np.arange(count) + 0.5) * math.pi / count)
    return t, (1 + t) / (slope - t * inverse), slope, inverse


def _shortest(samples: _Samples, roots: int, dtype: torch.dtype, size: float) -> tuple[Half, float]:
    """The shortest polynomial at the target precision, else the best one; with its error in `dtype`."""
    best, least = None, math.inf
    v_grid = samples.grid ** (0.5**roots)
    for (count, pole), values in samples.nodes.items():
        t, v, slope, inverse = _nodes(count, pole, roots)
        modes = np.cos(np.arange(count)[:, None] * np.arccos(t)) * (2 / count)
        modes[0] /= 2
        series = modes @ ((values - samples.end) / v)
        at = (slope * v_grid - 1) / (inverse * v_grid + 1)
        fitted = samples.end + v_grid * chebyshev.chebval(at, series)
        truncation = np.abs(fitted - samples.truth).max() / size
        if truncation > _LIMIT[dtype] and best is not None:
            continue
        half = Half(samples.end, slope, inverse, chebyshev.cheb2poly(series)[::-1], 0.0)
        error = float(np.abs(_evaluate(half, roots, samples.grid, dtype) - samples.truth).max() / size)
        if error < 0.5 * least or (error < least and truncation <= _TARGET[dtype]):
            best, least = half, error
        if truncation <= _TARGET[dtype] and least <= _ROUNDED[dtype]:
            break
    assert best is not None
    return replace(best, switch=_switch(samples.grid, samples.truth, size, dtype)), least


def _evaluate(half: Half, roots: int, sines: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    kind = np.float32 if dtype == torch.float32 else np.float64
    v = sines.astype(kind) ** kind(0.5**roots)
    t = (kind(half.slope) * v - kind(1)) / (kind(half.pole) * v + kind(1))
    value = np.full_like(t, half.coefficients[0])
    for coefficient in half.coefficients[1:]:
        value = value * t + kind(coefficient)
    return (kind(half.end) + v * value).astype(np.float64)


def _switch(sines: np.ndarray, values: np.ndarray, size: float, dtype: torch.dtype) -> float:
    """Sine below which rounding of the product is amplified too much: |dk / dcos| = |dk / dsine| / (4 sine)."""
    amplified = np.abs(np.diff(values)) / np.diff(sines) / (4 * sines[1:]) / size
    above = np.nonzero((amplified > _AMPLIFIED[dtype]) & (sines[1:] > 1e-9))[0]
    floor = 4 * math.sqrt(_PRODUCT_ERROR * torch.finfo(dtype).eps)
    return max(float(sines[above[-1] + 1]) if len(above) else 0.0, floor)


def sines_of_angles(theta: Tensor) -> Tensor:
    """Signed sines: sin(theta / 2) up to pi / 2, minus sin((pi - theta) / 2) above."""
    return torch.where(
        theta <= math.pi / 2, torch.sin(theta / 2), -torch.sin((math.pi - theta) / 2).clamp_min(SMALLEST_SINE)
    )


def angles_of_sines(sigma: Tensor) -> Tensor:
    """Angles of signed sines."""
    near = 2 * torch.arcsin(sigma.abs())
    return torch.where(torch.signbit(sigma), math.pi - near, near)
