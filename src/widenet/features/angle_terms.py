"""Kernels of the angle as features see them: terms |x|^p |y|^p kappa(cos), each with its power series."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from widenet.errors import InvalidInput
from widenet.features.polynomial import AnglePolynomial, Fit, fit_angle, taylor
from widenet.features.rows import Rows
from widenet.kernels import Kernel
from widenet.kernels.stationary import Stationary

AT_ZERO = 1e-300
"""The power of a term that is 0 where a row is 0, and does not depend on its norm elsewhere."""

_FITTED_DEGREE = 64  # of the fit that stands in for a power series that is not known
_ANGLES = torch.linspace(0, torch.pi, 9, dtype=torch.float64)  # at which a constant is told from other functions


@dataclass(frozen=True)
class FeatureTerm:
    """One term |x|^power |y|^power kappa(cos) of a kernel.

    Attributes:
        power: Of the norms; `AT_ZERO` for 1 at every norm but 0.
        function: kappa of float64 angles.
        source: A kernel that is this term on the unit sphere, for its power series, or None.
        fan_in: d of the points.
    """

    power: float
    function: Callable[[Tensor], Tensor]
    source: Kernel | None
    fan_in: int

    @property
    def at_one(self) -> float:
        """kappa(1), the term at |x| = |y| = 1 on the diagonal."""
        return float(self.function(torch.zeros(1, dtype=torch.float64)))

    @property
    def constant(self) -> bool:
        """Whether kappa does not depend on the angle, so that it is known at 0 too."""
        return len(set(self.function(_ANGLES).tolist())) == 1

    def polynomial(self, degree: int, fit: Fit) -> AnglePolynomial:
        """A polynomial with coefficients of at least 0 that follows kappa; see `fit_angle` and `taylor`.

        Raises:
            InvalidInput: On "taylor" for a kernel whose power series is not known.
        """
        return AnglePolynomial((self.at_one,), 0.0, 0.0, 0.0) if self.constant else _polynomial(self, degree, fit)

    def series(self, count: int) -> np.ndarray:
        """Coefficients of the powers of the cosine: those of the series, else of a fit of degree 64."""
        try:
            return np.array(self.polynomial(count - 1, "taylor").coefficients)
        except InvalidInput:
            return np.array(fit_angle(self.function, min(count - 1, _FITTED_DEGREE), "nnls").coefficients)


@lru_cache(maxsize=256)
def _polynomial(term: FeatureTerm, degree: int, fit: Fit) -> AnglePolynomial:
    if fit != "taylor":
        return fit_angle(term.function, degree, fit)
    if term.source is None:
        raise InvalidInput(
            "fit='taylor' needs one term that is a function of the cosine on the unit sphere",
            "a sum of several, or one of points of another norm",
            "Use fit='nnls'",
        )
    return taylor(term.source, term.fan_in, degree)


@lru_cache(maxsize=64)
def feature_terms(kernel: Kernel, fan_in: int, norm: float | None = None) -> tuple[FeatureTerm, ...] | None:
    """Terms of a kernel of the angle, one for each power of the norms, or None where it is no such sum.

    Args:
        kernel: The kernel.
        fan_in: d of the points.
        norm: None for terms that hold for points of any norm, or the one norm of all points.
    """
    terms = kernel._angular(fan_in, norm)
    if terms is None:
        return None
    powers = sorted({term.degree for term in terms})
    source = kernel
    if norm is not None and norm != 1:
        source = replace(kernel, scale=kernel.scale / norm) if isinstance(kernel, Stationary) else None
    found = []
    for power in powers:
        function = _SumFunction(tuple(term.function for term in terms if term.degree == power))
        term = FeatureTerm(power, function, source if len(powers) == 1 else None, fan_in)
        found += _with_zero(term, kernel) if power == 0 and norm is None and not term.constant else [term]
    return tuple(found)


def _with_zero(term: FeatureTerm, kernel: Kernel) -> list[FeatureTerm]:
    """A term of power 0 as one that is 0 where a row is 0, and a constant: what the kernel is there.

    A network whose biases are trained has such a value: that of the last bias.
    """
    points = np.concatenate([np.eye(2, term.fan_in), -np.eye(1, term.fan_in), np.zeros((1, term.fan_in))])
    try:
        values = np.asarray(kernel(np.zeros((1, term.fan_in)), points))[0]
    except InvalidInput:
        return [term]
    constant = float(values[-1])
    least = float(term.function(_ANGLES).min())
    if not (values == constant).all() or not 0 <= constant <= least * (1 + 1e-9):
        return [term]
    if constant == 0:
        return [replace(term, power=AT_ZERO)]
    rest = _SumFunction((term.function, _Constant(-constant)))
    return [FeatureTerm(0, _Constant(constant), None, term.fan_in), FeatureTerm(AT_ZERO, rest, None, term.fan_in)]


@dataclass(frozen=True)
class _Constant:
    value: float

    def __call__(self, theta: Tensor) -> Tensor:
        return torch.full_like(theta, self.value)


@dataclass(frozen=True)
class _SumFunction:
    functions: tuple[Callable[[Tensor], Tensor], ...]

    def __call__(self, theta: Tensor) -> Tensor:
        return torch.stack([function(theta) for function in self.functions]).sum(0)


@dataclass(frozen=True)
class AngleForm:
    """The terms of a kernel for points of one form, and the norm that they are for.

    Attributes:
        kernel: The kernel.
        terms: Its terms.
        norm: The one norm for which the terms hold, or None where they hold for any.
        fan_in: d of the points.
    """

    kernel: Kernel
    terms: tuple[FeatureTerm, ...]
    norm: float | None
    fan_in: int

    @staticmethod
    def of(kernel: Kernel, rows: Rows) -> "AngleForm | None":
        """The form of a kernel on these rows: for any norm, else for their one norm; None where there is none."""
        fan_in = rows.shape[1]
        terms, norm = feature_terms(kernel, fan_in), None
        if terms is None:
            norm = one_norm(rows)
            terms = None if norm is None else feature_terms(kernel, fan_in, norm)
        return None if terms is None else AngleForm(kernel, terms, norm, fan_in)

    @staticmethod
    def require(kernel: Kernel, rows: Rows, owner: str) -> "AngleForm":
        """The same, or InvalidInput."""
        form = AngleForm.of(kernel, rows)
        if form is None:
            raise InvalidInput(
                f"{owner} needs a kernel of the angle: a homogeneous one, or rows of one norm",
                repr(kernel),
                "Use Sketch, or normalise the rows",
            )
        return form

    def directions(self, rows: Rows) -> tuple[Rows, Tensor]:
        """Rows divided by their norms, zero rows kept, and the norms in double precision; as `norms` refuses."""
        norms = self.norms(rows)
        return _scaled(rows, inverse(norms)), norms

    def sizes(self, size: int) -> list[int]:
        """Columns of each term, `size` in all: one of a constant, the others in proportion to kappa(1)."""
        counts = [int(term.constant) for term in self.terms]
        if sum(counts) >= size:
            return shares([float(count) for count in counts], size)
        weights = [0.0 if count else max(term.at_one, 0.0) for count, term in zip(counts, self.terms, strict=True)]
        others = shares(weights, size - sum(counts))
        counts = [count + other for count, other in zip(counts, others, strict=True)]
        counts[0] += size - sum(counts)  # where there are constants alone
        return counts

    def norms(self, rows: Rows) -> Tensor:
        """Norms of rows in double precision.

        Raises:
            InvalidInput: On rows of another norm than the terms are for, or zero rows that have no angle.
        """
        norms = rows.norms().double()
        if self.norm is not None:
            off = float((norms - self.norm).abs().max())
            if off > 64 * torch.finfo(rows.dtype).eps * self.norm:
                raise InvalidInput(
                    f"the features were made for rows of norm {self.norm:.6g}",
                    f"norms that differ from it by up to {off:.3g}",
                    "Normalise the rows, or fit the features on rows of several norms",
                )
        zero = norms == 0
        if bool(zero.any()) and any(term.power <= 0 and not term.constant for term in self.terms):
            raise InvalidInput(
                "this kernel needs points other than 0, since 0 has no angle to the others",
                f"{int(zero.sum())} of {len(norms)} rows equal to 0, the first is row {int(zero.nonzero()[0])}",
                "Drop them, or shift or standardise the columns",
            )
        return norms


def shares(weights: list[float], size: int) -> list[int]:
    """Whole numbers that add up to `size` in proportion to weights, by largest remainders; at least 1 where it can."""
    total = sum(weights)
    if total == 0 or size == 0:
        return [0] * len(weights)
    spread = np.array(weights) * size / total
    counts = np.floor(spread).astype(int)
    for place in np.argsort(counts - spread, kind="stable")[: size - counts.sum()]:
        counts[place] += 1
    for place in np.nonzero((counts == 0) & (spread > 0))[0]:
        if counts.max() > 1:
            counts[counts.argmax()] -= 1
            counts[place] = 1
    return counts.tolist()


def one_norm(rows: Rows) -> float | None:
    """The one norm of all rows, within rounding of their precision, or None."""
    norms = rows.norms().double()
    low, high = float(norms.min()), float(norms.max())
    if not (low > 0 and high - low <= 16 * torch.finfo(rows.dtype).eps * high):
        return None
    middle = (low + high) / 2
    return 1.0 if abs(middle - 1) <= 16 * torch.finfo(rows.dtype).eps else middle


def inverse(norms: Tensor) -> Tensor:
    """1 / norms, and 0 where the norm is 0."""
    return torch.where(norms == 0, 0.0, 1 / norms.where(norms != 0, 1.0))


def _scaled(rows: Rows, scales: Tensor) -> Rows:
    if rows.dense is not None:
        return Rows(rows.dense * scales[:, None].to(rows.dense), None, rows.numpy)
    csr = rows.csr.copy()
    csr.data *= np.repeat(scales.numpy().astype(csr.data.dtype), np.diff(csr.indptr))
    return Rows(None, csr, rows.numpy)
