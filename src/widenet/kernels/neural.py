"""Kernels of infinitely wide networks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from widenet.architectures import Layer
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels.angle import AngularTerm
from widenet.kernels.base import Kernel
from widenet.kernels.dense_chain import DenseChain
from widenet.kernels.homogeneity import Degrees, degrees
from widenet.kernels.moments import Moments, aligned_moments, pair_moments, sphere_moments
from widenet.kernels.propagate import propagate


@dataclass(frozen=True)
class _NetworkKernel(Kernel):
    architecture: Layer

    def __post_init__(self) -> None:
        if not isinstance(self.architecture, Layer):
            raise InvalidArchitecture(
                f"{type(self).__name__} takes an architecture", type(self.architecture).__name__, "Compose it with >>"
            )
        # A composition without a kernel is refused here and not at the first Gram matrix.
        self._read(aligned_moments(torch.ones(1, 1, dtype=torch.float64), self._tangent))

    @property
    def _tangent(self) -> bool:
        raise NotImplementedError

    def _read(self, moments: Moments) -> Tensor:
        raise NotImplementedError

    def _check_points(self, X: Tensor) -> None:
        if X.ndim != 2:
            raise InvalidInput("this architecture reads rows (points, channels)", f"shape {tuple(X.shape)}")

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        # float64 inside: layer after layer, float32 moments would lose the angle of near pairs.
        chain = DenseChain.of(self.architecture, self._tangent) if X.device.type == "cpu" else None
        if chain is None or (torch.is_grad_enabled() and (X.requires_grad or Y.requires_grad)):
            return self._all_pairs(X, Y, same=same).to(X.dtype)
        block = chain.cross(X.detach(), Y.detach(), same=same)
        zero = [(points == 0).all(1) for points in (X, Y)]
        if zero[0].any() or zero[1].any():
            block[zero[0]] = self._all_pairs(X[zero[0]], Y, same=False)
            block[:, zero[1]] = self._all_pairs(X, Y[zero[1]], same=False)
        return block.to(X.dtype)

    def _all_pairs(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self._read(pair_moments(X.double(), Y.double(), self._tangent, same=same))

    def _diagonal(self, X: Tensor) -> Tensor:
        return self._read(aligned_moments(X.double(), self._tangent)).to(X.dtype)

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        if norm is not None:
            return (AngularTerm(0, _OnSphere(self, norm, fan_in)),)
        scaling = degrees(self.architecture, Degrees(1, frozenset()))
        if scaling is None:
            return None
        powers = sorted(scaling.tangent if self._tangent else {scaling.covariance}) or [scaling.covariance]
        return tuple(AngularTerm(power, self._part(powers, power, fan_in)) for power in powers)

    def _part(self, powers: list[int], power: int, fan_in: int) -> "_AngularPart":
        return _AngularPart(self, tuple(powers), power, fan_in)

    def _on_sphere(self, theta: Tensor, norm: float, fan_in: int) -> Tensor:
        return self._read(sphere_moments(theta, norm, fan_in, self._tangent))


# Functions of the angle are values too: an equal kernel finds the compiled profile of the one before it.


@dataclass(frozen=True)
class _OnSphere:
    """The kernel of points of one norm."""

    kernel: _NetworkKernel
    norm: float
    fan_in: int

    def __call__(self, theta: Tensor) -> Tensor:
        return self.kernel._on_sphere(theta, self.norm, self.fan_in)


@dataclass(frozen=True)
class _AngularPart:
    """k_p of K = sum_p |x|^p |y|^p k_p(theta), separated by its growth over spheres of radius sqrt(2)^i."""

    kernel: _NetworkKernel
    powers: tuple[int, ...]
    power: int
    fan_in: int

    def __call__(self, theta: Tensor) -> Tensor:
        squares = [2.0**i for i in range(len(self.powers))]  # squared norms 1, 2, 4, ...
        system = torch.tensor([[s**p for p in self.powers] for s in squares], dtype=torch.float64)
        weights = torch.linalg.inv(system)[self.powers.index(self.power)].tolist()
        parts = (w * self.kernel._on_sphere(theta, s**0.5, self.fan_in) for w, s in zip(weights, squares, strict=True))
        return torch.stack(list(parts)).sum(0)


@dataclass(frozen=True)
class NNGP(_NetworkKernel):
    """Covariance of the outputs of a randomly initialised network as its width grows.

    The prior of Bayesian inference with that network: K(x, y) = E[f(x) f(y)] at the start.

    Args:
        architecture: The network.

    Raises:
        InvalidArchitecture: If the composition has no infinite-width limit of this kind.

    Cost:
        One product of the points, and a nanosecond an entry and core for any depth where the kernel is a function
        of the angle: positively homogeneous activations without biases that start random, or points of one norm.
        Else a few nanoseconds a layer for chains of Dense layers and such activations; tens to hundreds of them
        for other layers, all in double precision.

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

    def _read(self, moments: Moments) -> Tensor:
        return propagate(self.architecture, moments).cross


@dataclass(frozen=True)
class NTK(_NetworkKernel):
    """Neural tangent kernel of a network as its width grows.

    K(x, y) = E[grad f(x) . grad f(y)] over the trained parameters at the start; gradient descent on
    the squared loss of the infinitely wide network is kernel regression with it.

    Args:
        architecture: The network. Layers with `trainable=False` add nothing of their own.

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

    def _read(self, moments: Moments) -> Tensor:
        tangent = propagate(self.architecture, moments).tangent
        if tangent is None:
            raise AssertionError("moments without a tangent")
        return tangent
