"""The angle profile against 50-digit arithmetic and its own stated error."""

import math

import mpmath
import numpy as np
import pytest
import torch

from relu_ntk import relu_ntk
from widenet.kernels.profile import AngleProfile, RoughFunctionError, angles_of_sines, sines_of_angles


def relu_ntk_truth(depth, theta):
    """The same in 50-digit arithmetic, from the recursion on cosines."""
    with mpmath.workdps(50):
        cosine = mpmath.cos(mpmath.mpf(theta))
        tangent = cosine
        for _ in range(depth):
            angle = mpmath.acos(cosine)
            share = (mpmath.pi - angle) / mpmath.pi
            cosine = cosine * share + mpmath.sin(angle) / mpmath.pi
            tangent = tangent * share + cosine
        return float(tangent)


ANGLES = [0.0, 1e-9, 1e-7, 1e-5, 1e-3, 0.01, 0.1, 0.5, 1.0, 1.5, 1.5707, 1.5709, 2.0, 3.0, 3.1, 3.14159, math.pi]


@pytest.mark.parametrize("depth", [1, 3, 10, 30])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 4e-7), (torch.float64, 3e-14)])
def test_profile_follows_the_ntk_of_any_depth(depth, dtype, tolerance):
    profile = AngleProfile.compile(relu_ntk(depth), dtype)
    truth = np.array([relu_ntk_truth(depth, theta) for theta in ANGLES])
    values = profile(torch.tensor(ANGLES, dtype=torch.float64))
    assert values.dtype == dtype
    error = np.abs(values.double().numpy() - truth).max() / (depth + 1)
    assert error <= tolerance
    assert error <= 2 * profile.error + torch.finfo(dtype).eps


def test_profile_holds_the_reference_values_near_the_diagonal():
    # spec laplace_ntk, section (f): 4 - K of depth 3.
    profile = AngleProfile.compile(relu_ntk(3))
    values = profile(torch.tensor([1e-2, 1e-4, 1e-6], dtype=torch.float64))
    np.testing.assert_allclose(4 - values.numpy(), [0.0192295944101, 0.000190999175509, 1.90986064163e-6], atol=2e-14)


@pytest.mark.parametrize("depth", [1, 3, 10])
def test_derivative_matches_50_digits(depth):
    profile = AngleProfile.compile(relu_ntk(depth))
    angles = [1e-6, 0.01, 0.5, 1.5, 1.6, 2.5, 3.1]
    values = profile.derivative(torch.tensor(angles, dtype=torch.float64)).numpy()
    with mpmath.workdps(40):
        step = mpmath.mpf(10) ** -15

        def k(theta):
            cosine = mpmath.cos(theta)
            tangent = cosine
            for _ in range(depth):
                angle = mpmath.acos(cosine)
                share = 1 - angle / mpmath.pi
                cosine = cosine * share + mpmath.sin(angle) / mpmath.pi
                tangent = tangent * share + cosine
            return tangent

        truth = [float((k(mpmath.mpf(a) + step) - k(mpmath.mpf(a) - step)) / (2 * step)) for a in angles]
    np.testing.assert_allclose(values, truth, rtol=1e-10, atol=1e-11 * depth)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_cusps_of_gamma_exponential_kernels_compile(power):
    profile = AngleProfile.compile(lambda theta: torch.exp(-((2 * torch.sin(theta / 2)) ** power)))
    angles = np.array([1e-12, 1e-6, 0.01, 1.0, 3.0])
    values = profile(torch.from_numpy(angles)).numpy()
    np.testing.assert_allclose(values, np.exp(-((2 * np.sin(angles / 2)) ** power)), atol=1e-13)
    assert profile.roots == (1 if power % 1 else 0)


def test_the_stated_error_is_an_upper_bound_elsewhere():
    function = relu_ntk(5)
    for dtype in (torch.float32, torch.float64):
        profile = AngleProfile.compile(function, dtype)
        theta = torch.from_numpy(np.random.default_rng(0).uniform(0, math.pi, 20_000))
        error = (profile(theta).double() - function(theta)).abs().max() / 6
        # Twice: rounding noise on other points than the grid.
        assert float(error) <= 2 * profile.error
        assert profile.error <= (3e-7 if dtype == torch.float32 else 1e-14)


def test_a_jump_is_refused_with_its_error():
    with pytest.raises(RoughFunctionError, match="error of"):
        AngleProfile.compile(lambda theta: (theta < 0.7).double())


def test_infinite_values_are_refused():
    with pytest.raises(RoughFunctionError, match="finite"):
        AngleProfile.compile(lambda theta: 1 / theta)


def test_signed_sines_and_angles_are_inverse():
    theta = torch.tensor([0.0, 1e-9, 1.0, 1.57, 1.58, 3.0, math.pi - 1e-9], dtype=torch.float64)
    torch.testing.assert_close(angles_of_sines(sines_of_angles(theta)), theta, rtol=0, atol=1e-15)
    assert angles_of_sines(sines_of_angles(torch.tensor([math.pi], dtype=torch.float64))) == math.pi
