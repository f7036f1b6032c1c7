"""Errors of dual kernels cut off at a degree, by activation, beside random features of the activation itself.

Relative Frobenius error of E[phi(w . x) phi(w . y)], w ~ N(0, I), for points of 256 numbers N(0, 1/256), as in the
first figure of Han et al. 2022 (arXiv 2209.04121). Beside each value, in brackets: what a reckoning apart from this
code gave for 500 points; at the end the largest relative difference from it.

    python benchmarks/bench_truncation.py
"""

import argparse
import time

import numpy as np
import torch
from _timing import save

from widenet import GELU, NNGP, Abs, Dense, Erf, GaussianBump, ReLU, Sine, TruncatedDual
from widenet.architectures import Activation

DEGREES = (1, 3, 5, 8, 10, 20)
SAMPLES = (1024, 65_536)
TABLE: dict[str, tuple[Activation, tuple[float, ...]]] = {
    "relu": (ReLU(), (2.5e-2, 3.1e-3, 1.3e-3, 4.9e-4, 3.5e-4, 1.3e-4)),
    "abs": (Abs(), (2.6e-2, 3.2e-3, 1.3e-3, 4.9e-4, 3.6e-4, 1.3e-4)),
    "sin": (Sine(), (9.9e-2, 5.2e-3, 1.4e-4, 2.3e-6, 2.6e-8, 1e-15)),
    "gauss": (GaussianBump(), (7.0e-3, 1.3e-3, 2.9e-4, 1.6e-5, 3.9e-6, 4.6e-9)),
    "erf": (Erf(), (5.4e-2, 1.2e-2, 3.4e-3, 1.1e-3, 3.7e-4, 3.2e-6)),
    "gelu": (GELU(), (5.2e-2, 3.3e-3, 5.3e-4, 2.3e-5, 5.2e-6, 5.3e-9)),
}


def monte_carlo(activation: Activation, X: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """The mean over that many random units, in blocks."""
    total, random = np.zeros((len(X), len(X))), np.random.default_rng(seed)
    for start in range(0, samples, 4096):
        units = random.standard_normal((X.shape[1], min(4096, samples - start)))
        values = activation(torch.from_numpy(X @ units)).numpy()
        total += values @ values.T
    return total / samples


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    X = np.random.default_rng(asked.seed).standard_normal((asked.points, 256)) / 16
    results, worst = {}, 0.0
    print(
        "activation "
        + "".join(f"{f'degree {degree}':>20}" for degree in DEGREES)
        + "".join(f"{f'{m:,} units':>16}" for m in SAMPLES)
    )
    for name, (activation, expected) in TABLE.items():
        exact = NNGP(Dense(fan_in_scaling="none") >> activation >> Dense())(X)
        size = np.linalg.norm(exact)
        errors = [float(np.linalg.norm(TruncatedDual(activation, degree)(X) - exact) / size) for degree in DEGREES]
        start = time.perf_counter()
        sampled = [float(np.linalg.norm(monte_carlo(activation, X, m, 1) - exact) / size) for m in SAMPLES]
        seconds = time.perf_counter() - start
        # Below 1e-12 both are rounding.
        worst = max([worst, *(abs(e / t - 1) for e, t in zip(errors, expected, strict=True) if t > 1e-12)])
        cells = "".join(f"{f'{e:.1e} ({t:.1e})':>20}" for e, t in zip(errors, expected, strict=True))
        print(f"{name:11}{cells}" + "".join(f"{e:16.1e}" for e in sampled), flush=True)
        results[name] = {"errors": errors, "sampled": sampled, "seconds of the samples": seconds}
    print(f"largest relative difference from the table: {worst:.3f}")
    save("truncation", results)


if __name__ == "__main__":
    main()
