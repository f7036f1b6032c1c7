"""Runs every benchmark of this folder, one process each, and prints one table: `make bench`."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
# The peers want an environment of their own, CUDA a GPU; the images and the UCI sets need a folder of data.
APART = {"bench_angle_features", "bench_cuda", "bench_flights", "bench_images", "bench_peers"}
APART |= {"bench_uci", "bench_uci_protocol", "bench_ucr"}


def machine() -> dict[str, str | int | None]:
    """What the timings were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version()}


def run(path: Path) -> bool:
    """Run one benchmark with its output on this terminal; its results file is its own affair."""
    print(f"\n== {path.stem} ==", flush=True)
    start = time.perf_counter()
    code = subprocess.run([sys.executable, str(path)], check=False).returncode
    print(
        f"{'done' if code == 0 else f'failed with exit code {code}'} in {time.perf_counter() - start:.1f} s", flush=True
    )
    return code == 0


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all but those apart, and return the exit code."""
    paths = [HERE / f"{name.removesuffix('.py')}.py" for name in names]
    paths = paths or sorted(path for path in HERE.glob("bench_*.py") if path.stem not in APART)
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        print(f"no such benchmark: {', '.join(missing)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    failed = [path.stem for path in paths if not run(path)]
    print()
    table = subprocess.run([sys.executable, str(HERE / "table.py")], check=False).returncode
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed or table else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
