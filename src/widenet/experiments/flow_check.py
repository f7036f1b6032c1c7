"""Networks that were trained, beside the mean and variance that the infinite network predicts, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from widenet.architectures import fully_connected
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NNGP, NTK
from widenet.networks.descent import GradientDescent
from widenet.networks.ensembles import Ensemble
from widenet.networks.finite_network import network
from widenet.networks.training import Recorder, predict, train
from widenet.theory.dynamics import GradientFlow, NetworkStart

PAIR, LABELS = np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([1.0, -1.0])
POINT = np.array([[0.0, 1.0]])
RATE = 0.2
STEPS = (0, 1, 2, 5, 10)
_CHUNK = 2**24  # parameters that are trained together


@dataclass(frozen=True, eq=False)
class FlowCheck:
    """Outputs of an ensemble at a point during training.

    Attributes:
        width: Of the networks.
        outputs: (steps, members).
        own: What the infinite network would predict from the start of each member, (steps, members).
        mean: What infinite networks have as mean at these steps.
        variance: What they have as variance.
    """

    width: int
    outputs: ndarray
    own: ndarray
    mean: ndarray
    variance: ndarray

    @property
    def mean_error(self) -> ndarray:
        """Standard error of the mean over the members, from the predicted variance."""
        return np.sqrt(self.variance / self.outputs.shape[1])

    @property
    def excess(self) -> tuple[ndarray, ndarray]:
        """Mean over the members of their outputs less what they would be at infinite width, and its standard error.

        The start of each member, most of the variance, drops out: what is left is the effect of the width.
        """
        gaps = self.outputs - self.own
        return gaps.mean(1), gaps.std(1, ddof=1) / np.sqrt(gaps.shape[1])

    @property
    def variance_error(self) -> ndarray:
        """Standard error of the variance over the members, from their own fourth moment."""
        centred = self.outputs - self.outputs.mean(1, keepdims=True)
        spread = np.mean(centred**4, axis=1) - np.mean(centred**2, axis=1) ** 2
        return np.sqrt(spread / self.outputs.shape[1])


def flow_check(width: int, members: int, seed: int, depth: int = 3) -> FlowCheck:
    """Train an ensemble of ReLU networks on two points, and look at a third.

    Args:
        width: Hidden units.
        members: Networks.
        seed: Of the first network.
        depth: Hidden layers.
    """
    architecture = fully_connected(depth, weight_std=sqrt(2))
    together = max(1, min(members, _CHUNK // (depth * width * width)))
    parts, starts = [], []
    for first in range(0, members, together):
        seeds = [seed + member for member in range(first, min(first + together, members))]
        ensemble = Ensemble.of(lambda s: network(architecture, 2, width=width, seed=s), seeds)
        starts.append(predict(ensemble, np.concatenate([PAIR, POINT]))[:, :, 0].T)
        looks = Recorder(lambda step, module: predict(module, POINT)[:, 0, 0] if step in STEPS else None)
        history = train(ensemble, PAIR, LABELS, GradientDescent(RATE, STEPS[-1]), looks)
        parts.append(np.stack([outputs for step, outputs in history.records if step in STEPS]))
    outputs, start = np.concatenate(parts, axis=1), np.concatenate(starts, axis=1)
    # One output for each member: its own start, and the same targets.
    targets = np.repeat(LABELS[:, None], members, axis=1)
    theory = GradientFlow(NTK(architecture), NNGP(architecture), RATE, stepping="descent").fit(PAIR, targets)
    own = theory.member(STEPS, NetworkStart(start[:2], start[2:]), POINT)[:, 0]
    mean, variance = theory.mean(STEPS, POINT)[:, 0, 0], theory.variance(STEPS, POINT)[:, 0]
    return FlowCheck(width, outputs, own, mean, variance)


def flow_table(checks: Sequence[FlowCheck]) -> ResultTable:
    """Means and variances of every ensemble beside the predicted ones."""
    columns = (Column("width"), Column("networks"), Column("step"), Column("mean", ".4f"), Column("s.e.", ".4f"))
    columns += (
        Column("infinite", ".4f"),
        Column("off, s.e.", ".1f"),
        Column("variance", ".4f"),
        Column("its s.e.", ".4f"),
    )
    columns += (Column("infinite's", ".4f"), Column("its off, s.e.", ".1f"))
    columns += (Column("less own start's", ".4f"), Column("s.e. of that", ".4f"))
    rows = []
    for check in checks:
        means, variances = check.outputs.mean(1), check.outputs.var(1, ddof=1)
        excess, excess_error = check.excess
        for i, step in enumerate(STEPS):
            off = (means[i] - check.mean[i]) / check.mean_error[i]
            wide = (variances[i] - check.variance[i]) / check.variance_error[i]
            row = (means[i], check.mean_error[i], check.mean[i], off, variances[i])
            row += (check.variance_error[i], check.variance[i], wide, excess[i], excess_error[i])
            rows.append((check.width, check.outputs.shape[1], step, *(float(cell) for cell in row)))
    return ResultTable(
        "Trained networks beside the infinite one",
        columns,
        tuple(rows),
        (
            f"ReLU networks of three hidden layers, gradient descent with the rate {RATE:g} on the points "
            f"{PAIR.tolist()} with the targets {LABELS.tolist()}; outputs at {POINT[0].tolist()}. Off: the difference "
            "over its Monte Carlo error. Less own start's: the mean difference of the networks from what the infinite "
            "network predicts from their own starts, which shows the effect of the width without their variance.",
        ),
    )


def flow_figure(checks: Sequence[FlowCheck]) -> Figure:
    """Mean and standard deviation of the infinite network over time, with those of the ensembles."""
    times = RATE * np.array(STEPS)
    colours = [COLOURS[name] for name in ("vermilion", "green", "orange", "purple", "sky")]
    with figure_style():
        figure = new_figure(7.0, 3.2)
        left, right = figure.subplots(1, 2)
        left.plot(times, checks[0].mean, color=COLOURS["black"], label="infinite")
        right.plot(times, checks[0].variance, color=COLOURS["black"], label="infinite")
        for number, check in enumerate(checks):
            colour, shift = colours[number % len(colours)], 1 + 0.02 * number
            style = {"color": colour, "fmt": "o", "markersize": 3.5, "label": f"width {check.width}"}
            means, variances = check.outputs.mean(1), check.outputs.var(1, ddof=1)
            left.errorbar(times * shift, means, 2 * check.mean_error, **style)
            right.errorbar(times * shift, variances, 2 * check.variance_error, **style)
        for axes, title in ((left, "Mean over the starts"), (right, "Variance over the starts")):
            axes.set_xlabel("rate x steps")
            axes.set_title(title)
        left.legend()
    return figure
