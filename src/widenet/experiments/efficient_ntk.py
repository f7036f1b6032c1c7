"""Efficient NTK by factorisation (arXiv 2210.04807): costs, training, time of a step, fidelity of the kernels."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from widenet.architectures import Dense, FactorizedDense
from widenet.errors import InvalidInput
from widenet.experiments.efficient_kernels import (
    block_table,
    concentration_table,
    outer_error,
    spectrum_table,
)
from widenet.experiments.efficient_training import (
    LearningSet,
    layers_of,
    random_set,
    real_set,
    step_table,
    training_figure,
    training_table,
)
from widenet.experiments.figures import save_figure
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, run_parts, write_report
from widenet.experiments.result_tables import ResultTable
from widenet.networks.factorized_training import TrainingCost, TrainingPlan, compare_training
from widenet.networks.shallow import ShallowNetwork

CLAIMS = (
    "What is claimed, derived and measured. The paper (Ailon and Shit, arXiv 2210.04807; only its abstract was read): "
    "a matrix factorisation gives guarantees similar to those of a prior analysis of wide networks at a lower cost of "
    "training and inference, most where the dimension is of the order of the number of points. Reconstructed here: the "
    "form of the factorisation, its variants, the structured factor, kernels and their scatter, the rule for the rank. "
    "Measured here: every time, step, loss and error. None of the paper's theorems or numbers was seen."
)


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce efficient-ntk` computes.

    Attributes:
        width: Hidden units of the networks that are trained.
        points: Number and dimension of the random points.
        random_target: Loss at which training on them stops.
        data: Real set: None for digits, an .npz file with X and y, or a folder of MNIST's four files.
        rows: Training rows of it; 1297 digits, else 2000, if None.
        real_target: Loss at which training on it stops.
        momentum: Of gradient descent on the real set.
        step_sizes: Width and rank of the timed steps.
        ranks: Ranks of the kernels that are compared.
        draws: Draws of the Monte Carlo tables.
        monte_carlo_width: Hidden units in them.
        seed: Of all random numbers.
    """

    width: int = 16384
    points: int = 256
    random_target: float = 1e-2
    data: Path | None = None
    rows: int | None = None
    real_target: float = 0.02
    momentum: float = 0.9
    step_sizes: tuple[tuple[int, int], ...] = ((4096, 256), (16384, 64), (16384, 256), (16384, 1024), (65536, 256))
    ranks: tuple[int, ...] = (16, 64, 256)
    draws: int = 400
    monte_carlo_width: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width < 64 or self.points < 16 or (self.rows or 50) < 50 or self.monte_carlo_width < 64:
            raise InvalidInput("width and monte_carlo_width are 64 or more, points 16, rows 50", repr(self))
        if self.draws < 10 or not self.ranks or not self.step_sizes or self.seed < 0:
            raise InvalidInput(
                "draws are 10 or more, ranks and step_sizes not empty, the seed not negative", repr(self)
            )

    @staticmethod
    def quick(width: int = 2048, data: Path | None = None, seed: int = 0) -> "Settings":
        """Small sizes: seconds instead of minutes.

        Args:
            width: Hidden units of the networks that are trained.
            data: Real set.
            seed: Of all random numbers.
        """
        return Settings(
            width=width,
            points=128,
            data=data,
            rows=400,
            real_target=0.05,
            step_sizes=((2048, 64), (4096, 256)),
            ranks=(16, 64),
            draws=60,
            monte_carlo_width=2000,
            seed=seed,
        )


def run(output: Path, settings: Settings | None = None, progress: Progress | None = None) -> Outcome:
    """Train dense and factorised networks to one loss, time their steps, and compare their kernels with the formulas.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `efficient_ntk.md` with all of it. Equal settings
    give equal numbers, but for the times.

    Args:
        output: Folder to write to; made if missing.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to, or the data cannot be read.

    Cost:
        Two minutes on two cores, half of it the training of dense networks.

    References:
        Ailon and Shit 2022, arXiv 2210.04807.
    """
    settings = Settings() if settings is None else settings
    prepare_folder(output)
    sets = [random_set(settings.points, settings.points, settings.seed)]
    rows = settings.rows or (1297 if settings.data is None else 2000)
    sets.append(real_set(settings.data, rows, settings.seed))
    parts = {
        "training": partial(_training, output, settings, sets),
        "time of a step": partial(_steps, output, settings, sets),
        "kernels": partial(_kernels, output, settings, sets),
    }
    done = run_parts(parts, progress)
    return write_report(output / "efficient_ntk.md", "Factorised wide networks", CLAIMS, done)


def train_on(learned: LearningSet, settings: Settings) -> tuple[list[TrainingCost], float]:
    """The networks of the experiment trained on a set, and the loss they were trained to.

    Args:
        learned: The set; the random one has no test points.
        settings: Widths, targets.
    """
    size = settings.points
    if learned.test is None:
        ranks = [rank for rank in (16, 32, 64, 128, 256) if rank <= size]
        layers = layers_of(ranks, ranks[1:], ranks[2:4], ranks[2:3])
        plan = TrainingPlan(settings.width, settings.random_target, seed=settings.seed)
    else:
        d = learned.X.shape[1]
        ranks = [rank for rank in (64, 256, 512, 1024) if rank <= settings.width // 4]
        layers = layers_of(ranks[1:2], ranks, [min(d, 64)], [min(d, 64)])
        plan = TrainingPlan(
            settings.width, settings.real_target, momentum=settings.momentum, most_steps=150, seed=settings.seed
        )
    return compare_training(learned.X, learned.Y, layers, plan, learned.test), plan.target


def _training(output: Path, settings: Settings, sets: list[LearningSet]) -> Outcome:
    tables, files, panels = list[ResultTable](), list[Path](), []
    for learned, stem in zip(sets, ("training_random", "training_real"), strict=True):
        runs, target = train_on(learned, settings)
        tables.append(training_table(learned, runs, target))
        files += tables[-1].save(output, stem)
        panels.append((learned, runs))
    files += save_figure(training_figure(panels), output, "training")
    text = "## Training\n\n![Loss over time](training.png)\n\n" + "\n\n".join(table.markdown() for table in tables)
    return Outcome(tuple(tables), tuple(files), text)


def step_times(width: int, rank: int, X: torch.Tensor, rounds: int = 7, seed: int = 0) -> dict[str, float]:
    """Median seconds of output and gradient of a dense layer, and of inner-trained ones, in interleaved runs.

    Args:
        width: Hidden units.
        rank: Of the factorised layers.
        X: Points, (n, d).
        rounds: Runs of each.
        seed: Of the networks.
    """
    layers: dict[str, Dense | FactorizedDense] = {"dense": Dense(fan_in_scaling="none")}
    layers["gaussian"] = FactorizedDense(rank, fan_in_scaling="none")
    layers["hadamard"] = FactorizedDense(rank, frozen="hadamard", fan_in_scaling="none")
    networks = {name: ShallowNetwork(X.shape[1], width, layer, seed=seed) for name, layer in layers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for number in range(rounds + 1):
        for name, network in networks.items():
            start = time.perf_counter()
            outputs = network(X)
            torch.autograd.grad(outputs, list(network.parameters()), outputs.detach())
            if number > 0:  # the first one compiles
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def _steps(output: Path, settings: Settings, sets: list[LearningSet]) -> Outcome:
    X = sets[0].X
    rows = [(width, rank, step_times(width, rank, X, seed=settings.seed)) for width, rank in settings.step_sizes]
    table = step_table(rows, *X.shape)
    return Outcome((table,), table.save(output, "step_times"), f"## Time of a step\n\n{table.markdown()}")


def _kernels(output: Path, settings: Settings, sets: list[LearningSet]) -> Outcome:
    width, draws, seed = settings.monte_carlo_width, settings.draws, settings.seed
    tables = (
        concentration_table(settings.ranks, draws, width, seed),
        spectrum_table(settings.ranks, 128, width, 6, seed),
        block_table(32, draws // 2, max(64, width // 7), seed),
    )
    stems = ("concentration", "spectra", "block")
    files = tuple(file for table, stem in zip(tables, stems, strict=True) for file in table.save(output, stem))
    error = outer_error(20 * width, seed)
    text = "## Kernels\n\n" + "\n\n".join(table.markdown() for table in tables)
    text += (
        f"\n\nA network of {20 * width:,} units with a frozen inner factor has the kernel of the dense network on the "
        f"projected points, up to {error:.1e} of it."
    )
    return Outcome(tables, files, text)
