"""Second moments at every position against plain sums over windows."""

import numpy as np
import pytest

from widenet.architectures import Conv, Dense, Flatten, GlobalAveragePool, LayerNorm, LeakyReLU, ReLU
from widenet.errors import InvalidInput
from widenet.kernels.conv_steps import plan_of
from widenet.kernels.conv_tables import fits_single, tables_of


def _no_pools(values: np.ndarray, segment: int) -> np.ndarray:
    raise AssertionError("no pooling here")


def _window_means(squares: np.ndarray, stride: int, padding: str) -> np.ndarray:
    """Means over 3 x 3 windows, a window at a time."""
    n, rows, columns = squares.shape
    out = np.zeros((n, -(-rows // stride), -(-columns // stride)))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    r, c = i * stride + a, j * stride + b
                    if padding == "circular":
                        out[:, i, j] += squares[:, r % rows, c % columns] / 9
                    elif 0 <= r < rows and 0 <= c < columns:
                        out[:, i, j] += squares[:, r, c] / 9
    return out


@pytest.mark.parametrize("padding", ["same", "circular"])
def test_roots_and_inverses(padding):
    images = np.random.default_rng(0).normal(size=(2, 5, 4, 3))
    network = Conv(padding=padding, weight_std=1.5, bias_std=0.5) >> LeakyReLU(0.3) >> Conv(padding=padding)
    plan = plan_of(network >> ReLU() >> Flatten() >> Dense(), (5, 4))
    assert plan is not None
    tables = tables_of(plan, images, _no_pools)
    first = _window_means(np.square(images).mean(-1), 1, padding) * 1.5**2 + 0.25
    leaky = first * (1 + 0.3**2) / 2  # E phi(z)^2
    second = _window_means(leaky, 1, padding)
    steps = plan.steps
    for start, expected in (
        (steps[0].inverses, np.sqrt(0.5 / first)),
        (steps[1].roots, np.sqrt(leaky / 9)),
        (steps[1].inverses, np.sqrt(0.5 / second)),
        (steps[2].roots, np.sqrt(second / 2 / 20)),
    ):
        found = tables.values[:, start : start + 20].reshape(2, 5, 4)
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    np.testing.assert_allclose(tables.outputs, second.mean((1, 2)) / 2, rtol=1e-13)


def test_strides_take_every_second_window():
    images = np.random.default_rng(0).normal(size=(2, 5, 5, 1))
    plan = plan_of(Conv(stride=2) >> ReLU() >> GlobalAveragePool() >> Dense(), (5, 5))
    assert plan is not None
    tables = tables_of(plan, images, _no_pools)
    start = plan.steps[0].inverses
    expected = _window_means(np.square(images)[..., 0], 2, "same").reshape(2, 9)
    np.testing.assert_allclose(tables.values[:, start : start + 9], np.sqrt(0.5 / expected), rtol=1e-13)


def test_a_position_without_units_has_an_inverse_of_0_and_no_layer_norm():
    images = np.zeros((1, 5, 5, 1))
    images[0, 0, 0] = 1.0
    plan = plan_of(Conv() >> ReLU() >> Flatten() >> Dense(), (5, 5))
    assert plan is not None
    values = tables_of(plan, images, _no_pools).values
    assert values[0, plan.steps[0].inverses + 24] == 0
    assert values[0, plan.steps[0].inverses] == pytest.approx(np.sqrt(4.5))
    normalised = plan_of(Conv() >> LayerNorm() >> ReLU() >> Flatten() >> Dense(), (5, 5))
    assert normalised is not None
    with pytest.raises(InvalidInput, match="positive variance"):
        tables_of(normalised, images, _no_pools)


@pytest.mark.parametrize(("number", "fits"), [(1.0, True), (0.0, True), (1e-13, False), (1e13, False)])
def test_single_precision_is_left_for_numbers_far_from_1(number: float, fits: bool):
    assert fits_single(np.array([[1.0, number]])) == fits
