"""How the kernel of a network is evaluated on points of one kind: rows here, images and sequences beside."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from widenet._arrays import Array, Inputs, read_inputs
from widenet.architectures import Layer
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels.angle import AngularTerm
from widenet.kernels.blocks import working_bytes
from widenet.kernels.dense_chain import DenseChain
from widenet.kernels.homogeneity import Degrees, degrees
from widenet.kernels.moments import Moments, aligned_moments, pair_moments, sphere_moments
from widenet.kernels.propagate import propagate

_SMALLEST = 1e-150


@dataclass(frozen=True)
class Reading(ABC):
    """The NTK or NNGP of an architecture on points of one kind.

    `NTK` and `NNGP` choose one by the layers of the architecture (`widenet.kernels.neural.reading_of`) and hand
    everything to it. A reading of its own kind of points

    - refuses in `__post_init__`, with InvalidArchitecture, a composition that has no kernel, or an `input_shape` that
      it cannot mean;
    - overrides `read_inputs`, and says `packs`, where points come in a form that is no array, such as ragged lists;
    - gives `check`, `cross` and `diagonal`; `pair_size` where a pair needs more than a number or two; `angular` where
      the kernel is a function of the angle between whole points.

    Tensors that `cross`, `diagonal` and `check` get are what `read_inputs` made, or rows of it.

    Attributes:
        architecture: The network.
        tangent: Whether the NTK is asked for, or else the NNGP.
        input_shape: Shape of one point, (*positions, channels), or None where the points themselves tell.
    """

    architecture: Layer
    tangent: bool
    input_shape: tuple[int, ...] | None = None

    @property
    def packs(self) -> bool:
        """Whether `read_inputs` makes tensors of its own form, which kernels of other points would misread."""
        return False

    def read_inputs(self, X: Array, Y: Array | None) -> Inputs:
        """Check one or two sets of points as they came, and bring them to tensors with one point a row."""
        return read_inputs(X, Y)

    @abstractmethod
    def check(self, X: Tensor) -> None:
        """Raise InvalidInput where the points are not of the kind or the shape that the network reads."""

    @abstractmethod
    def cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """Kernel of all pairs, (n, m) in float64, differentiable where X or Y ask for it; `same` says that Y is X."""

    @abstractmethod
    def diagonal(self, X: Tensor) -> Tensor:
        """Kernel of every point with itself, (n,) in float64, differentiable."""

    def gram(self, X: Tensor, Y: Tensor | None) -> Tensor | None:
        """Gram matrix in the precision of X and without gradients, or None where it is to be filled by blocks."""
        return None

    def pair_size(self, X: Tensor) -> int:
        """How many numbers the moments of one pair of points hold: blocks of pairs are cut by it."""
        return 1

    def working_bytes(self, X: Tensor) -> tuple[int, int]:
        """Memory of a Gram matrix beside itself and a few copies: all in all, and for each of its rows and columns."""
        return working_bytes(X, self.pair_size(X)), 0

    @property
    def in_range(self) -> "Reading":
        """The same kernel but for a positive factor of each point, with values that do not overflow."""
        return self

    def angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        """Terms in the angle between the points, as `Kernel._angular` has them; None where the kernel is none."""
        return None

    def _read(self, moments: Moments) -> Tensor:
        after = propagate(self.architecture, moments)
        if not self.tangent:
            return after.cross
        if after.tangent is None:
            raise AssertionError("moments without a tangent")
        return after.tangent


@dataclass(frozen=True)
class Rows(Reading):
    """Points without positions, (n, channels): by the angle, by the fused pass of dense chains, or layer by layer."""

    def __post_init__(self) -> None:
        if self.input_shape is not None and (len(self.input_shape) != 1 or self.input_shape[0] < 1):
            raise InvalidArchitecture(
                "an architecture of dense layers reads rows, whose input_shape is (channels,)",
                str(self.input_shape),
                "Put Flatten() before the first layer, or use Conv or Recurrent layers",
            )
        # A composition without a kernel is refused here and not at the first Gram matrix.
        size = float(self._read(aligned_moments(torch.ones(1, 1, dtype=torch.float64), self.tangent)))
        # A kernel that is no power of the norms may vanish at this one, as that of units with a threshold does.
        vanishing = 0 < size < _SMALLEST and degrees(self.architecture, Degrees(1, frozenset())) is not None
        if vanishing or not size < 1 / _SMALLEST:
            raise InvalidArchitecture(
                f"a kernel at a point of norm 1 must lie between {_SMALLEST:g} and {1 / _SMALLEST:g}, "
                "so that its square is a number in double precision",
                f"{size:.3g}",
                "Use a weight_std that keeps the size of the signal, such as scaling='he' of fully_connected, or a "
                "branch scale such as alpha='1/L' of residual",
            )

    def check(self, X: Tensor) -> None:
        """Raise InvalidInput unless the points are rows, of the length that `input_shape` says."""
        if X.ndim != 2:
            raise InvalidInput("this architecture reads rows (points, channels)", f"shape {tuple(X.shape)}")
        if self.input_shape is not None and X.shape[1] != self.input_shape[0]:
            raise InvalidInput(f"input_shape {self.input_shape} asks for rows of that length", f"{X.shape[1]} channels")

    def cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """Kernel of all pairs of rows, in float64."""
        # float64 inside: layer after layer, float32 moments would lose the angle of near pairs.
        chain = DenseChain.of(self.architecture, self.tangent) if X.device.type == "cpu" else None
        if chain is None or (torch.is_grad_enabled() and (X.requires_grad or Y.requires_grad)):
            return self.all_pairs(X, Y, same=same)
        block = chain.cross(X.detach(), Y.detach(), same=same)
        zero = [(points == 0).all(1) for points in (X, Y)]
        if zero[0].any() or zero[1].any():
            block[zero[0]] = self.all_pairs(X[zero[0]], Y, same=False)
            block[:, zero[1]] = self.all_pairs(X, Y[zero[1]], same=False)
        return block

    def all_pairs(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """The same layer by layer in torch."""
        return self._read(pair_moments(X.double(), Y.double(), self.tangent, same=same))

    def diagonal(self, X: Tensor) -> Tensor:
        """Kernel of every row with itself."""
        return self._read(aligned_moments(X.double(), self.tangent))

    def angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        """On a sphere always one function of the angle; for rows of any norm where the network is homogeneous."""
        if norm is not None:
            return (AngularTerm(0, _OnSphere(self, norm, fan_in)),)
        scaling = degrees(self.architecture, Degrees(1, frozenset()))
        if scaling is None:
            return None
        powers = sorted(scaling.tangent if self.tangent else {scaling.covariance}) or [scaling.covariance]
        return tuple(AngularTerm(power, _AngularPart(self, tuple(powers), power, fan_in)) for power in powers)

    def on_sphere(self, theta: Tensor, norm: float, fan_in: int) -> Tensor:
        """Kernel of pairs of rows of one norm at the given angles, (n,)."""
        return self._read(sphere_moments(theta, norm, fan_in, self.tangent))


# Functions of the angle are values too: an equal kernel finds the compiled profile of the one before it.


@dataclass(frozen=True)
class _OnSphere:
    """The kernel of points of one norm."""

    reading: Rows
    norm: float
    fan_in: int

    def __call__(self, theta: Tensor) -> Tensor:
        return self.reading.on_sphere(theta, self.norm, self.fan_in)


@dataclass(frozen=True)
class _AngularPart:
    """k_p of K = sum_p |x|^p |y|^p k_p(theta), separated by its growth over spheres of radius sqrt(2)^i."""

    reading: Rows
    powers: tuple[int, ...]
    power: int
    fan_in: int

    def __call__(self, theta: Tensor) -> Tensor:
        squares = [2.0**i for i in range(len(self.powers))]  # squared norms 1, 2, 4, ...
        system = torch.tensor([[s**p for p in self.powers] for s in squares], dtype=torch.float64)
        weights = torch.linalg.inv(system)[self.powers.index(self.power)].tolist()
        parts = (w * self.reading.on_sphere(theta, s**0.5, self.fan_in) for w, s in zip(weights, squares, strict=True))
        return torch.stack(list(parts)).sum(0)
