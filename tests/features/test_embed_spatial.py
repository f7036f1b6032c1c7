"""Layers of positions against the moments of the exact reading, where no feature is hashed."""

import numpy as np
import pytest
import torch

from widenet.architectures import (
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Layer,
    SumPool,
    serial,
)
from widenet.features.embed import embed
from widenet.features.embedding import Budget, Embedding
from widenet.kernels import NNGP

IMAGES = torch.randn(4, 5, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LAYERS: list[Layer] = [
    Conv(3),
    Conv((2, 3), stride=(2, 1), bias_std=0.3),
    Conv(4, padding="valid"),
    Conv(3, padding="circular", weight_std=1.3),
    Conv(3, stride=2, padding="circular"),
    Conv(3, init="delta_orthogonal"),
    Conv((4, 3), init="delta_orthogonal", padding="circular"),
    AvgPool(2),
    SumPool((3, 2), stride=1),
    AvgPool(3, padding="same"),
]


def _start(width: int) -> Embedding:
    rows = IMAGES / 2**0.5
    return Embedding(rows, rows[..., :0], rows.square().sum(-1), Budget(width, width, 2, 0), channels=2)


@pytest.mark.parametrize("end", [Flatten(), GlobalAveragePool(), GlobalSumPool()], ids=repr)
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_windows_of_features_are_windows_of_the_kernel(layer: Layer, end: Layer):
    network = serial(layer, end, Dense())
    after = embed(network, _start(10_000))
    np.testing.assert_allclose(after.covariance @ after.covariance.T, NNGP(network)(IMAGES), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS[:7], ids=repr)
def test_second_moments_of_windows_are_exact(layer: Layer):
    after = embed(layer, _start(10_000))
    assert after.square is not None
    torch.testing.assert_close(after.square, after.covariance.square().sum(-1))


def test_patches_are_hashed_down_where_they_are_many():
    layer = serial(Conv(3), GlobalAveragePool(), Dense())
    after = embed(layer, _start(4))
    assert after.covariance.shape == (4, 4)
    grams = []
    for seed in range(300):
        features = embed(layer, Embedding(IMAGES, IMAGES[..., :0], None, Budget(4, 4, 2, seed), channels=2)).covariance
        grams.append((features @ features.T).numpy())
    expected = 2 * np.asarray(NNGP(layer)(IMAGES.numpy()))
    off = np.abs(np.mean(grams, 0) - expected)
    assert (off < 4.5 * np.std(grams, 0) / 300**0.5).all()
