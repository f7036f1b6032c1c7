"""Tangent kernels by blocks of points: factors kept for one block, met by those of the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt, prod

import torch
from torch import Tensor

from widenet._arrays import row_blocks
from widenet.kernels.blocks import new_matrix
from widenet.kernels.progress import counted
from widenet.networks.jacobian import jacobian_rows, pull_back, push_forward
from widenet.networks.kernel_costs import Layout
from widenet.networks.kernel_factors import Factor, Form, GradientFactor, Way, form_shape, sliced
from widenet.networks.module_function import ModuleFunction, evaluation
from widenet.networks.structured import Part, factors_of, see

_CELLS = 2**19  # entries of a tile of the result: 4 MiB, so that sums over parts stay in the cache
_SMALLEST_TILE = 48  # points: smaller ones would spoil the products of matrices


@dataclass(frozen=True, eq=False)
class FactorSource:
    """Where the factors of points come from.

    Attributes:
        function: The module.
        parts: Parts with structured derivatives, and the way of each.
        rest: Names of the parameters that Jacobians serve.
    """

    function: ModuleFunction
    parts: Sequence[tuple[Part, Way]]
    rest: tuple[str, ...]

    def factors(self, X: Tensor, *, graph: bool = False, room: Sequence[Factor] | None = None) -> list[Factor]:
        """Factors of one batch of points.

        Args:
            X: The points.
            graph: Whether they are to be differentiable in the points.
            room: Where gradients may be formed, one for each factor.
        """
        found: list[Factor] = []
        with evaluation(X.device):
            if self.parts:
                view = see(self.function, [part for part, _ in self.parts], X, graph=graph)
                with torch.set_grad_enabled(graph):
                    for part, way in self.parts:
                        here = None if room is None else room[len(found)]
                        # Slices take one another's memory, which reverse mode may still need.
                        kept: Way = "gradients" if graph and way == "gradients in slices" else way
                        found += factors_of(part, view.of(part), kept, here)
                del view
            if self.rest:
                with torch.set_grad_enabled(graph):
                    found += [GradientFactor(rows) for rows in jacobian_rows(self.function, self.rest, X)]
        return found

    def batches(self, X: Tensor, size: int) -> Iterator[list[Factor]]:
        """Factors of one batch after the other."""
        return (self.factors(X[rows]) for rows in row_blocks(len(X), size))

    def kept(self, X: Tensor, size: int) -> list[Factor]:
        """Factors of all these points, evaluated in batches."""
        if len(X) <= size:
            return self.factors(X)
        whole: list[Factor] = []
        for rows in row_blocks(len(X), size):
            batch = self.factors(X[rows], room=[factor.rows(rows) for factor in whole] or None)
            if not whole:
                sizes = [[(len(X), *tensor.shape[1:]) for tensor in factor.tensors] for factor in batch]
                whole = [
                    factor.holding(tuple(_room(shape, X) for shape in shapes))
                    for factor, shapes in zip(batch, sizes, strict=True)
                ]
            for factor, part in zip(whole, batch, strict=True):
                for target, source in zip(factor.rows(rows).tensors, part.tensors, strict=True):
                    if target.data_ptr() != source.data_ptr():
                        target.copy_(source)
            del batch, part, source  # the next batch is evaluated without this one beside it
        return whole


def _room(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return new_matrix(shape[0], prod(shape[1:]), like).view(shape)


@dataclass(frozen=True, eq=False)
class Request:
    """A tangent kernel that is asked for.

    Attributes:
        X: Points, (n, ...).
        Y: Points, (m, ...), or None for X itself: then half of the pairs are computed, and mirrored.
        form: Trace, per output, or full.
        outputs: Outputs of the module.
        layout: Points that are kept and evaluated at a time.
    """

    X: Tensor
    Y: Tensor | None
    form: Form
    outputs: int
    layout: Layout

    def empty(self) -> Tensor:
        """Room for the result, (k, n, a, m, a)."""
        k, a = form_shape(self.form, self.outputs)
        n, m = len(self.X), len(self.X if self.Y is None else self.Y)
        return new_matrix(k * n * a, m * a, self.X).view(k, n, a, m, a)


def gram_of_factors(source: FactorSource, request: Request) -> Tensor:
    """Tangent kernel of all pairs without gradients, (k, n, a, m, a) with k and a by the form.

    Args:
        source: Where factors come from.
        request: What is asked.
    """
    X, Y, layout, result = request.X, request.Y, request.layout, request.empty()
    blocks = list(row_blocks(len(X), layout.rows))
    with counted(len(blocks)) as step, torch.no_grad():
        for rows in blocks:
            left = source.kept(X[rows], layout.batch)
            if Y is None:
                _fill_symmetric(result[:, rows, :, rows], left, request.form)
            others, start = (X[rows.stop :], rows.stop) if Y is None else (Y, 0)
            for columns in row_blocks(len(others), layout.columns):
                right = source.kept(others[columns], layout.batch)
                here = slice(start + columns.start, start + columns.stop)
                _fill(result[:, rows, :, here], left, right, request.form)
                if Y is None:
                    result[:, here, :, rows] = result[:, rows, :, here].permute(0, 3, 4, 1, 2)
                del right  # the next block is kept without this one beside it
            del left
            step()
    return result


def _fill(result: Tensor, left: Sequence[Factor], right: Sequence[Factor], form: Form) -> None:
    """Sum over the parts for all pairs of two blocks, by tiles of rows."""
    k, n, a, m, b = result.shape
    tiles = list(row_blocks(n, max(1, _CELLS // (k * a * m * b))))
    for number, (ours, theirs) in enumerate(sliced(left, right)):
        for rows in tiles:
            block = between([factor.rows(rows) for factor in ours], theirs, form)
            _put(result[:, rows], block, add=number > 0)


def _put(result: Tensor, block: Tensor, *, add: bool) -> None:
    """Place a block in the result, or add it to what is there."""
    if add:
        result.add_(block)
    else:
        result.copy_(block)


def _fill_symmetric(result: Tensor, factors: Sequence[Factor], form: Form) -> None:
    """The same for one block with itself: tiles on and above the diagonal, mirrored."""
    k, n, a, _, b = result.shape
    size = min(max(_SMALLEST_TILE, n // 8), max(1, isqrt(_CELLS // (k * a * b))) if a == 1 else n)
    tiles = list(row_blocks(n, size))
    for number, (some, _) in enumerate(sliced(factors, factors)):
        for rows in tiles:
            ours = [factor.rows(rows) for factor in some]
            _put(result[:, rows, :, rows], between(ours, ours, form), add=number > 0)
            for columns in row_blocks(n - rows.stop, max(1, _CELLS // (k * a * b * len(range(n)[rows])))):
                there = slice(rows.stop + columns.start, rows.stop + columns.stop)
                block = between(ours, [factor.rows(there) for factor in some], form)
                _put(result[:, rows, :, there], block, add=number > 0)
    for rows in tiles:
        square = result[:, rows, :, rows].reshape(k, len(range(n)[rows]) * a, -1)
        # A product of a matrix with its transpose is symmetric only up to rounding.
        result[:, rows, :, rows] = (square.triu() + square.triu(1).mT).reshape(result[:, rows, :, rows].shape)
        result[:, rows.stop :, :, rows] = result[:, rows, :, rows.stop :].permute(0, 3, 4, 1, 2)


def between(left: Sequence[Factor], right: Sequence[Factor], form: Form) -> Tensor:
    """Sum over the parts of the kernels between two lists of factors, (k, n, a, m, a); differentiable."""
    total = None
    for ours, theirs in zip(left, right, strict=True):
        part = ours.between(theirs, form)
        total = part if total is None else total.add_(part)
    if total is None:
        raise AssertionError("a kernel without parameters")
    return total


def gram_of_products(function: ModuleFunction, request: Request) -> Tensor:
    """The same by a pull-back for every column and output, and a push-forward of it to all rows.

    Args:
        function: The module.
        request: What is asked.

    Cost:
        m outputs backward passes of a point, and as many forward passes of n points with derivatives.
    """
    X, Y, form, result = request.X, request.Y, request.form, request.empty()
    columns = X if Y is None else Y
    with counted(len(columns)) as step, evaluation(X.device), torch.no_grad():
        for j in range(len(columns)):
            first = j if Y is None else 0  # the rows before are mirror images
            result[:, first:, :, j] = 0
            for b in range(request.outputs):
                cotangent = X.new_zeros(1, request.outputs)
                cotangent[0, b] = 1
                direction = pull_back(function, columns[j : j + 1], cotangent)
                for rows in row_blocks(len(X) - first, request.layout.batch):
                    here = slice(first + rows.start, first + rows.stop)
                    derivative = push_forward(function, X[here], direction)
                    if form == "full":
                        result[0, here, :, j, b] = derivative
                    else:
                        result[b if form == "per_output" else 0, here, 0, j, 0] += derivative[:, b]
            if Y is None:
                itself = result[:, j, :, j]
                result[:, j, :, j] = itself.triu() + itself.triu(1).mT
                result[:, j, :, j + 1 :] = result[:, j + 1 :, :, j].permute(0, 3, 1, 2)
            step()
    return result
