"""Layers of points with positions, images (H, W) and signals (T,): convolution, pooling, flattening."""

from dataclasses import dataclass
from functools import reduce, singledispatch
from math import ceil
from numbers import Integral
from typing import Literal

from widenet.architectures.base import BranchSum, Concat, Layer, Repeat, Serial, set_finite
from widenet.errors import InvalidArchitecture

Padding = Literal["same", "valid", "circular"]
Positions = tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """Where the windows of a filter lie along one axis.

    "same" and "circular" pad so that ceil(length / stride) windows fit, one more at the end where the padding is odd,
    as TensorFlow and JAX do; "valid" pads nothing. What is padded is 0, or for "circular" the other end.

    Attributes:
        size: Positions in a window.
        stride: Positions from one window to the next.
        padding: "same", "valid" or "circular".
    """

    size: int
    stride: int
    padding: Padding

    def count(self, length: int) -> int:
        """Number of windows along an axis of that many positions; 0 or less where not one fits."""
        if self.padding == "valid":
            return (length - self.size) // self.stride + 1
        return ceil(length / self.stride)

    def pads(self, length: int) -> tuple[int, int]:
        """Positions that are added before and after the axis."""
        if self.padding == "valid":
            return 0, 0
        total = max((self.count(length) - 1) * self.stride + self.size - length, 0)
        return total // 2, total - total // 2


@dataclass(frozen=True)
class SpatialLayer(Layer):
    """A layer that looks at positions."""

    def __repr__(self) -> str:
        defaults = {name: field.default for name, field in self.__dataclass_fields__.items()}
        shown = [f"{name}={getattr(self, name)!r}" for name in defaults if getattr(self, name) != defaults[name]]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Conv(SpatialLayer):
    """Convolution over one or two axes of positions in the NTK parameterisation.

    h(p) = weight_std / sqrt(fan_in) sum_w W_w x(stride p + w) + bias_std b with fan_in = channels times the positions
    of a window, also where the window reaches over the edge; W ~ N(0, 1), and b ~ N(0, 1) or b = 0 at the start.

    Args:
        filter_size: Positions of the filter along every axis, or one number for each axis.
        stride: Positions from one window to the next, along every axis or each.
        padding: "same": zeros around, ceil(length / stride) positions come out, with the odd one at the end. "valid":
            none. "circular": as "same", but the image goes on at its other end.
        weight_std: Standard deviation of the weights before the division by sqrt(fan_in).
        bias_std: Factor of the bias, one for each channel; 0 means no bias.
        bias_init: "normal": biases start as N(0, 1). "zero": they start at 0 but are trained.
        trainable: Whether the layer is trained.
        width: Relative width of the layer; matters only through the shares of branches in `Concat`.
        init: "gaussian": all weights are drawn as above. "delta_orthogonal": they start at 0 but for the centre of the
            window, position (size - 1) // 2 along each axis, which holds an orthogonal matrix whose entries have the
            variance of all taps together. The signal passes position by position, and patches of it mix only in the
            gradients: the kernel is not that of Gaussian weights.

    Raises:
        InvalidArchitecture: On sizes that are not whole numbers from 1, a factor that is negative or not finite, or
            a word that is none of the named options.

    References: Novak et al. 2019, arXiv 1810.05148; Arora et al. 2019, arXiv 1904.11955; Xiao et al. 2018,
        arXiv 1806.05393 (delta-orthogonal).

    Example:
        >>> Conv(5, stride=2, bias_std=0.1)
        Conv(filter_size=5, stride=2, bias_std=0.1)
    """

    filter_size: int | tuple[int, ...] = 3
    stride: int | tuple[int, ...] = 1
    padding: Padding = "same"
    weight_std: float = 1.0
    bias_std: float = 0.0
    bias_init: Literal["normal", "zero"] = "normal"
    trainable: bool = True
    width: float = 1.0
    init: Literal["gaussian", "delta_orthogonal"] = "gaussian"

    def __post_init__(self) -> None:
        _set_window(self, "filter_size", "stride")
        set_finite(self, "weight_std", "bias_std", "width", minimum=0.0)
        if self.width == 0:
            raise InvalidArchitecture("Conv.width must be positive", "0")
        if self.bias_init not in ("normal", "zero"):
            raise InvalidArchitecture("Conv.bias_init must be 'normal' or 'zero'", repr(self.bias_init))
        if not isinstance(self.trainable, bool):
            raise InvalidArchitecture("Conv.trainable must be True or False", repr(self.trainable))
        if self.init not in ("gaussian", "delta_orthogonal"):
            raise InvalidArchitecture("Conv.init must be 'gaussian' or 'delta_orthogonal'", repr(self.init))


@dataclass(frozen=True, repr=False)
class Pool(SpatialLayer):
    """Pooling over windows: an average or a sum."""

    window: int | tuple[int, ...] = 2
    stride: int | tuple[int, ...] | None = None
    padding: Padding = "valid"

    def __post_init__(self) -> None:
        _set_window(self, "window", *(() if self.stride is None else ("stride",)))


@dataclass(frozen=True, repr=False)
class AvgPool(Pool):
    """Average over the positions of a window; the sum over what lies in it, divided by the size of the window.

    Positions that padding adds count as zeros, also in the divisor (PyTorch's count_include_pad=True).

    Args:
        window: Positions of the window along every axis, or one number for each axis.
        stride: Positions from one window to the next; None means the window itself.
        padding: "valid", "same" or "circular", as for `Conv`.

    Raises:
        InvalidArchitecture: On sizes that are not whole numbers from 1, or another padding.

    Example:
        >>> AvgPool(2)
        AvgPool()
    """


@dataclass(frozen=True, repr=False)
class SumPool(Pool):
    """Sum over the positions of a window.

    Args:
        window: Positions of the window along every axis, or one number for each axis.
        stride: Positions from one window to the next; None means the window itself.
        padding: "valid", "same" or "circular", as for `Conv`.

    Raises:
        InvalidArchitecture: On sizes that are not whole numbers from 1, or another padding.

    Example:
        >>> SumPool((3, 1), stride=1)
        SumPool(window=(3, 1), stride=1)
    """


@dataclass(frozen=True, repr=False)
class GlobalAveragePool(SpatialLayer):
    """Average over all positions; none are left after it."""


@dataclass(frozen=True, repr=False)
class GlobalSumPool(SpatialLayer):
    """Sum over all positions; none are left after it."""


@dataclass(frozen=True, repr=False)
class Flatten(SpatialLayer):
    """Makes every channel at every position a channel of its own; the next Dense gives each a weight of its own."""


def _set_window(layer: Conv | Pool, *names: str) -> None:
    for name in names:
        given = getattr(layer, name)
        sizes = given if isinstance(given, (tuple, list)) else (given,)
        whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
        if not sizes or not whole or min(sizes) < 1:
            raise InvalidArchitecture(
                f"{type(layer).__name__}.{name} must be a whole number from 1, or one for each axis", repr(given)
            )
        plain = tuple(int(size) for size in sizes)
        object.__setattr__(layer, name, plain if isinstance(given, (tuple, list)) else plain[0])
    if layer.padding not in ("same", "valid", "circular"):
        raise InvalidArchitecture(
            f"{type(layer).__name__}.padding must be 'same', 'valid' or 'circular'", repr(layer.padding)
        )


def windows(layer: Conv | Pool, axes: int) -> tuple[Window, ...]:
    """The windows of a convolution or pooling along each axis.

    Args:
        layer: The layer.
        axes: Number of axes of positions.

    Raises:
        InvalidArchitecture: Where the layer names another number of axes, or there are none.
    """
    size = layer.filter_size if isinstance(layer, Conv) else layer.window
    stride = size if layer.stride is None else layer.stride
    if axes == 0 or any(isinstance(part, tuple) and len(part) != axes for part in (size, stride)):
        raise InvalidArchitecture(
            f"{layer!r} must read points with {_axes(size, stride)} of positions",
            f"{axes} axes" if axes else "points without positions",
            "" if axes else "Put it before Flatten() and global pooling",
        )
    sizes, strides = (part if isinstance(part, tuple) else (part,) * axes for part in (size, stride))
    return tuple(Window(size, stride, layer.padding) for size, stride in zip(sizes, strides, strict=True))


def _axes(*parts: int | tuple[int, ...]) -> str:
    named = sorted({len(part) for part in parts if isinstance(part, tuple)})
    return f"{' and '.join(map(str, named))} axes" if named else "axes"


@singledispatch
def positions_after(layer: Layer, positions: Positions) -> Positions:
    """Sizes of the axes of positions after a layer; layers of channels leave them as they are.

    Args:
        layer: A layer or a whole architecture.
        positions: Sizes before it, such as (28, 28).

    Returns:
        Sizes after it; () after flattening or global pooling.

    Raises:
        InvalidArchitecture: Where a window is larger than what is left of the image, the branches of a sum differ, or
            a layer of positions finds none.

    Example:
        >>> positions_after(Conv(3, stride=2) >> AvgPool(2), (28, 28))
        (7, 7)
    """
    return positions


@positions_after.register(Conv)
@positions_after.register(Pool)
def _(layer: Conv | Pool, positions: Positions) -> Positions:
    along = windows(layer, len(positions))
    after = tuple(window.count(length) for window, length in zip(along, positions, strict=True))
    if min(after) < 1:
        raise InvalidArchitecture(
            f"the windows of {layer!r} must fit into the image",
            f"{' x '.join(str(window.size) for window in along)} on what is left of it, {positions_text(positions)}",
            "Use padding='same', a smaller window, or fewer strides before it",
        )
    return after


@positions_after.register(Flatten)
@positions_after.register(GlobalAveragePool)
@positions_after.register(GlobalSumPool)
def _(layer: SpatialLayer, positions: Positions) -> Positions:
    if not positions:
        raise InvalidArchitecture(f"{layer!r} must read points with positions", "points without positions")
    return ()


@positions_after.register
def _(layer: Serial, positions: Positions) -> Positions:
    return reduce(lambda current, part: positions_after(part, current), layer.layers, positions)


@positions_after.register
def _(layer: Repeat, positions: Positions) -> Positions:
    for _ in range(layer.times):
        positions = positions_after(layer.layer, positions)
    return positions


@positions_after.register(BranchSum)
@positions_after.register(Concat)
def _(layer: BranchSum | Concat, positions: Positions) -> Positions:
    after = [positions_after(branch, positions) for branch in layer.branches]
    if len(set(after)) > 1:
        raise InvalidArchitecture(
            "the branches of a sum or concatenation must have the same positions",
            " and ".join(map(positions_text, after)),
            "Give them the same strides and padding",
        )
    return after[0]


def positions_text(positions: Positions) -> str:
    """Sizes for people, such as '28 x 28 positions'."""
    return f"{' x '.join(map(str, positions))} positions" if positions else "no positions"
