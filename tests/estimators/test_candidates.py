"""Gram matrices of the screening against the kernels that they stand for."""

import numpy as np
import pytest

from widenet.estimators.candidates import BIAS_STDS, DEPTHS, candidate_grams
from widenet.kernels import NNGP, NTK, GammaExponential, Gaussian, Laplace


@pytest.mark.parametrize("zero", [False, True])
def test_every_gram_matrix_is_that_of_its_kernel(zero):
    X = np.random.default_rng(0).normal(size=(14, 3))
    X[3] = X[2] * 2
    X[5] = X[4]
    if zero:
        X[7] = 0.0
    pairs = list(candidate_grams(X))
    assert len({kernel for kernel, _ in pairs}) == len(pairs) > 35
    for kernel, gram in pairs:
        # 1e-7: the screening takes the angle from the cosine.
        np.testing.assert_allclose(gram, kernel(X), rtol=0, atol=2e-7 * np.abs(gram).max(), err_msg=repr(kernel))


def test_the_families_are_all_there():
    kernels = [kernel for kernel, _ in candidate_grams(np.eye(2))]
    assert {type(kernel) for kernel in kernels} == {NTK, NNGP, Laplace, GammaExponential, Gaussian}
    assert sum(isinstance(kernel, NTK) for kernel in kernels) == len(DEPTHS) * (1 + len(BIAS_STDS))
