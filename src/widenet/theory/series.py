"""Eigenvalues on the sphere from the power series of a kernel in the cosine: no cancellation, so relative accuracy."""

from dataclasses import dataclass
from math import inf

import numpy as np

from widenet.theory.continuation import NotContinued, continued, radius
from widenet.theory.profile import SphereProfile

_ALIAS = 1e-15  # what the next period of coefficients may add to one, relative
_LEAST, _MOST = 2**13, 2**18  # coefficients
_LEVELS = 9  # partial sums in the extrapolation, each with sqrt(2) times the terms of the one before
_LARGEST = 1e150  # of values on a circle; their squares must not overflow
_ROUNDING = 16 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class PowerSeries:
    """kappa(u) = sum_n coefficients_n u^n.

    Attributes:
        coefficients: a_n, at least 0 for a kernel that is positive definite on every sphere.
        noise: Standard errors of the coefficients by rounding.
    """

    coefficients: np.ndarray
    noise: np.ndarray


def power_series(profile: SphereProfile, count: int) -> PowerSeries:
    """The first coefficients of kappa in powers of the cosine, by FFT on circles |u| = r.

    On a circle inside the unit one for kernels singular at u = 1; entire functions take, for each
    coefficient, the circle on which it stands out most.

    Args:
        profile: The kernel on the sphere.
        count: Number of coefficients.

    Returns:
        The series.

    Raises:
        NotContinued: If the kernel is not known at complex cosines, or is not the sum of its series on the
            real axis: it is not analytic in the disc, as |u| or 1 / (1 + 4 u^2).
    """
    _check_continuation(profile)
    size = 4 * count
    circles = [_ALIAS ** (1 / size)]
    if radius(profile.kernel) == inf:
        circles += [2.0**j for j in range(1, 12)]
    best = PowerSeries(np.zeros(count), np.full(count, inf))
    for r in circles:
        u = r * np.exp(2j * np.pi / size * np.arange(size // 2 + 1))
        with np.errstate(over="ignore", invalid="ignore"):
            values = continued(profile.kernel, u, profile.dimension)
        if not np.abs(values).max() < _LARGEST:
            break
        scaled = np.fft.irfft(np.conj(values), size)
        # An entire function needs its large terms well inside the first period.
        if r > 1 and np.abs(scaled[count // 2 :]).max() > _ROUNDING * np.abs(scaled).max():
            break
        level = _ROUNDING * np.sqrt(np.mean(np.abs(values) ** 2) / size)
        with np.errstate(under="ignore", divide="ignore"):
            shrink = r ** -np.arange(count, dtype=np.float64)
        noise = level * shrink
        found, better = scaled[:count] * shrink, noise < best.noise
        best = PowerSeries(np.where(better, found, best.coefficients), np.where(better, noise, best.noise))
    _check_sum(profile, best)
    return best


def _check_continuation(profile: SphereProfile) -> None:
    u = np.array([-0.9, -0.55, -0.2, 0.15, 0.5, 0.85])
    real = profile(np.arccos(u))
    complex_values = continued(profile.kernel, u.astype(np.complex128), profile.dimension)
    worst = np.max(np.abs(complex_values - real))
    if not worst <= 1e-9 * np.max(np.abs(real)):
        raise NotContinued(
            "the series route needs a kernel that is an analytic function of the cosine",
            f"a continuation that is off by {worst:.3g} on the real axis",
            "Use route='quadrature'",
        )


def _check_sum(profile: SphereProfile, series: PowerSeries) -> None:
    """Refuse a series that does not add up to the kernel: the circle had a singularity inside."""
    powers = np.arange(len(series.coefficients))
    # Terms left out must not count: they are some u^count.
    largest = min(0.85, 1e-12 ** (1 / len(powers)))
    u = largest * np.array([-1.0, -0.62, -0.29, 0.17, 0.41, 0.73, 1.0])
    with np.errstate(under="ignore", invalid="ignore"):
        sizes = np.abs(u)[:, None] ** powers
        signs = np.where(u[:, None] < 0, 1.0 - 2.0 * (powers % 2), 1.0)
        truth = profile(np.arccos(u))
        off = np.abs((signs * sizes) @ series.coefficients - truth)
        allowed = 1e-9 * np.max(np.abs(truth)) + 10 * sizes @ series.noise
    if not np.all(off <= allowed):
        raise NotContinued(
            "the series route needs a kernel that is analytic in the disc |u| < 1 of its cosine",
            f"a power series that is off by {off.max():.3g} on the real axis",
            "Use route='quadrature'",
        )


def series_eigenvalues(profile: SphereProfile, k_max: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of degrees 0 to k_max, and estimates of their absolute errors.

    lambda_k = sum_s a_{k+2s} (k+2s)! Gamma(d/2) / (2^{k+2s} s! Gamma(k+s+d/2)), all terms positive. The
    terms decay like a power of s once s > k^2; the rest of the sum is extrapolated from partial sums.

    Args:
        profile: The kernel on the sphere.
        k_max: Largest degree.

    Returns:
        Eigenvalues and errors, (k_max + 1,) each.

    Cost:
        Complex values of the kernel at 8 times the number of coefficients, which is 8192 or
        32 k_max^2, at most 262144; and as many multiplications a degree.

    References: Levin's transformation of series, in the form of Sidi's W algorithm.
    """
    count = int(min(_MOST, max(_LEAST, 2 ** int(np.ceil(np.log2(32 * k_max**2 + 1))))))
    series = power_series(profile, count)
    terms = (count - k_max) // 2
    s, half = np.arange(terms, dtype=np.longdouble), profile.dimension / 2
    # Weight of a_{2s} in lambda_0; extended precision because the product has very many factors.
    weights = np.ones(terms, np.longdouble)
    weights[1:] = np.cumprod((s[:-1] + 0.5) / (s[:-1] + half))
    weights = weights.astype(np.float64)
    steps = s.astype(np.float64)
    values, errors = np.zeros(k_max + 1), np.zeros(k_max + 1)
    for k in range(k_max + 1):
        parts = weights * series.coefficients[k : k + 2 * terms : 2]
        # Added, not in quadrature: the rounding of neighbouring coefficients comes from the same points.
        rounding = np.sum(weights * series.noise[k : k + 2 * terms : 2])
        values[k], tail = _sum_with_tail(parts)
        errors[k] = 10 * tail + rounding + (1 + k / 16) * _ROUNDING * abs(values[k])
        weights *= (k + 2 * steps + 1) / (2 * (k + steps + half))
    return values, errors


def _sum_with_tail(terms: np.ndarray) -> tuple[float, float]:
    """Sum of a series continued to infinity, with an error estimate.

    Partial sums S_j after n_j terms are taken as S + n_j t_j (c_0 + c_1 x_j + c_2 x_j^2 + ...) with t_j the
    next term and x_j a power of 1 / n_j; among three powers the one whose last two orders agree best.
    """
    ends = (len(terms) / 2 ** (np.arange(_LEVELS)[::-1] / 2)).astype(int) - 1
    starts = np.concatenate([[0], ends[:-1]])
    sums = np.cumsum([terms[a:b].sum() for a, b in zip(starts, ends, strict=True)])
    remainders = ends * terms[ends]
    total = sums[-1]
    if abs(remainders[-1]) <= 1e-3 * np.finfo(np.float64).eps * abs(total) or not np.all(remainders):
        return total, abs(remainders[-1])
    candidates = []
    for power in (1.0, 0.5, 0.25):
        x = (len(terms) / ends.astype(np.float64)) ** power
        full, fewer = _extrapolate(sums, remainders, x), _extrapolate(sums[1:], remainders[1:], x[1:])
        candidates.append((abs(full - fewer), full))
    error, value = min(candidates)
    return value, error


def _extrapolate(sums: np.ndarray, remainders: np.ndarray, x: np.ndarray) -> float:
    upper, lower = sums / remainders, 1 / remainders
    for order in range(1, len(x)):
        gaps = x[order:] - x[:-order]
        upper, lower = np.diff(upper) / gaps, np.diff(lower) / gaps
    return float(upper[0] / lower[0])
