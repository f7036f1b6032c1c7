"""Seconds to import widenet and to the first Gram matrix, with the compiled loops on disk and without."""

import os
import statistics
import subprocess
import sys
import tempfile

from _timing import save

SCRIPT = """
import time
start = time.perf_counter()
import widenet
print(time.perf_counter() - start)
import numpy as np
from widenet import NTK, fully_connected
print(time.perf_counter() - start)
X = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
kernel = NTK(fully_connected(3))
first = time.perf_counter()
kernel(X)
print(time.perf_counter() - first)
second = time.perf_counter()
kernel(X)
print(time.perf_counter() - second)
"""
NAMES = ("import widenet", "and its kernels", "first Gram matrix (500 rows)", "second Gram matrix")


def measure(cache: str) -> list[float]:
    """Seconds of the four steps in a fresh process."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    run = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, env=environment)
    return [float(line) for line in run.stdout.split()]


def main() -> None:
    """Measure a fresh install once and a used one three times, print and save."""
    with tempfile.TemporaryDirectory() as cache:
        fresh = measure(cache)
        used = [statistics.median(times) for times in zip(*(measure(cache) for _ in range(3)), strict=True)]
    results = {
        "fresh install": dict(zip(NAMES, fresh, strict=True)),
        "used before": dict(zip(NAMES, used, strict=True)),
    }
    for name, table in results.items():
        print(name, *(f"  {label:30} {value:8.3f} s" for label, value in table.items()), sep="\n")
    save("startup", results)


if __name__ == "__main__":
    main()
