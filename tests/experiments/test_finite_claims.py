"""Verdicts on claims from numbers that are known."""

import numpy as np
import pytest

from widenet.experiments.finite_arms import INTERVENTIONS, FiniteArm
from widenet.experiments.finite_claims import Measured, Ordering, ordering_table, orderings
from widenet.experiments.kernel_arms import KernelArm, Stopping
from widenet.experiments.width_sweep import WidthPoint
from widenet.theory import precision_report

M = 100


def share(right):
    """So many of 100 images right."""
    return np.arange(M) < right


def kernel(family, kind, treatment, right):
    return KernelArm(family, kind, treatment, 0.1, None, share(right), 0.05)


def measured():
    families = ("FC", "CNN-VEC", "CNN-GAP")
    kernels = [
        kernel(f, kind, t, right)
        for f in families
        for kind, t, right in (("NTK", "plain", 80), ("NTK", "ZCA", 90), ("NNGP", "plain", 80), ("NNGP", "ZCA", 70))
    ]
    kernels.append(kernel("FC", "NTK", "augmented", 50))
    finite = []
    for i, intervention in enumerate(INTERVENTIONS):
        rights = np.stack([share(60 + i), share(62 + i)])
        distance = None if intervention.decay == "layer-wise" else (0.5 + 0.1 * i, 0.2 + 0.1 * i)
        finite.append(FiniteArm(intervention, 5, rights, share(65), (0.1, 0.1), 0.1, (1.0 / (1 + i), 0.5), distance))
    widths = [
        WidthPoint(f, w, np.stack([share(85), share(86)]), np.array([e, e + 0.001]), np.array([0.1, 0.1]))
        for f in families
        for w, e in ((2, 0.2), (4, 0.3), (8, 0.1))
    ]
    stopping = Stopping(np.array([0.01, 0.1, 1.0]), np.ones(3), np.ones(3), np.ones(3), np.array([0.02, 0.05, 0.6]))
    i = np.arange(1, 41.0)
    reports = {f: precision_report(np.diag(40 * i**-a)) for f, a in (("FC", 1.1), ("CNN-GAP", 2.0))}
    return Measured(kernels, finite, widths, stopping, reports)


def test_verdicts_follow_from_differences_and_errors():
    found = {(o.claim, o.where.split(",")[0]): o for o in orderings(measured())}
    ntk = found["the NNGP is often better than the NTK", "FC"]
    assert (ntk.difference, ntk.verdict) == (0.0, "undecided")
    zca = found["regularised ZCA helps", "CNN-GAP"]
    assert (zca.difference, zca.verdict) == (10.0, "yes")
    assert zca.error == pytest.approx(100 * np.sqrt(0.1 * 0.9 / (M - 1)))
    assert found["ensembles over augmentations help", "FC"].verdict == "no"
    assert found["kernels beat finite FC networks", "NTK less networks"].difference == pytest.approx(19.0)
    assert found["finite CNNs beat their kernels", "CNN-VEC of 8 channels less NTK"].difference == pytest.approx(5.5)
    assert found["the NTK parameterisation is better", "less the standard one"].difference == pytest.approx(-4.0)
    assert found["layer-wise L2 helps standard networks", "less plain L2"].difference == pytest.approx(1.0)
    by_claim = {o.claim: o for o in orderings(measured())}
    assert by_claim["centring lowers the variance"].difference == pytest.approx(np.log(2))
    assert by_claim["ensembles are closer to the kernel"].difference == pytest.approx(0.3)
    assert by_claim["a large rate leads away from the kernel"].difference == pytest.approx(0.2)
    assert by_claim["L2 leads away from the kernel"].difference == pytest.approx(0.3)
    assert by_claim["centred networks are closer to the kernel"].verdict == "no"
    assert by_claim["a ridge acts like early stopping"].difference == pytest.approx(0.05)
    assert by_claim["kernels with pooling run out of precision first"].verdict == "yes"
    assert by_claim["errors are not monotone in the width"].difference == pytest.approx(0.1)
    assert by_claim["errors are not monotone in the width"].verdict == "yes"


def test_a_verdict_needs_two_standard_errors():
    assert [Ordering("", "", d, 1.0).verdict for d in (2.1, 1.9, -1.9, -2.1)] == ["yes", "undecided", "undecided", "no"]
    assert [Ordering("", "", d, None).verdict for d in (0.1, -0.1, 0.0)] == ["yes", "no", "undecided"]
    table = ordering_table([Ordering("a", "b", 1.0, None)])
    assert table.rows == (("a", "b", 1.0, None, "yes"),)
