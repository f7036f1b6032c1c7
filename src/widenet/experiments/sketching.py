"""Features of tangent kernels (arXiv 2106.07880, 2209.04121): errors against size, accuracy and times of every map."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from widenet.errors import InvalidInput
from widenet.experiments.figures import COLOURS, figure_style, new_figure, save_figure
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, run_parts, write_report
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.sketching_accuracy import accuracy_table
from widenet.experiments.sketching_activations import activation_table
from widenet.experiments.sketching_data import digits, read_problems
from widenet.experiments.sketching_errors import (
    SMALL,
    Measurement,
    Problem,
    at_common_sizes,
    error_table,
    goal_table,
    measure,
    time_table,
)
from widenet.experiments.sketching_maps import median_distance, methods
from widenet.features.poly_sketch import PolySketch
from widenet.features.tensor_sketch import TensorSketch

CLAIMS = (
    "What is claimed, derived and measured. The papers (Zandieh et al., arXiv 2104.00415 and 2106.07880; Han et al., "
    "arXiv 2209.04121; abstracts and released code were read, not the full text): features of the tangent kernel in "
    "time of the input's non-zeros, by random features layer by layer or by sketches of a polynomial; for general "
    "activations by Hermite coefficients. Derived here: exact low degrees, products along principal directions, pairs "
    "without repetition and the bounds of variances. Measured here: every number. NTKRandomFeatures is the published "
    "construction in this library's code, with its fused sketches; its released code was not run."
)


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce sketching` computes.

    Attributes:
        depth: Hidden layers of the kernel.
        sizes: Numbers of features.
        seeds: Of each map at each size.
        rows: Points of the Gram matrices; as many others are scored on.
        accuracy_sizes: Numbers of features of the linear models.
        draws: Of each sketch in the table of variances.
        units: Random units of Monte Carlo in the table of activations.
    """

    depth: int = 2
    sizes: tuple[int, ...] = (256, 1024, 4096, 16384)
    seeds: int = 3
    rows: int = 600
    accuracy_sizes: tuple[int, ...] = (256, 1024, 4096)
    draws: int = 200
    units: tuple[int, ...] = (1024, 65536)

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 2 or not self.accuracy_sizes:
            raise InvalidInput("sizes must be whole numbers of at least 2", repr(self.sizes))
        if self.seeds < 1 or self.rows < 20 or self.depth < 1 or self.draws < 2:
            raise InvalidInput("seeds and depth must be at least 1, rows 20, draws 2", repr(self))

    @staticmethod
    def quick(depth: int = 2, seeds: int = 2, rows: int = 300) -> "Settings":
        """Small sizes: some ten seconds.

        Args:
            depth: Hidden layers.
            seeds: Of each map.
            rows: Points.
        """
        return Settings(depth, (128, 512), seeds, rows, (128, 512), 40, (1024,))


def run(
    output: Path, data: Path | None = None, settings: Settings | None = None, progress: Progress | None = None
) -> Outcome:
    """Measure errors, times and accuracies of all feature maps.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `sketching.md` with all of it. Equal settings
    give equal numbers, but for the times.

    Args:
        output: Folder to write to; made if missing.
        data: Folder of `NAME.npz` files of X and y, or of images in IDX files; None for scikit-learn's digits.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to, or the data folder holds no set.

    Cost:
        Two minutes on two cores for digits, most of it for the published random features of the largest size.

    References:
        Zandieh et al., arXiv 2106.07880 and 2104.00415; Han et al., arXiv 2209.04121.
    """
    settings = Settings() if settings is None else settings
    prepare_folder(output)
    parts = {
        f"features of {train.name}": partial(compare, output, train, test, settings)
        for train, test in _problems(data, settings.rows)
    }
    parts["series of activations"] = partial(_activations, output, settings)
    parts["variances of powers"] = partial(_variances, output, settings)
    return write_report(output / "sketching.md", "Explicit features", CLAIMS, run_parts(parts, progress))


def _problems(data: Path | None, rows: int) -> Iterator[tuple[Problem, Problem]]:
    return iter([digits(rows)]) if data is None else read_problems(data, rows)


def compare(output: Path, train: Problem, test: Problem, settings: Settings) -> Outcome:
    """Errors, times and accuracies of all maps on one set.

    Args:
        output: Folder to write to.
        train: Points of the Gram matrices, and to fit.
        test: Points to score on.
        settings: Sizes and seeds.
    """
    maps = methods(settings.depth, len(train.X), median_distance(train.X))
    measured = measure(train, maps, settings.sizes, settings.seeds, small=SMALL)
    accuracy = accuracy_table(train, test, maps, settings.accuracy_sizes, settings.seeds)
    tables = {
        "frobenius": error_table(train, measured, "frobenius"),
        "spectral": error_table(train, measured, "spectral"),
        "times": time_table(train, measured),
        "beside_published": goal_table(train, measured),
        "accuracy": accuracy,
    }
    files = [file for stem, table in tables.items() for file in table.save(output, f"{train.name}_{stem}")]
    files += save_figure(error_figure(train, measured), output, f"{train.name}_errors")
    texts = [f"## {train.name}", f"![Errors over the size]({train.name}_errors.png)"]
    texts += [table.markdown() for table in tables.values()]
    return Outcome(tuple(tables.values()), tuple(files), "\n\n".join(texts))


def error_figure(problem: Problem, measured: list[Measurement]) -> Figure:
    """Relative Frobenius and spectral errors over the size."""
    measured = at_common_sizes(measured)
    names = list(dict.fromkeys(entry.method for entry in measured))
    looks = list(zip([*COLOURS.values()] * 2, "osD^v<>phXosD^v<"[: 2 * len(COLOURS)], strict=True))
    with figure_style():
        figure = new_figure(9.6, 4.6)
        for axes, norm in zip(figure.subplots(1, 2), ("frobenius", "spectral"), strict=True):
            for name, (colour, marker) in zip(names, looks, strict=False):
                own = [entry for entry in measured if entry.method == name]
                sizes, errors = [entry.size for entry in own], [float(np.mean(getattr(entry, norm))) for entry in own]
                axes.plot(sizes, errors, color=colour, marker=marker, label=name)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xlabel("number of features")
            axes.set_title(f"{problem.name}: relative {norm} error")
        figure.axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _activations(output: Path, settings: Settings) -> Outcome:
    table = activation_table(settings.units)
    return Outcome((table,), table.save(output, "activations"), f"## Activations\n\n{table.markdown()}")


def variance_table(draws: int, size: int = 512, dimension: int = 32) -> ResultTable:
    """Variances m Var |S x|^2 of the sketches of powers of a unit row, measured and bounded.

    Args:
        draws: Of each sketch.
        size: m.
        dimension: Of the row.
    """
    x = np.random.default_rng(0).normal(size=(1, dimension))
    x /= np.linalg.norm(x)
    kinds = {
        "tree, Hadamard": lambda q, seed: PolySketch(dimension, (0,) * (q - 1) + (size,), seed, size),
        "chain, Hadamard": lambda q, seed: PolySketch(dimension, (0,) * (q - 1) + (size,), seed, size, "chain"),
        "tree, Fourier": lambda q, seed: PolySketch(
            dimension, (0,) * (q - 1) + (size,), seed, size, transform="fourier"
        ),
        "tree, CountSketch": lambda q, seed: PolySketch(
            dimension, (0,) * (q - 1) + (size,), seed, size, transform="count"
        ),
        "flat TensorSketch": lambda q, seed: TensorSketch(dimension, q, size, seed),
    }
    rows = []
    for name, make in kinds.items():
        cells: list[float] = []
        for q in (2, 4, 8, 16):
            squares = [float((make(q, seed).apply(x) ** 2).sum()) for seed in range(draws)]
            sketch = make(q, 0)
            bound = sketch.variance(1.0, q) if isinstance(sketch, PolySketch) else sketch.variance(1.0)
            cells += [size * float(np.var(squares, ddof=1)), size * bound]
        rows.append((name, *cells))
    columns = [Column(f"q = {q}{kind}", ".3g") for q in (2, 4, 8, 16) for kind in ("", ", bound")]
    return ResultTable(
        "Variance of sketches of the power q",
        (Column("sketch"), *columns),
        tuple(rows),
        (
            f"m Var |S x|² for a unit row in {dimension} dimensions, m = {size}, {draws:,} draws. The flat sketch has "
            "heavy tails: at q = 16 its measured variance is far below the bound in most sets of draws.",
        ),
    )


def _variances(output: Path, settings: Settings) -> Outcome:
    table = variance_table(settings.draws)
    return Outcome((table,), table.save(output, "variances"), f"## Sketches of powers\n\n{table.markdown()}")
