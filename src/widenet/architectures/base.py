"""The algebra of layers: an architecture is a value."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real

from widenet.errors import InvalidArchitecture


@dataclass(frozen=True)
class Layer:
    """A layer of a network, or a network: the two are the same kind of value.

    `a >> b` applies a, then b. `a + b` adds the outputs of branches that read the same input.
    `a ** 3` is a >> a >> a, each copy with weights of its own. `2.0 * a` scales the output.
    Python binds `**` over `*` over `+` over `>>`, so branches that are chains need brackets:
    `Identity() + (ReLU() >> Dense())`.

    Layers hold no weights: they are frozen, equal by value, hashable and picklable, and `repr`
    evaluates back to an equal value.
    """

    # NumPy numbers times a layer: leave the product to `__rmul__`, not to an array of objects.
    __array_ufunc__ = None

    def __rshift__(self, other: "Layer") -> "Layer":
        return serial(self, other) if isinstance(other, Layer) else NotImplemented

    def __add__(self, other: "Layer") -> "Layer":
        if not isinstance(other, Layer):
            return NotImplemented
        return BranchSum((self, other))

    def __pow__(self, times: int) -> "Layer":
        if isinstance(times, bool) or not isinstance(times, Integral):
            return NotImplemented
        if times < 0:
            raise InvalidArchitecture("a layer can be repeated 0 or more times", str(times))
        return Identity() if times == 0 else self if times == 1 else Repeat(self, int(times))

    def __rmul__(self, factor: float) -> "Layer":
        return serial(self, Scale(float(factor))) if isinstance(factor, Real) else NotImplemented


@dataclass(frozen=True)
class Identity(Layer):
    """Passes its input on: the skip connection of a residual block."""


@dataclass(frozen=True)
class Scale(Layer):
    """Multiplies its input by a fixed factor.

    Args:
        factor: The factor; a branch scale sqrt(alpha) of a residual block, for example.
    """

    factor: float

    def __post_init__(self) -> None:
        set_finite(self, "factor")


@dataclass(frozen=True)
class Serial(Layer):
    """Layers applied one after the other; made by `>>`, or `serial` for any number of them.

    Args:
        layers: Two or more layers; chains among them are flattened.

    Raises:
        InvalidArchitecture: On fewer than two layers, or anything else.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        _set_parts(self, "layers")

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.layers))


@dataclass(frozen=True)
class Repeat(Layer):
    """A layer applied several times in a row, each time with its own weights; made by `**`.

    Args:
        layer: The layer.
        times: How many times, 2 or more.

    Raises:
        InvalidArchitecture: On another count, or on what is not a layer.
    """

    layer: Layer
    times: int

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer):
            raise InvalidArchitecture("Repeat takes a layer", repr(self.layer))
        if isinstance(self.times, bool) or not isinstance(self.times, int) or self.times < 2:
            raise InvalidArchitecture("Repeat.times must be a whole number, 2 or more", repr(self.times))

    def __repr__(self) -> str:
        composed = isinstance(self.layer, (Serial, BranchSum, Repeat))
        return f"({self.layer!r}) ** {self.times}" if composed else f"{self.layer!r} ** {self.times}"


@dataclass(frozen=True)
class BranchSum(Layer):
    """Sum of the outputs of branches that read the same input; made by `+`.

    At infinite width the kernels of the branches add only if their outputs are uncorrelated: all
    branches but at most one have to end in a layer with weights of its own.

    Args:
        branches: Two or more layers; sums among them are flattened.

    Raises:
        InvalidArchitecture: On fewer than two branches, or anything else.
    """

    branches: tuple[Layer, ...]

    def __post_init__(self) -> None:
        _set_parts(self, "branches")

    def __repr__(self) -> str:
        return " + ".join(f"({b!r})" if isinstance(b, Serial) else repr(b) for b in self.branches)


@dataclass(frozen=True, init=False)
class Concat(Layer):
    """Concatenation along the channels of branches that read the same input: the dense block.

    The next Dense averages over all channels, so each branch counts by its share of them, which
    follows from the relative widths of the Dense layers inside. The channels of several branches are
    no one Gaussian: an activation goes into the branches, or after the next Dense.

    Args:
        branches: Two or more layers.

    Raises:
        InvalidArchitecture: On fewer than two branches, or anything else.
    """

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        _require_layers("Concat", branches)
        object.__setattr__(self, "branches", branches)

    def __repr__(self) -> str:
        return f"Concat({', '.join(map(repr, self.branches))})"


def _require_layers(owner: str, parts: object) -> None:
    if not isinstance(parts, tuple) or len(parts) < 2 or not all(isinstance(part, Layer) for part in parts):
        raise InvalidArchitecture(f"{owner} takes two or more layers", repr(parts))


def _set_parts(owner: Serial | BranchSum, name: str) -> None:
    """Check and flatten the parts, so that values of equal meaning and equal `repr` are equal."""
    parts = getattr(owner, name)
    _require_layers(type(owner).__name__, parts)
    flat = (getattr(part, name) if isinstance(part, type(owner)) else (part,) for part in parts)
    object.__setattr__(owner, name, tuple(inner for group in flat for inner in group))


def serial(*layers: Layer) -> Layer:
    """Layers applied one after the other; nested chains are flattened, so grouping makes no difference."""
    if not layers:
        return Identity()
    return layers[0] if len(layers) == 1 else Serial(layers)


def walk(layer: Layer) -> Iterator[Layer]:
    """Every elementary layer in the order of application; a repeated one comes once for each repetition."""
    if isinstance(layer, Serial):
        for part in layer.layers:
            yield from walk(part)
    elif isinstance(layer, Repeat):
        for _ in range(layer.times):
            yield from walk(layer.layer)
    elif isinstance(layer, (BranchSum, Concat)):
        for part in layer.branches:
            yield from walk(part)
    else:
        yield layer


def require_finite(name: str, value: object, minimum: float = float("-inf")) -> float:
    """`value` as a float; InvalidArchitecture unless it is a finite number that is at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value) or value < minimum:
        bound = "" if minimum == float("-inf") else f" of at least {minimum:g}"
        raise InvalidArchitecture(f"{name} must be a finite number{bound}", repr(value))
    return float(value)


def set_finite(layer: Layer, *names: str, minimum: float = float("-inf")) -> None:
    """Check fields of a layer by `require_finite` and keep them as plain floats, whose `repr` evaluates anywhere."""
    for name in names:
        number = require_finite(f"{type(layer).__name__}.{name}", getattr(layer, name), minimum)
        object.__setattr__(layer, name, number)
