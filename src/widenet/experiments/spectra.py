"""Eigenvalue decay of kernels on the sphere, and Laplace kernels matched to neural tangent kernels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MultipleLocator, NullLocator

from widenet.architectures import fully_connected
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.base import Kernel
from widenet.kernels.neural import NTK
from widenet.kernels.stationary import GammaExponential, Gaussian, Laplace
from widenet.theory.matching import LaplaceMatch, match_laplace
from widenet.theory.profile import sphere_profile
from widenet.theory.spectrum import ZonalSpectrum, decay_slope, zonal_spectrum


@dataclass(frozen=True)
class Curve:
    """The spectrum of one kernel on one sphere.

    Attributes:
        name: What tables and figures call the kernel.
        kernel: The kernel.
        spectrum: Its eigenvalues.
        limit: Slope that theory gives for k to infinity, or None for faster than any power.
        slope: Slope measured between two large degrees, or None where the eigenvalues there are zero.
    """

    name: str
    kernel: Kernel
    spectrum: ZonalSpectrum
    limit: float | None
    slope: float | None


_STYLES = {
    "NTK, depth 3": (COLOURS["black"], "-"),
    "Laplace": (COLOURS["vermilion"], (0, (4, 1.6))),
    "gamma = 0.5": (COLOURS["blue"], "-"),
    "gamma = 1.5": (COLOURS["green"], "-"),
    "Gaussian": (COLOURS["purple"], (0, (1, 1.2))),
}


def spectral_curves(d: int, k_max: int) -> list[Curve]:
    """Spectra on S^{d-1} of the depth-3 ReLU NTK with bias and of exponential kernels of scale 1.

    Args:
        d: Dimension of the space around the sphere.
        k_max: Largest degree, at least 8; slopes are measured from k_max / 2 to k_max.
    """
    kernels: list[tuple[str, Kernel, float | None]] = [
        ("NTK, depth 3", NTK(fully_connected(3, bias_std=1.0, scaling="geifman")), -float(d)),
        ("Laplace", Laplace(1.0), -float(d)),
        ("gamma = 0.5", GammaExponential(1.0, 0.5), -(d - 0.5)),
        ("gamma = 1.5", GammaExponential(1.0, 1.5), -(d + 0.5)),
        ("Gaussian", Gaussian(1.0), None),
    ]
    curves = []
    for name, kernel, limit in kernels:
        spectrum = zonal_spectrum(kernel, d, k_max)
        slope = decay_slope(spectrum, k_max // 2, k_max) if limit is not None else None
        curves.append(Curve(name, kernel, spectrum, limit, slope))
    return curves


def slope_table(curves: Sequence[Curve]) -> ResultTable:
    """Measured and limiting slopes of all curves."""
    columns = (Column("d"), Column("kernel"), Column("lambda_0", ".6g"), Column("lambda_1", ".6g"))
    columns += (Column("lambda_10", ".4g"), Column("measured slope", ".3f"), Column("limit", ".1f"))
    rows = []
    for curve in curves:
        s = curve.spectrum
        values = [float(s.eigenvalues[k]) for k in (0, 1, min(10, len(s.eigenvalues) - 1))]
        rows.append((s.dimension, curve.name, *values, curve.slope, curve.limit))
    k_max = len(curves[0].spectrum.eigenvalues) - 1
    return ResultTable(
        "Eigenvalue decay on the sphere",
        columns,
        tuple(rows),
        (
            f"Slopes of log lambda_k over log k between k = {k_max // 2} and k = {k_max}, computed here.",
            "Limits: -d for the ReLU NTK and Laplace, -(d - 1 + gamma) for gamma-exponential kernels; the Gaussian "
            "falls faster than any power (arXiv 2007.01580, 2009.14397).",
            "NTK: ReLU, biases of standard deviation 1 that start at zero; the other kernels have scale 1 on unit "
            "vectors (this library's choice; the scale moves constants, not slopes).",
        ),
    )


def eigenvalue_table(curves: Sequence[Curve]) -> ResultTable:
    """Every eigenvalue of every curve, for plots elsewhere."""
    columns = (Column("d"), Column("kernel"), Column("k"), Column("multiplicity"), Column("eigenvalue", ".6g"))
    columns += (Column("error", ".1g"), Column("route"))
    rows = tuple(
        (c.spectrum.dimension, c.name, k, multiplicity, float(value), float(error), route)
        for c in curves
        for k, (multiplicity, value, error, route) in enumerate(
            zip(c.spectrum.multiplicities, c.spectrum.eigenvalues, c.spectrum.errors, c.spectrum.routes, strict=True)
        )
    )
    return ResultTable("Eigenvalues", columns, rows)


def spectrum_figure(curves: Sequence[Curve]) -> Figure:
    """Eigenvalues over the degree, one panel a dimension, doubly logarithmic."""
    dimensions = sorted({curve.spectrum.dimension for curve in curves})
    with figure_style():
        figure = new_figure(0.4 + 3.1 * len(dimensions), 3.55)
        panels = figure.subplots(1, len(dimensions), squeeze=False)[0]
        for axes, d in zip(panels, dimensions, strict=True):
            _draw_decay(axes, [curve for curve in curves if curve.spectrum.dimension == d])
            axes.set_title(f"d = {d}")
        panels[0].set_ylabel(r"eigenvalue $\lambda_k\,/\,\lambda_0$")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def _draw_decay(axes: Axes, curves: Sequence[Curve]) -> None:
    floor = min(float(c.spectrum.eigenvalues[-1] / c.spectrum.eigenvalues[0]) for c in curves if c.limit is not None)
    k_max = len(curves[0].spectrum.eigenvalues) - 1
    slopes = []
    for curve in curves:
        relative = curve.spectrum.eigenvalues / curve.spectrum.eigenvalues[0]
        k = np.arange(1, len(relative))
        shown = relative[1:] > floor * 1e-2
        colour, dashes = _STYLES[curve.name]
        label = curve.name.replace("gamma", r"$\gamma$")
        axes.plot(k[shown], relative[1:][shown], color=colour, linestyle=dashes, label=label)
        slope = "faster than any power" if curve.slope is None else f"{curve.slope:.2f}".replace("-", "−")
        slopes.append((label, slope, colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1, k_max)
    axes.set_ylim(floor * 0.1, 3)
    axes.set_xlabel("degree k")
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    # The upper right corner is free in every dimension; the longest words come first, where most room is.
    lines = [(f"slope at k = {k_max // 2} … {k_max}", COLOURS["black"])]
    lines += [(f"{label}: {slope}", colour) for label, slope, colour in reversed(slopes)]
    for line, (text, colour) in enumerate(lines):
        place = (0.99, 0.985 - 0.068 * line)
        axes.text(*place, text, transform=axes.transAxes, fontsize=7.5, color=colour, ha="right", va="top")


@dataclass(frozen=True)
class Matched:
    """A neural tangent kernel and the Laplace kernel that comes closest to its shape.

    Attributes:
        depth: Number of activations.
        bias_std: Factor of its biases, which start at zero.
        kernel: The NTK.
        fit: The Laplace kernel.
    """

    depth: int
    bias_std: float
    kernel: Kernel
    fit: LaplaceMatch


def matched_kernels(depths: Sequence[int]) -> list[Matched]:
    """Laplace kernels matched to ReLU NTKs of these depths, without bias and with bias."""
    return [
        Matched(depth, bias, kernel, match_laplace(kernel))
        for bias in (0.0, 1.0)
        for depth in depths
        for kernel in [NTK(fully_connected(depth, bias_std=bias, scaling="geifman"))]
    ]


def match_table(matches: Sequence[Matched]) -> ResultTable:
    """Parameters and errors of the fits."""
    columns = (Column("depth"), Column("bias"), Column("rate c", ".4g"), Column("a0", ".4g"), Column("a1", ".4g"))
    columns += (Column("rmse", ".2e"), Column("largest error", ".2e"), Column("rmse of best Gaussian", ".2e"))
    columns += (Column("closer"),)
    rows = []
    for match in matches:
        fit = match.fit
        closer = "Laplace" if fit.rmse < fit.gaussian_rmse else "Gaussian"
        parameters = (None, None, None) if fit.at_bound else (fit.rate, fit.a0, fit.a1)
        rows.append((match.depth, match.bias_std, *parameters, fit.rmse, fit.max_error, fit.gaussian_rmse, closer))
    notes = [
        "Fits of a0 + a1 exp(-c |x - z|) to K(x, z) / K(x, x) over 2,001 equispaced angles, computed here; the "
        "Gaussian is a0 + a1 exp(-c |x - z|^2)."
    ]
    if any(match.fit.at_bound for match in matches):
        notes.append(
            "Where c is empty, no rate is best: the shape is closer to a line in |x - z| than to any exponential."
        )
    return ResultTable("Laplace kernels matched to NTKs on the sphere", columns, tuple(rows), tuple(notes))


def match_figure(matches: Sequence[Matched]) -> Figure:
    """Shapes of the kernels over the angle, with what the fits leave below."""
    shown = [match for match in matches if not match.fit.at_bound]
    depths = sorted({match.depth for match in shown})
    theta = np.linspace(0, np.pi, 401)
    with figure_style():
        figure = new_figure(0.4 + 2.45 * len(depths), 4.3)
        panels = figure.subplots(2, len(depths), sharex=True, sharey="row", squeeze=False, height_ratios=(2.2, 1))
        for column, depth in enumerate(depths):
            for match in (m for m in shown if m.depth == depth):
                colour = COLOURS["vermilion"] if match.bias_std else COLOURS["blue"]
                _draw_match(panels[:, column], match, theta, colour)
            panels[0, column].set_title(f"depth {depth}")
            panels[1, column].set_xlabel("angle θ (degrees)")
            panels[1, column].axhline(0, color=COLOURS["black"], linewidth=0.6)
        panels[1, 0].xaxis.set_major_locator(MultipleLocator(60))
        panels[0, 0].set_ylabel("K(θ) / K(0)")
        panels[1, 0].set_ylabel("NTK − fit")
        named = {}
        for axes in panels[0]:
            named |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=4)
    return figure


def _draw_match(panels: np.ndarray, match: Matched, theta: np.ndarray, colour: str) -> None:
    profile = sphere_profile(match.kernel, 3)
    truth = profile(theta) / profile.at_zero
    fitted = match.fit.a0 + match.fit.a1 * np.exp(-match.fit.rate * 2 * np.sin(theta / 2))
    bias = "with bias" if match.bias_std else "without bias"
    degrees = np.degrees(theta)
    panels[0].plot(degrees, truth, color=colour, alpha=0.35, linewidth=4, label=f"NTK {bias}")
    panels[0].plot(degrees, fitted, color=colour, linewidth=1.1, label=f"matched Laplace, {bias}")
    panels[1].plot(degrees, truth - fitted, color=colour, linewidth=1.2)
