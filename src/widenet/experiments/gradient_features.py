"""Kernel regression on the gradients of finite random networks, beside the exact tangent kernel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

from widenet.architectures import Layer, fully_connected
from widenet.architectures.zoo_residual import densenet, residual
from widenet.errors import InvalidInput
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.finite_residual import (
    DenselyConnectedNetwork,
    FiniteNetwork,
    ResidualNetwork,
    VanillaNetwork,
    tangent_gram,
)
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NTK

Gram = Float[np.ndarray, "n n"]

FOLDS = 5
RIDGES = tuple(10.0 ** (power / 2) for power in range(-8, 5))


@dataclass(frozen=True)
class Design:
    """Networks of one kind at some depth.

    Attributes:
        name: What tables and figures call them.
        architecture: The infinitely wide one.
        network: A finite one, from its width.
    """

    name: str
    architecture: Layer
    network: Callable[[int], FiniteNetwork]


def designs(depth: int) -> tuple[Design, ...]:
    """A vanilla, a residual (alpha = 1/L) and a densely connected (alpha = 1) network of about equally many matrices.

    A vanilla network of two layers comes last: how much of a difference is that of deep to shallow kernels.

    Args:
        depth: Hidden layers, even; the residual network has half as many blocks of two matrices.
    """
    if depth < 2 or depth % 2:
        raise InvalidInput("the depth must be even, for blocks of two matrices", repr(depth))
    blocks = depth // 2
    return (
        Design(f"vanilla, {depth} layers", fully_connected(depth, scaling="he"), lambda n: VanillaNetwork(n, depth)),
        Design(f"ResNet, {blocks} blocks", residual(blocks), lambda n: ResidualNetwork(n, blocks, 1 / blocks)),
        Design(f"DenseNet, {depth} layers", densenet(depth), lambda n: DenselyConnectedNetwork(n, depth)),
        Design("vanilla, 2 layers", fully_connected(2, scaling="he"), lambda n: VanillaNetwork(n, 2)),
    )


@dataclass(frozen=True, eq=False)
class Errors:
    """Cross-validated errors of kernel regression with the gradients of finite networks of one shape.

    Attributes:
        design: The kind of network.
        width: Its width, or None for the exact kernel.
        rmse: Root mean squared error over the standard deviation of y, one a network.
        distance: Root mean square of what predictions differ by from the exact kernel's, over that of theirs, one a
            network.
        averaged: Both, for the mean of all these networks' kernels.
    """

    design: Design
    width: int | None
    rmse: Float[np.ndarray, " nets"]
    distance: Float[np.ndarray, " nets"]
    averaged: tuple[float, float]


def diabetes() -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """The diabetes data of scikit-learn: standardised columns and a constant one, and standardised targets."""
    X, y = (np.asarray(part) for part in load_diabetes(return_X_y=True))
    X = (X - X.mean(0)) / X.std(0)
    return np.column_stack([X, np.ones(len(X))]), (y - y.mean()) / y.std()


def regression_errors(
    design: Design, data: tuple[np.ndarray, np.ndarray], widths: Sequence[int], nets: int, seed: int
) -> list[Errors]:
    """Errors with the exact kernel, then with finite networks of these widths.

    The ridge of each fold is chosen by the leave-one-out errors of the exact kernel on the other folds, relative to the
    mean diagonal, and is the same for all widths: only the kernels differ.

    Args:
        design: The kind of network.
        data: Points (n, d), without duplicates of a direction, and targets (n,).
        widths: Widths of the finite networks.
        nets: Networks of each width.
        seed: Of the folds and the weights.
    """
    X, y = data
    random = np.random.default_rng(seed)
    folds = random.permutation(len(X)) % FOLDS
    exact = NTK(design.architecture)(X)
    ridges = [_best_ridge(exact[np.ix_(folds != f, folds != f)], y[folds != f]) for f in range(FOLDS)]
    reference = _predictions(exact, y, folds, ridges)
    least = _rmse(reference[None], y)
    found = [Errors(design, None, least, np.zeros(1), (float(least[0]), 0.0))]
    for width in widths:
        total, predictions = np.zeros_like(exact), []
        for weights in random.integers(2**32, size=nets):
            K = tangent_gram(design.network(width), X, int(weights))
            total += K
            predictions.append(_predictions(K, y, folds, ridges))
        of_mean, several = _predictions(total / nets, y, folds, ridges)[None], np.stack(predictions)
        averaged = (float(_rmse(of_mean, y)[0]), float(_distance(of_mean, reference)[0]))
        found.append(Errors(design, width, _rmse(several, y), _distance(several, reference), averaged))
    return found


def _best_ridge(K: Gram, y: np.ndarray) -> float:
    """The relative ridge with the smallest leave-one-out error, sum of (a_i / (K + r)^-1_ii)^2."""
    values, vectors = np.linalg.eigh(K)
    projected, squares = vectors.T @ y, vectors**2
    inverses = [1 / (values + ridge * np.mean(np.diag(K))) for ridge in RIDGES]
    errors = [np.mean((vectors @ (inverse * projected) / (squares @ inverse)) ** 2) for inverse in inverses]
    return RIDGES[int(np.argmin(errors))]


def _predictions(K: Gram, y: np.ndarray, folds: np.ndarray, ridges: Sequence[float]) -> np.ndarray:
    """The prediction of every point from the other folds."""
    predicted = np.empty(len(y))
    for fold, ridge in enumerate(ridges):
        inside, outside = folds == fold, folds != fold
        system = K[np.ix_(outside, outside)]
        system[np.diag_indices_from(system)] += ridge * np.mean(np.diag(system))
        predicted[inside] = K[np.ix_(inside, outside)] @ np.linalg.solve(system, y[outside])
    return predicted


def _rmse(predicted: Float[np.ndarray, "nets n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " nets"]:
    return np.sqrt(np.mean((predicted - y) ** 2, axis=-1)) / np.std(y)


def _distance(predicted: Float[np.ndarray, "nets n"], reference: Float[np.ndarray, " n"]) -> Float[np.ndarray, " nets"]:
    return np.sqrt(np.mean((predicted - reference) ** 2, axis=-1) / np.mean(reference**2))


def regression_table(errors: Sequence[Errors], depth: int) -> ResultTable:
    """Errors over kind of network and width."""
    columns = (Column("network"), Column("width"), Column("RMSE", ".4f"), Column("s.e. of RMSE", ".4f"))
    columns += (Column("RMSE over exact", ".4f"), Column("distance to exact", ".4f"), Column("s.e. of distance", ".4f"))
    columns += (Column("RMSE, mean kernel", ".4f"), Column("distance, mean kernel", ".4f"))
    rows = []
    for entry in errors:
        exact = next(e for e in errors if e.design is entry.design and e.width is None)
        if entry.width is None:
            rows.append((entry.design.name, "exact", float(entry.rmse[0]), *(None,) * 6))
            continue
        excess = float(np.mean(entry.rmse) - exact.rmse[0])
        rmse, distance = ((float(np.mean(v)), _standard_error(v)) for v in (entry.rmse, entry.distance))
        rows.append((entry.design.name, str(entry.width), *rmse, excess, *distance, *entry.averaged))
    nets = max(len(entry.rmse) for entry in errors)
    return ResultTable(
        "Regression on the gradients of random networks",
        columns,
        tuple(rows),
        (
            f"Measured: diabetes (442 patients, scikit-learn), {FOLDS}-fold cross-validation, {nets} networks a width. "
            f"Deep networks have {depth + 1} or {depth + 2} matrices. RMSE in standard deviations of the targets.",
            "The ridge is chosen for the exact kernel, inside the training folds, and kept for all widths.",
            "Distance: root mean square of the difference between the predictions of one finite network's kernel and "
            "of the exact one, over that of the latter. Mean kernel: regression with the mean of the kernels of all "
            "networks of a width.",
            "The paper's abstract (arXiv 2001.10460) claims an advantage of residual and densely connected networks in "
            "kernel regression with random gradient features; its data and numbers were not seen.",
        ),
    )


def _standard_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


_LOOKS = (("vermilion", "s"), ("blue", "o"), ("green", "^"), ("orange", "D"))


def regression_figure(errors: Sequence[Errors]) -> Figure:
    """Error and distance to the exact kernel's predictions over the width."""
    with figure_style():
        figure = new_figure(7.0, 3.3)
        panels = figure.subplots(1, 2)
        references = [entry for entry in errors if entry.width is None]
        for exact, (colour, marker) in zip(references, _LOOKS, strict=False):
            name = exact.design.name
            finite = [entry for entry in errors if entry.design is exact.design and entry.width is not None]
            widths = [entry.width for entry in finite]
            for axes, values in zip(panels, ([e.rmse for e in finite], [e.distance for e in finite]), strict=True):
                means, bars = [v.mean() for v in values], np.nan_to_num([_standard_error(v) for v in values])
                axes.errorbar(widths, means, bars, color=COLOURS[colour], marker=marker, capsize=2, label=name)
            panels[0].axhline(exact.rmse[0], color=COLOURS[colour], linewidth=0.9, linestyle=(0, (4, 2)))
        panels[0].set_ylabel("RMSE / standard deviation of y")
        panels[0].set_title("Error (dashed: exact kernel)")
        panels[1].set_ylabel("relative distance of predictions")
        panels[1].set_title("Distance to the exact kernel")
        panels[1].set_yscale("log")
        for axes in panels:
            axes.set_xscale("log", base=2)
            axes.set_xlabel("width n")
        panels[0].legend()
    return figure
