"""The Laplace kernel that comes closest to a neural tangent kernel on the sphere."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from widenet.kernels import Kernel
from widenet.theory.profile import sphere_profile

_ANGLES = 2001
_RATES = (1e-3, 1e3)


@dataclass(frozen=True)
class LaplaceMatch:
    """The best fit a0 + a1 exp(-rate |x - z|) to K(x, z) / K(x, x) for unit vectors x, z.

    Attributes:
        rate: c = 1 / scale of the Laplace kernel.
        a0: Constant.
        a1: Factor of the Laplace kernel.
        rmse: Root mean squared error over equispaced angles in [0, pi].
        max_error: Largest error over them.
        at_bound: Whether the rate ran into its bounds, so that no rate inside is best: the kernel is
            then closer to a straight line in |x - z| than to any exponential.
        gaussian_rmse: Root mean squared error of the best a0 + a1 exp(-rate |x - z|^2), to compare.
    """

    rate: float
    a0: float
    a1: float
    rmse: float
    max_error: float
    at_bound: bool
    gaussian_rmse: float

    @property
    def scale(self) -> float:
        """Scale of the Laplace kernel, 1 / rate."""
        return 1 / self.rate


def match_laplace(ntk: Kernel, d: int = 3) -> LaplaceMatch:
    """Fit an affine Laplace kernel, and an affine Gaussian, to the shape of a kernel on the unit sphere.

    Args:
        ntk: A kernel of the angle alone on the unit sphere.
        d: Dimension of the space around the sphere, for architectures that divide by it.

    Returns:
        The fit and its errors.

    Raises:
        InvalidInput: If the kernel is not zonal.

    References: Geifman et al. 2020, arXiv 2007.01580.

    Example:
        >>> from widenet.architectures import fully_connected
        >>> from widenet.kernels import NTK
        >>> fit = match_laplace(NTK(fully_connected(6, bias_std=1.0, scaling="geifman")))
        >>> round(fit.rate, 3), round(fit.rmse, 4)
        (1.41, 0.0025)
    """
    profile = sphere_profile(ntk, d)
    theta = np.linspace(0, np.pi, _ANGLES)
    target = profile(theta) / profile.at_zero
    distance = 2 * np.sin(theta / 2)
    rate, weights, residual = _affine_fit(distance, target)
    _, _, gaussian = _affine_fit(distance**2, target)
    low, high = np.log(_RATES)
    return LaplaceMatch(
        rate=rate,
        a0=float(weights[0]),
        a1=float(weights[1]),
        rmse=float(np.sqrt(np.mean(residual**2))),
        max_error=float(np.max(np.abs(residual))),
        at_bound=bool(min(np.log(rate) - low, high - np.log(rate)) < 1e-3),
        gaussian_rmse=float(np.sqrt(np.mean(gaussian**2))),
    )


def _affine_fit(x: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The rate c of the best a0 + a1 exp(-c x), its weights (a0, a1) and its residuals."""

    def fit(log_rate: float) -> tuple[np.ndarray, np.ndarray]:
        design = np.stack([np.ones_like(x), np.exp(-np.exp(log_rate) * x)], axis=1)
        weights = np.linalg.lstsq(design, target, rcond=None)[0]
        return weights, target - design @ weights

    def loss(log_rate: float) -> float:
        return float(np.sum(fit(log_rate)[1] ** 2))

    # A coarse scan first: the loss is flat at both ends, where a local search could stop.
    grid = np.linspace(float(np.log(_RATES[0])), float(np.log(_RATES[1])), 57)
    best = int(np.argmin([loss(point) for point in grid]))
    bracket = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    found = minimize_scalar(loss, bounds=bracket, method="bounded", options={"xatol": 1e-10})
    log_rate = float(found.x)  # pyright: ignore[reportAttributeAccessIssue]
    weights, residual = fit(log_rate)
    return float(np.exp(log_rate)), weights, residual
