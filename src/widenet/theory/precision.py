"""How many points a Gram matrix can have before rounding hides its smallest eigenvalues."""

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from numbers import Real
from typing import Literal

import numpy as np
import torch
from scipy.linalg import eigvalsh

from widenet._arrays import Array
from widenet.errors import InvalidInput
from widenet.solvers.base import ROUNDING, read_gram

NoiseLaw = Literal["entries", "averaged"]

_FEWEST = 8


@dataclass(frozen=True, eq=False)
class PrecisionReport:
    """Eigenvalues of a Gram matrix beside the noise of its entries. Orders of magnitude, not guarantees.

    Attributes:
        eigenvalues: Of K, ascending, (n,).
        dtype: The precision that is judged.
        noise: Standard deviation s of the error of an entry.
        exponent: a of the decay n C i^-a, fitted to the middle of the spectrum.
        constant: C of it.
        law: The law of the errors: "entries", symmetric with independent entries, or "averaged", (G + G^T) / 2.
    """

    eigenvalues: np.ndarray
    dtype: str
    noise: float
    exponent: float
    constant: float
    law: NoiseLaw

    @property
    def smallest(self) -> float:
        """Smallest eigenvalue."""
        return float(self.eigenvalues[0])

    @property
    def edge(self) -> float:
        """Largest eigenvalue of errors alone: 2 sqrt(n) s for independent entries, sqrt(2 n) s for averaged ones."""
        return _edge(self.law) * sqrt(len(self.eigenvalues)) * self.noise

    @property
    def critical_size(self) -> float:
        """P*, the number of points at which the smallest eigenvalue meets the edge; infinite for a steady spectrum."""
        return critical_size(self.constant, self.exponent, self.noise, self.law)

    @property
    def enough(self) -> bool:
        """Whether the smallest eigenvalue is above the edge, so that K needs no ridge in this precision."""
        return self.smallest > self.edge

    @property
    def smallest_ridge(self) -> float:
        """Absolute ridge that lifts the smallest eigenvalue above the edge, or 0."""
        return max(0.0, self.edge - self.smallest)

    def __str__(self) -> str:
        verdict = "is enough" if self.enough else f"is not enough without a ridge of {self.smallest_ridge:.2g}"
        return (
            f"{self.dtype} {verdict} for {len(self.eigenvalues)} points: smallest eigenvalue {self.smallest:.3g}, edge "
            f"of the rounding {self.edge:.3g}; the spectrum decays as i^-{self.exponent:.2f}, which would meet it at "
            f"about {self.critical_size:.2g} points"
        )


def precision_report(
    K: Array,
    dtype: Literal["float32", "float64"] = "float32",
    noise: float | None = None,
    law: NoiseLaw = "entries",
) -> PrecisionReport:
    """Say whether a precision is enough for a Gram matrix, and for how many points of the same kind it would be.

    The eigenvalues of a kernel on n points go as n C i^-a; errors of standard deviation s in the entries have
    eigenvalues up to 2 sqrt(n) s (Wigner). They meet at P* = (C / (2 s))^(2 / (2 a - 1)).

    Args:
        K: Gram matrix, (n, n), of at least 8 points, best computed in float64.
        dtype: The precision to judge.
        noise: Standard deviation of the error of an entry; None takes half a unit in the last place of the root mean
            square of the entries, one rounding.
        law: "entries": the error is symmetric with independent entries. "averaged": it is (G + G^T) / 2 with
            independent entries of G, whose edge is sqrt(2 n) s.

    Returns:
        The report; print it for a sentence.

    Raises:
        InvalidInput: On a matrix that is no Gram matrix, or a noise that is not positive.

    Cost:
        The eigenvalues, 4/3 n^3 flops.

    References:
        Lee et al. 2020, arXiv 2007.15801, whose form of P* is recalled, and derived here.

    Example:
        >>> import numpy as np
        >>> import widenet as wn
        >>> X = np.random.default_rng(0).standard_normal((100, 5))
        >>> report = precision_report(wn.NTK(wn.fully_connected(3))(X))
        >>> report.enough, report.critical_size > 1000
        (True, True)
    """
    matrix = read_gram(K)
    if len(matrix) < _FEWEST:
        raise InvalidInput(f"a spectrum needs {_FEWEST} points or more", str(len(matrix)))
    if dtype not in ("float32", "float64") or law not in ("entries", "averaged"):
        raise InvalidInput("dtype must be float32 or float64, law entries or averaged", f"{dtype!r} and {law!r}")
    entries = matrix.detach().cpu().to(torch.float64).numpy()
    if noise is None:
        noise = float(np.finfo(dtype).eps / 2 * np.sqrt(np.mean(np.square(entries))))
    _require_noise(noise)
    eigenvalues = eigvalsh(entries)
    rounding = ROUNDING * np.finfo(str(matrix.dtype)[6:]).eps * eigenvalues[-1]
    constant, exponent = _decay(eigenvalues[::-1] / len(eigenvalues), rounding / len(eigenvalues))
    return PrecisionReport(eigenvalues, dtype, float(noise), exponent, constant, law)


def critical_size(constant: float, exponent: float, noise: float, law: NoiseLaw = "entries") -> float:
    """P* = (C / (c s))^(2 / (2 a - 1)), where n C n^-a meets c sqrt(n) s; c is 2, or sqrt(2) for averaged errors.

    Args:
        constant: C, positive.
        exponent: a; up to 1/2 the two never meet.
        noise: s, positive.
        law: "entries" or "averaged".

    Raises:
        InvalidInput: On a constant or a noise that is not positive and finite.

    Example:
        >>> round(critical_size(1.0, 1.5, 0.01), 2), round(critical_size(1.0, 1.5, 0.01, "averaged"), 2)
        (50.0, 70.71)
    """
    _require_noise(noise)
    _require_noise(constant)
    return (constant / (_edge(law) * noise)) ** (2 / (2 * exponent - 1)) if exponent > 0.5 else inf


def _edge(law: NoiseLaw) -> float:
    return 2.0 if law == "entries" else sqrt(2.0)


def _require_noise(value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value) or value <= 0:
        raise InvalidInput("noise and constant must be positive and finite", repr(value))


def _decay(spectrum: np.ndarray, rounding: float) -> tuple[float, float]:
    """C and a of C i^-a through three octaves of a descending spectrum, each counting alike."""
    i = np.arange(1, len(spectrum) + 1)
    # The last half bends down: there the sample is too small for the spectrum of the kernel.
    used = (i > len(spectrum) // 16) & (i <= len(spectrum) // 2) & (spectrum > rounding)
    if used.sum() < 2:
        return float(spectrum[0]), inf
    slope, level = np.polyfit(np.log(i[used]), np.log(spectrum[used]), 1, w=1 / np.sqrt(i[used]))
    return float(np.exp(level)), float(-slope)
