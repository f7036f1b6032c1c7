"""Kernel predictors of small images: plain, whitened, averaged over augmentations; ridges against early stopping."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

from widenet.architectures import Layer
from widenet.estimators.augmentation import RandomCrop, RandomFlip
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.small_images import SmallImages, prepared
from widenet.kernels.neural import NNGP, NTK
from widenet.theory.dynamics import GradientFlow
from widenet.theory.precision import PrecisionReport, precision_report

RIDGES = 10.0 ** np.arange(-6.0, 0.6, 0.5)
KINDS = ("NTK", "NNGP")


@dataclass(frozen=True, eq=False)
class Family:
    """A kind of network on one form of the images.

    Attributes:
        name: "FC", "CNN-VEC" or "CNN-GAP".
        architecture: The network.
        images: The images.
    """

    name: str
    architecture: Layer
    images: SmallImages

    def points(self, rows: ndarray) -> ndarray:
        """Rows in the form that the architecture reads."""
        return rows if self.name == "FC" else rows.reshape(len(rows), *self.images.shape)


@dataclass(frozen=True, eq=False)
class KernelArm:
    """One kernel predictor.

    Attributes:
        family: Its network.
        kind: "NTK" or "NNGP".
        treatment: "plain", "ZCA", "augmented" or "ZCA, augmented".
        ridge: The relative ridge chosen.
        zca_ridge: The relative ridge of ZCA chosen, or None.
        right: Whether each test image is classified right, (m,).
        mse: Mean squared error of the test scores.
    """

    family: str
    kind: str
    treatment: str
    ridge: float
    zca_ridge: float | None
    right: ndarray
    mse: float

    @property
    def accuracy(self) -> float:
        """Share of test images classified right."""
        return float(self.right.mean())


@dataclass(frozen=True, eq=False)
class Stopping:
    """Test errors of the NTK over ridges, and over the times that correspond to them.

    Attributes:
        ridges: Relative ridges.
        times: Equivalent times of the flow.
        ridge_mse: Test error of each ridge.
        stopped_mse: Test error at each time.
        gap: Root mean square difference of the two predictions over the size of the former, at each.
    """

    ridges: ndarray
    times: ndarray
    ridge_mse: ndarray
    stopped_mse: ndarray
    gap: ndarray


def kernel_arms(family: Family, zca_ridges: Sequence[float], members: int, flips: bool, seed: int) -> list[KernelArm]:
    """Plain and whitened kernels of a family and, with members, their augmentation ensembles.

    Ridges, of kernel and ZCA, are those of least squared error on the images to choose on.

    Args:
        family: The network and the images.
        zca_ridges: Ridges of ZCA to choose from.
        members: Members of the augmentation ensembles; 0 leaves these out.
        flips: Whether images are mirrored too, besides shifts.
        seed: Of the augmentations.
    """
    arms = []
    plain = _scores(family, prepared(family.images, None))
    whitened = {ridge: _scores(family, prepared(family.images, ridge)) for ridge in zca_ridges}
    augmented = [_augmented(family.images, flips, seed + member) for member in range(members)]
    unwhitened = [_scores(family, prepared(family.images, None, train)) for train in augmented]
    for kind in KINDS:
        best = min(whitened, key=lambda ridge: _least(family, whitened[ridge][kind]))
        arms.append(_arm(family, kind, "plain", plain[kind], None))
        arms.append(_arm(family, kind, "ZCA", whitened[best][kind], best))
        if members:
            mean = np.mean([scores[kind] for scores in unwhitened], axis=0)
            arms.append(_arm(family, kind, "augmented", mean, None))
            both = [_scores(family, prepared(family.images, best, train), (kind,))[kind] for train in augmented]
            arms.append(_arm(family, kind, "ZCA, augmented", np.mean(both, axis=0), best))
    return arms


def stopping(family: Family) -> Stopping:
    """Ridges against early stopping for the NTK of a family, on plain rows."""
    rows = prepared(family.images, None)
    flow = _flow(family).fit(family.points(rows[0]), family.images.targets)
    times = flow.equivalent_ridges([1.0]) / RIDGES  # the ridge at time 1, over the ridge, is the time of the ridge
    test = family.points(rows[2])
    ridge, stopped = flow.ridge_mean(RIDGES, test), flow.mean(times, test)
    truth = _truth(family, 2)
    gap = np.sqrt(np.mean(np.square(ridge - stopped), axis=(1, 2)) / np.mean(np.square(ridge), axis=(1, 2)))
    ridge_mse, stopped_mse = (np.mean(np.square(scores - truth), axis=(1, 2)) for scores in (ridge, stopped))
    return Stopping(RIDGES, times, ridge_mse, stopped_mse, gap)


def precision(family: Family) -> PrecisionReport:
    """Whether float32 is enough for the NTK of a family on its training images."""
    rows = prepared(family.images, None)
    return precision_report(NTK(family.architecture)(family.points(rows[0])))


def _flow(family: Family) -> GradientFlow:
    return GradientFlow(NTK(family.architecture), NNGP(family.architecture))


def _scores(family: Family, rows: list[ndarray], kinds: Sequence[str] = KINDS) -> dict[str, ndarray]:
    """Scores of the images to choose on and of the test images for every ridge, (ridges, images, classes)."""
    flow = _flow(family).fit(family.points(rows[0]), family.images.targets)
    others = family.points(np.concatenate(rows[1:]))
    return {kind: flow.ridge_mean(RIDGES, others, "ntk" if kind == "NTK" else "nngp") for kind in kinds}


def _augmented(images: SmallImages, flips: bool, seed: int) -> ndarray:
    random = np.random.default_rng(seed)
    shifted = RandomCrop(images.shape, max(1, images.shape[0] // 8))(images.train, random)
    return RandomFlip(images.shape)(shifted, random) if flips else shifted


def _truth(family: Family, part: int) -> ndarray:
    classes = family.images.targets.shape[1]
    return np.eye(classes)[family.images.labels[part]] - 1 / classes


def _errors(family: Family, scores: ndarray) -> ndarray:
    """Squared error on the images to choose on, (ridges,)."""
    return np.mean(np.square(scores[:, : len(family.images.choose)] - _truth(family, 1)), axis=(1, 2))


def _least(family: Family, scores: ndarray) -> float:
    return float(_errors(family, scores).min())


def _arm(family: Family, kind: str, treatment: str, scores: ndarray, zca_ridge: float | None) -> KernelArm:
    best = int(_errors(family, scores).argmin())
    test = scores[best, len(family.images.choose) :]
    right = test.argmax(1) == family.images.labels[2]
    mse = float(np.mean(np.square(test - _truth(family, 2))))
    return KernelArm(family.name, kind, treatment, float(RIDGES[best]), zca_ridge, right, mse)


def kernel_table(arms: Sequence[KernelArm], images: SmallImages) -> ResultTable:
    """Accuracies of all kernel predictors."""
    columns = (Column("network"), Column("kernel"), Column("treatment"), Column("accuracy, %", ".2f"))
    columns += (
        Column("s.e.", ".2f"),
        Column("squared error", ".4f"),
        Column("ridge", ".0e"),
        Column("ZCA ridge", ".2g"),
    )
    rows = tuple(
        (
            arm.family,
            arm.kind,
            arm.treatment,
            100 * arm.accuracy,
            100 * float(np.sqrt(arm.accuracy * (1 - arm.accuracy) / len(arm.right))),
            arm.mse,
            arm.ridge,
            arm.zca_ridge,
        )
        for arm in arms
    )
    return ResultTable(
        f"Kernel predictors of {images.name}, {len(images.train)} images to train on",
        columns,
        rows,
        (
            f"Measured on {len(images.test)} test images; ridges, relative to the mean diagonal and to the mean "
            f"eigenvalue of ZCA, by squared error on {len(images.choose)} others. Every image is centred and normed.",
            "Standard errors are those of a share of independent images; between two rows, which see the same images, "
            "differences are known better.",
        ),
    )


def stopping_table(found: Stopping) -> ResultTable:
    """Ridges beside the times that correspond to them."""
    columns = (Column("ridge", ".1e"), Column("time", ".3g"), Column("error, ridge", ".4f"))
    columns += (Column("error, stopped", ".4f"), Column("difference", ".3f"))
    rows = zip(found.ridges, found.times, found.ridge_mse, found.stopped_mse, found.gap, strict=True)
    return ResultTable(
        "Ridges and early stopping of the NTK",
        columns,
        tuple(tuple(float(cell) for cell in row) for row in rows),
        ("Flow stopped at 1 / ridge; errors are squared errors on test images; the difference is of predictions.",),
    )


def precision_table(reports: Sequence[tuple[str, PrecisionReport]]) -> ResultTable:
    """What float32 is enough for."""
    columns = (Column("network"), Column("points"), Column("smallest eigenvalue", ".3g"), Column("edge", ".3g"))
    columns += (Column("decay a", ".2f"), Column("P*", ".2g"))
    rows = tuple((name, len(r.eigenvalues), r.smallest, r.edge, r.exponent, r.critical_size) for name, r in reports)
    return ResultTable(
        "float32 and the spectra of the NTK",
        columns,
        rows,
        ("The edge of symmetric independent rounding; P*, where the decay would meet it: an order of magnitude.",),
    )


def stopping_figure(found: Stopping) -> Figure:
    """Test errors over the ridge and over the equivalent time, on one axis."""
    with figure_style():
        figure = new_figure(4.5, 3.2)
        axes = figure.subplots()
        axes.plot(found.ridges, found.ridge_mse, "o-", color=COLOURS["blue"], label="ridge r")
        axes.plot(found.ridges, found.stopped_mse, "s-", color=COLOURS["vermilion"], label="stopped at 1 / r")
        axes.set_xscale("log")
        axes.set_xlabel("relative ridge r")
        axes.set_ylabel("squared error, test")
        axes.set_title("Ridge and early stopping")
        axes.legend()
    return figure
