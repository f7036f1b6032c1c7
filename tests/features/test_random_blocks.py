"""Sketches at positions: unbiased, with the stated variance, and shifts that reach every bucket."""

import numpy as np
import pytest
import torch

from widenet.features.random_blocks import add_hashed, hashed, pooled_products, products

generator = torch.Generator().manual_seed(0)


def _unit(size: int) -> torch.Tensor:
    row = torch.randn(size, generator=generator, dtype=torch.float64)
    return row / row.norm()


@pytest.mark.parametrize("cosine", [0.0, 0.6, 1.0])
def test_hashed_sums_are_unbiased_with_the_stated_variance(cosine: float):
    x, other = _unit(50), _unit(50)
    y = cosine * x + (1 - cosine**2) ** 0.5 * (other - (other @ x) * x) / (other - (other @ x) * x).norm()
    pair, size, draws = torch.stack([x, y]), 12, 1500
    values = np.array([float((Z := hashed(pair, size, (3, seed)))[0] @ Z[1]) for seed in range(draws)])
    variance = values.var()
    assert abs(values.mean() - cosine) < 4.5 * np.sqrt(variance / draws)
    assert variance < 1.2 * (1 + cosine**2) / size


def test_products_are_unbiased_with_the_stated_variance():
    a, b, c, d = (_unit(size) for size in (9, 7, 9, 7))
    left, right = torch.stack([a, 0.7 * a + 0.5 * c]), torch.stack([b, 0.6 * b + 0.4 * d])
    expected, size, draws = float((left[0] @ left[1]) * (right[0] @ right[1])), 16, 1500
    values = np.array([float((Z := products(left, right, size, (seed, 1)))[0] @ Z[1]) for seed in range(draws)])
    assert abs(values.mean() - expected) < 4.5 * np.sqrt(values.var() / draws)
    sizes = float(left[0].norm() * left[1].norm() * right[0].norm() * right[1].norm()) ** 2
    assert values.var() < (9 * sizes - expected**2) / size


def test_every_feature_is_added_once():
    # Features of size 1 each: the squared sums of +-1 in the buckets have the mean of their number.
    for count in (5, 12, 13, 40):
        total = hashed(torch.eye(count, dtype=torch.float64), 12, (count,))
        assert (total.abs().sum(1) == 1).all()
        assert total.abs().sum() == count


def test_sums_are_added_in_place_at_every_position():
    features = torch.randn(2, 3, 4, 10, generator=generator)
    total = torch.ones(2, 3, 4, 6)
    add_hashed(total, features, (1,))
    torch.testing.assert_close(total - 1, hashed(features, 6, (1,)))
    torch.testing.assert_close(hashed(features[1, 2], 6, (1,)), hashed(features, 6, (1,))[1, 2])


def test_pooled_products_are_those_of_the_mean_kernel():
    left, right = torch.randn(2, 3, 2, 4, generator=generator), torch.randn(2, 3, 2, 5, generator=generator)
    kernels = [torch.einsum("npqi,mrsi->npqmrs", part, part) for part in (left, right)]
    expected = (kernels[0] * kernels[1]).mean((1, 2, 4, 5))
    exact = pooled_products(left, right, 20, (1,))
    assert exact.shape == (2, 1, 1, 20)
    torch.testing.assert_close(exact.flatten(1) @ exact.flatten(1).T, expected)
    grams = np.stack([(Z := pooled_products(left, right, 8, (s,)).flatten(1)) @ Z.T for s in range(400)])
    assert (np.abs(grams.mean(0) - expected.numpy()) < 4.5 * grams.std(0) / 20 + 1e-6).all()
