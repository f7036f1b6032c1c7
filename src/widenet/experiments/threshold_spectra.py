"""Eigenvalues of threshold kernels: bounds on random points, and spectra on the sphere."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import acos, exp, pi, sqrt

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from widenet.architectures import sparse_network
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NTK
from widenet.theory.sparsity import eigen_report
from widenet.theory.spectrum import ZonalSpectrum, zonal_spectrum


def random_sphere(n: int, d: int, seed: int) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Random points of norm 1 and labels +-1.

    Args:
        n: Number of points.
        d: Their dimension.
        seed: Of both.
    """
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), random.choice([-1.0, 1.0], n)


def separation(X: Float[np.ndarray, "n d"]) -> float:
    """Smallest distance of two points, delta."""
    products = X @ X.T
    i, j = np.unravel_index(np.argmax(products - 2 * np.eye(len(X))), products.shape)
    return float(np.linalg.norm(X[i] - X[j]))


def region_bound(threshold: float, delta: float) -> float:
    """Closed lower bound of p0 - pmax for points of norm 1 that are at least delta apart.

    max(1/2 - B / sqrt(2 pi), (1/B - 1/B^3) n(B)) - exp(-B^2 / (2 - delta^2 / 2)) (pi - theta) / (2 pi), where
    cos theta = 1 - delta^2 / 2 and n is the normal density.

    Args:
        threshold: B.
        delta: The distance.
    """
    p0 = 0.5 - threshold / sqrt(2 * pi)
    if threshold > 0:
        p0 = max(p0, (1 / threshold - 1 / threshold**3) * exp(-(threshold**2) / 2) / sqrt(2 * pi))
    theta = acos(1 - delta**2 / 2)
    return p0 - exp(-(threshold**2) / (2 - delta**2 / 2)) * (pi - theta) / (2 * pi)


def bound_table(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], thresholds: Sequence[float]) -> ResultTable:
    """Smallest eigenvalues beside their bounds.

    Args:
        X: Points of norm 1, (n, d).
        y: Labels, (n,).
        thresholds: B of every row.
    """
    columns = (Column("B", ".4g"), Column("smallest eigenvalue of H", ".6f"), Column("cond(H)", ".1f"))
    columns += (Column("p0 - pmax", ".6f"), Column("closed region bound", ".6f"), Column("worst-case bound", ".2e"))
    columns += (Column("y'Hy / |y|²", ".4f"), Column("y'H⁻¹y", ".4g"))
    delta, n, rows = separation(X), len(X), []
    for threshold in thresholds:
        report = eigen_report(X, y, threshold)
        worst = exp(-(threshold**2) / 2) * delta / (100 * n**2)
        values = (report.smallest, report.condition_number, report.separation)
        bounds = (region_bound(threshold, delta), worst)
        rows.append((threshold, *values, *bounds, report.label_energy, report.label_complexity))
    return ResultTable(
        "Smallest eigenvalue of the kernel and its bounds",
        columns,
        tuple(rows),
        (
            f"Measured: {n} random points of norm 1 in {X.shape[1]} dimensions, smallest distance {delta:.3f}.",
            "p0 - pmax bounds v'Hv / |v|² from below only for v in a restricted set (derived here); for all v it is an "
            "upper bound of the smallest eigenvalue of the matrix P of joint activities. How the paper defines its "
            "region was not recovered.",
            "The closed region bound is below p0 - pmax; where it is negative it says nothing. The worst-case bound "
            "exp(-B²/2) delta / (100 n²) is recalled from earlier work.",
        ),
    )


@dataclass(frozen=True, eq=False)
class ThresholdSpectrum:
    """Eigenvalues of the kernel of one threshold on one sphere.

    Attributes:
        threshold: B.
        spectrum: The eigenvalues.
        slopes: Slopes of log lambda_k over log k between k_max / 2 and k_max, even and odd degrees.
    """

    threshold: float
    spectrum: ZonalSpectrum
    slopes: tuple[float, float]


def threshold_spectra(thresholds: Sequence[float], dimensions: Sequence[int], k_max: int) -> list[ThresholdSpectrum]:
    """Spectra of threshold kernels.

    Args:
        thresholds: Values of B.
        dimensions: Spheres S^{d-1}.
        k_max: Largest degree.
    """
    curves = []
    for d in dimensions:
        for threshold in thresholds:
            spectrum = zonal_spectrum(NTK(sparse_network(threshold)), d, k_max)
            slopes = _slope(spectrum.eigenvalues, k_max, 0), _slope(spectrum.eigenvalues, k_max, 1)
            curves.append(ThresholdSpectrum(threshold, spectrum, slopes))
    return curves


def _slope(eigenvalues: np.ndarray, k_max: int, parity: int) -> float:
    """Least-squares slope over the degrees of one parity in the upper half."""
    k = np.array([k for k in range(k_max // 2, k_max + 1) if k % 2 == parity])
    return float(np.polyfit(np.log(k), np.log(np.abs(eigenvalues[k])), 1)[0])


def spectrum_table(curves: Sequence[ThresholdSpectrum]) -> ResultTable:
    """First eigenvalues, ratios and slopes."""
    columns = (Column("d"), Column("B", ".4g"), *(Column(f"lambda_{k}", ".6g") for k in range(5)))
    columns += (Column("lambda_4 / lambda_0", ".4f"), Column("slope, even", ".3f"), Column("slope, odd", ".3f"))
    columns += (Column("limit"),)
    rows = []
    for curve in curves:
        values = [float(value) for value in curve.spectrum.eigenvalues[:5]]
        d = curve.spectrum.dimension
        rows.append((d, curve.threshold, *values, values[4] / values[0], *curve.slopes, -d))
    k_max = len(curves[0].spectrum.eigenvalues) - 1
    return ResultTable(
        "Spectra of threshold kernels on the sphere",
        columns,
        tuple(rows),
        (
            f"Computed here; slopes of log lambda_k over log k are fitted over k = {k_max // 2} to {k_max}. The decay "
            "k^-d of ReLU kernels stays at every threshold; low degrees flatten as B grows, which is the better "
            "condition.",
        ),
    )


def spectrum_figure(curves: Sequence[ThresholdSpectrum]) -> Figure:
    """Eigenvalues over the degree, one panel a dimension, doubly logarithmic."""
    dimensions = sorted({curve.spectrum.dimension for curve in curves})
    colours = [COLOURS[name] for name in ("black", "blue", "green", "vermilion", "purple", "orange")]
    with figure_style():
        figure = new_figure(0.4 + 3.1 * len(dimensions), 3.3)
        panels = figure.subplots(1, len(dimensions), squeeze=False)[0]
        for axes, d in zip(panels, dimensions, strict=True):
            shown = [curve for curve in curves if curve.spectrum.dimension == d]
            for number, curve in enumerate(shown):
                relative = curve.spectrum.eigenvalues[1:] / curve.spectrum.eigenvalues[0]
                k = np.arange(1, len(relative) + 1)
                axes.plot(k, relative, color=colours[number % len(colours)], label=f"B = {curve.threshold:g}")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("degree k")
            axes.set_title(f"d = {d}")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_minor_locator(NullLocator())
        panels[0].set_ylabel(r"eigenvalue $\lambda_k\,/\,\lambda_0$")
        panels[0].legend()
    return figure
