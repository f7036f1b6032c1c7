"""CountSketch and OSNAP: the exact variance, one bucket a part, and the operations of an accelerator."""

import numpy as np
import pytest
import torch

from widenet.errors import InvalidInput
from widenet.features.count_sketch import OSNAP, CountSketch, _write_on_device
from widenet.features.hashing import draw_keys


def test_the_variance_is_the_exact_one():
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(2, 6))
    X, m = np.stack([x, y]), 16
    products = [np.prod(CountSketch(6, m, seed).apply(X), axis=0).sum() for seed in range(1500)]
    exact = ((x @ x) * (y @ y) + (x @ y) ** 2 - 2 * (x**2 @ y**2)) / m
    spread = np.std((products - np.mean(products)) ** 2) / np.sqrt(1500)
    assert np.var(products) == pytest.approx(exact, abs=4 * spread)


@pytest.mark.parametrize(("size", "parts"), [(12, 4), (13, 4), (5, 5)])
def test_a_coordinate_has_one_bucket_in_every_part(size, parts):
    Z = OSNAP(1000, size, parts=parts).apply(np.eye(200, 1000))
    assert np.allclose(np.abs(Z[Z != 0]), parts**-0.5)
    for part in range(parts):
        assert np.all((Z[:, part * size // parts : (part + 1) * size // parts] != 0).sum(1) == 1)


def test_the_operations_of_an_accelerator_agree():
    X, keys = torch.randn(7, 30, dtype=torch.float64), draw_keys("OSNAP", 4, 3)
    out = torch.empty(7, 16, dtype=torch.float64)
    _write_on_device(X, keys, out)
    torch.testing.assert_close(out, OSNAP(30, 16, seed=4, parts=3).apply(X), rtol=0, atol=1e-13)


def test_more_parts_than_buckets_are_refused():
    for parts in (0, 9):
        with pytest.raises(InvalidInput, match="parts"):
            OSNAP(30, 8, parts=parts)
