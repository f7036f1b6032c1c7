"""The finite reading of an architecture: an ordinary torch module."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from math import prod, sqrt
from numbers import Integral
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from widenet.architectures import (
    Activation,
    BranchSum,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    LastStep,
    Layer,
    LayerNorm,
    Pool,
    Recurrent,
    Repeat,
    Scale,
    Serial,
    StepwiseAverage,
    Window,
    positions_after,
    windows,
)
from widenet.errors import InvalidArchitecture
from widenet.networks.modules import (
    ActivationModule,
    ConcatModule,
    ConvModule,
    DenseModule,
    GlobalPoolModule,
    LayerNormModule,
    Parameterization,
    PoolModule,
    ScaleModule,
    SumModule,
)
from widenet.networks.orthogonal import delta_orthogonal_weights, orthogonal_weights

Init = Literal["gaussian", "orthogonal"]


@dataclass(frozen=True)
class Shape:
    """Shape of the points that a layer reads.

    Attributes:
        positions: Sizes of the axes of positions.
        channels: Number of channels.
        inputs: Whether these are the inputs' own channels, which no layer with weights has mixed yet.
    """

    positions: tuple[int, ...]
    channels: int
    inputs: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """What a network is built by.

    Attributes:
        width: Units of a layer of relative width 1.
        init: How matrices are drawn.
        generator: Source of the random numbers.
        dtype: Precision.
        outputs: Units of the last layer with weights; None inside the network.
        readout: How that layer's parameters are held.
        source: Number of channels of the sequences that the first of several recurrent layers reads.
    """

    width: int
    init: Init
    generator: Generator
    dtype: torch.dtype
    outputs: int | None = None
    readout: Parameterization = "ntk"
    source: int | None = None

    @property
    def inside(self) -> "Plan":
        """The plan of layers that others follow."""
        return replace(self, outputs=None, readout="ntk")

    def units(self, relative_width: float = 1.0) -> int:
        """Number of units of a layer with weights."""
        return max(1, round(self.width * relative_width)) if self.outputs is None else self.outputs

    def normal(self, *sizes: int) -> Tensor:
        """Independent N(0, 1) numbers."""
        return torch.randn(*sizes, generator=self.generator, dtype=self.dtype)

    def matrix(self, rows: int, columns: int) -> Tensor:
        """A matrix of entries of variance 1, Gaussian or orthogonal."""
        if self.init == "orthogonal":
            return orthogonal_weights(rows, columns, self.generator, self.dtype)
        return self.normal(rows, columns)

    def bias(self, layer: Dense | Conv, units: int) -> Tensor | None:
        """Biases of a layer; None where it has none."""
        if layer.bias_std == 0:
            return None
        return torch.zeros(units, dtype=self.dtype) if layer.bias_init == "zero" else self.normal(units)


@singledispatch
def build(layer: Layer, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    """The module of a layer, in the NTK parameterisation, and the shape of what comes out of it.

    Args:
        layer: A layer or a whole architecture.
        shape: Shape of what goes in.
        plan: Width, random numbers, precision.

    Returns:
        The module and the shape of its outputs.

    Raises:
        InvalidArchitecture: If the layer has no finite reading, or not for such inputs.
    """
    raise InvalidArchitecture("a layer must have a reading at finite width", type(layer).__name__)


@singledispatch
def sets_outputs(layer: Layer) -> bool:
    """Whether a network that ends with the layer can have any number of outputs."""
    return False


@build.register
def _(layer: Identity, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    return nn.Identity(), shape


@build.register
def _(layer: Scale, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    return ScaleModule(layer.factor), shape


@build.register
def _(layer: Activation, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    return ActivationModule(layer), shape


@build.register
def _(layer: LayerNorm, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    return LayerNormModule(), shape


@build.register
def _(layer: Dense, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    factor = layer.weight_std
    if layer.fan_in_scaling == "inverse":
        factor /= sqrt(shape.channels)
    elif not shape.inputs:
        raise InvalidArchitecture(
            "Dense(fan_in_scaling='none') must read the inputs",
            "a layer with weights before it",
            "Use fan_in_scaling='inverse' after the first layer",
        )
    units = plan.units(layer.width)
    weight = plan.matrix(units, shape.channels)
    factors = {"weight": factor, "bias": layer.bias_std}
    module = DenseModule(weight, plan.bias(layer, units), factors, layer.trainable)
    module.parameterization = plan.readout
    return module, Shape(shape.positions, units)


@build.register
def _(layer: Conv, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    along = _windows(layer, shape)
    size = tuple(window.size for window in along)
    units = plan.units(layer.width)
    if layer.init == "delta_orthogonal":
        weight = delta_orthogonal_weights(units, shape.channels, size, plan.generator, plan.dtype)
    else:
        weight = plan.normal(units, shape.channels, *size)
    factors = {"weight": layer.weight_std / sqrt(shape.channels * prod(size)), "bias": layer.bias_std}
    module = ConvModule(layer, weight, plan.bias(layer, units), factors)
    module.parameterization = plan.readout
    return module, Shape(positions_after(layer, shape.positions), units)


@build.register
def _(layer: Pool, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    axes, positions = len(_windows(layer, shape)), positions_after(layer, shape.positions)
    return PoolModule(layer, axes), replace(shape, positions=positions)


def _windows(layer: Conv | Pool, shape: Shape) -> tuple[Window, ...]:
    along = windows(layer, len(shape.positions))
    if len(along) > 3:
        raise InvalidArchitecture(f"{layer!r} must read 1 to 3 axes of positions at finite width", f"{len(along)}")
    return along


@build.register(GlobalAveragePool)
@build.register(GlobalSumPool)
def _(layer: GlobalAveragePool | GlobalSumPool, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    positions = positions_after(layer, shape.positions)
    return GlobalPoolModule(isinstance(layer, GlobalAveragePool)), replace(shape, positions=positions)


@build.register
def _(layer: Flatten, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    positions = positions_after(layer, shape.positions)
    return nn.Flatten(), replace(shape, positions=positions, channels=shape.channels * prod(shape.positions))


@build.register(Serial)
@build.register(Repeat)
def _(layer: Serial | Repeat, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    modules, shape = build_chain(chain(layer), shape, plan)
    return nn.Sequential(*modules), shape


@build.register
def _(layer: BranchSum, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    modules, shapes = _branches(layer, shape, plan)
    channels = {after.channels for after in shapes}
    if len(channels) > 1:
        raise InvalidArchitecture(
            "the branches of a sum must have equally many channels",
            " and ".join(str(count) for count in sorted(channels)),
            "Put a Dense() before the sum, or give its Dense layers one width",
        )
    return SumModule(modules), replace(shapes[0], inputs=all(after.inputs for after in shapes))


@build.register
def _(layer: Concat, shape: Shape, plan: Plan) -> tuple[nn.Module, Shape]:
    modules, shapes = _branches(layer, shape, plan.inside)
    channels = sum(after.channels for after in shapes)
    return ConcatModule(modules), Shape(shapes[0].positions, channels, all(after.inputs for after in shapes))


def _branches(layer: BranchSum | Concat, shape: Shape, plan: Plan) -> tuple[list[nn.Module], list[Shape]]:
    positions_after(layer, shape.positions)
    built = [build(branch, shape, plan) for branch in layer.branches]
    return [module for module, _ in built], [after for _, after in built]


def chain(layer: Layer) -> list[Layer]:
    """The layers of a chain in the order of application, repeated ones as often as they are repeated.

    A layer after recurrent ones that does not read all steps reads the last one.
    """
    layers, found = [part for part in _flat(layer) if not isinstance(part, Identity)], list[Layer]()
    for index, part in enumerate(layers):
        found.append(part)
        after = layers[index + 1] if index + 1 < len(layers) else None
        if isinstance(part, Recurrent) and not isinstance(after, _READ_STEPS):
            found.append(LastStep())
    return found or [Identity()]


_READ_STEPS = (Recurrent, LastStep, StepwiseAverage, GlobalAveragePool)


def _flat(layer: Layer) -> list[Layer]:
    if isinstance(layer, Serial):
        return [inner for part in layer.layers for inner in _flat(part)]
    if isinstance(layer, Repeat):
        return _flat(layer.layer) * layer.times
    return [layer]


def build_chain(layers: Sequence[Layer], shape: Shape, plan: Plan) -> tuple[list[nn.Module], Shape]:
    """The modules of layers one after the other; the last one with weights has the plan's outputs."""
    last, source, modules = _last_with_weights(layers), shape.channels, []
    for index, layer in enumerate(layers):
        if index == 0 or not isinstance(layers[index - 1], Recurrent):
            source = shape.channels
        module, shape = build(layer, shape, replace(plan if index == last else plan.inside, source=source))
        modules.append(module)
    return modules, shape


def _last_with_weights(layers: Sequence[Layer]) -> int:
    """Which layer's units are the outputs, behind which only layers come that leave the channels as they are."""
    last = len(layers) - 1
    while last > 0 and isinstance(layers[last], (Identity, Scale, Pool, GlobalAveragePool, GlobalSumPool)):
        last -= 1
    return last


@sets_outputs.register(Dense)
@sets_outputs.register(Conv)
def _(layer: Dense | Conv) -> bool:
    return True


@sets_outputs.register(Serial)
@sets_outputs.register(Repeat)
def _(layer: Serial | Repeat) -> bool:
    layers = chain(layer)
    return sets_outputs(layers[_last_with_weights(layers)])


@sets_outputs.register
def _(layer: BranchSum) -> bool:
    return all(sets_outputs(branch) for branch in layer.branches)


def input_shape(fan_in: int | tuple[int, ...]) -> Shape:
    """The shape of the inputs of a network.

    Args:
        fan_in: Number of channels, or the shape (*positions, channels) of a point.

    Raises:
        InvalidArchitecture: On sizes that are not whole numbers from 1; the steps of a sequence may be -1 for any.
    """
    sizes = fan_in if isinstance(fan_in, tuple) else (fan_in,)
    whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
    any_steps = len(sizes) == 2 and sizes[0] == -1
    if not sizes or not whole or min(sizes[1:] if any_steps else sizes) < 1:
        raise InvalidArchitecture(
            "fan_in must be the number of channels of a point, or its shape (*positions, channels)", repr(fan_in)
        )
    return Shape(tuple(int(size) for size in sizes[:-1]), int(sizes[-1]), inputs=True)
