"""Randomly pivoted Cholesky: a low-rank factor of a matrix of which only some rows and the diagonal are read."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import format_bytes, is_count, parse_memory
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.kernels.blocks import new_matrix
from widenet.linalg.block_matrix import BlockMatrix

_BYTES = 2**26  # of the rows that one round of proposals reads
_FEWEST, _MOST = 16, 256  # proposals of a round
_FLOOR = 32  # of eps times the largest diagonal entry: residuals below are rounding, measured


@dataclass(frozen=True, eq=False)
class PivotedCholesky:
    """K ~ F F^T, exact in the rows and columns of the pivots.

    Attributes:
        pivots: Rows that were chosen, in order, (rank,).
        factor: F^T, (rank, n), in the precision of K: rows of it are columns of F.
        residual: Diagonal of K - F F^T, at least 0, float64, (n,).
        trace: Trace of K.
    """

    pivots: Tensor
    factor: Tensor
    residual: Tensor
    trace: float

    @property
    def rank(self) -> int:
        """Number of pivots."""
        return len(self.pivots)

    @property
    def error(self) -> float:
        """Trace of K - F F^T relative to that of K: the relative error in the nuclear norm."""
        return float(self.residual.sum()) / self.trace if self.trace > 0 else 0.0


def pivoted_cholesky(
    matrix: BlockMatrix, size: int, seed: int = 0, *, memory_limit: int | float | str | None = None
) -> PivotedCholesky:
    """Randomly pivoted partial Cholesky factor K ~ F F^T of a symmetric positive semi-definite matrix.

    Each pivot s is drawn with probability proportional to the diagonal of the residual K - F F^T, whose row s then
    becomes 0. Many pivots are proposed at a time from the diagonal as it was, and accepted or rejected one by one so
    that their distribution is that of one at a time; all their rows are then eliminated by matrix products.

    With rank pivots the expected trace of the residual is at most (1 + e) times the best of rank r where
    rank >= r / e + r log(1 / (e h)), h being that best error relative to the trace (Theorem 1.2 of the first paper;
    `tests/linalg/test_pivoted_cholesky.py` holds it).

    Args:
        matrix: K, symmetric, (n, n): its diagonal and the rows of proposals are read, by its `rows`.
        size: Most pivots; fewer where what is left of the diagonal is rounding, 32 eps times its largest entry.
        seed: Seed of the proposals.
        memory_limit: Bytes or text; None means that of the matrix.

    Raises:
        InvalidInput: On a matrix that is not symmetric, or a size out of 1 to n.
        MemoryLimitExceeded: Where factor and work do not fit; says which size does.

    Cost:
        n rank^2 flops in matrix products and about 1 to 4 n rank entries of K. Memory: n rank numbers of the
        precision of K, and the rows of one round, about 64 MiB.

    References:
        Chen, Epperly, Tropp and Webber 2022, arXiv 2207.06503; the rejection of proposals: Epperly, Tropp and
        Webber 2024, arXiv 2410.03969. The round sizes and the floor of rounding are this library's.
    """
    n = matrix.shape[0]
    if not matrix.layout.symmetric:
        raise InvalidInput("pivoted Cholesky takes a symmetric matrix", f"K(X, Y) of shape {matrix.shape}", "Leave Y")
    if not is_count(size) or size > n:
        raise InvalidInput(f"the size of pivoted Cholesky must be a whole number from 1 to the {n} rows", repr(size))
    if not is_count(seed, 0):
        raise InvalidInput("the seed of pivoted Cholesky must be a whole number of at least 0", repr(seed))
    dtype, device = matrix._torch_dtype, matrix._device
    count = _proposals(n, dtype.itemsize)
    limit = matrix._memory_limit() if memory_limit is None else parse_memory(memory_limit)
    _check_memory(n, size, dtype.itemsize, limit)
    diagonal = torch.as_tensor(matrix.diagonal()).to("cpu", torch.float64)
    work = _Elimination(new_matrix(size, n, torch.empty(0, dtype=dtype, device=device)), diagonal.clone())
    floor = _FLOOR * torch.finfo(dtype).eps * float(diagonal.max())
    generator = np.random.default_rng(seed)
    while work.rank < size:
        proposals = _draw(work.residual, floor, count, generator)
        if proposals is None:
            break
        rows = torch.as_tensor(matrix.rows(proposals))
        chosen, L = work.accept(rows, proposals, floor, generator)
        work.eliminate(rows, proposals, chosen[: size - work.rank], L)
    pivots = torch.tensor(work.pivots, dtype=torch.long, device=device)
    return PivotedCholesky(pivots, work.factor[: work.rank], work.residual.to(device), float(diagonal.sum()))


class _Elimination:
    """The factor while it grows, and the diagonal of what is left."""

    def __init__(self, factor: Tensor, residual: Tensor) -> None:
        self.factor, self.residual, self.pivots = factor, residual, list[int]()

    @property
    def rank(self) -> int:
        return len(self.pivots)

    def accept(
        self, rows: Tensor, proposals: np.ndarray, floor: float, generator: np.random.Generator
    ) -> tuple[list[int], np.ndarray]:
        """Which proposals to take, in order, and the Cholesky factor of their residual matrix."""
        index = torch.from_numpy(proposals).to(rows.device)
        known = self.factor[: self.rank, index].to(torch.float64)
        left = (rows[:, index].to(torch.float64) - known.T @ known).cpu().numpy()
        # A residual that differs from the one that was drawn from has drifted by rounding.
        self.residual[proposals] = torch.from_numpy(np.clip(left.diagonal(), 0.0, None).copy())
        first, now = left.diagonal().copy(), left.diagonal().copy()
        threshold = generator.random(len(proposals)) * first
        L, chosen = np.zeros_like(left), list[int]()
        for i in range(len(proposals)):
            if now[i] <= max(floor, threshold[i]):
                continue
            column = (left[:, i] - L[:, : len(chosen)] @ L[i, : len(chosen)]) / np.sqrt(now[i])
            L[:, len(chosen)] = column
            now = now - column**2
            chosen.append(i)
        return chosen, L[chosen][:, : len(chosen)]

    def eliminate(self, rows: Tensor, proposals: np.ndarray, chosen: list[int], L: np.ndarray) -> None:
        """Take the residual rows of the chosen proposals into the factor."""
        taken, rank = len(chosen), self.rank
        if not taken:
            return
        index = torch.from_numpy(proposals[chosen]).to(rows.device)
        target = self.factor[rank : rank + taken]
        torch.addmm(rows[chosen], self.factor[:rank, index].T, self.factor[:rank], alpha=-1, out=target)
        lower = torch.from_numpy(np.tril(L[:taken, :taken])).to(rows)
        target.copy_(torch.linalg.solve_triangular(lower, target, upper=False))
        self.residual -= target.square().sum(0, dtype=torch.float64).cpu()
        self.residual.clamp_(min=0)
        self.residual[proposals[chosen]] = 0.0
        self.pivots.extend(int(pivot) for pivot in proposals[chosen])


def _draw(residual: Tensor, floor: float, count: int, generator: np.random.Generator) -> np.ndarray | None:
    """Rows drawn in proportion to what is left of them, or None where all of it is rounding."""
    weights = np.where(residual.numpy() > floor, residual.numpy(), 0.0).cumsum()
    if weights[-1] <= 0:
        return None
    # A draw of exactly the total would fall behind the last row.
    drawn = np.searchsorted(weights, generator.random(count) * weights[-1], side="right")
    return np.minimum(drawn, np.searchsorted(weights, weights[-1]))


def _proposals(n: int, itemsize: int) -> int:
    return min(n, max(_FEWEST, min(_MOST, _BYTES // (n * itemsize))))


def most_columns(n: int, itemsize: int, limit: int) -> int:
    """The largest size of a factor of n rows that fits in `limit` bytes beside the work on it."""
    work = _work(n, itemsize)
    return max(0, (limit - work) // (n * itemsize))


def _work(n: int, itemsize: int) -> int:
    """Bytes beside the factor: the rows of a round, their copies, and a few vectors."""
    return n * (3 * _proposals(n, itemsize) * itemsize + 5 * 8)


def _check_memory(n: int, size: int, itemsize: int, limit: int) -> None:
    most = most_columns(n, itemsize, limit)
    if size > most:
        raise MemoryLimitExceeded(
            f"a factor of {size} columns and {n:,} rows needs {format_bytes(n * size * itemsize + _work(n, itemsize))}",
            f"a memory limit of {format_bytes(limit)}",
            f"At most {most:,} columns fit" if most else "Give more memory",
        )
