"""Laws that every feature map keeps. A class of feature maps that is not in the registry fails the suite."""

import importlib
import inspect
import pickle
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

import widenet
from widenet import architectures, kernels
from widenet.architectures import GELU, Conv, GlobalAveragePool, ReLU, fully_connected
from widenet.errors import InvalidInput
from widenet.features import (
    ArchitectureFeatures,
    CNTKSketch,
    FeatureMap,
    FourierFeatures,
    NTKRandomFeatures,
    NTKSketch,
    Nystroem,
    PrincipalFeatures,
    ProductFeatures,
    ScaledFeatures,
    Sketch,
    SumFeatures,
    ZonalRandomFeatures,
)
from widenet.kernels import NTK, ArcCosine, Gaussian, Homogeneous, Laplace, Matern

generator = np.random.default_rng(2)
ROWS, OTHERS = generator.random((40, 6)), generator.random((25, 6))
IMAGES, OTHER_IMAGES = generator.random((12, 4, 4, 2)), generator.random((7, 4, 4, 2))
POOLED = NTK(Conv(3) >> ReLU() >> GlobalAveragePool())

# Each map, and whether its kernel is homogeneous (zero rows have zero features) and it reads sparse rows.
HOMOGENEOUS, SPARSE = "homogeneous", "sparse"
REGISTRY: list[tuple[FeatureMap, frozenset[str]]] = [
    (PrincipalFeatures(NTK(fully_connected(2)), 50), frozenset({HOMOGENEOUS, SPARSE})),
    (PrincipalFeatures(ArcCosine(0), 30, seed=3), frozenset({SPARSE})),
    (NTKSketch(2, 5), frozenset({HOMOGENEOUS, SPARSE})),
    (NTKSketch(Homogeneous(Laplace(1.0)), 60, 6, "taylor", 1), frozenset({SPARSE})),
    (NTKRandomFeatures(2, 31), frozenset({HOMOGENEOUS, SPARSE})),
    (NTKRandomFeatures(1, 40, True, "exact", 5), frozenset({HOMOGENEOUS, SPARSE})),
    (ZonalRandomFeatures(NTK(fully_connected(3)), 33, seed=2), frozenset({HOMOGENEOUS, SPARSE})),
    (ZonalRandomFeatures(Homogeneous(Matern(1.0, 1.5)), 6, 0, 5), frozenset({SPARSE})),
    (FourierFeatures(Gaussian(1.0), 21), frozenset({SPARSE})),
    (Nystroem(Laplace(1.0), 9), frozenset()),
    (ArchitectureFeatures(POOLED, 70, 1), frozenset()),
    (ArchitectureFeatures(NTK(fully_connected(1, GELU(), bias_std=0.2)), 60, 1), frozenset()),
    (CNTKSketch(80, depth=2), frozenset()),
    (SumFeatures(NTKSketch(1, 9), FourierFeatures(Laplace(2.0), 6)), frozenset({SPARSE})),
    (ProductFeatures(NTKSketch(1, 9), FourierFeatures(Laplace(2.0), 6), 32, 4), frozenset({HOMOGENEOUS, SPARSE})),
    (ScaledFeatures(0.25, NTKSketch(1, 9, fitting="minimax")), frozenset({HOMOGENEOUS, SPARSE})),
    (Sketch(NTK(fully_connected(2)), 20, 1), frozenset({HOMOGENEOUS, SPARSE})),
    (Sketch(0.5 * NTK(fully_connected(2)) + Laplace(2.0), 41), frozenset({SPARSE})),
    (Sketch(NTK(fully_connected(2)), 20, 1, adapt=False), frozenset({HOMOGENEOUS, SPARSE})),
]
COMBINED = (SumFeatures, ProductFeatures, ScaledFeatures)
IDS = [repr(features) for features, _ in REGISTRY]
every_map = pytest.mark.parametrize("features", [features for features, _ in REGISTRY], ids=IDS)


def points_of(features):
    return (IMAGES, OTHER_IMAGES) if "Conv" in repr(features) or isinstance(features, CNTKSketch) else (ROWS, OTHERS)


def kept(kind):
    return [features for features, kinds in REGISTRY if kind in kinds]


def concrete_maps():
    """Every public class of feature maps in the package."""
    for module in pkgutil.walk_packages(widenet.features.__path__, "widenet.features."):
        importlib.import_module(module.name)
    found, queue = set(), [FeatureMap]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if kind.__module__.startswith("widenet.features.") and not inspect.isabstract(kind):
                found.add(kind)
    return found


def test_the_registry_holds_every_map():
    assert concrete_maps() == {type(features) for features, _ in REGISTRY}


@every_map
def test_it_has_exactly_its_size(features):
    X, Y = points_of(features)
    fitted = features.fit(X)
    assert fitted.size == features.size
    for points in (X, Y, Y[:1]):
        Z = fitted.transform(points)
        assert isinstance(Z, np.ndarray)
        assert Z.shape == (len(points), features.size)
        assert np.isfinite(Z).all()


@every_map
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_array_kind_are_kept(features, dtype):
    X, Y = (torch.from_numpy(points).to(dtype) for points in points_of(features))
    fitted = features.fit(X)
    Z = fitted.transform(Y)
    assert isinstance(Z, torch.Tensor)
    assert Z.dtype == dtype
    assert not Z.requires_grad
    from_numpy = fitted.transform(Y.numpy())
    assert isinstance(from_numpy, np.ndarray)
    assert from_numpy.dtype == Y.numpy().dtype
    np.testing.assert_array_equal(from_numpy, Z.numpy())


@every_map
def test_single_precision_is_close_to_double(features):
    X, Y = points_of(features)
    # The inverse of the matrix of the landmarks amplifies rounding.
    tolerance = 1e-3 if isinstance(features, Nystroem) else 2e-5
    Z = features.fit(X).transform(Y)
    single = features.fit(X).transform(Y.astype(np.float32))
    np.testing.assert_allclose(single, Z, atol=tolerance * np.abs(Z).max())


@every_map
def test_blocks_of_rows_give_the_same_features(features):
    X, Y = points_of(features)
    fitted = features.fit(X)
    Z = fitted.transform(Y)
    parts = np.concatenate([fitted.transform(Y[:1]), fitted.transform(Y[1:4]), fitted.transform(Y[4:])])
    np.testing.assert_allclose(parts, Z, rtol=0, atol=1e-12 * np.abs(Z).max())


@every_map
def test_the_same_seed_gives_the_same_features(features):
    X, Y = points_of(features)
    np.testing.assert_array_equal(features.fit(X).transform(Y), features.fit(X.copy()).transform(Y))
    np.testing.assert_array_equal(features(X), features.fit(X).transform(X))


@every_map
def test_its_repr_evaluates_back(features):
    names = {
        name: value for module in (architectures, kernels, widenet.features) for name, value in vars(module).items()
    }
    again = eval(repr(features), names)
    assert again == features
    assert hash(again) == hash(features)


@every_map
def test_pickles_of_the_map_and_of_its_fit_are_the_same(features):
    X, Y = points_of(features)
    assert pickle.loads(pickle.dumps(features)) == features
    fitted = features.fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(Y), fitted.transform(Y))


@pytest.mark.parametrize("features", kept(HOMOGENEOUS), ids=repr)
def test_zero_rows_have_zero_features_and_norms_come_out(features):
    X, Y = points_of(features)
    fitted = features.fit(X)
    scaled = Y * np.array([0.0, 3.0] + [1.0] * (len(Y) - 2))[:, None]
    Z, expected = fitted.transform(scaled), fitted.transform(Y)
    assert not Z[0].any()
    if not isinstance(features, ProductFeatures):
        np.testing.assert_allclose(Z[1], 3 * expected[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("features", kept(SPARSE), ids=repr)
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_rows_give_the_features_of_dense_ones(features, kind):
    X, Y = (np.where((points > 0.4) | (np.arange(6) == 0), points, 0) for points in points_of(features))
    fitted = features.fit(X)
    Z = fitted.transform(kind(Y))
    assert isinstance(Z, np.ndarray)
    np.testing.assert_allclose(Z, fitted.transform(Y), rtol=0, atol=1e-12 * np.abs(Z).max())
    assert features.fit(kind(X)).transform(kind(Y)).shape == Z.shape


@every_map
def test_bad_points_are_refused(features):
    X, Y = points_of(features)
    fitted = features.fit(X)
    broken = Y.copy()
    broken.flat[3] = np.nan
    for points in (broken, Y[..., :-1], np.full(Y.shape, "text")):
        with pytest.raises(InvalidInput):
            fitted.transform(points)
    with pytest.raises(InvalidInput):
        features.fit(broken)


@pytest.mark.parametrize(
    "features", [features for features, _ in REGISTRY if not isinstance(features, COMBINED)], ids=repr
)
def test_inner_products_follow_the_kernel(features):
    """A factor of 2 in a kernel would be an error of 0.5 or more; those of combined kernels are in test_combined.py."""
    kernel = features.target if isinstance(features, (NTKSketch, NTKRandomFeatures)) else features.kernel
    X, _ = points_of(features)
    Z, K = replace(features, size=1024)(X), kernel(X)
    assert np.linalg.norm(Z @ Z.T - K) < 0.15 * np.linalg.norm(K)
