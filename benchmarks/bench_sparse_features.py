"""Sketches of sparse rows: time by non-zeros over two decades and by dimension, and memory beside input and output.

python benchmarks/bench_sparse_features.py [rounds]

Rows are SciPy's CSR, float32. "per non-zero" is the slope of a straight line through the times; a tree of products also
pays a price per row that the non-zeros do not change, the intercept. "slope" is that of the logarithms: 1 where time is
proportional to the non-zeros. Memory is the largest resident set while the features are made, less that before, less
the features themselves, over the bytes of the input.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _timing import peak_memory, reset_peak_memory, save
from scipy import sparse

from widenet.features.count_sketch import OSNAP, CountSketch
from widenet.features.poly_sketch import PolySketch
from widenet.features.tensor_sketch import TensorSketch

DIMENSION, ROWS = 10**6, 2000
NONZEROS = (50, 150, 500, 1500, 5000)
DIMENSIONS = (10**4, 10**5, 10**6, 10**7)

Sketch = CountSketch | OSNAP | TensorSketch | PolySketch


def sketches(dimension: int) -> dict[str, Sketch]:
    """The sketches measured."""
    return {
        "CountSketch, 1,024": CountSketch(dimension, 1024),
        "OSNAP, 1,024, 4 buckets": OSNAP(dimension, 1024, parts=4),
        "TensorSketch, degree 3, 1,024": TensorSketch(dimension, 3, 1024),
        "PolySketch tree, powers 1-4 of 256": PolySketch(dimension, (256,) * 4, shape="tree"),
        "PolySketch chain, powers 1-8 of 256": PolySketch(dimension, (256,) * 8, shape="chain"),
    }


def rows(count: int, dimension: int, nonzeros: int) -> sparse.csr_array:
    """Random rows with that many non-zeros each."""
    draws = np.random.default_rng(0)
    columns = np.sort(draws.integers(0, dimension, (count, nonzeros), dtype=np.int32), axis=1)
    data = draws.standard_normal(count * nonzeros, dtype=np.float32)
    X = sparse.csr_array((data, columns.ravel(), np.arange(count + 1, dtype=np.int32) * nonzeros), (count, dimension))
    X.sum_duplicates()
    return X


def median_seconds(task: Callable[[], Any], rounds: int) -> float:
    """Median wall seconds, after one run to warm up."""
    task()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def by_nonzeros(rounds: int) -> dict[str, Any]:
    """Microseconds a row by non-zeros at one dimension."""
    found: dict[str, Any] = {}
    inputs = [rows(ROWS, DIMENSION, count) for count in NONZEROS]
    print(f"microseconds a row, d = {DIMENSION:,}")
    print(f"{'non-zeros a row':38}" + "".join(f"{count:>9,}" for count in NONZEROS) + "   per non-zero  per row  slope")
    for name, sketch in sketches(DIMENSION).items():
        times = [1e6 * median_seconds(partial(sketch.apply, X), rounds) / ROWS for X in inputs]
        weights = 1 / np.array(times)  # relative errors count
        line = np.polyfit(NONZEROS, times, 1, w=weights)
        slope = np.polyfit(np.log(NONZEROS), np.log(np.maximum(np.array(times) - max(line[1], 0), 1e-9)), 1)[0]
        print(
            f"{name:38}" + "".join(f"{value:9.2f}" for value in times) + f"{1e3 * line[0]:11.2f} ns"
            f"{line[1]:9.2f}{slope:7.2f}"
        )
        found[name] = {"nonzeros": NONZEROS, "microseconds a row": times, "nanoseconds per non-zero": 1e3 * line[0]}
    print("slope: of log time, less the price per row, over log non-zeros")
    return found


def by_dimension(rounds: int) -> dict[str, Any]:
    """Microseconds a row of 50 non-zeros by dimension."""
    found: dict[str, Any] = {}
    print("\nmicroseconds a row with 50 non-zeros; the target is 1,000 at d = 10^6")
    print(f"{'d':38}" + "".join(f"{d:>12,}" for d in DIMENSIONS))
    inputs = [rows(ROWS, d, 50) for d in DIMENSIONS]
    for name in sketches(DIMENSION):
        times = [
            1e6 * median_seconds(partial(sketches(d)[name].apply, X), rounds) / ROWS
            for d, X in zip(DIMENSIONS, inputs, strict=True)
        ]
        print(f"{name:38}" + "".join(f"{value:12.2f}" for value in times))
        found[name] = dict(zip(map(str, DIMENSIONS), times, strict=True))
    return found


def memory() -> dict[str, float]:
    """Bytes beside input and output over bytes of input."""
    X = rows(100_000, DIMENSION, 200)
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    found = {}
    print(f"\nmemory beside input and output, over the input of {size / 2**20:.0f} MiB")
    for name, sketch in sketches(DIMENSION).items():
        sketch.apply(X[:100])
        before = reset_peak_memory()
        Z = sketch.apply(X)
        found[name] = (peak_memory() - before - Z.nbytes) / size
        print(f"{name:38}{found[name]:9.3f}")
        del Z
    return found


def main(rounds: int = 5) -> None:
    """Print all of it, and save it."""
    results = {"by non-zeros": by_nonzeros(rounds), "by dimension": by_dimension(rounds), "memory": memory()}
    save("bench_sparse_features", results)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
