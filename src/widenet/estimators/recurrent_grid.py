"""The recurrent networks among which the estimators of time series choose."""

from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import Any, Literal

from widenet.architectures import Activation, Recurrent, ReLU, recurrent
from widenet.errors import InvalidInput
from widenet.kernels import NTK, Bidirectional, Kernel, Normalized

Readout = Literal["last", "stepwise", "mean"]

POOLED_STEPS = 10_000
"""Most steps of all training series together for which the mean over the steps is tried by itself."""

PUBLISHED_HIDDEN = (*(round(1.34 + 0.01 * i, 2) for i in range(14)), sqrt(2.0))
PUBLISHED_BIAS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.0, 2.0)
PUBLISHED_INITIAL = (0.0, 0.01, 0.1, 0.5, 1.0)


@dataclass(frozen=True)
class RecurrentGrid:
    """A grid of recurrent kernels.

    The default spans the published range of `hidden_std` with three values and that of `bias_std` with four, without
    an initial state. All biases are positive, so that no series has a kernel of 0 with itself.

    Args:
        hidden_std: Factors of the weights from step to step. sqrt(2) weighs all steps alike, less forgets.
        bias_std: Factors of the biases, relative to an input of size 1.
        initial_std: Factors of the state before the first step, drawn for each series on its own. It only adds to
            the diagonal of the pre-activations, so it acts like a ridge.
        layers: Numbers of recurrent layers.
        readouts: "last": the output reads the last step. "stepwise": it averages outputs that have weights of their
            own at each step, for series of one length alone. "mean": it reads the mean of the units over the steps,
            which compares every step with every other one and costs that many times more.
        bidirectional: False for networks that read forward, True for pairs of them, one for each direction.
        activation: The activation of the units.
        normalized: Whether kernels are divided by the root of their diagonal, K(x, y) / sqrt(K(x, x) K(y, y)): then
            they do not overflow on long series, and one penalty means the same for all.

    Raises:
        InvalidInput: Where an axis of the grid is empty or a readout is unknown.

    References:
        Alemohammad et al. 2021, arXiv 2006.10246 (last step); 2020, arXiv 2012.04859 (averages, both directions).

    Example:
        >>> len(RecurrentGrid().kernels())
        12
        >>> RecurrentGrid(hidden_std=(1.4,), bias_std=(0.1,), normalized=False).kernels()[0]
        NTK(architecture=Recurrent(hidden_std=1.4, bias_std=0.1) >> Dense())
    """

    hidden_std: tuple[float, ...] = (1.34, sqrt(2.0), 1.47)
    bias_std: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    initial_std: tuple[float, ...] = (0.0,)
    layers: tuple[int, ...] = (1,)
    readouts: tuple[str, ...] = ("last",)
    bidirectional: tuple[bool, ...] = (False,)
    activation: Activation = ReLU()  # noqa: RUF009 (a frozen value)
    normalized: bool = True

    def __post_init__(self) -> None:
        if not all((*self._axes, self.bidirectional)):
            raise InvalidInput("every axis of a grid must have a value", repr(self))
        if any(count < 1 for count in self.layers) or not set(self.readouts) <= {"last", "stepwise", "mean"}:
            raise InvalidInput("layers must be at least 1, readouts 'last', 'stepwise' or 'mean'", repr(self))

    @property
    def _axes(self) -> tuple[tuple, ...]:
        return self.hidden_std, self.bias_std, self.initial_std, self.layers, self.readouts

    def kernels(self) -> tuple[Kernel, ...]:
        """One tangent kernel a point; the first axis named in the arguments is the outermost loop."""
        return tuple(self._kernel(point, both=both) for point in product(*self._axes) for both in self.bidirectional)

    def _kernel(self, point: tuple[float, float, float, int, Readout], *, both: bool) -> Kernel:
        hidden, bias, initial, layers, readout = point
        cell = Recurrent(self.activation, hidden, bias_std=bias, initial_std=initial)
        kernel: Kernel = NTK(recurrent(layers, cell, readout=readout))
        kernel = Normalized(kernel) if self.normalized else kernel
        kernel = Bidirectional(kernel) if both else kernel
        return Normalized(kernel) if both and self.normalized else kernel


LAST_GRID = RecurrentGrid((1.34, sqrt(2.0)), (1.0, 4.0, 16.0), bidirectional=(False, True))
"""The last step of long series: with biases of the published grid, up to 2, it only sees their end (docs/papers.md)."""

STEPWISE_GRID = RecurrentGrid((1.0, 1.2, 1.34), (0.1, 1.0, 8.0), readouts=("stepwise",))
"""Every step has an output of its own, so that units may forget."""

MEAN_GRID = RecurrentGrid(readouts=("mean",))


def automatic_grids(count: int, steps: float, *, fixed: bool) -> tuple[RecurrentGrid, ...]:
    """The grids of the readouts that suit so many series.

    Their values were chosen by the leave-one-out error, averaged over the training series of sets of the UCR archive.

    Args:
        count: Number of training series.
        steps: Their mean length.
        fixed: Whether all series, those to predict included, have one length: then the stepwise average serves.

    Returns:
        That of the last step, in one direction and in both; the stepwise average; up to 10,000 training steps in all
        the mean over the steps.
    """
    chosen = (LAST_GRID, STEPWISE_GRID) if fixed else (LAST_GRID,)
    return (*chosen, MEAN_GRID) if count * steps <= POOLED_STEPS else chosen


def published_grid() -> RecurrentGrid:
    """The grid of the paper: 15 x 12 x 5 networks of one layer, read at the last step.

    sigma_w in {1.34, ..., 1.47} by steps of 0.01 and sqrt(2), sigma_u = 1, sigma_b and sigma_h as in the paper.
    """
    return RecurrentGrid(PUBLISHED_HIDDEN, PUBLISHED_BIAS, PUBLISHED_INITIAL)


def normalized_kernels(kernels: Any) -> tuple[Kernel, ...]:
    """Each kernel over the root of its diagonal, K(x, y) / sqrt(K(x, x) K(y, y)).

    Raises:
        InvalidInput: Where they are not one or more kernels of this package.
    """
    several = (kernels,) if isinstance(kernels, Kernel) else kernels
    if isinstance(several, str) or not several or not all(isinstance(kernel, Kernel) for kernel in several):
        raise InvalidInput("kernels to choose from must be one or more kernels", repr(kernels))
    return tuple(kernel if isinstance(kernel, Normalized) else Normalized(kernel) for kernel in several)
