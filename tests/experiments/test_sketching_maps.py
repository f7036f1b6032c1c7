"""The maps that are compared: each tends to the kernel that it is said to stand for."""

import numpy as np
import pytest

from widenet.experiments.sketching_maps import GradientFeatures, median_distance, methods

X = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32)
NAMES = [method.name for method in methods(2, len(X), 3.0)]


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_features_tend_to_their_kernel(number):
    method = methods(2, len(X), 3.0)[number]
    size = 1024 if method.most is None or method.most > 1024 else 25
    K, seeds = np.asarray(method.kernel(X)), 6
    grams = []
    for seed in range(seeds):
        Z = np.asarray(method.make(size, seed)(X))
        assert Z.shape == (30, size)
        assert Z.dtype == np.float32
        grams.append(Z @ Z.T)
    assert np.linalg.norm(np.mean(grams, 0) - K) < 0.25 * np.linalg.norm(K)


def test_gradients_are_those_of_every_parameter():
    # 2 hidden layers: z(x) . z(y) of one unit a layer by hand, with NTK scalings.
    features = GradientFeatures(1, 13, seed=3).fit(X)
    Z = features.transform(X)
    first, last = (weight.detach().numpy() for weight in features.drawn.parameters())
    hidden = X @ first.T / np.sqrt(12)
    scale = np.linalg.norm(Z[:, -1] - np.maximum(hidden[:, 0], 0)), np.linalg.norm(np.maximum(hidden[:, 0], 0))
    ratio = Z[hidden[:, 0] > 0, 12] / hidden[hidden[:, 0] > 0, 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    expected = ratio[0] * last[0, 0] * (hidden > 0) * X / np.sqrt(12)
    np.testing.assert_allclose(Z[:, :12], expected, atol=1e-5)
    assert scale[1] > 0


def test_gradients_fill_at_most_the_size():
    Z = GradientFeatures(2, 100).fit(X).transform(X)
    # Width 5: 12 5 + 25 + 5 = 90 parameters; 6 would take 114.
    assert np.all(np.abs(Z).max(0)[90:] == 0)
    assert np.abs(Z[:, 85:90]).max() > 0


def test_the_median_distance_of_a_line():
    assert median_distance(np.array([[0.0], [2.0]])) == 2.0
