"""NTK and NNGP: published values, special points, gradients, and wide finite networks."""

import pickle
from itertools import pairwise
from math import pi, sqrt

import mpmath
import numpy as np
import pytest
import torch

from widenet.architectures import (
    GELU,
    Abs,
    Activation,
    Dense,
    Elementwise,
    Erf,
    Layer,
    LayerNorm,
    LeakyReLU,
    ReLU,
    freeze,
    fully_connected,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels import NNGP, NTK

RNG = np.random.default_rng(11)


def geifman(depth: int, beta: float) -> NTK:
    return NTK(fully_connected(depth, bias_std=beta, scaling="geifman"))


def pair(u: float) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors with cosine u."""
    return np.array([[1.0, 0.0, 0.0]]), np.array([[u, sqrt(1 - u * u), 0.0]])


# Geifman et al. 2020, arXiv 2007.01580: f = W g + beta b with relu scaled by sqrt(2 / width), biases from 0. The
# numbers come from programs that share nothing with this one (50-digit recursion, plain loops), to all their digits.
UNIT_SPHERE = [
    (1, 0.5, 0.9423311143775627, 2.608997781044229),
    (1, -0.5, -0.05766888562243731, 1.275664447710896),
    (2, 0.0, 0.6857086362829425, 2.590381508923744),
    (3, 0.5, 1.737844679215309, 4.350962201984052),
    (5, -0.5, 1.507106801986167, 4.225073243380794),
]
DEEP = [
    (1, {-0.5: -0.057668885622437, 0.0: 0.31830988618379, 0.3: 0.66184028904169, 0.9: 1.6803287350288}),
    (2, {-1.0: 0.31830988618379, 0.0: 0.68570863628294, 0.3: 1.0346012996128, 0.9: 2.3688136627183}),
    (3, {-1.0: 0.68570863628294, 0.0: 1.0603881068026, 0.3: 1.404033726567, 0.9: 2.9856931873747}),
    (5, {0.0: 1.7921959668446, 0.3: 2.1190002972813, 0.9: 4.0608947406114}),
]
POINT, OTHER = np.array([[1.0, 2.0, -1.0]]), np.array([[0.5, -1.0, 3.0]])


@pytest.mark.parametrize(("depth", "u", "without", "with_bias"), UNIT_SPHERE)
def test_values_on_the_sphere(depth: int, u: float, without: float, with_bias: float):
    assert geifman(depth, 0.0)(*pair(u)).item() == pytest.approx(without, rel=2e-14)
    assert geifman(depth, 1.0)(*pair(u)).item() == pytest.approx(with_bias, rel=2e-14)


@pytest.mark.parametrize(("depth", "values"), DEEP)
def test_values_by_depth(depth: int, values: dict[float, float]):
    for u, expected in values.items():
        assert geifman(depth, 0.0)(*pair(u)).item() == pytest.approx(expected, rel=1e-13)
        # The He scaling divides by the three channels twice: once in the inputs, and |x| = 1.
        he = NTK(fully_connected(depth, scaling="he", weight_std=sqrt(2.0)))(*pair(u)).item()
        assert he == pytest.approx(2 / 3 * expected, rel=1e-12)


@pytest.mark.parametrize(("depth", "expected"), [(1, 0.48274428383549), (2, 0.59754848518047), (3, 0.67582085452166)])
def test_covariance_by_depth(depth: int, expected: float):
    assert NNGP(fully_connected(depth, scaling="geifman"))(*pair(0.3)).item() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("depth", "beta", "expected"),
    [
        (1, 0.0, -0.7047691973680743),
        (1, 0.5, -0.3784038791061942),
        (3, 0.0, 5.60753138289865),
        (3, 0.5, 6.118354223519139),
    ],
)
def test_values_for_unequal_norms(depth: int, beta: float, expected: float):
    assert geifman(depth, beta)(POINT, OTHER).item() == pytest.approx(expected, rel=2e-14)


def test_the_bias_kernel_depends_on_the_angle_alone():
    for scale in (1.0, 5.0, 0.1):
        share = geifman(3, 0.5)(scale * POINT, OTHER) - geifman(3, 0.0)(scale * POINT, OTHER)
        assert share.item() / 0.25 == pytest.approx(2.0432913624819577, rel=3e-14 * max(scale, 1))
    degree_0 = geifman(3, 0.5)._angular(3, None)[0]
    cosine = (POINT @ OTHER.T).item() / np.linalg.norm(POINT) / np.linalg.norm(OTHER)
    assert degree_0.degree == 0
    assert degree_0.function(torch.tensor([np.arccos(cosine)])).item() / 0.25 == pytest.approx(2.0432913624819577)


@pytest.mark.parametrize("theta", [1e-2, 1e-4, 1e-6])
def test_the_diagonal_is_approached_as_it_should(theta: float):
    """4 - K at depth 3: by subtraction to the rounding of the compiled 4, where 12 digits are known."""
    expected = {1e-2: 0.0192295944101, 1e-4: 0.000190999175509, 1e-6: 1.90986064163e-6}[theta]
    x, y = np.array([[1.0, 0.0]]), np.array([[np.cos(theta), np.sin(theta)]])
    assert 4 - geifman(3, 0.0)(x, y).item() == pytest.approx(expected, abs=4e-15 + 3e-12 * expected)


# Special points.


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_zero_rows(depth: int, beta: float):
    """relu'(0) = 0: only the last bias reaches the output."""
    X = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.0, 0.0, 0.0]])
    gram = geifman(depth, beta)(X)
    np.testing.assert_allclose(gram[0], beta**2, atol=1e-16)
    np.testing.assert_allclose(gram[:, 2], beta**2, atol=1e-16)
    np.testing.assert_allclose(gram[1, 1], 5.25 * (depth + 1) + beta**2 * (depth + 1), rtol=1e-14)
    np.testing.assert_allclose(geifman(depth, beta)(X, X.copy()), gram, rtol=1e-14)


def test_zero_rows_with_random_biases():
    """The biases b alone: k(0, 0) of depth 1 is b^2 / 2 + b^2 as an NNGP; the hidden layer adds b^2 / 2 to the NTK."""
    network, X = Dense(1.3, 0.6) >> ReLU() >> Dense(1.0, 0.6), np.zeros((2, 3))
    np.testing.assert_allclose(NTK(network)(X), 2 * 0.36, rtol=1e-14)
    np.testing.assert_allclose(NNGP(network)(X), 1.5 * 0.36, rtol=1e-14)


@pytest.mark.parametrize("beta", [0.0, 0.4])
def test_antipodes_and_collinear_points(beta: float):
    """Depth 1 in closed form: K(x, -sx) = 0 + beta^2 and K(x, sx) = 2 s |x|^2 + 2 beta^2, since kappa is 0 or 1."""
    x = np.array([[0.6, -1.1, 0.3]])
    for s in (1.0, 2.0, 1e-3, 1e3):
        assert geifman(1, beta)(x, -s * x).item() == pytest.approx(beta**2, abs=1e-13 * s)
        assert geifman(1, beta)(x, s * x).item() == pytest.approx(2 * s * 1.66 + 2 * beta**2, rel=1e-14)


@pytest.mark.parametrize("activation", [ReLU(), Erf()], ids=repr)
@pytest.mark.parametrize("s", [2.0, 1.0 + 1e-7, 0.5, -1.0, -3.0])
def test_collinear_points_with_random_biases_at_50_digits(activation: Activation, s: float):
    network, erf = fully_connected(2, activation, bias_std=0.3), activation == Erf()
    with mpmath.workdps(50):
        half, beta = mpmath.mpf(1), mpmath.mpf(0.3) ** 2
        x = mpmath.mpf(0.7) ** 2
        state = [x, x * mpmath.mpf(s) ** 2, x * mpmath.mpf(s)]
        tangent = mpmath.mpf(0)
        for last in (False, False, True):
            state = [value + beta for value in state]
            tangent += state[2]
            if last:
                break
            a, b, c = state
            if erf:
                root = mpmath.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * c * c)
                tangent *= 4 / mpmath.pi / root
                state = [2 / mpmath.pi * mpmath.asin(2 * k / mpmath.sqrt((1 + 2 * p) * (1 + 2 * q)))
                         for p, q, k in ((a, a, a), (b, b, b), (a, b, c))]  # fmt: skip
            else:
                r = mpmath.sqrt(a * b)
                u = min(half, c / r)
                arc = mpmath.pi - mpmath.acos(u)
                tangent *= arc / (2 * mpmath.pi)
                state = [a / 2, b / 2, r * (u * arc + mpmath.sqrt(1 - u * u)) / (2 * mpmath.pi)]
        expected = float(tangent)
    points = np.array([[0.7]]), np.array([[0.7 * s]])
    # 0.7 s is rounded: the data are off by 1e-16, and the kink of ReLU makes that at most a few 1e-13 near s = 1.
    assert NTK(network)(*points).item() == pytest.approx(expected, rel=1e-12)


def test_one_dimensional_inputs():
    x = np.array([[-2.0], [-0.5], [0.0], [0.3], [1.7]])
    gram = geifman(1, 0.0)(x)
    np.testing.assert_allclose(gram, 2 * np.maximum(x * x.T, 0), atol=1e-15)
    assert np.linalg.eigvalsh(NTK(fully_connected(3, bias_std=0.1))(x))[0] > 0


def test_frozen_networks_have_the_share_of_their_trained_layers():
    x = np.array([[0.6, 0.0, -0.8]])
    hidden, last = Dense(sqrt(2.0), trainable=False), Dense(sqrt(2.0))
    assert NTK(hidden >> ReLU() >> last)(x).item() == pytest.approx(2 / 3, rel=1e-14)
    assert NTK(hidden >> ReLU() >> hidden)(x).item() == 0.0


def test_with_only_the_last_layer_trained_the_ntk_is_the_nngp():
    X = RNG.normal(size=(5, 3))
    for bias_init, extra in (("normal", 0.0), ("zero", 0.09)):
        network = (Dense(1.2, 0.3, bias_init) >> ReLU()) ** 2 >> Dense(1.1, 0.3, bias_init)
        np.testing.assert_allclose(NTK(freeze(network, 2))(X), NNGP(network)(X) + extra, rtol=1e-13)


# Border.


def test_points_of_one_norm_reuse_their_profile():
    K = NTK(fully_connected(1, Erf(), bias_std=0.2))
    assert K._angular(3, 1.5) == NTK(fully_connected(1, Erf(), bias_std=0.2))._angular(3, 1.5)


def test_kernels_are_values():
    K = NTK(fully_connected(2))
    assert pickle.loads(pickle.dumps(K)) == K == NTK(fully_connected(2))
    assert hash(K) == hash(NTK(fully_connected(2)))
    assert NNGP(fully_connected(2)) != K
    assert NTK(fully_connected(2)) != NTK(fully_connected(3))


def test_images_are_refused():
    with pytest.raises(InvalidInput, match=r"this architecture reads rows \(points, channels\); got shape \(2, 3, 4\)"):
        NTK(Dense())(np.ones((2, 3, 4)))


def test_a_zero_row_before_layer_norm_is_refused():
    with pytest.raises(InvalidInput, match="positive variance"):
        NTK(Dense() >> LayerNorm())(np.array([[0.0, 0.0], [1.0, 2.0]]))


def test_a_rough_function_is_refused_when_it_is_named():
    with pytest.raises(InvalidArchitecture, match="must be smooth"):
        NTK(Dense() >> Elementwise(torch.relu) >> Dense())


# Gradients in the points.

NETWORKS = [
    fully_connected(2, scaling="he"),
    fully_connected(2, bias_std=0.5, scaling="geifman"),
    fully_connected(3, bias_std=0.3),
    fully_connected(2, LeakyReLU(0.2), bias_std=0.3),
    fully_connected(2, Abs(), bias_std=0.3),
    fully_connected(2, Erf(), bias_std=0.3),
    fully_connected(1, GELU(), bias_std=0.3),
    Dense(0.3, 0.2) >> Elementwise(torch.tanh) >> Dense(),
    Dense(0.3) >> Elementwise(torch.tanh) >> Dense(trainable=False),
    Dense(1.0, 0.2) >> LayerNorm() >> ReLU() >> Dense(),
]


# Homogeneous kernels, the first two, have a kink at 0.
@pytest.mark.parametrize(
    ("network", "at_zero"), [(n, False) for n in NETWORKS] + [(n, True) for n in NETWORKS[2:]], ids=repr
)
def test_gradients_against_differences(network: Layer, at_zero: bool):
    K = NTK(network)
    X, Y, weights = (torch.from_numpy(RNG.normal(size=size)) for size in ((3, 2), (4, 2), (3, 4)))
    if at_zero:
        X[1] = 0
    X.requires_grad_()
    (found,) = torch.autograd.grad((K(X, Y) * weights).sum(), X)
    step = 1e-4
    for i in range(3):
        for k in range(2):
            moved = torch.zeros(3, 2, dtype=torch.float64)
            moved[i, k] = step
            ends = [(K((X + sign * moved).detach(), Y) * weights).sum().item() for sign in (1, -1)]
            assert found[i, k].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-7, rel=2e-7)


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_gradients_are_finite_at_coincident_points(network: Layer):
    X = torch.tensor([[1.0, 2.0], [1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [0.0, 0.0]], dtype=torch.float64)
    X.requires_grad_()
    kernel = NTK(network)
    for values in (kernel(X), kernel(X, X.detach()), kernel(X, X.detach()[:2])):
        (found,) = torch.autograd.grad(values.sum(), X)
        assert torch.isfinite(found).all()
        assert found.abs().max() > 0
    (found,) = torch.autograd.grad(kernel.diagonal(X).sum(), X)
    assert torch.isfinite(found).all()


# Networks of finite width.


def _empirical(depth: int, beta: float, width: int, seed: int) -> float:
    """Inner product of the parameter gradients of one random network at the two points."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [3, *[width] * depth, 1]
    weights = [torch.randn(b, a, generator=generator).requires_grad_() for a, b in pairwise(sizes)]
    biases = [torch.zeros(b, requires_grad=True) for b in sizes[1:]]
    gradients = []
    for point in (POINT, OTHER):
        g = torch.from_numpy(point[0]).float()
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            f = w @ g + beta * b
            g = f if layer == depth else sqrt(2 / width) * torch.relu(f)
        gradients.append(torch.autograd.grad(g.sum(), weights + biases))
    return sum(float((a * b).sum()) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(("depth", "beta", "expected"), [(1, 0.0, -0.7047691973680743), (3, 0.5, 6.118354223519139)])
def test_wide_networks_tend_to_the_kernel(depth: int, beta: float, expected: float):
    draws = np.array([_empirical(depth, beta, 1024, seed) for seed in range(60)])
    error = draws.std(ddof=1) / sqrt(len(draws))
    assert error < 0.1
    assert abs(draws.mean() - geifman(depth, beta)(POINT, OTHER).item()) < 3 * error


def test_angles_are_in_radians():
    """One value of the profile by hand: depth 1 at a right angle is 1 / pi."""
    term = geifman(1, 0.0)._angular(3, None)[0]
    assert term.function(torch.tensor([pi / 2], dtype=torch.float64)).item() == pytest.approx(1 / pi, rel=1e-15)
