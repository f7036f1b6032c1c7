"""What the abstract of arXiv 2007.15801 orders, and how it came out here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
from numpy import ndarray

from widenet.experiments.finite_arms import INTERVENTIONS, FiniteArm
from widenet.experiments.kernel_arms import KernelArm, Stopping
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.width_sweep import WidthPoint
from widenet.theory.precision import PrecisionReport


@dataclass(frozen=True)
class Ordering:
    """A claim and what was measured.

    Attributes:
        claim: In words.
        where: The networks and numbers compared.
        difference: Positive where the claim holds.
        error: Standard error of the difference, or None where there is none.
    """

    claim: str
    where: str
    difference: float
    error: float | None

    @property
    def verdict(self) -> str:
        """Beyond two standard errors "yes" or "no", within them "undecided"; without an error by the sign."""
        if abs(self.difference) <= 2 * (self.error or 0.0):
            return "undecided"
        return "yes" if self.difference > 0 else "no"


@dataclass(frozen=True, eq=False)
class Measured:
    """All parts of the experiment.

    Attributes:
        kernels: Kernel predictors.
        finite: Finite fully connected networks.
        widths: Networks over the width.
        stopping: Ridges and early stopping.
        precision: Reports by the name of the family.
    """

    kernels: Sequence[KernelArm]
    finite: Sequence[FiniteArm]
    widths: Sequence[WidthPoint]
    stopping: Stopping
    precision: dict[str, PrecisionReport]


def orderings(measured: Measured) -> list[Ordering]:
    """Every ordering of the abstract that this experiment can speak to."""
    return [*_kernels(measured), *_finite(measured), *_rest(measured)]


def _kernels(measured: Measured) -> list[Ordering]:
    kernel = {(arm.family, arm.kind, arm.treatment): arm for arm in measured.kernels}
    found = []
    families = list(dict.fromkeys(arm.family for arm in measured.kernels))
    for family in families:
        nngp, ntk = kernel[family, "NNGP", "plain"], kernel[family, "NTK", "plain"]
        where = f"{family}, accuracy of the NNGP less the NTK, %"
        found.append(_paired("the NNGP is often better than the NTK", where, nngp.right, ntk.right))
    for family in families:
        plain, whitened = kernel[family, "NTK", "plain"], kernel[family, "NTK", "ZCA"]
        where = f"{family}, NTK with ZCA less plain, %"
        found.append(_paired("regularised ZCA helps", where, whitened.right, plain.right))
        if (family, "NTK", "augmented") in kernel:
            where = f"{family}, NTK, ensemble less plain, %"
            augmented = kernel[family, "NTK", "augmented"]
            found.append(_paired("ensembles over augmentations help", where, augmented.right, plain.right))
    return found


def _finite(measured: Measured) -> list[Ordering]:
    arms = {arm.intervention: arm for arm in measured.finite}
    kernel = {(arm.family, arm.kind, arm.treatment): arm for arm in measured.kernels}
    base, centred, fast, decayed, standard, _, plain, layerwise = (arms[key] for key in INTERVENTIONS)
    ntk = kernel["FC", "NTK", "plain"]
    found = [
        _paired("kernels beat finite FC networks", "NTK less networks, %", ntk.right, base.rights),
        _paired("kernels beat finite FC networks", "NTK less their ensemble, %", ntk.right, base.ensemble),
        _paired("kernels beat finite FC networks", "NTK less centred ones, %", ntk.right, centred.rights),
        _paired("the NTK parameterisation is better", "less the standard one, %", base.rights, standard.rights),
        _paired("layer-wise L2 helps standard networks", "less plain L2, %", layerwise.rights, plain.rights),
        Ordering(
            "centring lowers the variance",
            f"logarithm of {base.variance[0]:.2e} over {centred.variance[0]:.2e}",
            float(np.log(base.variance[0] / centred.variance[0])),
            None,
        ),
        _further("ensembles are closer to the kernel", base, 0, base, 1),
        _further("centred networks are closer to the kernel", base, 0, centred, 0),
        _further("a large rate leads away from the kernel", fast, 1, base, 1),
        _further("L2 leads away from the kernel", decayed, 1, base, 1),
    ]
    for family in ("CNN-VEC", "CNN-GAP"):
        widest = [point for point in measured.widths if point.family == family][-1]
        rights = kernel[family, "NTK", "plain"].right
        where = f"{family} of {widest.width} channels less NTK, %"
        found.append(_paired("finite CNNs beat their kernels", where, widest.rights, rights))
    return found


def _rest(measured: Measured) -> list[Ordering]:
    found = []
    stopping = measured.stopping
    gap = float(np.max(stopping.gap[stopping.ridges <= 0.1]))
    where = f"largest difference of predictions for ridges up to 0.1 is {gap:.3f} of their size; less than 0.1"
    found.append(Ordering("a ridge acts like early stopping", where, 0.1 - gap, None))
    sizes = {name: report.critical_size for name, report in measured.precision.items()}
    where = f"logarithm of P* of FC, {sizes['FC']:.1e}, over that of CNN-GAP, {sizes['CNN-GAP']:.1e}"
    ratio = float(np.log(sizes["FC"] / sizes["CNN-GAP"])) if np.isfinite(sizes["FC"]) else np.inf
    found.append(Ordering("kernels with pooling run out of precision first", where, ratio, None))
    for family in dict.fromkeys(point.family for point in measured.widths):
        own = [point for point in measured.widths if point.family == family]
        rises = [_rise(narrow, wide) for narrow, wide in pairwise(own)]
        difference, error, widths = max(rises, key=lambda rise: rise[0] / (rise[1] or 1.0))
        where = f"{family}, largest rise of the squared error, {widths}"
        found.append(Ordering("errors are not monotone in the width", where, difference, error))
    return found


def _rise(narrow: WidthPoint, wide: WidthPoint) -> tuple[float, float, str]:
    """How much the test error grows from one width to the next, its standard error, and the widths."""
    error = sqrt(sum(float(point.mse.var(ddof=1)) / len(point.mse) for point in (narrow, wide)))
    return float(wide.mse.mean() - narrow.mse.mean()), error, f"{narrow.width} to {wide.width}"


def _paired(claim: str, where: str, better: ndarray, worse: ndarray) -> Ordering:
    """Accuracies on the same images, and the standard error of their difference over the images and the networks.

    Args:
        claim: In words.
        where: What is compared.
        better: Whether images are classified right, (m,), or (members, m) by several networks.
        worse: The same.
    """
    sides = [np.atleast_2d(side).astype(float) for side in (better, worse)]
    gaps = sides[0].mean(0) - sides[1].mean(0)
    squares = [gaps.var(ddof=1) / len(gaps)]
    squares += [side.mean(1).var(ddof=1) / len(side) for side in sides if len(side) > 1]
    return Ordering(claim, where, 100 * float(gaps.mean()), 100 * sqrt(float(sum(squares))))


def _further(claim: str, far: FiniteArm, far_part: int, near: FiniteArm, near_part: int) -> Ordering:
    """Distances from the infinite network, of a member (0) or of the expectation (1)."""
    assert far.distance is not None
    assert near.distance is not None
    first, second = far.distance[far_part], near.distance[near_part]
    return Ordering(claim, f"distance {first:.3f} less {second:.3f}", first - second, None)


def ordering_table(found: Sequence[Ordering]) -> ResultTable:
    """Claims, numbers and verdicts."""
    columns = (Column("claim of the abstract"), Column("measured as"), Column("difference", ".3f"))
    columns += (Column("s.e.", ".3f"), Column("holds here"))
    rows = tuple((o.claim, o.where, o.difference, o.error, o.verdict) for o in found)
    return ResultTable(
        "Orderings of the abstract, on these data and at these sizes",
        columns,
        rows,
        (
            "Positive differences are in favour of the claim. Standard errors are over the test images and the "
            "networks; without one, the sign decides. The claims are about CIFAR-10 and large networks.",
        ),
    )
