"""A kernel on the unit sphere as a function of the angle."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import is_count
from widenet.errors import InvalidInput
from widenet.kernels import Kernel

_CHECKS = 16  # random pairs on which a kernel without a stated profile is tested for rotation invariance


@dataclass(frozen=True)
class SphereProfile:
    """kappa(theta) = K(x, y) for unit vectors x, y in R^d at the angle theta.

    Attributes:
        kernel: K.
        dimension: d.
        smooth: Whether kappa is stated by the kernel as a function that is smooth on [0, pi]; if not, it
            may have a power of theta at 0.
    """

    kernel: Kernel
    dimension: int
    smooth: bool

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        """Values at angles in [0, pi], exact near 0."""
        angles = torch.from_numpy(np.asarray(theta, np.float64))
        with torch.no_grad():
            terms = self.kernel._angular(self.dimension, 1.0)
            if terms is not None:
                return sum(term.function(angles) for term in terms).numpy()  # pyright: ignore[reportAttributeAccessIssue]
            points = torch.zeros(len(angles), self.dimension, dtype=torch.float64)
            points[:, 0], points[:, 1] = torch.cos(angles), torch.sin(angles)
            return self.kernel._block(_pole(self.dimension), points, same=False)[0].numpy()

    @property
    def at_zero(self) -> float:
        """kappa(0) = K(x, x)."""
        with torch.no_grad():
            return float(self.kernel._diagonal(_pole(self.dimension))[0])


def sphere_profile(kernel: Kernel, dimension: int) -> SphereProfile:
    """The profile of a zonal kernel on the unit sphere of R^d.

    Args:
        kernel: A kernel that is a function of the angle alone for unit vectors.
        dimension: d, at least 2.

    Returns:
        The profile.

    Raises:
        InvalidInput: If the dimension is below 2, or the kernel is not invariant under rotations.
    """
    if not is_count(dimension, 2):
        raise InvalidInput(
            "the dimension of the space around the sphere must be a whole number from 2", repr(dimension)
        )
    if not isinstance(kernel, Kernel):
        raise InvalidInput("a profile needs a kernel", repr(kernel), "Wrap a function of the cosine in Zonal(function)")
    profile = SphereProfile(kernel, int(dimension), kernel._angular(int(dimension), 1.0) is not None)
    if not profile.smooth:
        _require_rotation_invariance(profile)
    return profile


def _pole(dimension: int) -> Tensor:
    pole = torch.zeros(1, dimension, dtype=torch.float64)
    pole[0, 0] = 1
    return pole


def _require_rotation_invariance(profile: SphereProfile) -> None:
    generator = np.random.default_rng(0)
    X, Y = (generator.standard_normal((_CHECKS, profile.dimension)) for _ in range(2))
    X, Y = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, Y))
    theta = 2 * np.arctan2(np.linalg.norm(X - Y, axis=1), np.linalg.norm(X + Y, axis=1))
    pairs = np.diagonal(profile.kernel(X, Y))
    worst = np.max(np.abs(pairs - profile(theta)))
    if worst > 1e-9 * profile.at_zero:
        raise InvalidInput(
            "a spectrum on the sphere needs a kernel of the angle alone",
            f"values that differ by {worst:.3g} between pairs of unit vectors at the same angle",
        )
