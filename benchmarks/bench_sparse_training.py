"""Full-batch gradient descent on threshold units: active pairs only, beside dense steps of torch on the same numbers.

python benchmarks/bench_sparse_training.py [width] [rounds]

"dense, autograd" is the step as one writes it in torch; "dense, by hand" writes the gradient out and works in place.
"sparse" is `SparseTraining`. "sparse, product at every step" finds the active pairs by the whole product of samples and
units each time, and is sparse in what follows only: what is gained without lists of candidates. All in float32, on
random unit vectors with labels +-1. Times a step are those of a whole run over its steps, the setting up of the lists
included; "later steps" leaves the setting up out.

What arithmetic allows: 2 (d + 1) multiplications a step for each active pair, forward and backward. The time of
`tangent_product`, which does just these on known pairs, stands beside them, divided by the number of threads.

With 1,000 samples fewer units are active for a sample (186) than there are samples, and with the step 1 / largest
eigenvalue most units fall silent after the first few steps; 0.2 times that step keeps them.
"""

import sys
import time

import numpy as np
import torch
from _timing import interleaved, medians, ratio, save

from widenet.networks.active_units import ActiveUnits
from widenet.networks.sparse_training import SparseReLUNetwork, SparseTraining

SIZES = ((100, 20, 1.0, 20), (1000, 200, 0.2, 30))  # samples, channels, share of the step 1 / largest eigenvalue, steps
THRESHOLDS = (2.0, 1.0, 0.0)


class Problem:
    """Samples, labels and a network at its start."""

    def __init__(self, n: int, d: int, width: int, threshold: float) -> None:
        random = np.random.default_rng(0)
        X = random.standard_normal((n, d))
        self.X = torch.from_numpy(X / np.linalg.norm(X, axis=1, keepdims=True)).float()
        self.y = torch.from_numpy(random.choice([-1.0, 1.0], n)).float()
        self.d, self.width, self.threshold = d, width, threshold

    def network(self) -> SparseReLUNetwork:
        return SparseReLUNetwork(self.d, self.width, self.threshold, dtype=torch.float32)

    def units(self) -> ActiveUnits:
        network = self.network()
        parameters = torch.cat([network.weight, network.bias[:, None]], 1).detach().numpy()
        return ActiveUnits(parameters, network.signs.numpy(), self.X.numpy())

    def autograd(self, step: float, steps: int) -> list[float]:
        """Losses of dense training."""
        network, losses = self.network(), []
        for _ in range(steps):
            loss = (network(self.X)[:, 0] - self.y).square().sum() / 2
            gradients = torch.autograd.grad(loss, (network.weight, network.bias))
            with torch.no_grad():
                network.weight.sub_(gradients[0], alpha=step)
                network.bias.sub_(gradients[1], alpha=step)
            losses.append(loss.item() / len(self.y))
        return losses

    @torch.no_grad()
    def by_hand(self, step: float, steps: int) -> list[float]:
        """The same without autograd."""
        network, losses = self.network(), []
        signs, buffer = network.signs / self.width**0.5, torch.empty(len(self.X), self.width)
        for _ in range(steps):
            torch.addmm(network.bias, self.X, network.weight.T, beta=-1, out=buffer)
            active = buffer > 0
            residuals = buffer.relu_() @ signs - self.y
            losses.append(float(residuals.square().sum()) / 2 / len(self.y))
            deltas = torch.outer(residuals, signs, out=buffer).mul_(active)
            network.weight.addmm_(deltas.T, self.X, alpha=-step)
            network.bias.add_(deltas.sum(0), alpha=step)
        return losses

    def sparse(self, step: float, steps: int) -> list[float]:
        """Losses of sparse training."""
        run = SparseTraining(step, target=1e-9, most_steps=steps).run(self.network(), self.X, self.y)
        return list(run.losses[:-1])

    def products(self, step: float, steps: int) -> list[float]:
        """Sparse training that trusts no list: every unit that moved is computed for all samples."""
        units, losses = self.units(), []
        for _ in range(steps):
            residuals = units.sums / self.width**0.5 - self.y.numpy()
            losses.append(float(np.mean(residuals**2) / 2))
            for span in units._spans:
                span.lengths[1][:] = 0
            units.descend(residuals / self.width**0.5, step)
        return losses

    def setting_up(self) -> float:
        """Seconds until the first lists are there."""
        start = time.perf_counter()
        self.units()
        return time.perf_counter() - start

    def floor(self) -> float:
        """Seconds of the products of active pairs alone, at the start, on all threads."""
        units, vector, seconds = self.units(), np.ones(len(self.y)), []
        for _ in range(5):
            start = time.perf_counter()
            units.tangent_product(vector)
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds)) / torch.get_num_threads()


def measure(size: tuple[int, int, float, int], width: int, threshold: float, rounds: int) -> dict[str, float | int]:
    """Milliseconds a step of every way, and what the sparse one did."""
    n, d, share, steps = size
    problem = Problem(n, d, width, threshold)
    first = SparseTraining(target=1e-9, most_steps=1).run(problem.network(), problem.X, problem.y)
    step = share * first.step_size
    ways = {
        "dense, autograd": lambda: problem.autograd(step, steps),
        "dense, by hand": lambda: problem.by_hand(step, steps),
        "sparse": lambda: problem.sparse(step, steps),
        "sparse, product at every step": lambda: problem.products(step, steps),
    }
    losses = {name: way()[-1] for name, way in ways.items()}
    seconds = interleaved(ways, rounds)
    setting_up = float(np.median([problem.setting_up() for _ in range(rounds)]))
    run = SparseTraining(step, target=1e-9, most_steps=steps).run(problem.network(), problem.X, problem.y)
    middle = medians(seconds)
    found: dict[str, float | int] = {f"{name}, ms a step": middle[name] / steps * 1e3 for name in ways}
    found["sparse, later steps, ms"] = (middle["sparse"] - setting_up) / steps * 1e3
    found["floor, ms"] = problem.floor() * 1e3
    found["times faster than autograd"] = 1 / ratio(seconds, "sparse", "dense, autograd")
    found["times faster than by hand"] = 1 / ratio(seconds, "sparse", "dense, by hand")
    found["active share, start"], found["active share, end"] = run.active[0], run.active[-1]
    found["multiplications, of dense"] = run.operations / run.dense_operations
    found["largest relative difference of losses"] = max(losses.values()) / min(losses.values()) - 1
    return found


def main(width: int, rounds: int) -> None:
    """Print and save the table."""
    results = {}
    for size in SIZES:
        for threshold in THRESHOLDS:
            name = f"n = {size[0]}, d = {size[1]}, m = {width}, B = {threshold:g}, {size[3]} steps"
            results[name] = measure(size, width, threshold, rounds)
            print(name)
            for entry, value in results[name].items():
                print(f"    {entry:42} {value:10.4g}")
    save("bench_sparse_training", results)


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:] + ["8192", "5"][len(sys.argv) - 1 :]))
