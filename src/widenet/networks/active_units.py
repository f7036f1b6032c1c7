"""Units with thresholds in training: which are active for which samples, kept exact while only those are touched."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse

from widenet.kernels.blocks import run_tiles
from widenet.networks import _fused_sparse as loops

_SPAN = 2**18  # pairs of unit and sample that one thread takes at a time
_MOST_SPANS = 8
_PRODUCTS = 2**17  # numbers of a block of products: it stays in the second cache


class ActiveUnits:
    """Hidden units max(w . x - b, 0) on fixed samples, moved by gradient steps that touch only active pairs.

    A pair of unit and sample that was inactive by more than the unit has moved since is still inactive. So each unit
    has a list of candidates with a reach, chosen such that looking at them and making the list anew cost least. Only
    candidates are computed in a step; a unit that has moved by its reach is computed for all samples anew, in a matrix
    product with others. A unit without active samples does not move and costs nothing.

    Args:
        parameters: (w, b) of the units, (m, d + 1); copied.
        signs: Their output weights, +-1, (m,).
        X: Samples, (n, d), of the dtype of the parameters.

    Attributes:
        sums: Sum over units of sign times max(w . x - b, 0), (n,), double precision.
        products: Products of unit and sample so far, of d + 1 multiplications each.
    """

    def __init__(
        self, parameters: Float[np.ndarray, "m p"], signs: Float[np.ndarray, " m"], X: Float[np.ndarray, "n d"]
    ) -> None:
        Z = np.column_stack([X, np.full(len(X), -1, X.dtype)])
        self._size = Z.shape[1]
        padding = (0, 0), (0, -self._size % (64 // X.itemsize))
        samples, units = np.ascontiguousarray(np.pad(Z, padding)), np.pad(parameters, padding)
        norms = np.linalg.norm(Z.astype(np.float64), axis=1).astype(X.dtype)
        # A power of two that does not depend on the threads, as the order in which sums are added.
        number = min(_MOST_SPANS, 2 ** max(0, (len(units) * len(X) // _SPAN).bit_length() - 1))
        self._spans = [
            _Span(np.ascontiguousarray(part), sign.astype(X.dtype), samples, norms)
            for part, sign in zip(np.array_split(units, number), np.array_split(signs, number), strict=True)
        ]
        self._each(_Span.renew)
        self._collect()

    @property
    def parameters(self) -> Float[np.ndarray, "m p"]:
        """The parameters (w, b) now."""
        return np.concatenate([span.units for span in self._spans])[:, : self._size]

    @property
    def count(self) -> int:
        """Number of active pairs of unit and sample."""
        return sum(int(span.active_counts.sum()) for span in self._spans)

    def pattern(self) -> sparse.csr_array:
        """Which pairs are active, (m, n), 1 where a pair is active and else 0."""
        counts = np.concatenate([span.active_counts for span in self._spans])
        columns = [loops.listed(span.candidates, span.active_counts) for span in self._spans]
        starts = np.concatenate([[0], np.cumsum(counts)])
        shape = len(counts), len(self.sums)
        found = sparse.csr_array((np.ones(starts[-1], np.int8), np.concatenate(columns), starts), shape=shape)
        found.sort_indices()
        return found

    def descend(self, residuals: Float[np.ndarray, " n"], step: float) -> None:
        """One step of gradient descent: each unit moves by -step sign sum over its active samples of residual (x, -1).

        Args:
            residuals: Derivatives of the loss in the sums, (n,).
            step: Step size.
        """
        factors = np.stack([-step * residuals, step * residuals]).astype(self._spans[0].units.dtype)
        self._each(lambda span: span.descend(factors))
        self._collect()

    def tangent_product(self, vector: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """J J^T vector, J the derivatives of the sums in all parameters, at the cost of the active pairs."""
        vectors = np.stack([vector, -vector]).astype(self._spans[0].units.dtype)
        found = [np.zeros(len(vector)) for _ in self._spans]
        for span, sums in zip(self._spans, found, strict=True):
            loops.tangent_product((span.units, span.signs), span.samples, vectors, span.pairs, sums)
        return np.sum(found, axis=0)

    def _each(self, work: Callable[["_Span"], None]) -> None:
        numbers = [(number, 0) for number in range(len(self._spans))]
        run_tiles(lambda tile: work(self._spans[tile[0]]), numbers, threads=torch.get_num_threads())

    def _collect(self) -> None:
        self.sums = np.sum([span.sums for span in self._spans], axis=0)
        self.products = sum(span.products for span in self._spans)


class _Span:
    """Units that one thread looks after."""

    def __init__(self, units: np.ndarray, signs: np.ndarray, samples: np.ndarray, norms: np.ndarray) -> None:
        self.units, self.signs, self.samples, self.norms = units, signs, samples, norms
        m, n = len(units), len(samples)
        self.candidates = np.empty((m, 0), np.int32)
        self.counts, self.active_counts = np.zeros(m, np.int32), np.full(m, -1, np.int32)
        self.lengths = np.zeros(m), np.zeros(m), np.zeros(m), np.zeros(m)
        self.sums, self.products = np.zeros(n), 0
        rows = max(1, min(m, _PRODUCTS // n))
        self._values = np.empty((rows, n), units.dtype)
        self._found = np.empty(rows), np.empty(rows), np.empty(rows, np.int64)

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.candidates, self.counts, self.active_counts

    def descend(self, factors: np.ndarray) -> None:
        self.sums[:] = 0
        units = self.units, self.signs
        products, marked = loops.advance(units, self.samples, factors, self.pairs, self.lengths, self.sums)
        self.products += products
        if marked:
            self.renew()

    def renew(self) -> None:
        """Find candidates anew for the units that are marked, and add what is active to the sums."""
        stale = np.flatnonzero(self.active_counts < 0)
        self.products += len(stale) * len(self.samples)
        for start in range(0, len(stale), len(self._values)):
            self._renew(stale[start : start + len(self._values)])

    def _renew(self, chosen: np.ndarray) -> None:
        units, values = self.units[chosen], self._values[: len(chosen)]
        torch.mm(torch.from_numpy(units), torch.from_numpy(self.samples).T, out=torch.from_numpy(values))
        found = self._found[0][: len(chosen)], self._found[1][: len(chosen)], self._found[2][: len(chosen)]
        moved, border, last, rounding = self.lengths
        loops.choose_reach(values, units, self.norms, last[chosen], found)
        moved[chosen], border[chosen], rounding[chosen] = 0.0, found[0] * (1 - 1e-5), found[1]
        most = int(found[2].max())
        if most > self.candidates.shape[1]:
            self._grow(most)
        borders = found[0] + loops.GUARD * found[1], self.norms
        loops.make_lists(chosen, values, borders, self.signs, self.pairs, self.sums)

    def _grow(self, most: int) -> None:
        capacity = min(len(self.samples), most + most // 4 + 8)
        grown = np.empty((len(self.units), capacity), np.int32)
        grown[:, : self.candidates.shape[1]] = self.candidates
        self.candidates = grown
