"""Random features of any kernel of the angle from its own spectrum on the sphere: one function of one projection."""

from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import Array
from widenet.errors import InvalidInput
from widenet.features._fused_monomials import write_polynomial
from widenet.features.angle_terms import AngleForm, FeatureTerm, inverse
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.features.hashing import stream
from widenet.features.rows import Rows, read_rows
from widenet.kernels import Kernel, ZonalAngle
from widenet.theory.spectrum import zonal_spectrum

_WANTED = 1e-5  # error of a degree's share of the diagonal, relative, up to which it is used
_FAINT = 1e-9  # share of the diagonal that is no column worth
_SIGNS = np.array([1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0])  # of degrees 0 to 7; from 3 on they repeat by four


@dataclass(frozen=True)
class ZonalRandomFeatures(FeatureMap):
    """Random features f(w . u) of a kernel of the angle, f made from the kernel's own spectrum on the sphere.

    With K(x, y) = |x|^p |y|^p kappa(u . v), kappa = sum_k s_k P_k, where s_k = N(d, k) lambda_k >= 0 is the share of
    degree k in kappa(1), P_k the Gegenbauer polynomial with P_k(1) = 1, and w uniform on the sphere,

        f = sum_{k >= 2} +-sqrt(s_k N(d, k)) P_k,        E f(w.u) f(w.v) = sum_{k >= 2} s_k P_k(u.v),

    so that one projection carries all degrees: a network of one hidden layer, with an activation of its own, whose
    kernel is that of the deep one. Degrees 0 and 1, sqrt(s_0) and sqrt(s_1) u, are exact columns where that lowers the
    variance. Signs are those of the Hermite coefficients of a ReLU-like function, for which f keeps small
    fourth moments. Directions come in orthogonal blocks of d. Degrees above `degree` are left out: `missing`.

    Args:
        kernel: A kernel of the angle, or any kernel of the angle on rows of one norm, such as Laplace or Matern.
        size: Number of features.
        seed: Of the directions.
        degree: Highest degree, at least 2.

    Raises:
        InvalidInput: If it is not a kernel, or on another size, seed or degree.

    Cost:
        A row: d x size multiplications, and the degree times the size more.

    References: Funk-Hecke formula; random Gegenbauer features, Han et al., arXiv 2202.03474 (recalled, not seen again).
        One function for all degrees, its signs and the exact low degrees are this library's.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Homogeneous, Laplace
        >>> X = np.array([[1.0, 0.0, 0.0], [1.2, 1.6, 0.0]])
        >>> kernel = Homogeneous(Laplace(2.0))
        >>> Z = ZonalRandomFeatures(kernel, 20_000)(X)
        >>> float(Z[0] @ Z[1]).__round__(1), float(kernel(X)[0, 1]).__round__(1)
        (1.3, 1.3)
    """

    kernel: Kernel
    size: int
    seed: int = 0
    degree: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise InvalidInput("ZonalRandomFeatures takes a kernel", repr(self.kernel))
        require_size("ZonalRandomFeatures", self.size)
        require_seed("ZonalRandomFeatures", self.seed)
        require_size("ZonalRandomFeatures degree", self.degree, 2)

    def fit(self, X: Array) -> "FittedZonal":
        """Take the spectrum and draw the directions, for rows of the form of X (n, d), dense or sparse; d from 2 on."""
        rows = read_rows(X, "ZonalRandomFeatures")
        form = AngleForm.require(self.kernel, rows, "ZonalRandomFeatures")
        form.norms(rows)
        if form.fan_in < 2:
            raise InvalidInput("a spectrum on the sphere needs rows of at least 2 numbers", str(form.fan_in))
        blocks = []
        for number, (term, size) in enumerate(zip(form.terms, form.sizes(self.size), strict=True)):
            spectrum = degree_shares(term, self.degree)
            blocks.append(ZonalBlock.draw(spectrum, form.fan_in, size, (self.seed, number)))
        return FittedZonal(self.size, form, tuple(blocks))


@lru_cache(maxsize=64)
def degree_shares(term: FeatureTerm, degree: int) -> np.ndarray:
    """Shares s_k of the degrees in kappa(1), as far as double precision knows them.

    Raises:
        InvalidInput: On a negative share: the function is no kernel.
    """
    kernel = ZonalAngle(term.function) if term.source is None else term.source
    spectrum = zonal_spectrum(kernel, term.fan_in, degree)
    counts = np.array(spectrum.multiplicities, np.float64)
    found, errors = spectrum.eigenvalues * counts, spectrum.errors * counts
    scale = abs(term.at_one)
    unknown = np.nonzero(errors > _WANTED * scale)[0]
    found = found[: unknown[0]] if len(unknown) else found
    if found.min() < -_WANTED * scale:
        raise InvalidInput("random features need a kernel", f"a share of {found.min():.3g} at degree {found.argmin()}")
    found = np.where(found < _FAINT * scale, 0.0, found)
    found.flags.writeable = False
    return found


@dataclass(frozen=True, eq=False)
class ZonalBlock:
    """The columns of one term.

    Attributes:
        shares: s_k.
        linear: Whether degree 1 has columns of its own.
        directions: w, unit columns (d, m).
        size: Number of columns.
    """

    shares: np.ndarray
    linear: bool
    directions: Tensor
    size: int

    @staticmethod
    def draw(found: np.ndarray, dimension: int, size: int, seed: tuple[int, int]) -> "ZonalBlock":
        """Directions for the columns that are left by the exact degrees."""
        constant = int(found[0] > 0)
        rest, higher = float(found[1:].sum()), float(found[2:].sum())
        left = size - constant, size - constant - dimension
        bounds = [
            part**2 / max(room, 0.5) if room >= 0 else inf for part, room in zip((rest, higher), left, strict=True)
        ]
        linear = bounds[1] <= bounds[0] and found[1] > 0 and left[1] >= 0
        count = max(0, left[int(linear)]) if (higher if linear else rest) > 0 else 0
        return ZonalBlock(found, bool(linear), _unit_directions(dimension, count, seed), size)

    def write(self, rows: Rows, norms: Tensor, out: Tensor) -> None:
        """Features at the directions of rows."""
        out.zero_()
        place, scales = int(self.shares[0] > 0), inverse(norms)[:, None].to(out)
        out[:, :place] = sqrt(self.shares[0])
        if self.linear:
            plain = torch.from_numpy(rows.csr.toarray()) if rows.dense is None else rows.dense
            out[:, place : place + plain.shape[1]] = sqrt(self.shares[1]) * plain * scales
            place += plain.shape[1]
        count = self.directions.shape[1]
        if count:
            if rows.dense is None:
                projections = torch.from_numpy(rows.csr @ self.directions.numpy().astype(rows.csr.data.dtype))
            else:
                projections = rows.dense @ self.directions.to(rows.dense)
            projections *= scales
            weights = _SIGNS[_repeated(len(self.shares))] * np.sqrt(self.shares)
            weights[: 1 + int(self.linear)] = 0
            out[:, place : place + count] = harmonic_sum(weights / sqrt(count), projections, self.directions.shape[0])


def _repeated(count: int) -> np.ndarray:
    degrees = np.arange(count)
    return np.where(degrees < 4, degrees, 4 + degrees % 4)


def harmonic_sum(weights: np.ndarray, t: Tensor, dimension: int) -> Tensor:
    """sum_k weights_k sqrt(N(d, k)) P_k(t); overwrites t on the CPU.

    By the powers of sqrt(d) t, which is of order 1: few degrees, so that nothing cancels.
    """
    powers = harmonic_powers(weights, dimension)
    t *= sqrt(dimension)
    if t.device.type == "cpu":
        write_polynomial(powers.astype(np.float32 if t.dtype == torch.float32 else np.float64), t.numpy())
        return t
    total = torch.full_like(t, float(powers[-1]))
    for power in powers[-2::-1].tolist():
        total = total * t + power
    return total


def harmonic_powers(weights: np.ndarray, dimension: int) -> np.ndarray:
    """Coefficients of sum_k weights_k sqrt(N(d, k)) P_k(t) in powers of sqrt(d) t.

    The orthonormal polynomials p_k have t p_k = a_{k+1} p_{k+1} + a_k p_{k-1} with
    a_k^2 = k (k + d - 3) / ((2k + d - 2)(2k + d - 4)).
    """
    previous, current = np.zeros(len(weights)), np.eye(1, len(weights))[0]
    total, before = weights[0] * current, 0.0
    for k in range(1, len(weights)):
        # At d = 2 the first ratio is 0 / 0; p_1 = sqrt(d) t.
        square = (
            k * (k + dimension - 3) / ((2 * k + dimension - 2) * (2 * k + dimension - 4)) if k > 1 else 1 / dimension
        )
        after = sqrt(square)
        previous, current = current, (np.roll(current, 1) / sqrt(dimension) - before * previous) / after
        before = after
        total = total + weights[k] * current
    return total


def _unit_directions(dimension: int, count: int, seed: tuple[int, int]) -> Tensor:
    """Uniform unit columns, orthogonal in blocks of d; single precision, as random directions need no more."""
    source, blocks = stream("ZonalRandomFeatures", *seed), [np.zeros((dimension, 0), np.float32)]
    for start in range(0, count, dimension):
        width = min(dimension, count - start)
        q, r = np.linalg.qr(source.standard_normal((dimension, width)))
        blocks.append((q * np.where(np.diag(r) < 0, -1.0, 1.0)).astype(np.float32))
    directions = np.concatenate(blocks, 1)
    lengths = np.linalg.norm(directions.astype(np.float64), axis=0)
    return torch.from_numpy(directions / lengths)  # double precision again: unit to its last digit


@dataclass(frozen=True, eq=False)
class FittedZonal(FittedMap):
    """Functions and directions that are fixed.

    Attributes:
        size: Number of features.
        form: The kernel for rows of one form.
        blocks: The columns of each term.
    """

    size: int
    form: AngleForm
    blocks: tuple  # of ZonalBlock: the checker of annotations would compare two imports of this module in doctests

    @property
    def missing(self) -> float:
        """What the degrees that are left out hold of the diagonal at |x| = 1: a bound of the bias of an entry."""
        return sum(term.at_one - block.shares.sum() for term, block in zip(self.form.terms, self.blocks, strict=True))

    def transform(self, X: Array) -> Array:
        """Features of rows, dense or SciPy's sparse ones, (n, size)."""
        rows = read_rows(X, "ZonalRandomFeatures", self.form.fan_in)
        out = rows.empty(self.size)
        for place, part in rows.blocks(self.size):
            norms, first = self.form.norms(part), 0
            for term, block in zip(self.form.terms, self.blocks, strict=True):
                columns = out[place, first : first + block.size]
                block.write(part, norms, columns)
                columns *= (norms**term.power).to(columns)[:, None]
                first += block.size
        return rows.restore(out)
