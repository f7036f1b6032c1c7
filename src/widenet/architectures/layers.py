"""Layers with weights, and normalisation."""

from dataclasses import dataclass, replace
from typing import Literal

from widenet.architectures.base import (
    BranchSum,
    Concat,
    Layer,
    Repeat,
    Serial,
    serial,
    set_finite,
)
from widenet.architectures.base import walk as _walk
from widenet.architectures.factorized import FactorizedDense
from widenet.architectures.spatial import Conv
from widenet.errors import InvalidArchitecture


@dataclass(frozen=True)
class Dense(Layer):
    """Fully connected layer in the NTK parameterisation.

    h = weight_std / sqrt(fan_in) W x + bias_std b with W ~ N(0, 1), and b ~ N(0, 1) or b = 0 at the
    start; W and b are trained.

    Args:
        weight_std: Standard deviation of the weights before the division by sqrt(fan_in).
        bias_std: Factor of the bias; 0 means no bias.
        bias_init: "normal": biases start as N(0, 1). "zero": they start at 0 but are trained, so
            they enter the NTK and not the NNGP (Geifman et al. 2020, arXiv 2007.01580).
        fan_in_scaling: "inverse" divides by sqrt(fan_in). "none" leaves the division out, which only
            a layer on the inputs, with their finite number of channels, can do.
        trainable: Whether the layer is trained; a frozen one adds nothing of its own to the NTK
            (Arora et al. 2020, arXiv 1910.01663).
        width: Relative width of the layer; matters only through the shares of branches in `Concat`.

    Raises:
        InvalidArchitecture: On a value that is negative, not finite, or not among the named options.

    Example:
        >>> Dense(weight_std=1.4, bias_std=0.1)
        Dense(weight_std=1.4, bias_std=0.1)
    """

    weight_std: float = 1.0
    bias_std: float = 0.0
    bias_init: Literal["normal", "zero"] = "normal"
    fan_in_scaling: Literal["inverse", "none"] = "inverse"
    trainable: bool = True
    width: float = 1.0

    def __post_init__(self) -> None:
        set_finite(self, "weight_std", "bias_std", "width", minimum=0.0)
        if self.width == 0:
            raise InvalidArchitecture("Dense.width must be positive", "0")
        if self.bias_init not in ("normal", "zero"):
            raise InvalidArchitecture("Dense.bias_init must be 'normal' or 'zero'", repr(self.bias_init))
        if self.fan_in_scaling not in ("inverse", "none"):
            raise InvalidArchitecture("Dense.fan_in_scaling must be 'inverse' or 'none'", repr(self.fan_in_scaling))
        if not isinstance(self.trainable, bool):
            raise InvalidArchitecture("Dense.trainable must be True or False", repr(self.trainable))

    def __repr__(self) -> str:
        defaults = {name: field.default for name, field in self.__dataclass_fields__.items()}
        shown = [f"{name}={getattr(self, name)!r}" for name in defaults if getattr(self, name) != defaults[name]]
        return f"Dense({', '.join(shown)})"


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer normalisation over the channels, without gain and offset.

    At infinite width the mean of the channels of a Dense layer is 0 and their variance is the
    kernel's own diagonal, so K(x, y) becomes K(x, y) / sqrt(K(x, x) K(y, y)). It has to read units of
    mean zero: those of a Dense layer, of sums and concatenations of them, or an odd activation of these.
    """


def freeze(layer: Layer, first: int) -> Layer:
    """The same architecture with its first layers with weights, Dense, FactorizedDense or Conv, not trained.

    With all but the last one frozen the NTK is the NNGP, plus bias_std^2 if that layer's biases start at
    zero. The grid of Arora et al. 2020 (arXiv 1910.01663) runs over depth and number of frozen layers.

    Args:
        layer: An architecture.
        first: How many layers with weights to freeze, counted in the order of application.

    Raises:
        InvalidArchitecture: If there are fewer of them than that.

    Example:
        >>> freeze((Dense() >> LayerNorm()) ** 2, first=1)
        Dense(trainable=False) >> LayerNorm() >> Dense() >> LayerNorm()
    """
    weighted = sum(isinstance(part, (Dense, FactorizedDense, Conv)) for part in _walk(layer))
    if not 0 <= first <= weighted:
        raise InvalidArchitecture(f"the first 0 to {weighted} layers with weights can be frozen", str(first))
    return _freeze(layer, first)[0]


def delta_orthogonal(layer: Layer) -> Layer:
    """The same architecture with delta-orthogonal convolutions: the limit of `network(..., init="orthogonal")`.

    Args:
        layer: An architecture.

    Example:
        >>> delta_orthogonal(Conv(5) >> Dense())
        Conv(filter_size=5, init='delta_orthogonal') >> Dense()
    """
    if isinstance(layer, Conv):
        return replace(layer, init="delta_orthogonal")
    if isinstance(layer, Repeat):
        return replace(layer, layer=delta_orthogonal(layer.layer))
    if isinstance(layer, Serial):
        return Serial(tuple(map(delta_orthogonal, layer.layers)))
    if isinstance(layer, BranchSum):
        return BranchSum(tuple(map(delta_orthogonal, layer.branches)))
    return Concat(*map(delta_orthogonal, layer.branches)) if isinstance(layer, Concat) else layer


def _freeze(layer: Layer, count: int) -> tuple[Layer, int]:
    if count == 0:
        return layer, 0
    if isinstance(layer, (Dense, Conv)):
        return replace(layer, trainable=False), count - 1
    if isinstance(layer, FactorizedDense):
        return replace(layer, train="none"), count - 1
    if isinstance(layer, Repeat):
        return _freeze(Serial((layer.layer,) * layer.times), count)
    if isinstance(layer, (Serial, BranchSum, Concat)):
        parts = []
        for part in layer.layers if isinstance(layer, Serial) else layer.branches:
            frozen, count = _freeze(part, count)
            parts.append(frozen)
        if isinstance(layer, Serial):
            return serial(*parts), count
        return (BranchSum(tuple(parts)) if isinstance(layer, BranchSum) else Concat(*parts)), count
    return layer, count
