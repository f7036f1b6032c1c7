"""Buckets and signs of coordinates without tables: a strong mixing of a key and the coordinate's number.

A coordinate costs a nanosecond wherever it stands, so that rows of a million coordinates need no memory for their hash.
"""

import zlib

import numpy as np
from numpy.random import Generator, SeedSequence

# Finaliser and increment of SplitMix64, Steele, Lea and Flood 2014.
INCREMENT, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def stream(owner: str, seed: int, *path: int) -> Generator:
    """A generator of its own for a part of a sketch: the same for the same owner, seed and path."""
    return np.random.default_rng(SeedSequence(int(seed), spawn_key=(zlib.crc32(owner.encode()), *path)))


def draw_keys(owner: str, seed: int, count: int) -> np.ndarray:
    """Independent keys of that many hash functions, uint64 (count,)."""
    return stream(owner, seed, 0).integers(0, 2**64, count, dtype=np.uint64)


def mixed(key: np.uint64, coordinates: np.ndarray) -> np.ndarray:
    """64 random-looking bits for every coordinate, uint64."""
    z = key + (coordinates.astype(np.uint64) + np.uint64(1)) * np.uint64(INCREMENT)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(31))


def signs(bits: np.ndarray) -> np.ndarray:
    """+-1 from the lowest bit, int64."""
    return 1 - 2 * (bits & np.uint64(1)).astype(np.int64)


def buckets(bits: np.ndarray, count: int) -> np.ndarray:
    """One of `count` buckets from the upper half of the bits, int64."""
    return (((bits >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32)).astype(np.int64)
