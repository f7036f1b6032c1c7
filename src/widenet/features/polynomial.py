"""Polynomials in the cosine, with coefficients of at least 0, that stand for functions of the angle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from scipy.optimize import linprog, nnls
from torch import Tensor

from widenet.errors import InvalidInput
from widenet.features.base import require_size
from widenet.kernels import Kernel
from widenet.theory.profile import SphereProfile
from widenet.theory.series import power_series

Fit = Literal["taylor", "nnls", "nnls with exact diagonal", "minimax"]

_NODES = 512
_EQUALITY = 1e6  # weight of the row that holds the diagonal
_NEGATIVE = 1e-9  # part of the sum that rounding may take a coefficient below 0
_CHECKED = 4001  # angles at which errors are taken
_INNER = 0.9
_SERIES = 64  # least number of coefficients that a power series is asked for: its checks need some


@dataclass(frozen=True)
class AnglePolynomial:
    """kappa(a) close to sum_j c_j a^j on [-1, 1], all c_j at least 0, so that it is a kernel in every dimension.

    Attributes:
        coefficients: c_0, ..., c_p.
        error: Largest error on [-1, 1].
        inner_error: Largest error for |a| < 0.9.
        diagonal_error: kappa(1) - sum_j c_j. Where it is positive it may be kept as a nugget on the diagonal.
    """

    coefficients: tuple[float, ...]
    error: float
    inner_error: float
    diagonal_error: float

    def __call__(self, cosines: np.ndarray) -> np.ndarray:
        """Values at cosines, elementwise."""
        return np.asarray(
            np.polynomial.polynomial.polyval(np.asarray(cosines, np.float64), np.array(self.coefficients))
        )

    @property
    def nugget(self) -> float:
        """What the diagonal lacks: rho of the term rho |x|^(2 p) that makes K(x, x) exact; 0 where it lacks nothing."""
        return max(0.0, self.diagonal_error)


def fit_angle(function: Callable[[Tensor], Tensor], degree: int, fit: Fit = "nnls") -> AnglePolynomial:
    """Polynomial with coefficients of at least 0 that follows a function of the angle, from its values.

    - "nnls": least squares, uniform in the cosine.
    - "nnls with exact diagonal": the same, with sum_j c_j = kappa(1).
    - "minimax": the smallest largest error, by a linear programme.

    The fourth choice, "taylor", needs more than values: see `taylor`.

    Args:
        function: kappa of float64 angles in [0, pi].
        degree: Highest power, at least 0.
        fit: Which one.

    Returns:
        The polynomial with its errors on a grid of 4,001 angles.

    Raises:
        InvalidInput: On a negative degree, another name of a fit, or a function that is not finite.

    Cost:
        A least-squares problem or linear programme of 512 equations in degree + 1 unknowns, tens of milliseconds.

    Example:
        >>> from widenet.kernels import ArcCosine
        >>> (term,) = ArcCosine(1)._angular(3, None)
        >>> fit_angle(term.function, 2, "minimax").error.__round__(4)
        0.0038
    """
    require_degree(degree)
    if fit not in get_args(Fit) or fit == "taylor":
        raise InvalidInput("a fit of values must be 'nnls', 'nnls with exact diagonal' or 'minimax'", repr(fit))
    theta = (np.arange(_NODES) + 0.5) * np.pi / _NODES
    if fit != "nnls":
        theta = np.concatenate([[0.0], theta, [np.pi]])  # the errors to bound are at the ends
    values = _values(function, theta)
    powers = np.cos(theta)[:, None] ** np.arange(degree + 1)
    if fit == "minimax":
        coefficients = _minimax(powers, values)
    else:
        weights = np.sqrt(np.sin(theta))  # Chebyshev nodes crowd at the ends; uniform in the cosine
        if fit != "nnls":
            weights[0] = _EQUALITY * np.sqrt(_NODES)
        coefficients = nnls(powers * weights[:, None], values * weights)[0]
    return _measured(function, coefficients)


def taylor(kernel: Kernel, fan_in: int, degree: int) -> AnglePolynomial:
    """First terms of the power series of a kernel on the unit sphere in the cosine.

    What is cut off is a kernel too, so that the polynomial is never above the kernel on the diagonal.

    Args:
        kernel: A kernel of the angle on the unit sphere.
        fan_in: d of the sphere in R^d.
        degree: Highest power, at least 0.

    Returns:
        The polynomial with its errors on a grid of 4,001 angles.

    Raises:
        InvalidInput: If the kernel is not known at complex cosines, or its series has a negative coefficient.
    """
    require_degree(degree)
    profile = SphereProfile(kernel, fan_in, True)
    series = power_series(profile, max(degree + 1, _SERIES))
    coefficients = _without_rounding(series.coefficients[: degree + 1], profile.at_zero)
    return _measured(lambda theta: torch.from_numpy(profile(theta.numpy())), coefficients)


def require_degree(degree: object) -> None:
    """InvalidInput unless `degree` is a whole number of at least 0."""
    require_size("polynomial degree", degree, 0)


def _without_rounding(coefficients: np.ndarray, size: float) -> np.ndarray:
    worst = int(np.argmin(coefficients))
    if coefficients[worst] < -_NEGATIVE * size:
        raise InvalidInput(
            "explicit features need a power series in the cosine whose coefficients are at least 0",
            f"{coefficients[worst]:.3g} at degree {worst}",
            "Such a function is no kernel in high dimensions; use fit='nnls' for the nearest one that is",
        )
    # FFT leaves 1e-17 where a parity of the kernel has 0, whose features would be columns of nothing.
    return np.where(coefficients < 1e-14 * size, 0.0, coefficients)


def _minimax(powers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Min t with |powers c - values| <= t and c >= 0, by HiGHS."""
    ones = np.ones((len(values), 1))
    rows = np.block([[powers, -ones], [-powers, -ones]])
    cost = np.zeros(powers.shape[1] + 1)
    cost[-1] = 1
    found = linprog(cost, A_ub=rows, b_ub=np.concatenate([values, -values]), bounds=(0, None), method="highs")
    if found.x is None:
        raise InvalidInput("a minimax fit needs a linear programme that ends", found.message, "Use fit='nnls'")
    return found.x[:-1]


def _values(function: Callable[[Tensor], Tensor], theta: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        values = function(torch.from_numpy(theta)).to(torch.float64).numpy()
    if not np.all(np.isfinite(values)):
        raise InvalidInput("a function of the angle must be finite on [0, pi]", "NaN or infinity")
    return values


def _measured(function: Callable[[Tensor], Tensor], coefficients: np.ndarray) -> AnglePolynomial:
    theta = np.linspace(0, np.pi, _CHECKED)
    # Near 0, where kernels of networks have their kink, finer than that.
    theta = np.unique(np.concatenate([theta, np.geomspace(1e-6, 1e-2, 200)]))
    cosines = np.cos(theta)
    off = np.abs(np.polynomial.polynomial.polyval(cosines, coefficients) - _values(function, theta))
    diagonal = float(_values(function, np.zeros(1))[0] - coefficients.sum())
    return AnglePolynomial(
        tuple(coefficients.tolist()), float(off.max()), float(off[np.abs(cosines) < _INNER].max()), diagonal
    )
