"""Readings at infinite width: composition laws, and what has no such reading."""

from math import pi, sqrt

import numpy as np
import pytest
import torch

from widenet.architectures import (
    Abs,
    Activation,
    Concat,
    Cosine,
    Dense,
    Erf,
    Identity,
    Layer,
    LayerNorm,
    ReLU,
    Scale,
    Sine,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels import NNGP, NTK
from widenet.kernels.moments import Moments, pair_moments
from widenet.kernels.propagate import propagate

X = torch.from_numpy(np.random.default_rng(5).normal(size=(6, 3)))
RELU, FIRST = ReLU(), Dense(1.1, 0.3)


def after(layer: Layer, first: Layer = FIRST) -> Moments:
    return propagate(layer, propagate(first, pair_moments(X, X, True, same=True)))


def assert_equal_moments(left: Moments, right: Moments) -> None:
    for name in ("x", "y", "apart", "together", "tangent"):
        torch.testing.assert_close(getattr(left, name), getattr(right, name), rtol=1e-13, atol=1e-14)
    assert (left.channels, left.width, left.gaussian, left.drawn) == (
        right.channels,
        right.width,
        right.gaussian,
        right.drawn,
    )


def test_identity_and_repetition():
    block = RELU >> Dense(1.2, 0.1)
    assert_equal_moments(after(Identity()), propagate(FIRST, pair_moments(X, X, True, same=True)))
    assert_equal_moments(after(block**3), after(block >> block >> block))


def test_a_scale_is_a_weight_that_is_not_trained():
    scaled, dense = after(RELU >> Dense() >> Scale(-1.5)), after(RELU >> Dense())
    torch.testing.assert_close(scaled.cross, 2.25 * dense.cross)
    torch.testing.assert_close(scaled.tangent, 2.25 * dense.tangent)


def test_a_dense_layer_by_its_formula():
    before = after(RELU)
    assert before.tangent is not None
    for layer, bias in ((Dense(1.3, 0.4), 0.16), (Dense(1.3, 0.4, bias_init="zero"), 0.0), (Dense(1.3), 0.0)):
        out = propagate(layer, before)
        torch.testing.assert_close(out.cross, 1.69 * before.cross + bias)
        torch.testing.assert_close(out.tangent, 1.69 * (before.tangent + before.cross) + layer.bias_std**2)
        frozen = propagate(Dense(1.3, 0.4, layer.bias_init, trainable=False), before)
        torch.testing.assert_close(frozen.tangent, 1.69 * before.tangent)


def test_inputs_are_divided_by_their_number_unless_told_otherwise():
    inner = X @ X.T
    torch.testing.assert_close(propagate(Dense(2.0), pair_moments(X, X, False)).cross, 4 * inner / 3)
    torch.testing.assert_close(propagate(Dense(2.0, fan_in_scaling="none"), pair_moments(X, X, False)).cross, 4 * inner)


def test_kernels_of_independent_branches_add():
    a, b = RELU >> Dense(1.2), Erf() >> Dense(0.7, 0.2)
    out, first, second = after(a + b), after(a), after(b)
    torch.testing.assert_close(out.cross, first.cross + second.cross)
    torch.testing.assert_close(out.tangent, first.tangent + second.tangent)
    assert out.centred
    assert out.gaussian


def test_a_skip_connection_adds_the_kernel_of_its_input():
    out, block, skip = after(Identity() + (RELU >> Dense())), after(RELU >> Dense()), after(Identity())
    torch.testing.assert_close(out.tangent, skip.tangent + block.tangent)
    assert out.gaussian


def test_one_branch_may_be_an_activation_but_the_sum_is_not_gaussian():
    out = after(RELU + Dense())
    assert not out.gaussian
    assert not out.centred


def test_concatenation_averages_by_width():
    wide, narrow = Dense(1.2, width=3.0), RELU >> Dense(0.5, 0.2)
    out, first, second = after(Concat(wide, narrow)), after(wide), after(narrow)
    torch.testing.assert_close(out.cross, 0.75 * first.cross + 0.25 * second.cross)
    torch.testing.assert_close(out.tangent, 0.75 * first.tangent + 0.25 * second.tangent)
    assert out.width == 4.0


def test_a_concatenation_of_activations_averages_their_duals():
    first, second = after(RELU), after(RELU >> Dense(1.7) >> RELU)
    out = after(Concat(RELU, RELU >> Dense(1.7) >> RELU) >> Dense())
    torch.testing.assert_close(out.cross, (first.cross + second.cross) / 2)
    torch.testing.assert_close(out.tangent, out.cross + (first.tangent + second.tangent) / 2)
    # The activation of the mixture's covariance is another kernel, which no such network has.
    assert (propagate(RELU, after(Dense(1.7))).cross - out.cross).abs().max() > 1e-3


def test_concatenated_branches_of_mean_zero_can_be_normalised():
    branches = Concat(Dense(1.2), Erf())
    out, before = after(branches >> LayerNorm()), after(branches)
    torch.testing.assert_close(out.cross, before.cross / before.size)


def test_a_sum_within_a_branch_is_drawn_where_its_oldest_part_is():
    residual = Identity() + (RELU >> Dense(0.6))
    a, b = RELU >> Dense(1.2) >> residual, RELU >> Dense() >> Erf()
    torch.testing.assert_close(after(a + b).cross, after(a).cross + after(b).cross)
    with pytest.raises(InvalidArchitecture, match="at most one"):
        after(residual + Identity())


def test_layer_norm_divides_by_the_sizes():
    before, out = after(Identity()), after(LayerNorm())
    torch.testing.assert_close(out.cross, before.cross / before.size)
    torch.testing.assert_close(out.tangent, before.tangent / before.size)
    torch.testing.assert_close(out.cross.diagonal(), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize(
    ("activation", "odd"),
    [(RELU, False), (Abs(), False), (Erf(), True), (Erf(offset=0.1), False), (Sine(), True), (Sine(phase=0.1), False),
     (Cosine(), False)],
)  # fmt: skip
def test_odd_functions_keep_mean_zero(activation: Activation, odd: bool):
    assert after(activation).centred == odd


def test_frozen_layers_follow_the_recursion_of_the_published_code():
    """Plain loop over pairs: T = sum over trained l of S_l D_l+1 ... D_L; S_l = E[relu relu], D_l = E[step step]."""
    rng = np.random.default_rng(8)
    A, B = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    points = torch.from_numpy(A), torch.from_numpy(B)
    for depth in (0, 1, 2, 4):
        for frozen in range(depth + 1):
            expected = np.empty((4, 3))
            for i, x in enumerate(A):
                for j, y in enumerate(B):
                    sizes, cross = [x @ x, y @ y], x @ y
                    total = cross if frozen == 0 else 0.0
                    for layer in range(1, depth + 1):
                        root = sqrt(sizes[0] * sizes[1])
                        u = cross / root
                        step = (pi - np.arccos(u)) / (2 * pi)
                        cross = root * (u * (pi - np.arccos(u)) + sqrt(1 - u * u)) / (2 * pi)
                        sizes = [size / 2 for size in sizes]
                        total = total * step + (cross if layer >= frozen else 0.0)
                    expected[i, j] = total
            layers = [Dense(fan_in_scaling="none", trainable=frozen == 0)]
            for layer in range(1, depth + 1):
                layers += [RELU, Dense(trainable=layer >= frozen)]
            network = layers[0]
            for part in layers[1:]:
                network = network >> part
            np.testing.assert_allclose(NTK(network)._cross(*points, same=False), expected, rtol=1e-12)
            if frozen == depth:
                np.testing.assert_allclose(NNGP(network)._cross(*points, same=False), expected, rtol=1e-12)


def test_a_layer_norm_of_zeros_is_refused():
    points = torch.zeros(1, 3, dtype=torch.float64)
    with pytest.raises(InvalidInput, match="LayerNorm must read units of positive variance; got a point at which"):
        propagate(Dense() >> LayerNorm(), pair_moments(points, X, False))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (RELU >> Dense(), r"ReLU\(\) must read Gaussian units; got the inputs themselves. Put a Dense\(\) before it"),
        (Dense() >> RELU >> RELU, r"ReLU\(\) must read Gaussian units; got the output of an activation"),
        (
            Dense() >> RELU >> LayerNorm(),
            r"LayerNorm\(\) must read units of mean zero; got the output of an activation",
        ),
        (Dense() >> Concat(Dense(), RELU >> Dense()) >> RELU, r"ReLU\(\) must read Gaussian units; got .* of a Concat"),
        (Dense() >> Concat(Dense(), RELU) >> LayerNorm(), r"LayerNorm\(\) must read units of mean zero; got"),
        (Dense() >> Identity() + Identity(), r"all branches of a sum but at most one .* got 2"),
        (Dense() >> (Identity() + (Erf() >> LayerNorm())), r"all branches of a sum but at most one .* got 2"),
        (Dense() >> RELU >> Dense(fan_in_scaling="none"), r"must read the inputs; got a layer of infinite width"),
        (Dense() >> RELU + Abs(), r"all branches of a sum but at most one .* got 2 that do not: ReLU\(\), Abs\(\)"),
        (Dense() >> Identity() + Dense(width=2.0), "equal width; got relative width 1, relative width 2"),
        (Identity() + Dense(), "must have equal width; got 1 input channels, relative width 1"),
        (Concat(Identity(), Dense()), "must have infinite width; got a branch that hands on the inputs"),
    ],
)
def test_a_network_without_a_kernel_is_refused_when_it_is_named(network: Layer, message: str):
    with pytest.raises(InvalidArchitecture, match=message):
        NTK(network)
    with pytest.raises(InvalidArchitecture, match=message):
        NNGP(network)


def test_a_layer_without_a_reading_is_named():
    class Unheard(Layer):
        pass

    with pytest.raises(InvalidArchitecture, match="a layer must have a reading at infinite width; got Unheard"):
        NTK(Dense() >> Unheard())
