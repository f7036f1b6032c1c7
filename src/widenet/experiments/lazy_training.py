"""Where weights hardly move, orthogonal ones change nothing: losses after equal steps, drift of kernels by width."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from matplotlib.figure import Figure

from widenet.architectures import Elementwise, Erf, Layer, fully_connected
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.fluctuations import Estimate
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.training_speed import BIAS_STD, INITS, WEIGHT_STD, Classes
from widenet.kernels.neural import NTK
from widenet.networks.build import Init
from widenet.networks.descent import GradientDescent
from widenet.networks.drift import KernelDrift
from widenet.networks.ensembles import Ensemble
from widenet.networks.finite_network import network
from widenet.networks.training import train

_PROBES = 20


def _estimate(values: np.ndarray) -> Estimate:
    return Estimate(float(values.mean()), float(values.std(ddof=1) / sqrt(len(values))))


def _ensemble(arch: Layer, data: Classes, width: int, init: Init, seeds: Sequence[int]) -> Ensemble:
    d = data.X.shape[1]
    return Ensemble.of(lambda seed: network(arch, d, width=width, outputs=data.count, seed=seed, init=init), seeds)


def largest_step(arch: Layer, data: Classes) -> float:
    """1 / largest eigenvalue of the infinitely wide network's tangent kernel on these points."""
    K = NTK(arch)(data.X.double())
    return 1 / float(torch.linalg.eigvalsh(K)[-1])


def one_hot(data: Classes) -> torch.Tensor:
    """Targets 1 for the class of a point and 0 for the others."""
    return torch.nn.functional.one_hot(data.labels, data.count).to(data.X.dtype)


@dataclass(frozen=True)
class EqualSteps:
    """Mean losses, over that at the start, after equal numbers of equal steps.

    Attributes:
        step: Size of the steps, in units of 1 / largest eigenvalue.
        steps: Their number.
        gaussian: Loss with Gaussian weights, over the loss of the function 0.
        orthogonal: The same with orthogonal weights.
    """

    step: float
    steps: int
    gaussian: Estimate
    orthogonal: Estimate

    @property
    def ratio(self) -> Estimate:
        """Orthogonal over Gaussian."""
        ratio = self.orthogonal.value / self.gaussian.value
        relative = [e.error / e.value for e in (self.orthogonal, self.gaussian)]
        return Estimate(ratio, ratio * sqrt(sum(error**2 for error in relative)))


def equal_steps(
    data: Classes, shape: tuple[int, int], schedule: Sequence[tuple[float, int]], seeds: Sequence[int]
) -> list[EqualSteps]:
    """Full-batch gradient descent of tanh networks on the squared loss, in the NTK parameterisation.

    Args:
        data: Points and classes.
        shape: Depth and width.
        schedule: Size of the steps, in units of 1 / largest eigenvalue, and their number.
        seeds: Of the weights.
    """
    depth, width = shape
    arch = fully_connected(depth, Elementwise(torch.tanh), weight_std=WEIGHT_STD, bias_std=BIAS_STD)
    rate, y = largest_step(arch, data), one_hot(data)
    found = []
    for step, steps in schedule:
        losses = []
        for init in INITS:
            descent = GradientDescent(step * rate, steps=steps)
            history = train(_ensemble(arch, data, width, init, seeds), data.X, y, descent)
            losses.append(_estimate(history.final_loss / (float(y.square().sum()) / 2)))
        found.append(EqualSteps(step, steps, *losses))
    return found


def equal_steps_table(results: Sequence[EqualSteps], shape: tuple[int, int]) -> ResultTable:
    """Losses after equal steps."""
    columns = (Column("step x largest eigenvalue", "g"), Column("steps"), Column("Gaussian", ".4f"))
    columns += (Column("s.e.", ".4f"), Column("orthogonal", ".4f"), Column("s.e. ", ".4f"))
    columns += (Column("ratio", ".3f"), Column("s.e.  ", ".3f"))
    rows = tuple(
        (r.step, r.steps, *(v for e in (r.gaussian, r.orthogonal, r.ratio) for v in (e.value, e.error)))
        for r in results
    )
    return ResultTable(
        "Losses after equal steps in the lazy regime",
        columns,
        rows,
        (
            f"tanh, {shape[0]} layers of width {shape[1]}, NTK parameterisation, full batch, squared loss over that of "
            "the function 0. Ratio: orthogonal over Gaussian.",
        ),
    )


@dataclass(frozen=True)
class DriftCurve:
    """Relative change of the tangent kernel in training over the width.

    Attributes:
        init: Kind of the weights.
        widths: Widths.
        changes: Mean changes over the seeds.
    """

    init: Init
    widths: tuple[int, ...]
    changes: tuple[Estimate, ...]

    def slope(self, last: int) -> float:
        """Exponent of the width, over the last few widths.

        Args:
            last: How many.
        """
        values = [change.value for change in self.changes[-last:]]
        return float(np.polyfit(np.log(self.widths[-last:]), np.log(values), 1)[0])


def drift_curves(data: Classes, widths: Sequence[int], steps: int, seeds: Sequence[int]) -> list[DriftCurve]:
    """Train erf networks of 3 hidden layers for equal times and compare their kernels on probe points.

    Args:
        data: Points and classes; the first few points are the probes.
        widths: Widths.
        steps: Steps of 1 / largest eigenvalue of the infinitely wide network's kernel.
        seeds: Of the weights.
    """
    arch = fully_connected(3, Erf())
    descent, y = GradientDescent(largest_step(arch, data), steps=steps), one_hot(data)
    curves = []
    for init in INITS:
        changes = []
        for width in widths:
            ensemble = _ensemble(arch, data, width, init, seeds)
            drift = KernelDrift(ensemble, data.X[:_PROBES])
            train(ensemble, data.X, y, descent)
            changes.append(_estimate(np.array(drift(steps, ensemble))))
        curves.append(DriftCurve(init, tuple(widths), tuple(changes)))
    return curves


def drift_table(curves: Sequence[DriftCurve], steps: int) -> ResultTable:
    """Drift over the width, and its exponent."""
    columns = (
        Column("n"),
        *(Column(c, ".4f") for c in ("Gaussian", "s.e.", "orthogonal", "s.e. ")),
        Column("ratio", ".2f"),
    )
    gaussian, orthogonal = curves
    rows = tuple(
        (n, a.value, a.error, b.value, b.error, b.value / a.value)
        for n, a, b in zip(gaussian.widths, gaussian.changes, orthogonal.changes, strict=True)
    )
    slopes = " and ".join(f"{curve.slope(3):.2f} ({curve.init})" for curve in curves)
    return ResultTable(
        "Change of the tangent kernel in training, |T_end - T_0| / |T_0|",
        columns,
        rows,
        (
            f"erf, 3 hidden layers, NTK parameterisation, {steps} full-batch steps of 1 / largest eigenvalue on the "
            f"squared loss. Exponent of n over the last three widths: {slopes}.",
        ),
    )


def drift_figure(curves: Sequence[DriftCurve]) -> Figure:
    """Drift over the width, with a line of slope -1."""
    with figure_style():
        figure = new_figure(5.2, 3.6)
        axes = figure.subplots()
        for curve, colour, marker in zip(curves, ("vermilion", "blue"), ("s", "o"), strict=True):
            values, errors = ([getattr(c, part) for c in curve.changes] for part in ("value", "error"))
            axes.errorbar(
                curve.widths, values, errors, color=COLOURS[colour], marker=marker, capsize=2, label=curve.init
            )
        widths = np.array(curves[0].widths)
        end = min(curve.changes[-1].value for curve in curves)
        axes.plot(widths, end * widths[-1] / widths, color=COLOURS["grey"], linewidth=1, linestyle=(0, (3, 2)))
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("width n")
        axes.set_ylabel("|T_end - T_0| / |T_0|")
        axes.set_title("Change of the tangent kernel in training")
        axes.legend(title="dashed: slope -1")
    return figure
