"""Steps to a given accuracy over learning rates, seeds and shapes: orthogonal beside Gaussian weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import median

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor, nn

from widenet.architectures import Elementwise, fully_connected
from widenet.errors import InvalidInput
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.result_tables import Cell, Column, ResultTable
from widenet.networks.build import Init
from widenet.networks.descent import GradientDescent
from widenet.networks.finite_network import network

INITS: tuple[Init, ...] = ("gaussian", "orthogonal")
# The published code's tanh networks, near their critical point.
WEIGHT_STD, BIAS_STD = sqrt(1.05), sqrt(2.01e-5)


@dataclass(frozen=True, eq=False)
class Classes:
    """Points of several classes.

    Attributes:
        X: Points, (n, d).
        labels: Classes 0, 1, ... (n,).
    """

    X: Tensor
    labels: Tensor

    @property
    def count(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1


def standardized_digits() -> Classes:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, each pixel with mean 0 and variance 1 where it varies."""
    X, labels = (np.asarray(part) for part in load_digits(return_X_y=True))
    std = X.std(axis=0)
    X = (X - X.mean(axis=0)) / np.where(std > 0, std, 1.0)
    return Classes(torch.from_numpy(X).float(), torch.from_numpy(labels).long())


@dataclass(frozen=True)
class Race:
    """Stochastic gradient descent on the mean cross-entropy until a batch is classified well enough.

    Attributes:
        accuracy: Share of a batch that must be right, before the step on it.
        batch_size: Its size.
        most_steps: Steps to give up after.
    """

    accuracy: float = 0.5
    batch_size: int = 128
    most_steps: int = 300

    def __post_init__(self) -> None:
        if not 0 < self.accuracy < 1 or self.batch_size < 1 or self.most_steps < 1:
            raise InvalidInput("a race needs an accuracy below 1, a batch and steps", repr(self))

    def steps(self, module: nn.Module, data: Classes, learning_rate: float, seed: int) -> float:
        """Steps that a module takes; infinity where it does not get there, or diverges.

        Args:
            module: Trained in place.
            data: Points and classes; those beyond a whole number of batches are left out.
            learning_rate: Step size.
            seed: Of the order of the points.
        """
        descent = GradientDescent(
            learning_rate,
            steps=self.most_steps,
            batch_size=self.batch_size,
            loss="cross_entropy",
            reduction="mean",
            seed=seed,
        )
        # Whole batches only: the few rows of a rest are classified well enough by chance.
        n = len(data.X) - len(data.X) % self.batch_size if len(data.X) > self.batch_size else len(data.X)
        parameters = [p for p in module.parameters() if p.requires_grad]
        for step in range(self.most_steps):
            rows = descent.rows(step, n)
            X, labels = (data.X, data.labels) if rows is None else (data.X[rows], data.labels[rows])
            outputs = module(X)
            if float((outputs.argmax(1) == labels).float().mean()) > self.accuracy:
                return step
            loss = descent.losses(outputs, labels, n)
            if not bool(torch.isfinite(loss)):
                return inf
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(gradient, alpha=learning_rate)
        return inf


def deep_tanh(depth: int, width: int, data: Classes, init: Init, seed: int) -> nn.Module:
    """A tanh network as in the published code, in the standard parameterisation."""
    arch = fully_connected(depth, Elementwise(torch.tanh), weight_std=WEIGHT_STD, bias_std=BIAS_STD)
    return network(
        arch, data.X.shape[1], width=width, outputs=data.count, seed=seed, parameterization="standard", init=init
    )


@dataclass(frozen=True)
class Result:
    """Steps to the accuracy of networks of one shape at one learning rate.

    Attributes:
        depth: Number of activations.
        width: Units of every hidden layer.
        learning_rate: Step size.
        gaussian: Steps with Gaussian weights, one entry a seed; infinity where it was not reached.
        orthogonal: The same with orthogonal weights.
    """

    depth: int
    width: int
    learning_rate: float
    gaussian: tuple[float, ...]
    orthogonal: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median steps with Gaussian weights over those with orthogonal ones; a lower bound where it is infinite."""
        return median(self.gaussian) / max(median(self.orthogonal), 1)


Make = Callable[[Init, int], nn.Module]


def compare(make: Make, data: Classes, learning_rate: float, seeds: Sequence[int], race: Race) -> dict[Init, tuple]:
    """Steps to the accuracy for both ensembles of weights.

    Args:
        make: Builds a module from the kind of its weights and a seed.
        data: Points and classes.
        learning_rate: Step size.
        seeds: Of the weights and of the order of the points.
        race: What is to be reached.

    Returns:
        One number for each seed, by ensemble.
    """
    return {init: tuple(race.steps(make(init, seed), data, learning_rate, seed) for seed in seeds) for init in INITS}


def race_shapes(
    shapes: Sequence[tuple[int, int, float]], data: Classes, seeds: Sequence[int], race: Race
) -> list[Result]:
    """Results for deep tanh networks.

    Args:
        shapes: Depth, width and learning rate of each.
        data: Points and classes.
        seeds: Of the weights and of the order of the points.
        race: What is to be reached.
    """
    found = []
    for depth, width, rate in shapes:

        def make(init: Init, seed: int, depth: int = depth, width: int = width) -> nn.Module:
            return deep_tanh(depth, width, data, init, seed)

        steps = compare(make, data, rate, seeds, race)
        found.append(Result(depth, width, rate, steps["gaussian"], steps["orthogonal"]))
    return found


def speed_table(results: Sequence[Result], race: Race) -> ResultTable:
    """Median steps with their ranges."""
    columns = (Column("L"), Column("n"), Column("rate", "g"), Column("Gaussian"), Column("orthogonal"))
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        ratio = "" if result.ratio == inf else f"{result.ratio:.1f}"
        if result.ratio == inf and median(result.orthogonal) < inf:
            ratio = f"> {race.most_steps / max(median(result.orthogonal), 1):.0f}"
        numbers = (_span(result.gaussian, race), _span(result.orthogonal, race))
        rows.append((result.depth, result.width, result.learning_rate, *numbers, ratio))
    return ResultTable(
        f"Steps to {race.accuracy:.0%} accuracy of a batch",
        (*columns, Column("ratio")),
        tuple(rows),
        (
            f"Median (least to most) over {len(results[0].gaussian)} seeds of weights and batches of "
            f"{race.batch_size}; > {race.most_steps}: not reached. 8 x 8 digits, pixels standardised; tanh, weight "
            "variance 1.05, bias variance 2.01e-5 as in the published code, standard parameterisation, mean "
            "cross-entropy.",
        ),
    )


def _span(steps: Sequence[float], race: Race) -> str:
    def shown(number: float) -> str:
        return f"> {race.most_steps}" if number == inf else f"{number:g}"

    return f"{shown(median(steps))} ({shown(min(steps))} to {shown(max(steps))})"


def speed_figure(results: Sequence[Result], race: Race) -> Figure:
    """Steps over the learning rate: a point for each seed, lines through the medians."""
    with figure_style():
        figure = new_figure(5.2, 3.6)
        axes = figure.subplots()
        rates = [result.learning_rate for result in results]
        for name, colour, marker in (("gaussian", "vermilion", "s"), ("orthogonal", "blue", "o")):
            steps = np.array([getattr(result, name) for result in results])
            steps = np.where(np.isinf(steps), race.most_steps, np.maximum(steps, 1))
            axes.plot(rates, np.median(steps, axis=1), color=COLOURS[colour], label=name)
            for column in steps.T:
                axes.plot(
                    rates, column, color=COLOURS[colour], marker=marker, linestyle="none", alpha=0.5, markersize=4
                )
        axes.axhline(race.most_steps, color=COLOURS["grey"], linewidth=0.8, linestyle=(0, (3, 2)))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel(f"steps to {race.accuracy:.0%} accuracy")
        axes.set_title(f"tanh, {results[0].depth} layers of width {results[0].width}, digits")
        axes.legend(title=f"dashed: given up at {race.most_steps}")
    return figure
