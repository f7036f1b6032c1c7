"""Exact tangent kernels of factorised networks of finite width, how they fluctuate, and the rank that they take."""

from dataclasses import dataclass
from math import acos, pi, sqrt
from typing import Literal

import torch
from torch import Tensor

from widenet._arrays import Array, read_inputs
from widenet.architectures import Dense, FactorizedDense, Frozen, ReLU
from widenet.errors import InvalidInput
from widenet.kernels.neural import NTK
from widenet.networks.shallow import ShallowNetwork

_FRAME = Dense(fan_in_scaling="none") >> ReLU() >> Dense(trainable=False)


def factorized_ntk(
    X: Array,
    rank: int,
    *,
    variant: Literal["inner", "outer", "both"] = "inner",
    width: int = 4096,
    frozen: Frozen = "gaussian",
    seed: int = 0,
) -> Array:
    """Exact tangent kernel of one factorised network f(x) = m^(-1/2) a^T relu(U V x / sqrt(rank)) of finite width.

    With S = U / sqrt(rank) and g_x = m^(-1/2) S^T (a o 1[S V x > 0]): inner x . z g_x . g_z; outer the term of U,
    <Vx, Vz> / rank (1/m) sum_r 1[s_r . V x > 0] 1[s_r . V z > 0]; both their sum. Derived in this library. The mean of
    the inner kernel over the draws is that of the dense network, x . z k0(angle) / 2.

    Args:
        X: Points, (n, d).
        rank: Of the factors.
        variant: Which factors are trained.
        width: m.
        frozen: Kind of the frozen factor.
        seed: Of the factors and of a.

    Returns:
        The kernel, (n, n), in the precision and kind of X.

    Raises:
        InvalidInput: On points that are no finite rows, or sizes below 1.

    References:
        This library's reconstruction of Ailon and Shit 2022, arXiv 2210.04807.

    Example:
        >>> factorized_ntk(torch.eye(2, dtype=torch.float64), rank=8, seed=1).shape
        torch.Size([2, 2])
    """
    inputs = read_inputs(X)
    layer = FactorizedDense(rank, variant, frozen, fan_in_scaling="none")
    network = ShallowNetwork(inputs.X.shape[1], width, layer, seed=seed, dtype=inputs.X.dtype)
    return inputs.restore(network.tangent_kernel(inputs.X))


def inner_deviation(cosine: float, rank: int) -> float:
    """Standard deviation of the inner kernel of two unit points over the draws, to leading order in the rank.

    |cos| sqrt((1 + k0^2) / (4 rank)) with k0 = (pi - angle) / pi; on the diagonal it is 1 / sqrt(2 rank).

    Args:
        cosine: Of the angle between the points.
        rank: Of the factors.

    Raises:
        InvalidInput: On a cosine beyond [-1, 1] or a rank below 1.

    Example:
        >>> round(inner_deviation(0.5, 64), 6), round(inner_deviation(1.0, 64), 6)
        (0.037558, 0.088388)
    """
    if not -1 <= cosine <= 1 or rank < 1:
        raise InvalidInput("a cosine lies in [-1, 1], a rank is 1 or more", f"{cosine} and {rank}")
    k0 = (pi - acos(cosine)) / pi
    return abs(cosine) * sqrt((1 + k0**2) / (4 * rank))


@dataclass(frozen=True)
class RankReport:
    """How the smallest eigenvalue falls with the rank.

    Attributes:
        rank: The smallest tried rank that keeps it, or None.
        tolerance: What may be lost of it.
        ranks: Ranks that were tried.
        ratios: Mean over the draws of the smallest eigenvalue, divided by that of the dense kernel of infinite width.
        smallest: The latter.
    """

    rank: int | None
    tolerance: float
    ranks: tuple[int, ...]
    ratios: tuple[float, ...]
    smallest: float


def rank_for(
    X: Array, tolerance: float = 0.25, *, draws: int = 3, width: int = 8192, most: int | None = None, seed: int = 0
) -> RankReport:
    """The smallest power of two as rank for which the inner kernel keeps the smallest eigenvalue of the dense one.

    Ranks 8, 16, 32, ... are tried with structured frozen factors until the mean over the draws of the smallest
    eigenvalue of the exact kernel is at least (1 - tolerance) times that of the dense kernel of infinite width.

    Args:
        X: Points, (n, d).
        tolerance: Share of the smallest eigenvalue that may be lost, between 0 and 1.
        draws: Networks a rank.
        width: Their width; the kernel's scatter depends on the rank, not on it.
        most: Largest rank to try; the next power of two of n if None, as rank >= n trains n d numbers or more.
        seed: Of the draws.

    Returns:
        The rank, or None where none is enough, and what was found on the way.

    Raises:
        InvalidInput: On points or numbers that cannot be, or where the dense kernel itself is singular.

    Cost:
        For every network m log2(rank) additions a point and the eigenvalues of an n x n matrix, in double precision.

    Example:
        >>> X = torch.nn.functional.normalize(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))
        >>> rank_for(X, tolerance=0.5, most=64).rank
        16
    """
    points = read_inputs(X).X.double()
    if not 0 < tolerance < 1 or draws < 1 or width < 1 or (most is not None and most < 8):
        asked = "tolerance must lie between 0 and 1, draws and width be 1 or more, most 8 or more"
        raise InvalidInput(asked, f"{tolerance}, {draws}, {width} and {most}")
    eigenvalues = torch.linalg.eigvalsh(torch.as_tensor(NTK(_FRAME)(points)))
    smallest = float(eigenvalues[0])
    if smallest <= 1e-12 * float(eigenvalues[-1]):
        raise InvalidInput(
            "the dense kernel must have no eigenvalue 0",
            f"{smallest:.2g} beside the largest {float(eigenvalues[-1]):.2g}",
            "Remove repeated or opposite points",
        )
    most = max(8, 1 << (len(points) - 1).bit_length()) if most is None else most
    ranks, ratios, rank = list[int](), list[float](), 8
    while rank <= most:
        ranks.append(rank)
        ratios.append(_mean_smallest(points, rank, range(seed, seed + draws), width) / smallest)
        if ratios[-1] >= 1 - tolerance:
            return RankReport(rank, tolerance, tuple(ranks), tuple(ratios), smallest)
        rank *= 2
    return RankReport(None, tolerance, tuple(ranks), tuple(ratios), smallest)


def _mean_smallest(points: Tensor, rank: int, seeds: range, width: int) -> float:
    kernels = (factorized_ntk(points, rank, width=width, frozen="hadamard", seed=seed) for seed in seeds)
    return sum(float(torch.linalg.eigvalsh(kernel)[0]) for kernel in kernels) / len(seeds)
