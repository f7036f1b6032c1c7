"""Dual kernels of activations cut off at a degree: positive semi-definite polynomials in the cosine."""

from dataclasses import dataclass

import torch
from torch import Tensor

from widenet._arrays import is_count
from widenet.architectures import Activation
from widenet.errors import InvalidInput
from widenet.kernels.base import Kernel
from widenet.kernels.hermite_coefficients import hermite_coefficients
from widenet.kernels.moments import root


@dataclass(frozen=True)
class TruncatedDual(Kernel):
    """Dual kernel of an activation without the terms beyond a degree.

        K(x, y) = sum_{l <= degree} h_l(|x|) h_l(|y|) cos^l,   h_l(a) = E[phi(a z) He_l(z)] / sqrt(l!),

    of E[phi(w . x) phi(w . y)] with w ~ N(0, I), which is the whole sum (Mehler's formula). What is cut off is a kernel
    as well, so that this one is never above it on the diagonal; off it, where |cos| < 1, the error falls geometrically
    with the degree. Points with positions count as vectors of all their entries.

    Args:
        activation: phi.
        degree: Highest power of the cosine, at least 0.

    Raises:
        InvalidInput: On another degree.

    Cost:
        degree multiplications a pair, and for smooth activations 449 samples of phi a point.

    References: Han et al. 2022, arXiv 2209.04121.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import ReLU
        >>> TruncatedDual(ReLU(), 1)(np.eye(2)).round(4)
        array([[0.4092, 0.1592],
               [0.1592, 0.4092]])
    """

    activation: Activation
    degree: int

    def __post_init__(self) -> None:
        if not is_count(self.degree, 0):
            raise InvalidInput("TruncatedDual.degree must be a whole number of at least 0", repr(self.degree))

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        A, B = X.flatten(1).double(), Y.flatten(1).double()
        a = root(A.square().sum(1))
        b = a if same else root(B.square().sum(1))
        size = a[:, None] * b[None]
        cosine = torch.where(size > 0, A @ B.T / torch.where(size > 0, size, 1.0), 0.0)
        if same:
            itself = torch.eye(len(A), dtype=torch.bool, device=A.device)
            cosine = torch.where(itself & (size > 0), 1.0, (cosine + cosine.T) / 2)
        rows = hermite_coefficients(self.activation, a, self.degree)
        columns = rows if same else hermite_coefficients(self.activation, b, self.degree)
        total = torch.zeros_like(cosine)
        for of_x, of_y in zip(rows.flip(0), columns.flip(0), strict=True):
            total = total * cosine + of_x[:, None] * of_y[None]
        return total.to(X.dtype)

    def _diagonal(self, X: Tensor) -> Tensor:
        norms = root(X.flatten(1).double().square().sum(1))
        rows = hermite_coefficients(self.activation, norms, self.degree)
        return rows.square().sum(0).to(X.dtype)
