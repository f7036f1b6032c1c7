"""Kernels of infinitely wide networks."""

from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

from torch import Tensor

from widenet._arrays import Array, Inputs
from widenet.architectures import Layer
from widenet.errors import InvalidArchitecture
from widenet.kernels.angle import AngularTerm
from widenet.kernels.base import Kernel
from widenet.kernels.readings import Reading, Rows
from widenet.kernels.recurrent import SequenceReading, reads_sequences
from widenet.kernels.spatial import Images, reads_images


@lru_cache(maxsize=256)
def reading_of(architecture: Layer, tangent: bool, input_shape: tuple[int, ...] | None = None) -> Reading:
    """The reading of an architecture, by its layers: rows, unless one of them says what the points are.

    Args:
        architecture: The network.
        tangent: Whether the NTK is asked for, or else the NNGP.
        input_shape: Shape of one point, or None.

    Raises:
        InvalidArchitecture: If the composition has no kernel, or not for points of that shape.
    """
    if reads_sequences(architecture):
        return SequenceReading(architecture, tangent, input_shape)
    if reads_images(architecture):
        return Images(architecture, tangent, input_shape)
    return Rows(architecture, tangent, input_shape)


@dataclass(frozen=True)
class _NetworkKernel(Kernel):
    architecture: Layer
    input_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.architecture, Layer):
            raise InvalidArchitecture(
                f"{name} takes an architecture", type(self.architecture).__name__, "Compose it with >>"
            )
        object.__setattr__(self, "input_shape", _checked_shape(self.input_shape))
        _ = self._reading  # a composition without a kernel is refused here and not at the first Gram matrix

    def __repr__(self) -> str:
        shape = "" if self.input_shape is None else f", input_shape={self.input_shape!r}"
        return f"{type(self).__name__}(architecture={self.architecture!r}{shape})"

    @property
    def _tangent(self) -> bool:
        raise NotImplementedError

    @property
    def _reading(self) -> Reading:
        return reading_of(self.architecture, self._tangent, self.input_shape)

    @property
    def _packs(self) -> bool:
        return self._reading.packs

    def _read_inputs(self, X: Array, Y: Array | None = None) -> Inputs:
        return self._reading.read_inputs(X, Y)

    def _check_points(self, X: Tensor) -> None:
        self._reading.check(X)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self._reading.cross(X, Y, same=same).to(X.dtype)

    def _matrix(self, X: Tensor, Y: Tensor | None) -> Tensor:
        whole = self._reading.gram(X, Y)
        return super()._matrix(X, Y) if whole is None else whole

    def _diagonal(self, X: Tensor) -> Tensor:
        return self._reading.diagonal(X).to(X.dtype)

    def _pair_size(self, X: Tensor) -> int:
        return self._reading.pair_size(X)

    def _working_bytes(self, X: Tensor) -> tuple[int, int]:
        return self._reading.working_bytes(X)

    def _in_range(self) -> Kernel:
        reading = self._reading.in_range
        return self if reading is self._reading else _InRange(reading)

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        return self._reading.angular(fan_in, norm)


@dataclass(frozen=True)
class _InRange(Kernel):
    """What `Normalized` reads in the place of a kernel that overflows, in double precision for any points."""

    reading: Reading

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.reading.cross(X, Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.reading.diagonal(X)


def _checked_shape(shape: object) -> tuple[int, ...] | None:
    """An `input_shape` as plain numbers: sizes of 1 or more, or -1 for any."""
    if shape is None:
        return None
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
    if not sizes or not whole or any(size != -1 and size < 1 for size in sizes):
        raise InvalidArchitecture(
            "input_shape must be the shape of one point: its positions, then its channels", repr(shape)
        )
    return tuple(int(size) for size in sizes)


@dataclass(frozen=True, repr=False)
class NNGP(_NetworkKernel):
    """Covariance of the outputs of a randomly initialised network as its width grows.

    The prior of Bayesian inference with that network: K(x, y) = E[f(x) f(y)] at the start.

    Args:
        architecture: The network.
        input_shape: Shape of one point, positions then channels, such as (28, 28, 1): then rows (n, 784) are accepted
            as well. None: the points must come with their positions.

    Raises:
        InvalidArchitecture: If the composition has no infinite-width limit of this kind.

    Cost:
        One product of the points, and a nanosecond an entry and core for any depth where the kernel is a function
        of the angle: positively homogeneous activations without biases that start random, or points of one norm.
        Else a few nanoseconds a layer for chains of Dense layers and such activations; tens to hundreds of them
        for other layers, all in double precision. For images of P positions that many times P, or P^2 with pooling.

    References: Lee et al. 2018, arXiv 1711.00165; Matthews et al. 2018, arXiv 1804.11271.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import Dense, ReLU
        >>> NNGP(Dense() >> ReLU() >> Dense())(np.eye(2)).round(4)
        array([[0.25  , 0.0796],
               [0.0796, 0.25  ]])
    """

    @property
    def _tangent(self) -> bool:
        return False


@dataclass(frozen=True, repr=False)
class NTK(_NetworkKernel):
    """Neural tangent kernel of a network as its width grows.

    K(x, y) = E[grad f(x) . grad f(y)] over the trained parameters at the start; gradient descent on
    the squared loss of the infinitely wide network is kernel regression with it.

    Args:
        architecture: The network. Layers with `trainable=False` add nothing of their own.
        input_shape: Shape of one point, positions then channels, such as (28, 28, 1): then rows (n, 784) are accepted
            as well. None: the points must come with their positions.

    Raises:
        InvalidArchitecture: If the composition has no infinite-width limit of this kind.

    Cost:
        As for `NNGP`.

    References: Jacot et al. 2018, arXiv 1806.07572.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import Dense, ReLU
        >>> NTK(Dense() >> ReLU() >> Dense())(np.eye(2)).round(4)
        array([[0.5   , 0.0796],
               [0.0796, 0.5   ]])
    """

    @property
    def _tangent(self) -> bool:
        return True
