"""`EmpiricalNTK` beside the way of torch.func's tutorial, vmap of jacrev and a contraction: seconds and peak memory.

python benchmarks/bench_empirical.py [--rows 200] [--rounds 3] [--threads 2]

Every measurement is a process of its own: it builds the network and the points, warms up on a few of them, and then
measures its time and how far its resident memory rises. The kernels (n, n, 10, 10) and (n, n) are those of two sets of
points in float64; both ways must agree to 1e-10. The floor is the time that the floating point operations of the
structured form would take at the rate of a product of large matrices. The goals, 3 times faster and 5 times less
memory, are those of the full form, which is what the tutorial computes; for the trace of a convolutional network both
ways spend most of their time on the same backward passes and on the same products that form gradients. Those of torch
in double precision run near the rate of products of matrices. What was tried in their place: gradients by Winograd's
minimal filtering took 1.7 times as long; convolutions backwards as shifted or gathered products were faster on 4 x 4
positions alone; backward passes vectorised over outputs were slower for batches of more than a few points.

`--networks "CNN with pooling"` adds one whose convolutions hold almost all of its weights, where least is to be gained
in time; there gradients that outgrow what they are formed of are formed in slices, which is what saves memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from _timing import peak_memory, reset_peak_memory, save
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from widenet.networks.empirical import EmpiricalNTK

FORMS = ("full", "trace")
EQUATIONS = {"full": "naf,mbf->nmab", "trace": "naf,maf->nm"}


def dense() -> tuple[nn.Module, tuple[int, ...]]:
    """Three layers of weights, 512 units wide, 10 outputs; and the shape of a point."""
    layers = [nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    return nn.Sequential(*layers), (64,)


def convolutional() -> tuple[nn.Module, tuple[int, ...]]:
    """Three convolutions of 32 channels without padding and a dense head on 32 x 32 images: that of the tutorial."""
    layers = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(21632, 10)), (3, 32, 32)


def pooled() -> tuple[nn.Module, tuple[int, ...]]:
    """Three convolutions with pooling between them, so that the dense head has few weights, on 16 x 16 images."""
    convolutions = [(3, 32), (32, 64), (64, 64)]
    layers = []
    for inputs, outputs in convolutions:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10)), (3, 16, 16)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, tuple[int, ...]]]] = {
    "MLP": dense,
    "CNN": convolutional,
    "CNN with pooling": pooled,
}


def tutorial(module: nn.Module, X: Tensor, Y: Tensor, form: str) -> Tensor:
    """All Jacobians of both sets of points, then one contraction a parameter."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}

    def outputs(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(module, dict(weights), (x[None],))[0]

    jacobians = [vmap(jacrev(outputs), (None, 0))(parameters, points) for points in (X, Y)]
    rows = [[part.flatten(2) for part in jacobian.values()] for jacobian in jacobians]
    return torch.stack([torch.einsum(EQUATIONS[form], a, b) for a, b in zip(*rows, strict=True)]).sum(0)


def ours(module: nn.Module, X: Tensor, Y: Tensor, form: str) -> Tensor:
    """The same by the library, whose kernel is the mean over outputs."""
    kernel = EmpiricalNTK(module)
    return kernel.full(X, Y) if form == "full" else 10 * kernel(X, Y)


WAYS = {"tutorial": tutorial, "widenet": ours}


def measure(network: str, way: str, form: str, rows: int, path: str) -> dict[str, float]:
    """Seconds and bytes of one way, in this process; keeps the kernel in a file."""
    torch.manual_seed(0)
    module, shape = NETWORKS[network]()
    module = module.double()
    X, Y = (torch.randn(rows, *shape, dtype=torch.float64) for _ in range(2))
    run = WAYS[way]
    run(module, X[:4], Y[:4], form)
    before = reset_peak_memory()
    start, used = time.perf_counter(), time.process_time()
    kernel = run(module, X, Y, form)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    found = {"seconds": seconds, "CPU seconds": used, "MiB": (peak_memory() - before) / 2**20}
    if way == "widenet":
        plan = EmpiricalNTK(module).plan(X, Y, form if form == "full" else "trace")
        found |= {"flops": plan.flops, "planned MiB": plan.memory / 2**20}
    np.save(path, kernel.numpy()[: min(rows, 50)])
    return found


def flop_rate() -> float:
    """Floating point operations a second of a product of large matrices in float64."""
    A = torch.randn(1500, 1500, dtype=torch.float64)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(A, A)
        seconds.append(time.perf_counter() - start)
    return 2 * 1500**3 / statistics.median(seconds)


def in_a_process(arguments: list[str]) -> dict[str, float]:
    """The measurement of one way in a fresh process."""
    command = [sys.executable, __file__, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {finished.stderr[-500:]}")
    return json.loads(finished.stdout)


def compare(network: str, form: str, options: argparse.Namespace, rate: float) -> dict[str, float]:
    """Both ways in turns: medians, ratios, and how far the kernels differ."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        paths = {way: str(Path(folder) / f"{way}.npy") for way in WAYS}
        for _ in range(options.rounds):
            for way, results in found.items():
                single = ["--one", network, way, form, paths[way], "--rows", str(options.rows)]
                results.append(in_a_process([*single, "--threads", str(options.threads)]))
        theirs, own = (np.load(path) for path in paths.values())
    table = {
        f"{way}, {key}": statistics.median(result[key] for result in results)
        for way, results in found.items()
        for key in results[0]
    }
    table["times faster"] = table["tutorial, seconds"] / table["widenet, seconds"]
    table["times less CPU time"] = table["tutorial, CPU seconds"] / table["widenet, CPU seconds"]
    table["times less memory"] = table["tutorial, MiB"] / table["widenet, MiB"]
    table["share of the floor"] = table["widenet, flops"] / rate / table["widenet, seconds"]
    table["difference"] = float(np.abs(theirs - own).max() / np.abs(theirs).max())
    return table


def main() -> int:
    """Measure all, print and save; fails where a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--networks", nargs="*", default=["MLP", "CNN"], choices=list(NETWORKS))
    parser.add_argument("--one", nargs=4, help="network, way, form and a path: measure in this process")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        network, way, form, path = options.one
        print(json.dumps(measure(network, way, form, options.rows, path)))
        return 0
    rate, results, missed = flop_rate(), {}, []
    for network in options.networks:
        for form in FORMS:
            name = f"{network}, {form}, {options.rows} x {options.rows}"
            results[name] = table = compare(network, form, options, rate)
            print(name, *(f"  {key:28} {value:10.4g}" for key, value in table.items()), sep="\n", flush=True)
            better = table["times faster"] >= 3 and table["times less memory"] >= 5
            missed += [] if better and table["difference"] <= 1e-10 else [name]
    save("empirical", results)
    print(f"not 3 times faster with 5 times less memory: {'; '.join(missed)}" if missed else "goals reached by all")
    return 1 if any("full" in name for name in missed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
