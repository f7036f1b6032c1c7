"""Kernels of the distance between two points."""

from abc import abstractmethod
from dataclasses import dataclass
from math import comb, factorial, frexp, sqrt

import torch
from torch import Tensor

from widenet.errors import InvalidInput
from widenet.kernels.angle import AngularTerm
from widenet.kernels.base import Kernel, require_number
from widenet.kernels.distances import squared_distances

_LARGEST_SMOOTHNESS = 20.5
_LEAST = 1e-3  # value at opposite points below which the compiled profile is not used


@dataclass(frozen=True)
class Stationary(Kernel):
    """A kernel that is a function of |x - y| / scale alone, and 1 at 0.

    Points with positions count as vectors of all their entries.

    Args:
        scale: Length over which the kernel decays, positive.
    """

    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", require_number(f"{type(self).__name__}.scale", self.scale))

    @abstractmethod
    def _of_square(self, square: Tensor, unit: float) -> Tensor:
        """Value at |x - y|^2 = unit^2 square; may overwrite `square` where no gradient flows.

        Complex squares give the analytic continuation from the positive axis.
        """

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        # In units of a power of two near the scale, which costs no rounding, tiny and huge points neither
        # underflow nor overflow when squared.
        unit = 2.0 ** min(frexp(self.scale)[1], 1023)
        return self._of_square(squared_distances(X / unit, Y / unit, same=same), unit)

    def _diagonal(self, X: Tensor) -> Tensor:
        return X.new_ones(len(X))

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        if norm is None:
            return None
        least = float(self._of_square(torch.full((1,), 4.0, dtype=torch.float64), norm))
        return (AngularTerm(0, _OnSphere(self, norm), vanishing=least < _LEAST),)


@dataclass(frozen=True)
class _OnSphere:
    """A stationary kernel of two points of norm `norm` at an angle: |x - y| = 2 norm sin(theta / 2)."""

    kernel: Stationary
    norm: float

    def __call__(self, theta: Tensor) -> Tensor:
        return self.kernel._of_square((2 * torch.sin(theta / 2)) ** 2, self.norm)


class Laplace(Stationary):
    """exp(-|x - y| / scale): the stationary kernel closest to the NTK of a ReLU network.

    On the sphere its eigenvalues decay like those of the NTK, k^-d.

    Args:
        scale: Length over which the kernel decays to 1/e, positive.

    Raises:
        InvalidInput: If the scale is not a positive finite number.

    References: Geifman et al. 2020, arXiv 2007.01580.

    Example:
        >>> import numpy as np
        >>> Laplace(2.0)(np.array([[0.0], [1.0]])).round(4)
        array([[1.    , 0.6065],
               [0.6065, 1.    ]])
    """

    def _of_square(self, square: Tensor, unit: float) -> Tensor:
        return _exponential(_root(square), -unit / self.scale)


@dataclass(frozen=True)
class GammaExponential(Stationary):
    """exp(-(|x - y| / scale)^gamma): Laplace at gamma = 1, Gaussian at gamma = 2.

    Args:
        scale: Length over which the kernel decays to 1/e, positive.
        gamma: Exponent in (0, 2]; beyond 2 the function is not positive semi-definite.

    Raises:
        InvalidInput: If an argument is out of its range.

    References: Geifman et al. 2020, arXiv 2007.01580.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "gamma", require_number("GammaExponential.gamma", self.gamma))
        if self.gamma > 2:
            raise InvalidInput("GammaExponential.gamma must be at most 2", repr(self.gamma))

    def _of_square(self, square: Tensor, unit: float) -> Tensor:
        rate = -((unit / self.scale) ** self.gamma)
        if self.gamma == 2:
            return _exponential(square, rate)
        if self.gamma == 1:
            return _exponential(_root(square), rate)
        return _exponential(_power(square, self.gamma / 2), rate)

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        # theta^gamma is singular at 0, which spectra on the sphere must know; elsewhere the direct way serves.
        return super()._angular(fan_in, norm) if self.gamma in (1, 2) else None


class Gaussian(Stationary):
    """exp(-|x - y|^2 / (2 scale^2)): the radial basis function kernel; scikit-learn's gamma is 1 / (2 scale^2).

    Args:
        scale: Standard deviation, positive.

    Raises:
        InvalidInput: If the scale is not a positive finite number.
    """

    def _of_square(self, square: Tensor, unit: float) -> Tensor:
        return _exponential(square, -0.5 * (unit / self.scale) ** 2)


@dataclass(frozen=True)
class Matern(Stationary):
    """Matern kernel of half-integer smoothness: exp(-z) times a polynomial in z = sqrt(2 smoothness) |x - y| / scale.

    With smoothness p + 1/2: exp(-z) p! / (2p)! sum_i (p + i)! / (i! (p - i)!) (2z)^(p - i).

    Args:
        scale: Length over which the kernel decays, positive.
        smoothness: 0.5 (the Laplace kernel), 1.5, 2.5, ..., at most 20.5.

    Raises:
        InvalidInput: If the scale is not positive or the smoothness not one of these.

    References: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, equation 4.16.
    """

    smoothness: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "smoothness", require_number("Matern.smoothness", self.smoothness))
        if self.smoothness % 1 != 0.5 or self.smoothness > _LARGEST_SMOOTHNESS:
            raise InvalidInput(
                f"Matern.smoothness must be 0.5, 1.5, ..., {_LARGEST_SMOOTHNESS}",
                repr(self.smoothness),
                "Use Gaussian for the limit of infinite smoothness",
            )

    def _of_square(self, square: Tensor, unit: float) -> Tensor:
        p = int(self.smoothness)
        z = _root(square) * (sqrt(2 * self.smoothness) * unit / self.scale)
        if not z.is_complex():
            z = z.clamp(max=800.0 if z.dtype == torch.float64 else 110.0)  # exp(-z) is 0, z^p must not be infinite
        # Coefficients of z^0, ..., z^p; those of z^0 and z^1 are both 1 for p >= 1, so K is flat at 0.
        weights = [2.0**k * comb(p, k) * factorial(2 * p - k) / factorial(2 * p) for k in range(p + 1)]
        total = torch.full_like(z, weights[p])
        for weight in reversed(weights[:p]):
            total = total * z + weight
        return total * torch.exp(-z)


def _tracked(square: Tensor) -> bool:
    return square.is_complex() or (torch.is_grad_enabled() and square.requires_grad)


def _exponential(x: Tensor, rate: float) -> Tensor:
    return torch.exp(rate * x) if _tracked(x) else x.mul_(rate).exp_()


def _root(square: Tensor) -> Tensor:
    return _power(square, 0.5) if _tracked(square) else square.sqrt_()


def _power(square: Tensor, exponent: float) -> Tensor:
    """square^exponent with gradient 0 at 0, where the kernels have their kink."""
    if square.is_complex() or not _tracked(square):
        return square**exponent
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0) ** exponent, 0.0)
