"""How far the kernels of factorised networks stray from those of dense ones: Monte Carlo beside the formulas."""

from collections.abc import Sequence
from math import acos, pi, sqrt

import numpy as np
import torch
from torch import Tensor

from widenet.architectures import Dense, FactorizedDense, Frozen, ReLU
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NTK
from widenet.networks.factorized_kernels import factorized_ntk, inner_deviation
from widenet.networks.shallow import ShallowNetwork

SHALLOW = Dense(fan_in_scaling="none") >> ReLU() >> Dense(trainable=False)


def k0(cosine: float) -> float:
    """(pi - angle) / pi."""
    return (pi - acos(cosine)) / pi


def k1(cosine: float) -> float:
    """Twice E relu(u) relu(v) of standard normal u, v."""
    return (cosine * (pi - acos(cosine)) + sqrt(1 - cosine * cosine)) / pi


def pair(cosine: float) -> Tensor:
    """Two unit points of the plane at that cosine, (2, 2)."""
    return torch.tensor([[1.0, 0.0], [cosine, sqrt(1 - cosine * cosine)]], dtype=torch.float64)


def inner_draws(rank: int, draws: int, width: int, frozen: Frozen = "gaussian", seed: int = 0) -> np.ndarray:
    """Kernels of two unit points at 60 degrees under drawn factors, (draws, 2, 2)."""
    points = pair(0.5).float()
    kernels = (factorized_ntk(points, rank, width=width, frozen=frozen, seed=seed + i) for i in range(draws))
    return torch.stack(list(kernels)).double().numpy()


def concentration_table(ranks: Sequence[int], draws: int, width: int, seed: int) -> ResultTable:
    """Mean and standard deviation of the inner kernel beside the dense kernel and the formula."""
    columns = (Column("rank"), Column("frozen factor"), Column("mean", ".4f"), Column("error", ".4f"))
    columns += (Column("dense", ".4f"), Column("sd", ".4f"), Column("formula", ".4f"), Column("mean, diagonal", ".4f"))
    columns += (Column("sd, diagonal", ".4f"), Column("formula, diagonal", ".4f"))
    rows = []
    kinds: tuple[Frozen, ...] = ("gaussian", "hadamard")
    for rank in ranks:
        for frozen in kinds:
            found = inner_draws(rank, draws, width, frozen, seed)
            off, own = found[:, 0, 1], found[:, 0, 0]
            values = (off.mean(), off.std(ddof=1) / sqrt(draws), 1 / 6, off.std(ddof=1), inner_deviation(0.5, rank))
            more = (own.mean(), own.std(ddof=1), inner_deviation(1.0, rank))
            rows.append((rank, frozen, *(float(value) for value in (*values, *more))))
    notes = (
        f"x . z k0(angle) / 2 at 60 degrees: {draws} draws of networks of {width:,} units. The width does not matter: "
        "only the rank makes the kernel concentrate.",
        "Formula: |x . z| sqrt((1 + k0^2) / (4 rank)), |x|^2 / sqrt(2 rank) on the diagonal; derived here for Gaussian "
        "factors and to leading order.",
    )
    return ResultTable("The kernel of a trained inner factor", columns, tuple(rows), notes)


def spectrum_table(ranks: Sequence[int], points: int, width: int, seeds: int, seed: int) -> ResultTable:
    """Extreme eigenvalues and spectral error of the finite kernels relative to the dense one of infinite width."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.nn.functional.normalize(torch.randn(points, points, dtype=torch.float64, generator=generator))
    dense = NTK(SHALLOW)(X)
    limits = torch.linalg.eigvalsh(dense)
    columns = (Column("layer"), Column("rank"), Column("smallest", ".3f"), Column("sd", ".3f"))
    columns += (Column("largest", ".3f"), Column("spectral error", ".3f"))
    rows = []
    kinds: tuple[tuple[str, str, Frozen], ...] = (
        ("I, Gaussian", "inner", "gaussian"),
        ("I, Hadamard", "inner", "hadamard"),
        ("O", "outer", "gaussian"),
    )
    for name, variant, frozen in kinds:
        for rank in ranks:
            kernels = [
                factorized_ntk(X.float(), rank, variant=variant, width=width, frozen=frozen, seed=seed + i).double()  # pyright: ignore[reportArgumentType]
                for i in range(seeds)
            ]
            values = [torch.linalg.eigvalsh(kernel) for kernel in kernels]
            low = np.array([float(value[0] / limits[0]) for value in values])
            high = np.mean([float(value[-1] / limits[-1]) for value in values])
            apart = np.mean([float(torch.linalg.matrix_norm(kernel - dense, 2) / limits[-1]) for kernel in kernels])
            rows.append((name, rank, float(low.mean()), float(low.std(ddof=1)), float(high), float(apart)))
    notes = (
        f"{points} random unit points in as many dimensions, {width:,} units, {seeds} seeds, as shares of the dense "
        "kernel of infinite width; spectral error |K - K'| / |K'|.",
    )
    return ResultTable("Spectra of factorised kernels", columns, tuple(rows), notes)


def outer_error(width: int, seed: int = 0) -> float:
    """Relative distance of a finite outer-trained kernel from x' . z' k0 / 2 of the projected points x', z'."""
    points = torch.nn.functional.normalize(
        torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    )
    layer = FactorizedDense(4, "outer", fan_in_scaling="none")
    network = ShallowNetwork(6, width, layer, seed=seed, dtype=torch.float64)
    expected = NTK(SHALLOW)(network.features(points) / sqrt(4))
    return float((network.tangent_kernel(points) - expected).norm() / expected.norm())


def block_draws(rank: int, draws: int, width: int, seed: int = 0) -> np.ndarray:
    """Terms of the tangent kernel of a deep block for unit points at 60 degrees, (draws, 3): U, V, below.

    h = sqrt(2/m) relu(W x), z = V h / sqrt(rank), h' = sqrt(2/m) relu(U z), f = a . h' with a of +-1.
    """
    generator, points = torch.Generator().manual_seed(seed), pair(0.5)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, dtype=torch.float64, generator=generator)

    terms = []
    for _ in range(draws):
        before = points @ normal(2, width)
        V, U = normal(rank, width), normal(width, rank)
        a = 2 * torch.randint(0, 2, (width,), generator=generator).double() - 1
        h = sqrt(2 / width) * before.clamp(min=0)
        z = h @ V.T / sqrt(rank)
        through = sqrt(2 / width) * a * ((z @ U.T) > 0)  # gradient by U z
        by_z = through @ U / sqrt(rank)
        by_before = sqrt(2 / width) * (by_z @ V) * (before > 0)
        kernels = (
            (z @ z.T) * (through @ through.T),
            (h @ h.T) * (by_z @ by_z.T),
            (points @ points.T) * (by_before @ by_before.T),
        )
        terms.append([float(kernel[0, 1]) for kernel in kernels])
    return np.array(terms)


def block_means(rank: int) -> tuple[float, float, float]:
    """Their means for width to infinity: exact in the rank.

    With r = k1(1/2): U (k1(r) + (rank - 1) r k0(r)) / rank, V r k0(r), below k0(1/2) k0(r) / 2.
    """
    r = k1(0.5)
    return (k1(r) + (rank - 1) * r * k0(r)) / rank, r * k0(r), 0.5 * k0(0.5) * k0(r)


def block_table(rank: int, draws: int, width: int, seed: int) -> ResultTable:
    """Means of the three terms beside their expectations and beside the dense limit."""
    found, expected, dense = block_draws(rank, draws, width, seed), block_means(rank), block_means(10**9)
    columns: tuple[Column, ...] = (Column("term"), Column("mean", ".4f"), Column("error", ".4f"))
    columns += (Column("expected", ".4f"), Column("rank to infinity", ".4f"))
    errors = found.std(0, ddof=1) / sqrt(draws)
    rows = tuple(
        (name, float(found[:, i].mean()), float(errors[i]), expected[i], dense[i])
        for i, name in enumerate(("U trained", "V trained", "layers below"))
    )
    notes = (f"{draws} draws, {width:,} units, rank {rank}, unit points at 60 degrees; He scaling.",)
    return ResultTable("A factorised block inside a network", columns, rows, notes)
