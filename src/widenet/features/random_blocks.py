"""Sketches of features at every position of images: hashed sums by shifts, and products by random signs."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_MASK = 2**32 - 1


def _random(key: tuple[int, ...]) -> np.random.Generator:
    return np.random.default_rng([part & _MASK for part in key])


def hashed(features: Tensor, size: int, key: tuple[int, ...]) -> Tensor:
    """A sketch S of features with E <S x, S y> = <x, y> and variance at most (|x|^2 |y|^2 + <x, y>^2) / size.

    A CountSketch whose buckets are random shifts of runs of `size` features: feature k of run r goes to the bucket
    (k + shift_r) mod size with a random sign.

    Args:
        features: (..., d).
        size: Number of buckets.
        key: Picks the random numbers.

    Returns:
        (..., size).

    Cost:
        d multiplications and additions a point.
    """
    total = features.new_zeros(*features.shape[:-1], size)
    add_hashed(total, features, key)
    return total


def add_hashed(total: Tensor, features: Tensor, key: tuple[int, ...]) -> None:
    """Add the hashed sums of features (..., d) to what stands in `total` (..., size), in place."""
    size = total.shape[-1]
    if features.numel() == 0:
        return
    signs, shifts = _hash(key, features.shape[-1], size, features.dtype, features.device)
    for run, shift in enumerate(shifts):
        part = features[..., run * size : (run + 1) * size]
        sign = signs[run * size : (run + 1) * size]
        head = min(size - shift, part.shape[-1])
        total[..., shift : shift + head].addcmul_(part[..., :head], sign[:head])
        if head < part.shape[-1]:
            total[..., : part.shape[-1] - head].addcmul_(part[..., head:], sign[head:])


@lru_cache(maxsize=1024)
def _hash(
    key: tuple[int, ...], count: int, size: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, tuple[int, ...]]:
    """A sign for every feature, and a shift for every run of `size` of them."""
    random = _random(key)
    shifts = random.integers(0, size, -(-count // size)).tolist()
    return _signs(random, (count,)).to(device, dtype), tuple(shifts)


def products(left: Tensor, right: Tensor, size: int, key: tuple[int, ...]) -> Tensor:
    """A sketch of the tensor product with E <T(a, b), T(c, d)> = <a, c> <b, d>: products of random signed sums.

    T(a, b)_i = (A a)_i (B b)_i / sqrt(size) with independent random signs A, B. The variance is at most
    (9 |a|^2 |b|^2 |c|^2 |d|^2 - <a, c>^2 <b, d>^2) / size.

    Args:
        left: a, (..., p).
        right: b, (..., q).
        size: Number of products.
        key: Picks the random numbers.

    Returns:
        (..., size).

    Cost:
        2 (p + q) size operations a point, in two matrix products.
    """
    if left.numel() == 0:
        return left.new_zeros(*left.shape[:-1], size)
    A, B = _sign_matrices(key, left.shape[-1], right.shape[-1], size, left.dtype, left.device)
    return (left @ A).mul_(right @ B)


def pooled_products(left: Tensor, right: Tensor, size: int, key: tuple[int, ...]) -> Tensor:
    """Features of the mean over all positions of the product of two kernels.

    The mean of the tensor products a(p) (x) b(p) is one matrix product, which is hashed down where it has more entries
    than there is room for: closer than means of sketched products, and far cheaper.

    Args:
        left: a, (n, *positions, p).
        right: b, (n, *positions, q).
        size: Most features.
        key: Picks the random numbers.

    Returns:
        (n, 1, ..., min(p q, size)), with one position left.

    Cost:
        2 p q operations a position.
    """
    first, second = left.flatten(1, -2), right.flatten(1, -2)
    mean = (first.mT @ second).div_(first.shape[1]).flatten(1)
    mean = mean if mean.shape[1] <= size else hashed(mean, size, key)
    return mean.reshape(len(mean), *(1,) * (left.ndim - 2), mean.shape[1])


@lru_cache(maxsize=256)
def _sign_matrices(
    key: tuple[int, ...], left: int, right: int, size: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    random = _random(key)
    A, B = _signs(random, (left, size)), _signs(random, (right, size))
    return (A / math.sqrt(size)).to(device, dtype), B.to(device, dtype)


def _signs(random: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    count = math.prod(shape)
    bits = np.unpackbits(np.frombuffer(random.bytes(-(-count // 8)), np.uint8), count=count)
    return 1 - 2 * torch.from_numpy(bits.reshape(shape)).float()
