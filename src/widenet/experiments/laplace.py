"""Neural tangent, Laplace and gamma-exponential kernels side by side (arXiv 2007.01580, 1910.01663).

Spectra on the sphere, Laplace kernels matched to NTKs, and the small-data protocol over a folder of sets.
"""

from dataclasses import dataclass, field
from pathlib import Path

from widenet.errors import InvalidInput
from widenet.experiments.figures import save_figure
from widenet.experiments.kernel_grids import Family, all_families
from widenet.experiments.learners import Learner, LeastSquares, SupportVectors
from widenet.experiments.outcome import Outcome, Progress, prepare_folder
from widenet.experiments.result_tables import write_text
from widenet.experiments.spectra import (
    Curve,
    eigenvalue_table,
    match_figure,
    match_table,
    matched_kernels,
    slope_table,
    spectral_curves,
    spectrum_figure,
)
from widenet.experiments.uci_data import MOST_ROWS, Collection, read_collection
from widenet.experiments.uci_protocol import RULES, run_protocol
from widenet.experiments.uci_tables import accuracy_figure, accuracy_table, choice_table, scoreboard, summary_table

WITHOUT_DATA = (
    "The small-data comparison was not run: it needs data. Pass a folder of classification sets with their splits, "
    "either NAME.npz files (X, y, select_train, select_test, fold0_train, fold0_test ... fold3_test) or the UCI "
    "collection of Fernandez-Delgado et al. (2014) unpacked, one folder a set."
)


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce laplace` computes.

    Attributes:
        dimensions: Spheres S^{d-1} of the spectra.
        k_max: Largest degree of the spectra.
        depths: Depths of the matched NTKs.
        families: Kernels of the small-data comparison.
        learners: Its classifiers.
        most_rows: Larger sets are left out.
        jobs: Processes to run at once in it.
    """

    dimensions: tuple[int, ...] = (3, 5, 10)
    k_max: int = 400
    depths: tuple[int, ...] = (1, 2, 3, 6)
    families: tuple[Family, ...] = field(default_factory=all_families)
    learners: tuple[Learner, ...] = (SupportVectors(), LeastSquares())
    most_rows: int = MOST_ROWS
    jobs: int = 1

    def __post_init__(self) -> None:
        if not self.dimensions or not self.depths or not self.families or not self.learners:
            raise InvalidInput("dimensions, depths, families and learners must not be empty", repr(self))
        if self.k_max < 8:
            raise InvalidInput("k_max must be at least 8, slopes are measured up to it", repr(self.k_max))
        if self.jobs < 1:
            raise InvalidInput("jobs must be at least 1", repr(self.jobs))


def run(
    output: Path, data: Path | None = None, settings: Settings | None = None, progress: Progress | None = None
) -> Outcome:
    """Compare NTKs with Laplace, gamma-exponential and Gaussian kernels: spectra, shapes, accuracy on small data.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `laplace.md` with all of it. Results
    on data sets are stored one by one under `output/results`: an interrupted run goes on there when
    it is started again with the same output folder.

    Args:
        output: Folder to write to; made if missing.
        data: Folder of data sets (see `read_collection`), or None for the spectral parts alone.
        settings: What to compute; None for everything.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what to pass for parts that were not run.

    Raises:
        InvalidFile: If the output folder cannot be written to, or the data folder or a set cannot be right.
        FingerprintMismatch: If the output folder holds results of other data or grids.

    Cost:
        The spectral parts: under a minute. The small-data comparison on 45 sets of up to 5,000 rows:
        hours on one core, most of them in support vector machines with large C on noisy sets.

    References:
        Geifman et al. 2020, arXiv 2007.01580; Arora et al. 2020, arXiv 1910.01663.
    """
    settings = Settings() if settings is None else settings
    # The data first: a wrong folder should not be told after a minute of spectra, nor leave an empty output folder.
    collection = None if data is None else read_collection(data, settings.most_rows)
    prepare_folder(output)
    parts = [_spectra(output, settings, progress), _matches(output, settings)]
    if collection is None:
        message = WITHOUT_DATA
    else:
        parts.append(_small_data(output, collection, settings, progress))
        skipped = "; ".join(f"{name}: {reason}" for name, reason in collection.skipped)
        message = f"{len(collection.sets)} data sets run"
        message += f", {len(collection.skipped)} left out ({skipped})." if skipped else ", none left out."
    tables = tuple(table for part in parts for table in part.tables)
    text = "# Neural tangent and Laplace kernels\n\n" + "\n\n".join(part.message for part in parts)
    write_text(output / "laplace.md", f"{text}\n\n{message}\n")
    return Outcome(tables, (output / "laplace.md", *(path for part in parts for path in part.files)), message)


def _spectra(output: Path, settings: Settings, progress: Progress | None) -> Outcome:
    curves: list[Curve] = []
    for i, d in enumerate(settings.dimensions):
        if progress is not None:
            progress(f"spectra, d = {d}", i, len(settings.dimensions))
        curves += spectral_curves(d, settings.k_max)
    table = slope_table(curves)
    files = (
        *table.save(output, "slopes"),
        eigenvalue_table(curves).save(output, "eigenvalues")[1],
        *save_figure(spectrum_figure(curves), output, "spectra"),
    )
    return Outcome((table,), files, f"## Spectra\n\n![Eigenvalues over the degree](spectra.png)\n\n{table.markdown()}")


def _matches(output: Path, settings: Settings) -> Outcome:
    matches = matched_kernels(settings.depths)
    table = match_table(matches)
    files = (*table.save(output, "matched_kernels"), *save_figure(match_figure(matches), output, "matched_kernels"))
    text = f"## Matched kernels\n\n![Shapes of kernels](matched_kernels.png)\n\n{table.markdown()}"
    return Outcome((table,), files, text)


def _small_data(output: Path, collection: Collection, settings: Settings, progress: Progress | None) -> Outcome:
    records = run_protocol(
        collection.sets, settings.families, settings.learners, output / "results", settings.jobs, progress
    )
    board = scoreboard(records)
    table = summary_table(board, settings.families, settings.learners)
    files = [
        *table.save(output, "small_data"),
        choice_table(records).save(output, "small_data_choices")[1],
        *save_figure(accuracy_figure(board), output, "small_data"),
    ]
    for rule in RULES:
        files += accuracy_table(board, rule).save(output, f"small_data_sets_{rule}")
    by_set = accuracy_table(board, RULES[0]).markdown()
    text = f"## Small data\n\n![Mean accuracies](small_data.png)\n\n{table.markdown()}\n\n{by_set}"
    return Outcome((table,), tuple(files), text)
