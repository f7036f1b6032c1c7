"""Gram matrices of kernels of the angle: any depth at the price of one matrix product."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from widenet.kernels import _fused
from widenet.kernels.angular_terms import AngularTerm, CompiledTerms, compiled_terms
from widenet.kernels.blocks import fill_blocks, new_matrix, run_tiles, tile_corners
from widenet.kernels.profile import SMALLEST_SINE, angles_of_sines

_TRITON = find_spec("triton") is not None  # it comes with torch's CUDA builds for Linux
if _TRITON:
    from widenet.kernels import _fused_triton

_TILE = 256  # rows and columns of a tile
_PART = 2**14  # near pairs a torch call
_PAD = 16  # keeps the rows of a tile out of one another's cache sets
_EXACT_SWITCH = 1e-6  # sine below which even a double-precision product is not exact enough for float32
_REDO = 32  # a tile with more than one near pair in this many takes its product again in double precision


def common_norm(X: Tensor, Y: Tensor | None) -> float | None:
    """The one norm of all rows, within rounding of their dtype, or None where norms differ.

    Rounded to a grid of 2 to 4 units of that rounding, so that blocks of the same points share one compiled profile.
    """
    low, high = math.inf, 0.0
    for points in (X,) if Y is None else (X, Y):
        norms = torch.linalg.vector_norm(points.detach(), dim=1, dtype=torch.float64)
        low, high = min(low, float(norms.min())), max(high, float(norms.max()))
    eps = torch.finfo(X.dtype).eps
    if not (low > 0 and high - low <= 4 * eps * high):
        return None
    mantissa, exponent = math.frexp((low + high) / 2)
    return math.ldexp(round(mantissa / (2 * eps)) * 2 * eps, exponent)


def angular_gram(terms: tuple[AngularTerm, ...], X: Tensor, Y: Tensor | None) -> Tensor:
    """Gram matrix of a sum of terms |x|^p |y|^p k_p(theta), differentiable in X and Y; 0 where a row is 0.

    Each term is compiled once per precision to polynomials (`AngleProfile`); a function that is too rough for
    them is evaluated itself, in double precision, pair by pair. Near duplicates and near antipodes take
    their angle from differences of the rows, exact duplicates take the value of the diagonal.

    Args:
        terms: The terms.
        X: Points, (n, d).
        Y: Points, (m, d), or None for X itself.

    Returns:
        (n, m), or (n, n) with an exact diagonal.

    Cost:
        The product X Y^T (half of it with Y None) and about a nanosecond per entry and core. A
        gradient costs three such products in double precision.
    """
    if torch.is_grad_enabled() and (X.requires_grad or (Y is not None and Y.requires_grad)):
        return _AngularGram.apply(X, X if Y is None else Y, terms, Y is None)
    return _gram(terms, X.detach(), None if Y is None else Y.detach())


@dataclass(frozen=True, eq=False)
class _Rows:
    """Points with their directions and norms.

    Attributes:
        rows: The points themselves, (n, d), contiguous.
        units: Their directions in the working precision; 0 for zero rows.
        norms: Their norms in double precision, (n,).
    """

    rows: Tensor
    units: Tensor
    norms: np.ndarray

    @staticmethod
    def of(points: Tensor) -> "_Rows":
        rows = points.contiguous()
        units, norms = torch.empty_like(rows), np.empty(len(rows))
        _fused.unit_rows(rows.numpy(), units.numpy(), norms)
        return _Rows(rows, units, norms)

    def exact_units(self, part: slice) -> Tensor:
        """Directions of some rows in double precision."""
        scales = np.divide(1.0, self.norms[part], out=np.zeros_like(self.norms[part]), where=self.norms[part] > 0)
        return self.rows[part].double() * torch.from_numpy(scales)[:, None]

    def weights(self, degrees: tuple[float, ...]) -> np.ndarray:
        """Powers of the norms, (terms, n)."""
        return np.stack([self.norms**degree for degree in degrees])


def _gram(terms: tuple[AngularTerm, ...], X: Tensor, Y: Tensor | None) -> Tensor:
    compiled = compiled_terms(terms, X.dtype) if X.device.type == "cpu" else None
    if compiled is None:
        return _plain_gram(terms, X, Y)
    source = AngularTiles(compiled, X, Y)
    result = new_matrix(len(X), len(X) if Y is None else len(Y), X)
    target = result.numpy()

    def fill(corner: tuple[int, int]) -> None:
        i, j = corner
        rows, columns = slice(i, min(i + _TILE, target.shape[0])), slice(j, min(j + _TILE, target.shape[1]))
        shape, same = (rows.stop - i, columns.stop - j), Y is None and i == j
        values = source.values(rows, columns, same=same)
        _fused.store_tile(values, shape, target, i, j)
        if Y is None and not same:
            _fused.store_mirrored(values, shape, target, j, i)

    tiles = tile_corners(len(result), result.shape[1], _TILE, symmetric=Y is None)
    run_tiles(fill, tiles, threads=torch.get_num_threads())
    _fill_zero_rows(result, source.left, source.right)
    return result


def angular_tiles(terms: tuple[AngularTerm, ...], X: Tensor, Y: Tensor | None) -> "AngularTiles | None":
    """The tiles of a Gram matrix that is not to be stored; None where the fused loops do not apply.

    That is on an accelerator, where a function is too rough to compile, and where a row is zero.
    """
    compiled = compiled_terms(terms, X.dtype) if X.device.type == "cpu" else None
    tiles = None if compiled is None else AngularTiles(compiled, X, Y)
    if tiles is None or (tiles.left.norms == 0).any() or (tiles.right.norms == 0).any():
        return None
    return tiles


class _Buffer(threading.local):
    """One tile of working memory a thread."""

    tile: Tensor | None = None


class AngularTiles:
    """Tiles of a Gram matrix of terms in the angle, one at a time in the working memory of each thread.

    Args:
        compiled: The terms.
        X: Points, (n, d), on the CPU.
        Y: Points, (m, d), or None for X itself.
    """

    def __init__(self, compiled: CompiledTerms, X: Tensor, Y: Tensor | None) -> None:
        self.compiled, self.left = compiled, _Rows.of(X)
        self.right = self.left if Y is None else _Rows.of(Y)
        self.weights = self.left.weights(compiled.degrees), self.right.weights(compiled.degrees)
        self.buffer = _Buffer()

    def values(self, rows: slice, columns: slice, *, same: bool) -> np.ndarray:
        """Kernel values between rows of X and of Y, at most 256 of each, in the first entries of the first rows.

        The array is this thread's buffer, which its next call overwrites; `same` says that the tile lies on the
        diagonal of K(X, X).
        """
        values = self._sines(rows, columns, same)
        _fused.evaluate_tile(
            values,
            (self.compiled.coefficients, self.compiled.maps, self.compiled.roots, self.compiled.at_duplicates),
            self.weights[0][:, rows],
            self.weights[1][:, columns],
            same,
        )
        if same:
            _fused.mirror_within(values, rows.stop - rows.start)
        return values

    def _sines(self, rows: slice, columns: slice, same: bool) -> np.ndarray:
        """Signed sines of the angles of one tile, with near pairs repaired, in this thread's buffer."""
        left, right = self.left, self.right
        switches = self.compiled.near, self.compiled.far
        shape = rows.stop - rows.start, columns.stop - columns.start
        buffer = self._buffer()
        tile, sines = buffer[: shape[0], : shape[1]], buffer.numpy()
        torch.mm(left.units[rows], right.units[columns].T, out=tile)
        close = _fused.signed_sines(sines, shape, switches)
        if close - (shape[0] if same else 0) > tile.numel() // _REDO and tile.dtype == torch.float32:
            # Data all in one direction: a double-precision product is cheaper than single pairs.
            exact = left.exact_units(rows) @ right.exact_units(columns).T
            switches = _EXACT_SWITCH, _EXACT_SWITCH
            close = _fused.signed_sines(exact.numpy(), shape, switches)
            tile.copy_(exact)
        if same:
            tile.fill_diagonal_(0)
        if close > 0:
            norms = left.norms[rows], right.norms[columns]
            _fused.repair_sines(sines, left.rows[rows].numpy(), right.rows[columns].numpy(), norms, switches, same)
        return sines

    def _buffer(self) -> Tensor:
        if self.buffer.tile is None:
            self.buffer.tile = torch.empty(_TILE, _TILE + _PAD, dtype=self.left.rows.dtype)
        return self.buffer.tile


def _fill_zero_rows(result: Tensor, left: _Rows, right: _Rows) -> None:
    # By index: torch would answer a mask by a pass over the whole matrix.
    for i in np.nonzero(left.norms == 0)[0]:
        result[i] = 0
    for j in np.nonzero(right.norms == 0)[0]:
        result[:, j] = 0


@dataclass(frozen=True, eq=False)
class _Part:
    """The terms of one degree as torch functions of signed sines: values, and derivatives in the cosine."""

    degree: float
    values: Callable[[Tensor], Tensor]
    slopes: Callable[[Tensor], Tensor]


def _parts(terms: tuple[AngularTerm, ...], dtype: torch.dtype) -> list[_Part]:
    compiled = compiled_terms(terms, dtype)
    if compiled is not None:
        pairs = zip(compiled.degrees, compiled.profiles, strict=True)
        return [_Part(degree, profile.of_sines, profile.slope_in_cosines) for degree, profile in pairs]
    return [_Part(t.degree, partial(_exact_values, t.function), partial(_exact_slopes, t.function)) for t in terms]


def _exact_values(function: Callable[[Tensor], Tensor], sigma: Tensor) -> Tensor:
    return function(angles_of_sines(sigma.double())).to(sigma.dtype)


def _exact_slopes(function: Callable[[Tensor], Tensor], sigma: Tensor) -> Tensor:
    theta = angles_of_sines(sigma.double()).requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(function(theta).sum(), theta)
    sine = torch.sin(theta.detach())
    return torch.where(sigma.abs() > SMALLEST_SINE, -slope / sine.where(sine > 0, 1.0), 0.0).to(sigma.dtype)


def _plain_gram(terms: tuple[AngularTerm, ...], X: Tensor, Y: Tensor | None) -> Tensor:
    """The same on any device, and for functions that do not compile: in double precision by torch, or by Triton."""
    parts = _parts(terms, torch.float64)
    compiled = compiled_terms(terms, X.dtype)

    def cross(X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        if X.device.type == "cuda" and _TRITON and compiled is not None:
            block = _triton_block(compiled, parts, X, Y, same=same)
            if block is not None:
                return block
        sines, x_norms, y_norms = _sines_between(X, Y, same=same)
        return _of_sines(parts, sines, x_norms[:, None], y_norms).to(X.dtype)

    return fill_blocks(cross, X, Y)


def _of_sines(parts: list[_Part], sines: Tensor, x_norms: Tensor, y_norms: Tensor) -> Tensor:
    """Kernel of signed sines and norms that broadcast to them, in double precision; 0 where a norm is 0."""
    values = torch.zeros_like(sines)
    for part in parts:
        values += part.values(sines) * x_norms**part.degree * y_norms**part.degree
    return values.masked_fill_((x_norms == 0) | (y_norms == 0), 0)


def _triton_block(compiled: CompiledTerms, parts: list[_Part], X: Tensor, Y: Tensor, *, same: bool) -> Tensor | None:
    """A block by the fused pass; None where so many pairs are near that double precision is the cheaper way."""
    (x_units, x_norms), (y_units, y_norms) = _directions(X), _directions(Y)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # of a product in TF32 nothing would be left near the diagonal
    try:
        block = x_units.to(X.dtype) @ y_units.to(X.dtype).T
    finally:
        torch.set_float32_matmul_precision(precision)
    x_weights, y_weights = (
        torch.stack([norms**degree for degree in compiled.degrees]).to(X.dtype) for norms in (x_norms, y_norms)
    )
    first, capacity = (0 if same else None), max(1024, block.numel() // _REDO)
    close = _fused_triton.evaluate(block, compiled, x_weights, y_weights, first, capacity)
    if close is None:
        return None
    flat = block.view(-1)
    for chosen in close.split(_PART):
        a, b = chosen // len(Y), chosen % len(Y)
        opposite = (x_units[a] * y_units[b]).sum(1) < 0
        sign = torch.where(opposite, -1.0, 1.0).double()
        sines = torch.linalg.vector_norm(x_units[a] - sign[:, None] * y_units[b], dim=1) / 2
        sines = torch.where(opposite, -sines.clamp_min(SMALLEST_SINE), sines)
        flat[chosen] = _of_sines(parts, sines, x_norms[a], y_norms[b]).to(X.dtype)
    if same:
        block.diagonal().copy_(_of_sines(parts, torch.zeros_like(x_norms), x_norms, x_norms))
    return block.masked_fill_((x_norms == 0)[:, None] | (y_norms == 0), 0)


def _sines_between(X: Tensor, Y: Tensor, *, same: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Signed sines of the angles between rows, (n, m), and the norms of the rows, all in double precision."""
    (x_units, x_norms), (y_units, y_norms) = _directions(X), _directions(Y)
    cosines = x_units @ y_units.T
    sines = torch.sqrt((1 - cosines.abs()).clamp_min(0) / 2)
    # Rounding of the product leaves an error of 1e-16 / (4 sine): below 1e-3 the difference itself is used.
    i, j = torch.nonzero((sines < 1e-3) & (x_norms > 0)[:, None] & (y_norms > 0), as_tuple=True)
    for part in range(0, len(i), _PART):
        a, b = i[part : part + _PART], j[part : part + _PART]
        sign = torch.where(cosines[a, b] < 0, -1.0, 1.0).double()
        sines[a, b] = torch.linalg.vector_norm(x_units[a] - sign[:, None] * y_units[b], dim=1) / 2
    if same:
        sines.fill_diagonal_(0)
    return torch.where(cosines < 0, -sines.clamp_min(SMALLEST_SINE), sines), x_norms, y_norms


def _directions(points: Tensor) -> tuple[Tensor, Tensor]:
    """Directions and norms of rows in double precision, without overflow; zero rows stay zero."""
    rows = points.double()
    largest = rows.abs().amax(1)
    norms = torch.linalg.vector_norm(rows / largest.where(largest > 0, 1.0)[:, None], dim=1) * largest
    return rows / norms.where(norms > 0, 1.0)[:, None], norms


class _AngularGram(torch.autograd.Function):
    """The Gram matrix with its gradient: dK / dcos = -+ (dk / dsine) / (4 sine), taken as 0 at duplicates."""

    @staticmethod
    def forward(ctx, X: Tensor, Y: Tensor, terms: tuple[AngularTerm, ...], same: bool) -> Tensor:
        ctx.save_for_backward(X, Y)
        ctx.terms, ctx.same = terms, same
        return _gram(terms, X, None if same else Y)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        X, Y = ctx.saved_tensors
        to_x, to_y = _gradients(ctx.terms, X, Y, upstream, same=ctx.same)
        if ctx.same:
            return to_x + to_y, None, None, None
        return to_x, to_y, None, None


def _gradients(
    terms: tuple[AngularTerm, ...], X: Tensor, Y: Tensor, upstream: Tensor, *, same: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of sum(upstream * K) in X and in Y, in double precision by blocks of rows."""
    parts = _parts(terms, torch.float64)
    to_x, to_y = torch.zeros_like(X, dtype=torch.float64), torch.zeros_like(Y, dtype=torch.float64)
    rows = max(1, 2**22 // len(Y))
    for start in range(0, len(X), rows):
        chosen = slice(start, start + rows)
        sines, x_norms, y_norms = _sines_between(X[chosen], Y, same=False)
        if same:
            sines.diagonal(start).zero_()
        x_units = X[chosen].double() / x_norms.where(x_norms > 0, 1.0)[:, None]
        y_units = Y.double() / y_norms.where(y_norms > 0, 1.0)[:, None]
        defined = (x_norms > 0)[:, None] & (y_norms > 0)
        given = upstream[chosen].double() * defined
        by_cosine, by_x, by_y = torch.zeros_like(sines), torch.zeros_like(x_norms), torch.zeros_like(y_norms)
        for part in parts:
            weighted = given * x_norms[:, None] ** part.degree * y_norms**part.degree
            by_cosine += weighted * part.slopes(sines)
            if part.degree:
                values = weighted * part.values(sines)
                by_x += part.degree * values.sum(1)
                by_y += part.degree * values.sum(0)
        to_x[chosen] = _in_points(by_cosine @ y_units, by_x, x_units, x_norms)
        to_y += _in_points(by_cosine.T @ x_units, by_y, y_units, y_norms)
    return to_x.to(X.dtype), to_y.to(Y.dtype)


def _in_points(by_unit: Tensor, by_log_norm: Tensor, units: Tensor, norms: Tensor) -> Tensor:
    """Gradient in the points from those in their directions and in the logarithms of their norms."""
    tangent = by_unit - (by_unit * units).sum(1, keepdim=True) * units
    return (tangent + by_log_norm[:, None] * units) / norms.where(norms > 0, 1.0)[:, None]
