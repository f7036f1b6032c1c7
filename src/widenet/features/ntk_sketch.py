"""NTKSketch: one polynomial in the cosine for a network of any depth, low degrees exact, the others sketched."""

from dataclasses import dataclass
from math import comb, inf, sqrt

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import Array, is_count
from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.features.angle_terms import AngleForm, shares
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.features.poly_sketch import PolySketch
from widenet.features.polynomial import AnglePolynomial, Fit, require_degree
from widenet.features.rows import Rows, read_rows
from widenet.kernels import NTK, Kernel


@dataclass(frozen=True)
class NTKSketch(FeatureMap):
    """Features of a kernel of the angle from a polynomial in the cosine: low degrees exact, the others by PolySketch.

    With K(x, y) = |x|^p |y|^p kappa(cos), kappa(a) close to sum_j c_j a^j, all c_j >= 0, and u = x / |x|:

        z(x) = |x|^p [sqrt(c_0), sqrt(c_1) u, sqrt(c_2) S_2 u, ..., sqrt(c_q) S_q u],   E <S_j u, S_j v> = <u, v>^j.

    Degree 0 takes one column; degree 1 takes d exact columns and degree 2 d (d + 1) / 2 of them where that lowers the
    bound (sum of the sketched c_j)^2 / (columns for them), which is least for columns in proportion to c_j. Nothing is
    learned from the rows, and only their non-zeros are touched.

    Args:
        kernel: A kernel of the angle, or a depth L: then the NTK of a bias-free ReLU network of L hidden layers,
            `NTK(fully_connected(L, scaling="geifman"))`, whose kappa(1) is L + 1.
        size: Number of features.
        degree: q, the highest power.
        fitting: "nnls", "nnls with exact diagonal", "minimax" (see `fit_angle`) or "taylor".
        seed: Of the sketches.

    Raises:
        InvalidInput: If it is neither a kernel nor a depth, or on another size, degree, name or seed.

    Cost:
        Non-zeros of a row times the degree, and some 2 q Walsh-Hadamard transforms of the size.

    References: Zandieh et al. 2021, arXiv 2106.07880 and 2104.00415 (abstracts and released code seen, not the full
        text). Exact low degrees, the split of the columns and the minimax fit are this library's.

    Example:
        >>> import numpy as np
        >>> X = np.array([[1.0, 0.0], [0.6, 0.8]])
        >>> Z = NTKSketch(1, size=6, degree=2, fitting="minimax")(X)  # two degrees of two columns: all of it exact
        >>> (Z @ Z.T).round(3)
        array([[1.953, 1.117],
               [1.117, 1.953]])
    """

    kernel: Kernel | int
    size: int
    degree: int = 4
    fitting: Fit = "nnls"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel) and not is_count(self.kernel):
            raise InvalidInput("NTKSketch takes a kernel, or a depth of at least 1", repr(self.kernel))
        require_size("NTKSketch", self.size)
        require_degree(self.degree)
        require_seed("NTKSketch", self.seed)
        if self.fitting not in Fit.__args__:
            raise InvalidInput(
                f"NTKSketch.fitting must be one of {', '.join(map(repr, Fit.__args__))}", repr(self.fitting)
            )

    @property
    def target(self) -> Kernel:
        """The kernel that the features stand for."""
        return relu_tangent(self.kernel)

    def fit(self, X: Array) -> "FittedNTKSketch":
        """Fit the polynomials and share the columns out, for rows of the form of X (n, d), dense or sparse."""
        rows = read_rows(X, "NTKSketch")
        form = AngleForm.require(self.target, rows, "NTKSketch")
        form.norms(rows)
        polynomials = tuple(term.polynomial(self.degree, self.fitting) for term in form.terms)
        blocks = []
        for number, (polynomial, size) in enumerate(zip(polynomials, form.sizes(self.size), strict=True)):
            blocks.append(Columns.plan(polynomial.coefficients, form.fan_in, size, (self.seed, number)))
        return FittedNTKSketch(self.size, form, polynomials, tuple(blocks))


def relu_tangent(kernel: Kernel | int) -> Kernel:
    """The kernel itself, or the NTK of a bias-free ReLU network of that many hidden layers, kappa(1) = depth + 1."""
    return kernel if isinstance(kernel, Kernel) else NTK(fully_connected(int(kernel), scaling="geifman"))


@dataclass(frozen=True)
class Columns:
    """How the columns of one term are used.

    Attributes:
        coefficients: c_0, ..., c_q.
        exact: Highest degree whose columns are exact: -1, 0, 1 or 2.
        sketch: Of the higher degrees, or None where there is no column for them.
        size: Number of columns.
    """

    coefficients: tuple[float, ...]
    exact: int
    sketch: PolySketch | None
    size: int

    @staticmethod
    def plan(coefficients: tuple[float, ...], dimension: int, size: int, seed: tuple[int, int]) -> "Columns":
        """Choose the exact degrees by the least bound of the sketched ones, and split the rest by c_j."""
        c = np.array(coefficients)
        options = {
            exact: _bound(c, exact, size - _used(c, exact, dimension)) for exact in range(min(2, len(c) - 1) + 1)
        }
        exact = min(options, key=lambda choice: options[choice])
        left = size - _used(c, exact, dimension)
        sizes = [0] * exact + shares(c[exact + 1 :].tolist(), left) if len(c) > exact + 1 else []
        own = int(np.random.SeedSequence(seed).generate_state(1)[0])
        return Columns(coefficients, exact, PolySketch(dimension, tuple(sizes), own) if sum(sizes) else None, size)

    def write(self, units: Rows, out: Tensor) -> None:
        """Features of unit rows."""
        roots, place = np.sqrt(self.coefficients), 0
        plain = None
        for degree in range(self.exact + 1):
            if roots[degree] == 0:
                continue
            if degree == 0:
                part = torch.ones_like(out[:, :1])
            else:
                plain = torch.from_numpy(units.csr.toarray()) if units.dense is None else units.dense
                part = plain if degree == 1 else _squares(plain)
            out[:, place : place + part.shape[1]] = float(roots[degree]) * part
            place += part.shape[1]
        if self.sketch is not None:
            sketched = out.new_empty(len(out), self.sketch.size)
            weights = [float(root) for root in roots[1:]]
            self.sketch.write(units, sketched, 0, weights[: len(self.sketch.sizes)])
            out[:, place : place + self.sketch.size] = sketched
            place += self.sketch.size
        out[:, place:] = 0

    def variance(self, cosine: float) -> float:
        """Upper bound of the variance of z(u) . z(v) for unit rows with that cosine."""
        if self.sketch is None:
            return 0.0
        deviations = [
            self.coefficients[degree] * sqrt(self.sketch.variance(cosine, degree))
            for degree, size in enumerate(self.sketch.sizes, 1)
            if size
        ]
        return sum(deviations) ** 2  # powers share a tree, so that their errors may add up


def _used(c: np.ndarray, exact: int, dimension: int) -> int:
    return sum(comb(dimension + degree - 1, degree) for degree in range(exact + 1) if c[degree] > 0)


def _bound(c: np.ndarray, exact: int, left: int) -> float:
    rest = float(c[exact + 1 :].sum())
    if left < 0:
        return inf
    return rest**2 / left if left else (inf if rest and exact else rest**2)


def _squares(rows: Tensor) -> Tensor:
    """Products of two coordinates, so that inner products are squares of those of the rows, (n, d (d + 1) / 2)."""
    i, j = torch.triu_indices(rows.shape[1], rows.shape[1], device=rows.device)
    return rows[:, i] * rows[:, j] * torch.where(i == j, 1, 2).to(rows).sqrt()


@dataclass(frozen=True, eq=False)
class FittedNTKSketch(FittedMap):
    """Polynomials and sketches that are fixed.

    Attributes:
        size: Number of features.
        form: The kernel for rows of one form.
        polynomials: One a term, with the errors of the fits.
        columns: What each term does with its columns.
    """

    size: int
    form: AngleForm
    polynomials: tuple[AnglePolynomial, ...]
    columns: tuple  # of Columns: the checker of annotations would compare two imports of this module in doctests

    def transform(self, X: Array) -> Array:
        """Features of rows, dense or SciPy's sparse ones, (n, size)."""
        rows = read_rows(X, "NTKSketch", self.form.fan_in)
        out = rows.empty(self.size)
        for place, block in rows.blocks(self.size):
            self._write(block, out[place])
        return rows.restore(out)

    def _write(self, rows: Rows, out: Tensor) -> None:
        units, norms = self.form.directions(rows)
        first = 0
        for term, columns in zip(self.form.terms, self.columns, strict=True):
            part = out[:, first : first + columns.size]
            columns.write(units, part)
            part *= (norms**term.power).to(part)[:, None]
            first += columns.size

    def error(self, cosine: float) -> float:
        """Bound of the mean error of z(u) . z(v) for unit rows: that of the fit, and a standard deviation."""
        fits = sum(
            abs(float(polynomial(np.array(cosine))) - float(term.function(torch.tensor([np.arccos(cosine)]))))
            for polynomial, term in zip(self.polynomials, self.form.terms, strict=True)
        )
        return fits + sqrt(sum(columns.variance(cosine) for columns in self.columns))
