"""The Cholesky factor in place, by tiles over all threads."""

import torch
from jaxtyping import Float
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from widenet.kernels.blocks import run_tiles

_SMALL = 1024  # rows up to which one LAPACK call is as fast
_PANEL = 256  # columns of a step
_ROWS = 512  # rows of a task


def factorise(matrix: Float[Tensor, "n n"]) -> int | None:
    """Overwrite the lower triangle by L with A = L L^T, and leave the strict upper triangle as it is.

    Left-looking: step k subtracts all earlier columns from its panel at once, so every tile is written
    once. Rows of a panel are independent tasks, each a matrix product of one thread; LAPACK's own
    threads wait for one another, which costs a factor of four where the cores are shared.

    Args:
        matrix: Symmetric A in C order; only its lower triangle and diagonal are read.

    Returns:
        None, or the index of the first pivot that is not positive; the lower triangle is then lost.

    Cost:
        n^3 / 3 flops, two tiles of memory per thread.
    """
    if matrix.device.type != "cpu":
        factor, info = torch.linalg.cholesky_ex(matrix)
        matrix.copy_(factor.tril_() + matrix.triu(1))
        return int(info) - 1 if int(info) else None
    if len(matrix) <= _SMALL:
        # LAPACK reads columns first: the lower triangle of the rows is the upper triangle of the transpose.
        columns = matrix.numpy().T
        (potrf,) = get_lapack_funcs(("potrf",), (columns,))
        _, info = potrf(columns, lower=0, clean=0, overwrite_a=1)
        return info - 1 if info else None
    return _factorise_by_tiles(matrix)


def _factorise_by_tiles(matrix: Tensor) -> int | None:
    n, threads = len(matrix), torch.get_num_threads()
    corner = matrix[:_PANEL, :_PANEL].clone()
    for start in range(0, n, _PANEL):
        stop = min(start + _PANEL, n)
        factor, info = torch.linalg.cholesky_ex(corner)
        if int(info):
            return start + int(info) - 1
        diagonal = matrix[start:stop, start:stop]
        diagonal.copy_(factor.tril_() + diagonal.triu(1))
        if stop == n:
            break
        panel = _Panel(matrix, factor, start, stop)
        run_tiles(panel.update, panel.tasks(), threads=threads)
        last = matrix[stop : stop + _PANEL, start:stop]
        corner = panel.next_corner.addmm_(last, last.T, alpha=-1)
    return None


class _Panel:
    """Columns start to stop of the factor below their diagonal block, and the next diagonal block but for them."""

    def __init__(self, matrix: Tensor, factor: Tensor, start: int, stop: int) -> None:
        self.matrix, self.factor, self.start, self.stop = matrix, factor, start, stop
        self.next_corner = matrix

    def tasks(self) -> list[tuple[int, int]]:
        """First rows of the tasks; the next diagonal block, the longest, comes first."""
        return [(-1, 0)] + [(row, 0) for row in range(self.stop, len(self.matrix), _ROWS)]

    def update(self, task: tuple[int, int]) -> None:
        """Do one task: a slab of the panel, or the next diagonal block less all columns before the panel."""
        matrix, start, stop, row = self.matrix, self.start, self.stop, task[0]
        if row < 0:
            done = matrix[stop : stop + _PANEL, :start]
            corner = matrix[stop : stop + _PANEL, stop : stop + _PANEL]
            self.next_corner = torch.addmm(corner, done, done.T, alpha=-1)
            return
        slab = matrix[row : row + _ROWS, start:stop]
        rest = torch.addmm(slab, matrix[row : row + _ROWS, :start], matrix[start:stop, :start].T, alpha=-1)
        # Solved from the right: half the time of solving for the transpose, which is first copied.
        slab.copy_(torch.linalg.solve_triangular(self.factor.T, rest, upper=True, left=False))
