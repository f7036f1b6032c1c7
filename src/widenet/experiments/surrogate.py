"""Surrogate networks with fixed activation patterns (arXiv 2101.04243): steps, drift, conversion to ReLU, limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from widenet.errors import InvalidInput
from widenet.experiments.figures import COLOURS, figure_style, new_figure, save_figure
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, run_parts, write_report
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.surrogate_runs import (
    Case,
    SideBySide,
    kernel_at,
    on_new_inputs,
    side_by_side,
    start_network,
    train_quietly,
    unit_data,
)
from widenet.networks.surrogate_theory import suggest_width, surrogate_kernel
from widenet.networks.surrogate_training import SurrogateRun, SurrogateTraining

CLAIMS = (
    "What is claimed, derived and measured. The paper (Noy, Xu, Aflalo, Zelnik-Manor and Jin, arXiv 2101.04243; only "
    "its abstract was read) claims that gradient descent reaches a global minimum for deep ReLU networks of a width "
    "quadratic in the number of points and linear in the depth, in a time logarithmic in both, by way of a surrogate "
    "network with fixed activation patterns that can be turned into a ReLU network of a reasonable size at any time. "
    "Reconstructed and derived here: the networks, their kernel, and the conversion, which is exact and doubles the "
    "width. Measured here: every run. None of the paper's own numbers was seen."
)
_COSINES = (1.0, 0.5, 0.0, -0.5)
_SCALED_STEPS = 1000  # of networks with outputs of small scale, some of which neither converge nor overflow


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce surrogate` computes.

    Attributes:
        depths: Trained layers L of the first table.
        widths: Units m of the first table.
        width: Units of the second table, over points and depth.
        points: Numbers of points in it, with three trained layers.
        more_depths: Depths in it, with 20 points.
        starts: Random starts and data sets of each row.
        nets: Networks of each average of the kernel.
        ratio: Loss to stop at, over that at the start.
        most_steps: Steps to give up after.
        seed: Of all random numbers.
    """

    depths: tuple[int, ...] = (1, 3)
    widths: tuple[int, ...] = (64, 256, 1024)
    width: int = 512
    points: tuple[int, ...] = (10, 20, 40, 80)
    more_depths: tuple[int, ...] = (2, 6)
    starts: int = 3
    nets: int = 80
    ratio: float = 1e-6
    most_steps: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.depths and self.widths and self.points):
            raise InvalidInput("depths, widths and points must not be empty", repr(self))
        if self.starts < 1 or self.nets < 2 or self.width < 1 or self.seed < 0:
            raise InvalidInput("starts and width must be positive, nets at least 2, the seed not negative", repr(self))

    @staticmethod
    def quick(width: int = 128, seed: int = 0) -> "Settings":
        """Small sizes: seconds instead of a minute or two.

        Args:
            width: Units of the second table.
            seed: Of all random numbers.
        """
        widths, points = (64, 256), (10, 20)
        return Settings((1, 3), widths, width, points, (2,), starts=1, nets=20, ratio=1e-4, seed=seed)


def run(output: Path, settings: Settings | None = None, progress: Progress | None = None) -> Outcome:
    """Train surrogate and ReLU networks side by side, convert, and compare kernels with their limit.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `surrogate.md` with all of it.

    Args:
        output: Folder to write to; made if missing.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to.

    Cost:
        A minute or two, nearly all of it steps of the widest networks.

    References:
        Noy et al. 2021, arXiv 2101.04243.
    """
    settings = Settings() if settings is None else settings
    prepare_folder(output)
    parts = {
        "depth and width": partial(_widths, output, settings),
        "points and depth": partial(_sizes, output, settings),
        "new inputs": partial(_new_inputs, output, settings),
        "scales of the output": partial(_scales, output, settings),
        "kernels": partial(_limits, output, settings),
    }
    done = run_parts(parts, progress)
    return write_report(output / "surrogate.md", "Surrogate networks", CLAIMS, done)


def _all_starts(case: Case, settings: Settings) -> list[SideBySide]:
    seeds = range(settings.seed, settings.seed + settings.starts)
    return [side_by_side(case, settings.ratio, settings.most_steps, seed) for seed in seeds]


def _steps(runs: Sequence[SurrogateRun]) -> float | None:
    """Median number of steps; None where most runs did not converge."""
    middle = float(np.median([run.steps if run.converged else np.inf for run in runs]))
    return middle if np.isfinite(middle) else None


def _drift(runs: Sequence[SurrogateRun]) -> float:
    return float(np.median([run.records[-1].drift for run in runs]))


def comparison_table(title: str, compared: dict[Case, list[SideBySide]], ratio: float) -> ResultTable:
    """Steps, drift and conversion of networks of several sizes.

    Args:
        title: Of the table.
        compared: Runs of every size.
        ratio: Of the losses at which they stopped.
    """
    columns = (
        Column("L"),
        Column("m"),
        Column("n"),
        Column("d"),
        Column("cond(K)", ".1f"),
        Column("worst steps", ".0f"),
    )
    columns += (Column("surrogate steps", ".0f"), Column("ReLU steps", ".0f"), Column("surrogate drift", ".1e"))
    columns += (Column("ReLU drift", ".1e"), Column("ReLU flips", ".4f"), Column("moved", ".3f"))
    columns += (Column("conversion error", ".0e"), Column("largest C", ".0e"), Column("n² L", ".0f"))
    rows = []
    for case, runs in compared.items():
        surrogates, others = [run.surrogate for run in runs], [run.relu for run in runs]
        starts = [run.records[0] for run in surrogates]
        rows.append(
            (
                case.depth,
                case.width,
                case.points,
                case.dimension,
                float(np.median([start.largest / start.smallest for start in starts])),
                float(np.median([start.steps_to(ratio) for start in starts])),
                _steps(surrogates),
                _steps(others),
                _drift(surrogates),
                _drift(others),
                float(np.median([run.records[-1].flips for run in others])),
                float(np.median([run.movement for run in surrogates])),
                max(run.certificate.largest_difference for run in runs),
                max(run.certificate.largest_offset for run in runs),
                suggest_width(case.points, case.depth).surrogate,
            )
        )
    starts = len(next(iter(compared.values())))
    return ResultTable(
        title,
        columns,
        tuple(rows),
        (
            f"Measured: medians over {starts} random starts and data sets (unit vectors, Gaussian targets), to "
            f"{ratio:g} of the loss at the start, steps of 1 / largest eigenvalue of K at the start, which both "
            "networks have in common. An empty number of steps: most runs did not get there.",
            "Worst steps: log(1 / ratio) / (2 log(1 / (1 - 1 / cond))), for residuals in the worst direction. Drift: "
            "change of K, relative, in Frobenius norms. Flips: pairs of unit and point whose activity changed. Moved: "
            "largest relative change of a weight matrix of the surrogate network.",
            "Conversion error: largest difference, over the starts, of the converted network and the surrogate on the "
            "training points; largest C: of its offsets. n² L: the width that theory asks for, with constant 1.",
        ),
    )


def loss_figure(compared: dict[Case, list[SideBySide]]) -> Figure:
    """Loss over the steps of the first start, one curve a width, and drift over the width."""
    deepest = max(case.depth for case in compared)
    cases = [case for case in compared if case.depth == deepest]
    colours = [COLOURS[name] for name in ("vermilion", "blue", "green", "purple", "orange")]
    with figure_style():
        figure = new_figure(7.0, 3.3)
        losses, drift = figure.subplots(1, 2)
        for number, case in enumerate(cases):
            first, colour = compared[case][0], colours[number % len(colours)]
            for name, run, style in (("surrogate", first.surrogate, "-"), ("ReLU", first.relu, "--")):
                relative = np.array(run.losses) / run.losses[0]
                losses.plot(relative, color=colour, linestyle=style, label=f"{name}, m = {case.width}")
        widths = [case.width for case in cases]
        surrogates = [_drift([run.surrogate for run in compared[case]]) for case in cases]
        drift.plot(widths, surrogates, "o-", color=COLOURS["black"], label="surrogate")
        others = [_drift([run.relu for run in compared[case]]) for case in cases]
        drift.plot(widths, others, "s--", color=COLOURS["black"], label="ReLU")
        losses.set_xscale("symlog", linthresh=10)
        losses.set_yscale("log")
        drift.set_xscale("log")
        drift.set_yscale("log")
        losses.set_xlabel("steps")
        losses.set_ylabel("loss / loss at the start")
        losses.set_title(f"Loss, {deepest} trained layers")
        drift.set_xlabel("width m")
        drift.set_ylabel("relative drift of the kernel")
        drift.set_title("Drift of the kernel")
        losses.legend(fontsize=7)
        drift.legend()
    return figure


def _widths(output: Path, settings: Settings) -> Outcome:
    cases = [Case(depth, width) for depth in settings.depths for width in settings.widths]
    compared = {case: _all_starts(case, settings) for case in cases}
    table = comparison_table("Depth and width", compared, settings.ratio)
    files = (*table.save(output, "widths"), *save_figure(loss_figure(compared), output, "widths"))
    return Outcome((table,), files, f"## Depth and width\n\n![Loss and drift](widths.png)\n\n{table.markdown()}")


def _sizes(output: Path, settings: Settings) -> Outcome:
    cases = [Case(3, settings.width, points, 20) for points in settings.points]
    cases += [Case(depth, settings.width, 20, 20) for depth in settings.more_depths]
    table = comparison_table("Points and depth", {case: _all_starts(case, settings) for case in cases}, settings.ratio)
    return Outcome((table,), table.save(output, "sizes"), f"## Points and depth\n\n{table.markdown()}")


def _new_inputs(output: Path, settings: Settings) -> Outcome:
    case, floors = Case(3, settings.widths[0]), (None, 1e2, 1e3, 1e4, 1e5, 1e6)
    found = on_new_inputs(case, floors, 500, settings.ratio, settings.seed)
    columns = (Column("smallest C", ".0e"), Column("largest, reference", ".0e"), Column("mean, new", ".1e"))
    columns += (Column("largest, new", ".1e"), Column("inputs that differ", ".3f"), Column("mean |F|", ".2f"))
    rows = tuple((e.floor, e.largest_reference, e.mean, e.largest, e.violating, e.size) for e in found)
    notes = (
        f"Measured: {case.depth} trained layers of {case.width} units, trained on {case.points} points; differences of "
        "the converted network and the surrogate on these (reference) and on 500 new unit vectors. An empty C: that of "
        'the training points alone, mode "train-exact".',
    )
    table = ResultTable("Conversion on new inputs", columns, rows, notes)
    return Outcome((table,), table.save(output, "new_inputs"), f"## New inputs\n\n{table.markdown()}")


def _scales(output: Path, settings: Settings) -> Outcome:
    columns = (Column("m"), Column("scale of B", ".4f"), Column("fixed step: steps"), Column("with halving: steps"))
    columns += (Column("halvings"), Column("moved", ".3f"))
    rows = []
    for width in settings.widths:
        for scale in (1.0, width**-0.5):
            case = Case(3, width)
            X, y = unit_data(case.points, case.dimension, settings.seed)
            runs = []
            for fall_back in (False, True):
                network = start_network(case, settings.seed, scale)
                most = min(settings.most_steps, _SCALED_STEPS)
                training = SurrogateTraining(settings.ratio, most_steps=most, fall_back=fall_back)
                runs.append(train_quietly(training, network, X, y))
            steps = [run.steps if run.converged else None for run in runs]
            rows.append((width, scale, *steps, runs[1].halvings, runs[1].movement))
    notes = (
        "Measured: three trained layers, 20 points in 5 dimensions, one start. With outputs of scale 1 / sqrt(m) values"
        " start small, weights move far, and the step 1 / largest eigenvalue of the start can be too long. An empty "
        f"number of steps: the loss did not get there in {min(settings.most_steps, _SCALED_STEPS):,} steps; halving "
        "undoes steps that raise the loss.",
    )
    table = ResultTable("Scale of the output", columns, tuple(rows), notes)
    return Outcome((table,), table.save(output, "output_scale"), f"## Scale of the output\n\n{table.markdown()}")


def _limits(output: Path, settings: Settings) -> Outcome:
    columns = (Column("L"), Column("m"), Column("cosine", ".1f"), Column("limit", ".12f"))
    columns += (Column("finite networks", ".4f"), Column("standard error", ".4f"))
    rows = []
    for depth, width in ((1, 2 * settings.width), (3, settings.width)):
        values = kernel_at(Case(depth, width), _COSINES, settings.nets, settings.seed)
        for number, c in enumerate(_COSINES):
            limit = float(surrogate_kernel(depth)(np.array([[1.0, 0.0], [c, np.sqrt(1 - c * c)]]))[0, 1])
            error = float(values[:, number].std(ddof=1) / np.sqrt(settings.nets))
            rows.append((depth, width, c, limit, float(values[:, number].mean()), error))
    notes = (f"K / m of {settings.nets} finite networks at their start, and at infinite width.",)
    table = ResultTable("Kernels at infinite width", columns, tuple(rows), notes)
    return Outcome((table,), table.save(output, "limits"), f"## Kernels at infinite width\n\n{table.markdown()}")
