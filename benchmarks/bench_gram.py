"""Gram matrices of ReLU NTKs against the plain product X X^T: time by depth, dtype and data, and peak memory.

python benchmarks/bench_gram.py [rows] [rounds]
"""

import sys

import numpy as np
import torch
from _timing import interleaved, medians, peak_memory, ratio, reset_peak_memory, save
from sklearn.datasets import load_digits
from torch import Tensor

from widenet import NTK, fully_connected

DEPTHS = (1, 3, 10, 30)


def clustered(rows: int) -> Tensor:
    """Handwritten digits, repeated with noise of a tenth of their spread: many pairs at small angles."""
    digits = torch.from_numpy(load_digits(return_X_y=True)[0].astype(np.float32))
    generator = torch.Generator().manual_seed(1)
    chosen = torch.randint(len(digits), (rows,), generator=generator)
    return digits[chosen] + 0.1 * digits.std() * torch.randn(rows, 64, generator=generator)


def positive_table(rows: int) -> Tensor:
    """Uncentred columns of unequal size, as in raw tables: nearly every pair is at a small angle."""
    generator = torch.Generator().manual_seed(2)
    return 1000 * torch.rand(20, generator=generator) + torch.randn(rows, 20, generator=generator)


def gaussian(rows: int, columns: int) -> Tensor:
    """Standard normal rows."""
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))


def against_product(X: Tensor, rounds: int) -> dict[str, float]:
    """Times of all depths over the time of torch.mm(X, X.T), and nanoseconds an entry."""
    kernels = {f"depth {depth}": NTK(fully_connected(depth)) for depth in DEPTHS}
    tasks = {"product": lambda: torch.mm(X, X.T), "product in place": _in_place(X)}
    tasks |= {name: (lambda kernel=kernel: kernel(X)) for name, kernel in kernels.items()}
    biased = NTK(fully_connected(3, bias_std=0.5, scaling="geifman"))
    tasks["depth 3, biases (two terms)"] = lambda: biased(X)
    half = X[: len(X) // 2].clone()
    tasks["depth 3, rectangular (n/2, n)"] = lambda: kernels["depth 3"](half, X)
    seconds = interleaved(tasks, rounds)
    table = {"product, seconds": medians(seconds)["product"]}
    for name in list(tasks)[1:]:
        table[f"{name}, over product"] = ratio(seconds, name, "product")
        table[f"{name}, ns per entry"] = medians(seconds)[name] / len(X) ** 2 * 1e9
    table["depth 30 over depth 1"] = ratio(seconds, "depth 30", "depth 1")
    return table


def _in_place(X: Tensor):
    target = torch.empty(len(X), len(X), dtype=X.dtype)
    return lambda: torch.mm(X, X.T, out=target)


def memory(rows: int = 20_000, columns: int = 50) -> dict[str, float]:
    """Peak resident memory of a float32 Gram matrix over that of the process before, in matrices."""
    kernel, X = NTK(fully_connected(3)), gaussian(rows, columns)
    kernel(X[:600])
    before = reset_peak_memory()
    kernel(X)
    return {f"{rows} rows, peak over matrix": (peak_memory() - before) / (4 * rows**2)}


def main(rows: int, rounds: int) -> None:
    """Run all and save the table."""
    results = {}
    for name, X in {
        f"gaussian ({rows}, 784)": gaussian(rows, 784),
        f"gaussian ({rows}, 20)": gaussian(rows, 20),
        f"digits with noise ({rows}, 64)": clustered(rows),
        f"uncentred table ({rows}, 20)": positive_table(rows),
        f"gaussian ({rows // 2}, 784), float64": gaussian(rows // 2, 784).double(),
    }.items():
        results[name] = against_product(X, rounds)
        print(f"\n{name}")
        for label, value in results[name].items():
            print(f"  {label:45} {value:8.3f}", flush=True)
    results["memory"] = memory()
    print(results["memory"])
    save("gram", results)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:] or ("8192", "5")))
