"""The algebra of layers: an architecture is a value."""

from collections.abc import Iterator
from dataclasses import dataclass

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

    def __rshift__(self, other: "Layer") -> "Layer":
        return serial(self, other) if isinstance(other, Layer) else NotImplemented

    def __add__(self, other: "Layer") -> "Layer":
        if not isinstance(other, Layer):
            return NotImplemented
        first = self.branches if isinstance(self, BranchSum) else (self,)
        second = other.branches if isinstance(other, BranchSum) else (other,)
        return BranchSum(first + second)

    def __pow__(self, times: int) -> "Layer":
        if not isinstance(times, int):
            return NotImplemented
        if times < 0:
            raise InvalidArchitecture("a layer can be repeated 0 or more times", str(times))
        return Identity() if times == 0 else self if times == 1 else Repeat(self, times)

    def __rmul__(self, factor: float) -> "Layer":
        return serial(self, Scale(float(factor))) if isinstance(factor, (int, float)) else NotImplemented


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
        require_finite("Scale.factor", self.factor)


@dataclass(frozen=True)
class Serial(Layer):
    """Layers applied one after the other; made by `>>`."""

    layers: tuple[Layer, ...]

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.layers))


@dataclass(frozen=True)
class Repeat(Layer):
    """A layer applied several times in a row, each time with its own weights; made by `**`."""

    layer: Layer
    times: int

    def __repr__(self) -> str:
        composed = isinstance(self.layer, (Serial, BranchSum, Repeat))
        return f"({self.layer!r}) ** {self.times}" if composed else f"{self.layer!r} ** {self.times}"


@dataclass(frozen=True)
class BranchSum(Layer):
    """Sum of the outputs of branches that read the same input; made by `+`.

    At infinite width the kernels of the branches add only if their outputs are uncorrelated: all
    branches but at most one have to end in a layer with weights of its own.
    """

    branches: tuple[Layer, ...]

    def __repr__(self) -> str:
        return " + ".join(f"({b!r})" if isinstance(b, Serial) else repr(b) for b in self.branches)


@dataclass(frozen=True, init=False)
class Concat(Layer):
    """Concatenation along the channels of branches that read the same input: the dense block.

    The next Dense averages over all channels, so each branch counts by its share of them, which
    follows from the relative widths of the Dense layers inside.

    Args:
        branches: Two or more layers.
    """

    branches: tuple[Layer, ...]

    def __init__(self, *branches: Layer) -> None:
        if len(branches) < 2 or not all(isinstance(branch, Layer) for branch in branches):
            raise InvalidArchitecture("Concat takes two or more layers", repr(branches))
        object.__setattr__(self, "branches", branches)

    def __repr__(self) -> str:
        return f"Concat({', '.join(map(repr, self.branches))})"


def serial(*layers: Layer) -> Layer:
    """Layers applied one after the other; nested chains are flattened, so grouping makes no difference."""
    flat = tuple(part for layer in layers for part in (layer.layers if isinstance(layer, Serial) else (layer,)))
    if not flat:
        return Identity()
    return flat[0] if len(flat) == 1 else Serial(flat)


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


def require_finite(name: str, value: float, minimum: float = float("-inf")) -> None:
    """Raise InvalidArchitecture unless `value` is a finite number that is at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not minimum <= value < float("inf"):
        bound = "" if minimum == float("-inf") else f" of at least {minimum:g}"
        raise InvalidArchitecture(f"{name} must be a finite number{bound}", repr(value))
