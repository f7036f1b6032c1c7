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
    Concat,
    Dense,
    Erf,
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


def network(name: str) -> Layer:
    """The architecture of a golden case, from its description."""
    wide, narrow = Dense(1.309, 0.199), Dense(0.928, 0.199)
    if name == "fc-relu-10-nobias":
        return fully_connected(10, scaling="he")
    if name == "fc-layernorm":
        return wide >> LayerNorm() >> ReLU() >> narrow >> LayerNorm() >> ReLU() >> Dense()
    if name == "resnet-fc":
        return wide >> (Identity() + (ReLU() >> wide >> ReLU() >> narrow)) ** 2 >> ReLU() >> wide
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
    away[NEAR] = False
    assert away.sum() == expected.size - 1
    # The other library adds 1e-12 to the variance in its layer normalisation.
    tolerance = 5e-12 if name == "fc-layernorm" else 1e-11
    np.testing.assert_allclose(found[away], expected[away], rtol=tolerance, atol=0)


def test_all_golden_cases_are_read():
    assert len(CASES) == 16
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


@pytest.mark.parametrize("name", [name for name in CASES if name != "fc-layernorm"])
def test_the_near_duplicate_pair_at_50_digits(name: str):
    case = CASES[name]
    X, Y = np.array(case["X"]), np.array(case["Y"])
    for kernel, expected in zip((NTK, NNGP), _at_50_digits(name), strict=True):
        assert kernel(network(name))(X, Y)[NEAR] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("name", ["fc-relu-3", "fc-gelu-1", "resnet-fc"])
def test_the_golden_pair_and_50_digits_agree_to_what_the_other_library_keeps(name: str):
    assert CASES[name]["ntk"][NEAR[0]][NEAR[1]] == pytest.approx(_at_50_digits(name)[0], rel=5e-9)
