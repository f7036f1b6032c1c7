"""Kernels of images and signals: plain loops, 50 digits, wide finite networks, and what has no such kernel."""

import mpmath
import numpy as np
import pytest
import torch

from spatial_reference import Step, kernels
from widenet.architectures import (
    AvgPool,
    Concat,
    Conv,
    Dense,
    Erf,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    Layer,
    LayerNorm,
    Pool,
    ReLU,
    SumPool,
    densenet,
    densenet_convolutional,
    myrtle,
    residual_convolutional,
    walk,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels import NNGP, NTK, Laplace, Normalized
from widenet.kernels.moments import listed_moments
from widenet.kernels.propagate import propagate
from widenet.kernels.spatial import needs_crossed, needs_own_moments

RNG = np.random.default_rng(4)
IMAGES, OTHERS = RNG.normal(size=(3, 5, 4, 2)), RNG.normal(size=(2, 5, 4, 2))
IMAGES[2, 1:3] = 0  # black pixels
SIGNALS = RNG.normal(size=(2, 7, 3))
RELU = ReLU()


def steps(network: Layer, axes: int) -> list[Step]:
    """The layers of a chain in the words of the plain loops."""
    found = []
    for layer in walk(network):
        kind = type(layer).__name__
        if isinstance(layer, Conv | Pool):
            size = layer.filter_size if isinstance(layer, Conv) else layer.window
            stride = size if layer.stride is None else layer.stride
            size, stride = (part if isinstance(part, tuple) else (part,) * axes for part in (size, stride))
            name = {"Conv": "conv", "AvgPool": "average", "SumPool": "sum"}[kind]
            w, b = (layer.weight_std, layer.bias_std) if isinstance(layer, Conv) else (1.0, 0.0)
            found.append(Step(name, size, stride, layer.padding, w, b))
        elif isinstance(layer, Dense):
            found.append(Step("dense", weight=layer.weight_std, bias=layer.bias_std))
        else:
            found.append(Step(kind.lower()))
    return found


FLAT, LAST = Flatten(), Dense(0.9, 0.1)
CHAINS = [
    Conv(3, weight_std=1.3, bias_std=0.2) >> RELU >> Conv(2) >> RELU >> FLAT >> LAST,
    Conv((3, 2), stride=2, bias_std=0.3) >> RELU >> Conv(2, stride=(2, 1)) >> FLAT,
    Conv((4, 3), (3, 1), "circular") >> RELU >> Conv(3, padding="circular", bias_std=0.1) >> FLAT >> LAST,
    Conv(2, padding="valid") >> RELU >> Conv((1, 3), padding="valid", bias_std=0.1) >> RELU >> FLAT >> LAST,
    Conv(2, bias_std=0.3) >> RELU >> AvgPool(2) >> Conv(2, bias_std=0.1) >> RELU >> FLAT >> LAST,
    Conv(3) >> RELU >> AvgPool(3, 1, "same") >> Conv(2, 2) >> RELU >> SumPool((3, 2)) >> FLAT >> LAST,
    AvgPool((2, 3), 1, "circular") >> Conv(3, bias_std=0.2) >> SumPool(2, 1, "same") >> RELU >> FLAT >> LAST,
    FLAT >> Dense(1.2, 0.3) >> RELU >> Dense(0.8, 0.2) >> RELU >> LAST,
    Dense(1.4, 0.2) >> RELU >> Conv(2) >> RELU >> FLAT >> Dense(1.1, 0.2) >> RELU >> LAST,
]


@pytest.mark.parametrize("network", CHAINS, ids=str)
def test_plain_loops_over_positions(network: Layer):
    described = steps(network, 2)
    ntk, nngp = NTK(network)(IMAGES, OTHERS), NNGP(network)(IMAGES, OTHERS)
    for i, j in ((0, 1), (2, 0)):
        covariance, tangent = kernels(described, IMAGES[i], OTHERS[j])
        assert nngp[i, j] == pytest.approx(covariance, rel=1e-12)
        if isinstance(list(walk(network))[-1], Dense | Flatten):
            assert ntk[i, j] == pytest.approx(tangent, rel=1e-12)
    assert NTK(network).diagonal(IMAGES)[2] == pytest.approx(kernels(described, IMAGES[2], IMAGES[2])[1], rel=1e-7)
    np.testing.assert_allclose(np.diag(NTK(network)(IMAGES)), NTK(network).diagonal(IMAGES), rtol=1e-14)


@pytest.mark.parametrize(
    ("network", "same"),
    [
        (Conv(3) >> RELU >> GlobalAveragePool() >> LAST, Conv(3) >> RELU >> AvgPool((5, 4)) >> FLAT >> LAST),
        (Conv(3) >> RELU >> GlobalSumPool() >> LAST, Conv(3) >> RELU >> SumPool((5, 4)) >> FLAT >> LAST),
        (GlobalAveragePool() >> LAST >> RELU >> LAST, AvgPool((5, 4)) >> FLAT >> LAST >> RELU >> LAST),
        (Conv(3) >> RELU >> FLAT >> LAST, Conv(3) >> RELU >> Conv((5, 4), 1, "valid", 0.9, 0.1) >> FLAT),
    ],
)
def test_global_layers_are_windows_over_the_whole_image(network: Layer, same: Layer):
    for kernel in (NTK, NNGP):
        np.testing.assert_allclose(kernel(network)(IMAGES, OTHERS), kernel(same)(IMAGES, OTHERS), rtol=1e-13)
        np.testing.assert_allclose(kernel(network)(IMAGES), kernel(same)(IMAGES), rtol=1e-13)


def test_signals_are_images_of_one_row():
    network = Conv(3, 2, bias_std=0.2) >> RELU >> AvgPool(2) >> Conv(2) >> RELU >> GlobalAveragePool() >> LAST
    found = NTK(network)(SIGNALS)
    row = Conv((1, 3), (1, 2), bias_std=0.2) >> RELU >> AvgPool((1, 2)) >> Conv((1, 2)) >> RELU
    np.testing.assert_allclose(found, NTK(row >> GlobalAveragePool() >> LAST)(SIGNALS[:, None]), rtol=1e-13)
    assert found[0, 1] == pytest.approx(
        kernels([*steps(network, 1)[:-2], Step("average", (2,), (2,)), *steps(FLAT >> LAST, 1)], *SIGNALS)[1], rel=1e-12
    )


def test_one_pixel_and_filters_of_one_are_the_dense_network():
    X, network = RNG.normal(size=(4, 3)), Dense(1.3, 0.2) >> RELU >> Dense(0.8) >> RELU
    pixels = Conv(1, weight_std=1.3, bias_std=0.2) >> RELU >> Conv(1, weight_std=0.8) >> RELU
    for readout in (FLAT, GlobalAveragePool()):
        found = NTK(pixels >> readout >> LAST)(X[:, None, None])
        np.testing.assert_allclose(found, NTK(network >> LAST)(X), rtol=1e-13)


def test_one_pixel_of_a_densely_connected_network_is_the_dense_one():
    X = RNG.normal(size=(4, 3))
    found = NTK(densenet_convolutional(3, filter_size=1))(X[:, None, None])
    np.testing.assert_allclose(found, NTK(densenet(3))(X), rtol=1e-12)


@pytest.mark.parametrize("distance", [1e-4, 1e-9])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_near_duplicates_without_pooling_at_50_digits(distance: float, scale: float):
    rng = np.random.default_rng(9)
    x = rng.normal(size=(4, 5))
    x[1, 1:] = 0
    y = scale * x
    y[2] += distance * rng.normal(size=5)
    network = (Conv(2, weight_std=1.3, bias_std=0.2) >> RELU) ** 2 >> FLAT >> LAST
    with mpmath.workdps(50):
        covariance, tangent = kernels(steps(network, 1), x, y, exact=True)
        assert NTK(network)(x[None], y[None]).item() == pytest.approx(float(tangent), rel=2e-14)
        assert NNGP(network)(x[None], y[None]).item() == pytest.approx(float(covariance), rel=2e-14)


@pytest.mark.parametrize("channels", [1, 2, 9])
def test_first_moments_keep_the_digits_of_near_pixels_for_any_number_of_channels(channels: int):
    rng = np.random.default_rng(channels)
    x = torch.from_numpy(rng.normal(size=(1, 3, channels)))
    y = 2 * x
    y[0, 1] += 1e-8 * torch.from_numpy(rng.normal(size=channels))
    m = listed_moments(x, y, False, crossed=True)
    with mpmath.workdps(50):
        for p in range(3):
            for q in range(3):
                a, b = [mpmath.mpf(float(v)) for v in x[0, p]], [mpmath.mpf(float(v)) for v in y[0, q]]
                sizes = [mpmath.sqrt(mpmath.fsum(v * v for v in vector)) for vector in (a, b)]
                exact = mpmath.fsum((u / sizes[0] - v / sizes[1]) ** 2 for u, v in zip(a, b, strict=True))
                exact *= sizes[0] * sizes[1] / channels
                # A direction is rounded to 1e-16, and the angle here is some 1e-9, or 0.
                assert m.apart[0, p, q].item() == pytest.approx(float(exact), rel=1e-6, abs=1e-30)


def test_the_same_image_twice_is_the_diagonal():
    for network in (CHAINS[0], CHAINS[4], residual_convolutional(2), Conv() >> LayerNorm() >> RELU >> FLAT >> LAST):
        X = np.concatenate([RNG.normal(size=(2, 5, 4, 2)), OTHERS])
        X[1] = X[0]
        gram = NTK(network)(X)
        np.testing.assert_array_equal(gram, gram.T)
        assert gram[0, 1] == gram[0, 0] == gram[1, 1]
        np.testing.assert_allclose(NTK(network)(X, X.copy()), gram, rtol=1e-13)
        assert np.linalg.eigvalsh(gram)[0] > -1e-13 * gram.trace()


def test_branches_read_the_same_positions():
    unit = RELU >> Conv(3, bias_std=0.2)
    first = Conv(3)
    for readout in (FLAT, GlobalAveragePool()):
        K = [NNGP(first >> part >> readout >> Dense()) for part in (Identity() + unit, Identity(), unit)]
        grams = [kernel(IMAGES) for kernel in K]
        np.testing.assert_allclose(grams[0], grams[1] + grams[2], rtol=1e-13)
        side = NNGP(first >> Concat(Conv(3, width=2.0), unit) >> readout >> Dense())(IMAGES)
        np.testing.assert_allclose(side, (2 * NNGP(first >> Conv(3) >> readout >> Dense())(IMAGES) + grams[2]) / 3)


def test_only_the_last_layer_trained_is_the_nngp():
    network = Conv(3, bias_std=0.2, trainable=False) >> RELU >> AvgPool(2) >> Conv(2, trainable=False) >> RELU
    np.testing.assert_allclose(NTK(network >> FLAT >> LAST)(IMAGES), NNGP(network >> FLAT >> LAST)(IMAGES), rtol=1e-14)
    zero = Conv(3, bias_std=0.2, bias_init="zero") >> FLAT
    without = Conv(3) >> FLAT
    np.testing.assert_allclose(NNGP(zero)(IMAGES), NNGP(without)(IMAGES), rtol=1e-14)
    np.testing.assert_allclose(NTK(zero)(IMAGES), NTK(without)(IMAGES) + 0.04, rtol=1e-14)


# Which moments a network needs.


@pytest.mark.parametrize(
    ("network", "crossed", "own"),
    [
        (Conv() >> RELU >> FLAT >> LAST, False, False),
        (Conv() >> RELU >> GlobalAveragePool() >> LAST, True, False),
        (Conv() >> RELU >> AvgPool() >> Conv() >> FLAT >> LAST, True, False),
        (Conv() >> RELU >> AvgPool() >> Conv() >> RELU >> FLAT >> LAST, True, True),
        (Conv() >> (Identity() + (RELU >> Conv())) >> GlobalSumPool() >> Dense() >> LayerNorm(), True, True),
        (myrtle(5), True, True),
    ],
)
def test_what_is_compared_follows_from_the_layers(network: Layer, crossed: bool, own: bool):
    assert (needs_crossed(network), needs_own_moments(network)) == (crossed, own)


@pytest.mark.parametrize(("end", "numbers"), [(FLAT, 64), (GlobalAveragePool(), 64**2)])
def test_layer_by_layer_a_pair_holds_its_pairs_of_positions(end: Layer, numbers: int):
    assert NTK(Conv() >> Erf() >> end >> LAST)._pair_size(torch.zeros(2, 8, 8, 3)) == numbers


def test_untracked_moments_after_pooling_are_refused():
    x = torch.from_numpy(IMAGES)
    pooled = propagate(Conv() >> RELU >> AvgPool(2) >> Conv(), listed_moments(x, x, True, crossed=True))
    assert not pooled.tracked
    for layer in (RELU, Erf(), LayerNorm()):
        with pytest.raises(InvalidArchitecture, match="whose own second moments are known; got units after pooling"):
            propagate(layer, pooled)
    with pytest.raises(InvalidArchitecture, match=r"AvgPool\(\) must read the moments of all pairs of positions"):
        propagate(AvgPool(), listed_moments(x, x, True, crossed=False))
    with pytest.raises(InvalidArchitecture, match="GlobalSumPool"):
        propagate(GlobalSumPool(), listed_moments(x, x, True, crossed=False))


def test_branches_whose_positions_differ_are_refused():
    x = torch.from_numpy(IMAGES)
    for branches in (Conv() + Conv(stride=2), Conv() >> Concat(Conv(), Conv(stride=2)), Conv() + (Conv() >> FLAT)):
        with pytest.raises(InvalidArchitecture, match="must have the same positions"):
            propagate(branches, listed_moments(x, x, True, crossed=False))


# Bad networks and bad points.


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (RELU >> FLAT, r"ReLU\(\) must read Gaussian units; got the inputs themselves"),
        (Conv() >> FLAT >> RELU >> LAST, r"ReLU\(\) must read Gaussian units; got the output .* of Flatten"),
        (Conv() >> RELU >> AvgPool() >> RELU >> FLAT, r"ReLU\(\) must read Gaussian units"),
        (Conv() >> RELU >> LAST, r"must leave no positions.*Put Flatten\(\) or GlobalAveragePool\(\) before the last"),
        (FLAT >> Conv(), r"Conv\(\) must read points with axes of positions; got points without positions"),
        (GlobalAveragePool() >> LAST >> FLAT, r"Flatten\(\) must read points with positions; got points without"),
        (Conv() >> (Identity() + Identity()) >> FLAT, "at most one must end in a layer with weights"),
        (Conv() >> (Conv() + GlobalAveragePool()) >> FLAT, "must have the same positions"),
        (Conv() >> Identity() + Conv(width=2.0) >> FLAT, "must have equal width"),
    ],
)
def test_a_network_without_a_kernel_is_refused_when_it_is_named(network: Layer, message: str):
    for shape in (None, (6, 6, 2)):
        with pytest.raises(InvalidArchitecture, match=message):
            NTK(network, shape)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Conv(7, padding="valid") >> FLAT, r"windows of Conv.* must fit into the image; got 7 x 7 on what .*5 x 4 pos"),
        (Conv(3, 4) >> AvgPool() >> FLAT, r"AvgPool\(\) must fit into the image; got 2 x 2 on what .* 2 x 1 positions"),
        (Conv() >> (Conv(stride=2) + Conv()) >> FLAT, "must have the same positions; got 3 x 2 positions and 5 x 4"),
        (Conv((3, 3, 3)) >> FLAT, r"must read points with 3 axes of positions; got 2 axes"),
    ],
)
def test_images_that_a_network_cannot_read(network: Layer, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        NTK(network, (5, 4, 2))
    for call in (NTK(network), NTK(network).diagonal):
        with pytest.raises(InvalidInput, match=message):
            call(IMAGES)


def test_points_of_another_shape_are_refused():
    K = NTK(CHAINS[0], (5, 4, 2))
    np.testing.assert_array_equal(K(IMAGES.reshape(3, 40), OTHERS.reshape(2, 40)), NTK(CHAINS[0])(IMAGES, OTHERS))
    np.testing.assert_array_equal(K.diagonal(IMAGES), K.diagonal(IMAGES.reshape(3, 40)))
    for bad in (np.ones((2, 41)), np.ones((2, 4, 5, 2)), np.ones((2, 20, 2))):
        with pytest.raises(InvalidInput, match=r"points must have the shape \(5, 4, 2\), or be rows of 40; got shape"):
            K(bad)
    with pytest.raises(InvalidInput, match=r"reads points \(points, \*positions, channels\); got shape \(3, 40\)"):
        NTK(CHAINS[0])(IMAGES.reshape(3, 40))
    for shape in ((40,), (-1, 2)):
        with pytest.raises(InvalidArchitecture, match="reads points of a known shape"):
            NTK(CHAINS[0], shape)


def test_flat_rows_take_part_in_sums_and_products():
    rows, K = IMAGES.reshape(3, 40), NTK(CHAINS[0], (5, 4, 2))
    expected = 0.5 * K(rows) + Laplace(2.0)(rows)
    np.testing.assert_allclose((0.5 * K + Laplace(2.0))(rows), expected, rtol=1e-13)
    np.testing.assert_allclose((K * Laplace(2.0))(rows), K(rows) * Laplace(2.0)(rows), rtol=1e-13)
    root = np.sqrt(K.diagonal(rows))
    np.testing.assert_allclose(Normalized(K)(rows), K(rows) / root[:, None] / root, rtol=1e-13)


def test_single_precision_is_right_to_its_rounding():
    X = (IMAGES[:1] + 1e-3 * RNG.normal(size=(6, 5, 4, 2))).astype(np.float32)
    for network in (CHAINS[0], CHAINS[4], Conv() >> RELU >> GlobalAveragePool() >> LAST):
        found = NTK(network)(X)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, NTK(network)(X.astype(np.float64)), rtol=0, atol=1e-6 * found.max())


# Gradients in the points.


@pytest.mark.parametrize("network", [CHAINS[0], CHAINS[4], Conv() >> Erf() >> GlobalAveragePool() >> LAST], ids=str)
def test_gradients_against_differences(network: Layer):
    K = NTK(network)
    X, Y = (torch.from_numpy(points).clone() for points in (IMAGES[:2], OTHERS))
    weights = torch.from_numpy(RNG.normal(size=(2, 2)))
    direction = torch.from_numpy(RNG.normal(size=X.shape))
    for values in (lambda Z: K(Z, Y), K):
        start = X.clone().requires_grad_()
        (found,) = torch.autograd.grad((values(start) * weights).sum(), start)
        ends = [(values(X + sign * 1e-5 * direction) * weights).sum().item() for sign in (1, -1)]
        assert (found * direction).sum().item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-7)
