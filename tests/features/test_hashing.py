"""Hash functions: published values of the mixing, and uniform, independent buckets and signs."""

import numpy as np
from scipy import stats

from widenet.features.hashing import buckets, draw_keys, mixed, signs, stream


def test_the_mixing_is_the_published_one():
    # First outputs of SplitMix64 from state 0, as listed with its reference implementation by Vigna.
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mixed(np.uint64(0), np.arange(3)).tolist() == expected


def test_buckets_are_uniform_and_signs_fair_and_independent_of_them():
    bits = mixed(np.uint64(12345), np.arange(30_000))
    counts = np.zeros((30, 2))
    np.add.at(counts, (buckets(bits, 30), (signs(bits) + 1) // 2), 1)
    assert stats.chisquare(counts.ravel()).pvalue > 1e-4
    assert set(signs(bits)) == {-1, 1}


def test_keys_give_independent_functions():
    first, second = (buckets(mixed(key, np.arange(20_000)), 20) for key in draw_keys("owner", 3, 2))
    joint = np.zeros((20, 20))
    np.add.at(joint, (first, second), 1)
    assert stats.chisquare(joint.ravel()).pvalue > 1e-4


def test_streams_differ_by_owner_seed_and_path():
    numbers = [stream(*path).random() for path in (("a", 0), ("a", 1), ("b", 0), ("a", 0, 0), ("a", 0, 0, 1))]
    assert len(set(numbers)) == 5
    assert stream("a", 0, 1).random() == stream("a", 0, 1).random()
