"""The whole pass against plain loops over positions, by the arc-cosine formulas."""

from itertools import product
from math import acos, pi, sin, sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import AvgPool, Conv, Dense, Flatten, GlobalAveragePool, Layer, ReLU
from widenet.kernels.conv_chain import ConvProgram

Pair = tuple[int, int, int, int]
Values = dict[Pair, float]


def _sites(shape: tuple[int, int]) -> list[tuple[int, int]]:
    return list(product(range(shape[0]), range(shape[1])))


def _covariances(x: np.ndarray, y: np.ndarray) -> Values:
    return {(*p, *q): float(x[p] @ y[q]) / x.shape[2] for p in _sites(x.shape[:2]) for q in _sites(y.shape[:2])}


def _relu(own_x: Values, own_y: Values, K: Values, T: Values) -> tuple[Values, Values]:
    after, slopes = {}, {}
    for pair, k in K.items():
        r = sqrt(own_x[pair[:2] * 2] * own_y[pair[2:] * 2])
        t = acos(max(-1.0, min(1.0, k / r)))
        after[pair] = r * (sin(t) + (pi - t) * k / r) / (2 * pi)
        slopes[pair] = T[pair] * (pi - t) / (2 * pi)
    return after, slopes


def _convolution(K: Values, shape: tuple[int, int], size: int, stride: int, pad: int) -> Values:
    """Mean over a window in step of both positions; zeros outside."""
    sites = _sites((-(-shape[0] // stride), -(-shape[1] // stride)))
    offsets = list(product(range(size), repeat=2))
    return {
        (*p, *q): sum(
            K.get((*(p[a] * stride + o[a] - pad for a in (0, 1)), *(q[a] * stride + o[a] - pad for a in (0, 1))), 0.0)
            for o in offsets
        )
        / size**2
        for p in sites
        for q in sites
    }


def _pool(K: Values, shape: tuple[int, int]) -> Values:
    sites = _sites((shape[0] // 2, shape[1] // 2))
    corners = list(product((0, 1), repeat=2))
    return {
        (*p, *q): sum(K[2 * p[0] + a, 2 * p[1] + b, 2 * q[0] + c, 2 * q[1] + d] for a, b in corners for c, d in corners)
        / 16
        for p in sites
        for q in sites
    }


def _network(images: list[np.ndarray], steps: list[str | tuple[int, int, int]], flattens: bool) -> np.ndarray:
    """NTK of convolutions (size, stride, pad), 'relu' and 'pool' with an average and a Dense at the end."""
    n = len(images)
    K = {(i, j): _covariances(images[i], images[j]) for i in range(n) for j in range(n)}
    T = {pair: dict.fromkeys(values, 0.0) for pair, values in K.items()}
    shape = images[0].shape[:2]
    for step in steps:
        if step == "relu":
            found = {(i, j): _relu(K[i, i], K[j, j], K[i, j], T[i, j]) for i, j in K}
            K, T = {pair: f[0] for pair, f in found.items()}, {pair: f[1] for pair, f in found.items()}
        elif step == "pool":
            K, T = ({pair: _pool(v, shape) for pair, v in values.items()} for values in (K, T))
            shape = (shape[0] // 2, shape[1] // 2)
        elif isinstance(step, tuple):
            K, T = ({pair: _convolution(v, shape, *step) for pair, v in values.items()} for values in (K, T))
            T = {pair: {p: T[pair][p] + k for p, k in values.items()} for pair, values in K.items()}
            shape = (-(-shape[0] // step[1]), -(-shape[1] // step[1]))

    def mean(pair: tuple[int, int]) -> float:
        chosen = [p for p in K[pair] if not flattens or p[:2] == p[2:]]
        return float(np.mean([K[pair][p] + T[pair][p] for p in chosen]))

    return np.array([[mean((i, j)) for j in range(n)] for i in range(n)])


CASES = [
    ((Conv() >> ReLU()) ** 2 >> GlobalAveragePool() >> Dense(), [(3, 1, 1), "relu"] * 2, False),
    ((Conv() >> ReLU()) ** 2 >> Flatten() >> Dense(), [(3, 1, 1), "relu"] * 2, True),
    (
        Conv(3) >> ReLU() >> Conv(2, stride=2) >> ReLU() >> GlobalAveragePool() >> Dense(),
        [(3, 1, 1), "relu", (2, 2, 0), "relu"],
        False,
    ),
    (
        Conv(1) >> ReLU() >> AvgPool() >> Conv(3) >> ReLU() >> Flatten() >> Dense(),
        [(1, 1, 0), "relu", "pool", (3, 1, 1), "relu"],
        True,
    ),
]


@pytest.mark.parametrize(("network", "steps", "flattens"), CASES, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 3e-7), (torch.float64, 3e-14)])
def test_the_pass_is_what_plain_loops_give(
    network: Layer, steps: list, flattens: bool, dtype: torch.dtype, error: float
):
    images = np.random.default_rng(1).normal(size=(3, 4, 4, 2)).astype(np.float32)
    expected = _network(list(images.astype(np.float64)), steps, flattens)
    program = ConvProgram.of(network, True, (4, 4))
    assert program is not None
    found = program.gram(torch.from_numpy(images).to(dtype), None).numpy()
    assert np.abs(found - expected)[~np.eye(3, dtype=bool)].max() <= error * expected.max()
    # The plain loops take the arc cosine of what rounding leaves of 1 on the diagonal.
    assert np.abs(found - expected).max() <= max(error, 1e-7) * expected.max()
