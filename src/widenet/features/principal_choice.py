"""Which products of principal coordinates carry a kernel of the angle on given rows."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from scipy.fft import dct
from scipy.special import binom

from widenet.features.angle_terms import AngleForm

HIGHEST = 8  # degree of a product
_NODES = 32  # places on the first axis that span the functions of it
_EDGE = 0.97  # of these places: the functions are singular at 1 / edge
_TABLE = 192  # Chebyshev coefficients, which leave 1e-15 at this edge
_FUNCTIONS = 4  # of the first coordinate for each degree and term; twice as many for degree 0
_SERIES = 1024  # terms of the power series; 0.97^1024 is 3e-14
_ROUNDING = 1e-12  # Chebyshev coefficients that are left out, relative
_FAINT = 1e-12  # eigenvalues of the functions that are left out, relative
_NEGLIGIBLE = 1e-14  # energies, relative to the diagonal


@dataclass(frozen=True)
class AxisFunctions:
    """Functions of the first coordinate as Chebyshev series on [-1, 1].

    Attributes:
        table: Coefficients, (coefficients, functions).
        degrees: The degree of the products that each one multiplies.
        powers: The power of the norm that it carries.
    """

    table: np.ndarray
    degrees: np.ndarray
    powers: np.ndarray

    def take(self, chosen: np.ndarray) -> "AxisFunctions":
        """Some of the functions, with as many coefficients as they need."""
        table = self.table[:, chosen]
        sizes = np.abs(table).max(1)
        count = np.nonzero(sizes > _ROUNDING * sizes.max())[0][-1] + 1
        return AxisFunctions(table[:count], self.degrees[chosen], self.powers[chosen])

    def __call__(self, axis: np.ndarray, norms: np.ndarray) -> np.ndarray:
        """Values with the powers of the norms, (n, functions)."""
        values = chebyshev.chebvander(np.clip(axis, -1, 1), len(self.table) - 1) @ self.table
        return values * norms[:, None] ** self.powers


def axis_functions(form: AngleForm, axis: np.ndarray) -> AxisFunctions:
    """Functions psi of the first coordinate a with sum_t psi_jt(a) psi_jt(b) close to kappa^(j)(a b) / j!.

    By Nystroem's method with places on the axis where the rows are: the difference is positive semi-definite.

    Args:
        form: The kernel.
        axis: First coordinates of rows.
    """
    places = np.clip(np.quantile(axis, (np.arange(_NODES) + 0.5) / _NODES), -_EDGE, _EDGE)
    with np.errstate(under="ignore"):
        at_places, at_nodes = (np.vander(x, _SERIES, increasing=True) for x in (places, chebyshev.chebpts1(_TABLE)))
    tables, degrees, powers = [], [], []
    for term in form.terms:
        series = term.series(_SERIES)
        for degree in range(min(HIGHEST, len(series) - 1) + 1):
            tail = np.arange(len(series) - degree)
            derived = series[degree:] * binom(tail + degree, degree)
            if not derived.any():
                continue
            weighted = derived * at_places[:, : len(derived)]
            values, vectors = np.linalg.eigh(weighted @ at_places[:, : len(derived)].T)
            count = _FUNCTIONS * (2 if degree == 0 else 1)
            kept = np.nonzero(values > _FAINT * values[-1])[0][::-1][:count]
            found = at_nodes[:, : len(derived)] @ (weighted.T @ (vectors[:, kept] / np.sqrt(values[kept])))
            tables.append(_chebyshev_coefficients(found))
            degrees += [degree] * len(kept)
            powers += [term.power] * len(kept)
    return AxisFunctions(np.concatenate(tables, 1), np.array(degrees), np.array(powers, np.float64))


def _chebyshev_coefficients(values: np.ndarray) -> np.ndarray:
    """Of functions given at `chebpts1` nodes, (nodes, functions)."""
    coefficients = np.asarray(dct(values, type=2, axis=0)) / len(
        values
    )  # chebpts1 ascends: the odd ones change their sign
    coefficients[0] /= 2
    coefficients[1::2] *= -1
    return coefficients


@dataclass(frozen=True)
class Products:
    """Features as products: what to multiply.

    Attributes:
        monomials: Earlier product and coordinate of every product after the first, which is 1, (products - 1, 2).
        factors: Square roots of the ratios of multinomial coefficients, (products - 1,).
        features: Product and function of every feature, (features, 2), by falling energy.
        energies: Mean square of every feature over the rows.
    """

    monomials: np.ndarray
    factors: np.ndarray
    features: np.ndarray
    energies: np.ndarray


def choose_products(coordinates: np.ndarray, weights: np.ndarray, degrees: np.ndarray, size: int) -> Products:
    """The features psi(a) w^beta with the largest mean squares, each product once its factor is chosen.

    Args:
        coordinates: w of sample rows, (n, p).
        weights: psi(a) of them with powers of the norms, (n, functions).
        degrees: Degree of each function.
        size: How many features at most.
    """
    squares, weighted = coordinates**2, weights**2
    means = weighted.mean(0)
    search = _Search(size, _NEGLIGIBLE * means[degrees == 0].sum())
    search.add(np.zeros(1, int), np.nonzero(degrees == 0)[0], means[None, degrees == 0])
    level = _Level(np.zeros(1, int), np.zeros(1, int), np.zeros(1, int), np.ones((len(squares), 1)))
    for degree in range(1, int(degrees.max(initial=0)) + 1):
        functions = np.nonzero(degrees == degree)[0]
        # Square of the ratio of multinomial roots: degree / (how often the coordinate is there now).
        factors = np.full((len(level.numbers), squares.shape[1]), float(degree))
        if degree > 1:
            factors[np.arange(len(level.numbers)), level.last] = degree / (level.repeats + 1)
        energies = np.stack([(level.squares * weighted[:, f, None]).T @ squares for f in functions])
        energies *= factors / len(squares)
        energies[:, np.arange(squares.shape[1]) < level.last[:, None]] = 0
        parents, chosen = np.nonzero(energies.max(0) > search.needed(energies))
        if not len(parents):
            break
        numbers = search.grow(level.numbers[parents], chosen, np.sqrt(factors[parents, chosen]))
        search.add(numbers, functions, energies[:, parents, chosen].T)
        level = level.next(numbers, parents, chosen, factors[parents, chosen, None].T * squares[:, chosen])
    return search.result()


@dataclass(frozen=True)
class _Level:
    """Products of one degree: their numbers, last coordinates, how often that is in them, squares on the sample."""

    numbers: np.ndarray
    last: np.ndarray
    repeats: np.ndarray
    squares: np.ndarray

    def next(self, numbers: np.ndarray, parents: np.ndarray, chosen: np.ndarray, squares: np.ndarray) -> "_Level":
        again = (self.last[parents] == chosen) & (self.repeats[parents] > 0)
        return _Level(
            numbers, chosen, np.where(again, self.repeats[parents] + 1, 1), self.squares[:, parents] * squares
        )


class _Search:
    """Products and candidates so far, and the energy that one needs to be among the `size` largest."""

    def __init__(self, size: int, floor: float) -> None:
        self.size, self.least = size, floor
        self.monomials, self.factors = np.zeros((0, 2), int), np.zeros(0)
        self.features, self.energies = np.zeros((0, 2), int), np.zeros(0)

    def needed(self, energies: np.ndarray) -> float:
        """The same, were these candidates added."""
        every = np.concatenate([self.energies, energies.ravel()])
        smallest = -np.partition(-every, self.size - 1)[self.size - 1] if len(every) > self.size else 0.0
        return max(self.least, float(smallest) * (1 - 1e-9))

    def grow(self, parents: np.ndarray, chosen: np.ndarray, factors: np.ndarray) -> np.ndarray:
        first = len(self.monomials) + 1
        self.monomials = np.concatenate([self.monomials, np.stack([parents, chosen], 1)])
        self.factors = np.concatenate([self.factors, factors])
        return np.arange(first, first + len(parents))

    def add(self, numbers: np.ndarray, functions: np.ndarray, energies: np.ndarray) -> None:
        pairs = np.stack(np.broadcast_arrays(numbers[:, None], functions), -1).reshape(-1, 2)
        flat, found = np.concatenate([self.energies, energies.ravel()]), np.concatenate([self.features, pairs])
        order = np.argsort(-flat, kind="stable")[: self.size]
        order = order[flat[order] > 0]
        self.features, self.energies = found[order], flat[order]
        if len(order) == self.size:
            self.least = max(self.least, float(self.energies[-1]))

    def result(self) -> Products:
        """Without the products that no feature needs."""
        needed = np.zeros(len(self.monomials) + 1, bool)
        needed[self.features[:, 0]] = needed[0] = True
        for k in range(len(self.monomials), 0, -1):
            if needed[k]:
                needed[self.monomials[k - 1, 0]] = True
        renumbered = np.cumsum(needed) - 1
        kept = needed[1:]
        monomials = self.monomials[kept]
        monomials[:, 0] = renumbered[monomials[:, 0]]
        features = np.stack([renumbered[self.features[:, 0]], self.features[:, 1]], 1)
        return Products(monomials, self.factors[kept], features, self.energies)
