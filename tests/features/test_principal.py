"""Principal features against the exact kernel on scikit-learn's digits."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from scipy import sparse
from sklearn.datasets import load_digits

from widenet.architectures import Dense, ReLU, fully_connected
from widenet.errors import InvalidInput
from widenet.features.principal import PrincipalFeatures, principal_directions, products_by_level
from widenet.features.rows import read_rows
from widenet.kernels import NTK, ArcCosine, Homogeneous, Laplace, Linear

DIGITS = load_digits().data
TRAIN, TEST = DIGITS[:1200], DIGITS[1200:1500]
KERNEL = NTK(fully_connected(2))


def error(Z, K):
    return np.linalg.norm(Z @ Z.T - K) / np.linalg.norm(K)


@pytest.mark.parametrize("kernel", [KERNEL, ArcCosine(1), Homogeneous(Laplace(1.0))])
def test_new_digits_are_followed_closely(kernel):
    K = kernel(TEST)
    fitted = [PrincipalFeatures(kernel, size).fit(TRAIN) for size in (64, 512)]
    errors = [error(one.transform(TEST), K) for one in fitted]
    assert errors[0] < 0.06
    assert errors[1] < 0.75 * errors[0]


def test_the_remainder_bounds_the_error_of_every_entry():
    fitted = PrincipalFeatures(KERNEL, 100).fit(TRAIN)
    Z, K, remainder = fitted.transform(TEST), KERNEL(TEST), fitted.remainder(TEST)
    assert (remainder > 0).all()
    assert (np.abs(K - Z @ Z.T) <= np.sqrt(np.outer(remainder, remainder)) * (1 + 1e-9)).all()
    np.testing.assert_allclose(remainder, np.diag(K) - (Z**2).sum(1), rtol=1e-8)
    assert np.linalg.eigvalsh(K - Z @ Z.T)[0] > -1e-9 * K.max()


def test_no_product_is_left_for_a_kernel_of_low_degree():
    Z = PrincipalFeatures(Linear(0.5), 40)(TRAIN[:, 20:30])
    np.testing.assert_allclose(Z @ Z.T, Linear(0.5)(TRAIN[:, 20:30]), rtol=1e-9)
    assert not Z[:, 20:].any()


def test_terms_of_two_powers_are_followed():
    kernel = NTK(Dense(bias_std=0.7, bias_init="zero") >> ReLU() >> Dense(bias_std=0.7, bias_init="zero"))
    rows = TEST / 16
    assert error(PrincipalFeatures(kernel, 300).fit(TRAIN / 16).transform(rows), kernel(rows)) < 0.02


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_sparse_rows_give_the_same_features(kind):
    dense = PrincipalFeatures(KERNEL, 200).fit(TRAIN)
    compressed = PrincipalFeatures(KERNEL, 200).fit(kind(TRAIN))
    Z = compressed.transform(kind(TEST))
    np.testing.assert_allclose(Z, compressed.transform(TEST), atol=1e-10)
    assert error(Z, KERNEL(TEST)) == pytest.approx(error(dense.transform(TEST), KERNEL(TEST)), rel=1e-3)


def test_more_columns_than_rows():
    few, others = np.hstack([TRAIN[:30], TRAIN[30:60]]), np.hstack([TRAIN[60:70], TRAIN[70:80]])
    Z = PrincipalFeatures(KERNEL, 400)(few)
    assert error(Z, KERNEL(few)) < 0.06
    fitted = PrincipalFeatures(KERNEL, 400).fit(sparse.csr_array(few))
    assert (fitted.remainder(others) > 0).all()


def test_other_devices_take_the_same_products():
    fitted = PrincipalFeatures(KERNEL, 300).fit(TRAIN)
    norms = np.linalg.norm(TEST, axis=1)
    coordinates = (TEST / norms[:, None]) @ fitted.directions
    weights = torch.from_numpy(fitted.functions(coordinates[:, 0], norms))
    found = products_by_level(fitted.products, torch.from_numpy(coordinates[:, 1:]), weights)
    np.testing.assert_allclose(found, fitted.transform(TEST), atol=1e-10)


def test_directions_are_those_of_the_second_moments():
    weights = np.linspace(0.1, 1, 40)
    V = principal_directions(read_rows(TRAIN[:40, 20:30], "test"), weights)
    values = np.linalg.norm(np.sqrt(weights)[:, None] * (TRAIN[:40, 20:30] @ V), axis=0)
    expected = np.linalg.svd(np.sqrt(weights)[:, None] * TRAIN[:40, 20:30], compute_uv=False)
    assert expected[8] < 1e-12  # two of these columns are 0
    np.testing.assert_allclose(values, expected[:8], rtol=1e-9)
    np.testing.assert_allclose(V.T @ V, np.eye(8), atol=1e-12)
    assert (TRAIN[:40, 20:30] @ V[:, 0]).sum() > 0


def test_rows_without_a_kernel_are_refused():
    with pytest.raises(InvalidInput, match="not 0"):
        PrincipalFeatures(KERNEL, 10).fit(np.zeros((5, 3)))
    with pytest.raises(InvalidInput, match="angle"):
        PrincipalFeatures(Laplace(1.0), 10).fit(TRAIN)
    with pytest.raises((InvalidInput, TypeCheckError), match=r"takes a kernel|Type-check error"):
        PrincipalFeatures("NTK", 10)
