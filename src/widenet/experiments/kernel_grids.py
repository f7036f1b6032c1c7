"""The families of kernels that the small-data comparison chooses from, each with its stated grid."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from widenet.architectures import freeze, fully_connected
from widenet.kernels.base import Kernel
from widenet.kernels.neural import NTK
from widenet.kernels.stationary import GammaExponential, Gaussian, Laplace
from widenet.kernels.wrappers import Homogeneous


class GridPoint(NamedTuple):
    """A kernel and its place in its grid, each coordinate from -1 to 1 with 0 in the middle."""

    kernel: Kernel
    place: tuple[float, ...]


class Family(ABC):
    """Kernels of one kind; the order of its points is the order in which "first best wins"."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What tables call it."""

    @property
    @abstractmethod
    def grid(self) -> str:
        """The grid in words, and whose choice it is."""

    @abstractmethod
    def points(self, fan_in: int) -> tuple[GridPoint, ...]:
        """The kernels for points of `fan_in` features."""


@dataclass(frozen=True)
class NetworkFamily(Family):
    """ReLU NTKs without bias, of every depth and with every number of frozen first layers (published grid).

    Depth 0 is the linear kernel x.y; all but the last layer frozen is the NNGP. The scaling is that of
    the public code: no 1 / fan_in at the inputs and a factor 1/2 a layer, which matters to a
    support vector machine with a fixed grid for C.

    Attributes:
        most_layers: Largest number of activations.

    References: Arora et al. 2020, arXiv 1910.01663, section 4 and public code.
    """

    most_layers: int = 4

    @property
    def name(self) -> str:
        """What tables call it."""
        return "NTK"

    @property
    def grid(self) -> str:
        """The grid in words, and whose choice it is."""
        return (
            f"published (arXiv 1910.01663): ReLU networks without bias, depth 0 ... {self.most_layers}, the first "
            "0 ... depth layers frozen"
        )

    def points(self, fan_in: int) -> tuple[GridPoint, ...]:
        """The kernels, number of frozen layers in the outer loop, depth in the inner one.

        The order only matters where kernels tie in the selection. This one gives the accuracies of a
        reference run of the published protocol, the depth in the outer loop gives others on a few sets.
        """
        return tuple(
            GridPoint(
                NTK(freeze(fully_connected(depth, scaling="arora"), first=frozen)),
                (_centred(depth, self.most_layers), _centred(frozen, depth)),
            )
            for frozen in range(self.most_layers + 1)
            for depth in range(frozen, self.most_layers + 1)
        )


@dataclass(frozen=True)
class ExponentialFamily(Family):
    """exp(-(r / scale)^gamma): Laplace for gamma 1, Gaussian for gamma 2, over a grid of scales.

    Attributes:
        gamma: Exponent, in (0, 2].
        homogeneous: Whether the kernel is read on directions, |x| |y| k(x / |x|, y / |y|).
        octaves: Scales are 2^-octaves, ..., 2^octaves, times sqrt(fan_in) for the plain kernel.
    """

    gamma: float
    homogeneous: bool = False
    octaves: int = 3

    @property
    def name(self) -> str:
        """What tables call it."""
        plain = {1.0: "Laplace", 2.0: "Gaussian"}.get(self.gamma, f"gamma = {self.gamma:g}")
        return f"H-{plain}" if self.homogeneous else plain

    @property
    def grid(self) -> str:
        """The grid in words, and whose choice it is."""
        unit = "on directions" if self.homogeneous else "times the square root of the number of features"
        return f"this library's choice: scales 2^{-self.octaves} ... 2^{self.octaves} by factors of 2, {unit}"

    def points(self, fan_in: int) -> tuple[GridPoint, ...]:
        """The kernels, smallest scale first; standardised features lie about sqrt(2 fan_in) apart."""
        unit = 1.0 if self.homogeneous else math.sqrt(fan_in)
        return tuple(
            GridPoint(self._kernel(unit * 2.0**octave), (octave / self.octaves,))
            for octave in range(-self.octaves, self.octaves + 1)
        )

    def _kernel(self, scale: float) -> Kernel:
        if self.gamma == 1.0:
            kernel: Kernel = Laplace(scale)
        elif self.gamma == 2.0:
            # exp(-r^2 / (2 s^2)) with s = scale / sqrt(2) is exp(-(r / scale)^2), as the family has it.
            kernel = Gaussian(scale / math.sqrt(2.0))
        else:
            kernel = GammaExponential(scale, self.gamma)
        return Homogeneous(kernel) if self.homogeneous else kernel


def all_families() -> tuple[Family, ...]:
    """NTK, then exponential kernels with gamma 0.5, 1, 1.5, 2, plain and homogeneous."""
    exponents = (0.5, 1.0, 1.5, 2.0)
    plain = tuple(ExponentialFamily(gamma) for gamma in exponents)
    return (NetworkFamily(), *plain, *(ExponentialFamily(gamma, homogeneous=True) for gamma in exponents))


def _centred(index: int, most: int) -> float:
    return 2 * index / most - 1 if most else 0.0
