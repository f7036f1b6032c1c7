"""Test errors of finite networks over their width, beside those of their kernels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.finite_arms import Budget
from widenet.experiments.kernel_arms import Family, KernelArm
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.small_images import prepared
from widenet.kernels.neural import NNGP, NTK
from widenet.networks.descent import GradientDescent
from widenet.networks.ensembles import Centred
from widenet.networks.finite_network import network
from widenet.networks.training import predict, train
from widenet.theory.dynamics import GradientFlow

_MOMENTUM = 0.9
_RATE = 0.2  # over the largest stable rate of the infinite network
_MARKS = {"FC": ("blue", "o"), "CNN-VEC": ("vermilion", "s"), "CNN-GAP": ("green", "^")}


@dataclass(frozen=True, eq=False)
class WidthPoint:
    """Networks of one width.

    Attributes:
        family: "FC", "CNN-VEC" or "CNN-GAP".
        width: Units or channels of the hidden layers.
        rights: Whether each network classifies each test image right, (members, m).
        mse: Mean squared test errors, (members,).
        loss: Training losses, (members,).
    """

    family: str
    width: int
    rights: ndarray
    mse: ndarray
    loss: ndarray


def width_points(family: Family, widths: Sequence[int], budget: Budget) -> list[WidthPoint]:
    """Train centred networks of a family over the width, one by one, with momentum.

    Args:
        family: The family.
        widths: Units or channels of the hidden layers.
        budget: Members, steps and seed.
    """
    rows = prepared(family.images, None)
    X, test, targets = family.points(rows[0]), family.points(rows[2]), family.images.targets
    fan_in = X.shape[1] if family.name == "FC" else tuple(X.shape[1:])
    flow = GradientFlow(NTK(family.architecture), NNGP(family.architecture), loss="mean").fit(X, targets)
    descent = GradientDescent(_RATE * flow.largest_stable_rate, budget.steps, momentum=_MOMENTUM, reduction="mean")
    classes = targets.shape[1]
    truth, found = np.eye(classes)[family.images.labels[2]] - 1 / classes, []
    for width in widths:
        rights, errors, losses = [], [], []
        for seed in range(budget.members):
            plain = network(family.architecture, fan_in, width=width, outputs=classes, seed=budget.seed + seed)
            module = Centred(plain)
            history = train(module, X, targets, descent)
            scores = predict(module, test)
            rights.append(scores.argmax(1) == family.images.labels[2])
            errors.append(np.mean(np.square(scores - truth)))
            losses.append(history.final_loss)
        found.append(WidthPoint(family.name, width, np.array(rights), np.array(errors), np.array(losses)))
    return found


def width_table(points: Sequence[WidthPoint], budget: Budget) -> ResultTable:
    """Accuracies and errors over the width."""
    columns = (Column("network"), Column("width"), Column("accuracy, %", ".2f"), Column("s.e.", ".2f"))
    columns += (Column("squared error", ".4f"), Column("its s.e.", ".4f"), Column("training loss", ".1e"))
    rows = tuple(
        (
            point.family,
            point.width,
            100 * float(point.rights.mean()),
            100 * float(point.rights.mean(1).std(ddof=1) / np.sqrt(len(point.mse))),
            float(point.mse.mean()),
            float(point.mse.std(ddof=1) / np.sqrt(len(point.mse))),
            float(point.loss.mean()),
        )
        for point in points
    )
    return ResultTable(
        "Finite networks over the width",
        columns,
        rows,
        (
            f"{budget.members} centred networks of each width in the NTK parameterisation, {budget.steps} steps on all "
            f"rows with momentum {_MOMENTUM:g} and {_RATE:g} of the largest rate that is stable without it for the "
            "infinite network; standard errors over the networks. Where the training loss is not small, training has "
            "not come to its end.",
        ),
    )


def width_figure(points: Sequence[WidthPoint], arms: Sequence[KernelArm]) -> Figure:
    """Test errors over the width; dashed, those of the plain NTK of each family."""
    with figure_style():
        figure = new_figure(5.0, 3.3)
        axes = figure.subplots()
        for family, (colour, mark) in _MARKS.items():
            own = [point for point in points if point.family == family]
            widths, means = [point.width for point in own], [float(point.mse.mean()) for point in own]
            errors = [2 * float(point.mse.std(ddof=1) / np.sqrt(len(point.mse))) for point in own]
            axes.errorbar(widths, means, errors, fmt=f"{mark}-", color=COLOURS[colour], label=family)
            for arm in arms:
                if (arm.family, arm.kind, arm.treatment) == (family, "NTK", "plain"):
                    axes.axhline(arm.mse, color=COLOURS[colour], linestyle="--", linewidth=1.0)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("width or channels")
        axes.set_ylabel("squared error, test")
        axes.set_title("Networks over the width, NTK dashed")
        axes.legend()
    return figure
