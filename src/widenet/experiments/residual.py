"""Residual and densely connected networks (arXiv 2001.10460): exact kernels, fluctuations, random gradient features."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from widenet.architectures import Layer
from widenet.architectures.zoo_residual import densenet, residual
from widenet.errors import InvalidInput
from widenet.experiments.figures import save_figure
from widenet.experiments.finite_residual import FiniteNetwork
from widenet.experiments.fluctuations import (
    CASES,
    POINT,
    depth_curves,
    depth_figure,
    depth_table,
    fluctuation_table,
    measure,
    moment_table,
)
from widenet.experiments.gradient_features import (
    designs,
    diabetes,
    regression_errors,
    regression_figure,
    regression_table,
)
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, run_parts, write_report
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NTK

CLAIMS = (
    "What is claimed, derived and measured. The paper (Littwin, Galanti and Wolf, arXiv 2001.10460; only its abstract "
    "was read): the tangent kernel of vanilla ReLU networks is deterministic only for depth far below width; that of "
    "residual networks may converge with depth and width growing together if the branches are scaled properly, that of "
    "densely connected ones always, at a rate that depends on neither depth nor scale of the weights; both help kernel "
    "regression with random gradient features. Derived here: the kernels in these normalisations, exact second "
    "moments, leading orders of the variance, which for densely connected networks is bounded in the depth but grows "
    "with alpha. Measured here: every ensemble, every regression. None of the paper's own numbers was seen."
)
_OTHER = np.array([-0.2, 1.1, 0.4, 0.6])
_TIMED_ROWS = 1000


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce residual` computes.

    Attributes:
        depths: Blocks or layers of the exact kernels.
        cases: Networks of the table of fluctuations.
        nets: Networks of each ensemble.
        curve_width: Width of the figure over the depth.
        curve_depths: Depths in it.
        regression_depth: Hidden layers of the networks whose gradients are features, even.
        regression_widths: Their widths.
        regression_nets: Networks of each width.
        seed: Of all random numbers.
    """

    depths: tuple[int, ...] = (1, 10, 100, 1000)
    cases: tuple[FiniteNetwork, ...] = CASES
    nets: int = 10_000
    curve_width: int = 100
    curve_depths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    regression_depth: int = 20
    regression_widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    regression_nets: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.depths and self.cases and self.curve_depths and self.regression_widths):
            raise InvalidInput("depths, cases, curve_depths and regression_widths must not be empty", repr(self))
        if self.nets < 100:
            raise InvalidInput("an ensemble needs 100 networks or more for its standard errors", repr(self.nets))
        if self.regression_nets < 2:
            raise InvalidInput("standard errors need 2 networks of a width or more", repr(self.regression_nets))
        if self.seed < 0:
            raise InvalidInput("the seed must not be negative", repr(self.seed))

    @staticmethod
    def quick(nets: int = 1000, seed: int = 0) -> "Settings":
        """Small sizes: seconds instead of a minute or two.

        Args:
            nets: Networks of each ensemble.
            seed: Of all random numbers.
        """
        return Settings(
            depths=(1, 10, 100),
            cases=CASES[:1] + CASES[6:7] + CASES[9:10],
            nets=nets,
            curve_depths=(1, 2, 4, 8),
            regression_depth=8,
            regression_widths=(16, 64),
            regression_nets=3,
            seed=seed,
        )


def run(output: Path, settings: Settings | None = None, progress: Progress | None = None) -> Outcome:
    """Compute exact residual kernels, fluctuations of finite networks, and regression on their gradients.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `residual.md` with all of it. Equal settings
    give equal numbers, but for the times.

    Args:
        output: Folder to write to; made if missing.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to.

    Cost:
        A minute or two on two cores; mostly ensembles, of some 20 ns a network, matrix and unit.

    References:
        Littwin, Galanti and Wolf 2020, arXiv 2001.10460.
    """
    settings = Settings() if settings is None else settings
    prepare_folder(output)
    parts = {
        "exact kernels": partial(_exact, output, settings),
        "ensembles": partial(_fluctuations, output, settings),
        "ensembles over depth": partial(_over_depth, output, settings),
        "regression on gradients": partial(_regression, output, settings),
    }
    done = run_parts(parts, progress)
    return write_report(output / "residual.md", "Residual and densely connected networks", CLAIMS, done)


def exact_table(depths: Sequence[int]) -> ResultTable:
    """Exact kernels of two points over the depth, with the closed form of the diagonal and times.

    Args:
        depths: Numbers of residual blocks or of densely connected layers.
    """
    X = np.stack([POINT, _OTHER])
    rows = np.random.default_rng(0).standard_normal((_TIMED_ROWS, len(POINT)))
    columns = (Column("network"), Column("L"), Column("NTK(x, y)", ".8f"))
    columns += (Column("NTK(x, x)", ".8f"), Column("closed form", ".8f"), Column("correlation", ".5f"))
    columns += (Column("first Gram, s", ".2f"), Column("next Gram, s", ".3f"))
    body = []
    for name, build, factor in (
        ("ResNet, alpha = 1/L", residual, _residual_diagonal),
        ("DenseNet, alpha = 1", densenet, _dense_diagonal),
    ):
        for depth in depths:
            times = _times(build(depth), rows)
            K = NTK(build(depth))(X)
            correlation = K[0, 1] / np.sqrt(K[0, 0] * K[1, 1])
            closed = factor(depth) * POINT @ POINT / len(POINT)
            values = (K[0, 1], K[0, 0], closed, correlation)
            body.append((name, depth, *(float(value) for value in values), *times))
    return ResultTable(
        "Exact kernels over the depth",
        columns,
        tuple(body),
        (
            f"x = {tuple(POINT.tolist())}, y = {tuple(_OTHER.tolist())}; branches of two matrices, linear first.",
            "Closed forms of NTK(x, x), derived here: |x|²/d (1 + 1/L)^L (2 + 2 L/(L + 1)), which tends to 4e |x|²/d, "
            "and |x|²/d (2 + H_L) with the harmonic number H_L.",
            f"Times: Gram matrices of {_TIMED_ROWS:,} rows in 4 dimensions, first with the compilation of the kernel "
            "as a function of the angle, which is done once, then without.",
        ),
    )


def _residual_diagonal(blocks: int) -> float:
    return (1 + 1 / blocks) ** blocks * (2 + 2 * blocks / (blocks + 1))


def _dense_diagonal(layers: int) -> float:
    return 2 + sum(1 / number for number in range(1, layers + 1))


def _times(architecture: Layer, rows: np.ndarray) -> tuple[float, float]:
    kernel, times = NTK(architecture), []
    for _ in range(2):
        start = perf_counter()
        kernel(rows)
        times.append(perf_counter() - start)
    return times[0], times[1]


def _exact(output: Path, settings: Settings) -> Outcome:
    table = exact_table(settings.depths)
    return Outcome((table,), table.save(output, "exact_kernels"), f"## Exact kernels\n\n{table.markdown()}")


def _fluctuations(output: Path, settings: Settings) -> Outcome:
    measured = [measure(network, settings.nets, settings.seed + i) for i, network in enumerate(settings.cases)]
    tables = fluctuation_table(measured), moment_table(measured)
    files = (*tables[0].save(output, "fluctuations"), *tables[1].save(output, "forward_moments"))
    return Outcome(tables, files, "## Fluctuations\n\n" + "\n\n".join(table.markdown() for table in tables))


def _over_depth(output: Path, settings: Settings) -> Outcome:
    curves = depth_curves(settings.curve_width, settings.curve_depths, settings.nets, settings.seed)
    table = depth_table(curves)
    files = (*table.save(output, "depth"), *save_figure(depth_figure(curves), output, "depth"))
    text = f"## Over the depth\n\n![Fluctuations over the depth](depth.png)\n\n{table.markdown()}"
    return Outcome((table,), files, text)


def _regression(output: Path, settings: Settings) -> Outcome:
    data = diabetes()
    errors = [
        entry
        for design in designs(settings.regression_depth)
        for entry in regression_errors(
            design, data, settings.regression_widths, settings.regression_nets, settings.seed
        )
    ]
    table = regression_table(errors, settings.regression_depth)
    files = (*table.save(output, "regression"), *save_figure(regression_figure(errors), output, "regression"))
    text = f"## Random gradient features\n\n![Errors over the width](regression.png)\n\n{table.markdown()}"
    return Outcome((table,), files, text)
