"""Convolutional networks as lists of steps for the fused loops of `_fused_displacements`."""

from dataclasses import astuple, dataclass

from widenet.architectures import Layer
from widenet.kernels import _fused_conv as loops


@dataclass(frozen=True)
class Step:
    """One step: what `_fused_conv` names its integers and reals by, in that order.

    Attributes:
        kind: Convolution, of states or of the inputs; addition; normalisation; output; pooling and what follows it.
        source: Slot of the state that is read, or the buffer of a pool.
        other: Slot of the second term of an addition.
        target: Slot of the state that is written, or the buffer of a pool.
        grid: Number of the grid of the state that is read.
        grid_after: Number of the grid of the state that is written.
        rows: Size of the window, with its columns, its strides and the positions that are padded before it.
        columns: See rows.
        stride: See rows.
        stride_columns: See rows.
        pad: See rows.
        pad_columns: See rows.
        activation: What the state goes through first: nothing, or an activation at angles up to pi/2, or at any.
        trained: Whether the weights are trained.
        signed: Whether angles above pi/2 come out; of an output, whether it flattens.
        roots: Row of the tables at which the roots of the second moments start that go into the step.
        other_roots: The same of the second term.
        inverses: The same of sqrt(1/2) over the roots of the second moments that come out.
        channels: Number of channels of the inputs, else 1.
        sites: Number of positions of the state that is read.
        fast: Whether the filter is 3 x 3 with zeros around.
        gain: Factor of covariance and tangent.
        odd: Share of the second moment of an activation that its odd part has.
        even: Share of its even part.
        bias: Variance of the biases.
        other_gain: Factor of the second term.
    """

    kind: int
    source: int = 0
    other: int = 0
    target: int = 0
    grid: int = 0
    grid_after: int = 0
    rows: int = 1
    columns: int = 1
    stride: int = 1
    stride_columns: int = 1
    pad: int = 0
    pad_columns: int = 0
    activation: int = loops.NONE
    trained: bool = True
    signed: bool = False
    roots: int = 0
    other_roots: int = 0
    inverses: int = 0
    channels: int = 1
    sites: int = 0
    fast: bool = False
    gain: float = 1.0
    odd: float = 0.0
    even: float = 1.0
    bias: float = 0.0
    other_gain: float = 1.0

    @property
    def integers(self) -> tuple[int, ...]:
        """The integers in order."""
        return tuple(int(value) for value in astuple(self)[:21])

    @property
    def reals(self) -> tuple[float, ...]:
        """The reals in order."""
        return astuple(self)[21:]


@dataclass(frozen=True)
class Grid:
    """Positions of a state: their number along both axes, and the strides since the segment began.

    Attributes:
        segment: Number of poolings before it.
        sizes: Rows and columns.
        strides: Product of the strides along both.
    """

    segment: int
    sizes: tuple[int, int]
    strides: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Plan:
    """A network as steps.

    Attributes:
        steps: The steps.
        grids: Grids of the states.
        segments: Number of the first step of every segment; each but the last ends with a pooling.
        slots: How many states are kept at a time.
        wraps: Whether images go on at their other ends.
        rows: Rows of the tables, without those of the inputs.
        firsts: How many steps read the inputs.
        flattens: Whether it ends by flattening, so that only the displacement 0 is needed.
        tail: What follows flattening or global pooling.
    """

    steps: tuple[Step, ...]
    grids: tuple[Grid, ...]
    segments: tuple[int, ...]
    slots: int
    wraps: bool
    rows: int
    firsts: int
    flattens: bool
    tail: Layer
