"""Exact features in the principal directions of the data: the best polynomials for kernels of the angle."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from widenet._arrays import Array
from widenet.errors import InvalidInput
from widenet.features._fused_monomials import write_products
from widenet.features.angle_terms import AngleForm, inverse
from widenet.features.base import FeatureMap, FittedMap, require_seed, require_size
from widenet.features.principal_choice import AxisFunctions, Products, axis_functions, choose_products
from widenet.features.rows import Rows, read_rows
from widenet.kernels import Kernel
from widenet.kernels.blocks import run_tiles

_SAMPLE = 2048  # rows that the directions come from
_ENERGY_SAMPLE = 1024  # rows that the energies come from
_FAINT = 1e-12  # part of the largest second moment below which a direction is rounding
_NUMBERS = 2**24  # most numbers in the matrix of directions


@dataclass(frozen=True)
class PrincipalFeatures(FeatureMap):
    """Features of a kernel of the angle as products of principal coordinates, the `size` largest ones for given rows.

    With u = x / |x| = (a, w), a the coordinate along the main direction of the rows and w those along the others,

        kappa(u.v) = sum_j kappa^(j)(a_u a_v) / j! (w_u . w_v)^j
                   = sum_j sum_t sum_{|b| = j} psi_jt(a_u) psi_jt(a_v) (j over b) w_u^b w_v^b,

    with multinomial coefficients (j over b): every product |x|^p psi_jt(a) sqrt(j over b) w^b is one exact feature.
    Those whose mean square over a sample of the rows is largest are kept; the others are left out, not sketched. So
    there is no noise, Z Z^T is never above K, and

        |K(x, y) - z(x) . z(y)|^2 <= remainder(x) remainder(y),      remainder(x) = K(x, x) - z(x) . z(x).

    The bound holds where the power series of kappa is known; else a fit of degree 64 with its own error stands for it.
    This library's own construction; it rests on the data being concentrated, as real data are, and has no advantage on
    isotropic ones. Rows unlike those of the fit get features that are as valid, with larger remainders.

    Args:
        kernel: A kernel of the angle: NTK or NNGP of a bias-free ReLU-like network, `Homogeneous`, `Zonal`,
            `ArcCosine`, their sums and products, or any kernel of the angle on rows of one norm.
        size: Number of features; columns for which there are no more products are 0.
        seed: Of the sample of rows, where there are more than 2,048.

    Raises:
        InvalidInput: If it is not a kernel, or on another size or seed.

    Cost:
        Fit: an eigen-decomposition for up to 2,048 rows and a second or two of search at size 4,096. A row: one product
        with the p directions that the features need (tens to hundreds), and two multiplications a feature.

    References: The expansion about a direction is Taylor's; exact low degrees of the NTK in Zandieh et al. 2021, arXiv
        2106.07880 (abstract and released code seen) are those without directions.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import fully_connected
        >>> from widenet.kernels import NTK
        >>> X = np.random.default_rng(0).random((200, 5))
        >>> kernel = NTK(fully_connected(2))
        >>> Z = PrincipalFeatures(kernel, 64)(X)
        >>> K = kernel(X)
        >>> Z.shape, bool(np.linalg.norm(Z @ Z.T - K) < 0.01 * np.linalg.norm(K))
        ((200, 64), True)
    """

    kernel: Kernel
    size: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise InvalidInput("PrincipalFeatures takes a kernel", repr(self.kernel))
        require_size("PrincipalFeatures", self.size)
        require_seed("PrincipalFeatures", self.seed)

    def fit(self, X: Array) -> "FittedPrincipal":
        """Find the directions and choose the products for rows like X (n, d), dense or SciPy's sparse ones."""
        rows = read_rows(X, "PrincipalFeatures")
        form = AngleForm.require(self.kernel, rows, "PrincipalFeatures")
        order = np.random.default_rng(self.seed).permutation(rows.shape[0])[:_SAMPLE]
        sample = _pick(rows, order)
        units, norms = form.directions(sample)
        directions = principal_directions(units, _importance(form, norms.numpy()))
        few = slice(0, _ENERGY_SAMPLE)
        coordinates = _project(units.take(few), directions).double().numpy()
        functions = axis_functions(form, coordinates[:, 0])
        weights = functions(coordinates[:, 0], norms[few].numpy())
        products = choose_products(coordinates[:, 1:], weights, functions.degrees, self.size)
        used = int(products.monomials[:, 1].max(initial=-1)) + 2
        needed, places = np.unique(products.features[:, 1], return_inverse=True)
        features = np.stack([products.features[:, 0], places], 1)
        return FittedPrincipal(
            self.size, form, directions[:, :used], functions.take(needed), replace(products, features=features)
        )


@dataclass(frozen=True, eq=False)
class FittedPrincipal(FittedMap):
    """Directions and products that are fixed.

    Attributes:
        size: Number of features.
        form: The kernel for rows of one form.
        directions: The main direction and the others, (d, 1 + p), float64.
        functions: Functions of the first coordinate.
        products: What to multiply; features by falling mean square.
    """

    size: int
    form: AngleForm
    directions: np.ndarray
    functions: AxisFunctions
    products: Products

    def transform(self, X: Array) -> Array:
        """Features of rows, dense or SciPy's sparse ones, (n, size)."""
        rows = read_rows(X, "PrincipalFeatures", self.form.fan_in)
        out = rows.empty(self.size)
        numbers = self.directions.shape[1] + len(self.functions.table) + (0 if rows.dense is None else self.form.fan_in)
        blocks = [(place.start, place.stop) for place, _ in rows.blocks(numbers)]

        def write(corners: tuple[int, int]) -> None:
            place = slice(*corners)
            self._write(rows.take(place), out[place])

        run_tiles(write, blocks, threads=torch.get_num_threads() if out.device.type == "cpu" else 1)
        return rows.restore(out)

    def remainder(self, X: Array) -> Array:
        """K(x, x) - z(x) . z(x) of rows, (n,): what the diagonal lacks, and a bound of the error of every entry."""
        rows, Z = read_rows(X, "PrincipalFeatures", self.form.fan_in), torch.as_tensor(self.transform(X))
        norms = rows.norms().double()
        diagonal = torch.stack([term.at_one * norms ** (2 * term.power) for term in self.form.terms]).sum(0)
        return rows.restore((diagonal - Z.double().square().sum(1)).to(rows.dtype))

    def _write(self, rows: Rows, out: Tensor) -> None:
        norms = self.form.norms(rows)
        coordinates = _project(rows, self.directions)
        coordinates *= inverse(norms)[:, None].to(coordinates)
        weights = self.functions(coordinates[:, 0].double().cpu().numpy(), norms.cpu().numpy())
        count, products = len(self.products.features), self.products
        out[:, count:] = 0
        if out.device.type != "cpu":
            out[:, :count] = products_by_level(products, coordinates[:, 1:], torch.from_numpy(weights).to(out))
            return
        kind = coordinates.numpy().dtype
        others = np.ascontiguousarray(coordinates[:, 1:].numpy())
        arrays = products.monomials, products.factors.astype(kind), products.features
        write_products(others, weights.astype(kind), *arrays, out[:, :count].numpy())


def products_by_level(products: Products, coordinates: Tensor, weights: Tensor) -> Tensor:
    """The same features by torch operations, on any device: all products of one degree at a time."""
    degrees = np.zeros(len(products.monomials) + 1, int)
    for k, parent in enumerate(products.monomials[:, 0]):
        degrees[k + 1] = degrees[parent] + 1
    values = torch.ones(len(coordinates), len(degrees), dtype=coordinates.dtype, device=coordinates.device)
    for degree in range(1, int(degrees.max()) + 1):
        (numbers,) = np.nonzero(degrees == degree)
        parents, chosen = products.monomials[numbers - 1].T
        factors = torch.from_numpy(products.factors[numbers - 1]).to(values)
        values[:, numbers] = values[:, parents] * coordinates[:, chosen] * factors
    return values[:, products.features[:, 0]] * weights[:, products.features[:, 1]]


def principal_directions(units: Rows, weights: np.ndarray) -> np.ndarray:
    """Eigenvectors of the weighted second moments of rows, largest first, (d, p); the rows point along the first."""
    count, dimension = units.shape
    roots = np.sqrt(weights)[:, None]
    if units.dense is not None:
        matrix = units.dense.double().cpu().numpy() * roots
    else:
        matrix = sparse.csr_array(units.csr.astype(np.float64).multiply(roots))
    if dimension <= count:
        values, vectors = np.linalg.eigh(_plain(matrix.T @ matrix))
        vectors = vectors[:, _largest(values, dimension)]
    else:
        values, vectors = np.linalg.eigh(_plain(matrix @ matrix.T))
        chosen = _largest(values, dimension)
        vectors = (matrix.T @ vectors[:, chosen]) / np.sqrt(values[chosen])
    ahead = np.sign((matrix @ vectors[:, 0]).sum()) or 1.0
    return np.concatenate([ahead * vectors[:, :1], vectors[:, 1:]], 1)


def _plain(moments: np.ndarray | sparse.csr_array | sparse.csc_array) -> np.ndarray:
    return moments if isinstance(moments, np.ndarray) else moments.toarray()


def _largest(values: np.ndarray, dimension: int) -> np.ndarray:
    most = max(16, _NUMBERS // dimension)
    order = np.argsort(-values)[:most]
    return order[values[order] > _FAINT * values[order[0]]]


def _importance(form: AngleForm, norms: np.ndarray) -> np.ndarray:
    """Diagonal of the kernel, which weighs the rows: the error is one of the Gram matrix."""
    total = np.sum([term.at_one * norms ** (2 * term.power) for term in form.terms], 0)
    if not total.max() > 0:
        raise InvalidInput("principal features need rows on which the kernel is not 0", "a kernel of 0 on all of them")
    return total / total.max()


def _pick(rows: Rows, order: np.ndarray) -> Rows:
    if rows.dense is None:
        return Rows(None, rows.csr[order], rows.numpy)
    return Rows(rows.dense[torch.from_numpy(order).to(rows.dense.device)], None, rows.numpy)


def _project(units: Rows, directions: np.ndarray) -> Tensor:
    if units.dense is None:
        return torch.from_numpy(units.csr @ directions.astype(units.csr.data.dtype, copy=False))
    # The transposed product: that of few columns takes up to five times as long.
    turned = torch.from_numpy(np.ascontiguousarray(directions.T)).to(units.dense)
    return (turned @ units.dense.T).T
