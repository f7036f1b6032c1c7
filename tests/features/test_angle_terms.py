"""Terms in the angle of kernels, against the kernels themselves."""

import numpy as np
import pytest
import torch
from scipy import sparse

from widenet.architectures import Dense, ReLU, fully_connected
from widenet.errors import InvalidInput
from widenet.features import NTKSketch, PrincipalFeatures, ZonalRandomFeatures
from widenet.features.angle_terms import AT_ZERO, AngleForm, feature_terms, inverse, one_norm
from widenet.features.rows import read_rows
from widenet.kernels import NTK, ArcCosine, Gaussian, Homogeneous, Laplace, Linear, Matern, ZonalAngle

X = np.random.default_rng(3).standard_normal((9, 4))
U = X / np.linalg.norm(X, axis=1, keepdims=True)
TWO_POWERS = NTK(Dense(bias_std=0.5, bias_init="zero") >> ReLU() >> Dense(bias_std=0.5, bias_init="zero"))


@pytest.mark.parametrize("kernel", [NTK(fully_connected(2)), Homogeneous(Laplace(0.7)), TWO_POWERS, Linear(0.5)])
def test_terms_add_up_to_the_kernel(kernel):
    terms = feature_terms(kernel, 4) or ()
    norms = np.linalg.norm(X, axis=1)
    theta = torch.from_numpy(2 * np.arctan2(np.linalg.norm(U[0] - U, axis=1), np.linalg.norm(U[0] + U, axis=1)))
    found = sum(term.function(theta).numpy() * (norms[0] * norms) ** term.power for term in terms)
    np.testing.assert_allclose(found, kernel(X)[0], rtol=1e-12)


def test_a_network_with_biases_has_a_constant_and_what_is_0_at_0():
    terms = feature_terms(TWO_POWERS, 4)
    assert terms is not None
    assert [(term.power, term.constant) for term in terms] == [(0, True), (AT_ZERO, False), (1, False)]
    assert terms[0].at_one == TWO_POWERS(np.zeros((1, 4)), X)[0, 0] == 0.25
    assert terms[0].series(9).tolist() == [0.25]
    form = AngleForm.require(TWO_POWERS, read_rows(X, "test"), "test")
    for size in (1, 2, 50):
        assert sum(form.sizes(size)) == size
    assert form.sizes(50)[0] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("maker", [PrincipalFeatures, NTKSketch, ZonalRandomFeatures])
def test_zero_rows_have_the_features_of_the_kernel_there(maker, dtype):
    rows = np.concatenate([np.zeros((1, 4)), X, np.zeros((1, 4))]).astype(dtype)
    K = TWO_POWERS(rows)
    for points in (rows, sparse.csr_array(rows)):
        Z = maker(TWO_POWERS, 64).fit(points).transform(points)
        np.testing.assert_allclose((Z @ Z.T)[[0, -1]], K[[0, -1]], rtol=1e-5)


@pytest.mark.parametrize("norm", [1.0, 2.5])
@pytest.mark.parametrize("kernel", [Laplace(1.5), Gaussian(1.2), Matern(1.1, 2.5)])
def test_the_series_of_points_of_one_norm_is_the_kernel(kernel, norm):
    form = AngleForm.of(kernel, read_rows(norm * U, "test"))
    assert form.norm == pytest.approx(norm, rel=1e-15)
    cosines = (U @ U.T)[np.triu_indices(9, 1)]
    series = form.terms[0].series(1024)
    near = np.abs(cosines) < 0.95
    found = np.polynomial.polynomial.polyval(cosines[near], series)
    np.testing.assert_allclose(found, kernel(norm * U)[np.triu_indices(9, 1)][near], atol=1e-9)


def test_a_fit_stands_in_for_a_series_that_is_not_known():
    (term,) = feature_terms(ZonalAngle(lambda theta: 1 - theta / np.pi + 0 * theta.real), 4) or ()
    found = np.polynomial.polynomial.polyval(0.5, term.series(200))
    assert found == pytest.approx(2 / 3, abs=2e-3)
    assert term.at_one == 1


def test_rows_of_several_norms_have_no_form_of_a_stationary_kernel():
    assert AngleForm.of(Laplace(1.0), read_rows(X, "test")) is None
    with pytest.raises(InvalidInput, match="angle"):
        AngleForm.require(Laplace(1.0), read_rows(X, "test"), "PrincipalFeatures")


def test_other_rows_than_the_form_is_for_are_refused():
    form = AngleForm.require(Laplace(1.0), read_rows(2 * U, "test"), "test")
    assert form.norms(read_rows(2 * U[:3], "test")).tolist() == pytest.approx([2, 2, 2])
    with pytest.raises(InvalidInput, match="norm 2"):
        form.norms(read_rows(X, "test"))
    with pytest.raises(InvalidInput, match="the first is row 1"):
        AngleForm.require(ArcCosine(0), read_rows(X, "test"), "test").norms(
            read_rows(X * (np.arange(9) != 1)[:, None], "test")
        )


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, torch.from_numpy])
def test_directions_have_norm_one_but_for_zero_rows(kind):
    rows = X * (np.arange(9) != 2)[:, None]
    form = AngleForm.require(NTK(fully_connected(1)), read_rows(kind(rows), "test"), "test")
    units, norms = form.directions(read_rows(kind(rows), "test"))
    dense = units.csr.toarray() if units.dense is None else units.dense.numpy()
    np.testing.assert_allclose(dense * norms.numpy()[:, None], rows, atol=1e-15)
    assert norms[2] == 0
    assert not dense[2].any()


def test_one_norm_is_one_within_rounding():
    assert one_norm(read_rows(U, "test")) == 1.0
    assert one_norm(read_rows(3 * U.astype(np.float32), "test")) == pytest.approx(3, rel=1e-6)
    assert one_norm(read_rows(X, "test")) is None
    assert inverse(torch.tensor([0.0, 4.0])).tolist() == [0.0, 0.25]
