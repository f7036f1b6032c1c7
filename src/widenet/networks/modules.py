"""Modules of finite networks: one for each layer of the algebra."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import isclose, prod, sqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn

from widenet.architectures import Activation, Conv, Pool, SumPool, Window, windows
from widenet.errors import InvalidInput

Parameterization = Literal["ntk", "standard", "mean_field"]


class MarkedModule(nn.Module):
    """A module whose state says what its parameters are multiplied by, and that loads no state of other factors.

    Numbers of the NTK parameterisation mean another function in the standard one. The factors stand in the state dict
    under the name that torch gives to what is neither parameter nor buffer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(require_equal_factors)

    def multipliers(self) -> dict[str, float]:
        """What each parameter that is there is multiplied by, by its name."""
        raise NotImplementedError

    def get_extra_state(self) -> Tensor:
        """The factors, for the state dict."""
        return torch.tensor(list(self.multipliers().values()), dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing: factors belong to the module, and those of the state were compared with them before."""


def require_equal_factors(module: nn.Module, state: Mapping[str, Any], prefix: str, *_: object) -> None:
    """Compare the factors in a state with those of a module and of all within it, before anything is loaded.

    Args:
        module: The module.
        state: A state dict. Parts without factors are not compared: torch lists them as missing where it is strict.
        prefix: What names of the module begin with there.

    Raises:
        InvalidInput: Where they differ, so that the parameters would be another function.
    """
    for name, part in module.named_modules(prefix=prefix.removesuffix(".")):
        found = state.get(f"{name}._extra_state".removeprefix("."))
        if isinstance(part, MarkedModule) and found is not None:
            own, theirs = list(part.multipliers().values()), found.tolist()
            if len(own) == len(theirs) and all(map(partial(isclose, rel_tol=1e-6), own, theirs)):
                continue
            shown = [", ".join(f"{value:.4g}" for value in values) for values in (theirs, own)]
            raise InvalidInput(
                "parameters must be loaded where they are multiplied by the factors that they were saved with",
                f"{shown[0]} in the state, {shown[1]} in {name or type(part).__name__!r}",
                "Load them into a network of their own parameterization, then convert that by "
                "to_ntk_parameterization or to_standard_parameterization",
            )


class ScaledModule(MarkedModule):
    """Parameters that enter the computation multiplied by fixed factors.

    "ntk": a parameter omega of variance 1 enters as factor omega. "standard": W = factor omega itself is the parameter.
    "mean_field": matrices are divided by the square root of their fan-in once more than in "ntk".

    Args:
        factors: The factor of each parameter in the NTK parameterisation, by name.

    Attributes:
        factors: As given.
        parameterization: How the parameters are held now.
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        super().__init__()
        self.factors = dict(factors)
        self.parameterization: Parameterization = "ntk"

    def hold(self, name: str, values: Tensor | None, trainable: bool) -> None:
        """Keep a tensor as a parameter, or as a buffer if it is not trained."""
        if trainable and values is not None:
            self.register_parameter(name, nn.Parameter(values))
        else:
            self.register_buffer(name, values)

    def factor(self, name: str, parameterization: Parameterization | None = None) -> float:
        """What a parameter is multiplied by in a parameterisation; by default in that of now."""
        kind = self.parameterization if parameterization is None else parameterization
        if kind == "standard":
            return 1.0
        values = getattr(self, name)
        divided = kind == "mean_field" and values.ndim > 1
        return self.factors[name] / (sqrt(values[0].numel()) if divided else 1.0)

    def multipliers(self) -> dict[str, float]:
        """What each parameter or buffer that is there is multiplied by."""
        return {name: self.factor(name) for name in self.factors if getattr(self, name) is not None}

    @torch.no_grad()
    def reparameterize(self, parameterization: Parameterization) -> None:
        """Hold the same function by other parameters, in place.

        Raises:
            InvalidInput: If a factor is 0, so that no parameter can stand for it.
        """
        for name in self.factors:
            values = getattr(self, name)
            if values is None:
                continue
            before, after = self.factor(name), self.factor(name, parameterization)
            if before == 0 or after == 0:
                raise InvalidInput(
                    f"another parameterization needs factors that are not 0, as that of {name}", repr(self)
                )
            values.mul_(before / after)
        self.parameterization = parameterization

    def extra_repr(self) -> str:
        """Factors and parameterisation."""
        factors = (f"{name}_factor={factor:.4g}" for name, factor in self.multipliers().items())
        return ", ".join([*factors, *([] if self.parameterization == "ntk" else [self.parameterization])])


class DenseModule(ScaledModule):
    """y = factor W x + bias factor b over the last axis: a fully connected layer.

    Args:
        weight: W, (outputs, inputs).
        bias: b, (outputs,), or None.
        factors: Factors of "weight" and "bias".
        trainable: Whether these are parameters; else they are buffers.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, factors: Mapping[str, float], trainable: bool = True):
        super().__init__(factors)
        self.hold("weight", weight, trainable)
        self.hold("bias", bias, trainable)

    def forward(self, x: Tensor) -> Tensor:
        """Units (..., outputs) of inputs (..., inputs)."""
        units = scaled(nn.functional.linear(x, self.weight), self.factor("weight"))
        return units if self.bias is None else units + scaled(self.bias, self.factor("bias"))

    def extra_repr(self) -> str:
        """Sizes and factors."""
        return f"inputs={self.weight.shape[1]}, outputs={self.weight.shape[0]}, {super().extra_repr()}"


def scaled(values: Tensor, factor: float) -> Tensor:
    """Values times a factor, which may be 1."""
    return values if factor == 1 else factor * values


class ConvModule(ScaledModule):
    """A convolution over points (n, *positions, channels).

    Args:
        layer: Sizes of the filter, strides and padding.
        weight: Weights, (outputs, inputs, *window).
        bias: Biases, (outputs,), or None.
        factors: Factors of "weight" and "bias".
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: Conv, weight: Tensor, bias: Tensor | None, factors: Mapping[str, float]) -> None:
        super().__init__(factors)
        self.layer = layer
        self.windows = windows(layer, weight.ndim - 2)
        self.hold("weight", weight, layer.trainable)
        self.hold("bias", bias, layer.trainable)

    def forward(self, x: Tensor) -> Tensor:
        """Units (n, *positions, outputs)."""
        convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)[len(self.windows) - 1]
        strides = [window.stride for window in self.windows]
        units = convolve(padded(x, self.windows).movedim(-1, 1), self.weight, stride=strides).movedim(1, -1)
        units = scaled(units, self.factor("weight"))
        return units if self.bias is None else units + scaled(self.bias, self.factor("bias"))

    def extra_repr(self) -> str:
        """Layer, channels and factors."""
        return f"{self.layer!r}, inputs={self.weight.shape[1]}, outputs={self.weight.shape[0]}, {super().extra_repr()}"


def padded(x: Tensor, along: Sequence[Window]) -> Tensor:
    """Points (n, *positions, channels) with what the windows read beyond the edges: zeros, or the other end."""
    for axis, window in enumerate(along):
        length = x.shape[1 + axis]
        before, after = window.pads(length)
        if before == after == 0:
            continue
        if window.padding == "circular":
            x = x.index_select(1 + axis, torch.arange(-before, length + after, device=x.device) % length)
        else:
            x = nn.functional.pad(x, [0, 0] * (x.ndim - 2 - axis) + [before, after])
    return x


class PoolModule(nn.Module):
    """Averages or sums over windows of positions.

    Args:
        layer: The pooling.
        axes: Number of axes of positions.
    """

    def __init__(self, layer: Pool, axes: int) -> None:
        super().__init__()
        self.layer, self.windows = layer, windows(layer, axes)

    def forward(self, x: Tensor) -> Tensor:
        """Points (n, *fewer positions, channels)."""
        pool = (nn.functional.avg_pool1d, nn.functional.avg_pool2d, nn.functional.avg_pool3d)[len(self.windows) - 1]
        sizes, strides = ([getattr(window, name) for window in self.windows] for name in ("size", "stride"))
        averages = pool(padded(x, self.windows).movedim(-1, 1), sizes, strides).movedim(1, -1)
        return prod(sizes) * averages if isinstance(self.layer, SumPool) else averages

    def extra_repr(self) -> str:
        """The layer."""
        return repr(self.layer)


class GlobalPoolModule(nn.Module):
    """Average or sum over all positions.

    Args:
        average: Whether to divide the sum by their number.
    """

    def __init__(self, average: bool) -> None:
        super().__init__()
        self.average = average

    def forward(self, x: Tensor) -> Tensor:
        """Points (n, channels)."""
        return x.flatten(1, -2).mean(1) if self.average else x.flatten(1, -2).sum(1)

    def extra_repr(self) -> str:
        """Average or sum."""
        return "average" if self.average else "sum"


class ActivationModule(nn.Module):
    """An elementwise activation.

    Args:
        layer: The activation.
    """

    def __init__(self, layer: Activation) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The function of every number."""
        return self.layer(x)

    def extra_repr(self) -> str:
        """The layer."""
        return repr(self.layer)


class ScaleModule(nn.Module):
    """Multiplication by a fixed factor.

    Args:
        factor: The factor.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The input times the factor."""
        return self.factor * x

    def extra_repr(self) -> str:
        """The factor."""
        return f"factor={self.factor:.4g}"


class LayerNormModule(nn.Module):
    """Mean 0 and variance 1 over the channels, without gain and offset; units that are all equal become 0."""

    def forward(self, x: Tensor) -> Tensor:
        """Points of the same shape."""
        return nn.functional.layer_norm(x, x.shape[-1:], eps=torch.finfo(x.dtype).tiny)


class Branches(nn.Module):
    """Modules that read the same input.

    Args:
        branches: The modules.
    """

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)


class SumModule(Branches):
    """Sum of branches that read the same input."""

    def forward(self, x: Tensor) -> Tensor:
        """Sum of what the branches make of the input."""
        first, *others = (branch(x) for branch in self.branches)
        for other in others:
            first = first + other
        return first


class ConcatModule(Branches):
    """Channels of branches that read the same input, one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        """Channels of all branches."""
        return torch.cat([branch(x) for branch in self.branches], -1)
