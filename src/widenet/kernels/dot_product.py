"""Kernels of the inner product, and of the angle between two points."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import pi, prod
from types import FunctionType

import torch
from numpy.polynomial import Polynomial
from torch import Tensor

from widenet.errors import InvalidInput
from widenet.kernels.angle import AngularTerm, angular_gram
from widenet.kernels.base import Kernel, require_number

_LARGEST_ORDER = 20


@dataclass(frozen=True)
class Linear(Kernel):
    """x.y + bias^2: ridge regression, with an intercept where bias > 0.

    Args:
        bias: Standard deviation of the intercept, at least 0.

    Raises:
        InvalidInput: If the bias is negative or not finite.
    """

    bias: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", require_number("Linear.bias", self.bias, positive=False))

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return X.reshape(len(X), -1) @ Y.reshape(len(Y), -1).T + self.bias**2

    def _diagonal(self, X: Tensor) -> Tensor:
        return X.reshape(len(X), -1).square().sum(1) + self.bias**2

    def _angular_terms(self, X: Tensor, Y: Tensor | None) -> None:
        """None: alone, the product itself is faster and more exact; the terms serve sums and products."""

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...]:
        product = AngularTerm(1, torch.cos)
        return (product, AngularTerm(0, _Constant(self.bias**2))) if self.bias else (product,)


@dataclass(frozen=True)
class _Constant:
    value: float

    def __call__(self, theta: Tensor) -> Tensor:
        return torch.full_like(theta, self.value)


class Angular(Kernel):
    """A kernel |x|^p |y|^p k(theta) of one term in the angle theta between the points.

    Points with positions count as vectors of all their entries.
    """

    @abstractmethod
    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...]:
        """The one term, whatever the points."""

    def _check_points(self, X: Tensor) -> None:
        if any(term.degree == 0 for term in self._angular(1, None)):
            require_directions(self, X)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        X, Y = X.reshape(len(X), -1), Y.reshape(len(Y), -1)
        return angular_gram(self._angular(X.shape[1], None), X, None if same else Y)

    def _diagonal(self, X: Tensor) -> Tensor:
        (term,) = self._angular(1, None)
        at_one = float(term.function(torch.zeros(1, dtype=torch.float64)))
        return at_one * X.reshape(len(X), -1).square().sum(1) ** term.degree


def require_directions(kernel: Kernel, X: Tensor) -> None:
    """Raise InvalidInput naming the first zero row, which has no direction."""
    zero = (X.detach() == 0).reshape(len(X), -1).all(1).nonzero()[:, 0]
    if len(zero):
        raise InvalidInput(
            f"{type(kernel).__name__} needs points other than 0, since 0 has no angle to the others",
            f"{len(zero)} of {len(X)} rows equal to 0, the first is row {int(zero[0])}",
            "Drop them, or shift or standardise the columns",
        )


@dataclass(frozen=True)
class ArcCosine(Angular):
    """Arc-cosine kernel |x|^n |y|^n J_n(theta) / pi of order n = 0, 1, 2, ...

    2 E[(w.x)_+^n (w.y)_+^n] over w ~ N(0, I), where (t)_+^0 is the step function: order 1 is twice the
    covariance of a ReLU layer, order 0 the derivative's. J_0 = pi - theta,
    J_1 = sin theta + (pi - theta) cos theta, J_2 = 3 sin theta cos theta + (pi - theta)(1 + 2 cos^2 theta).

    Args:
        order: n, from 0 to 20.

    Raises:
        InvalidInput: If the order is not such a whole number.

    References: Cho and Saul 2009, Kernel methods for deep learning, equations 1 to 6.

    Example:
        >>> import numpy as np
        >>> ArcCosine(1)(np.eye(2)).round(4)
        array([[1.    , 0.3183],
               [0.3183, 1.    ]])
    """

    order: int = 1

    def __post_init__(self) -> None:
        valid = isinstance(self.order, int) and not isinstance(self.order, bool) and 0 <= self.order <= _LARGEST_ORDER
        if not valid:
            raise InvalidInput(f"ArcCosine.order must be a whole number from 0 to {_LARGEST_ORDER}", repr(self.order))

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...]:
        return (AngularTerm(self.order, self._of_angle),)

    def _of_angle(self, theta: Tensor) -> Tensor:
        cosine = torch.cos(theta)
        sine_part, angle_part = (_horner(polynomial, cosine) for polynomial in self._polynomials())
        return (sine_part * torch.sin(theta) + angle_part * (pi - theta)) / pi

    def _polynomials(self) -> tuple[Polynomial, Polynomial]:
        """P and Q of J_n = P(cos) sin + Q(cos) (pi - theta), from J_n+1 = (2n + 1) cos J_n - sin dJ_n/dtheta."""
        sine_squared, cosine = Polynomial([1, 0, -1]), Polynomial([0, 1])
        P, Q = Polynomial([0]), Polynomial([1])
        for n in range(self.order):
            P, Q = (
                sine_squared * P.deriv() + 2 * n * cosine * P + Q,
                sine_squared * Q.deriv() + (2 * n + 1) * cosine * Q,
            )
        return P, Q

    def _diagonal(self, X: Tensor) -> Tensor:
        return float(prod(range(1, 2 * self.order, 2))) * X.reshape(len(X), -1).square().sum(1) ** self.order


def _horner(polynomial: Polynomial, x: Tensor) -> Tensor:
    total = torch.zeros_like(x)
    for coefficient in polynomial.coef[::-1].tolist():
        total = total * x + coefficient
    return total


@dataclass(frozen=True, repr=False)
class Zonal(Angular):
    """function(cos theta): any kernel of the angle theta between the points, given as a function of its cosine.

    Near theta = 0 a cosine holds only the square of the angle: a function with a kink there, such as
    sqrt(1 - u), is right to some 1e-8. Give such a function to `ZonalAngle`.

    Args:
        function: Maps a float64 tensor of cosines in [-1, 1] to values, elementwise. It should be
            positive semi-definite on the sphere, which is not checked, and pure: its values at the first
            call are compiled and kept. One defined at the top of a module can be pickled.

    Raises:
        InvalidInput: If it is not callable.

    Example:
        >>> import numpy as np, torch
        >>> Zonal(torch.exp)(np.eye(2)).round(4)
        array([[2.7183, 1.    ],
               [1.    , 2.7183]])
    """

    function: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidInput(f"{type(self).__name__} takes a function of a tensor", repr(self.function))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_expression(self.function)})"

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...]:
        return (AngularTerm(0, _OfCosine(self.function)),)


@dataclass(frozen=True)
class _OfCosine:
    function: Callable[[Tensor], Tensor]

    def __call__(self, theta: Tensor) -> Tensor:
        return self.function(torch.cos(theta))


class ZonalAngle(Zonal):
    """function(theta): any kernel of the angle theta between the points, exact down to the smallest angles.

    Args:
        function: Maps a float64 tensor of angles in [0, pi] to values, elementwise; see `Zonal`.

    Raises:
        InvalidInput: If it is not callable.

    Example:
        >>> import numpy as np, torch
        >>> ZonalAngle(torch.cos)(np.array([[1.0, 0.0], [3.0, 4.0]])).round(4)
        array([[1. , 0.6],
               [0.6, 1. ]])
    """

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...]:
        return (AngularTerm(0, self.function),)


def _expression(function: Callable[[Tensor], Tensor]) -> str:
    """Source text of a function: its qualified name, or torch's name for it."""
    name = getattr(function, "__name__", "")
    if getattr(torch, name, None) is function:
        return f"torch.{name}"
    return function.__qualname__ if isinstance(function, FunctionType) else repr(function)
