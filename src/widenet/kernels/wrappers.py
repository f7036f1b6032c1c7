"""Kernels made from a kernel by rescaling."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from widenet.errors import InvalidInput
from widenet.kernels.angle import AngularTerm
from widenet.kernels.base import Derived, Kernel
from widenet.kernels.dot_product import require_directions


@dataclass(frozen=True)
class Homogeneous(Derived):
    """|x| |y| K(x / |x|, y / |y|): a kernel read on the sphere, and linear along every ray as the ReLU NTK is.

    Args:
        kernel: K.

    Raises:
        InvalidInput: If it is not a kernel; at the call, where a row is 0.

    References: Geifman et al. 2020, arXiv 2007.01580 (homogeneous Laplace and gamma-exponential kernels).

    Example:
        >>> import numpy as np
        >>> from widenet.kernels.stationary import Laplace
        >>> Homogeneous(Laplace(1.0))(np.array([[1.0, 0.0], [3.0, 0.0]]))
        array([[1., 3.],
               [3., 9.]])
    """

    kernel: Kernel

    def __post_init__(self) -> None:
        _require_kernel(self, self.kernel)
        if self.kernel._packs:
            raise InvalidInput("Homogeneous takes a kernel of arrays, whose points have a norm", repr(self.kernel))

    def _check_points(self, X: Tensor) -> None:
        require_directions(self, X)
        super()._check_points(X)

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        terms = self.kernel._angular(fan_in, 1.0)
        return None if terms is None else tuple(AngularTerm(1, term.function, term.vanishing) for term in terms)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        # In double precision: rounding a float32 direction moves it by more than near pairs are apart.
        x_units, x_norms = _directions(X)
        y_units, y_norms = _directions(Y)
        return (x_norms[:, None] * self.kernel._block(x_units, y_units, same=same) * y_norms).to(X.dtype)

    def _diagonal(self, X: Tensor) -> Tensor:
        units, norms = _directions(X)
        return (norms.square() * self.kernel._diagonal(units)).to(X.dtype)


def _directions(X: Tensor) -> tuple[Tensor, Tensor]:
    """Directions x / |x| in the shape of X, and norms |x|, in double precision, without overflow."""
    rows = X.reshape(len(X), -1).double()
    rows_scaled = rows / (largest := rows.detach().abs().amax(1, keepdim=True))
    lengths = torch.linalg.vector_norm(rows_scaled, dim=1, keepdim=True)
    return (rows_scaled / lengths).reshape(X.shape), (lengths * largest)[:, 0]


@dataclass(frozen=True)
class Normalized(Derived):
    """K(x, y) / sqrt(K(x, x) K(y, y)): the cosine of the angle between the features of the points.

    Args:
        kernel: K.

    Raises:
        InvalidInput: If it is not a kernel; at the call, where K(x, x) is 0 for a row.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels.dot_product import Linear
        >>> Normalized(Linear())(np.array([[1.0, 0.0], [3.0, 4.0]]))
        array([[1. , 0.6],
               [0.6, 1. ]])
    """

    kernel: Kernel

    def __post_init__(self) -> None:
        _require_kernel(self, self.kernel)

    def _check_points(self, X: Tensor) -> None:
        super()._check_points(X)
        with torch.no_grad():
            bad = (~(self.kernel._in_range()._diagonal(X) > 0)).nonzero()[:, 0]
        if len(bad):
            raise InvalidInput(
                "Normalized needs K(x, x) > 0 for every point",
                f"0 for {len(bad)} of {len(X)} rows, the first is row {int(bad[0])}",
                "Drop these rows, or give the kernel a bias",
            )

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        terms = self.kernel._angular(fan_in, norm)
        if terms is None or (norm is None and len({term.degree for term in terms}) > 1):
            return None
        weights = tuple(1.0 if norm is None else norm ** (2 * term.degree) for term in terms)
        function = _NormalizedFunction(weights, tuple(term.function for term in terms))
        return (AngularTerm(0, function, any(term.vanishing for term in terms)),)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        kernel = self.kernel._in_range()
        roots = kernel._diagonal(X).sqrt()[:, None], kernel._diagonal(Y).sqrt()
        block = (kernel._block(X, Y, same=same) / roots[0] / roots[1]).to(X.dtype)
        if not same:
            return block
        return torch.where(torch.eye(len(X), dtype=torch.bool, device=X.device), 1.0, block)

    def _diagonal(self, X: Tensor) -> Tensor:
        return X.new_ones(len(X))


@dataclass(frozen=True)
class _NormalizedFunction:
    """sum_i weights_i f_i(theta), divided by its value at 0."""

    weights: tuple[float, ...]
    functions: tuple[Callable[[Tensor], Tensor], ...]

    def __call__(self, theta: Tensor) -> Tensor:
        return self._sum(theta) / self._sum(theta.new_zeros(1))

    def _sum(self, theta: Tensor) -> Tensor:
        return torch.stack([w * f(theta) for w, f in zip(self.weights, self.functions, strict=True)]).sum(0)


def _require_kernel(owner: Kernel, kernel: Kernel) -> None:
    if not isinstance(kernel, Kernel):
        raise InvalidInput(f"{type(owner).__name__} takes a kernel", repr(kernel))
