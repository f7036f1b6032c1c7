"""Kernels against those of another library, and near-duplicates against 50-digit arithmetic."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import pytest
from mpmath import mpf
from scipy.special import erf, ndtr

from widenet.architectures import (
    GELU,
    Abs,
    AbsLinear,
    Activation,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAveragePool,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    ReLU,
    Sine,
    fully_connected,
)
from widenet.kernels import NNGP, NTK

CASES = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[1] / "golden" / "neural_tangents.json").read_text())
}
ACTIVATIONS = {"relu": ReLU(), "erf": Erf(), "gelu": GELU(), "sin": Sine(), "leaky": LeakyReLU(0.1), "abs": Abs()}
NEAR = (3, 3)
CONVOLUTIONAL = [name for name in CASES if CASES[name]["architecture"].find("Conv") >= 0]


def network(name: str) -> Layer:
    """The architecture of a golden case, from its description."""
    wide, narrow = Dense(1.309, 0.199), Dense(0.928, 0.199)
    if name == "fc-relu-10-nobias":
        return fully_connected(10, scaling="he")
    if name == "fc-layernorm":
        return wide >> LayerNorm() >> ReLU() >> narrow >> LayerNorm() >> ReLU() >> Dense()
    if name == "resnet-fc":
        return wide >> (Identity() + (ReLU() >> wide >> ReLU() >> narrow)) ** 2 >> ReLU() >> wide
    conv = Conv(weight_std=1.309, bias_std=0.199)
    if name == "resnet-conv-gap":
        return conv >> (Identity() + (ReLU() >> conv)) ** 2 >> GlobalAveragePool() >> narrow
    if name == "cnn-avgpool-stride":
        strided = Conv(stride=2, weight_std=1.309, bias_std=0.199)
        return conv >> ReLU() >> AvgPool(2) >> strided >> ReLU() >> Flatten() >> narrow
    if name.startswith("cnn"):
        _, readout, padding = name.split("-")
        layer = Conv(padding=padding.lower(), weight_std=1.309, bias_std=0.199)
        return (layer >> ReLU()) ** 2 >> (Flatten() if readout == "vec" else GlobalAveragePool()) >> narrow
    if name == "densenet-fc":
        return wide >> ReLU() >> Concat(Identity(), wide >> ReLU()) >> narrow
    _, activation, depth = name.split("-")
    numbers = re.findall(r"_std=([\d.]+)", CASES[name]["architecture"])
    w, b, w_last, b_last = map(float, numbers)
    return (Dense(w, b) >> ACTIVATIONS[activation]) ** int(depth) >> Dense(w_last, b_last)


@pytest.mark.parametrize("kernel", [NTK, NNGP])
@pytest.mark.parametrize("name", CASES)
def test_golden_cases(name: str, kernel):
    case = CASES[name]
    found = kernel(network(name))(np.array(case["X"]), np.array(case["Y"]))
    expected = np.array(case["ntk" if kernel is NTK else "nngp"])
    away = np.ones(expected.shape, dtype=bool)
    if name.startswith("cnn-vec"):
        away[0, 0] = False
    elif name not in CONVOLUTIONAL:
        away[NEAR] = False
    assert away.sum() >= expected.size - 1
    # The other library adds 1e-12 to the variance in its layer normalisation.
    tolerance = 5e-12 if name == "fc-layernorm" else 1e-11
    np.testing.assert_allclose(found[away], expected[away], rtol=tolerance, atol=0)


def test_all_golden_cases_are_read():
    assert len(CASES) == 24
    assert len(CONVOLUTIONAL) == 8
    assert sum(name.startswith("fc-") for name in CASES) == 14


@dataclass
class Exact:
    """E u^2, E v^2, E u v and the tangent kernel in mpmath numbers."""

    x: mpf
    y: mpf
    cross: mpf
    tangent: mpf


def _expectation(activation: Activation, x: mpf, y: mpf, c: mpf) -> mpf:
    if isinstance(activation, AbsLinear):
        r = mpmath.sqrt(x * y)
        u = min(c / r, mpf(1))
        folded = 2 / mpmath.pi * (mpmath.sqrt(1 - u * u) + u * mpmath.asin(u))
        return mpf(activation.linear) ** 2 * c + mpf(activation.absolute) ** 2 * r * folded
    if isinstance(activation, Erf):
        return 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt((1 + 2 * x) * (1 + 2 * y)))
    if isinstance(activation, Sine):
        return mpmath.exp(-(x + y) / 2) * mpmath.sinh(c)
    q = (1 + x) * (1 + y) - c * c
    last = (c * c + x * y * q) / ((1 + x) * (1 + y) * mpmath.sqrt(q))
    return c / 4 + (c * mpmath.atan(c / mpmath.sqrt(q)) + last) / (2 * mpmath.pi)


def _slope(activation: Activation, x: mpf, y: mpf, c: mpf) -> mpf:
    if isinstance(activation, AbsLinear):
        arc = mpmath.asin(min(c / mpmath.sqrt(x * y), mpf(1)))
        return mpf(activation.linear) ** 2 + mpf(activation.absolute) ** 2 * 2 / mpmath.pi * arc
    return mpmath.diff(lambda cross: _expectation(activation, x, y, cross), c)


@pytest.mark.parametrize(("x", "y", "c"), [(1.3, 0.7, 0.4), (2.5, 0.1, -0.3), (1.0, 1.1, 1.04), (0.9, 1.2, -1.03)])
@pytest.mark.parametrize("activation", [GELU(), Erf(), Sine()], ids=repr)
def test_the_exact_expectations_by_quadrature(activation: Activation, x: float, y: float, c: float):
    """A sum over a grid in two dimensions; the trapezoidal rule is exact to rounding for entire functions."""
    z = np.arange(-12, 12.01, 1 / 8)
    weight = np.outer(*[np.exp(-(z**2) / 2) / (8 * np.sqrt(2 * np.pi))] * 2)
    u = np.sqrt(x) * z[:, None] + 0 * z
    v = c / np.sqrt(x) * z[:, None] + np.sqrt(y - c * c / x) * z
    phi, slope = {
        GELU: (lambda t: t * ndtr(t), lambda t: ndtr(t) + t * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)),
        Erf: (erf, lambda t: 2 / np.sqrt(np.pi) * np.exp(-(t**2))),
        Sine: (np.sin, np.cos),
    }[type(activation)]
    exact = mpf(x), mpf(y), mpf(c)
    assert float(_expectation(activation, *exact)) == pytest.approx(np.sum(weight * phi(u) * phi(v)), rel=1e-12)
    assert float(_slope(activation, *exact)) == pytest.approx(np.sum(weight * slope(u) * slope(v)), rel=1e-7)


def _read(layer: Layer, before: Exact) -> Exact:
    if isinstance(layer, Dense):
        w, b = mpf(layer.weight_std) ** 2, mpf(layer.bias_std) ** 2
        cross = w * before.cross + b
        return Exact(w * before.x + b, w * before.y + b, cross, w * before.tangent + cross)
    x, y, c = before.x, before.y, before.cross
    own = [_expectation(layer, size, size, size) for size in (x, y)]
    return Exact(*own, _expectation(layer, x, y, c), before.tangent * _slope(layer, x, y, c))


def _chain(before: Exact, *layers: Layer) -> Exact:
    for layer in layers:
        before = _read(layer, before)
    return before


def _sum(first: Exact, second: Exact, share: mpf) -> Exact:
    pairs = zip(vars(first).values(), vars(second).values(), strict=True)
    return Exact(*(share * (a + b) for a, b in pairs))


@cache
def _at_50_digits(name: str) -> tuple[float, float]:
    case = CASES[name]
    with mpmath.workdps(50):
        x, y = ([mpf(v) for v in case[key][NEAR[0]]] for key in "XY")
        inner = (mpmath.fsum(a * b for a, b in zip(*pair, strict=True)) / len(x) for pair in ((x, x), (y, y), (x, y)))
        start = Exact(*inner, mpf(0))
        wide, narrow, relu = Dense(1.309, 0.199), Dense(0.928, 0.199), ReLU()
        if name == "resnet-fc":
            state = _chain(start, wide)
            for _ in range(2):
                state = _sum(state, _chain(state, relu, wide, relu, narrow), mpf(1))
            state = _chain(state, relu, wide)
        elif name == "densenet-fc":
            state = _chain(start, wide, relu)
            state = _chain(_sum(state, _chain(state, wide, relu), mpf(1) / 2), narrow)
        elif name == "fc-relu-10-nobias":
            he = Dense(2**0.5)
            state = _chain(start, *[he, relu] * 10, Dense())
        else:
            w, b, w_last, b_last = map(float, re.findall(r"_std=([\d.]+)", case["architecture"]))
            _, activation, depth = name.split("-")
            state = _chain(start, *[Dense(w, b), ACTIVATIONS[activation]] * int(depth), Dense(w_last, b_last))
        return float(state.tangent), float(state.cross)


@pytest.mark.parametrize("name", [name for name in CASES if name != "fc-layernorm" and name not in CONVOLUTIONAL])
def test_the_near_duplicate_pair_at_50_digits(name: str):
    case = CASES[name]
    X, Y = np.array(case["X"]), np.array(case["Y"])
    for kernel, expected in zip((NTK, NNGP), _at_50_digits(name), strict=True):
        assert kernel(network(name))(X, Y)[NEAR] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("name", ["fc-relu-3", "fc-gelu-1", "resnet-fc"])
def test_the_golden_pair_and_50_digits_agree_to_what_the_other_library_keeps(name: str):
    assert CASES[name]["ntk"][NEAR[0]][NEAR[1]] == pytest.approx(_at_50_digits(name)[0], rel=5e-9)


@pytest.mark.parametrize("padding", ["SAME", "CIRCULAR", "VALID"])
def test_the_same_image_without_pooling_by_the_recursion_of_the_diagonal(padding: str):
    """At angle 0 E[relu relu] is half of the variance and E[relu' relu'] is 1/2; plain loops over the windows."""
    case = CASES[f"cnn-vec-{padding}"]
    X, Y = np.array(case["X"]), np.array(case["Y"])
    np.testing.assert_array_equal(X[0], Y[0])
    covariance, tangent = (X[0] ** 2).mean(-1), np.zeros(X.shape[1:3])
    for _ in range(2):
        windows = [_window_mean(values, padding) for values in (covariance, tangent)]
        covariance = 1.309**2 * windows[0] + 0.199**2
        tangent = 1.309**2 * windows[1] + covariance
        covariance, tangent = covariance / 2, tangent / 2
    covariance = 0.928**2 * covariance.mean() + 0.199**2
    tangent = 0.928**2 * tangent.mean() + covariance
    assert NNGP(network(case["name"]))(X, Y)[0, 0] == pytest.approx(covariance, rel=1e-14)
    assert NTK(network(case["name"]))(X, Y)[0, 0] == pytest.approx(tangent, rel=1e-14)
    assert case["ntk"][0][0] == pytest.approx(tangent, rel=1e-9)


def _window_mean(values: np.ndarray, padding: str) -> np.ndarray:
    """Mean over windows of 3 x 3, what lies outside of the image being 0, or the other end of it."""
    height, width = values.shape
    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    inside = 0 <= i + di < height and 0 <= j + dj < width
                    if inside or padding == "CIRCULAR":
                        result[i, j] += values[(i + di) % height, (j + dj) % width] / 9
    return result[1:-1, 1:-1] if padding == "VALID" else result
