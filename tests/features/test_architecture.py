"""Features of architectures against their exact kernels, the lengths they promise, and what is refused."""

import pickle

import numpy as np
import pytest

from widenet.architectures import (
    GELU,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Erf,
    FactorizedDense,
    Flatten,
    GlobalSumPool,
    Identity,
    Layer,
    LayerNorm,
    ReLU,
    Scale,
    SumPool,
    ThresholdReLU,
    convolutional,
    delta_orthogonal,
    densenet,
    freeze,
    fully_connected,
    recurrent,
    residual,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.features.architecture import ArchitectureFeatures
from widenet.kernels import NNGP, NTK, Kernel, Laplace

generator = np.random.default_rng(0)
ROWS = generator.standard_normal((7, 5))
IMAGES = generator.standard_normal((5, 4, 6, 2))

DENSE: list[Layer] = [
    fully_connected(1),
    fully_connected(2, GELU(), bias_std=0.3),
    freeze(fully_connected(2, Erf(), bias_std=0.3), 2),
    residual(2),
    densenet(2),
    Dense() >> LayerNorm() >> ThresholdReLU(0.4) >> Dense(bias_std=0.3, bias_init="zero"),
    Dense() >> ReLU() >> FactorizedDense(rank=2, bias_std=0.2, train="inner") >> Scale(1.5),
    Dense() >> Concat(Dense(width=2.0) >> ReLU(), Dense() >> Erf()) >> Dense(),
]
SPATIAL: list[Layer] = [
    convolutional(2),
    convolutional(1, "flatten", bias_std=0.2),
    delta_orthogonal(convolutional(2, bias_std=0.2)),
    Conv((2, 3), stride=(1, 2)) >> ReLU() >> AvgPool(2, padding="same") >> Conv(2) >> ReLU() >> GlobalSumPool(),
    Conv(3) >> (Identity() + (ReLU() >> Conv(3, padding="circular"))) >> SumPool(2) >> Flatten() >> Dense(),
]
CASES = [(NTK(layer), ROWS) for layer in DENSE] + [(NNGP(DENSE[1]), ROWS)]
CASES += [(NTK(layer), IMAGES) for layer in SPATIAL] + [(NNGP(SPATIAL[0]), IMAGES)]


def _error(kernel: Kernel, X: np.ndarray, size: int, draws: int) -> float:
    K = kernel(X)
    each = [ArchitectureFeatures(kernel, size, seed, degree=7)(X) for seed in range(draws)]
    return float(np.sqrt(np.mean([np.sum((Z @ Z.T - K) ** 2) for Z in each]) / np.sum(K**2)))


@pytest.mark.parametrize(("kernel", "X"), CASES, ids=lambda value: repr(value) if isinstance(value, Kernel) else "")
def test_features_tend_to_the_kernel(kernel: Kernel, X: np.ndarray):
    small, large = _error(kernel, X, 128, 2), _error(kernel, X, 2048, 1)
    # A sixteenth of the variance, and what the degree leaves.
    assert large < 0.12
    assert large < 0.6 * small + 0.01


@pytest.mark.parametrize("kernel", [NTK(fully_connected(2)), NTK(convolutional(1, "flatten"))], ids=repr)
def test_the_mean_over_seeds_is_closer_than_each(kernel: Kernel):
    X = ROWS if kernel == NTK(fully_connected(2)) else IMAGES
    K = kernel(X)
    grams = np.stack([(Z := ArchitectureFeatures(kernel, 150, seed, degree=3)(X)) @ Z.T for seed in range(16)])
    spread = np.sqrt(np.sum(grams.var(0)))
    # The mean of 16 is off by a 4th of the spread, plus a bias of the order of the variance and of the fits.
    assert np.linalg.norm(grams.mean(0) - K) < 0.35 * spread + 0.03 * np.linalg.norm(K)


@pytest.mark.parametrize("size", [64, 257, 1000])
def test_there_are_as_many_features_as_asked_for_and_few_are_empty(size: int):
    for kernel, X in ((NTK(fully_connected(2)), ROWS), (NTK(convolutional(1)), IMAGES), (NTK(residual(2)), ROWS)):
        Z = ArchitectureFeatures(kernel, size)(X)
        assert Z.shape == (len(X), size)
        assert np.sum(np.abs(Z).sum(0) == 0) < 8


def test_features_behind_global_pooling_do_not_see_shifts():
    circular = NTK(Conv(3, padding="circular") >> ReLU() >> GlobalSumPool() >> Dense(trainable=False))
    shifted = np.roll(IMAGES, (1, 2), (1, 2))
    a, b = (ArchitectureFeatures(circular, 64, degree=3)(points) for points in (IMAGES, shifted))
    np.testing.assert_allclose(a, b, atol=1e-10)


def test_blocks_dtypes_and_pickles_do_not_matter():
    for kernel, X in ((NTK(fully_connected(2, GELU(), bias_std=0.1)), ROWS), (NTK(convolutional(2)), IMAGES)):
        fitted = ArchitectureFeatures(kernel, 300, seed=5).fit(X)
        whole = fitted.transform(X)
        parts = np.concatenate([fitted.transform(X[:2]), fitted.transform(X[2:])])
        np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-12 * np.abs(whole).max())
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), whole)
        single = fitted.transform(X.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, whole, atol=2e-5)


def test_points_of_zeros_have_finite_features():
    X = np.concatenate([ROWS, np.zeros((1, 5))])
    for kernel in (NTK(fully_connected(2)), NTK(fully_connected(2, bias_std=0.3)), NTK(fully_connected(1, Erf()))):
        Z, K = ArchitectureFeatures(kernel, 4000, degree=9)(X), kernel(X)
        np.testing.assert_allclose((Z @ Z.T)[-1], K[-1], atol=0.06 * np.abs(K).max())


def test_what_has_no_features_is_refused():
    with pytest.raises(InvalidInput, match="NTK or NNGP"):
        ArchitectureFeatures(Laplace(1.0), 64)
    with pytest.raises(InvalidInput, match="size of at least"):
        ArchitectureFeatures(NTK(fully_connected(2)), 4).fit(ROWS)
    with pytest.raises(InvalidInput, match="degree"):
        ArchitectureFeatures(NTK(fully_connected(2)), 64, degree=0)
    with pytest.raises(InvalidInput, match="cosine"):
        ArchitectureFeatures(NTK(fully_connected(2)), 64, lowest=2.0)
    with pytest.raises(InvalidInput, match="width"):
        ArchitectureFeatures(NTK(fully_connected(2)), 64, width=0)
    with pytest.raises(InvalidInput, match="shape"):
        ArchitectureFeatures(NTK(fully_connected(2)), 64).fit(ROWS).transform(ROWS[:, :3])
    with pytest.raises(InvalidArchitecture, match="explicit features"):
        ArchitectureFeatures(NTK(recurrent(1)), 64).fit([np.ones((3, 1))])
