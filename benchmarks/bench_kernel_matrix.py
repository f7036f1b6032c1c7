"""`KernelMatrix @ v` at 100,000 rows, d = 50: seconds, nanoseconds per pair, peak resident memory.

Run as `python benchmarks/bench_kernel_matrix.py [--rows 100000]`. The process measures its own peak, which
includes the interpreter and its libraries. Writes benchmarks/results/bench_kernel_matrix.json.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from widenet import NTK, fully_connected
from widenet.kernels import Gaussian
from widenet.linalg import KernelMatrix

LIMIT_MIB = 1024
RESULTS = Path(__file__).parent / "results" / "bench_kernel_matrix.json"


def peak() -> float:
    """Largest resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Measure, check rows against a direct evaluation, print, write; fails where the memory goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    generator = np.random.default_rng(0)
    X = generator.normal(size=(rows, 50)).astype(np.float32)
    v = generator.normal(size=rows)
    results: dict[str, Any] = {"rows": rows, "import_MiB": peak(), "products": {}}
    for name, kernel in {"Gaussian": Gaussian(7.0), "NTK of depth 3": NTK(fully_connected(3))}.items():
        K = KernelMatrix(kernel, X)
        K.rows([0])  # compiles
        start = time.perf_counter()
        product = K @ v
        seconds = time.perf_counter() - start
        picked = generator.integers(0, rows, 20)
        direct = kernel(X[picked].astype(np.float64), X.astype(np.float64)) @ v
        error = float(abs(product[picked] - direct).max() / abs(direct).max())
        results["products"] |= {
            name: {"seconds": seconds, "ns_per_pair": 2e9 * seconds / rows**2, "peak_MiB": peak(), "error": error}
        }
        print(f"{name:16s} {seconds:7.1f} s, peak {peak():.0f} MiB, relative error {error:.1e}", flush=True)
    few = min(rows, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        K = KernelMatrix(Gaussian(7.0), X[:few])
        start = time.perf_counter()
        stored = K.store(Path(folder) / "gram")
        written = time.perf_counter()
        read = stored @ v[:few]
        results["disk"] = {"rows": few, "write_s": written - start, "product_s": time.perf_counter() - written}
        assert np.allclose(read, K @ v[:few], rtol=1e-9)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))
    reached = peak() < LIMIT_MIB
    print("goal reached" if reached else f"GOAL MISSED: under {LIMIT_MIB} MiB resident")
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
