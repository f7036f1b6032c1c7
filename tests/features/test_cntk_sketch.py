"""CNTKSketch against the exact kernel, and the exact kernel against values of a fresh reckoning."""

from math import sqrt

import numpy as np
import pytest

from widenet.architectures import Conv, Dense, GlobalAveragePool, ReLU
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.features.cntk_sketch import CNTKSketch
from widenet.kernels import NTK

# K(x, x), K(x, y), K(y, y) of x[k] = sin k and y[k] = cos 0.7 k on 4 x 4 x 2 positions and channels, for 3 x 3 filters
# and a frozen last layer, for 1 to 3 convolutions; computed with plain loops.
VALUES = {
    1: (0.0749610864, 0.0081180408, 0.0978014852),
    2: (0.1463930500, 0.0716705573, 0.1861972206),
    3: (0.1755588255, 0.1060716804, 0.2134309156),
}
PAIR = np.stack([np.sin(np.arange(32.0)), np.cos(0.7 * np.arange(32.0))]).reshape(2, 4, 4, 2)


@pytest.mark.parametrize(("depth", "expected"), VALUES.items())
def test_the_kernel_is_the_papers(depth: int, expected: tuple[float, ...]):
    # The paper draws plain weights and puts sqrt(2 / (channels 3^2)) behind each ReLU: the first convolution lacks its
    # 1 / sqrt(3^2 C), the last factor stands before the frozen mean.
    first, last = Conv(3, weight_std=3 * sqrt(2.0)), Dense(sqrt(2.0) / 3, trainable=False)
    inner = (Conv(3, weight_std=sqrt(2.0)) >> ReLU()) ** (depth - 1)
    K = NTK(first >> ReLU() >> inner >> GlobalAveragePool() >> last)(PAIR)
    np.testing.assert_allclose([K[0, 0], K[0, 1], K[1, 1]], expected, rtol=1e-8)
    # CNTKSketch has He's scaling and weight_std 1 at the end, by which it differs in a factor alone.
    ours = CNTKSketch(64, depth=depth, readout="frozen").kernel(PAIR)
    np.testing.assert_allclose(ours * (2 / 9) * (18 / 2), K, rtol=1e-8)


@pytest.mark.parametrize("readout", ["trained", "frozen"])
def test_features_tend_to_the_kernel(readout: str):
    images = np.random.default_rng(0).standard_normal((4, 5, 5, 2))
    errors = []
    for size in (64, 1024):
        sketch = CNTKSketch(size, depth=2, readout=readout, degree=8)  # pyright: ignore[reportArgumentType]
        K = sketch.kernel(images)
        each = [replaced(sketch, seed)(images) for seed in range(2)]
        errors.append(np.mean([np.linalg.norm(Z @ Z.T - K) / np.linalg.norm(K) for Z in each]))
    assert errors[1] < 0.08
    assert errors[1] < 0.5 * errors[0]


def replaced(sketch: CNTKSketch, seed: int) -> CNTKSketch:
    return CNTKSketch(sketch.size, seed, sketch.depth, readout=sketch.readout, degree=sketch.degree)


def test_rows_are_unfolded():
    images = np.random.default_rng(0).standard_normal((3, 4, 4, 2))
    rows = CNTKSketch(100, depth=1, input_shape=(4, 4, 2))(images.reshape(3, -1))
    np.testing.assert_array_equal(rows, CNTKSketch(100, depth=1)(images))


def test_bad_values_are_refused():
    with pytest.raises(InvalidArchitecture, match="depth"):
        CNTKSketch(64, depth=0)
    with pytest.raises(InvalidInput, match="degree"):
        CNTKSketch(64, degree=0)
