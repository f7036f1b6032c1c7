"""Duals at tabulated values, and where subtraction would lose the digits. The laws of all duals: tests/laws."""

from math import pi, sqrt

import mpmath
import pytest
import torch

from widenet.architectures import (
    GELU,
    RBF,
    Abs,
    AbsLinear,
    Activation,
    Elementwise,
    Erf,
    GaussianBump,
    LeakyReLU,
    Polynomial,
    ReLU,
    Sine,
)
from widenet.errors import InvalidArchitecture
from widenet.kernels.duals import Dual, dual
from widenet.kernels.moments import Moments


def at(activation: Activation, x: float, y: float, cross: float) -> Dual:
    r = sqrt(x * y)
    return close(activation, x, y, 2 * (r - cross), 2 * (r + cross))


def close(activation: Activation, x: float, y: float, apart: float, together: float) -> Dual:
    return dual(activation, Moments(*(torch.tensor([v], dtype=torch.float64) for v in (x, y, apart, together))))


def value(d: Dual) -> float:
    return float(d.together - d.apart) / 4


# E[phi(u) phi(v)] and E[phi'(u) phi'(v)] at E u^2 = 1.3, E v^2 = 0.7, E u v = 0.4, to ten digits by 2-D quadrature
# of a program that shares nothing with this one; tanh and softplus have no closed form and eight digits.
TABLE = [
    (ReLU(), 0.2653780915, 0.3188646692, 1e-10),
    (Erf(), 0.1754796561, 0.4501581581, 1e-10),
    (GELU(), 0.1880606767, 0.3248172218, 1e-10),
    (GaussianBump(), 0.5163977795, 0.0550824298, 1e-10),
    (Abs(), 0.6615123661, None, 1e-10),
    (Sine(), 0.1511073361, 0.3977043000, 1e-10),
    (LeakyReLU(0.1), 0.2549562541, None, 1e-10),
    (Elementwise(torch.tanh), 0.15091976, 0.38526161, 1e-8),
    (Elementwise(torch.nn.functional.softplus), 0.75106999, None, 1e-8),
    (Elementwise(torch.erf), 0.1754796561, 0.4501581581, 1e-10),
    (Elementwise(torch.nn.functional.gelu), 0.1880606767, 0.3248172218, 1e-10),
]


@pytest.mark.parametrize(("activation", "expected", "slope", "digits"), TABLE, ids=repr)
def test_tabulated_values(activation: Activation, expected: float, slope: float | None, digits: float):
    found = at(activation, 1.3, 0.7, 0.4)
    assert value(found) == pytest.approx(expected, abs=digits)
    if slope is not None:
        assert float(found.derivative) == pytest.approx(slope, abs=digits)


def test_a_cubic():
    found = at(Polynomial((0.0, 0.0, 0.0, 1.0)), 1.3, 0.7, 0.4)
    assert value(found) == pytest.approx(9 * 1.3 * 0.7 * 0.4 + 6 * 0.4**3, rel=1e-13)
    assert float(found.derivative) == pytest.approx(9 * (1.3 * 0.7 + 2 * 0.4**2), rel=1e-13)


@pytest.mark.parametrize("closed", [Erf(), GELU(), Sine(), GaussianBump(), RBF(0.3)])
def test_quadrature_agrees_with_closed_forms_for_sizes_far_apart(closed: Activation):
    for triple in ((4.0, 0.01, 0.15), (1.0, 1.0, -0.999), (2.0, 3.0, 2.4)):
        series, exact = at(Elementwise(closed.__call__), *triple), at(closed, *triple)
        assert value(series) == pytest.approx(value(exact), abs=1e-13)
        assert float(series.derivative) == pytest.approx(float(exact.derivative), abs=1e-13)


@pytest.mark.parametrize("angle", [1e-9, 1e-6, 1e-3, 0.2499, 0.2501, 1.0, 2.0, 3.0, pi - 1e-6])
def test_relu_keeps_small_angles(angle: float):
    """1 - cos t' = 2 sin^2(t/2) - (sin t - t cos t) / pi, at 40 digits."""
    size = 0.8
    with mpmath.workdps(40):
        t = mpmath.mpf(angle)
        lost = 2 * mpmath.sin(t / 2) ** 2 - (mpmath.sin(t) - t * mpmath.cos(t)) / mpmath.pi
        apart, together = float(size * lost), float(size * (2 - lost))
        sides = [float(4 * size * f(t / 2) ** 2) for f in (mpmath.sin, mpmath.cos)]
        derivative = float((1 - t / mpmath.pi) / 2)
    found = close(ReLU(), size, size, *sides)
    assert float(found.apart) == pytest.approx(apart, rel=3e-15)
    assert float(found.together) == pytest.approx(together, rel=3e-15)
    assert float(found.derivative) == pytest.approx(derivative, abs=2e-16)


def _apart_at_50_digits(activation: Activation, x, y, apart):
    """2 (sqrt(E phi(u)^2 E phi(v)^2) - E phi(u) phi(v)) from the closed forms, at 50 digits."""
    with mpmath.workdps(50):
        x, y = mpmath.mpf(x), mpmath.mpf(y)
        c = mpmath.sqrt(x * y) - mpmath.mpf(apart) / 2

        def expectation(a, b, c):
            if isinstance(activation, Erf):
                return 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt((1 + 2 * a) * (1 + 2 * b)))
            if isinstance(activation, Sine):
                return mpmath.exp(-(a + b) / 2) * mpmath.sinh(c)
            if isinstance(activation, GaussianBump):
                return 1 / mpmath.sqrt((1 + a) * (1 + b) - c * c)
            q = (1 + a) * (1 + b) - c * c
            top = c * c + a * b * q
            return c / 4 + (c * mpmath.atan(c / mpmath.sqrt(q)) + top / ((1 + a) * (1 + b) * mpmath.sqrt(q))) / (
                2 * mpmath.pi
            )

        own = [expectation(a, a, a) for a in (x, y)]
        return float(2 * (mpmath.sqrt(own[0] * own[1]) - expectation(x, y, c)))


@pytest.mark.parametrize("activation", [Erf(), GELU(), Sine(), GaussianBump()], ids=repr)
@pytest.mark.parametrize(("y", "apart"), [(0.9, 1e-14), (0.9, 1e-4), (0.9, 0.03), (0.901, 1e-6), (1.2, 1e-3)])
def test_near_pairs_keep_their_distance(activation: Activation, y: float, apart: float):
    size = sqrt(0.9 * y)
    found = close(activation, 0.9, y, apart, 4 * size - apart)
    expected = _apart_at_50_digits(activation, 0.9, y, apart)
    # What the gap between the sizes takes from E(phi(u) - phi(v))^2 bounds the digits that are left.
    scale = max(expected, float((found.x.sqrt() - found.y.sqrt()) ** 2))
    assert float(found.apart) == pytest.approx(expected, abs=1e-11 * scale)


def test_the_slope_at_zero_is_that_of_autograd():
    for activation, slope in ((ReLU(), 0.0), (LeakyReLU(0.1), 0.1), (Abs(), 0.0), (AbsLinear(0.3, -0.8), 0.3)):
        at_zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        (own,) = torch.autograd.grad(activation(at_zero).sum(), at_zero)
        assert float(own) == pytest.approx(slope)
        assert float(close(activation, 0.0, 0.0, 0.0, 0.0).derivative) == pytest.approx(slope**2, abs=1e-17)
        # One unit is 0, the other is not: E[phi'(0) phi'(v)] = phi'(0) E phi'(v), and E phi' is the linear part.
        assert float(close(activation, 0.0, 1.0, 0.0, 0.0).derivative) == pytest.approx(slope * activation.linear)


def test_a_function_that_is_not_smooth_is_refused():
    with pytest.raises(InvalidArchitecture, match=r"must be smooth at the scale of its inputs.*share .* Hermite"):
        at(Elementwise(torch.relu), 1.0, 1.0, 0.5)


def test_an_activation_without_a_dual_is_named():
    class Unheard(Activation):
        pass

    with pytest.raises(InvalidArchitecture, match="Unheard"):
        at(Unheard(), 1.0, 1.0, 0.5)
