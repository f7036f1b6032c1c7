"""Medians of interleaved runs, peak memory, and results as JSON with what they were taken on."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from run import RESULTS, machine


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every task in every round; one round runs each task once, so that all see the same machine."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Median seconds of every task."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def ratio(seconds: dict[str, list[float]], task: str, reference: str) -> float:
    """Median over rounds of the time of a task divided by that of the reference in the same round."""
    return statistics.median(a / b for a, b in zip(seconds[task], seconds[reference], strict=True))


def peak_memory() -> int:
    """Largest resident memory of this process since `reset_peak_memory`, in bytes."""
    return _status("VmHWM:")


def reset_peak_memory() -> int:
    """Forget the peak so far, and return the resident memory now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS:")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def earlier(name: str) -> Any:
    """The results that `save` wrote under this name, or none: an empty dictionary."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["results"] if path.exists() else {}


def save(name: str, results: object) -> None:
    """Write results/NAME.json: the results, the machine, the threads."""
    RESULTS.mkdir(exist_ok=True)
    facts = {**machine(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": facts, "results": results}, indent=2) + "\n")
