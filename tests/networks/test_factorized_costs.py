"""Counts of the specification's table, and of the modules themselves."""

import pytest
import torch

from widenet.architectures import Dense, FactorizedDense
from widenet.errors import InvalidInput
from widenet.networks import Energy, FactorizedLinear, cost_report, layer_cost


def test_the_table_at_one_size():
    n, d, m, p = 256, 256, 16384, 64
    rows = cost_report(n, d, m, p).rows
    trained = {name: cost.trainable for name, cost in rows.items()}
    assert trained == {
        "dense": 4_194_304,
        "inner, gaussian": 16_384,
        "outer, gaussian": 1_048_576,
        "both, gaussian": 1_064_960,
        "inner, hadamard": 16_384,
        "outer, hadamard": 1_048_576,
    }
    # 2 m d and 2 (m p + p d) for the products, 2 m for the readout.
    assert rows["dense"].forward_flops == 8_388_608 + 2 * m
    assert rows["inner, gaussian"].forward_flops == 2 * (m * p + p * d) + 2 * m
    assert rows["inner, hadamard"].forward_flops == 2 * p * d + 3 * m * 6 + 2 * m
    assert rows["dense"].step_flops == n * (4 * m * d + 4 * m)
    assert rows["inner, gaussian"].step_flops == n * (4 * (m * p + p * d) + 4 * m)
    assert rows["outer, gaussian"].step_flops == n * (4 * m * p + 4 * m)
    assert rows["dense"].weight_bytes == 4 * (m * d + m)
    assert rows["inner, hadamard"].frozen == 3 * m + m


def test_gaussian_factors_break_even_just_below_the_dimension():
    d, m = 100, 5000
    even = m * d / (m + d)
    dense = layer_cost(Dense(), 1, d, m).forward_flops
    assert layer_cost(FactorizedDense(int(even)), 1, d, m).forward_flops < dense
    assert layer_cost(FactorizedDense(int(even) + 1), 1, d, m).forward_flops > dense


@pytest.mark.parametrize("train", ["inner", "outer", "both"])
@pytest.mark.parametrize("frozen", ["gaussian", "hadamard"])
def test_counts_are_those_of_the_module(train, frozen):
    layer = FactorizedDense(24, train, frozen)
    module = FactorizedLinear(50, 700, layer)
    cost = layer_cost(layer, 10, 50, 700)
    assert cost.trainable == sum(values.numel() for values in module.parameters())
    assert cost.frozen == sum(values.numel() for values in module.buffers()) + 700  # and the readout


def test_the_energy_is_what_its_constants_say():
    report = cost_report(10, 20, 400, 8, Energy(per_flop=2.0, per_byte=0.0))
    cost = report.rows["dense"]
    assert cost.step_energy(report.energy) == 2.0 * cost.step_flops
    # Weights read forward and backward, and the trained ones written.
    assert cost.step_energy(Energy(0.0, 1.0)) == 2 * cost.weight_bytes + 4 * cost.trainable
    text = str(report)
    assert "8,000" in text
    assert len(text.splitlines()) == 1 + len(report.rows)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(InvalidInput, match="1 or more"):
        cost_report(10, 0, 20, 4)
    with pytest.raises(InvalidInput, match="not negative"):
        Energy(per_flop=-1.0)
    assert torch.get_default_dtype() == torch.float32  # four bytes a number
    assert layer_cost(Dense(), 1, 2, 3, number_bytes=8).weight_bytes == 8 * 9
