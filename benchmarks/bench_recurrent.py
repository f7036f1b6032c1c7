"""Recurrent kernels of series of one channel: the fused loops beside the plain recursion on whole matrices.

python benchmarks/bench_recurrent.py [series] [steps] [rounds]

"plain" is the vectorised algorithm as one writes it in NumPy: at every step the covariance and the tangent of all
pairs, N x N matrices in double precision, with masks for sequences of any length. "whole matrices" is the published
code's way, the same recursion for sequences of one length on whole matrices of an array library: torch with all
threads, on this processor.

What arithmetic allows: a step of the ReLU loop for 8 pairs is 76 vector instructions, of which 56 share the units for
multiplication, at one 512-bit instruction a cycle: 2.7 ns a pair and step of one core at 2.6 GHz; in single precision
40 instructions for 16 pairs, and a root beside them: 1 ns. The traffic stays in the first cache, but for a table of
three numbers a step and sequence, which serve a whole tile.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from _timing import interleaved, medians, ratio, save

from widenet import NTK, recurrent
from widenet.architectures import Erf, Recurrent
from widenet.kernels._fused_recurrent import _ROWS

HIDDEN, INPUT, BIAS = 1.4, 1.0, 0.1


def plain(X: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The ReLU RNTK of right-aligned sequences of any lengths, (n, T, channels), by whole masked matrices."""
    n, steps, channels = X.shape
    S, Q = np.zeros((n, n), X.dtype), np.zeros((n, n), X.dtype)
    for s in range(steps):
        G = INPUT**2 * X[:, s] @ X[:, s].T / channels
        active, first = s >= steps - lengths, s == steps - lengths
        mask = active[:, None] & active
        carry = mask & ~first[:, None] & ~first
        value, slope = relu_averages(S)
        previous = S, Q
        S = np.where(mask, np.where(carry, HIDDEN**2 * value, 0.0) + G + BIAS**2, 0.0)
        Q = np.where(mask, S + np.where(carry, HIDDEN**2 * slope * previous[1], 0.0), 0.0)
    value, slope = relu_averages(S)
    return value + slope * Q


def relu_averages(S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E[phi phi] and E[phi' phi'] of ReLU for covariances S, (n, n), whose diagonal holds the variances."""
    d = np.sqrt(np.diag(S))
    sizes = d[:, None] * d
    r = np.clip(np.divide(S, sizes, out=np.zeros_like(S), where=sizes > 0), -1, 1)
    np.fill_diagonal(r, 1.0)
    rest = np.pi - np.arccos(r)
    return sizes / (2 * np.pi) * (np.sqrt(1 - r * r) + r * rest), rest / (2 * np.pi)


def whole_matrices(X: torch.Tensor) -> torch.Tensor:
    """The same recursion step by step on whole matrices of torch, for any device."""
    n, steps = X.shape
    before, slope, Q = (X.new_zeros(n, n) for _ in range(3))
    for s in range(steps):
        S = torch.addr(HIDDEN**2 * before + BIAS**2, X[:, s], X[:, s], alpha=INPUT**2)
        Q = S + HIDDEN**2 * slope * Q
        d = S.diagonal().sqrt()
        sizes = torch.outer(d, d)
        r = (S / sizes).clamp(-1, 1)
        r.fill_diagonal_(1)
        angle = torch.pi - torch.arccos(r)
        before = sizes / (2 * torch.pi) * ((1 - r * r).sqrt() + r * angle)
        slope = angle / (2 * torch.pi)
    return before + slope * Q


def main(series: int, steps: int, rounds: int) -> None:
    """Print and save seconds and nanoseconds a pair and step, of the pairs on and above the diagonal."""
    X = np.random.default_rng(0).standard_normal((series, steps))
    cell = Recurrent(hidden_std=HIDDEN, input_std=INPUT, bias_std=BIAS)
    kernels = {
        "relu": NTK(recurrent(1, cell)),
        "relu, 2 layers": NTK(recurrent(2, cell)),
        "erf": NTK(recurrent(1, Recurrent(Erf(), HIDDEN, INPUT, BIAS))),
    }
    tensor = torch.from_numpy(X)
    lengths = np.full(series, steps)
    expected = plain(X[:, :, None], lengths)
    largest = np.abs(kernels["relu"](X) - expected).max() / np.abs(expected).max()
    single = X.astype(np.float32)
    apart = np.abs(kernels["relu"](single) - expected).max() / np.abs(expected).max()
    tasks: dict[str, Callable[[], object]] = {name: lambda kernel=kernel: kernel(X) for name, kernel in kernels.items()}
    tasks["relu, single"] = lambda: kernels["relu"](single)
    few = {
        "relu": tasks["relu"],
        "relu, single": tasks["relu, single"],
        "plain": lambda: plain(X[:, :, None], lengths),
        "plain, single": lambda: plain(single[:, :, None], lengths),
        "whole matrices": lambda: whole_matrices(tensor),
        "whole matrices, single": lambda: whole_matrices(tensor.float()),
    }
    seconds = interleaved(few, max(1, rounds // 4))
    fused = medians(interleaved(tasks, rounds))
    pair_steps = series * (series + 1) / 2 * steps
    cores = torch.get_num_threads()
    results: dict[str, object] = {
        "series": series,
        "steps": steps,
        "rows of a tile": _ROWS,
        "seconds": {**medians(seconds), **fused},
        "nanoseconds a pair, step and core": {name: value / pair_steps * 1e9 * cores for name, value in fused.items()},
        "times faster than plain": 1 / ratio(seconds, "relu", "plain"),
        "times faster than whole matrices": 1 / ratio(seconds, "relu", "whole matrices"),
        "single precision, times faster than plain": 1 / ratio(seconds, "relu, single", "plain"),
        "single, times faster than plain single": 1 / ratio(seconds, "relu, single", "plain, single"),
        "single, times faster than whole single": 1 / ratio(seconds, "relu, single", "whole matrices, single"),
        "largest difference to plain, of the largest value": largest,
        "of single precision": apart,
    }
    for name, value in results.items():
        print(f"{name:50} {value}")
    save("bench_recurrent", results)


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:] + ["500", "500", "12"][len(sys.argv) - 1 :]))
