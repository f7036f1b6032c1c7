"""Hermite series of dual kernels cut off at a degree: errors by activation and degree, beside Monte Carlo."""

from collections.abc import Sequence

import numpy as np
import torch

from widenet.architectures import GELU, Abs, Activation, Dense, Erf, GaussianBump, ReLU, Sine
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.neural import NNGP
from widenet.kernels.truncated import TruncatedDual

ACTIVATIONS: dict[str, Activation] = {
    "ReLU": ReLU(),
    "abs": Abs(),
    "sin": Sine(),
    "Gaussian": GaussianBump(),
    "erf": Erf(),
    "GELU": GELU(),
}
DEGREES = (1, 3, 5, 8, 10, 20)
ROWS, DIMENSION = 500, 256

# Measured for the specification of these features with other code, one draw of the same law of rows.
_KNOWN = {
    "ReLU": (2.5e-2, 3.1e-3, 1.3e-3, 4.9e-4, 3.5e-4, 1.3e-4),
    "abs": (2.6e-2, 3.2e-3, 1.3e-3, 4.9e-4, 3.6e-4, 1.3e-4),
    "sin": (9.9e-2, 5.2e-3, 1.4e-4, 2.3e-6, 2.6e-8, 1e-15),
    "Gaussian": (7.0e-3, 1.3e-3, 2.9e-4, 1.6e-5, 3.9e-6, 4.6e-9),
    "erf": (5.4e-2, 1.2e-2, 3.4e-3, 1.1e-3, 3.7e-4, 3.2e-6),
    "GELU": (5.2e-2, 3.3e-3, 5.3e-4, 2.3e-5, 5.2e-6, 5.3e-9),
}
_ROUNDING = 1e-13  # errors below it are those of double precision
_UNITS = 4096  # of Monte Carlo at a time


def activation_table(samples: Sequence[int] = (1024,), seed: int = 0) -> ResultTable:
    """Relative Frobenius errors of the dual kernels cut off at a degree, and of Monte Carlo with random units.

    Args:
        samples: Numbers of random units.
        seed: Of rows and units.
    """
    draws = np.random.default_rng(seed)
    X = draws.standard_normal((ROWS, DIMENSION)) / np.sqrt(DIMENSION)
    rows, most = [], 0.0
    for name, activation in ACTIVATIONS.items():
        # A dense layer divides by the root of the dimension, which these rows of unit norm have in them already.
        K = np.asarray(NNGP(Dense() >> activation)(X * np.sqrt(DIMENSION)))
        errors = [_relative(np.asarray(TruncatedDual(activation, degree)(X)), K) for degree in DEGREES]
        ratios = [error / known for error, known in zip(errors, _KNOWN[name], strict=True) if known > _ROUNDING]
        farthest = max(ratios, key=lambda ratio: abs(ratio - 1))
        most = max(most, abs(farthest - 1))
        sampled = [_relative(monte_carlo(activation, X, count, draws), K) for count in samples]
        rows.append((name, *errors, farthest, *sampled))
    columns = (Column("activation"), *(Column(f"degree {degree}", ".1e") for degree in DEGREES))
    columns += (Column("farthest ratio", ".3f"), *(Column(f"{count:,} units", ".1e") for count in samples))
    return ResultTable(
        "Dual kernels cut off at a degree",
        columns,
        tuple(rows),
        (
            f"E[phi(w x) phi(w y)] for {ROWS} Gaussian rows in {DIMENSION} dimensions with E |x|² = 1: relative "
            "Frobenius error of the Hermite series up to a degree, and of sums over random units.",
            "Farthest ratio: of all degrees of a row, to the errors measured with other code on another draw, which "
            f"are known to two digits; at most {most:.1%} off in all.",
        ),
    )


def monte_carlo(activation: Activation, X: np.ndarray, count: int, draws: np.random.Generator) -> np.ndarray:
    """Mean of phi(w x) phi(w y) over random units w, (n, n)."""
    total = np.zeros((len(X), len(X)))
    for start in range(0, count, _UNITS):
        w = draws.standard_normal((X.shape[1], min(_UNITS, count - start)))
        values = activation(torch.from_numpy(X @ w)).numpy()
        total += values @ values.T
    return total / count


def _relative(estimate: np.ndarray, K: np.ndarray) -> float:
    return float(np.linalg.norm(estimate - K) / np.linalg.norm(K))
