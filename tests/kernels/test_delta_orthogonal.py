"""Kernels of delta-orthogonal convolutions against the recursion of arXiv 2004.05867's setting in plain loops.

S(i, i') <- w^2 E[s s](i, i') + b^2,  T(i, i') <- w^2 / q sum_taps E[s s](i + tap, i' + tap) + b^2
                                                    + w^2 E[s' s'](i, i') T(i, i').
"""

from math import acos, cos, pi, sin, sqrt

import numpy as np
import pytest

from widenet import NNGP, NTK
from widenet.architectures import Conv, Dense, Erf, Flatten, GlobalAveragePool, Layer, ReLU
from widenet.kernels.conv_chain import ConvProgram

W, B, TAPS = 1.3, 0.2, 3
X = np.random.default_rng(5).normal(size=(3, 5, 2))


def _arc_cosine(own_x: float, own_y: float, cross: float) -> tuple[float, float]:
    theta = acos(min(1.0, max(-1.0, cross / sqrt(own_x * own_y))))
    return sqrt(own_x * own_y) * (sin(theta) + (pi - theta) * cos(theta)) / (2 * pi), (pi - theta) / (2 * pi)


def _plain(x: np.ndarray, y: np.ndarray, layers: int, circular: bool, readout: str) -> tuple[float, float]:
    """NNGP and NTK of (conv, relu) layers, a readout over the positions and a Dense layer without bias."""
    P = len(x)
    pairs = {"xx": (x, x), "yy": (y, y), "xy": (x, y)}
    S = {key: a @ b.T / a.shape[1] for key, (a, b) in pairs.items()}
    T = np.zeros((P, P))
    for _ in range(layers):
        patches = np.zeros((P, P))
        for i in range(P):
            for j in range(P):
                for tap in (-1, 0, 1):
                    a, b = i + tap, j + tap
                    if circular:
                        patches[i, j] += S["xy"][a % P, b % P] / TAPS
                    elif 0 <= a < P and 0 <= b < P:
                        patches[i, j] += S["xy"][a, b] / TAPS
        T = W**2 * (patches + T) + B**2
        S = {key: W**2 * value + B**2 for key, value in S.items()}
        after = {key: np.zeros((P, P)) for key in S}
        for key in ("xx", "yy", "xy"):
            for i in range(P):
                for j in range(P):
                    own = S[key[0] * 2][i, i], S[key[1] * 2][j, j]
                    after[key][i, j], slope = _arc_cosine(*own, S[key][i, j])
                    if key == "xy":
                        T[i, j] *= slope
        S = after
    if readout == "flatten":
        covariance, tangent = np.mean(np.diag(S["xy"])), np.mean(np.diag(T))
    else:
        covariance, tangent = np.mean(S["xy"]), np.mean(T)
    return covariance, covariance + tangent


@pytest.mark.parametrize("padding", ["same", "circular"])
@pytest.mark.parametrize("readout", ["flatten", "average"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_recursion(padding: str, readout: str, layers: int):
    conv = Conv(TAPS, padding=padding, weight_std=W, bias_std=B, init="delta_orthogonal")
    over = Flatten() if readout == "flatten" else GlobalAveragePool()
    network = (conv >> ReLU()) ** layers >> over >> Dense()
    covariance, tangent = NNGP(network)(X), NTK(network)(X)
    for i in range(3):
        for j in range(3):
            expected = _plain(X[i], X[j], layers, padding == "circular", readout)
            # The loops' own arc cosine keeps half of the digits where a position meets itself.
            assert (covariance[i, j], tangent[i, j]) == pytest.approx(expected, rel=1e-7)


def _kernels(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    network = layer >> Erf() >> Flatten() >> Dense()
    return NNGP(network)(X), NTK(network)(X)


def test_one_tap_is_an_ordinary_convolution():
    for ours, theirs in zip(_kernels(Conv(1, init="delta_orthogonal")), _kernels(Conv(1)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_strides_and_padding_move_the_centre():
    # Windows of 2 positions with a stride of 2 stand at 0, 2, 4; their centre is their first position.
    ours, _ = _kernels(Conv(2, stride=2, init="delta_orthogonal"))
    np.testing.assert_allclose(ours, NNGP(Conv(1) >> Erf() >> Flatten() >> Dense())(X[:, ::2]), rtol=1e-13)
    ours, _ = _kernels(Conv(3, padding="valid", init="delta_orthogonal"))
    np.testing.assert_allclose(ours, NNGP(Conv(1) >> Erf() >> Flatten() >> Dense())(X[:, 1:-1]), rtol=1e-13)


def test_a_frozen_one_is_a_frozen_convolution_of_one_tap():
    _, ours = _kernels(Conv(3, trainable=False, init="delta_orthogonal"))
    _, theirs = _kernels(Conv(1, trainable=False))
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_the_fused_loops_leave_it_alone():
    network = Conv(3) >> ReLU() >> Flatten() >> Dense()
    assert ConvProgram.of(network, True, (5,)) is not None
    network = Conv(3, init="delta_orthogonal") >> ReLU() >> Flatten() >> Dense()
    assert ConvProgram.of(network, True, (5,)) is None
