"""Compiled terms of the angle: what is added, what is kept, what is refused."""

import math

import numpy as np
import pytest
import torch

from widenet.kernels.angular_terms import AngularTerm, compiled_terms


def test_terms_of_equal_degree_are_added():
    terms = (AngularTerm(1, torch.cos), AngularTerm(0, torch.exp), AngularTerm(1, torch.sin))
    compiled = compiled_terms(terms, torch.float64)
    assert compiled is not None
    assert compiled.degrees == (0, 1)
    theta = torch.linspace(0, math.pi, 50, dtype=torch.float64)
    torch.testing.assert_close(compiled.profiles[0](theta), theta.exp(), rtol=1e-13, atol=0)
    torch.testing.assert_close(compiled.profiles[1](theta), theta.cos() + theta.sin(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(compiled.at_duplicates, [1, 1], rtol=1e-15)


def test_the_arrays_hold_the_polynomials_of_both_halves():
    compiled = compiled_terms((AngularTerm(0, torch.exp),), torch.float64)
    assert compiled is not None
    assert compiled.coefficients.shape[2] % 4 == 1
    for theta in (0.3, 2.9):
        half = int(theta > math.pi / 2)
        v = math.sin((math.pi - theta if half else theta) / 2) ** (0.5 ** int(compiled.roots[0]))
        end, slope, pole = compiled.maps[0, :, half]
        t = (slope * v - 1) / (pole * v + 1)
        assert end + v * np.polyval(compiled.coefficients[0, half], t) == pytest.approx(math.exp(theta), rel=1e-13)


def test_equal_terms_are_compiled_once():
    terms = (AngularTerm(0, torch.exp),)
    assert compiled_terms(terms, torch.float32) is compiled_terms((AngularTerm(0, torch.exp),), torch.float32)


def test_a_rough_function_is_not_compiled():
    assert compiled_terms((AngularTerm(0, lambda theta: torch.cos(1000 * theta)),), torch.float32) is None
