"""Profiles on the sphere against the kernels themselves."""

import numpy as np
import pytest
from jaxtyping import Float
from torch import Tensor

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import NTK, GammaExponential, Gaussian, Kernel, Laplace
from widenet.theory.profile import sphere_profile


class FirstCoordinate(Kernel):
    """A kernel that is not invariant under rotations."""

    def _cross(self, X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"], *, same: bool) -> Tensor:
        return X[:, :1] @ Y[:, :1].T

    def _diagonal(self, X: Tensor) -> Tensor:
        return X[:, 0].square()


@pytest.mark.parametrize(
    "kernel", [Laplace(0.7), GammaExponential(0.8, 0.5), NTK(fully_connected(2, bias_std=0.4))], ids=repr
)
def test_the_profile_is_the_kernel_of_unit_vectors(kernel):
    generator = np.random.default_rng(1)
    X, Y = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in generator.standard_normal((2, 9, 5)))
    theta = 2 * np.arctan2(np.linalg.norm(X - Y, axis=1), np.linalg.norm(X + Y, axis=1))
    profile = sphere_profile(kernel, 5)
    np.testing.assert_allclose(profile(theta), np.diagonal(kernel(X, Y)), rtol=1e-12)
    np.testing.assert_allclose(profile.at_zero, kernel.diagonal(X)[0], rtol=1e-14)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.5])
def test_small_angles_are_exact(gamma):
    theta = np.array([1e-2, 1e-5, 1e-9])
    found = sphere_profile(GammaExponential(1.0, gamma), 3)(theta)
    np.testing.assert_allclose(-np.log(found), (2 * np.sin(theta / 2)) ** gamma, rtol=1e-13, atol=3e-16)


def test_a_kernel_of_more_than_the_angle_is_refused():
    with pytest.raises(InvalidInput, match="angle alone"):
        sphere_profile(FirstCoordinate(), 3)


@pytest.mark.parametrize("dimension", [1, 0, -3, True])
def test_dimensions_below_two_are_refused(dimension):
    with pytest.raises(InvalidInput, match="dimension"):
        sphere_profile(Gaussian(1.0), dimension)
