"""Dense and factorised wide networks trained to one loss on random points and on a real set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor

from widenet.architectures import Dense, FactorizedDense, Frozen, Trained
from widenet.errors import InvalidFile
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.image_files import read_images
from widenet.experiments.result_tables import Column, ResultTable
from widenet.networks.factorized_training import TrainingCost


@dataclass(frozen=True, eq=False)
class LearningSet:
    """Points of norm 1 and targets, to train on and to test on.

    Attributes:
        name: What it is called.
        X: Training points, (n, d), float32.
        Y: Targets, (n, outputs).
        test: Test points and targets, or None.
    """

    name: str
    X: Tensor
    Y: Tensor
    test: tuple[Tensor, Tensor] | None


def random_set(points: int, dimension: int, seed: int) -> LearningSet:
    """Random points of norm 1 with random labels +-1, which nothing can predict."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.nn.functional.normalize(torch.randn(points, dimension, generator=generator))
    Y = 2.0 * torch.randint(0, 2, (points, 1), generator=generator) - 1
    return LearningSet(f"{points} random points in {dimension} dimensions", X, Y, None)


def real_set(data: Path | None, rows: int, seed: int) -> LearningSet:
    """A real set of classes, centred, of norm 1, with one-hot targets minus the mean target.

    Args:
        data: None for scikit-learn's digits; a folder of MNIST's four files; or an .npz file with X and y.
        rows: Training rows; as many test rows at most.
        seed: Of the split where the set has none of its own.

    Raises:
        InvalidFile: If the file has no X and y, or the folder no images.
    """
    rng = np.random.default_rng(seed)
    if data is not None and data.is_dir():
        images = read_images(data)
        parts = ((images.X_train, images.y_train), (images.X_test, images.y_test))
        chosen = [rng.permutation(len(y))[:rows] for _, y in parts]
        (X, y), (U, v) = (
            (part[0][at].reshape(len(at), -1), part[1][at]) for part, at in zip(parts, chosen, strict=True)
        )
    else:
        X, y = _table(data)
        order = rng.permutation(len(X))
        rows = min(rows, len(X) * 3 // 4)
        train, rest = order[:rows], order[rows : 2 * rows]
        X, y, U, v = X[train], y[train], X[rest], y[rest]
    classes, mean = np.unique(y), X.mean(0)
    points = [torch.from_numpy(_unit(part - mean).astype(np.float32)) for part in (X, U)]
    targets = [
        torch.from_numpy((labels[:, None] == classes).astype(np.float32) - np.float32(1 / len(classes)))
        for labels in (y, v)
    ]
    name = "digits" if data is None else data.stem
    return LearningSet(
        f"{name}, {len(X)} rows in {X.shape[1]} dimensions", points[0], targets[0], (points[1], targets[1])
    )


def _table(data: Path | None) -> tuple[np.ndarray, np.ndarray]:
    if data is None:
        X, y = load_digits(return_X_y=True)
        return np.asarray(X), np.asarray(y)
    try:
        with np.load(data, allow_pickle=False) as arrays:
            return arrays["X"].astype(float), arrays["y"]
    except (OSError, ValueError, KeyError) as error:
        raise InvalidFile(
            "a set must be an .npz file with X and y, or a folder of images", f"{data}: {error}"
        ) from None


def _unit(X: np.ndarray) -> np.ndarray:
    return X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)


def layers_of(
    gaussian: Sequence[int], structured: Sequence[int], outer: Sequence[int], both: Sequence[int]
) -> dict[str, Dense | FactorizedDense]:
    """The dense layer and factorised ones of several ranks, by what the table calls them."""
    layers: dict[str, Dense | FactorizedDense] = {"dense": Dense(fan_in_scaling="none")}
    kinds: tuple[tuple[str, Trained, Frozen, Sequence[int]], ...] = (
        ("I, Gaussian", "inner", "gaussian", gaussian),
        ("I, Hadamard", "inner", "hadamard", structured),
        ("O", "outer", "gaussian", outer),
        ("both", "both", "gaussian", both),
    )
    for name, train, frozen, ranks in kinds:
        layers |= {f"{name}, rank {p}": FactorizedDense(p, train, frozen, fan_in_scaling="none") for p in ranks}
    return layers


def training_table(learned: LearningSet, runs: Sequence[TrainingCost], target: float) -> ResultTable:
    """Counts, steps, time and error of every network, beside the dense one."""
    columns = (Column("hidden layer"), Column("trained", ","), Column("frozen", ","), Column("flop / point", ".2e"))
    columns += (Column("flop / step", ".2e"), Column("weights, MB", ".2f"), Column("steps"), Column("ms / step", ".2f"))
    columns += (Column("s to the loss", ".3f"), Column("dense / this", ".2f"), Column("set-up, s", ".2f"))
    columns += (Column("energy proxy, J", ".3g"), Column("test error", ".4f"))
    dense = runs[0]
    rows = tuple(
        (
            run.name,
            run.cost.trainable,
            run.cost.frozen,
            float(run.cost.forward_flops),
            float(run.cost.step_flops),
            run.cost.weight_bytes / 1e6,
            run.steps if run.reached else f"not in {run.steps}",
            1e3 * run.step_seconds,
            run.seconds,
            dense.seconds / run.seconds if run.reached and dense.reached else None,
            run.setup_seconds,
            run.proxy,
            run.test_error,
        )
        for run in runs
    )
    return ResultTable(
        f"Training to a loss of {target:g}: {learned.name}",
        columns,
        rows,
        (
            "Full-batch gradient descent in float32 by one rule of step sizes, from f = 0 on (the outputs at the start "
            "are subtracted); one hidden layer of ReLU units, a fixed readout of +-1. Loss: half the squared residual, "
            "averaged over the points.",
            "I trains the inner factor behind a frozen Gaussian or structured one, O the outer factor on a frozen "
            "random projection, both trains both. Frozen numbers include the readout of one output.",
            f"Times: {torch.get_num_threads()} threads of this machine; set-up draws the network, finds the step size, "
            "and is not in the time to the loss. The energy is a proxy with assumed constants and no measurement.",
        ),
    )


def step_table(rows: Sequence[tuple[int, int, dict[str, float]]], points: int, dimension: int) -> ResultTable:
    """Milliseconds of a training step over width and rank, for dense, Gaussian and structured layers."""
    columns = (Column("width", ","), Column("rank"), Column("dense, ms", ".2f"), Column("Gaussian, ms", ".2f"))
    columns += (Column("Hadamard, ms", ".2f"), Column("Gaussian / Hadamard", ".2f"), Column("dense / Hadamard", ".2f"))
    body = tuple(
        (
            width,
            rank,
            1e3 * times["dense"],
            1e3 * times["gaussian"],
            1e3 * times["hadamard"],
            times["gaussian"] / times["hadamard"],
            times["dense"] / times["hadamard"],
        )
        for width, rank, times in rows
    )
    note = (
        f"Median of interleaved runs of output and gradient of the trained factor, {points} points in {dimension} "
        f"dimensions, float32, {torch.get_num_threads()} threads."
    )
    return ResultTable("Time of a step, trained inner factor", columns, body, (note,))


def training_figure(panels: Sequence[tuple[LearningSet, Sequence[TrainingCost]]]) -> Figure:
    """Loss over the time of training, one panel a set, one curve a network."""
    colours = [COLOURS[name] for name in ("black", "blue", "green", "orange", "vermilion", "purple", "sky", "grey")]
    with figure_style():
        figure = new_figure(4.2 * len(panels), 3.4)
        for axes, (learned, runs) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            for number, run in enumerate(runs):
                style = "-" if number < len(colours) else "--"
                seconds = run.seconds * np.arange(1, len(run.losses) + 1) / len(run.losses)
                axes.plot(seconds, run.losses, style, color=colours[number % len(colours)], label=run.name)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("seconds")
            axes.set_ylabel("loss")
            axes.set_title(learned.name, fontsize=8)
            axes.legend(fontsize=6)
    return figure
