"""Recurrent kernels: the values of the paper's formulas, closed forms, plain loops, finite networks."""

from math import sqrt

import numpy as np
import pytest
import torch
from mpmath import acos, cos, mp, mpf, pi, sin
from mpmath import sqrt as msqrt

from naive_recurrent import Grid, erf, relu
from widenet import NNGP, NTK, Bidirectional, KernelMatrix, Normalized, Sequences, fully_connected, recurrent
from widenet.architectures import (
    AvgPool,
    Dense,
    Elementwise,
    Erf,
    GlobalAveragePool,
    LastStep,
    Layer,
    LeakyReLU,
    Recurrent,
    ReLU,
    Sine,
    StepwiseAverage,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels.recurrent_tables import FusedRecurrence

X = np.array([[1, 0.5], [-0.3, 0.8], [0.2, -1.1]])
Y = np.array([[0.4, -0.2], [1.2, 0.7]])
R1 = Recurrent(ReLU(), 1.4, 1.0, 0.1)
R2 = Recurrent(ReLU(), 1.3, 0.9, 0.4, 0.5) ** 2
R3 = Recurrent(ReLU(), 1.3, 0.9, 0.4, 0.5, "shared") ** 2
R4 = Recurrent(Erf(), 1.0, 1.0, 0.2, 0.3)
R5 = R4**2
MEAN, STEPWISE = GlobalAveragePool(), StepwiseAverage()
# NNGP and NTK, from a program of its own for each of two readers, checked against autograd NTKs of finite RNNs.
VALUES = [
    (R1, None, "xx", 0.8061770000, 2.4059580000),
    (R1, None, "xy", 0.1610581121, 0.1037792995),
    (R1, None, "yy", 0.5414000000, 1.1367000000),
    (R1, MEAN, "xx", 0.2741324594, 0.5648110559),
    (R1, MEAN, "xy", 0.1707865077, 0.2530473638),
    (R1, STEPWISE, "xx", 0.5407756667, 1.4498026667),
    (R2, None, "xx", 1.1186775191, 4.5844617432),
    (R2, None, "xy", 0.5403733582, 0.8915809945),
    (R2, None, "yy", 0.7438566625, 2.3786362750),
    (R2, None, "x copy", 0.9421914606, 2.5372666326),
    (R2, MEAN, "xx", 0.5353797693, 1.3457862427),
    (R2, MEAN, "xy", 0.3693622276, 0.5987802852),
    (R3, None, "xx", 1.1186775191, 4.5844617432),
    (R3, None, "xy", 0.5403733582, 0.8915809945),
    (R3, None, "yy", 0.7438566625, 2.3786362750),
    (R3, MEAN, "xy", 0.4277839593, 0.8141207177),
    (R4, None, "xx", 0.4809958499, 1.5198525689),
    (R4, None, "xy", -0.1125802471, -0.2519582901),
    (R4, None, "yy", 0.5003006668, 1.2489083201),
    (R5, None, "xx", 0.4540508693, 2.4512747175),
    (R5, None, "xy", -0.0407637609, -0.1719120845),
    (R5, MEAN, "xx", 0.1354019495, 0.5878563977),
]
RNG = np.random.default_rng(5)
SERIES = [RNG.standard_normal((length, 2)) for length in (4, 9, 1, 6, 6, 10, 1, 3)]
CELLS = [
    Recurrent(ReLU(), 1.4, 0.8, 0.3),
    Recurrent(ReLU(), 1.2, 1.1, 0.0, 0.7, "shared"),
    Recurrent(Erf(), 1.3, 0.9, 0.2, 0.4),
    Recurrent(Erf(), 0.9, 1.2, 0.1, 0.5, "shared"),
]


def _torch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FusedRecurrence, "of", staticmethod(lambda layers, tangent: None))


def _network(stack: Layer, readout: Layer | None) -> Layer:
    return stack >> Dense() if readout is None else stack >> readout >> Dense()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("row", VALUES)
def test_reference_values(monkeypatch, fused, row):
    stack, readout, pair, nngp, ntk = row
    if not fused:
        _torch_only(monkeypatch)
    for kernel, expected in ((NNGP, nngp), (NTK, ntk)):
        K = kernel(_network(stack, readout))
        if pair == "x copy":
            assert K([X, X])[0, 1] == pytest.approx(expected, abs=6e-11)
            assert K([X], [X])[0, 0] == pytest.approx(expected, abs=6e-11)
        elif pair == "xy":
            assert K([X, Y])[1, 0] == pytest.approx(expected, abs=6e-11)
            assert K([X], [Y])[0, 0] == pytest.approx(expected, abs=6e-11)
        else:
            series = [X] if pair == "xx" else [Y]
            assert K(series)[0, 0] == pytest.approx(expected, abs=6e-11)
            assert K.diagonal(series)[0] == pytest.approx(expected, abs=6e-11)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_all_pairs_against_plain_loops(cell, layers):
    dual = relu if cell.activation == ReLU() else erf
    factors = (cell.hidden_std, cell.input_std, cell.bias_std, cell.initial_std)
    frozen = layers // 2
    last, mean = (
        [kernel(recurrent(layers, cell, 1.0, readout, frozen))(SERIES) for kernel in (NNGP, NTK)]
        for readout in ("last", "mean")
    )
    for i, x in enumerate(SERIES):
        for j, y in enumerate(SERIES):
            grid = Grid((x, y), dual, factors, layers, i == j or cell.initial_state == "shared", frozen)
            for ours, plain in zip((*last, *mean), (grid.nngp, grid.ntk) * 2, strict=True):
                # A plain arc cosine is off by 1e-8 where a sequence meets itself.
                tolerance = 1e-7 if i == j else 1e-11
                expected = plain[-1, -1] if ours is last[0] or ours is last[1] else plain.mean()
                assert ours[i, j] == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("steps", [1, 2, 37, 500])
@pytest.mark.parametrize("hidden", [1.1, sqrt(2), 1.5])
def test_closed_form_of_the_relu_diagonal(steps, hidden):
    x = np.random.default_rng(steps).standard_normal((steps, 3))
    bias, initial, rho = 0.3, 0.6, hidden**2 / 2
    inputs = 0.49 * (x**2).mean(1) + bias**2
    inputs[0] += hidden**2 * initial**2
    after = np.arange(steps - 1, -1, -1.0)
    stack = Recurrent(ReLU(), hidden, 0.7, bias, initial) >> Dense(1.2)
    ntk, nngp = (1.44 / 2 * ((after + 2) ** power * rho**after * inputs).sum() for power in (1, 0))
    assert NTK(stack).diagonal([x])[0] == pytest.approx(ntk, rel=1e-12)
    assert NNGP(stack).diagonal([x])[0] == pytest.approx(nngp, rel=1e-12)
    assert NTK(stack)([x])[0, 0] == pytest.approx(ntk, rel=1e-12)


@pytest.mark.parametrize("activation", [ReLU(), Erf(), Elementwise(torch.tanh), LeakyReLU(0.2)])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_one_step_is_a_fully_connected_network(activation, layers):
    points = np.random.default_rng(1).standard_normal((7, 3))
    cell = Recurrent(activation, 1.7, 1.1, 0.3)
    dense = (Dense(1.1, 0.3) >> activation) ** layers >> Dense()
    for kernel in (NTK, NNGP):
        np.testing.assert_allclose(kernel(cell**layers >> Dense())(points[:, None]), kernel(dense)(points), rtol=1e-11)
    assert NTK(recurrent(layers, cell))(points[:, None])[0, 1] != NTK(fully_connected(layers))(points)[0, 1]


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_positive_semi_definite_on_mixed_lengths(cell, readout):
    for kernel in (NTK(recurrent(2, cell, readout=readout)), Bidirectional(NTK(recurrent(1, cell, readout=readout)))):
        K = kernel(SERIES)
        np.testing.assert_array_equal(K, K.T)
        assert np.linalg.eigvalsh(K)[0] > -1e-13 * np.trace(K)


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_padding_order_and_blocks_change_nothing(readout):
    kernel = NTK(recurrent(2, CELLS[1], readout=readout), input_shape=(-1, 2))
    whole = kernel(SERIES)
    for extra in (0, 5):
        values = np.full((8, 10 + extra, 2), np.nan)
        mask = np.zeros((8, 10 + extra), dtype=bool)
        for i, series in enumerate(SERIES):
            start = (i % 2) * extra
            values[i, start : start + len(series)] = series
            mask[i, start : start + len(series)] = True
        np.testing.assert_array_equal(kernel(Sequences(values, mask)), whole)
    order = np.random.default_rng(0).permutation(8)
    np.testing.assert_allclose(kernel([SERIES[i] for i in order]), whole[np.ix_(order, order)], rtol=1e-13)
    np.testing.assert_allclose(kernel(SERIES[:3], SERIES[2:]), whole[:3, 2:], rtol=1e-13)
    np.testing.assert_allclose(kernel.diagonal(SERIES), np.diag(whole), rtol=1e-13)


@pytest.mark.parametrize("activation", [Erf(1.2, 0.7, 0.3), LeakyReLU(0.3)])
@pytest.mark.parametrize("readout", [LastStep(), GlobalAveragePool()])
def test_the_fused_loops_agree_with_layers_of_torch(monkeypatch, activation, readout):
    cells = [Recurrent(activation, 1.2, 0.8, 0.2, 0.3), Recurrent(activation, 0.9, 1.3, 0.1, trainable=False)]
    stack, series = cells[0] >> cells[1] >> readout >> Dense(1.3, 0.4), [SERIES[i] for i in (0, 2, 3, 4)]
    for kernel in (NTK(stack), NNGP(stack)):
        fast, own = kernel(series), kernel.diagonal(series)
        with monkeypatch.context() as context:
            _torch_only(context)
            np.testing.assert_allclose(kernel(series), fast, rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(kernel.diagonal(series), own, rtol=1e-11)


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_another_activation_against_plain_loops_and_quadrature(readout):
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = np.outer(weights, weights) / weights.sum() ** 2

    def sines(a: float, b: float, c: float) -> tuple[float, float]:
        u, rest = sqrt(a) * nodes[:, None], sqrt(b - c * c / a)
        v = c / sqrt(a) * nodes[:, None] + rest * nodes
        return float((weights * np.sin(u) * np.sin(v)).sum()), float((weights * np.cos(u) * np.cos(v)).sum())

    x, y = SERIES[0], SERIES[7]
    grid = Grid((x, y), sines, (0.9, 1.1, 0.4, 0.3), layers=2)
    for kernel, plain in ((NNGP, grid.nngp), (NTK, grid.ntk)):
        ours = kernel(recurrent(2, Recurrent(Sine(), 0.9, 1.1, 0.4, 0.3), readout=readout))([x], [y])[0, 0]
        assert ours == pytest.approx(plain[-1, -1] if readout == "last" else plain.mean(), rel=1e-10)


def test_frozen_layers_leave_the_nngp():
    for cell in CELLS:
        frozen = NTK(recurrent(3, cell, frozen_layers=3))(SERIES)
        np.testing.assert_allclose(frozen, NNGP(recurrent(3, cell))(SERIES), rtol=1e-13)
        assert not np.allclose(NTK(recurrent(3, cell, frozen_layers=2))(SERIES), frozen)


@pytest.mark.parametrize(
    "cell",
    [
        Recurrent(phi, 1.4, 1.0, 0.1, 0.3, state)
        for phi in (ReLU(), Erf(), LeakyReLU(0.1))
        for state in ("zero", "shared")
    ],
    ids=repr,
)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_copy_has_exactly_the_value_of_the_diagonal(cell, layers):
    kernel = NTK(recurrent(layers, cell))
    for steps in (1, 7, 50):
        x = np.random.default_rng(steps).standard_normal((steps, 2))
        K = kernel([x, x.copy(), -x])
        assert K[0, 0] == K[0, 1] == K[1, 1] == kernel([x], [x])[0, 0] == kernel.diagonal([x])[0]


def test_near_copies_keep_their_digits():
    """Against the recursion in 40 digits; with cosines the kernel of copies 1e-7 apart would be off by 1e-8."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((12, 1))
    factors = (1.4, 0.9, 0.3)
    kernel = NTK(recurrent(1, Recurrent(ReLU(), *factors)))
    for size in (1e-3, 1e-7, 1e-11):
        y = x + size * rng.standard_normal((12, 1))
        assert kernel([x], [y])[0, 0] == pytest.approx(_in_forty_digits(x, y, factors), rel=1e-14)
        assert kernel([x], [-y])[0, 0] == pytest.approx(_in_forty_digits(x, -y, factors), rel=1e-12)


def _in_forty_digits(x: np.ndarray, y: np.ndarray, factors: tuple[float, float, float]) -> float:
    mp.dps = 40
    w, u, b = (mpf(factor) ** 2 for factor in factors)
    before, tangent = [mpf(0)] * 3, mpf(0)
    slope = mpf(0)
    for a, c in zip(x[:, 0].tolist(), y[:, 0].tolist(), strict=True):
        products = [mpf(a) ** 2, mpf(c) ** 2, mpf(a) * mpf(c)]
        S = [w * old + u * new + b for old, new in zip(before, products, strict=True)]
        tangent = S[2] + w * slope * tangent
        root = msqrt(S[0] * S[1])
        angle = acos(S[2] / root)
        before = [S[0] / 2, S[1] / 2, root / (2 * pi) * (sin(angle) + (pi - angle) * cos(angle))]
        slope = (pi - angle) / (2 * pi)
    return float(before[2] + slope * tangent)


def test_long_exploding_series():
    """Beyond the range of numbers there is an error; Normalized needs none of them, and agrees within the range."""
    rng = np.random.default_rng(2)
    exploding = recurrent(2, Recurrent(hidden_std=3.0, bias_std=0.1))
    series = [rng.standard_normal(length) for length in (300, 290, 5, 200)]
    K = NTK(exploding)(series)
    assert K.max() > 1e150
    roots = np.sqrt(np.diag(K))
    np.testing.assert_allclose(Normalized(NTK(exploding))(series), K / roots / roots[:, None], rtol=1e-12)
    np.testing.assert_allclose(
        Normalized(NTK(exploding))(series[:1], series), (K / roots / roots[:, None])[:1], rtol=1e-12
    )
    longer = [rng.standard_normal(length) for length in (2000, 1500)]
    for kernel in (NTK(exploding), NTK(recurrent(1, Recurrent(Erf(), 30.0)))):
        for call in (kernel, kernel.diagonal):
            with pytest.raises(InvalidInput, match=r"overflows.*Normalized\(kernel\)"):
                call(longer)
    with pytest.raises(InvalidInput, match="overflows"):
        NTK(exploding)([series[0].astype(np.float32)])
    cosines = Normalized(NTK(exploding))(longer + series)
    np.testing.assert_array_equal(np.diag(cosines), 1.0)
    assert np.linalg.eigvalsh(cosines)[0] > -1e-14
    np.testing.assert_allclose(cosines[2:, 2:], K / roots / roots[:, None], rtol=1e-12)


def test_zeros_and_forgetting():
    """Without biases a sequence of zeros has kernel 0, and steps of zeros before others change nothing."""
    kernel = NTK(recurrent(2, Recurrent(ReLU(), 1.3)))
    x, zeros = RNG.standard_normal(5), np.zeros(3)
    K = kernel([x, np.concatenate([zeros, x]), zeros, np.zeros(1)])
    np.testing.assert_array_equal(K[2:], 0.0)
    np.testing.assert_array_equal(K[:2, :2], K[0, 0])


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_float32_series_are_right_to_a_millionth(cell):
    series = [part.astype(np.float32) for part in SERIES]
    for readout in ("last", "mean"):
        kernel = NTK(recurrent(2, cell, readout=readout))
        exact = kernel([part.astype(np.float64) for part in series])
        single = kernel(series)
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, exact, rtol=0, atol=1e-6 * np.diag(exact).max())


def test_gradients_agree_with_finite_differences():
    series = [torch.from_numpy(part.copy()).requires_grad_() for part in SERIES[:3]]
    kernel = NTK(recurrent(1, CELLS[0]))
    kernel(series).square().sum().backward()
    for part, steps in ((0, 2), (1, 8), (2, 0)):
        moved = [tensor.detach().clone() for tensor in series]
        ends = []
        for sign in (1, -1):
            moved[part][steps, 1] = series[part][steps, 1].detach() + sign * 1e-5
            ends.append(kernel(moved).square().sum())
        assert series[part].grad is not None
        assert float(series[part].grad[steps, 1]) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_kernel_matrices_of_sequences(tmp_path):
    series = [RNG.standard_normal(length) for length in RNG.integers(1, 12, 300)]
    kernel = NTK(recurrent(1), input_shape=(-1, 1))
    whole = kernel(series)
    matrix = KernelMatrix(kernel, series)
    np.testing.assert_allclose(matrix @ np.eye(300)[:, :3], whole[:, :3], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matrix.rows([0, 299]), whole[[0, 299]], rtol=1e-12)
    np.testing.assert_allclose(matrix.store(tmp_path / "K", block_size=64).dense(), whole, rtol=1e-12)
    np.testing.assert_allclose(KernelMatrix(kernel, series[:40], series).dense(), whole[:40], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Dense() >> Recurrent(), "begin with its Recurrent"),
        (Recurrent() >> Dense() >> Recurrent(), "begin with its Recurrent"),
        (Recurrent() >> GlobalAveragePool() >> Dense() >> ReLU() >> Dense(), "exactly one Dense"),
        (Recurrent() >> StepwiseAverage(), "exactly one Dense"),
        (Recurrent() >> LastStep() >> AvgPool(2), "no positions"),
        (Recurrent() >> ReLU() >> Dense(), "Gaussian"),
        (Recurrent() >> Dense(fan_in_scaling="none"), "read the inputs"),
    ],
)
def test_compositions_without_a_kernel(network, words):
    with pytest.raises(InvalidArchitecture, match=words):
        NTK(network)


def test_layers_after_the_last_step():
    """Dense layers on the last step are those of a fully connected network on its units: one step, against that."""
    points = np.random.default_rng(1).standard_normal((5, 3))
    head = Dense(1.2, 0.4) >> Erf() >> Dense(0.7, 0.1)
    for kernel in (NTK, NNGP):
        expected = kernel(Dense(0.8, 0.3) >> ReLU() >> head)(points)
        np.testing.assert_allclose(
            kernel(Recurrent(ReLU(), 1.4, 0.8, 0.3) >> head)(points[:, None]), expected, rtol=1e-12
        )


def test_bad_sequences_are_refused():
    kernel = NTK(recurrent(1), input_shape=(-1, 1))
    with pytest.raises(InvalidInput, match="sequence 1"):
        kernel([np.ones(3), np.ones(0)])
    with pytest.raises(InvalidInput, match="equally many channels"):
        kernel([np.ones(3), np.ones((3, 2))])
    stepwise = NTK(recurrent(1, readout="stepwise"))
    for call in (lambda: stepwise([np.ones(3), np.ones(4)]), lambda: stepwise(np.ones((2, 3)), np.ones((2, 4)))):
        with pytest.raises(InvalidInput, match=r"one length; got lengths from 3 to 4"):
            call()
    with pytest.raises(InvalidArchitecture, match="steps, channels"):
        NTK(recurrent(1), input_shape=(28, 28, 1))


@pytest.mark.parametrize("hidden_std", [0.5, 1.4, 2**0.5, 1.5])
@pytest.mark.parametrize("smooth", [False, True])
def test_single_precision_of_long_sequences(hidden_std, smooth):
    """Within 1e-6 of the largest diagonal, with duplicates, near-duplicates and opposites of different lengths."""
    X = np.random.default_rng(5).standard_normal((24, 300))
    X = np.cumsum(X, axis=1) / 10 if smooth else X
    X[1], X[2], X[3] = X[0], X[0] + 1e-4 * X[5], -X[0]
    K = NTK(recurrent(1, Recurrent(hidden_std=hidden_std, bias_std=0.1)))
    rows = [row[: 300 - 7 * (index // 6)] for index, row in enumerate(X.astype(np.float32))]
    exact = K([row.astype(np.float64) for row in rows])
    found = K(rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6 * exact.diagonal().max())
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(K(rows[:7], rows[5:]), exact[:7, 5:], rtol=0, atol=1e-6 * exact.diagonal().max())
