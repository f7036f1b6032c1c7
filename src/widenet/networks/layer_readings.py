"""How the gradients by a layer's parameters follow from its inputs and the derivatives by its outputs."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import singledispatch
from math import prod
from typing import ClassVar, cast

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from widenet.networks.factorized import FactorizedLinear
from widenet.networks.hadamard import HadamardFactor
from widenet.networks.modules import ConvModule, DenseModule, padded
from widenet.networks.parameterization import Factor


@dataclass(frozen=True, eq=False)
class MatrixReading(ABC):
    """A layer z_t = factor W a_t + bias factor b at positions t, in groups of channels with matrices of their own.

    The first axis of inputs and outputs holds N points, or points and positions that the network keeps there.

    Attributes:
        layer: The layer.
        weight: Its attribute that is W.
        bias: Its attribute that is b, or None.
    """

    layer: nn.Module
    weight: ClassVar[str] = "weight"
    bias: ClassVar[str | None] = "bias"

    @property
    def factors(self) -> tuple[float, float]:
        """What weights and biases are multiplied by."""
        return held(self.layer, "weight")[1], held(self.layer, "bias")[1]

    @abstractmethod
    def inputs(self, x: Tensor) -> Tensor:
        """Inputs a_t, (N, groups, positions, p)."""

    @abstractmethod
    def outputs(self, d: Tensor) -> Tensor:
        """Derivatives by the outputs z_t, (N, groups, positions, q)."""


class LinearReading(MatrixReading):
    """`nn.Linear`, with axes between the first and the last as positions."""

    def inputs(self, x: Tensor) -> Tensor:
        """Rows (N, 1, positions, p)."""
        return x.reshape(len(x), 1, -1, x.shape[-1])

    def outputs(self, d: Tensor) -> Tensor:
        """Rows (N, 1, positions, q)."""
        return d.reshape(len(d), 1, -1, d.shape[-1])


class DenseReading(LinearReading):
    """The library's own dense layer, whose parameters are multiplied by fixed factors."""

    @property
    def factors(self) -> tuple[float, float]:
        """Those of the module."""
        layer = cast("DenseModule", self.layer)
        return layer.factor("weight"), 0.0 if layer.bias is None else layer.factor("bias")


class InnerReading(LinearReading):
    """The inner factor V of y = outer U (inner V x) + bias b, by whose outputs the derivatives are outer U^T d."""

    weight: ClassVar[str] = "inner"
    bias: ClassVar[str | None] = None

    @property
    def factors(self) -> tuple[float, float]:
        """That of V."""
        return cast("FactorizedLinear", self.layer).factor("inner"), 0.0

    def outputs(self, d: Tensor) -> Tensor:
        """Rows (N, 1, positions, rank)."""
        layer, rows = cast("FactorizedLinear", self.layer), super().outputs(d)
        if layer.outer is None:
            product = cast("HadamardFactor", layer.structured).transposed(rows)
        else:
            product = rows @ layer.outer.detach().to(rows.dtype)
        return layer.factor("outer") * product


class OuterReading(LinearReading):
    """The outer factor U of the same, whose inputs are inner V x, and the biases."""

    weight: ClassVar[str] = "outer"

    @property
    def factors(self) -> tuple[float, float]:
        """Those of U and b."""
        layer = cast("FactorizedLinear", self.layer)
        return layer.factor("outer"), layer.factor("bias")

    def inputs(self, x: Tensor) -> Tensor:
        """Rows (N, 1, positions, rank)."""
        layer, rows = cast("FactorizedLinear", self.layer), super().inputs(x)
        if layer.inner is None:
            product = cast("HadamardFactor", layer.structured)(rows)
        else:
            product = rows @ layer.inner.detach().to(rows.dtype).T
        return layer.factor("inner") * product


class ConvReading(MatrixReading):
    """A convolution of torch over channels-first points, positions being those of the output."""

    def inputs(self, x: Tensor) -> Tensor:
        """Windows (N, groups, positions, channels of a group times the size of a window)."""
        layer = cast("_ConvNd", self.layer)
        if layer.padding != "valid":
            mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
            x = F.pad(x, list(layer._reversed_padding_repeated_twice), mode=mode)
        return window_rows(x, layer.kernel_size, layer.stride, layer.dilation, layer.groups)

    def outputs(self, d: Tensor) -> Tensor:
        """Channels of every group (N, groups, positions, q)."""
        groups = cast("_ConvNd", self.layer).groups
        return d.reshape(len(d), groups, d.shape[1] // groups, -1).mT


class ChannelsLastReading(MatrixReading):
    """The library's own convolution, over points (N, *positions, channels)."""

    @property
    def factors(self) -> tuple[float, float]:
        """Those of the module."""
        layer = cast("ConvModule", self.layer)
        return layer.factor("weight"), 0.0 if layer.bias is None else layer.factor("bias")

    def inputs(self, x: Tensor) -> Tensor:
        """Windows (N, 1, positions, channels times the size of a window)."""
        along = cast("ConvModule", self.layer).windows
        sizes, strides = tuple(window.size for window in along), tuple(window.stride for window in along)
        return window_rows(padded(x, along).movedim(-1, 1), sizes, strides, (1,) * len(along), 1)

    def outputs(self, d: Tensor) -> Tensor:
        """Rows (N, 1, positions, q)."""
        return d.reshape(len(d), 1, -1, d.shape[-1])


def window_rows(
    x: Tensor, sizes: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...], groups: int
) -> Tensor:
    """All windows of points (N, channels, *positions) as rows, (N, groups, windows, channels of a group and size)."""
    N, channels = x.shape[:2]
    for axis, (size, stride, dilation) in enumerate(zip(sizes, strides, dilations, strict=True)):
        x = x.unfold(2 + axis, dilation * (size - 1) + 1, stride)[..., ::dilation]
    dims = len(sizes)
    # Copied with positions last, in runs of a line of the image; the transpose is free.
    x = x.permute(0, 1, *range(2 + dims, 2 + 2 * dims), *range(2, 2 + dims))
    return x.reshape(N, groups, channels // groups * prod(sizes), -1).mT


@dataclass(frozen=True, eq=False)
class GainReading(ABC):
    """A layer z = gain * standardised(x) + offset, entry by entry.

    Attributes:
        layer: The layer.
        weight: Its attribute of the gains.
        bias: Its attribute of the offsets.
    """

    layer: nn.Module
    weight: ClassVar[str] = "weight"
    bias: ClassVar[str | None] = "bias"

    @abstractmethod
    def standardised(self, x: Tensor) -> Tensor:
        """What the gains multiply, of the shape of the outputs."""

    @abstractmethod
    def gathered(self, d: Tensor) -> Tensor:
        """Sums over all entries (N, outputs, *shape of the layer's outputs) that share a gain, (N, outputs, gains)."""


class BatchNormReading(GainReading):
    """Batch normalisation with running statistics: a gain for every channel."""

    def standardised(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(variance + eps)."""
        layer = cast("_BatchNorm", self.layer)
        mean, variance = (cast("Tensor", part) for part in (layer.running_mean, layer.running_var))
        shape = (-1, *(1,) * (x.ndim - 2))
        deviation = (variance.to(x.dtype) + layer.eps).sqrt()
        return (x - mean.to(x.dtype).reshape(shape)) / deviation.reshape(shape)

    def gathered(self, d: Tensor) -> Tensor:
        """Sums over positions."""
        return d.flatten(3).sum(3) if d.ndim > 3 else d


class GroupNormReading(BatchNormReading):
    """Group normalisation: a gain for every channel."""

    def standardised(self, x: Tensor) -> Tensor:
        """Mean 0 and variance 1 in each group of channels."""
        layer = cast("nn.GroupNorm", self.layer)
        return F.group_norm(x, layer.num_groups, eps=layer.eps)


class LayerNormReading(GainReading):
    """Layer normalisation: a gain for every entry of the last axes."""

    def standardised(self, x: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the last axes."""
        layer = cast("nn.LayerNorm", self.layer)
        return F.layer_norm(x, layer.normalized_shape, eps=layer.eps)

    def gathered(self, d: Tensor) -> Tensor:
        """Sums over the axes before the last ones."""
        size = prod(cast("nn.LayerNorm", self.layer).normalized_shape)
        return d.reshape(*d.shape[:2], -1, size).sum(2)


class SlopeReading(GainReading):
    """`nn.PReLU`: a slope for negative entries, one for all or one for every channel."""

    def standardised(self, x: Tensor) -> Tensor:
        """min(x, 0)."""
        return x.clamp(max=0)

    def gathered(self, d: Tensor) -> Tensor:
        """Sums over what shares a slope."""
        shared = cast("nn.PReLU", self.layer).num_parameters == 1
        rows = d.reshape(*d.shape[:2], 1 if shared else d.shape[2], -1)
        return rows.sum(3)


LayerReading = MatrixReading | GainReading


def held(layer: nn.Module, name: str) -> tuple[nn.Parameter | None, float]:
    """The parameter behind an attribute of a layer, and the fixed factor that it is multiplied by.

    Args:
        layer: The layer.
        name: The attribute, such as "weight".

    Returns:
        None in the place of the parameter where there is none, or the attribute is another function of it.
    """
    if not parametrize.is_parametrized(layer, name):
        return layer._parameters.get(name), 1.0
    chain = cast("parametrize.ParametrizationList", layer.get_submodule(f"parametrizations.{name}"))
    scaling = chain[0]
    if len(chain) == 1 and isinstance(scaling, Factor):
        return cast("nn.Parameter", chain.original), scaling.factor
    return None, 1.0


@singledispatch
def readings_of(layer: nn.Module) -> tuple[LayerReading, ...]:
    """How the gradients by a layer's own parameters are read; nothing for those that are left to Jacobians.

    Args:
        layer: A module that applies parameters of its own.
    """
    return ()


@readings_of.register
def _(layer: nn.Linear) -> tuple[LayerReading, ...]:
    return (LinearReading(layer),)


@readings_of.register
def _(layer: DenseModule) -> tuple[LayerReading, ...]:
    return (DenseReading(layer),)


@readings_of.register
def _(layer: FactorizedLinear) -> tuple[LayerReading, ...]:
    return InnerReading(layer), OuterReading(layer)


@readings_of.register(nn.Conv1d)
@readings_of.register(nn.Conv2d)
@readings_of.register(nn.Conv3d)
def _(layer: _ConvNd) -> tuple[LayerReading, ...]:
    return (ConvReading(layer),)


@readings_of.register
def _(layer: ConvModule) -> tuple[LayerReading, ...]:
    return (ChannelsLastReading(layer),)


@readings_of.register
def _(layer: _BatchNorm) -> tuple[LayerReading, ...]:
    return (BatchNormReading(layer),)


@readings_of.register
def _(layer: nn.GroupNorm) -> tuple[LayerReading, ...]:
    return (GroupNormReading(layer),)


@readings_of.register
def _(layer: nn.LayerNorm) -> tuple[LayerReading, ...]:
    return (LayerNormReading(layer),)


@readings_of.register
def _(layer: nn.PReLU) -> tuple[LayerReading, ...]:
    return (SlopeReading(layer),)
