"""What a solver takes and gives, and what its ridge means."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widenet._arrays import Array
from widenet.errors import InvalidInput

RidgeScale = Literal["relative", "absolute"]

# Rounding moves eigenvalues by a few eps |K|, measured; the bound with its factor n is far too pessimistic.
ROUNDING = 8  # of those eps |K|: eigenvalues below count as 0


@dataclass(frozen=True)
class Solution:
    """Coefficients a of a kernel ridge system, with what was reached.

    Attributes:
        value: Coefficients a, float64, of the shape of y and the array kind of K.
        converged: Whether `residual` is at most the tolerance of the solver.
        residual: Largest |(K + N) a - y| / |y| over the outputs, measured in float64 (N is ridge I
            or, with weights w, ridge diag(1 / w)).
        steps: Refinement steps taken, at least 1.
        how: How it was solved, in words.
    """

    value: Array
    converged: bool
    residual: float
    steps: int
    how: str


class Solver(ABC):
    """A way to solve (K + ridge diag(1 / w)) a = y for a symmetric positive semi-definite K.

    The ridge is relative by default: the number given is multiplied by the mean of the diagonal of K
    (the mean weighted by w, so that a weight of 2 means a row given twice). `ridge_scale="absolute"`
    takes the number as it is.
    """

    ridge_scale: RidgeScale

    @abstractmethod
    def solve(self, K: Array, y: Array, ridge: float, weights: Array | None = None) -> Solution:
        """Solve (K + ridge diag(1 / w)) a = y.

        Args:
            K: Gram matrix, (n, n), symmetric, NumPy or torch, float32 or float64; its stored values
                are taken as exact.
            y: Targets, (n,) or (n, outputs).
            ridge: Regularisation, at least 0; relative to the mean diagonal unless `ridge_scale` says else.
            weights: Positive sample weights w, (n,), or None for ones.

        Returns:
            Coefficients a in float64, and how well they solve the system.

        Raises:
            InvalidInput: On shapes that do not match, non-finite numbers, a negative ridge or weight.
            NotPositiveDefinite: Where K + ridge diag(1 / w) is not numerically positive definite.
        """


@dataclass(frozen=True)
class System:
    """A checked kernel ridge system in torch.

    Attributes:
        K: Gram matrix, (n, n).
        diagonal: Its diagonal in float64, (n,).
        noise: ridge / w in float64, (n,): what is added to the diagonal.
        ridge: The absolute ridge.
        weights: w in float64, (n,), or None.
        numpy: Whether results go back as NumPy arrays.
    """

    K: Tensor
    diagonal: Tensor
    noise: Tensor
    ridge: float
    weights: Tensor | None
    numpy: bool

    def restore(self, result: Tensor) -> Array:
        """Return a result in the array kind of K."""
        return result.numpy() if self.numpy else result


def read_system(K: Array, ridge: float, ridge_scale: RidgeScale, weights: Array | None = None) -> System:
    """Check K, the ridge and the weights, without a copy of K.

    Raises:
        InvalidInput: On anything that no ridge system can be made of.
    """
    matrix = read_gram(K)
    diagonal = matrix.diagonal().to(torch.float64, copy=True)
    weight = read_weights(weights, len(matrix), matrix.device)
    absolute = absolute_ridge(ridge, ridge_scale, diagonal, weight)
    noise = torch.full_like(diagonal, absolute) if weight is None else absolute / weight
    return System(matrix, diagonal, noise, absolute, weight, not isinstance(K, Tensor))


def read_gram(K: Array) -> Tensor:
    """A Gram matrix as a tensor: square, finite, float32 or float64, symmetric in a sample of its rows."""
    if isinstance(K, Tensor):
        matrix = K.detach()
    else:
        array = np.asarray(K)
        if array.dtype.kind not in "biuf":
            raise InvalidInput("K must hold real numbers", f"dtype {array.dtype}")
        array = array.astype(np.float64) if array.dtype.kind in "biu" else array
        matrix = torch.from_numpy(array if array.flags.writeable else array.copy())
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise InvalidInput("K must be a square matrix", f"shape {tuple(matrix.shape)}")
    if matrix.dtype not in (torch.float32, torch.float64):
        raise InvalidInput("K must be float32 or float64", str(matrix.dtype))
    # A sum is finite only if every entry is; it can also overflow.
    if not math.isfinite(float(matrix.sum())) and not bool(torch.isfinite(matrix).all()):
        raise InvalidInput("K must be finite", "NaN or infinity in it", "Check the points and the kernel's scale")
    sample = torch.linspace(0, len(matrix) - 1, min(8, len(matrix)), device=matrix.device).long()
    gap = (matrix[sample] - matrix[:, sample].T).abs().max()
    if gap > 1e-4 * matrix[sample].abs().max():
        raise InvalidInput("K must be symmetric", f"entries that differ by {float(gap):.3g} from their mirror image")
    return matrix


def read_weights(weights: Array | None, rows: int, device: torch.device) -> Tensor | None:
    """Sample weights in float64, each positive and finite, or None."""
    if weights is None:
        return None
    weight = torch.as_tensor(weights, dtype=torch.float64, device=device)
    if weight.shape != (rows,):
        raise InvalidInput(f"weights must have shape ({rows},)", str(tuple(weight.shape)))
    if not bool(((weight > 0) & (weight < math.inf)).all()):
        bad = int((~((weight > 0) & (weight < math.inf))).nonzero()[0, 0])
        raise InvalidInput(
            "weights must be positive and finite", f"{float(weight[bad])} in row {bad}", "Drop rows of weight 0"
        )
    return weight


def read_targets(y: Array, rows: int, device: torch.device) -> Float[Tensor, "n outputs"]:
    """Targets in float64 with their outputs as columns."""
    target = torch.as_tensor(y if isinstance(y, Tensor) else np.array(y, dtype=np.float64), device=device)
    target = target.detach().to(torch.float64)
    if target.ndim not in (1, 2) or len(target) != rows or 0 in target.shape:
        raise InvalidInput(f"y must have shape ({rows},) or ({rows}, outputs)", str(tuple(target.shape)))
    if not bool(torch.isfinite(target).all()):
        bad = int((~torch.isfinite(target)).reshape(rows, -1).any(1).nonzero()[0, 0])
        raise InvalidInput("y must be finite", f"NaN or infinity, the first in row {bad}", "Drop those rows")
    return target[:, None] if target.ndim == 1 else target


def absolute_ridge(ridge: float, scale: RidgeScale, diagonal: Tensor, weights: Tensor | None = None) -> float:
    """The number that is added to the diagonal of K, from the ridge as it was given."""
    if not 0 <= ridge < math.inf:
        raise InvalidInput("the ridge must be finite and at least 0", repr(ridge))
    if scale == "absolute":
        return float(ridge)
    if scale != "relative":
        raise InvalidInput("ridge_scale must be 'relative' or 'absolute'", repr(scale))
    mean = diagonal.mean() if weights is None else (weights * diagonal).sum() / weights.sum()
    return float(ridge) * float(mean)


Product = Callable[[Float[Tensor, "n outputs"]], Float[Tensor, "n outputs"]]
