"""Squared distances between points: exact for near pairs, differentiable, one matrix product a block."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Below this share of |x|^2 + |y|^2 the product's squared distance has lost too many digits, and is
# formed from the difference; above it the error is at most some 1 / (2 _NEAR) roundings.
_NEAR = 0.03
# Points of so few channels are subtracted directly; blocks with this share of near pairs too.
_FEW_CHANNELS = 2
_MANY_PAIRS = 1 / 16


def squared_distances(X: Float[Tensor, "n ..."], Y: Float[Tensor, "m ..."], *, same: bool) -> Float[Tensor, "n m"]:
    """|x - y|^2 of every pair of points, flattened to vectors.

    |x|^2 + |y|^2 - 2 x.y after centring, by one matrix product; pairs that this formula leaves with a
    large relative error are recomputed from x - y. Differentiable to any order.

    Args:
        X: Points.
        Y: Points.
        same: Whether Y is X; then the diagonal is exactly 0.

    Returns:
        Squared distances, at least 0; a new tensor that may be overwritten where no gradient flows.

    Cost:
        2 n m d operations and d more for each near pair.
    """
    X, Y = X.reshape(len(X), -1), Y.reshape(len(Y), -1)
    if torch.is_grad_enabled() and (X.requires_grad or Y.requires_grad):
        return _SquaredDistances.apply(X, Y, same)  # pyright: ignore[reportReturnType]
    if X.shape[1] > _FEW_CHANNELS:
        return _compute(X, Y, same)[0]
    squares = _direct(X, Y)
    return squares.fill_diagonal_(0) if same else squares


def _compute(X: Tensor, Y: Tensor, same: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Squared distances, and rows and columns of the near pairs."""
    if X.shape[1] <= _FEW_CHANNELS:
        squares = _direct(X, Y)
        rows, columns = (squares < _NEAR * _norms(X, Y)[2]).nonzero(as_tuple=True)
    else:
        x, y, norms = _norms(X, Y)
        squares = torch.addmm(norms, x, y.T, alpha=-2)
        # Not (>=) rather than (<): overflow to NaN counts as near, and its difference gives infinity.
        near = torch.ge(squares, norms.mul_(_NEAR)).logical_not_()
        if same:
            near.fill_diagonal_(False)
        rows, columns = _positions(near)
        if len(rows) > _MANY_PAIRS * squares.numel():
            squares = _direct(X, Y)
        else:
            for start in range(0, len(rows), 2**16):
                i, j = rows[start : start + 2**16], columns[start : start + 2**16]
                squares[i, j] = (X[i] - Y[j]).square_().sum(1)
    if same:
        squares.fill_diagonal_(0)
    return squares, rows, columns


def _positions(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of the true entries; rows without any, nearly all of them, are passed over eight at a time."""
    width = mask.shape[1] // 8 * 8
    words = mask[:, :width].reshape(-1).view(torch.int64).reshape(len(mask), -1)
    hit = (words.any(1) | mask[:, width:].any(1)).nonzero()[:, 0]
    found, columns = mask[hit].nonzero(as_tuple=True)
    return hit[found], columns


def _norms(X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    centre = Y.mean(0)
    x, y = X - centre, Y - centre
    return x, y, (x * x).sum(1)[:, None] + (y * y).sum(1)[None, :]


def _direct(X: Tensor, Y: Tensor) -> Tensor:
    return torch.cdist(X, Y, compute_mode="donot_use_mm_for_euclid_dist").square_()


class _SquaredDistances(torch.autograd.Function):
    """Squared distances whose gradient sum_j g_ij 2 (x_i - y_j) takes near pairs from their differences too."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, Y: Tensor, same: bool) -> Tensor:
        squares, rows, columns = _compute(X, Y, same)
        ctx.save_for_backward(X, Y, rows, columns)
        ctx.same = same
        return squares

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        X, Y, rows, columns = ctx.saved_tensors
        gradient = gradients[0]
        if ctx.same:
            # x_i - x_i is 0, and stays it.
            gradient = gradient - torch.diag_embed(gradient.diagonal())
        centre = Y.mean(0).detach()
        x, y = X - centre, Y - centre
        far = gradient.index_put((rows, columns), gradient.new_zeros(()))
        near = gradient[rows, columns][:, None] * (X[rows] - Y[columns])
        for_x = (far.sum(1)[:, None] * x - far @ y).index_add(0, rows, near)
        for_y = (far.sum(0)[:, None] * y - far.T @ x).index_add(0, columns, -near)
        return 2 * for_x, 2 * for_y, None
