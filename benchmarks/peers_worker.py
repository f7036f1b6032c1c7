"""Runs inside the environment of the peers: computes Gram matrices that are asked for line by line, and says how long.

Reads lines such as `neural-tangents 3 /tmp/points.npy` and answers `SECONDS`; `sample` as a fourth word adds the first
100 rows and columns of the matrix to POINTS.sample.npy.
"""

import sys
import time
import types

import numpy as np

# neural-tangents imports a subpackage that needs TensorFlow; its kernels do not.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")

import jax  # noqa: E402  # pyright: ignore[reportMissingImports]
import neural_tangents as nt  # noqa: E402  # pyright: ignore[reportMissingImports]
from neural_tangents import stax  # noqa: E402  # pyright: ignore[reportMissingImports]
from skntk import NeuralTangentKernel  # noqa: E402  # pyright: ignore[reportMissingImports]


def neural_tangents(depth: int):
    """The jitted kernel function of a bias-free ReLU network."""
    layers = [layer for _ in range(depth) for layer in (stax.Dense(1), stax.Relu())]
    kernel = jax.jit(stax.serial(*layers, stax.Dense(1))[2], static_argnames="get")
    return lambda X: kernel(X, None, get="ntk").block_until_ready()


def convolutional(pools: bool):
    """What makes the kernel function of convolutions 3 x 3 with ReLU, by global pooling or by flattening."""

    def make(depth: int):
        layers = [layer for _ in range(depth) for layer in (stax.Conv(1, (3, 3), padding="SAME"), stax.Relu())]
        kernel = stax.serial(*layers, stax.GlobalAvgPool() if pools else stax.Flatten(), stax.Dense(1))[2]
        if not pools:
            jitted = jax.jit(kernel, static_argnames="get")
            return lambda X: jitted(X, None, get="ntk").block_until_ready()
        # All pairs of positions of all pairs of images would not fit into memory; batches of 8 were fastest of 2 to 16.
        batched = nt.batch(kernel, batch_size=8, device_count=0, store_on_device=True)
        return lambda X: np.asarray(batched(X, None, "ntk"))

    return make


def scikit_ntk(depth: int):
    """The kernel object of scikit-ntk."""
    return NeuralTangentKernel(depth, bias=0.0)


def main() -> None:
    """Answer requests until the input ends."""
    makers = {"neural-tangents": neural_tangents, "scikit-ntk": scikit_ntk}
    makers |= {"neural-tangents-gap": convolutional(pools=True), "neural-tangents-vec": convolutional(pools=False)}
    kernels, points = {}, {}
    for line in sys.stdin:
        name, depth, path, *sample = line.split()
        if path not in points:
            points[path] = np.load(path)
        kernel = kernels.setdefault((name, depth), None) or makers[name](int(depth))
        kernels[name, depth] = kernel
        start = time.perf_counter()
        K = kernel(points[path])
        seconds = time.perf_counter() - start
        if sample:
            np.save(f"{path}.sample.npy", np.asarray(K[:100, :100]))
        del K
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
