"""Random Fourier features of stationary kernels: waves whose frequencies follow the kernel's spectral density."""

from dataclasses import dataclass
from functools import singledispatch
from math import ceil, pi, sqrt

import numpy as np
import torch
from numpy import ndarray
from scipy.sparse import issparse
from torch import Tensor

from widenet._arrays import Array, read_inputs
from widenet.errors import InvalidInput
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.kernels import GammaExponential, Gaussian, Kernel, Laplace, Matern
from widenet.kernels.stationary import Stationary


@singledispatch
def spread(kernel: Kernel, random: np.random.Generator, count: int) -> ndarray:
    """Draws of s such that s z / scale, with z normal, follows the spectral density of a kernel of that scale.

    Every kernel that is a mixture of Gaussian ones has such a law:
    k(r) = E exp(-s^2 r^2 / (2 scale^2)).

    Args:
        kernel: The kernel.
        random: Source of the draws.
        count: How many.

    Returns:
        Positive numbers, (count,).

    Raises:
        InvalidInput: On a kernel without a known law.
    """
    raise InvalidInput(
        "random Fourier features need the spectral density of the kernel",
        repr(kernel),
        "Use Gaussian, Laplace, Matern or GammaExponential",
    )


@spread.register
def _(kernel: Gaussian, random: np.random.Generator, count: int) -> ndarray:
    return np.ones(count)


@spread.register
def _(kernel: Laplace, random: np.random.Generator, count: int) -> ndarray:
    return 1 / np.abs(random.standard_normal(count))  # z / |chi_1|: the multivariate Cauchy law


@spread.register
def _(kernel: Matern, random: np.random.Generator, count: int) -> ndarray:
    freedom = 2 * kernel.smoothness
    return np.sqrt(freedom / random.chisquare(freedom, count))  # Student's law with 2 nu degrees of freedom


@spread.register
def _(kernel: GammaExponential, random: np.random.Generator, count: int) -> ndarray:
    return np.sqrt(2 * positive_stable(kernel.gamma / 2, random, count))


def positive_stable(exponent: float, random: np.random.Generator, count: int) -> ndarray:
    """Draws of A > 0 with E exp(-t A) = exp(-t^a), by Kanter's formula.

    A = sin(a U) / sin(U)^(1/a) (sin((1 - a) U) / E)^((1 - a)/a) with U uniform on (0, pi) and E exponential.

    Args:
        exponent: a in (0, 1]; at 1 A is 1.
        random: Source of the draws.
        count: How many.

    Returns:
        The draws, (count,).

    References: Kanter 1975, Stable densities under change of scale and total variation inequalities.
    """
    if exponent == 1:
        return np.ones(count)
    angle, rate = pi * random.uniform(size=count), random.exponential(size=count)
    body = np.sin(exponent * angle) / np.sin(angle) ** (1 / exponent)
    return body * (np.sin((1 - exponent) * angle) / rate) ** ((1 - exponent) / exponent)


@dataclass(frozen=True)
class FourierFeatures(FeatureMap):
    """Random Fourier features of a stationary kernel: cosines and sines of random projections.

        z(x) = sqrt(2 / size) [cos(w_i . x), sin(w_i . x)],   i = 1 .. size / 2,

    with w drawn from the kernel's spectral density, so that E z(x) . z(y) = k(x - y) and z(x) . z(x) = 1. With
    independent w the variance of z(x) . z(y) is (1 + k(2 (x - y)) - 2 k(x - y)^2) / size. An odd size has one
    wave sqrt(2) cos(w . x + b) with a random phase b in the place of the last pair.

    Args:
        kernel: Gaussian, Laplace, Matern or GammaExponential.
        size: Number of features.
        seed: Of the frequencies.
        orthogonal: Whether the frequencies come in blocks of d orthogonal ones. Every w keeps its law, so the mean
            is the same; for the Gaussian kernel the variance is smaller, for the others about as stated.

    Raises:
        InvalidInput: On a kernel without a known spectral density, or another size or seed.

    Cost:
        n x d x size / 2 products, as many for the non-zeros of sparse rows; d x size / 2 numbers are kept.

    References: Rahimi and Recht 2007, Random features for large-scale kernel machines; Yu et al. 2016,
        arXiv 1610.09072 (orthogonal frequencies).

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0, 0.0], [0.6, 0.8]])
        >>> Z = FourierFeatures(Laplace(2.0), size=20_000)(X)
        >>> (Z @ Z.T).round(2), Laplace(2.0)(X).round(2)
        (array([[1.  , 0.61],
               [0.61, 1.  ]]), array([[1.  , 0.61],
               [0.61, 1.  ]]))
    """

    kernel: Kernel
    size: int
    seed: int = 0
    orthogonal: bool = True

    def __post_init__(self) -> None:
        require_size("FourierFeatures", self.size)
        require_seed("FourierFeatures", self.seed)
        spread(self.kernel, np.random.default_rng(0), 1)

    def fit(self, X: Array) -> "FittedFourier":
        """Draw the frequencies for points of the shape of X; nothing else of them matters."""
        shape = tuple(X.shape[1:]) if issparse(X) else tuple(read_inputs(X).X.shape[1:])
        random = np.random.default_rng(self.seed)
        count, channels = ceil(self.size / 2), int(np.prod(shape))
        if not isinstance(self.kernel, Stationary):
            raise AssertionError("a law of the frequencies of a kernel without a scale")
        radial = spread(self.kernel, random, count) / self.kernel.scale
        directions = _orthogonal if self.orthogonal else _independent
        frequencies = directions(random, channels, count) * radial
        return FittedFourier(self.size, shape, frequencies, float(random.uniform(0, 2 * pi)))

    def variance(self, X: Array, Y: Array) -> Array:
        """Variance of z(x) . z(y) over the seeds, for an even size and independent frequencies.

        Args:
            X: Points, (n, ...).
            Y: Points, (m, ...).

        Returns:
            (n, m).
        """
        return (1 + self.kernel(2 * X, 2 * Y) - 2 * self.kernel(X, Y) ** 2) / self.size


@dataclass(frozen=True, eq=False)
class FittedFourier(FittedMap):
    """Waves of fixed frequencies.

    Attributes:
        size: Number of features.
        shape: Shape of a point.
        frequencies: (numbers of a point, waves), float64.
        phase: Of the last wave where the size is odd.
    """

    size: int
    shape: tuple[int, ...]
    frequencies: ndarray
    phase: float

    def transform(self, X: Array) -> Array:
        """Features of points, dense or SciPy's sparse rows, (n, size)."""
        if issparse(X):
            self._check(tuple(X.shape[1:]))
            return self._waves(torch.from_numpy(X @ self.frequencies.astype(X.dtype))).numpy()
        inputs = read_inputs(X)
        self._check(tuple(inputs.X.shape[1:]))
        weights = torch.from_numpy(self.frequencies).to(inputs.X)
        return inputs.restore(self._waves(inputs.X.flatten(1) @ weights))

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise InvalidInput(f"points must have the shape of those of the fit, {self.shape}", str(shape))

    def _waves(self, angles: Tensor) -> Tensor:
        pairs, waves = self.size // 2, angles.shape[1]
        parts = [torch.cos(angles[:, :pairs]), torch.sin(angles[:, :pairs])]
        if waves > pairs:
            parts.append(sqrt(2) * torch.cos(angles[:, pairs:] + self.phase))
        return torch.cat(parts, 1) / sqrt(waves)


def _independent(random: np.random.Generator, channels: int, count: int) -> ndarray:
    return random.standard_normal((channels, count))


def _orthogonal(random: np.random.Generator, channels: int, count: int) -> ndarray:
    """Normal vectors that are orthogonal in blocks of as many as there are channels."""
    blocks = []
    for start in range(0, count, channels):
        width = min(channels, count - start)
        q, r = np.linalg.qr(random.standard_normal((channels, width)))
        lengths = np.sqrt(random.chisquare(channels, width))
        blocks.append(q * np.where(np.diag(r) < 0, -1.0, 1.0) * lengths)  # the signs make the law of q uniform
    return np.concatenate(blocks, 1)
