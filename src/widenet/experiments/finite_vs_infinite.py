"""Finite networks and their kernels, one intervention at a time (arXiv 2007.15801)."""

from dataclasses import dataclass, field, replace
from math import sqrt
from pathlib import Path

from widenet.architectures import convolutional, fully_connected
from widenet.errors import InvalidInput
from widenet.experiments.figures import save_figure
from widenet.experiments.finite_arms import DEPTH, INTERVENTIONS, Budget, finite_arm, finite_table
from widenet.experiments.finite_claims import Measured, ordering_table, orderings
from widenet.experiments.flow_check import flow_check, flow_figure, flow_table
from widenet.experiments.kernel_arms import (
    Family,
    KernelArm,
    kernel_arms,
    kernel_table,
    precision,
    precision_table,
    stopping,
    stopping_figure,
    stopping_table,
)
from widenet.experiments.outcome import Outcome, Progress, prepare_folder, write_report
from widenet.experiments.result_tables import ResultTable
from widenet.experiments.small_images import SmallImages, digits_in_parts, folder_in_parts
from widenet.experiments.width_sweep import width_figure, width_points, width_table

CLAIMS = (
    "What is claimed, derived and measured. The paper (Lee, Schoenholz, Pennington, Adlam, Xiao, Novak and "
    "Sohl-Dickstein, arXiv 2007.15801; only its abstract was read): an ordering of kernels and networks on CIFAR-10, "
    "by interventions such as centring, ensembles, L2, whitening. Derived here: the mean and covariance of wide "
    "networks in training, weight decay and parameterisations in kernel form, the size at which rounding hides a "
    "spectrum. Measured here, on small images and small networks: every network, every kernel, and which orderings "
    "hold. None of the paper's own numbers was seen."
)


@dataclass(frozen=True)
class Settings:
    """What `widenet reproduce finite-vs-infinite` computes.

    Attributes:
        sizes: Images to train on, to choose on, and to test on.
        conv_sizes: The same for convolutional networks, at most as many.
        flow: Widths and members of the ensembles beside the infinite network.
        budget: Finite fully connected networks.
        zca_ridges: Ridges of ZCA to choose from.
        members: Members of the augmentation ensembles.
        flips: Whether augmentation mirrors the images; not for digits.
        widths: Widths of the fully connected networks in the sweep.
        channels: Channels of the convolutional ones.
        sweep: Members and steps of the sweep.
        seed: Of the images' order, augmentations and weights.
    """

    sizes: tuple[int, int, int] = (128, 200, 800)
    conv_sizes: tuple[int, int, int] = (128, 100, 300)
    flow: tuple[tuple[int, int], ...] = ((64, 2000), (256, 500), (1024, 48))
    budget: Budget = field(default_factory=Budget)
    zca_ridges: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    members: int = 8
    flips: bool = False
    widths: tuple[int, ...] = (4, 16, 64, 256)
    channels: tuple[int, ...] = (2, 8, 32)
    sweep: Budget = field(default_factory=lambda: Budget(members=3, steps=300))
    seed: int = 0

    def __post_init__(self) -> None:
        if min(*self.sizes, *self.conv_sizes) < 20 or any(
            few > many for few, many in zip(self.conv_sizes, self.sizes, strict=True)
        ):
            raise InvalidInput("parts must have 20 images or more, those for CNNs no more than the others", repr(self))
        if not (self.flow and self.zca_ridges and len(self.widths) > 1 and len(self.channels) > 1):
            raise InvalidInput("flow and zca_ridges must not be empty, widths and channels two or more", repr(self))
        if self.budget.members < 2 or self.sweep.members < 2 or min(m for _, m in self.flow) < 2:
            raise InvalidInput("variances need 2 networks or more", repr(self))
        if self.seed < 0 or self.members < 0:
            raise InvalidInput("seed and members must not be negative", repr(self))

    @staticmethod
    def quick(seed: int = 0, flips: bool = False) -> "Settings":
        """Small sizes: seconds instead of minutes.

        Args:
            seed: Of the images' order, augmentations and weights.
            flips: Whether augmentation mirrors the images.
        """
        return Settings(
            sizes=(60, 60, 200),
            conv_sizes=(40, 20, 60),
            flow=((32, 400), (128, 100)),
            budget=Budget(width=64, members=4, steps=150, every=50),
            zca_ridges=(1.0, 100.0),
            members=2,
            flips=flips,
            widths=(4, 32),
            channels=(2, 8),
            sweep=Budget(members=2, steps=40),
            seed=seed,
        )


def run(
    output: Path, data: Path | None = None, settings: Settings | None = None, progress: Progress | None = None
) -> Outcome:
    """Compare finite networks with infinite ones on small images.

    Writes tables as Markdown and CSV, figures as PNG and SVG, and `finite_vs_infinite.md` with all of it. Equal
    settings give equal files on one machine.

    Args:
        output: Folder to write to; made if missing.
        data: Folder of images in IDX files, as Fashion-MNIST comes; None takes scikit-learn's digits.
        settings: What to compute; None for the default.
        progress: Called with a text, the number of finished pieces and their total.

    Returns:
        The tables, the files written, and what is claimed, derived and measured.

    Raises:
        InvalidFile: If the output folder cannot be written to, or the data cannot be read.
        InvalidInput: If there are too few images.

    Cost:
        About three minutes on two cores: ensembles, fully connected and convolutional networks, each a third.

    References:
        Lee et al. 2020, arXiv 2007.15801.
    """
    settings = Settings() if settings is None else settings
    families = _families(data, settings)
    prepare_folder(output)
    parts: list[Outcome] = []
    total = 4 + len(families)

    def tell(text: str, done: int) -> None:
        if progress is not None:
            progress(text, done, total)

    tell("trained ensembles", 0)
    parts.append(_flow(output, settings))
    kernels: list[KernelArm] = []
    for number, family in enumerate(families):
        tell(f"kernels, {family.name}", 1 + number)
        members = settings.members if family.name != "CNN-GAP" else 0  # all pairs of pixels, for every member
        ridges = settings.zca_ridges if family.name == "FC" else _chosen(kernels)
        kernels += kernel_arms(family, ridges, members, settings.flips, settings.seed)
    tell("finite networks", total - 3)
    budget = replace(settings.budget, seed=settings.seed)
    finite = [finite_arm(families[0], intervention, budget) for intervention in INTERVENTIONS]
    tell("width sweep", total - 2)
    sweep = replace(settings.sweep, seed=settings.seed)
    sizes = (settings.widths, settings.channels, settings.channels)
    widths = [p for f, s in zip(families, sizes, strict=True) for p in width_points(f, s, sweep)]
    tell("ridges and precision", total - 1)
    reports = {family.name: precision(family) for family in families}
    measured = Measured(kernels, finite, widths, stopping(families[0]), reports)
    parts.append(_tables(output, "## Kernels", kernel_table(kernels, families[0].images), "kernels"))
    parts.append(_tables(output, "## Finite networks", finite_table(finite, budget), "finite"))
    parts.append(_tables(output, "## Width", width_table(widths, sweep), "widths"))
    parts.append(_tables(output, "## Ridges and stopping", stopping_table(measured.stopping), "stopping"))
    parts.append(_tables(output, "## Precision", precision_table(list(reports.items())), "precision"))
    parts.append(_tables(output, "## Orderings", ordering_table(orderings(measured)), "orderings"))
    figures = (
        *save_figure(width_figure(widths, kernels), output, "widths"),
        *save_figure(stopping_figure(measured.stopping), output, "stopping"),
    )
    report = write_report(output / "finite_vs_infinite.md", "Finite and infinite networks", CLAIMS, parts)
    return replace(report, files=(*report.files, *figures))


def _families(data: Path | None, settings: Settings) -> tuple[Family, Family, Family]:
    sizes, seed = settings.sizes, settings.seed
    images = digits_in_parts(sizes, seed) if data is None else folder_in_parts(data, sizes, seed)
    small = _first(images.shrunk(), settings.conv_sizes)
    vector, pooled = (convolutional(2, readout) for readout in ("flatten", "average"))
    dense = fully_connected(DEPTH, weight_std=sqrt(2.0))
    return Family("FC", dense, images), Family("CNN-VEC", vector, small), Family("CNN-GAP", pooled, small)


def _first(images: SmallImages, sizes: tuple[int, int, int]) -> SmallImages:
    """The first images of each part."""
    train, choose, test = (part[:size] for part, size in zip(images.parts, sizes, strict=True))
    first, second, third = (labels[:size] for labels, size in zip(images.labels, sizes, strict=True))
    return SmallImages(images.name, train, choose, test, (first, second, third))


def _chosen(kernels: list[KernelArm]) -> tuple[float, ...]:
    """The ridge of ZCA that the fully connected NTK chose: one run for the dearer kernels."""
    return tuple(arm.zca_ridge for arm in kernels if arm.zca_ridge is not None)[:1]


def _flow(output: Path, settings: Settings) -> Outcome:
    checks = [flow_check(width, members, settings.seed) for width, members in settings.flow]
    table = flow_table(checks)
    files = (*table.save(output, "flow"), *save_figure(flow_figure(checks), output, "flow"))
    return Outcome((table,), files, f"## Networks in training\n\n![Mean and variance](flow.png)\n\n{table.markdown()}")


def _tables(output: Path, heading: str, table: ResultTable, stem: str) -> Outcome:
    picture = {"widths": "![Errors over the width](widths.png)\n\n", "stopping": "![Errors](stopping.png)\n\n"}
    text = f"{heading}\n\n{picture.get(stem, '')}{table.markdown()}"
    return Outcome((table,), table.save(output, stem), text)
