"""NTKs of convolutional networks against neural-tangents 0.6.5 on the same images, interleaved, in single precision.

python benchmarks/bench_conv.py [images] [images for pooling by the peer] [rounds]

Four convolutions 3 x 3 with ReLU on images 16 x 16 x 3, then global average pooling (all pairs of positions) or
flattening. The peer pools fewer images, as it takes minutes; times are compared for a pair of images, of which it
computes n^2 and we n (n + 1) / 2. The floor is a loop with the arithmetic and the memory of a layer and no logic.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _fused_floor import arithmetic, traffic
from _timing import save
from bench_peers import Peers, agreement

from widenet import NTK
from widenet.architectures import Conv, Dense, Flatten, GlobalAveragePool, Layer, ReLU

DEPTH, SIDE, CHANNELS = 4, 16, 3
SITES = SIDE**2


def network(end: Layer) -> Layer:
    """The network that is timed."""
    return (Conv(3) >> ReLU()) ** DEPTH >> end >> Dense()


def seconds(task: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def compare(peers: Peers, name: str, images: tuple[int, int], rounds: int, folder: Path) -> dict[str, float]:
    """Times of both, for as many images each as `images` says, and how far their values differ."""
    ours, theirs = (np.random.default_rng(0).normal(size=(n, SIDE, SIDE, CHANNELS)).astype(np.float32) for n in images)
    kernel = NTK(network(GlobalAveragePool() if name == "gap" else Flatten()))
    path = folder / f"{name}.npy"
    np.save(path, theirs)
    peers.seconds(f"neural-tangents-{name}", DEPTH, path, "sample")
    difference = agreement(np.asarray(kernel(theirs)), np.load(f"{path}.sample.npy"))
    kernel(ours)
    taken: dict[str, list[float]] = {"widenet": [], "neural-tangents": []}
    for _ in range(rounds):
        taken["widenet"].append(min(seconds(lambda: kernel(ours)) for _ in range(3)))
        taken["neural-tangents"].append(peers.seconds(f"neural-tangents-{name}", DEPTH, path))
    a, b = (statistics.median(values) for values in taken.values())
    n, m = images
    pairs = SITES**2 if name == "gap" else SITES
    entry = (a / n**2, b / m**2)
    return {
        "images, widenet": n,
        "images, neural-tangents": m,
        "seconds, widenet": a,
        "seconds, neural-tangents": b,
        "widenet, ns per pair, pair of positions and layer": 1e9 * a / (n * (n + 1) / 2 * pairs * DEPTH),
        "neural-tangents, the same": 1e9 * b / (m**2 * pairs * DEPTH),
        "times faster, per entry of the matrix": entry[1] / entry[0],
        "largest difference over the mean diagonal": difference,
    }


def floor() -> dict[str, float]:
    """Nanoseconds of a core for a pair of positions and layer: arithmetic with memory, and memory alone."""
    # 261 KiB in, 130 KiB out: the second level of the cache. Parts of whole pages (4 KiB) would evict each other.
    states, rounds = np.full(8 * (2**13 + 160), 0.3, np.float32), 2000
    out = np.empty_like(states)
    found = {}
    for name, loop in (("arithmetic", arithmetic), ("memory", traffic)):
        loop(states, out, 1)
        taken = []
        for _ in range(5):
            start = time.thread_time()
            loop(states, out, rounds)
            taken.append(time.thread_time() - start)
        least = min(taken)
        found[f"floor of one core by {name}, ns"] = 1e9 * least / (rounds * states.size / 8)
    return found


def main(images: int, pooled_by_peer: int, rounds: int) -> None:
    """Compare, print and save."""
    peers, results = Peers(), {"threads": {"number": torch.get_num_threads()}, "floor": floor()}
    with tempfile.TemporaryDirectory() as folder:
        results["flattening"] = compare(peers, "vec", (images, images), rounds, Path(folder))
        results["global pooling"] = compare(peers, "gap", (images, pooled_by_peer), rounds, Path(folder))
    for name, values in results.items():
        print(name, *(f"  {label:52} {value:10.4g}" for label, value in values.items()), sep="\n")
    save("conv", results)


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:] + ["64", "16", "3"][len(sys.argv) - 1 :]))
