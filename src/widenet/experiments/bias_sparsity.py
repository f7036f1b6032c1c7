"""Networks whose units start below a threshold (arXiv 2301.00327): sparse training, conditioning, spectra, accuracy."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from widenet.errors import InvalidInput
from widenet.experiments.figures import save_figure
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, run_parts, write_report
from widenet.experiments.threshold_accuracy import accuracy_table, digits, leave_one_out_accuracies, wine
from widenet.experiments.threshold_spectra import (
    bound_table,
    random_sphere,
    spectrum_figure,
    spectrum_table,
    threshold_spectra,
)
from widenet.experiments.threshold_training import training_figure, training_records, training_table

CLAIMS = (
    "What is claimed, derived and measured. The paper (Yang, Jiang, Zhang, Liang and Wang, arXiv 2301.00327; only "
    "abstracts and openings of its versions were read): with biases that start at a large constant threshold and are "
    "trained, few units are active from the start to the end, the network converges as fast as the dense one, and the "
    "smallest eigenvalue of the kernel has a sharper lower bound that depends on the data. Recalled, and verified here "
    "as mathematics: the network, its kernel (x.z + 1) P[w.x >= B, w.z >= B], the bounds of the smallest eigenvalue. "
    "Measured here: every run, every eigenvalue, every accuracy. None of the paper's own numbers was seen."
)


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce bias-sparsity` computes.

    Attributes:
        thresholds: B of the training runs.
        points: Number of random unit vectors to learn.
        dimension: Of them.
        width: Hidden units, even.
        target: Mean loss to train to.
        bound_thresholds: B of the table of eigenvalue bounds.
        spectrum_thresholds: B of the spectra.
        k_max: Their largest degree.
        accuracy_thresholds: B of the kernels that predict.
        most_rows: Rows taken of each data set.
        seed: Of points, labels and weights.
    """

    thresholds: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    points: int = 100
    dimension: int = 20
    width: int = 8192
    target: float = 1e-3
    bound_thresholds: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0)
    spectrum_thresholds: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0)
    k_max: int = 200
    accuracy_thresholds: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
    most_rows: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.thresholds and self.bound_thresholds and self.spectrum_thresholds and self.accuracy_thresholds):
            raise InvalidInput("every part needs at least one threshold", repr(self))
        if self.width < 2 or self.width % 2:
            raise InvalidInput("the width must be even: the second half mirrors the first", repr(self.width))
        if self.points < 2 or self.dimension < 2 or self.most_rows < 20:
            raise InvalidInput("points and dimension must be at least 2, most_rows at least 20", repr(self))
        if self.k_max < 8:
            raise InvalidInput("k_max must be at least 8, slopes are measured up to it", repr(self.k_max))
        if self.seed < 0:
            raise InvalidInput("the seed must not be negative", repr(self.seed))

    @staticmethod
    def quick(width: int = 2048, seed: int = 0) -> "Settings":
        """Small sizes: seconds instead of a minute.

        Args:
            width: Hidden units, even.
            seed: Of points, labels and weights.
        """
        return Settings(
            thresholds=(0.0, 1.0, 2.0),
            points=40,
            width=width,
            spectrum_thresholds=(0.0, 2.0),
            k_max=60,
            accuracy_thresholds=(0.0, 1.0, 2.0),
            most_rows=400,
            seed=seed,
        )


def run(output: Path, settings: Settings | None = None, progress: Progress | None = None) -> Outcome:
    """Train networks of threshold units, and compute eigenvalues, spectra and accuracies of their kernels.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `bias_sparsity.md` with all of it. Equal settings
    give equal files, but for the times.

    Args:
        output: Folder to write to; made if missing.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to.

    Cost:
        A minute, half of it training without threshold and half eigenvalues of the digits' Gram matrices.

    References:
        Yang et al. 2023, arXiv 2301.00327.
    """
    settings = Settings() if settings is None else settings
    prepare_folder(output)
    parts = {
        "training": partial(_training, output, settings),
        "eigenvalue bounds": partial(_bounds, output, settings),
        "spectra": partial(_spectra, output, settings),
        "leave-one-out accuracy": partial(_accuracy, output, settings),
    }
    done = run_parts(parts, progress)
    return write_report(output / "bias_sparsity.md", "Thresholds and sparse activation", CLAIMS, done)


def _training(output: Path, settings: Settings) -> Outcome:
    X, y = random_sphere(settings.points, settings.dimension, settings.seed)
    records = training_records(X, y, settings.thresholds, settings.width, settings.target, settings.seed)
    table = training_table(records, settings.width)
    files = (*table.save(output, "training"), *save_figure(training_figure(records), output, "training"))
    return Outcome((table,), files, f"## Training\n\n![Loss and activity](training.png)\n\n{table.markdown()}")


def _bounds(output: Path, settings: Settings) -> Outcome:
    X, y = random_sphere(60, 10, settings.seed)
    table = bound_table(X, y, settings.bound_thresholds)
    return Outcome((table,), table.save(output, "eigenvalue_bounds"), f"## Smallest eigenvalue\n\n{table.markdown()}")


def _spectra(output: Path, settings: Settings) -> Outcome:
    curves = threshold_spectra(settings.spectrum_thresholds, (3, 5), settings.k_max)
    table = spectrum_table(curves)
    files = (*table.save(output, "spectra"), *save_figure(spectrum_figure(curves), output, "spectra"))
    return Outcome((table,), files, f"## Spectra\n\n![Eigenvalues over the degree](spectra.png)\n\n{table.markdown()}")


def _accuracy(output: Path, settings: Settings) -> Outcome:
    records = [
        record
        for name, (X, labels) in (("wine", wine()), ("digits", digits(settings.most_rows)))
        for record in leave_one_out_accuracies(name, X, labels, settings.accuracy_thresholds)
    ]
    table = accuracy_table(records)
    return Outcome((table,), table.save(output, "accuracy"), f"## Prediction\n\n{table.markdown()}")
