"""Dense and factorised networks trained to one loss on one machine: steps, counts, time, energy, test error."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import nan
from statistics import median

import torch
from torch import Tensor

from widenet.architectures import Dense, FactorizedDense, ReLU
from widenet.errors import InvalidInput
from widenet.kernels.neural import NTK
from widenet.networks.factorized import FactorizedLinear
from widenet.networks.factorized_costs import Energy, LayerCost, layer_cost
from widenet.networks.shallow import ShallowNetwork


@dataclass(frozen=True)
class TrainingPlan:
    """How networks are trained for comparison: full-batch gradient descent from one seed to one loss.

    Attributes:
        width: Hidden units.
        target: Loss at which to stop: half the squared residual, averaged over the points.
        step: Step size in units of 1 / largest eigenvalue of the layer's kernel of infinite width on the training set.
        momentum: Share of the last step that is taken again.
        most_steps: Steps after which to give up.
        seed: Of the networks.
        energy: Constants of the energy proxy.
        power: Returns the joules that the machine has used so far, to measure them; None where no meter is at hand.
    """

    width: int = 16384
    target: float = 1e-2
    step: float = 1.0
    momentum: float = 0.0
    most_steps: int = 1000
    seed: int = 0
    energy: Energy = field(default_factory=Energy)
    power: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.most_steps < 1 or self.seed < 0:
            raise InvalidInput("width and most_steps must be 1 or more, the seed not negative", repr(self))
        if not (0 < self.target < float("inf") and 0 < self.step < float("inf") and 0 <= self.momentum < 1):
            raise InvalidInput("target and step must be positive, momentum in [0, 1)", repr(self))


@dataclass(frozen=True, eq=False)
class TrainingCost:
    """What training one network took.

    Attributes:
        name: Its name.
        layer: Its hidden layer.
        cost: Counts.
        steps: Gradient steps.
        reached: Whether the loss came down to the target.
        losses: Loss before every step, and after the last.
        setup_seconds: Drawing the network, the step size and the outputs at the start.
        seconds: All steps with their losses.
        step_seconds: Median of a step.
        proxy: Energy proxy of all steps, joules.
        joules: Measured energy of all steps; None without a meter.
        test_error: Share of test points whose class is predicted wrong; NaN without test points.
    """

    name: str
    layer: Dense | FactorizedDense
    cost: LayerCost
    steps: int
    reached: bool
    losses: tuple[float, ...]
    setup_seconds: float
    seconds: float
    step_seconds: float
    proxy: float
    joules: float | None
    test_error: float


def compare_training(
    X: Tensor,
    Y: Tensor,
    layers: Mapping[str, Dense | FactorizedDense],
    plan: TrainingPlan | None = None,
    test: tuple[Tensor, Tensor] | None = None,
) -> list[TrainingCost]:
    """Train one network for each layer by full-batch gradient descent to the same loss, and say what it took.

    The networks are f(x) = m^(-1/2) A relu(W x) with a fixed A; they fit Y from f = 0 on, the outputs at the start
    being subtracted. A step of size 0 comes before the first that is timed.

    Args:
        X: Points, (n, d).
        Y: Targets, (n, outputs); one column for classes +-1, else one for each class.
        layers: Hidden layers by name.
        plan: Width, target, step size, seed.
        test: Test points and their targets, of the same form.

    Returns:
        One entry a layer, in their order.

    Raises:
        InvalidInput: On points and targets of different number, or not finite.

    References:
        The aim is that of Ailon and Shit 2022, arXiv 2210.04807; the comparison is this library's.

    Example:
        >>> X = torch.nn.functional.normalize(torch.randn(20, 20, generator=torch.Generator().manual_seed(0)))
        >>> layers = {"dense": Dense(), "inner": FactorizedDense(16, frozen="hadamard")}
        >>> runs = compare_training(X, torch.ones(20, 1), layers, TrainingPlan(width=1024))
        >>> [run.reached for run in runs], [run.cost.trainable for run in runs]
        ([True, True], [20480, 320])
    """
    plan = TrainingPlan() if plan is None else plan
    for points, targets in [(X, Y)] if test is None else [(X, Y), test]:
        if points.ndim != 2 or targets.ndim != 2 or len(points) != len(targets) or len(points) == 0:
            shapes = f"{tuple(points.shape)} and {tuple(targets.shape)}"
            raise InvalidInput("points (n, d) need targets (n, outputs)", shapes)
        if not (torch.isfinite(points).all() and torch.isfinite(targets).all()):
            raise InvalidInput("points and targets must be finite", "NaN or infinity")
    return [_train(name, layer, (X, Y), plan, test) for name, layer in layers.items()]


def step_size(network: ShallowNetwork, X: Tensor) -> float:
    """1 / largest eigenvalue of the kernel that the network would have at infinite width, given a frozen inner factor.

    Args:
        network: The network.
        X: Training points, (n, d).
    """
    layer, features = network.layer, network.features(X)
    if isinstance(layer, FactorizedDense) and layer.train == "outer":
        hidden = network.hidden
        factor = hidden.factor("outer") if isinstance(hidden, FactorizedLinear) else 1.0
        layer, features = Dense(fan_in_scaling="none"), factor * features
    gram = NTK(layer >> ReLU() >> Dense(trainable=False))(features.double())
    vector = torch.ones(len(gram), dtype=torch.float64)
    for _ in range(100):
        vector = gram @ vector
        vector /= vector.norm()
    return 1 / float(vector @ gram @ vector)


def _train(
    name: str,
    layer: Dense | FactorizedDense,
    data: tuple[Tensor, Tensor],
    plan: TrainingPlan,
    test: tuple[Tensor, Tensor] | None,
) -> TrainingCost:
    X, Y = data
    start = time.perf_counter()
    network = ShallowNetwork(X.shape[1], plan.width, layer, Y.shape[1], plan.seed, X.dtype)
    features = network.features(X)
    tested = None if test is None else network.features(test[0])
    with torch.no_grad():
        targets = Y + network.outputs(features)
        at_start = None if tested is None else network.outputs(tested)
    rate = plan.step * step_size(network, X)
    ready = time.perf_counter()
    _step(network, features, targets, 0.0, None)  # first calls compile and touch memory
    joules = None if plan.power is None else plan.power()
    losses, times = _descend(network, features, targets, rate, plan)
    if joules is not None and plan.power is not None:
        joules = plan.power() - joules
    cost = layer_cost(layer, len(X), X.shape[1], plan.width, X.element_size())
    error = nan
    if test is not None and tested is not None and at_start is not None:
        with torch.no_grad():
            error = _error(network.outputs(tested) - at_start, test[1])
    steps = len(losses) - 1
    return TrainingCost(
        name=name,
        layer=layer,
        cost=cost,
        steps=steps,
        reached=losses[-1] <= plan.target,
        losses=tuple(losses),
        setup_seconds=ready - start,
        seconds=sum(times),
        step_seconds=median(times[:-1]) if steps else times[0],
        proxy=steps * cost.step_energy(plan.energy),
        joules=joules,
        test_error=error,
    )


def _descend(
    network: ShallowNetwork, features: Tensor, targets: Tensor, rate: float, plan: TrainingPlan
) -> tuple[list[float], list[float]]:
    """Losses before every step and after the last, and the seconds of each evaluation with the step that followed."""
    losses, times = list[float](), list[float]()
    velocities = [torch.zeros_like(values) for values in network.parameters()] if plan.momentum else None
    while True:
        start = time.perf_counter()
        more = len(losses) < plan.most_steps
        losses.append(_step(network, features, targets, rate if more else None, velocities, plan))
        times.append(time.perf_counter() - start)
        if not more or losses[-1] <= plan.target or not losses[-1] < 1e6 * losses[0]:
            return losses, times


def _step(
    network: ShallowNetwork,
    features: Tensor,
    targets: Tensor,
    rate: float | None,
    velocities: list[Tensor] | None,
    plan: TrainingPlan | None = None,
) -> float:
    """The loss; if it is above the target, one step of the gradient of half the sum of squared residuals follows."""
    outputs = network.outputs(features)
    residuals = outputs.detach() - targets
    loss = float(residuals.square().sum()) / (2 * len(targets))
    if rate is None or (plan is not None and loss <= plan.target):
        return loss
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(outputs, parameters, residuals)
    with torch.no_grad():
        for number, (values, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            if velocities is not None and plan is not None:
                values.sub_(velocities[number].mul_(plan.momentum).add_(gradient), alpha=rate)
            else:
                values.sub_(gradient, alpha=rate)
    return loss


def _error(outputs: Tensor, targets: Tensor) -> float:
    if targets.shape[1] == 1:
        return float(((outputs > 0) != (targets > 0)).double().mean())
    return float((outputs.argmax(1) != targets.argmax(1)).double().mean())
