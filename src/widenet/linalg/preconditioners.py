"""The inverse of a low-rank matrix plus a diagonal one, by the Woodbury identity."""

import torch
from jaxtyping import Float
from torch import Tensor

from widenet.errors import NotPositiveDefinite
from widenet.kernels.blocks import run_tiles
from widenet.linalg.products import TileSums

_STRIP = 1024  # rows of F in one product of its Gram matrix
_BAND = 512  # rows of that Gram matrix a task
_ROWS, _COLUMNS = 64, 4096  # of the factor in one product with vectors


class LowRankPlusDiagonal:
    """P = F F^T + D with D diagonal and positive, and P^-1 = D^-1 - D^-1 F (I + F^T D^-1 F)^-1 F^T D^-1.

    F stays in its precision, and all else is in float64: the two terms of the identity cancel in the directions of
    large eigenvalues, by a factor of up to |F|^2 / D, where float32 would leave no digit.

    Args:
        factor: F^T, (rank, n), float32 or float64; rank may be 0.
        diagonal: D, (n,), float64, positive.

    Raises:
        NotPositiveDefinite: Where D is so small beside F F^T that I + F^T D^-1 F has no Cholesky factor.

    Cost:
        n rank^2 flops in float64, once; 4 n rank an application and column. Memory beside F: rank^2 float64.
    """

    def __init__(self, factor: Tensor, diagonal: Tensor) -> None:
        self.factor, self.diagonal = factor, diagonal
        rank = len(factor)
        inner = torch.zeros(rank, rank, dtype=torch.float64, device=factor.device)
        add_gram(inner, factor, diagonal.rsqrt())
        inner.diagonal().add_(1.0)
        self._lower, info = torch.linalg.cholesky_ex(inner)
        if int(info):
            raise NotPositiveDefinite(
                "the preconditioner F F^T + D must be positive definite in float64",
                f"D of about {float(diagonal.mean()):.2g} beside a trace of {_trace(factor):.2g}",
                "Give a larger ridge",
            )

    def __call__(self, residual: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """P^-1 r in float64, for every column."""
        scaled = residual / self.diagonal[:, None]
        if len(self.factor) == 0:
            return scaled
        inner = torch.cholesky_solve(_product(self.factor, scaled, transposed=False), self._lower)
        return scaled - _product(self.factor, inner, transposed=True) / self.diagonal[:, None]


def add_gram(inner: Tensor, factor: Tensor, scales: Tensor) -> None:
    """Add the lower triangle of F^T diag(scales)^2 F, by strips of rows of F.

    Args:
        inner: Where to, (rank, rank), float64; of the upper triangle some blocks are written too.
        factor: F^T, (rank, n).
        scales: (n,), float64.
    """
    rank, n = factor.shape
    bands = [(start, 0) for start in range(0, rank, _BAND)]
    for start in range(0, n, _STRIP):
        strip = factor[:, start : start + _STRIP].to(torch.float64) * scales[start : start + _STRIP]

        def add(corner: tuple[int, int], strip: Tensor = strip) -> None:
            row = corner[0]
            part = strip[row : row + _BAND]
            inner[row : row + _BAND, : row + len(part)].addmm_(part, strip[: row + len(part)].T)

        run_tiles(add, bands, threads=torch.get_num_threads() if factor.device.type == "cpu" else 1)


def _product(factor: Tensor, vectors: Tensor, *, transposed: bool) -> Tensor:
    """F^T v, or F v where transposed, of the stored F^T, with sums in float64."""
    rank, n = factor.shape
    if factor.device.type != "cpu":
        wide = factor.to(torch.float64)
        return (wide.T if transposed else wide) @ vectors
    sums = TileSums(vectors, n if transposed else rank)
    numbers = factor.numpy()

    def add(corner: tuple[int, int]) -> None:
        rows = slice(corner[0], min(corner[0] + _ROWS, rank))
        columns = slice(corner[1], min(corner[1] + _COLUMNS, n))
        if transposed:
            sums.add_transposed(numbers[rows], rows, columns, first=corner[1])
        else:
            sums.add(numbers[rows], rows, columns, mirror=False, first=corner[1])

    corners = [(i, j) for j in range(0, n, _COLUMNS) for i in range(0, rank, _ROWS)]
    run_tiles(add, corners, threads=torch.get_num_threads())
    return sums.result


def _trace(factor: Tensor) -> float:
    return float(factor.square().sum(dtype=torch.float64))
