"""Rows per second and resident memory of a regression on features that is streamed from Parquet, at three sizes.

Writes generated tables of numbers and categories to a temporary folder, in blocks, or streams tables of your own. Each
size runs in a process of its own, so that its memory is its own too. Then blocks of the sums alone: float64 against
float32 products, with the error that float32 leaves in the sums.

    python benchmarks/bench_streaming.py
    python benchmarks/bench_streaming.py --file flights-3m.parquet --target delay
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import torch
from _timing import interleaved, medians, peak_memory, reset_peak_memory, save

from widenet import FeatureRegressor, open_rows
from widenet.features.nystrom import Nystroem
from widenet.kernels import Laplace
from widenet.solvers import NormalEquations

ROWS = (100_000, 500_000, 3_000_000)
BLOCK = 100_000


def generated(rows: int, start: int) -> pd.DataFrame:
    """Rows of a table with four numbers, two categories, gaps, and a target that is a smooth function plus noise."""
    rng = np.random.default_rng(start)
    numbers = rng.normal(size=(rows, 4))
    port, line = rng.integers(0, 20, rows), rng.integers(0, 8, rows)
    target = np.sin(2 * numbers[:, 0]) * numbers[:, 1] + np.cos(port) * numbers[:, 2] + 0.3 * (line == 3)
    target += 0.2 * rng.normal(size=rows)
    frame = pd.DataFrame(numbers, columns=["distance", "hour", "wind", "load"])
    frame.loc[rng.random(rows) < 0.01, "wind"] = np.nan
    ports, lines = np.array([f"port {i}" for i in range(20)]), np.array([f"line {i}" for i in range(8)])
    return frame.assign(port=ports[port], line=lines[line], delay=target)


def write(path: Path, rows: int) -> None:
    writer = None
    for start in range(0, rows, BLOCK):
        table = pyarrow.Table.from_pandas(generated(min(BLOCK, rows - start), start), preserve_index=False)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def run(path: Path, target: str, size: int) -> dict[str, float]:
    """One streamed fit, in this process."""
    source = open_rows(path, target)
    resident = reset_peak_memory()
    start, cpu = time.perf_counter(), time.process_time()
    model = FeatureRegressor(Nystroem(Laplace(4.0), size)).fit_stream(source)
    streamed, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_memory()
    score = min(model.gcv_.values())
    return {
        "rows": source.rows or 0,
        "seconds": time.perf_counter() - start,
        "rows_per_second": (source.rows or 0) / streamed,
        "cpu_seconds": cpu,
        "resident_before": resident,
        "resident_peak": peak,
        "gcv": score,
    }


def in_a_process(path: Path, target: str, size: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", "--file", str(path), "--target", target, "--size", str(size)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def products(size: int, rows: int = 4096) -> dict[str, float]:
    """Seconds of the sums of a block, in float64 and in float32, and the error of the latter."""
    Z = np.random.default_rng(0).normal(size=(rows, size)).astype(np.float32) + np.float32(0.5)
    y = Z[:, :1].astype(np.float64)
    single = torch.from_numpy(Z)

    def double() -> None:
        NormalEquations(size).add(Z, y)

    seconds = medians(interleaved({"float64": double, "float32": lambda: single.T @ single}, 5))
    exact = Z.astype(np.float64).T @ Z.astype(np.float64)
    error = np.abs((single.T @ single).numpy() - exact).max() / np.diagonal(exact).mean()
    return seconds | {"float32_error": float(error)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=list(ROWS))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--target", default="delay")
    parser.add_argument("--one", action="store_true", help="stream the file in this process and print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.file, options.target, options.size)))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in [0] if options.file else options.rows:
            path = options.file or Path(folder) / f"{rows}.parquet"
            if not options.file:
                write(path, rows)
            result = in_a_process(path, options.target, options.size)
            results.append(result)
            print(
                f"{result['rows']:>10,.0f} rows, {options.size} features: {result['seconds']:7.1f} s, "
                f"{result['rows_per_second']:>9,.0f} rows/s, resident {result['resident_before'] / 2**20:,.0f} MiB "
                f"before, {result['resident_peak'] / 2**20:,.0f} MiB at the peak, GCV {result['gcv']:.4f}",
                flush=True,
            )
    sums = {str(size): products(size) for size in (512, 2048)}
    for size, facts in sums.items():
        each = {name: 1e6 * facts[name] / 4096 for name in ("float64", "float32")}
        print(
            f"sums of {size} features: {each['float64']:.1f} us a row in float64, {each['float32']:.1f} us for the "
            f"float32 product, whose largest error is {facts['float32_error']:.1e} of the mean diagonal"
        )
    save("streaming", {"streams": results, "size": options.size, "sums": sums})


if __name__ == "__main__":
    main()
