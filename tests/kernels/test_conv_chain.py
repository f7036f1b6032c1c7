"""The fused pass of convolutional networks against the reading layer by layer, and its truth in single precision."""

import pytest
import torch

from widenet.architectures import (
    Abs,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    ReLU,
    SumPool,
)
from widenet.kernels.conv_chain import ConvProgram
from widenet.kernels.spatial import Images

CHAIN = (Conv(3, bias_std=0.3) >> ReLU()) ** 3
RESIDUAL = Conv() >> (0.5 * Identity() + (ReLU() >> Conv(bias_std=0.2) >> ReLU() >> Conv())) ** 2
NETWORKS = [
    ((Conv() >> ReLU()) ** 2 >> GlobalAveragePool() >> Dense(bias_std=0.2), (6, 5, 2)),
    (CHAIN >> Flatten() >> Dense(1.3, 0.2) >> ReLU() >> Dense(), (6, 5, 2)),
    (CHAIN >> Flatten() >> 0.5 * Dense(trainable=False) >> Dense(bias_std=0.2, bias_init="zero"), (6, 5, 1)),
    ((Conv(padding="circular", bias_std=0.3) >> ReLU()) ** 3 >> Flatten() >> Dense(), (6, 5, 2)),
    ((Conv(padding="circular", bias_std=0.3) >> ReLU()) ** 2 >> GlobalAveragePool() >> Dense(), (4, 5, 2)),
    ((Conv(padding="valid", bias_std=0.3) >> LeakyReLU(0.2)) ** 2 >> GlobalAveragePool() >> Dense(), (6, 7, 2)),
    (Conv((4, 2), stride=(1, 2)) >> Abs() >> Conv(2, stride=2) >> ReLU() >> GlobalSumPool() >> Dense(), (7, 6, 1)),
    (RESIDUAL >> GlobalAveragePool() >> Dense(), (5, 4, 3)),
    (RESIDUAL >> ReLU() >> Flatten() >> Dense(), (5, 4, 3)),
    (
        Conv()
        >> (Conv(1, stride=2) + (ReLU() >> Conv(stride=2) >> ReLU() >> Conv()))
        >> ReLU()
        >> Conv(trainable=False)
        >> ReLU()
        >> GlobalAveragePool()
        >> Dense(),
        (6, 5, 2),
    ),
    ((Conv() >> LayerNorm() >> ReLU()) ** 2 >> GlobalAveragePool() >> Dense(), (4, 4, 2)),
    ((Conv() >> ReLU()) ** 2 >> GlobalAveragePool() >> Dense(), (9, 2)),
    (Conv() >> ReLU() >> Dense(1.2, 0.1) >> ReLU() >> Flatten() >> Dense(), (9, 2)),
    (Conv() >> ReLU() >> AvgPool(2) >> Conv() >> ReLU() >> GlobalAveragePool() >> Dense(), (6, 5, 2)),
    ((Conv() >> ReLU() >> AvgPool(2)) ** 2 >> Flatten() >> Dense(), (8, 8, 1)),
    (
        Conv()
        >> ReLU()
        >> AvgPool(3, stride=2, padding="same")
        >> Conv()
        >> ReLU()
        >> SumPool(2)
        >> Conv(stride=2)
        >> ReLU()
        >> Flatten()
        >> Dense(),
        (9, 8, 2),
    ),
    (
        Conv(padding="circular") >> ReLU() >> AvgPool(2) >> Conv(padding="circular") >> ReLU() >> Flatten() >> Dense(),
        (4, 6, 2),
    ),
]


def _images(shape: tuple[int, ...], seed: int = 0, count: int = 6) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _program(network: Layer, shape: tuple[int, ...], tangent: bool = True) -> ConvProgram:
    program = ConvProgram.of(network, tangent, shape[:-1])
    assert program is not None
    return program


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-7), (torch.float64, 4e-15)])
@pytest.mark.parametrize(("network", "shape"), NETWORKS, ids=lambda value: str(value)[:60])
def test_the_fused_pass_is_the_reading_layer_by_layer(network: Layer, shape, dtype: torch.dtype, error: float):
    X, Y = _images(shape).to(dtype), _images(shape, 1, 3).to(dtype)
    for tangent in (True, False):
        program, reading = _program(network, shape, tangent), Images(network, tangent)
        largest = max(float(reading.diagonal(points).max()) for points in (X, Y))
        found = program.gram(X, None)
        assert (found.double() - _listed(reading, X, X)).abs().max() <= error * largest
        assert torch.equal(found, found.T)
        assert (program.gram(X, Y).double() - _listed(reading, X, Y)).abs().max() <= error * largest
        assert (program.diagonal(X).double() - found.diagonal()).abs().max() <= error * largest


def _listed(reading: Images, X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """The reading in torch, which is asked for by points that require gradients."""
    return reading.cross(X.double().clone().requires_grad_(), Y.double(), same=Y is X).detach()


def _hard(shape: tuple[int, int, int]) -> torch.Tensor:
    """Images with flat regions, duplicates, near-duplicates, a negative, and empty regions."""
    X = _images(shape, 2, 12)
    X[1], X[2], X[3] = X[0], -X[0], 2 * X[0]
    X[4] = X[0] + 1e-6 * X[5]
    X[6], X[7], X[8] = 0.7, 0.3, -0.5
    X[9, :4], X[10, :4] = -0.4, 0.9
    X[11, :, :5] = 0.0
    return X.float().double()


@pytest.mark.parametrize(
    "network",
    [
        (Conv() >> ReLU()) ** 4 >> GlobalAveragePool() >> Dense(),
        (Conv(bias_std=0.2) >> ReLU()) ** 4 >> Flatten() >> Dense(),
        RESIDUAL >> GlobalAveragePool() >> Dense(),
        Conv() >> (Conv(1) + (LeakyReLU(0.1) >> Conv())) ** 2 >> Abs() >> Flatten() >> Dense() >> ReLU() >> Dense(),
    ],
    ids=str,
)
def test_single_precision_keeps_near_duplicates_and_flat_regions(network: Layer):
    X = _hard((8, 8, 2))
    program, reading = _program(network, (8, 8, 2)), Images(network, True)
    expected = _listed(reading, X, X)
    largest = expected.diagonal().max()
    assert (program.gram(X.float(), None).double() - expected).abs().max() <= 5e-7 * largest
    assert (program.gram(X, None) - expected).abs().max() <= 1e-14 * largest
    assert (program.gram(X.float(), X.float()).double() - expected).abs().max() <= 5e-7 * largest


def test_images_far_from_1_are_computed_in_double_precision():
    network = (Conv() >> ReLU()) ** 2 >> GlobalAveragePool() >> Dense()
    X = _images((5, 5, 1)).float()
    program = _program(network, (5, 5, 1))
    small = program.gram(X * 2.0**-60, None) * 2.0**60
    torch.testing.assert_close(small * 2.0**60, program.gram(X.double(), None).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("end", [Flatten(), GlobalAveragePool()])
def test_the_number_of_threads_changes_nothing(end: Layer):
    program = _program((Conv() >> ReLU()) ** 2 >> end >> Dense(), (6, 6, 1))
    X = _images((6, 6, 1), count=50).float()
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(program.gram(X, None))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("end", [Flatten(), GlobalAveragePool()])
def test_a_pair_does_not_depend_on_the_others(end: Layer):
    program = _program((Conv() >> ReLU()) ** 2 >> end >> Dense(), (6, 6, 2))
    X = _hard((6, 6, 2)).float()
    whole = program.gram(X, X)
    assert torch.equal(program.gram(X[2:5], X[7:]), whole[2:5, 7:])
    assert torch.equal(program.cross(X[:9], X, same=False), whole[:9])
