"""Factorised wide layers beside dense ones: a training step over width and rank, and training to one loss.

python benchmarks/bench_efficient.py [rounds] [real set: an .npz file with X and y, or a folder of MNIST's files]
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from _timing import interleaved, medians, save

from widenet.architectures import Dense, FactorizedDense
from widenet.experiments.efficient_ntk import Settings, train_on
from widenet.experiments.efficient_training import random_set, real_set, training_table
from widenet.networks import ShallowNetwork

POINTS = 256
SIZES = ((16384, 64), (16384, 256), (16384, 1024), (65536, 256))


def steps(width: int, rank: int, rounds: int) -> dict[str, float]:
    """Seconds of output and gradient of each layer, and of the two matrix products that the dense one cannot avoid."""
    X = random_set(POINTS, POINTS, 0).X
    layers: dict[str, Dense | FactorizedDense] = {"dense": Dense(fan_in_scaling="none")}
    layers["Gaussian"] = FactorizedDense(rank, fan_in_scaling="none")
    layers["Hadamard"] = FactorizedDense(rank, frozen="hadamard", fan_in_scaling="none")
    tasks: dict[str, Callable[[], object]] = {}
    for name, layer in layers.items():
        network = ShallowNetwork(POINTS, width, layer)
        tasks[name] = lambda network=network: _step(network, X)
    W, units = torch.randn(width, POINTS), torch.randn(width, POINTS)
    tasks["products of dense"] = lambda: (torch.mm(W, X.T), torch.mm(units, X))
    plain = torch.nn.Sequential(torch.nn.Linear(POINTS, width, bias=False), torch.nn.ReLU())
    readout = torch.ones(1, width)
    tasks["torch.nn"] = lambda: torch.autograd.grad((plain(X) @ readout.T).square().sum(), list(plain.parameters()))
    return medians(interleaved(tasks, rounds))


def _step(network: ShallowNetwork, X: torch.Tensor) -> object:
    outputs = network(X)
    return torch.autograd.grad(outputs, list(network.parameters()), outputs.detach())


def main(rounds: int, data: Path | None) -> None:
    """Print and save milliseconds of steps, and seconds to one loss on random points and on a real set."""
    results: dict[str, object] = {}
    print(f"one step, {POINTS} points in {POINTS} dimensions, {torch.get_num_threads()} threads, milliseconds")
    for width, rank in SIZES:
        times = {name: 1e3 * seconds for name, seconds in steps(width, rank, rounds).items()}
        results[f"step, width {width}, rank {rank}"] = times
        listed = ", ".join(f"{name} {value:.2f}" for name, value in times.items())
        faster = times["Gaussian"] / times["Hadamard"], times["dense"] / times["Hadamard"]
        print(f"width {width}, rank {rank}: {listed}; Hadamard {faster[0]:.1f}x Gaussian, {faster[1]:.1f}x dense")
    for learned in (random_set(POINTS, POINTS, 0), real_set(data, 1297 if data is None else 2000, 0)):
        runs, target = train_on(learned, Settings())
        print(f"\n{training_table(learned, runs, target).markdown()}")
        results[learned.name] = {
            run.name: {
                "seconds": run.seconds,
                "steps": run.steps,
                "reached": run.reached,
                "milliseconds a step": 1e3 * run.step_seconds,
                "test error": run.test_error,
            }
            for run in runs
        }
    save("bench_efficient", results)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 7, Path(given[1]) if len(given) > 1 else None)
