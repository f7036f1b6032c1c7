"""Gram matrices of ReLU NTKs against neural-tangents 0.6.5 and scikit-ntk 1.2.1 on the same data, interleaved.

python benchmarks/bench_peers.py [rows] [rounds]

Builds the environment of the peers, .venv-peers, from requirements-peers.txt on first use.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _timing import save

from widenet import NTK, fully_connected

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent / ".venv-peers"
PEERS = ("neural-tangents", "scikit-ntk")
DEPTHS, COLUMNS = (3, 10), (784, 20)


def peer_python() -> Path:
    """The interpreter of the peers' environment, built if it is not there."""
    python, done = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    requirements = HERE / "requirements-peers.txt"
    if done.exists() and done.stat().st_mtime >= requirements.stat().st_mtime:
        return python
    print(f"installing the peers into {ENVIRONMENT.name}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", str(requirements)], check=True)
    subprocess.run([*install, "--no-deps", "neural-tangents==0.6.5"], check=True)
    done.touch()
    return python


class Peers:
    """The process of the peers, asked one matrix at a time."""

    def __init__(self) -> None:
        worker = [str(peer_python()), str(HERE / "peers_worker.py")]
        self.process = subprocess.Popen(worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, name: str, depth: int, path: Path, sample: str = "") -> float:
        """Seconds that a peer takes for a Gram matrix."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(name, depth, path, sample, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of the peers ended with exit code {self.process.wait()}")
        return float(answer)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of two matrices scaled to the same mean diagonal, over that diagonal."""
    a, b = (K.astype(np.float64) / np.diag(K).mean(dtype=np.float64) for K in (ours, theirs))
    return float(np.abs(a - b).max())


def compare(peers: Peers, X: np.ndarray, path: Path, depth: int, rounds: int) -> dict[str, float]:
    """Nanoseconds an entry of all, the speed-ups, and how far the values differ."""
    kernel = NTK(fully_connected(depth))
    ours = kernel(X)[:100, :100].copy()
    table = {}
    for name in PEERS:
        peers.seconds(name, depth, path, "sample")
        table[f"difference to {name}"] = agreement(ours, np.load(f"{path}.sample.npy"))
    seconds: dict[str, list[float]] = {name: [] for name in ("widenet", *PEERS)}
    for _ in range(rounds):
        start = time.perf_counter()
        kernel(X)
        seconds["widenet"].append(time.perf_counter() - start)
        for name in PEERS:
            seconds[name].append(peers.seconds(name, depth, path))
    for name, values in seconds.items():
        table[f"{name}, ns per entry"] = statistics.median(values) / len(X) ** 2 * 1e9
    for name in PEERS:
        ratios = [a / b for a, b in zip(seconds[name], seconds["widenet"], strict=True)]
        table[f"times faster than {name}"] = statistics.median(ratios)
    return table


def main(rows: int, rounds: int) -> None:
    """Compare at all depths and sizes, print and save."""
    peers, results = Peers(), {}
    with tempfile.TemporaryDirectory() as folder:
        for columns in COLUMNS:
            X = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
            path = Path(folder) / f"{columns}.npy"
            np.save(path, X)
            for depth in DEPTHS:
                name = f"({rows}, {columns}), depth {depth}"
                results[name] = compare(peers, X, path, depth, rounds)
                print(name, *(f"  {label:40} {value:10.4g}" for label, value in results[name].items()), sep="\n")
    save("peers", results)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:] or ("4096", "5")))
