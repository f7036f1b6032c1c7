"""Finite networks on small images: one intervention at a time, beside what the infinite network predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy import ndarray
from torch import nn

from widenet.architectures import Layer, fully_connected
from widenet.experiments.kernel_arms import Family
from widenet.experiments.result_tables import Column, ResultTable
from widenet.experiments.small_images import prepared
from widenet.kernels.base import Kernel
from widenet.kernels.neural import NNGP, NTK
from widenet.networks.descent import GradientDescent, PerParameter, group_numbers
from widenet.networks.ensembles import Centred, Ensemble
from widenet.networks.finite_network import network
from widenet.networks.parameterization import layerwise_weight_decay
from widenet.networks.training import Recorder, predict, train
from widenet.theory.dynamics import GradientFlow, TrainedNetworks
from widenet.theory.layer_shares import standard_kernel

DEPTH = 2


@dataclass(frozen=True)
class Intervention:
    """How a finite network is trained.

    Attributes:
        parameterization: "ntk" or "standard".
        rate: Learning rate over the largest stable one of the infinite network.
        centred: Whether f - f_0 is trained.
        decay: "none", "plain" or "layer-wise" L2.
    """

    parameterization: Literal["ntk", "standard"] = "ntk"
    rate: float = 0.5
    centred: bool = False
    decay: Literal["none", "plain", "layer-wise"] = "none"

    @property
    def name(self) -> str:
        """In words."""
        words = ["NTK" if self.parameterization == "ntk" else self.parameterization]
        words.append("small rate" if self.rate <= 1 else "large rate")
        words += ["centred"] * self.centred + ([f"{self.decay} L2"] if self.decay != "none" else [])
        return ", ".join(words)


INTERVENTIONS = (
    Intervention(),
    Intervention(centred=True),
    Intervention(rate=1.6),
    Intervention(decay="plain"),
    Intervention("standard"),
    Intervention("standard", rate=1.6),
    Intervention("standard", decay="plain"),
    Intervention("standard", decay="layer-wise"),
)


@dataclass(frozen=True)
class Budget:
    """Sizes of the training runs.

    Attributes:
        width: Hidden units.
        members: Networks of each kind.
        steps: Steps of gradient descent on all rows.
        every: Steps between two looks at the other images.
        decay: Strength of L2 as a relative ridge of the infinite network.
        seed: Of the first network.
    """

    width: int = 256
    members: int = 6
    steps: int = 500
    every: int = 100
    decay: float = 0.03
    seed: int = 0


@dataclass(frozen=True, eq=False)
class FiniteArm:
    """Networks that were trained alike.

    Attributes:
        intervention: How.
        step: Step that is best for the ensemble on the images to choose on.
        rights: Whether each member classifies each test image right there, (members, m).
        ensemble: Whether the mean of the members does, (m,).
        mse: Mean squared test error of a member, and of the ensemble, there.
        loss: Training loss at the end, mean over the members.
        variance: Variance of the test outputs over the members at the end, and that of the infinite network.
        distance: Root mean square distance of a member, and of the expectation over the starts, from the mean of
            infinite networks at the end, over the size of the latter; None where no kernel describes the training. The
            expectation is estimated by the mean over the members, whose own variance is taken off.
    """

    intervention: Intervention
    step: int
    rights: ndarray
    ensemble: ndarray
    mse: tuple[float, float]
    loss: float
    variance: tuple[float, float | None]
    distance: tuple[float, float] | None

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the members."""
        return float(self.rights.mean())


def finite_arm(family: Family, intervention: Intervention, budget: Budget) -> FiniteArm:
    """Train fully connected networks with one intervention.

    Args:
        family: The fully connected family, whose images are taken as plain rows.
        intervention: How they are trained.
        budget: Sizes.
    """
    rows = prepared(family.images, None)
    infinite, rate, decay = _infinite(rows[0], family.images.targets, intervention, budget)

    def make(seed: int) -> nn.Module:
        module = network(
            _architecture(),
            rows[0].shape[1],
            width=budget.width,
            outputs=family.images.targets.shape[1],
            seed=budget.seed + seed,
            parameterization=intervention.parameterization,
        )
        return Centred(module) if intervention.centred else module

    ensemble, others = Ensemble.of(make, range(budget.members)), np.concatenate(rows[1:])
    penalty: PerParameter = decay
    if intervention.decay == "layer-wise":
        module = make(0)
        penalty = group_numbers(module, layerwise_weight_decay(module, decay), "weight_decay")
    looks = Recorder(lambda step, module: predict(module, others).astype(np.float32), budget.every)
    descent = GradientDescent(rate, budget.steps, reduction="mean", weight_decay=penalty)
    history = train(ensemble, rows[0], family.images.targets, descent, looks)
    records = [(step, scores) for step, scores in history.records if np.isfinite(scores).all()]
    step, best = min(records, key=lambda entry: _error(family, entry[1].mean(0)))
    rights, together, mse = _judged(family, best)
    end = records[-1][1][:, len(family.images.choose) :]
    variance, distance = _compared(infinite, records[-1][0], rows[2], end)
    loss = float(np.mean(history.final_loss))
    return FiniteArm(intervention, step, rights, together, mse, loss, variance, distance)


def _architecture() -> Layer:
    return fully_connected(DEPTH, weight_std=np.sqrt(2.0))


def _infinite(
    X: ndarray, y: ndarray, intervention: Intervention, budget: Budget
) -> tuple[TrainedNetworks | None, float, float]:
    """The infinite network in training (None where it has no kernel), the rate, and the strength of L2."""
    tangent = NTK(_architecture())
    kernel: Kernel = tangent
    if intervention.parameterization == "standard":
        kernel = standard_kernel(_architecture(), [X.shape[1], *[budget.width] * DEPTH])
    limit = GradientFlow(kernel, NNGP(_architecture()), loss="mean").fit(X, y).largest_stable_rate
    rate = intervention.rate * limit
    decay = 0.0
    if intervention.decay != "none":
        decay = budget.decay * float(np.mean(tangent.diagonal(X))) / len(X)
    if intervention.decay == "layer-wise":
        return None, rate, decay
    start = "centred" if intervention.centred else "random"
    flow = GradientFlow(kernel, NNGP(_architecture()), rate, "mean", decay, "zero", DEPTH + 1.0, start)
    return flow.fit(X, y), rate, decay


def _truth(family: Family, part: int) -> ndarray:
    classes = family.images.targets.shape[1]
    return np.eye(classes)[family.images.labels[part]] - 1 / classes


def _error(family: Family, scores: ndarray) -> float:
    """Squared error on the images to choose on."""
    return float(np.mean(np.square(scores[: len(family.images.choose)] - _truth(family, 1))))


def _judged(family: Family, scores: ndarray) -> tuple[ndarray, ndarray, tuple[float, float]]:
    """Hits of the members and of their mean on the test images, and squared errors of both."""
    test, truth = scores[:, len(family.images.choose) :], _truth(family, 2)
    rights = test.argmax(2) == family.images.labels[2]
    together = test.mean(0).argmax(1) == family.images.labels[2]
    errors = float(np.mean(np.square(test - truth))), float(np.mean(np.square(test.mean(0) - truth)))
    return rights, together, errors


def _compared(
    infinite: TrainedNetworks | None, step: int, X: ndarray, scores: ndarray
) -> tuple[tuple[float, float | None], tuple[float, float] | None]:
    variance = float(scores.var(0, ddof=1).mean())
    if infinite is None:
        return (variance, None), None
    mean = infinite.mean([step], X)[0]
    size = np.sqrt(np.mean(np.square(mean)))
    member = float(np.sqrt(np.mean(np.square(scores - mean))) / size)
    excess = float(np.mean(np.square(scores.mean(0) - mean))) - variance / len(scores)
    expected = float(np.sqrt(max(excess, 0.0)) / size)
    return (variance, float(infinite.variance([step], X)[0].mean())), (member, expected)


def finite_table(arms: Sequence[FiniteArm], budget: Budget) -> ResultTable:
    """Accuracies, variances and distances from the kernel of all interventions."""
    columns = (Column("networks"), Column("accuracy, %", ".2f"), Column("s.e.", ".2f"), Column("ensemble, %", ".2f"))
    columns += (Column("error", ".4f"), Column("ensemble", ".4f"), Column("step"), Column("training loss", ".1e"))
    columns += (
        Column("variance", ".2e"),
        Column("infinite", ".2e"),
        Column("distance", ".3f"),
        Column("of expectation", ".3f"),
    )
    rows = tuple(
        (
            arm.intervention.name,
            100 * arm.accuracy,
            100 * float(arm.rights.mean(1).std(ddof=1) / np.sqrt(len(arm.rights))),
            100 * float(arm.ensemble.mean()),
            *arm.mse,
            arm.step,
            arm.loss,
            *arm.variance,
            *(arm.distance or (None, None)),
        )
        for arm in arms
    )
    return ResultTable(
        f"Finite fully connected networks of width {budget.width}, {DEPTH} hidden layers",
        columns,
        rows,
        (
            f"Measured: {budget.members} networks each, trained together on the mean squared loss for {budget.steps} "
            "steps; accuracy and squared error on the test images at the step that is best for their mean on others. "
            "Standard errors are over the networks: these share the images.",
            "Small rate: half the largest stable rate of the infinite network; large: 1.6 times that rate. L2 has the "
            f"strength of a relative ridge of {budget.decay:g} on the infinite network in the NTK parameterisation.",
            "Variance: of an output over the networks at the last step, and what the infinite network has. Distance: "
            "of one network, and of the expectation (the mean over the networks, without its own variance), from the "
            "mean of infinite networks trained alike, over its size. "
            "For layer-wise L2 with one rate no one kernel describes training.",
        ),
    )
