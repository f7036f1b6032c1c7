"""Modules of recurrent layers, and what is read of the sequences of their units."""

from collections.abc import Sequence
from itertools import groupby
from math import prod, sqrt

import torch
from torch import Tensor, nn

from widenet.architectures import LastStep, Recurrent, StepwiseAverage
from widenet.errors import InvalidArchitecture
from widenet.networks.build import Plan, Shape, build
from widenet.networks.modules import DenseModule

_FREQUENCY = 1e3  # of independent states: sequences of which the projections differ by more than 1 / _FREQUENCY


class SharedState(nn.Module):
    """A state that all sequences start from.

    Args:
        values: The state, (units,).
    """

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, x: Tensor) -> Tensor:
        """The state of every sequence, (n, units)."""
        return self.values.expand(len(x), -1)


class IndependentStates(nn.Module):
    """A state for every sequence, uncorrelated with those of others, and the same whenever the sequence comes.

    h_0 = std sqrt(2) cos(a p + b), where p is a projection of the sequence, a are large frequencies and b phases, all
    random but fixed: units of variance std^2, which for sequences whose projections differ by more than 10^-3 or so
    are nearly uncorrelated. They are not Gaussian, which the next layer does not see at large width.

    Args:
        std: Their standard deviation.
        units: Number of units.
        channels: Number of channels of a step.
        plan: Source of the random numbers.
    """

    directions: Tensor
    turns: Tensor
    frequencies: Tensor
    phases: Tensor

    def __init__(self, std: float, units: int, channels: int, plan: Plan) -> None:
        super().__init__()
        self.std = std
        self.register_buffer("directions", plan.normal(channels))
        self.register_buffer("turns", plan.normal(channels))
        self.register_buffer("frequencies", _FREQUENCY * plan.normal(units))
        self.register_buffer("phases", 2 * torch.pi * torch.rand(units, generator=plan.generator, dtype=plan.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The state of every sequence (n, steps, channels), as (n, units); constant under differentiation."""
        # In double precision: the frequencies multiply the rounding of the sum as they do the sum.
        steps = torch.arange(x.shape[1], dtype=torch.float64, device=x.device)
        weights = self.directions * torch.cos(1 + steps[:, None] * self.turns)
        projections = (x.detach() * weights).sum((1, 2))
        angles = projections[:, None] * self.frequencies + self.phases
        return (self.std * sqrt(2.0) * torch.cos(angles)).to(x.dtype)

    def extra_repr(self) -> str:
        """The standard deviation."""
        return f"std={self.std:.4g}"


class RecurrentModule(nn.Module):
    """h_t = activation(hidden factor W h_{t-1} + input factor U x_t + bias factor b) over the steps of sequences.

    Args:
        layer: The layer.
        hidden: Applies W, of (units, units), once a step.
        below: Applies U, of (units, channels), and b to all steps at once.
        state: Makes the state before the first step, or None for zeros.
    """

    def __init__(self, layer: Recurrent, hidden: DenseModule, below: DenseModule, state: nn.Module | None) -> None:
        super().__init__()
        self.layer, self.hidden, self.input, self.state = layer, hidden, below, state

    def forward(self, x: Tensor, source: Tensor | None = None) -> Tensor:
        """Units at every step, (n, steps, units).

        Args:
            x: What the layer reads, (n, steps, channels).
            source: The sequences by which the states before the first step are told apart; by default x.
        """
        h = None if self.state is None else self.state(x if source is None else source)
        states = []
        for below in self.input(x).unbind(1):
            h = self.layer.activation(below if h is None else below + self.hidden(h))
            states.append(h)
        return torch.stack(states, 1)

    def extra_repr(self) -> str:
        """The activation."""
        return repr(self.layer.activation)


class RecurrentStack(nn.Module):
    """Recurrent layers one after the other, whose states before the first step depend on the first one's inputs.

    Args:
        layers: The layers.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Units of the last layer at every step, (n, steps, units)."""
        below = x
        for layer in self.layers:
            below = layer(below, x)
        return below


class LastStepModule(nn.Module):
    """The last step of sequences."""

    def forward(self, x: Tensor) -> Tensor:
        """Units (n, units) of (n, steps, units)."""
        return x[:, -1]


@build.register
def _(layer: Recurrent, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    if len(shape.positions) != 1:
        raise InvalidArchitecture(
            f"{layer!r} must read sequences (steps, channels)",
            f"points with {len(shape.positions)} axes of positions",
            "Give the network a fan_in such as (-1, 3)",
        )
    units, channels = plan.units(), shape.channels
    bias = None if layer.bias_std == 0 else plan.normal(units)
    factors = {"weight": layer.hidden_std / sqrt(units), "bias": 0.0}
    hidden = DenseModule(plan.matrix(units, units), None, factors, layer.trainable)
    factors = {"weight": layer.input_std / sqrt(channels), "bias": layer.bias_std}
    below = DenseModule(plan.matrix(units, channels), bias, factors, layer.trainable)
    state = None
    if layer.initial_std > 0 and layer.initial_state == "shared":
        state = SharedState(layer.initial_std * plan.normal(units))
    elif layer.initial_std > 0 and layer.initial_state == "independent":
        source = channels if plan.source is None else plan.source
        state = IndependentStates(layer.initial_std, units, source, plan)
    return RecurrentModule(layer, hidden, below, state), Shape(shape.positions, units)


@build.register
def _(layer: LastStep, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    _require_steps(layer, shape)
    return LastStepModule(), Shape((), shape.channels, shape.inputs)


@build.register
def _(layer: StepwiseAverage, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    _require_steps(layer, shape)
    if -1 in shape.positions:
        raise InvalidArchitecture(
            "weights of their own at each step need the number of steps",
            "fan_in with -1 steps",
            "Use fan_in=(steps, channels)",
        )
    # sum_t V_t h_t / sqrt(steps width) is one Dense layer on all steps side by side.
    return nn.Flatten(), Shape((), shape.channels * prod(shape.positions), shape.inputs)


def _require_steps(layer: LastStep | StepwiseAverage, shape: Shape) -> None:
    if len(shape.positions) != 1:
        raise InvalidArchitecture(f"{layer!r} must read sequences", f"{len(shape.positions)} axes of positions")


def stacked(modules: Sequence[nn.Module]) -> list[nn.Module]:
    """Modules of a chain, with recurrent layers that follow one another in a `RecurrentStack`."""
    groups = groupby(modules, key=lambda module: isinstance(module, RecurrentModule))
    found = list[nn.Module]()
    for recurrent, group in groups:
        layers = list(group)
        found += [RecurrentStack(layers)] if recurrent and len(layers) > 1 else layers
    return found
