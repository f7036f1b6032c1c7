"""Residual and densely connected networks: how they are written, and their published kernels."""

from math import sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import Concat, Dense, Identity, ReLU, Scale, densenet, fully_connected, residual
from widenet.architectures.zoo_residual import branch_scales
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels import NNGP, NTK

RELU_DENSE = ReLU() >> Dense(sqrt(2.0))
x, y = np.array([[1.0, 0.5, -0.3, 0.8]]), np.array([[-0.2, 1.1, 0.4, 0.6]])


def test_a_residual_network_as_it_is_written():
    linear_first = Identity() + (Dense() >> RELU_DENSE**2 >> Scale(0.5))
    assert residual(3, 3, 0.25) == Dense() >> linear_first**3 >> Dense()
    relu_first = Identity() + (RELU_DENSE >> Scale(sqrt(0.5)))
    assert residual(2, 1, relu_first=True) == Dense() >> relu_first**2 >> Dense()
    assert residual(1, 1, 4.0) == Dense() >> (Identity() + (Dense() >> Scale(2.0))) >> Dense()
    assert residual(0) == Dense() >> Dense()
    assert residual(2, alpha=[0.3, 0.3]) == residual(2, alpha=0.3)
    different = residual(2, 1, (1.0, 4.0))
    assert (
        different
        == Dense() >> (Identity() + (Dense() >> Scale(1.0))) >> (Identity() + (Dense() >> Scale(2.0))) >> Dense()
    )


def test_a_densenet_as_it_is_written():
    layer = Dense(sqrt(3.0)) >> ReLU()
    body = Concat(Identity(), layer) ** 2
    assert densenet(3, 1.5) == Dense() >> ReLU() >> body >> layer >> Dense(sqrt(2.0))


def test_scales_of_the_branches():
    assert branch_scales("1/L", 4) == (0.25,) * 4
    assert branch_scales(2, 2) == (2.0, 2.0)
    assert branch_scales(np.array([0.5, 1.0]), 2) == (0.5, 1.0)
    assert branch_scales("1/L", 0) == ()


# spec residual_kernels (f), computed there apart from this code: NNGP(x, y), NTK(x, y), NNGP(x, x), NTK(x, x).
REFERENCES = [
    (residual(2, 2, 0.5), 0.4994551582, 1.3387308499, 1.11375, 3.7125),
    (residual(4, 3, 0.25), 0.6270490876, 1.8921343259, 1.2084960938, 5.3173828125),
    (residual(3, 1, 0.7), 0.8720575, 2.8213625, 2.431935, 7.868025),
    (densenet(1), 0.2948135785, 0.5385015842, 0.495, 1.485),
    (densenet(3), 0.3198506994, 0.6789945514, 0.495, 1.8975),
    (densenet(4, 2.0), 1.6914061528, 4.0080555341, 2.475, 11.3025),
]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: repr(reference[0])[:60])
def test_kernels_of_the_specification(reference):
    network, *expected = reference
    nngp, ntk = NNGP(network), NTK(network)
    found = [nngp(x, y)[0, 0], ntk(x, y)[0, 0], nngp(x, x)[0, 0], ntk(x, x)[0, 0]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=6e-11)


@pytest.mark.parametrize(
    ("depth", "pair", "diagonal"),
    [(10, 1.75476997, 4.90217325), (100, 1.90139773, 5.32901885), (1000, 1.91773404, 5.37682232)],
)
def test_deep_residual_networks_of_the_specification(depth: int, pair: float, diagonal: float):
    # Layer by layer: the compiled profile is held to it by the laws of every kernel.
    points = torch.from_numpy(np.vstack([x, y]))
    np.testing.assert_allclose(NTK(residual(depth))._cross(points, points, same=True)[0], [diagonal, pair], atol=6e-9)


def _relu_maps(a: float, c: float) -> tuple[float, float]:
    """2 E relu(u) relu(v) and 2 E relu'(u) relu'(v) for variances a and covariance c."""
    t = np.arccos(c / a)
    return a / np.pi * (np.sin(t) + (np.pi - t) * np.cos(t)), 1 - t / np.pi


@pytest.mark.parametrize("alphas", [(0.3,) * 5, (0.5, 0.0, 2.0)])
def test_relu_first_by_its_recursion(alphas: tuple[float, ...]):
    z = y * np.linalg.norm(x) / np.linalg.norm(y)  # of one norm, so that variances agree
    own = float(x[0] @ x[0]) / 4
    s = t = float(x[0] @ z[0]) / 4
    for alpha in alphas:
        value, slope = _relu_maps(own, s)
        s, t, own = s + alpha * value, t + alpha * (value + slope * t), own * (1 + alpha)
    network = residual(len(alphas), 1, alphas, relu_first=True)
    np.testing.assert_allclose(NNGP(network)(x, z)[0, 0], s, rtol=1e-13)
    np.testing.assert_allclose(NTK(network)(x, z)[0, 0], s + t, rtol=1e-13)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("relu_first", [False, True])
def test_diagonals_by_their_formula(m: int, relu_first: bool):
    alphas = np.array([0.5, 0.0, 1.5, 0.1])
    size = float(x[0] @ x[0]) / 4 * np.prod(1 + alphas)
    share = m * np.sum(alphas / (1 + alphas))
    for ends, layers in (((True, True), 2), ((True, False), 1), ((False, False), 0)):
        network = residual(4, m, alphas.tolist(), relu_first, *ends)
        np.testing.assert_allclose(NNGP(network).diagonal(x), size, rtol=1e-12)
        np.testing.assert_allclose(NTK(network).diagonal(x), size * (layers + share), rtol=1e-12)


def test_the_diagonal_of_a_densenet_is_harmonic():
    harmonic = sum(1 / k for k in range(1, 31))
    np.testing.assert_allclose(NTK(densenet(30)).diagonal(x), 0.495 * (2 + harmonic), rtol=1e-12)
    np.testing.assert_allclose(NTK(densenet(30, 1.0, True, False)).diagonal(x), 0.495 * (1 + harmonic), rtol=1e-12)
    np.testing.assert_allclose(NTK(densenet(30, 1.0, False, False)).diagonal(x), 0.495 * harmonic, rtol=1e-12)


def test_blocks_of_no_scale_do_nothing():
    np.testing.assert_array_equal(NTK(residual(4, alpha=0.0))(x, y), 2 * NNGP(Dense() >> Dense())(x, y))
    with_some = NTK(residual(4, 2, (0.5, 0.0, 0.7, 0.0)))
    np.testing.assert_array_equal(with_some.diagonal(x), NTK(residual(2, 2, (0.5, 0.7))).diagonal(x))
    np.testing.assert_allclose(with_some(x, y), NTK(residual(2, 2, (0.5, 0.7)))(x, y), rtol=1e-14)


def test_linear_branches_make_a_linear_network():
    kernel = NTK(residual(3, 1, 0.7))(x, y)
    np.testing.assert_allclose(kernel, NTK(residual(3, 1, 0.7)).diagonal(x) * (x @ y.T) / (x @ x.T), rtol=1e-13)


@pytest.mark.parametrize("network", [residual(600, 1, 1.0), densenet(60, 1e12), fully_connected(600)], ids=repr)
def test_a_kernel_beyond_double_precision_is_refused(network):
    with pytest.raises(InvalidArchitecture, match=r"between 1e-150 and 1e\+150, .*; got (inf|nan|\d.*e[+-]\d+)\."):
        NTK(network)


def test_a_kernel_beyond_single_precision_is_refused_in_it():
    kernel, points = NTK(residual(160, 1, 1.0)), np.vstack([x, y])
    assert np.isfinite(kernel(points)).all()
    with pytest.raises(InvalidInput, match=r"must lie in the range of torch.float32; got a value of 3e\+49\. Use"):
        kernel(points.astype(np.float32))


def test_large_kernels_are_right_as_long_as_they_are_finite():
    # (1 + alpha)^L = 2^400: its square is beyond double precision.
    points = torch.from_numpy(np.vstack([x, 2 * x, y]))
    found = NTK(residual(400, 1, 1.0))._cross(points, points, same=True) / 2.0**400
    linear = points @ points.T / 4
    torch.testing.assert_close(found, 202 * linear, rtol=1e-11, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: residual(-1), "blocks must be a whole number, 0 or more; got -1"),
        (lambda: residual(2, 0), "branch_depth must be a whole number, 1 or more; got 0"),
        (lambda: residual(2, alpha=-1.0), "alpha must be a finite number of at least 0; got -1.0"),
        (lambda: residual(2, alpha=[1.0]), "alpha must hold one number for each of 2 blocks; got 1"),
        (lambda: densenet(0), "layers must be a whole number, 1 or more; got 0"),
        (lambda: densenet(2, 0.0), "alpha of densenet must be positive; got 0"),
    ],
)
def test_a_bad_argument_is_refused(make, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        make()
