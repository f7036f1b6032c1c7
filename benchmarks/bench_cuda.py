"""Gram matrices on a CUDA device: time over that of the product, nanoseconds per entry. Needs a GPU.

Run as `python benchmarks/bench_cuda.py`. Writes benchmarks/results/bench_cuda.json.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from widenet import NTK, fully_connected

RESULTS = Path(__file__).parent / "results" / "bench_cuda.json"


def seconds(work: Callable[[], Any], repeats: int = 9) -> float:
    """Median time of one call, by CUDA events, after two warm-up calls."""
    times = []
    for repeat in range(repeats + 2):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize()
        if repeat >= 2:
            times.append(start.elapsed_time(stop) / 1000)
    return statistics.median(times)


def main() -> int:
    """Measure, print, write."""
    if not torch.cuda.is_available():
        print("no CUDA device")
        return 1
    results: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "cases": {}}
    generator = torch.Generator().manual_seed(0)
    for rows, channels in ((8192, 784), (8192, 20), (32768, 784)):
        for dtype in (torch.float32, torch.float64):
            X = torch.randn(rows, channels, generator=generator, dtype=dtype).cuda()
            product = seconds(lambda X=X: X @ X.T)
            case: dict[str, float] = {"product, seconds": product}
            for depth in (1, 3, 10, 30):
                time = seconds(lambda X=X, depth=depth: NTK(fully_connected(depth))(X))
                case[f"depth {depth}, over product"] = time / product
                case[f"depth {depth}, ns per entry"] = 1e9 * time / rows**2
            name = f"({rows}, {channels}), {str(dtype).removeprefix('torch.')}"
            results["cases"][name] = case
            print(name, {key: round(value, 4) for key, value in case.items()}, flush=True)
            del X
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
