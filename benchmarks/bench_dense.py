"""Gram matrices that are no function of the angle: random biases on rows of unequal norms, and smooth activations.

python benchmarks/bench_dense.py [rows] [rounds]
"""

import sys
from collections.abc import Callable

import torch
from _timing import interleaved, medians, save

from widenet import NTK, fully_connected
from widenet.architectures import GELU, Elementwise, Erf, Layer, Sine
from widenet.kernels.blocks import fill_blocks
from widenet.kernels.readings import Rows

DEPTHS = (1, 3, 10)


def networks() -> dict[str, Layer]:
    """The networks, by what the table calls them."""
    found: dict[str, Layer] = {f"relu, depth {depth}": fully_connected(depth, bias_std=0.3) for depth in DEPTHS}
    for activation in (Erf(), GELU(), Sine(), Elementwise(torch.tanh)):
        name = "tanh by quadrature" if isinstance(activation, Elementwise) else type(activation).__name__.lower()
        found[f"{name}, depth 2"] = fully_connected(2, activation, bias_std=0.3)
    return found


def main(rows: int, rounds: int) -> None:
    """Print and save nanoseconds an entry of the whole symmetric matrix, beside the product X X^T."""
    X = torch.randn(rows, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tasks: dict[str, Callable[[], object]] = {"product": lambda: torch.mm(X, X.T)}
    for name, network in networks().items():
        kernel = NTK(network)
        tasks[name] = lambda kernel=kernel: kernel(X)
        if name.startswith("relu"):
            reading = Rows(network, tangent=True, input_shape=None)
            tasks[f"{name}, layer by layer"] = lambda reading=reading: fill_blocks(reading.all_pairs, X, None)
    table = {name: seconds / rows**2 * 1e9 for name, seconds in medians(interleaved(tasks, rounds)).items()}
    for name, value in table.items():
        print(f"{name:32} {value:9.1f} ns per entry")
    save("bench_dense", {"rows": rows, "rounds": rounds, "nanoseconds per entry": table})


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:] + ["2048", "5"][len(sys.argv) - 1 :]))
