"""Gaussian expectations of smooth functions: trapezoidal sums and Hermite series."""

from collections.abc import Callable
from functools import lru_cache
from math import pi, sqrt

import torch
from torch import Tensor

from widenet.errors import InvalidArchitecture
from widenet.kernels._fused_series import product_series
from widenet.kernels.moments import root

# Relative tail of the series at which it is good to the last digits, and at which it is refused.
_ENOUGH, _REFUSED = 1e-15, 1e-10
_LENGTHS = (32, 64, 128, 256, 512, 1024, 2048)
_LIMIT = 14.0  # exp(-z^2/4), the size of a Hermite function times the root of the weight, is 5e-22 there


def gaussian_grid(like: Tensor, step: float = 1 / 16) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w with sum w f(z) = E f(z), z ~ N(0, 1).

    The trapezoidal rule with step h has error exp(-2 pi s / h) for a function that is analytic in a
    strip of half-width s: far better than Gauss-Hermite of the same size where the strip is narrow.
    """
    count = int(_LIMIT / step)
    z = torch.arange(-count, count + 1, dtype=like.dtype, device=like.device) * step
    return z, torch.exp(-0.5 * z.square()) * (step / sqrt(2 * pi))


def series_values(
    function: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, cross: Tensor, degree: int | None = None
) -> tuple[Tensor, Tensor]:
    """E[phi(u) phi(v)] and E[phi'(u) phi'(v)] by Mehler's formula.

    With h_l(a) = E[phi(a z) He_l(z)] / sqrt(l!) and rho the correlation of u and v,
    E[phi(u) phi(v)] = sum_l h_l(sqrt x) h_l(sqrt y) rho^l, and the same with phi' for the other.

    Args:
        function: phi, elementwise and smooth.
        x: E[u^2], broadcastable to the shape of `cross`.
        y: E[v^2], likewise.
        cross: E[u v].
        degree: Degree of a polynomial phi, at which the series ends by itself; None to find the length.

    Returns:
        The two expectations, of the shape of `cross`.

    Raises:
        InvalidArchitecture: If 2,048 terms do not reach a relative tail of 1e-10.

    Cost: terms (32 to 2,048) x pairs multiplications, and 2 (rows + columns) x terms x nodes.

    References: Han et al. 2022, arXiv 2209.04121 (the same expansion, for features).
    """
    slope = slope_of(function)
    a = root(x)
    b = a if y is x else root(y)
    size = a * b
    rho = torch.where(size > 0, cross / torch.where(size > 0, size, 1.0), 0.0).clamp(-1, 1)
    length = degree + 1 if degree is not None else _series_length(function, slope, a, b)
    values = []
    for f in (function, slope):
        of_x = function_coefficients(f, a, length)
        of_y = of_x if a is b else function_coefficients(f, b, length)
        values.append(_product_series(of_x, of_y, rho))
    value, derivative = values
    if torch.is_grad_enabled() and cross.requires_grad:
        # Where a size is 0 the correlation says nothing; Price's theorem gives the gradient by the cross moment.
        value = torch.where(size > 0, value, value + derivative.detach() * (cross - cross.detach()))
    return value, derivative


def slope_of(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The derivative of an elementwise function, itself differentiable where its argument asks for it."""

    def slope(z: Tensor) -> Tensor:
        with torch.enable_grad():
            at = z if z.requires_grad else z.detach().requires_grad_()
            return torch.autograd.grad(function(at).sum(), at, create_graph=z.requires_grad)[0]

    return slope


def _product_series(of_x: Tensor, of_y: Tensor, rho: Tensor) -> Tensor:
    """Sum over l of of_x[l] of_y[l] rho^l; by the fused loop for all pairs of rows and columns."""
    graph = torch.is_grad_enabled() and any(part.requires_grad for part in (of_x, of_y, rho))
    pairs = rho.ndim == 2 and of_x.shape[1:] == (len(rho), 1) and of_y.shape[1:] == (1, rho.shape[1])
    if pairs and not graph and rho.device.type == "cpu":
        total = torch.empty_like(rho)
        rows, columns = (_in_fours(part.detach().reshape(len(part), -1)).numpy() for part in (of_x, of_y))
        product_series(rows, columns, rho.detach().contiguous().numpy(), total.numpy())
        return total
    total = torch.zeros_like(rho)
    for order in range(len(of_x) - 1, -1, -1):
        total = total * rho + of_x[order] * of_y[order]
    return total


def _in_fours(coefficients: Tensor) -> Tensor:
    return torch.nn.functional.pad(coefficients, (0, 0, 0, -len(coefficients) % 4)).contiguous()


def function_coefficients(function: Callable[[Tensor], Tensor], std: Tensor, length: int) -> Tensor:
    """h_0 .. h_{length-1} at every standard deviation, (length, *std.shape)."""
    z, basis = _hermite(length, std.device)
    samples = function(std.reshape(-1, 1) * z)
    return (basis @ samples.T).reshape(length, *std.shape)


@lru_cache(maxsize=8)
def _hermite(length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes, and weighted orthonormal Hermite polynomials at them, (length, nodes)."""
    # The Hermite function of order l oscillates with frequency sqrt(l); eight nodes a radian resolve it.
    like = torch.empty(0, dtype=torch.float64, device=device)
    z, weight = gaussian_grid(like, min(1 / 16, 1 / (2 * sqrt(length))))
    rows = [weight, z * weight][:length]
    for order in range(1, length - 1):
        rows.append((z * rows[order] - sqrt(order) * rows[order - 1]) / sqrt(order + 1))
    return z, torch.stack(rows)


def _series_length(
    function: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor], a: Tensor, b: Tensor
) -> int:
    """Length at which the last eighth of the squared coefficients, at the largest norm, no longer matters."""
    largest = torch.stack([a.detach().max(), b.detach().max()]).max().reshape(1)
    share = float("inf")
    for length in _LENGTHS:
        shares = []
        for f in (function, slope):
            squares = function_coefficients(f, largest, length).square()
            total = squares.sum()
            shares.append(float(squares[-(length // 8) :].sum() / total) if total > 0 else 0.0)
        share = max(shares)
        if share < _ENOUGH:
            return length
    if share < _REFUSED:
        return _LENGTHS[-1]
    raise InvalidArchitecture(
        "an elementwise function must be smooth at the scale of its inputs for its kernel by quadrature",
        f"a share {share:.1e} of its Hermite series beyond degree {_LENGTHS[-1] * 7 // 8} at standard deviation "
        f"{float(largest):.3g}",
        "Standardise the columns of the inputs, use a smaller weight_std, or an activation with a closed form",
    )
