"""Full-batch gradient descent on surrogate networks and on ReLU networks from the same start, with a monitor."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, log1p

import torch
from torch import Tensor

from widenet._arrays import Array
from widenet.errors import InvalidInput
from widenet.networks.descent import read_inputs, read_targets
from widenet.networks.gated_stack import GatedStack, Pass
from widenet.networks.linear_descent import largest_eigenvalue
from widenet.networks.surrogate import SurrogateNetwork

_LAZY = 0.1  # relative movement beyond which the tangent kernel of the start says little


@dataclass(frozen=True)
class ConvergenceRecord:
    """The tangent kernel of the network at one step.

    Attributes:
        step: Steps done.
        loss: sum (F - y)^2 / 2.
        smallest: Smallest eigenvalue of the kernel's Gram matrix of all training points and outputs.
        largest: Its largest eigenvalue.
        drift: Its distance to that at the start, relative, in Frobenius norms.
        flips: Share of pairs of unit and point that are active in the ReLU network with these weights and were not at
            the start, or the reverse.
    """

    step: int
    loss: float
    smallest: float
    largest: float
    drift: float
    flips: float

    def steps_to(self, ratio: float) -> float:
        """Steps to a ratio of losses for the worst residuals, log(1 / ratio) / (2 log(1 / (1 - smallest / largest))).

        Args:
            ratio: Of the loss then to the loss now.
        """
        if self.smallest <= 0:
            return inf
        return log(ratio) / (2 * log1p(-self.smallest / self.largest)) if self.smallest < self.largest else 1.0


@dataclass(frozen=True, eq=False)
class SurrogateRun:
    """What a training run did.

    Attributes:
        losses: sum (F - y)^2 / 2 before each step and at the end.
        step_size: The step at the end.
        halvings: How often the step was halved because the loss rose.
        movement: Largest relative movement of a weight matrix, |W - Z| / |Z|.
        converged: Whether the ratio of losses was reached.
        records: Of the monitor.
    """

    losses: tuple[float, ...]
    step_size: float
    halvings: int
    movement: float
    converged: bool
    records: tuple[ConvergenceRecord, ...]

    @property
    def steps(self) -> int:
        """Steps of gradient descent."""
        return len(self.losses) - 1


@dataclass(frozen=True)
class SurrogateTraining:
    """Full-batch gradient descent on sum (F - y)^2 / 2 until the loss is a given part of the one at the start.

    Args:
        ratio: Loss to stop at, over the loss at the start.
        step: Step size; None for 1 / largest eigenvalue of the tangent kernel at the start, by power iteration. A step
            of order 1 / (m L) would leave out that it has to fall with the number of points.
        most_steps: Steps to give up after.
        monitor_every: Steps between two records of the tangent kernel, with one at the start and one at the end; 0 for
            none. A record takes the eigenvalues of a matrix of n outputs rows.
        fall_back: Whether a step that raises the loss is undone and the step size halved.

    Raises:
        InvalidInput: On a value out of range.

    Example:
        >>> from widenet.networks.relu_stack import relu_stack
        >>> X = torch.randn(10, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        >>> network = SurrogateNetwork(relu_stack((5, 128, 128, 1)))
        >>> run = SurrogateTraining(ratio=1e-4).run(network, X, torch.sin(X[:, 0]))
        >>> run.converged, network.to_relu(X).certificate.largest_difference < 1e-10
        (True, True)
    """

    ratio: float = 1e-6
    step: float | None = None
    most_steps: int = 10_000
    monitor_every: int = 0
    fall_back: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise InvalidInput("ratio must lie between 0 and 1", repr(self.ratio))
        if self.step is not None and not 0 < self.step < inf:
            raise InvalidInput("step must be positive and finite, or None", repr(self.step))
        if self.most_steps < 1 or self.monitor_every < 0:
            raise InvalidInput("most_steps must be positive, monitor_every not negative", repr(self))

    def run(self, network: SurrogateNetwork, X: Array, y: Array) -> SurrogateRun:
        """Train the value path of a surrogate network in place; its gates are computed once.

        A warning says so when a matrix has moved by more than a tenth of its norm: the tangent kernel at the start then
        says little about training; a larger scale of the output or a larger width keeps weights nearer to their start.

        Args:
            network: The network.
            X: Points, (n, fan_in).
            y: Targets, (n,) or (n, outputs).

        Returns:
            The losses and how it ended.

        Raises:
            InvalidInput: On inputs that do not fit the network.

        Cost:
            6 n m^2 multiplications a step and layer, n m bits of gates a layer; eigenvalues if monitored.
        """
        points = read_inputs(X, network.output)
        run = self._descend(network, network.on(points), points, y)
        if run.movement > _LAZY:
            warnings.warn(
                f"a weight matrix moved by {run.movement:.2f} of its norm, beyond {_LAZY}: the kernel regime is left. "
                "Start from a larger output_scale, or a larger width",
                stacklevel=2,
            )
        return run

    def run_relu(self, network: SurrogateNetwork, X: Array, y: Array) -> SurrogateRun:
        """Train the ReLU network with the weights of a surrogate network, in place, from the same start.

        What differs between the two runs is what changing patterns do. The trained network is `network.relu_network()`.

        Args:
            network: The network whose weights are trained.
            X: Points, (n, fan_in).
            y: Targets, (n,) or (n, outputs).

        Returns:
            The losses and how it ended.

        Raises:
            InvalidInput: On inputs that do not fit the network.
        """
        points = read_inputs(X, network.output)
        return self._descend(network, network.relu_on(points), points, y)

    @torch.no_grad()
    def _descend(self, network: SurrogateNetwork, stack: GatedStack, points: Tensor, y: Array) -> SurrogateRun:
        targets = read_targets(y, "squared", network.output, len(points))
        if targets.shape[1] != len(network.output):
            raise InvalidInput(f"y must have {len(network.output)} outputs", f"shape {tuple(targets.shape)}")
        weights: list[Tensor] = [weight.detach() for weight in network.value]
        passed = stack.forward(weights)
        monitor = _Monitor(self.monitor_every, stack, network.relu_on(points), weights)
        step = 1 / largest_tangent_eigenvalue(stack, weights, passed) if self.step is None else self.step
        first_step, halvings, losses = step, 0, [_loss(passed, targets)]
        while True:
            done = losses[-1] <= self.ratio * losses[0]
            over = done or len(losses) > self.most_steps or not losses[-1] < inf or step < 1e-12 * first_step
            if losses[-1] < inf:
                monitor.look(len(losses) - 1, losses[-1], weights, passed, end=over)
            if over:
                break
            moved = stack.descended(weights, passed, passed.prediction - targets, step)
            after = stack.forward(moved)
            loss = _loss(after, targets)
            if self.fall_back and not loss <= losses[-1]:
                step, halvings = step / 2, halvings + 1
                continue
            weights, passed = moved, after
            losses.append(loss)
        for parameter, weight in zip(network.value, weights, strict=True):
            parameter.copy_(weight)
        return SurrogateRun(tuple(losses), step, halvings, network.movement(), done, tuple(monitor.records))


def largest_tangent_eigenvalue(stack: GatedStack, weights: Sequence[Tensor], passed: Pass) -> float:
    """Largest eigenvalue of J J^T by power iteration, a backward and a forward pass each; no matrix is formed.

    Args:
        stack: The network on its inputs.
        weights: Its weights.
        passed: A pass with them.
    """

    def product(vector: Tensor) -> Tensor:
        return stack.change(weights, passed, stack.gradients(weights, passed, vector))

    return largest_eigenvalue(product, passed.prediction)


def _loss(passed: Pass, targets: Tensor) -> float:
    return float((passed.prediction - targets).square().sum() / 2)


class _Monitor:
    """Keeps records of the tangent kernel and of flips."""

    def __init__(self, every: int, stack: GatedStack, relu: GatedStack, weights: Sequence[Tensor]) -> None:
        self.records: list[ConvergenceRecord] = []
        self._every, self._stack, self._relu = every, stack, relu
        if every:
            self._signs = relu.forward(weights).gates
            self._start = stack.tangent_kernel(weights, stack.forward(weights))

    def look(self, step: int, loss: float, weights: Sequence[Tensor], passed: Pass, *, end: bool) -> None:
        """Keep a record where it is time for one."""
        if not self._every or (step % self._every and not end):
            return
        if self.records and self.records[-1].step == step:
            return
        K = self._stack.tangent_kernel(weights, passed)
        values = torch.linalg.eigvalsh(K.double())
        drift = float(torch.linalg.norm(K - self._start) / torch.linalg.norm(self._start))
        signs = self._relu.forward(weights).gates
        differ = sum(int((now != then).sum()) for now, then in zip(signs, self._signs, strict=True))
        flips = differ / sum(sign.numel() for sign in signs)
        self.records.append(ConvergenceRecord(step, loss, float(values[0]), float(values[-1]), drift, flips))
