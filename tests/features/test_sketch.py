"""The choice of features by the kind of the kernel, and how close what it chooses comes."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy import sparse

from widenet.architectures import GELU, Conv, GlobalAveragePool, ReLU, fully_connected
from widenet.errors import InvalidInput
from widenet.features.architecture import ArchitectureFeatures
from widenet.features.combined import ProductFeatures, ScaledFeatures, SumFeatures
from widenet.features.fourier import FourierFeatures
from widenet.features.ntk_sketch import NTKSketch
from widenet.features.nystrom import Nystroem
from widenet.features.principal import PrincipalFeatures
from widenet.features.sketch import Sketch
from widenet.kernels import NTK, Homogeneous, Laplace, Linear, Matern, Normalized, ZonalAngle

RANDOM = np.random.default_rng(0)
X = RANDOM.random((80, 6))
UNITS = X / np.linalg.norm(X, axis=1, keepdims=True)
PLAIN = NTK(fully_connected(2))
GELUS = NTK(fully_connected(1, GELU(), bias_std=0.2))
IMAGE = NTK(Conv(3) >> ReLU() >> GlobalAveragePool())

# Kernel, points, what is chosen, and a bound of the relative error of the Gram matrix at 400 features.
CHOICES = [
    (PLAIN, X, PrincipalFeatures, 0.015),
    (0.5 * PLAIN + 2.0 * Linear(1.0), X, PrincipalFeatures, 1e-3),
    (Homogeneous(Laplace(1.0)), X, PrincipalFeatures, 0.05),
    (Matern(1.0, 1.5), UNITS, PrincipalFeatures, 0.01),
    (Matern(1.0, 1.5), X, FourierFeatures, 0.1),
    (0.3 * Laplace(2.0), X, ScaledFeatures, 0.1),
    (GELUS, X, ArchitectureFeatures, 0.05),
    (PLAIN + Laplace(1.0), X, SumFeatures, 0.1),
    (PLAIN * Laplace(1.0), X, ProductFeatures, 0.25),
    (Normalized(GELUS), X, Nystroem, 1e-6),
    (IMAGE, RANDOM.random((20, 5, 5, 2)), ArchitectureFeatures, 0.1),
]


@pytest.mark.parametrize(("kernel", "points", "kind", "bound"), CHOICES)
def test_the_choice_comes_close(kernel, points, kind, bound):
    sketch = Sketch(kernel, size=400, seed=1)
    choice = sketch.decide(points)
    assert type(choice.features) is kind
    assert choice.features.size == 400
    assert len(choice.why) > 20
    Z, K = sketch(points), kernel(points)
    assert Z.shape == (len(points), 400)
    assert np.linalg.norm(Z @ Z.T - K) < bound * np.linalg.norm(K)


def test_without_a_look_at_the_points():
    assert type(Sketch(PLAIN, 400, adapt=False).decide(X).features) is NTKSketch
    Z, K = Sketch(PLAIN, 400, adapt=False)(X), PLAIN(X)
    assert np.linalg.norm(Z @ Z.T - K) < 0.04 * np.linalg.norm(K)
    with pytest.raises(InvalidInput, match="adapt=True"):
        Sketch(Normalized(GELUS), 100, adapt=False).fit(X)


def test_parts_of_a_product_are_independent():
    features = Sketch(Laplace(1.0) * Laplace(1.0), 100, seed=4).decide(X).features
    assert features.first.seed == 4
    assert features.second.seed != 4


def test_columns_of_a_sum_follow_the_diagonals():
    features = Sketch(9.0 * Laplace(1.0) + Laplace(2.0), 100).decide(X).features
    assert (features.first.size, features.second.size) == (90, 10)


def test_sparse_rows_are_read():
    rows = sparse.csr_array(np.where(X > 0.5, X, 0))
    for kernel in (PLAIN, Laplace(1.0), PLAIN + Laplace(1.0)):
        Z, K = Sketch(kernel, 400)(rows), kernel(rows.toarray())
        assert np.linalg.norm(Z @ Z.T - K) < 0.15 * np.linalg.norm(K)


def test_a_function_of_the_angle_without_a_series_is_fitted():
    kernel = ZonalAngle(lambda theta: 1 - theta / np.pi)
    Z, K = Sketch(kernel, 300)(X), kernel(X)
    assert np.linalg.norm(Z @ Z.T - K) < 0.05 * np.linalg.norm(K)


@pytest.mark.parametrize("options", [("NTK", 8), (PLAIN, 0), (PLAIN, 8, -1)])
def test_bad_options_are_refused(options):
    with pytest.raises((InvalidInput, TypeCheckError)):
        Sketch(*options)
