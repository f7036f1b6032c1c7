"""What a kernel is, and the algebra of kernels."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from widenet._arrays import Array, Inputs, read_inputs
from widenet.errors import InvalidInput
from widenet.kernels.angle import AngularTerm, angular_gram, common_norm
from widenet.kernels.blocks import fill_blocks


class Kernel(ABC):
    """A positive semi-definite function of two points.

    Kernels are frozen dataclasses: equal by value, hashable, picklable, and `repr` evaluates back to
    an equal value. `kernel(X, Y)` is the Gram matrix; kernels add, multiply and scale.

    A subclass gives `_cross` and `_diagonal` in torch, differentiable in their inputs. One whose value
    depends on the angle between the points alone (times powers of their norms) also gives
    `_angular`, and is then evaluated by the compiled angle profile in one fused pass.
    """

    def __call__(self, X: Array, Y: Array | None = None) -> Array:
        """Gram matrix K(X, Y), or K(X, X) with an exact diagonal where Y is None.

        Args:
            X: Points, (n, *positions, channels); NumPy or torch, float32 or float64.
            Y: Points, (m, *positions, channels), of the dtype, device and array kind of X.

        Returns:
            (n, m) or (n, n), of the dtype, device and array kind of X. Differentiable in X and Y
            where they are tensors that require gradients.

        Raises:
            InvalidInput: On NaN, infinity, text, empty input, or shapes and dtypes that do not match.
        """
        inputs = read_inputs(X, Y)
        return inputs.restore(self._gram(inputs))

    def diagonal(self, X: Array) -> Array:
        """K(x, x) of every point, (n,), without the matrix."""
        inputs = read_inputs(X)
        return inputs.restore(self._diagonal(inputs.X))

    def _gram(self, inputs: Inputs) -> Tensor:
        X, Y = inputs.X, inputs.Y
        self._check_points(X)
        if Y is not None:
            self._check_points(Y)
        terms = self._angular_terms(X, Y)
        if terms is not None:
            return angular_gram(terms, X, Y)
        if torch.is_grad_enabled() and (X.requires_grad or (Y is not None and Y.requires_grad)):
            return self._cross(X, X if Y is None else Y, same=Y is None)
        return fill_blocks(self._cross, X, Y)

    def _angular_terms(self, X: Tensor, Y: Tensor | None) -> tuple[AngularTerm, ...] | None:
        """Terms in the angle that hold for these points: for points of any norm, else of their one norm."""
        if X.ndim != 2:
            return None
        terms = self._angular(X.shape[1], None)
        if terms is None and (norm := common_norm(X, Y)) is not None:
            terms = self._angular(X.shape[1], norm)
        return terms

    def _check_points(self, X: Tensor) -> None:
        """Raise InvalidInput where this kernel is not defined on these points."""

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        """Terms |x|^p |y|^p k_p(theta) whose sum is this kernel, or None where it is no such sum.

        Args:
            fan_in: Number of channels d of the points.
            norm: None for terms that hold for points of any norm; a number for terms that need to
                hold only where |x| = |y| = norm (then p = 0 is fine).
        """
        return None

    @abstractmethod
    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """Gram block (n, m) in torch, differentiable; `same` says that Y is X, so the diagonal is K(x, x).

        Near-duplicate pairs must be as exact as any other pair: distances and angles come from the
        difference of the points there, never from the rounded inner product.
        """

    @abstractmethod
    def _diagonal(self, X: Tensor) -> Tensor:
        """K(x, x), (n,), in torch, differentiable."""

    def __add__(self, other: "Kernel") -> "Kernel":
        return Sum(self, other) if isinstance(other, Kernel) else NotImplemented

    def __mul__(self, other: "Kernel | float") -> "Kernel":
        if isinstance(other, Kernel):
            return Product(self, other)
        return Scaled(float(other), self) if isinstance(other, (int, float)) else NotImplemented

    def __rmul__(self, other: float) -> "Kernel":
        return Scaled(float(other), self) if isinstance(other, (int, float)) else NotImplemented


@dataclass(frozen=True)
class Sum(Kernel):
    """K1 + K2: the kernel of independent functions added."""

    first: Kernel
    second: Kernel

    def __repr__(self) -> str:
        return f"{self.first!r} + {self.second!r}"

    def _check_points(self, X: Tensor) -> None:
        self.first._check_points(X)
        self.second._check_points(X)

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        first, second = self.first._angular(fan_in, norm), self.second._angular(fan_in, norm)
        return None if first is None or second is None else first + second

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.first._cross(X, Y, same=same) + self.second._cross(X, Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.first._diagonal(X) + self.second._diagonal(X)


@dataclass(frozen=True)
class Product(Kernel):
    """K1 K2, entry by entry (Schur product), again positive semi-definite."""

    first: Kernel
    second: Kernel

    def __repr__(self) -> str:
        return " * ".join(f"({k!r})" if isinstance(k, Sum) else repr(k) for k in (self.first, self.second))

    def _check_points(self, X: Tensor) -> None:
        self.first._check_points(X)
        self.second._check_points(X)

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        first, second = self.first._angular(fan_in, norm), self.second._angular(fan_in, norm)
        if first is None or second is None:
            return None
        return tuple(AngularTerm(a.degree + b.degree, _product(a.function, b.function)) for a in first for b in second)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.first._cross(X, Y, same=same) * self.second._cross(X, Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.first._diagonal(X) * self.second._diagonal(X)


@dataclass(frozen=True)
class Scaled(Kernel):
    """factor * K with factor >= 0."""

    factor: float
    kernel: Kernel

    def __post_init__(self) -> None:
        if not 0 <= self.factor < float("inf"):
            raise InvalidInput("the factor of a kernel must be finite and at least 0", repr(self.factor))

    def __repr__(self) -> str:
        inner = f"({self.kernel!r})" if isinstance(self.kernel, (Sum, Product)) else repr(self.kernel)
        return f"{self.factor!r} * {inner}"

    def _check_points(self, X: Tensor) -> None:
        self.kernel._check_points(X)

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        terms = self.kernel._angular(fan_in, norm)
        return None if terms is None else tuple(AngularTerm(t.degree, _scaled(self.factor, t.function)) for t in terms)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.factor * self.kernel._cross(X, Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.factor * self.kernel._diagonal(X)


def _product(f: Callable[[Tensor], Tensor], g: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda theta: f(theta) * g(theta)


def _scaled(factor: float, f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda theta: factor * f(theta)
