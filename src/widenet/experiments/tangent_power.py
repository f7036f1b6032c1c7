"""Differentiable learning against tangent kernels (arXiv 2103.01210): parities, bounds, certificates, recovery."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from widenet.errors import InvalidInput
from widenet.experiments.figures import save_figure
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, run_parts, write_report
from widenet.experiments.parity_limits import certificate_table, dimension_table, edge_table, norm_table
from widenet.experiments.parity_recovery import leak_table, recoveries, recovery_figure, recovery_table
from widenet.experiments.parity_sweeps import Case, Points, learning_table, measure, sweep_figure, sweeps
from widenet.experiments.parity_training import ParityTraining
from widenet.theory.parity import BiasedParity, LeakyParity

CLAIMS = (
    "What is claimed, derived and measured. The paper (Malach, Kamath, Abbe and Srebro, arXiv 2103.01210; its "
    "abstract, the opening and the description of one experiment were read): gradient descent on a differentiable "
    "model can reach any accuracy where the tangent kernel has only a very small edge, though with an unbiased start "
    "it always has one; without, no kernel need have any. Derived here: all edges, bounds, the certificate and its "
    "constant, sample sizes. This library's design: the form of the leaky problem and of the model that selects "
    "coordinates. Measured here: every run. None of the paper's own numbers was seen but n = 128 and k = 7 of its "
    "experiment."
)
_EDGES = (
    BiasedParity(128, 7, 0.5),
    BiasedParity(128, 7, 0.1),
    BiasedParity(50, 3, 0.1),
    BiasedParity(30, 5, 0.25),
    BiasedParity(8, 3, 0.3),
    LeakyParity(8, 3, 0.3),
)


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce tangent-power` computes.

    Attributes:
        problems: (n, k, alpha, most steps) of the table of parities.
        width: Hidden units of both halves of the networks, even.
        kernel_points: Training points of kernel ridge regression.
        test_points: Fresh points of every test.
        centre: (n, k, alpha, most steps) around which sweeps go.
        alphas: Shares of skewed points swept.
        degrees: Coordinates of the parity swept.
        widths: Hidden units swept, even.
        enumerated: Coordinates of the enumerated cubes.
        counts: Sample sizes of one-step recovery.
        runs: Samples of each size.
        leak_steps: Most steps of two-layer networks on the leaky parity.
        seed: Of all random numbers.
    """

    problems: tuple[tuple[int, int, float, int], ...] = (
        (30, 4, 0.5, 2000),
        (30, 4, 0.0, 2000),
        (50, 5, 0.5, 2000),
        (60, 6, 0.5, 2000),
        (60, 6, 0.0, 2000),
        (128, 7, 0.5, 4000),
    )
    width: int = 256
    kernel_points: int = 3000
    test_points: int = 4000
    centre: tuple[int, int, float, int] = (30, 5, 0.5, 1500)
    alphas: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    degrees: tuple[int, ...] = (2, 3, 4, 5, 6, 7)
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    enumerated: int = 10
    counts: tuple[int, ...] = (1000, 3000, 5000, 10_000, 15_000, 30_000)
    runs: int = 100
    leak_steps: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.problems and self.alphas and self.degrees and self.widths and self.counts):
            raise InvalidInput("every part needs at least one problem, value or size", repr(self))
        if any(width < 2 or width % 2 for width in (self.width, *self.widths)):
            got = f"{self.width} and {self.widths}"
            raise InvalidInput("widths must be even: the second half of the units mirrors the first", got)
        if self.kernel_points < 2 or self.test_points < 100 or self.runs < 1 or min(self.counts) < 1:
            raise InvalidInput("kernel_points of 2, test_points of 100, runs and counts of 1 or more", repr(self))
        if not 5 <= self.enumerated <= 12:
            raise InvalidInput("cubes of 5 to 12 coordinates are enumerated", repr(self.enumerated))
        if self.seed < 0:
            raise InvalidInput("the seed must not be negative", repr(self.seed))

    @staticmethod
    def quick(width: int = 256, seed: int = 0) -> "Settings":
        """Small sizes: seconds instead of minutes.

        Args:
            width: Hidden units of both halves of the networks, even.
            seed: Of all random numbers.
        """
        return Settings(
            problems=((30, 4, 0.5, 500), (40, 6, 0.0, 300)),
            width=width,
            kernel_points=800,
            test_points=1000,
            centre=(20, 4, 0.5, 300),
            alphas=(0.0, 0.5),
            degrees=(2, 4),
            widths=(64, width),
            enumerated=7,
            counts=(3000, 30_000),
            runs=15,
            leak_steps=100,
            seed=seed,
        )

    def case(self, numbers: tuple[int, int, float, int]) -> Case:
        """A problem and its training from (n, k, alpha, most steps)."""
        n, k, alpha, steps = numbers
        return Case(BiasedParity(n, k, alpha), ParityTraining(self.width, steps, seed=self.seed))

    @property
    def points(self) -> Points:
        """Numbers of points."""
        return Points(self.kernel_points, self.test_points)


def run(output: Path, settings: Settings | None = None, progress: Progress | None = None) -> Outcome:
    """Learn parities by gradient descent and by tangent kernels, and compute edges, bounds and certificates.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `tangent_power.md` with all of it. Equal settings
    give equal files, on one machine with one number of threads.

    Args:
        output: Folder to write to; made if missing.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to.

    Cost:
        Two minutes on two cores, nearly all of it training.

    References:
        Malach, Kamath, Abbe and Srebro 2021, arXiv 2103.01210.
    """
    settings = Settings() if settings is None else settings
    prepare_folder(output)
    parts = {
        "gradient descent and kernels": partial(_learning, output, settings),
        "sweeps": partial(_sweeps, output, settings),
        "bounds and certificates": partial(_limits, output, settings),
        "recovery": partial(_recovery, output, settings),
        "leaky parity": partial(_leak, output, settings),
    }
    done = run_parts(parts, progress)
    return write_report(output / "tangent_power.md", "Differentiable learning and tangent kernels", CLAIMS, done)


def _learning(output: Path, settings: Settings) -> Outcome:
    results = [measure(settings.case(numbers), settings.points) for numbers in settings.problems]
    table = learning_table(results, settings.points)
    text = f"## Gradient descent and its tangent kernel\n\n{table.markdown()}"
    return Outcome((table,), table.save(output, "parities"), text)


def _sweeps(output: Path, settings: Settings) -> Outcome:
    base = settings.case(settings.centre)
    found = sweeps(base, settings.alphas, settings.degrees, settings.widths, settings.points)
    distinct = {result.case: result for sweep in found for result in sweep.results}
    table = learning_table(list(distinct.values()), settings.points)
    files = (*table.save(output, "sweeps"), *save_figure(sweep_figure(found, base), output, "sweeps"))
    return Outcome((table,), files, f"## Sweeps\n\n![Errors and edges](sweeps.png)\n\n{table.markdown()}")


def _limits(output: Path, settings: Settings) -> Outcome:
    n, k = settings.enumerated, 3
    tables = {
        "edges": edge_table(_EDGES),
        "certificates": certificate_table(BiasedParity(8, 3, 0.3), 16, range(settings.seed, settings.seed + 4)),
        "dimension_bound": dimension_table(n, k, (20, 60, 110), settings.seed),
        "norm_bound": norm_table(n, range(1, 6)),
    }
    files = tuple(file for stem, table in tables.items() for file in table.save(output, stem))
    text = "\n\n".join(["## Edges, certificates and bounds", *(table.markdown() for table in tables.values())])
    return Outcome(tuple(tables.values()), files, text)


def _recovery(output: Path, settings: Settings) -> Outcome:
    problem = BiasedParity(40, 4, 0.5)
    found = recoveries(problem, settings.counts, settings.runs, settings.seed)
    table = recovery_table(problem, found, settings.runs)
    files = (*table.save(output, "recovery"), *save_figure(recovery_figure(problem, found), output, "recovery"))
    text = f"## One-step recovery\n\n![Recovery over the sample size](recovery.png)\n\n{table.markdown()}"
    return Outcome((table,), files, text)


def _leak(output: Path, settings: Settings) -> Outcome:
    training = ParityTraining(settings.width, settings.leak_steps, seed=settings.seed)
    table = leak_table(LeakyParity(30, 5, 0.5), 20_000, training)
    return Outcome((table,), table.save(output, "leak"), f"## A leak in the marginal law\n\n{table.markdown()}")
