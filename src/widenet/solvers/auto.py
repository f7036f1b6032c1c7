"""The automatic choice of a solver, which can be asked before it is used."""

from dataclasses import dataclass

import numpy as np

from widenet._arrays import Array, format_bytes, parse_memory
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.solvers.base import RidgeScale, Solution, Solver, read_gram
from widenet.solvers.cholesky import Cholesky
from widenet.solvers.spectral import Spectral

_SPECTRAL_COST = 12  # Cholesky factors that one eigen-decomposition costs, measured at 1,000 rows


@dataclass(frozen=True)
class Decision:
    """A choice and its reason.

    Attributes:
        solver: The solver to use.
        why: The reason, with the numbers.
        memory: Bytes that the Gram matrix and the solver take together.
    """

    solver: Solver
    why: str
    memory: int


@dataclass(frozen=True)
class Auto(Solver):
    """Choose an exact solver by the work asked and the memory there is.

    The decisions, in order:

    1. One ridge: `Cholesky`. It is about twelve times cheaper than an eigen-decomposition.
    2. More ridges than one eigen-decomposition costs Cholesky factors (12), or leave-one-out for more
       than one ridge, and memory for its four matrices: `Spectral`.
    3. Otherwise `Cholesky`, once a ridge.
    4. Cholesky works beside the Gram matrix where two matrices fit in the memory limit, and in place
       of it where only one does.
    5. Where not even one matrix fits: `MemoryLimitExceeded`, which says how many rows would fit.

    Attributes:
        ridge_scale: "relative" (times the mean diagonal) or "absolute".
        memory_limit: Bytes, or text such as "8 GiB", for the Gram matrix and the solver together;
            None means half of the available memory, which `solve` takes for what comes beside its K.
        time_limit: Seconds that an estimator plans with when it is given this solver, or None for no limit (see
            `widenet.plan`); a K that is already there is solved exactly, however long it takes.

    Example:
        >>> Auto(memory_limit="500 MiB").decide(10_000, "float32").why
        '1 ridge: one Cholesky factor in place of the Gram matrix of 381 MiB (two do not fit in 500 MiB)'
    """

    ridge_scale: RidgeScale = "relative"
    memory_limit: int | float | str | None = None
    time_limit: float | None = 300.0

    def solve(self, K: Array, y: Array, ridge: float, weights: Array | None = None) -> Solution:
        """Solve by the chosen solver; see `Solver.solve`.

        Raises:
            MemoryLimitExceeded: Where the choice is to overwrite K, which belongs to the caller.
        """
        matrix = read_gram(K)
        outputs = 1 if np.ndim(y) == 1 else np.shape(y)[-1]
        limit = parse_memory(self.memory_limit)
        if self.memory_limit is None and matrix.device.type == "cpu":
            limit += matrix.numel() * matrix.element_size()  # K is here: what is available is without it
        decision = Auto(self.ridge_scale, limit).decide(len(matrix), str(matrix.dtype)[6:], outputs=outputs)
        if isinstance(decision.solver, Cholesky) and decision.solver.overwrite:
            raise MemoryLimitExceeded(
                "a second matrix for the Cholesky factor must fit", decision.why, "Call Cholesky(overwrite=True).solve"
            )
        return decision.solver.solve(K, y, ridge, weights)

    def decide(self, n: int, dtype: str, *, outputs: int = 1, ridges: int = 1, leave_one_out: bool = False) -> Decision:
        """The choice for a system, before any memory is taken.

        Args:
            n: Rows of K.
            dtype: "float32" or "float64".
            outputs: Columns of y.
            ridges: Ridges that will be asked.
            leave_one_out: Whether leave-one-out predictions will be asked.

        Raises:
            MemoryLimitExceeded: Where no exact solver fits; says how many rows would.
        """
        if n < 1 or outputs < 1 or ridges < 1:
            raise InvalidInput("n, outputs and ridges must be at least 1", f"{n}, {outputs}, {ridges}")
        size = {"float32": 4, "float64": 8}.get(dtype)
        if size is None:
            raise InvalidInput("dtype must be 'float32' or 'float64'", repr(dtype))
        limit = parse_memory(self.memory_limit)
        matrix, columns = size * n * n, _column_bytes(n, outputs)
        if matrix + columns > limit:
            raise MemoryLimitExceeded(
                f"an exact solver holds the {n:,} x {n:,} Gram matrix: {format_bytes(matrix + columns)} in {dtype}",
                f"a memory limit of {format_bytes(limit)}",
                f"At most {_largest(limit, size, outputs):,} rows would fit"
                + (f" ({_largest(limit, 4, outputs):,} in float32)" if size == 8 else "")
                + ": take a subset, or give more memory",
            )
        many = ridges > _SPECTRAL_COST or (leave_one_out and ridges > 1)
        asked = f"{ridges} ridge{'s' * (ridges > 1)}{' with leave-one-out' * leave_one_out}"
        if many and 4 * matrix + columns <= limit:
            why = f"{asked}: one eigen-decomposition serves them all"
            return Decision(Spectral(self.ridge_scale), why, 4 * matrix + columns)
        short = f" (an eigen-decomposition of {format_bytes(4 * matrix)} does not fit)" if many else ""
        each = "one Cholesky factor" if ridges == 1 else "one Cholesky factor a ridge"
        if 2 * matrix + columns <= limit:
            why = f"{asked}: {each} beside the Gram matrix of {format_bytes(matrix)}{short}"
            return Decision(Cholesky(self.ridge_scale), why, 2 * matrix + columns)
        tight = short or f" (two do not fit in {format_bytes(limit)})"
        why = f"{asked}: {each} in place of the Gram matrix of {format_bytes(matrix)}{tight}"
        return Decision(Cholesky(self.ridge_scale, overwrite=True), why, matrix + columns)


def _column_bytes(n: int, outputs: int) -> int:
    """Float64 vectors of the refinement: solution, best, target, residuals, directions and their temporaries."""
    return 12 * 8 * n * outputs


def _largest(limit: int, size: int, outputs: int) -> int:
    """Largest n with size n^2 + 96 n outputs <= limit."""
    linear = _column_bytes(1, outputs)
    n = int((-linear + (linear**2 + 4 * size * limit) ** 0.5) / (2 * size))
    return max(n, 0)
