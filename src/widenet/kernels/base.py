"""What a kernel is, and the algebra of kernels."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from numbers import Real
from typing import SupportsFloat

import torch
from torch import Tensor

from widenet._arrays import Array, Inputs, read_inputs
from widenet.errors import InvalidInput
from widenet.kernels.angle import AngularTerm, angular_gram, common_norm
from widenet.kernels.blocks import fill_blocks, working_bytes

_SPHERE_PAIRS = 2**14  # a profile for one norm takes tens of milliseconds to compile, the time of as many pairs


class Kernel(ABC):
    """A positive semi-definite function of two points.

    Kernels are frozen dataclasses: equal by value, hashable, picklable, and `repr` evaluates back to
    an equal value. `kernel(X, Y)` is the Gram matrix; kernels add, multiply and scale.

    A subclass gives `_cross` and `_diagonal` in torch, differentiable in their inputs. One whose value
    depends on the angle between the points alone (times powers of their norms) also gives
    `_angular`, and is then evaluated by the compiled angle profile in one fused pass.
    """

    # NumPy numbers times a kernel: leave the product to `__rmul__`, not to an array of objects.
    __array_ufunc__ = None

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
        # Callers such as scikit-learn pass the training points twice: the same object is the same points.
        inputs = self._read_inputs(X, None if Y is X else Y)
        return inputs.restore(self._gram(inputs))

    def diagonal(self, X: Array) -> Array:
        """K(x, x) of every point, (n,), without the matrix."""
        inputs = self._read_inputs(X)
        self._check_points(inputs.X)
        return inputs.restore(self._diagonal(inputs.X))

    @property
    def _packs(self) -> bool:
        """Whether `_read_inputs` makes tensors of its own form, as for ragged lists of sequences."""
        return False

    def _read_inputs(self, X: Array, Y: Array | None = None) -> Inputs:
        """Check points as they came and bring them to tensors with one point a row."""
        return read_inputs(X, Y)

    def _pair_size(self, X: Tensor) -> int:
        """How many numbers the evaluation of one pair of these points holds at a time; blocks are cut by it."""
        return 1

    def _working_bytes(self, X: Tensor) -> tuple[int, int]:
        """Memory of a Gram matrix beside itself and a few copies: all in all, and for each of its rows and columns."""
        return working_bytes(X, self._pair_size(X)), 0

    def _in_range(self) -> "Kernel":
        """This kernel but for a positive factor of each point, with values that do not overflow: for `Normalized`."""
        return self

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
        return self._matrix(X, Y)

    def _matrix(self, X: Tensor, Y: Tensor | None) -> Tensor:
        """Gram matrix without gradients, (n, m) or (n, n): by blocks, unless a kernel has a pass of its own."""
        return fill_blocks(self._cross, X, Y, self._pair_size(X))

    def _angular_terms(self, X: Tensor, Y: Tensor | None) -> tuple[AngularTerm, ...] | None:
        """Terms in the angle that hold for these points: for points of any norm, else of their one norm."""
        if X.ndim != 2:
            return None
        terms = _cached_terms(self, X.shape[1], None)
        if terms is None and len(X) * len(X if Y is None else Y) >= _SPHERE_PAIRS:
            norm = common_norm(X, Y)
            terms = None if norm is None else _cached_terms(self, X.shape[1], norm)
        # A zero row has no angle to the others; only |x|^p |y|^p k_p with p > 0 is sure to be 0 there.
        if terms is not None and any(term.degree <= 0 for term in terms):
            zero = any(bool((points.detach() == 0).all(1).any()) for points in (X, Y) if points is not None)
            return None if zero else terms
        return terms

    def _block(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """`_cross`, by the angle profile where this kernel has one for points of any norm."""
        other = None if same else Y
        angular = X.ndim == 2 and _cached_terms(self, X.shape[1], None) is not None
        terms = self._angular_terms(X, other) if angular else None
        return self._cross(X, Y, same=same) if terms is None else angular_gram(terms, X, other)

    def _check_points(self, X: Tensor) -> None:  # noqa: B027 (most kernels are defined everywhere)
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

    def __mul__(self, other: "Kernel | SupportsFloat") -> "Kernel":
        if isinstance(other, Kernel):
            return Product(self, other)
        return Scaled(float(other), self) if isinstance(other, Real) else NotImplemented

    def __rmul__(self, other: SupportsFloat) -> "Kernel":
        return Scaled(float(other), self) if isinstance(other, Real) else NotImplemented


def require_number(name: str, value: float, *, positive: bool = True) -> float:
    """`value` as a float; InvalidInput unless it is finite, and positive (or at least 0)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidInput(f"{name} must be a number", repr(value))
    number = float(value)
    if not isfinite(number) or number < 0 or (positive and number == 0):
        raise InvalidInput(f"{name} must be finite and {'positive' if positive else 'at least 0'}", repr(number))
    return number


def _require_kernels(owner: Kernel, *parts: Kernel) -> None:
    for part in parts:
        if not isinstance(part, Kernel):
            raise InvalidInput(f"{type(owner).__name__} takes kernels", repr(part))
    if len({part._packs for part in parts}) > 1:
        raise InvalidInput(
            f"{type(owner).__name__} takes kernels of points of one kind",
            f"{' and '.join(map(repr, parts))}, of which one reads packed sequences",
        )


@lru_cache(maxsize=256)
def _cached_terms(kernel: Kernel, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
    # Profiles are compiled once a term object: an equal kernel gets the same objects again.
    terms = kernel._angular(fan_in, norm)
    return None if terms is not None and any(term.vanishing for term in terms) else terms


class Combined(Kernel):
    """A kernel made from two others, `first` and `second`, of points of one kind."""

    first: Kernel
    second: Kernel

    def __post_init__(self) -> None:
        _require_kernels(self, self.first, self.second)

    @property
    def _packs(self) -> bool:
        return self.first._packs

    def _read_inputs(self, X: Array, Y: Array | None = None) -> Inputs:
        return self.first._read_inputs(X, Y)

    def _pair_size(self, X: Tensor) -> int:
        return max(self.first._pair_size(X), self.second._pair_size(X))

    def _working_bytes(self, X: Tensor) -> tuple[int, int]:
        first, second = self.first._working_bytes(X), self.second._working_bytes(X)
        return max(first[0], second[0]), max(first[1], second[1])

    def _check_points(self, X: Tensor) -> None:
        self.first._check_points(X)
        self.second._check_points(X)


@dataclass(frozen=True)
class Sum(Combined):
    """K1 + K2: the kernel of independent functions added.

    Args:
        first: K1.
        second: K2.
    """

    first: Kernel
    second: Kernel

    def __repr__(self) -> str:
        return f"{self.first!r} + {_bracketed(self.second, Sum)}"

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        first, second = self.first._angular(fan_in, norm), self.second._angular(fan_in, norm)
        return None if first is None or second is None else first + second

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.first._block(X, Y, same=same) + self.second._block(X, Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.first._diagonal(X) + self.second._diagonal(X)


@dataclass(frozen=True)
class Product(Combined):
    """K1 K2, entry by entry (Schur product), again positive semi-definite.

    Args:
        first: K1.
        second: K2.
    """

    first: Kernel
    second: Kernel

    def __repr__(self) -> str:
        return f"{_bracketed(self.first, Sum)} * {_bracketed(self.second, Sum, Product, Scaled)}"

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        first, second = self.first._angular(fan_in, norm), self.second._angular(fan_in, norm)
        if first is None or second is None:
            return None
        return tuple(_product_term(a, b) for a in first for b in second)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.first._block(X, Y, same=same) * self.second._block(X, Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.first._diagonal(X) * self.second._diagonal(X)


class Derived(Kernel):
    """A kernel made from one other, `kernel`, whose points it reads and whose memory it takes."""

    kernel: Kernel

    @property
    def _packs(self) -> bool:
        return self.kernel._packs

    def _read_inputs(self, X: Array, Y: Array | None = None) -> Inputs:
        return self.kernel._read_inputs(X, Y)

    def _pair_size(self, X: Tensor) -> int:
        return self.kernel._pair_size(X)

    def _working_bytes(self, X: Tensor) -> tuple[int, int]:
        return self.kernel._working_bytes(X)

    def _check_points(self, X: Tensor) -> None:
        self.kernel._check_points(X)


@dataclass(frozen=True)
class Scaled(Derived):
    """factor * K.

    Args:
        factor: A finite number, at least 0.
        kernel: K.
    """

    factor: float
    kernel: Kernel

    def __post_init__(self) -> None:
        _require_kernels(self, self.kernel)
        object.__setattr__(self, "factor", require_number("the factor of a kernel", self.factor, positive=False))

    def __repr__(self) -> str:
        return f"{self.factor!r} * {_bracketed(self.kernel, Sum, Product, Scaled)}"

    def _angular(self, fan_in: int, norm: float | None) -> tuple[AngularTerm, ...] | None:
        terms = self.kernel._angular(fan_in, norm)
        if terms is None:
            return None
        return tuple(AngularTerm(t.degree, _ScaledFunction(self.factor, t.function), t.vanishing) for t in terms)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self.factor * self.kernel._block(X, Y, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.factor * self.kernel._diagonal(X)


def _bracketed(kernel: Kernel, *kinds: type[Kernel]) -> str:
    return f"({kernel!r})" if isinstance(kernel, kinds) else repr(kernel)


@dataclass(frozen=True)
class _ProductFunction:
    """f(theta) g(theta), equal by value so that a compiled profile can be kept for it."""

    first: Callable[[Tensor], Tensor]
    second: Callable[[Tensor], Tensor]

    def __call__(self, theta: Tensor) -> Tensor:
        return self.first(theta) * self.second(theta)


def _product_term(first: AngularTerm, second: AngularTerm) -> AngularTerm:
    function = _ProductFunction(first.function, second.function)
    return AngularTerm(first.degree + second.degree, function, first.vanishing or second.vanishing)


@dataclass(frozen=True)
class _ScaledFunction:
    """factor f(theta)."""

    factor: float
    function: Callable[[Tensor], Tensor]

    def __call__(self, theta: Tensor) -> Tensor:
        return self.factor * self.function(theta)
