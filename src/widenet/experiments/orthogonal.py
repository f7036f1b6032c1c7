"""Orthogonal weights (arXiv 2004.05867, 2310.07765): finite-width tensors, drift of the NTK, speed of training."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from widenet.architectures import Erf, fully_connected
from widenet.errors import InvalidInput
from widenet.experiments.figures import save_figure
from widenet.experiments.lazy_training import (
    drift_curves,
    drift_figure,
    drift_table,
    equal_steps,
    equal_steps_table,
)
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, run_parts, write_report
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.tensor_ensembles import TensorEnsemble
from widenet.experiments.tensor_tables import (
    ENSEMBLES,
    TANH,
    Measured,
    monte_carlo_table,
    recursion_table,
    tensor_figure,
)
from widenet.experiments.training_speed import (
    INITS,
    Classes,
    Race,
    race_shapes,
    speed_figure,
    speed_table,
    standardized_digits,
)
from widenet.kernels.neural import NTK
from widenet.networks.monte_carlo import monte_carlo_ntk

CLAIMS = (
    "What is claimed, derived and measured. Huang, Du and Xu (arXiv 2004.05867; abstract, published code and result "
    "files were read) claim that at infinite width orthogonal weights have the NTK of Gaussian ones, which stays "
    "constant in training, so that they cannot speed up lazy training; they do with large learning rates and depth. "
    "Day, Kahn and Roberts (arXiv 2310.07765; only the abstract was read) claim that fluctuations of tanh networks at "
    "their critical point do not grow with the depth for orthogonal weights, and those of the NTK saturate at depth 20 "
    "or so. Derived here: the recursions of all tensors, with V of orthogonal weights tending to -2 and B fading like "
    "2 / layer. Measured here: every ensemble and every training run; none of the papers' own numbers is repeated, as "
    "data, widths and depths are smaller."
)
_POINTS, _CHANNELS = 20, 128


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce orthogonal` computes.

    Attributes:
        layers: Layers of the table of the recursion.
        draws: Networks of each Monte Carlo ensemble.
        ensemble: Width and layers of the networks whose tensors are measured.
        deep: Width and layers of networks deeper than wide, of which there are a quarter as many; None for none.
        kernel_draws: Draws of the Monte Carlo kernels.
        drift_widths: Widths of the networks whose NTK is followed.
        drift_points: Training points of these.
        drift_steps: Their steps.
        lazy_shape: Depth and width of the networks trained in the lazy regime.
        lazy_points: Their training points.
        rates: Learning rates of the race to an accuracy.
        race_shape: Depth and width of its networks.
        race_shapes: Further depths and widths, at a learning rate of 0.01.
        race: What is to be reached.
        seeds: Seeds of every training run.
        seed: First of all seeds.
    """

    layers: tuple[int, ...] = (2, 5, 20, 100, 1000)
    draws: int = 4000
    ensemble: tuple[int, int] = (64, 12)
    deep: tuple[int, int] | None = (30, 60)
    kernel_draws: int = 40
    drift_widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024)
    drift_points: int = 64
    drift_steps: int = 50
    lazy_shape: tuple[int, int] = (3, 400)
    lazy_points: int = 128
    rates: tuple[float, ...] = (1e-1, 3e-2, 1e-2, 3e-3)
    race_shape: tuple[int, int] = (50, 64)
    race_shapes: tuple[tuple[int, int], ...] = ((10, 64), (25, 64), (50, 128))
    race: Race = field(default_factory=Race)
    seeds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 2 or self.kernel_draws < 2 or self.seeds < 2:
            raise InvalidInput("draws, kernel draws and seeds must be at least 2", repr(self))
        if not self.layers or min(self.layers) < 1 or len(self.drift_widths) < 3 or not self.rates:
            raise InvalidInput("there must be layers, three widths and a learning rate", repr(self))
        if self.seed < 0:
            raise InvalidInput("the seed must not be negative", repr(self.seed))

    @staticmethod
    def quick(draws: int = 300, seed: int = 0) -> "Settings":
        """Small sizes: seconds instead of a minute or two.

        Args:
            draws: Networks of each Monte Carlo ensemble.
            seed: First of all seeds.
        """
        return Settings(
            draws=draws,
            ensemble=(32, 6),
            deep=None,
            kernel_draws=10,
            drift_widths=(16, 64, 256),
            drift_points=32,
            drift_steps=20,
            lazy_points=32,
            rates=(3e-2, 1e-2),
            race_shapes=(),
            race=Race(most_steps=150),
            seeds=2,
            seed=seed,
        )

    @property
    def all_seeds(self) -> range:
        """The seeds of every training run."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def lazy_seeds(self) -> range:
        """Twice as many, for runs whose differences are small."""
        return range(self.seed, self.seed + 2 * self.seeds)


def run(output: Path, settings: Settings | None = None, progress: Progress | None = None) -> Outcome:
    """Compute tensors over the depth, Monte Carlo kernels, drift of kernels, and steps to an accuracy.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `orthogonal.md` with all of it. Equal settings
    give equal numbers.

    Args:
        output: Folder to write to; made if missing.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to.

    Cost:
        A minute or two on two cores: 10^5 QR decompositions of small matrices, some 10^4 steps of deep networks.

    References:
        Huang, Du and Xu 2020, arXiv 2004.05867; Day, Kahn and Roberts 2023, arXiv 2310.07765.
    """
    settings = Settings() if settings is None else settings
    prepare_folder(output)
    digits = standardized_digits()
    parts = {
        "tensors": partial(_tensors, output, settings, digits),
        "Monte Carlo kernels": partial(_kernels, output, settings, digits),
        "drift of kernels": partial(_drift, output, settings, digits),
        "lazy training": partial(_lazy, output, settings, digits),
        "steps to an accuracy": partial(_race, output, settings, digits),
    }
    done = run_parts(parts, progress)
    return write_report(output / "orthogonal.md", "Orthogonal weights", CLAIMS, done)


def _tensors(output: Path, settings: Settings, digits: Classes) -> Outcome:
    measured = _measured(settings.ensemble, settings.draws, settings.seed)
    n, last = settings.ensemble
    shown = sorted({min(2, last), last // 2, last} - {0})
    tables = [recursion_table(settings.layers), monte_carlo_table(measured, shown, n, settings.draws)]
    stems = ["tensors", "tensors_measured"]
    if settings.deep is not None:
        width, layers = settings.deep
        draws = max(2, settings.draws // 4)
        deep = _measured(settings.deep, draws, settings.seed)
        tables.append(monte_carlo_table(deep, (layers,), width, draws))
        stems.append("tensors_deep")
    files = [file for table, stem in zip(tables, stems, strict=True) for file in table.save(output, stem)]
    files += save_figure(tensor_figure(measured, 100, n), output, "tensors")
    text = "## Tensors over the depth\n\n![Tensors over the depth](tensors.png)\n\n"
    return Outcome(tuple(tables), tuple(files), text + "\n\n".join(table.markdown() for table in tables))


def _measured(shape: tuple[int, int], draws: int, seed: int) -> Measured:
    width, layers = shape
    return {ensemble: TensorEnsemble(TANH, width, layers, ensemble).measure(draws, seed) for ensemble in ENSEMBLES}


def kernel_table(width: int, draws: int, seed: int) -> ResultTable:
    """Errors of Monte Carlo kernels with Gaussian and with orthogonal weights.

    Args:
        width: Units of every hidden layer.
        draws: Networks of each kind.
        seed: Of points and weights.
    """
    X = np.random.default_rng(seed).standard_normal((_POINTS, _CHANNELS))
    rows = []
    for name, arch in (
        ("ReLU, 1 layer", fully_connected(1, weight_std=1.5, bias_std=0.1)),
        ("ReLU, 3 layers", fully_connected(3, weight_std=1.5, bias_std=0.1)),
        ("erf, 3 layers", fully_connected(3, Erf(), weight_std=1.5, bias_std=0.1)),
    ):
        limit = NTK(arch)(X)
        found = [monte_carlo_ntk(arch, X, width=width, draws=draws, init=init, seed=seed) for init in INITS]
        errors = [float(np.linalg.norm(f.mean - limit) / np.linalg.norm(limit)) for f in found]
        fewer = (found[0].spread / found[1].spread) ** 2
        rows.append((name, *(f.spread for f in found), fewer, *errors))
    columns = (Column("network"), Column("Gaussian", ".2f"), Column("orthogonal", ".2f"), Column("fewer draws", ".1f"))
    columns += (Column("error of the mean, Gaussian", ".4f"), Column("orthogonal ", ".4f"))
    return ResultTable(
        "Monte Carlo kernels: relative Frobenius error of one draw times sqrt(n)",
        columns,
        tuple(rows),
        (
            f"{draws} networks of width n = {width}, {_POINTS} Gaussian points in {_CHANNELS} dimensions, weight_std "
            "1.5, bias_std 0.1. Fewer draws: the square of the ratio, for the same error. Error of the mean: "
            "its distance from the exact kernel, which is the same for both kinds of weights.",
        ),
    )


def _kernels(output: Path, settings: Settings, digits: Classes) -> Outcome:
    table = kernel_table(128, settings.kernel_draws, settings.seed)
    files = table.save(output, "monte_carlo_kernels")
    return Outcome((table,), files, f"## Monte Carlo kernels\n\n{table.markdown()}")


def _first(digits: Classes, count: int) -> Classes:
    return Classes(digits.X[:count], digits.labels[:count])


def _drift(output: Path, settings: Settings, digits: Classes) -> Outcome:
    data = _first(digits, settings.drift_points)
    curves = drift_curves(data, settings.drift_widths, settings.drift_steps, settings.all_seeds)
    table = drift_table(curves, settings.drift_steps)
    files = (*table.save(output, "drift"), *save_figure(drift_figure(curves), output, "drift"))
    text = f"## Drift of the kernel\n\n![Drift over the width](drift.png)\n\n{table.markdown()}"
    return Outcome((table,), files, text)


def _lazy(output: Path, settings: Settings, digits: Classes) -> Outcome:
    data = _first(digits, settings.lazy_points)
    results = equal_steps(data, settings.lazy_shape, ((0.1, 50), (1.0, 20)), settings.lazy_seeds)
    table = equal_steps_table(results, settings.lazy_shape)
    files = table.save(output, "lazy")
    return Outcome((table,), files, f"## Lazy training\n\n{table.markdown()}")


def _race(output: Path, settings: Settings, digits: Classes) -> Outcome:
    depth, width = settings.race_shape
    rates = [(depth, width, rate) for rate in settings.rates]
    results = race_shapes(rates, digits, settings.all_seeds, settings.race)
    tables = [speed_table(results, settings.race)]
    files = [*tables[0].save(output, "speed"), *save_figure(speed_figure(results, settings.race), output, "speed")]
    if settings.race_shapes:
        shapes = [(*shape, 1e-2) for shape in settings.race_shapes]
        others = race_shapes(shapes, digits, settings.all_seeds, settings.race)
        tables.append(speed_table(others, settings.race))
        files += tables[1].save(output, "speed_shapes")
    text = "## Steps to an accuracy\n\n![Steps over the learning rate](speed.png)\n\n"
    return Outcome(tuple(tables), tuple(files), text + "\n\n".join(table.markdown() for table in tables))
