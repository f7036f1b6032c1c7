"""Sequences read in both directions."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from widenet import NNGP, NTK, Bidirectional, Laplace, Normalized, recurrent
from widenet.errors import InvalidInput

SERIES = [np.random.default_rng(length).standard_normal((length, 2)) for length in (3, 1, 6)]


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("kind", [NTK, NNGP])
def test_it_is_the_sum_over_both_directions(kind, readout):
    kernel = kind(recurrent(2, readout=readout))
    back = [part[::-1] for part in SERIES]
    both = Bidirectional(kernel)
    np.testing.assert_allclose(both(SERIES), kernel(SERIES) + kernel(back), rtol=1e-14)
    np.testing.assert_allclose(
        both(SERIES, SERIES[1:]), kernel(SERIES, SERIES[1:]) + kernel(back, back[1:]), rtol=1e-14
    )
    np.testing.assert_allclose(both.diagonal(SERIES), kernel.diagonal(SERIES) + kernel.diagonal(back), rtol=1e-14)
    np.testing.assert_allclose(both(back), both(SERIES), rtol=1e-14)


def test_normalized_kernels_in_both_directions():
    kernel = Bidirectional(Normalized(NTK(recurrent(1))))
    np.testing.assert_array_equal(np.diag(kernel(SERIES)), 2.0)


@pytest.mark.parametrize("kernel", [Laplace(1.0), recurrent(1)])
def test_only_kernels_of_sequences(kernel):
    with pytest.raises((InvalidInput, TypeCheckError), match=r"kernel of sequences|Type-check error"):
        Bidirectional(kernel)
