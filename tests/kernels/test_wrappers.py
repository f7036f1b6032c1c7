"""Homogeneous and normalised kernels against their definitions."""

import numpy as np
import pytest
import torch

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.kernels import (
    NTK,
    ArcCosine,
    GammaExponential,
    Gaussian,
    Homogeneous,
    Kernel,
    Laplace,
    Linear,
    Matern,
    Normalized,
)

generator = np.random.default_rng(4)
X, Y = generator.standard_normal((14, 5)), 3 * generator.standard_normal((11, 5))
KERNELS: list[Kernel] = [
    Laplace(0.8),
    Gaussian(0.8),
    GammaExponential(0.8, 0.5),
    GammaExponential(0.8, 1.5),
    Matern(1.0, 1.5),
    Linear(0.7),
    ArcCosine(2),
    NTK(fully_connected(2, bias_std=0.4)),
    NTK(fully_connected(2)),
    Laplace(1.0) + 0.5 * Linear(),
]


def units(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    norms = np.linalg.norm(Z, axis=1)
    return Z / norms[:, None], norms


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_homogeneous_is_its_definition(kernel):
    (U, a), (V, b) = units(X), units(Y)
    # Points of unequal norms, so that the kernel itself takes its ordinary way.
    expected = a[:, None] * b * np.array([[kernel(u[None], v[None])[0, 0] for v in V] for u in U])
    found = Homogeneous(kernel)
    np.testing.assert_allclose(found(X, Y), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found.diagonal(X), a**2 * kernel.diagonal(U), rtol=1e-13)
    np.testing.assert_allclose(found(3 * X, Y / 7), 3 / 7 * found(X, Y), rtol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_normalized_is_its_definition(kernel):
    expected = kernel(X, Y) / np.sqrt(np.outer(kernel.diagonal(X), kernel.diagonal(Y)))
    found = Normalized(kernel)
    np.testing.assert_allclose(found(X, Y), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(found.diagonal(X), np.ones(14))
    np.testing.assert_allclose(np.diagonal(found(X)), 1.0, rtol=1e-15)
    U, V = units(X)[0], units(Y)[0]
    on_sphere = kernel(U, V) / np.sqrt(np.outer(kernel.diagonal(U), kernel.diagonal(V)))
    np.testing.assert_allclose(found(U, V), on_sphere, rtol=1e-11, atol=1e-12)


def test_rays_in_single_precision():
    # y = 3x has the direction of x up to rounding, which a power 0.5 would blow up to 3e-4.
    x = X.astype(np.float32)
    kernel = Homogeneous(GammaExponential(1.0, 0.5))
    a = np.linalg.norm(x.astype(np.float64), axis=1)
    found = np.diagonal(kernel(x, (3 * x.astype(np.float64)).astype(np.float32)))
    np.testing.assert_allclose(found, 3 * a**2, rtol=2e-3)
    np.testing.assert_allclose(np.diagonal(kernel(x, 4 * x)), 4 * a**2, rtol=1e-6)


def test_huge_and_tiny_norms():
    points = np.vstack([1e200 * X[:2], 1e-200 * X[2:4]])
    np.testing.assert_allclose(
        Normalized(Homogeneous(GammaExponential(1.0, 1.5)))(X[:4]),
        GammaExponential(1.0, 1.5)(units(X[:4])[0]),
        rtol=1e-12,
    )
    cross = Homogeneous(Laplace(1.0))(points[:2], points[2:])
    np.testing.assert_allclose(cross, Homogeneous(Laplace(1.0))(X[:2], X[2:4]), rtol=1e-12)


def test_points_without_a_direction_are_named():
    zero = np.vstack([X[:3], np.zeros((1, 5))])
    for kernel in (Homogeneous(Laplace(1.0)), Normalized(Linear()), Normalized(NTK(fully_connected(1)))):
        for call in (kernel, kernel.diagonal):
            with pytest.raises(InvalidInput, match="the first is row 3"):
                call(zero)
        with pytest.raises(InvalidInput, match="row 3"):
            kernel(X, zero)
    assert np.isfinite(Normalized(Linear(1.0))(zero)).all()


@pytest.mark.parametrize("kernel", [Laplace(0.8), GammaExponential(0.8, 1.5), Linear(0.3)], ids=repr)
@pytest.mark.parametrize("kind", [Homogeneous, Normalized])
def test_gradients_of_single_entries(kernel, kind):
    points = torch.from_numpy(X[:4].copy()).requires_grad_()
    others = torch.from_numpy(Y[:3].copy()).requires_grad_()
    assert torch.autograd.gradcheck(kind(kernel), (points, others), atol=1e-7)


def test_the_diagonal_of_a_normalized_kernel_has_no_gradient():
    points = torch.from_numpy(X[:4].copy()).requires_grad_()
    Normalized(Linear(0.3) * Laplace(1.0))(points).diagonal().sum().backward()
    assert points.grad is not None
    assert torch.all(points.grad == 0)
