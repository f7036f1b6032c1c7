"""Kernels at complex cosines: equal to the kernel on the real axis, analytic off it."""

import numpy as np
import pytest

from widenet import architectures as arch
from widenet.architectures import Dense, Identity, LayerNorm, ReLU
from widenet.errors import InvalidInput
from widenet.kernels import (
    NNGP,
    NTK,
    ArcCosine,
    GammaExponential,
    Gaussian,
    Homogeneous,
    Laplace,
    Linear,
    Matern,
    Normalized,
    Zonal,
    ZonalAngle,
)
from widenet.theory.continuation import NotContinued, continued, radius
from widenet.theory.profile import sphere_profile
from widenet.theory.series import power_series


def _network(activation: arch.Activation) -> arch.Layer:
    return Dense(1.3, 0.4) >> activation >> Dense(0.8, 0.3, bias_init="zero") >> activation >> Dense()


BLOCK = Identity() + (Dense(1.1) >> ReLU() >> Dense(trainable=False))
KERNELS = [
    Laplace(0.7),
    Gaussian(0.9),
    Matern(1.2, 2.5),
    GammaExponential(1.0, 0.6),
    Linear(0.5),
    ArcCosine(0),
    ArcCosine(3),
    Laplace(1.0) + 0.5 * Gaussian(2.0) * Linear(1.0),
    Homogeneous(Laplace(1.3)),
    Normalized(Linear(1.5)),
    *[
        kind(_network(activation))
        for kind in (NTK, NNGP)
        for activation in (
            arch.ReLU(),
            arch.LeakyReLU(0.2),
            arch.Abs(),
            arch.Erf(0.9, 0.8, 0.3),
            arch.Sine(1.1, 0.7, 0.4),
            arch.Cosine(1.1, 0.7, 0.4),
            arch.RBF(0.6),
            arch.GaussianBump(0.9),
        )
    ],
    NTK(Dense() >> BLOCK**2 >> LayerNorm() >> ReLU() >> 0.7 * Dense()),
    NTK(Dense() >> arch.Concat(Dense(width=2.0) >> ReLU(), ReLU() >> Dense() >> ReLU()) >> Dense()),
    NTK(arch.fully_connected(3, bias_std=0.5, scaling="geifman")),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_it_is_the_kernel_on_the_real_axis(kernel):
    d = 4
    u = np.linspace(-0.97, 0.97, 15)
    real = sphere_profile(kernel, d)(np.arccos(u))
    found = continued(kernel, u.astype(np.complex128), d)
    np.testing.assert_allclose(np.real(found), real, rtol=1e-12)
    np.testing.assert_allclose(np.imag(found), 0, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_it_is_analytic_and_real_on_the_real_axis(kernel):
    d, u = 4, 0.6 * np.exp(2j * np.pi * np.arange(96) / 96)
    values = continued(kernel, u, d)
    # The mean over a circle is the value in its middle (Cauchy), and conjugate points have conjugate values.
    np.testing.assert_allclose(values.mean(), sphere_profile(kernel, d)(np.array([np.pi / 2]))[0], rtol=1e-12)
    np.testing.assert_allclose(values[1:], np.conj(values[1:][::-1]), rtol=1e-12)


def test_what_has_no_continuation_says_so():
    u = np.array([0.5 + 0.1j])
    with pytest.raises(NotContinued, match="GELU"):
        continued(NTK(_network(arch.GELU())), u, 3)
    with pytest.raises(NotContinued, match="complex"):
        continued(ZonalAngle(lambda theta: theta.clamp(min=0.0)), u, 3)


def test_a_function_that_is_not_analytic_is_found():
    with pytest.raises(InvalidInput, match="off by"):
        power_series(sphere_profile(Zonal(lambda u: u.real if u.is_complex() else u**2), 3), 64)


def test_radius_of_convergence():
    assert radius(Gaussian(1.0) + 2.0 * Linear()) == np.inf
    assert radius(Normalized(Gaussian(1.0))) == np.inf
    assert radius(GammaExponential(1.0, 2.0)) == np.inf
    assert radius(Gaussian(1.0) * Laplace(1.0)) == 1.0
    assert radius(GammaExponential(1.0, 1.5)) == 1.0
