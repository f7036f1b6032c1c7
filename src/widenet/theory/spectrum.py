"""Eigenvalues of zonal kernels on the sphere, by harmonic degree."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Literal

import numpy as np
from scipy.special import beta, roots_legendre

from widenet._arrays import is_count
from widenet.errors import InvalidInput
from widenet.kernels import Kernel
from widenet.theory.continuation import NotContinued
from widenet.theory.profile import SphereProfile, sphere_profile
from widenet.theory.series import series_eigenvalues

Route = Literal["auto", "quadrature", "series"]

_EPS = np.finfo(np.float64).eps
_MOST_NODES = 6000
# "auto" asks the series too where the quadrature leaves a degree with more than this relative error.
_WANTED = 1e-10


@dataclass(frozen=True, eq=False)
class ZonalSpectrum:
    """Eigenvalues of a kernel on the unit sphere S^{d-1} with the uniform probability measure.

    Attributes:
        dimension: d of the space around the sphere.
        eigenvalues: lambda_k of degrees k = 0, ..., k_max.
        multiplicities: N(d, k), the number of harmonics of each degree, exact.
        errors: Estimates of the absolute errors of the eigenvalues.
        routes: How each one was found, "quadrature" or "series".
        value_at_one: K(x, x), which the full sum of N(d, k) lambda_k is equal to.
    """

    dimension: int
    eigenvalues: np.ndarray
    multiplicities: tuple[int, ...]
    errors: np.ndarray
    routes: tuple[str, ...]
    value_at_one: float

    @property
    def trace_share(self) -> float:
        """Share of the trace K(x, x) that the degrees up to k_max hold; tends to 1 as k_max grows."""
        return float(np.dot(np.array(self.multiplicities, np.float64), self.eigenvalues) / self.value_at_one)


def zonal_spectrum(kernel: Kernel, d: int, k_max: int, route: Route = "auto") -> ZonalSpectrum:
    """Eigenvalues of a zonal kernel on S^{d-1}, one for each degree of spherical harmonics.

    lambda_k = A_d int_0^pi kappa(theta) P_k(cos theta) sin^{d-2}(theta) dtheta (Funk-Hecke), where kappa is the
    kernel as a function of the angle, P_k the Gegenbauer polynomial of index (d - 2)/2 with P_k(1) = 1,
    and A_d makes lambda_0 the mean of the kernel. Gradient descent on uniform data learns the
    harmonics of degree k at the rate lambda_k.

    Args:
        kernel: A kernel of the angle alone on the unit sphere: NTKs and NNGPs, stationary kernels,
            `Zonal`, their sums, products, scalings.
        d: Dimension of the space around the sphere, at least 2.
        k_max: Largest degree.
        route: "quadrature": Gauss-Legendre in the angle, absolute errors near 1e-16 K(x, x). "series":
            from the power series in the cosine, all of whose terms are positive: relative accuracy
            for the smallest eigenvalues, for d from about 5. "auto": the one with the smaller
            error estimate, degree by degree.

    Returns:
        Eigenvalues, multiplicities and error estimates.

    Raises:
        InvalidInput: If the kernel is not zonal, d or k_max is too small, or the series route is
            asked for a kernel that is not known at complex cosines.

    Cost:
        Quadrature: some 3 (2 k_max + 50) values of the kernel, and k_max products with them. Series:
        up to a million complex values of the kernel, and 130,000 multiplications a degree.

    References: Geifman et al. 2020, arXiv 2007.01580; Bietti and Bach 2021, arXiv 2009.14397 (decay).

    Example:
        >>> from widenet.kernels import Laplace
        >>> zonal_spectrum(Laplace(1.0), d=3, k_max=2).eigenvalues.round(6)
        array([0.296997, 0.082682, 0.026734])
    """
    if not is_count(k_max, 0):
        raise InvalidInput("k_max must be a whole number, 0 or more", repr(k_max))
    if route not in ("auto", "quadrature", "series"):
        raise InvalidInput("route must be 'auto', 'quadrature' or 'series'", repr(route))
    profile, k_max = sphere_profile(kernel, d), int(k_max)
    if route == "series":
        values, errors = series_eigenvalues(profile, k_max)
        routes = ("series",) * (k_max + 1)
    else:
        values, errors = _quadrature_eigenvalues(profile, k_max)
        routes = ("quadrature",) * (k_max + 1)
        if route == "auto" and np.any(errors > _WANTED * np.abs(values)):
            values, errors, routes = _with_series(profile, values, errors)
    multiplicities = tuple(multiplicity(profile.dimension, k) for k in range(k_max + 1))
    return ZonalSpectrum(profile.dimension, values, multiplicities, errors, routes, profile.at_zero)


def multiplicity(d: int, k: int) -> int:
    """N(d, k) = (2k + d - 2)/k binom(k + d - 3, d - 2), the number of harmonics of degree k on S^{d-1}."""
    return comb(k + d - 1, d - 1) - (comb(k + d - 3, d - 1) if k >= 2 else 0)


def decay_slope(spectrum: ZonalSpectrum, k_from: int, k_to: int) -> float:
    """Slope of log lambda_k over log k between two degrees: log(lambda_to / lambda_from) / log(k_to / k_from).

    It tends to -d for NTKs of ReLU networks and the Laplace kernel, and to -(d - 1 + gamma) for
    gamma-exponential kernels, as the degrees grow.

    Args:
        spectrum: Eigenvalues.
        k_from: First degree, at least 1.
        k_to: Last degree.

    Raises:
        InvalidInput: If a degree is outside the spectrum, or its eigenvalue is below its own error, as
            that of a degree is which the kernel does not contain.
    """
    if not 1 <= k_from < k_to < len(spectrum.eigenvalues):
        raise InvalidInput(
            f"a slope needs 1 <= k_from < k_to <= {len(spectrum.eigenvalues) - 1}", f"{k_from} and {k_to}"
        )
    for k in (k_from, k_to):
        if not spectrum.eigenvalues[k] > 10 * spectrum.errors[k]:
            raise InvalidInput(
                "a slope needs eigenvalues above their errors",
                f"{spectrum.eigenvalues[k]:.3g} +- {spectrum.errors[k]:.3g} at degree {k}",
                "Use other degrees, or route='series'",
            )
    return float(np.log(spectrum.eigenvalues[k_to] / spectrum.eigenvalues[k_from]) / np.log(k_to / k_from))


def _with_series(
    profile: SphereProfile, values: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    try:
        others, other_errors = series_eigenvalues(profile, len(values) - 1)
    except NotContinued:
        return values, errors, ("quadrature",) * len(values)
    better = other_errors < errors
    routes = tuple("series" if choice else "quadrature" for choice in better)
    return np.where(better, others, values), np.where(better, other_errors, errors), routes


def _quadrature_eigenvalues(profile: SphereProfile, k_max: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues by more and more nodes until two results agree, and their error estimates."""
    count = 2 * k_max + 50 if profile.smooth else 4 * k_max + 100
    values, _ = _rule(profile, k_max, count)
    while True:
        count *= 2
        finer, rounding = _rule(profile, k_max, count)
        change = np.abs(finer - values)
        floor = 4 * _EPS * np.max(np.abs(finer))
        if np.all(change <= 10 * rounding + floor) or 2 * count > _MOST_NODES:
            return finer, change + rounding
        values = finer


def _rule(profile: SphereProfile, k_max: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues by Gauss-Legendre with `count` nodes, and their rounding errors."""
    d = profile.dimension
    nodes, weights = _nodes(count)
    if profile.smooth:
        theta, weights = np.pi * nodes, np.pi * weights
    else:
        # theta = pi s^4 makes theta^gamma smooth enough at 0.
        theta, weights = np.pi * nodes**4, 4 * np.pi * nodes**3 * weights
    density = profile(theta) * weights * np.sin(theta) ** (d - 2) / beta((d - 1) / 2, 0.5)
    values, rounding = np.zeros(k_max + 1), np.zeros(k_max + 1)
    for k, polynomial in enumerate(_gegenbauer(np.cos(theta), d, k_max)):
        parts = density * polynomial
        values[k] = parts.sum()
        rounding[k] = 12 * _EPS * np.sqrt(np.sum(parts**2)) + 4 * _EPS * abs(values[k])
    return values, rounding


def _gegenbauer(u: np.ndarray, d: int, k_max: int) -> Iterator[np.ndarray]:
    """P_0, ..., P_kmax at u, by (k + d - 2) P_{k+1} = (2k + d - 2) u P_k - k P_{k-1}."""
    previous, current = np.ones_like(u), u
    yield previous
    for k in range(1, k_max + 1):
        yield current
        previous, current = current, ((2 * k + d - 2) * u * current - k * previous) / (k + d - 2)


@lru_cache(maxsize=16)
def _nodes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1].

    SciPy's nodes after a Newton step, with weights 2 / ((1 - x^2) P_n'(x)^2): for hundreds of nodes SciPy's own
    weights are right to some 1e-13, which would be the error of the eigenvalues.
    """
    x = roots_legendre(count)[0].astype(np.longdouble)
    value, slope = _legendre(x, count)
    x -= value / slope
    slope = _legendre(x, count)[1]
    weights = 1 / ((1 - x) * (1 + x) * slope**2)
    return ((x + 1) / 2).astype(np.float64), weights.astype(np.float64)


def _legendre(x: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """P_n and its derivative, away from x = +-1."""
    previous, current = np.ones_like(x), x.copy()
    for k in range(1, degree):
        previous, current = current, ((2 * k + 1) * x * current - k * previous) / (k + 1)
    return current, degree * (previous - x * current) / ((1 - x) * (1 + x))
