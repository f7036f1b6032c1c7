"""Exact kernel ridge by preconditioned conjugate gradients, on a matrix that is never stored."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from widenet._arrays import Array, format_bytes, is_count, parse_memory
from widenet.errors import InvalidFile, InvalidInput, MemoryLimitExceeded, NotPositiveDefinite
from widenet.linalg.block_matrix import BlockMatrix
from widenet.linalg.conjugate_gradient import Iterate, block_conjugate_gradient
from widenet.linalg.dense_matrix import DenseMatrix
from widenet.linalg.pivoted_cholesky import PivotedCholesky, most_columns, pivoted_cholesky
from widenet.linalg.preconditioners import LowRankPlusDiagonal
from widenet.linalg.state_file import StateFile
from widenet.solvers.base import RidgeScale, Solution, Solver, absolute_ridge, read_gram, read_targets, read_weights

_FORM = "widenet conjugate gradients 1"
_RANK = 7.0  # times sqrt(n): the preconditioner then costs about as much as four products, measured at 50,000 rows
_BESIDE = 6  # n x outputs float64 arrays of the iteration, and as many of one step


@dataclass(frozen=True)
class ConjugateGradient(Solver):
    """Solve (K + N) a = y, N = ridge diag(1 / w), by products with K alone, in block conjugate gradients.

    The preconditioner is F F^T + N + S with F from randomly pivoted Cholesky and S half of what it leaves of the
    diagonal, half its mean: it takes a half to a third of the steps that S = 0 takes at small ridges, measured. All
    outputs share their directions, so that many cost little more than one. Sums are in float64 over the values of K
    in its own precision, and `residual` of the solution is the true one, measured with one more product.

    Attributes:
        ridge_scale: "relative" (times the mean diagonal) or "absolute".
        tolerance: Goal for the largest |(K + N) a - y| / |y| over the outputs.
        max_steps: Most steps, each one product with K.
        rank: Columns of F; None means 7 sqrt(n), or what fits.
        seed: Seed of the pivots.
        memory_limit: Bytes or text for F and the vectors; None means the limit of the matrix.
        checkpoint: File that the state is saved to, so that a job that was stopped goes on from it; None for none. It
            belongs to one matrix, targets, ridge and weights, and goes when the solution is reached.
        checkpoint_every: Steps between two states; one is saved at Ctrl-C as well.
        progress: Told (steps, estimate of the residual) after every step.

    Raises:
        InvalidInput: On a tolerance outside of (0, 1), or a number of steps, rank or seed that is no whole number.

    Cost:
        One product with K a step, half of its entries where it is symmetric and not stored; n rank^2 flops in the
        precision of K and as many in float64 for the preconditioner. Memory: n rank numbers, rank^2 and
        12 n (outputs) float64.

    References:
        Diaz, Epperly, Frangella, Tropp and Webber 2023, arXiv 2304.12465 (pivoted Cholesky as the preconditioner of
        kernel ridge regression); S and the choice of the rank are this library's.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Laplace
        >>> from widenet.linalg import KernelMatrix
        >>> X = np.linspace(0, 5, 300)[:, None]
        >>> K = KernelMatrix(Laplace(scale=1.0), X)
        >>> solution = ConjugateGradient().solve(K, np.sin(X[:, 0]), ridge=1e-3)
        >>> solution.converged, solution.residual <= 1e-6
        (True, True)
    """

    ridge_scale: RidgeScale = "relative"
    tolerance: float = 1e-6
    max_steps: int = 1000
    rank: int | None = None
    seed: int = 0
    memory_limit: int | float | str | None = None
    checkpoint: str | Path | None = None
    checkpoint_every: int = 10
    progress: Callable[[int, float], None] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.tolerance, Real) or not 0 < self.tolerance < 1:
            raise InvalidInput("ConjugateGradient.tolerance must lie between 0 and 1", repr(self.tolerance))
        for name in ("max_steps", "checkpoint_every"):
            if not is_count(getattr(self, name)):
                value = getattr(self, name)
                raise InvalidInput(f"ConjugateGradient.{name} must be a whole number of at least 1", repr(value))
        if self.rank is not None and not is_count(self.rank, 0):
            raise InvalidInput("ConjugateGradient.rank must be None or a whole number of at least 0", repr(self.rank))
        if not is_count(self.seed, 0):
            raise InvalidInput("ConjugateGradient.seed must be a whole number of at least 0", repr(self.seed))

    def solve(self, K: Array, y: Array, ridge: float, weights: Array | None = None) -> Solution:
        """Solve (K + ridge diag(1 / w)) a = y; see `Solver.solve`.

        Args:
            K: A `KernelMatrix` or a matrix stored on disk, symmetric, which is read by products, rows and its
                diagonal; or a Gram matrix in memory, (n, n).
            y: Targets, (n,) or (n, outputs).
            ridge: Regularisation, at least 0.
            weights: Positive sample weights w, (n,), or None for ones.

        Returns:
            Coefficients in float64. A residual above the tolerance after `max_steps` is told by `converged`.

        Raises:
            InvalidInput: On shapes that do not match, non-finite numbers, a negative ridge or weight.
            MemoryLimitExceeded: Where the vectors, or a `rank` that was asked for, do not fit.
            NotPositiveDefinite: Where K + N is indefinite, as by the rounding of a float32 K beside a tiny ridge.
            FingerprintMismatch: Where the checkpoint is that of another system.
        """
        matrix = K if isinstance(K, BlockMatrix) else DenseMatrix(read_gram(K), numpy=not isinstance(K, Tensor))
        if not matrix.layout.symmetric:
            raise InvalidInput("K must be the Gram matrix of one set of points", f"K(X, Y) of shape {matrix.shape}")
        n, device = matrix.shape[0], matrix._device
        target, weight = read_targets(y, n, device), read_weights(weights, n, device)
        diagonal = torch.as_tensor(matrix.diagonal()).to(torch.float64)
        absolute = absolute_ridge(ridge, self.ridge_scale, diagonal, weight)
        noise = torch.full_like(diagonal, absolute) if weight is None else absolute / weight
        lowest = float((diagonal + noise).min())
        if lowest <= 0:
            cure = "Give a larger ridge"
            raise NotPositiveDefinite("K + N must be positive definite", f"{lowest:.3g} on its diagonal", cure)
        file = self._file(matrix, target, noise)
        start = None if file is None else _read_iterate(file)
        factor = self._factor(matrix, target.shape[1])
        columns = torch.empty(0, n, dtype=matrix._torch_dtype, device=device) if factor is None else factor.factor
        preconditioner = LowRankPlusDiagonal(columns, noise + _shift(matrix, diagonal, factor))
        watch = _Watch(self, file)
        try:
            reached = block_conjugate_gradient(
                lambda v: torch.as_tensor(matrix @ v) + noise[:, None] * v,
                preconditioner,
                target,
                (self.tolerance, self.max_steps),
                start=start,
                watch=watch,
            )
        except KeyboardInterrupt:
            watch.save()
            raise
        converged = reached.residual <= self.tolerance
        watch.finish(converged=converged)
        value = reached.value[:, 0] if np.ndim(y) == 1 else reached.value
        how = f"conjugate gradients in {reached.steps} steps, {_words(factor)}"
        return Solution(value.numpy() if matrix._numpy else value, converged, reached.residual, reached.steps, how)

    def _factor(self, matrix: BlockMatrix, outputs: int) -> PivotedCholesky | None:
        """The low-rank part of the preconditioner, or None where a rank of 0 is asked for."""
        n, item = matrix.shape[0], matrix._torch_dtype.itemsize
        limit = matrix._memory_limit() if self.memory_limit is None else parse_memory(self.memory_limit)
        left = limit - _BESIDE * 2 * 8 * n * outputs
        if left <= 0:
            raise MemoryLimitExceeded(
                f"the vectors of {n:,} rows and {outputs} outputs need {format_bytes(limit - left)}",
                f"a memory limit of {format_bytes(limit)}",
            )
        rank = self.rank
        if rank is None:
            wanted = min(n, math.ceil(_RANK * math.sqrt(n)))
            rank = min(wanted, most_columns(n, item, left - 16 * wanted**2))
        elif 16 * rank**2 > left:
            raise MemoryLimitExceeded(
                f"a preconditioner of rank {rank} needs {format_bytes(16 * rank**2)} beside its factor",
                f"a memory limit of {format_bytes(limit)}",
                "Give a smaller rank, or None",
            )
        if rank == 0:
            return None
        return pivoted_cholesky(matrix, min(rank, n), self.seed, memory_limit=left - 16 * rank**2)

    def _file(self, matrix: BlockMatrix, target: Tensor, noise: Tensor) -> StateFile | None:
        """The checkpoint of this system, known by its targets, what is added to K, and some values of K."""
        if self.checkpoint is None:
            return None
        digest = hashlib.sha256(json.dumps([_FORM, list(matrix.shape), str(matrix._torch_dtype)]).encode())
        sample = torch.linspace(0, matrix.shape[0] - 1, 4).long()
        values = (torch.as_tensor(matrix.diagonal()), torch.as_tensor(matrix.rows(sample)), target, noise)
        for tensor in values:
            digest.update(tensor.cpu().contiguous().numpy().data)
        return StateFile(Path(self.checkpoint), _FORM, digest.hexdigest())


class _Watch:
    """Tells the progress, and saves the iterates now and then."""

    def __init__(self, solver: ConjugateGradient, file: StateFile | None) -> None:
        self.solver, self.file, self.now, self.saved = solver, file, None, 0

    def __call__(self, now: Iterate) -> None:
        self.now = now
        if now.steps % self.solver.checkpoint_every == 0:
            self.save()
        if self.solver.progress is not None:
            self.solver.progress(now.steps, now.estimate)

    def save(self) -> None:
        now = self.now
        if self.file is None or now is None or now.steps == self.saved:
            return
        tensors = {"value": now.value, "residual": now.residual, "directions": now.directions}
        self.file.write(tensors, {"steps": now.steps, "restarted": now.restarted})
        self.saved = now.steps

    def finish(self, *, converged: bool) -> None:
        """Drop the file of a solved system; keep the state of another, which more steps may solve."""
        if self.file is not None and converged:
            self.file.path.unlink(missing_ok=True)
        else:
            self.save()


def _read_iterate(file: StateFile) -> Iterate | None:
    found = file.read()
    if found is None:
        return None
    tensors, facts = found
    try:
        steps, restarted = int(facts["steps"]), float(facts["restarted"])
        return Iterate(tensors["value"], tensors["residual"], tensors["directions"], steps, restarted)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidFile(f"{file.path} must be a whole state", repr(error), "Delete it to start anew") from error


def _shift(matrix: BlockMatrix, diagonal: Tensor, factor: PivotedCholesky | None) -> Tensor:
    """Half of what F leaves of the diagonal, and half of its mean; not below the rounding of K, which stays anyway."""
    left = diagonal if factor is None else factor.residual
    rounding = torch.finfo(matrix._torch_dtype).eps * float(diagonal.mean())
    return ((left + left.mean()) / 2).clamp_min(max(rounding, torch.finfo(torch.float64).tiny))


def _words(factor: PivotedCholesky | None) -> str:
    if factor is None:
        return "without a preconditioner"
    return f"preconditioned by pivoted Cholesky of rank {factor.rank}, which leaves {factor.error:.2g} of the trace"
