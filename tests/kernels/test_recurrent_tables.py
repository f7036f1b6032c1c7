"""The fused form of recurrent layers: which have one, and that sorting and padding do not show."""

import numpy as np
import pytest
import torch

from widenet.architectures import GELU, AbsLinear, Erf, LeakyReLU, Recurrent, ReLU
from widenet.kernels.recurrent_tables import FusedRecurrence
from widenet.kernels.sequences import pack_sequences

SERIES = [np.random.default_rng(length).standard_normal((length, 2)) for length in (3, 1, 6, 3, 2)]


@pytest.mark.parametrize(
    ("activations", "fused"),
    [
        ((ReLU(),), True),
        ((ReLU(), LeakyReLU(0.1)), True),
        ((Erf(), Erf(0.5, 2.0, 0.1)), True),
        ((Erf(), ReLU()), False),
        ((GELU(),), False),
        ((AbsLinear(0.0, 0.0),), False),
    ],
)
def test_which_layers_have_one(activations, fused):
    found = FusedRecurrence.of(tuple(Recurrent(activation) for activation in activations), True)
    assert (found is not None) is fused


@pytest.mark.parametrize("activation", [ReLU(), Erf()])
def test_each_sequence_alone_is_as_among_others(activation):
    fused = FusedRecurrence.of((Recurrent(activation, 1.3, 0.8, 0.2, 0.3),) * 2, True)
    assert fused is not None
    table = fused.table(pack_sequences(SERIES, None, None).X)
    assert table.lengths.tolist() == [6, 3, 3, 2, 1]
    together = table.given(table.variances[-1]), table.given(table.tangents[-1])
    for index, part in enumerate(SERIES):
        alone = fused.table(pack_sequences([part], None, None).X)
        assert alone.variances[-1, 0] == pytest.approx(float(together[0][index]), rel=1e-14)
        assert alone.tangents[-1, 0] == pytest.approx(float(together[1][index]), rel=1e-14)


def test_the_points_are_left_as_they_were():
    packed = pack_sequences([np.ones((1, 3))], None, None).X
    before = packed.clone()
    fused = FusedRecurrence.of((Recurrent(),), True)
    assert fused is not None
    fused.table(packed)
    np.testing.assert_array_equal(packed, before)


@pytest.mark.parametrize("activation", [ReLU(), Erf()])
def test_sums_of_a_long_sequence_with_itself_are_those_with_its_twin(activation):
    fused = FusedRecurrence.of((Recurrent(activation, 1.3, 0.8, 0.2, 0.3, "shared"),) * 2, True)
    assert fused is not None
    rng = np.random.default_rng(0)
    for steps in (1, 127, 129, 260):
        values = rng.standard_normal((steps, 2))
        one, twin = (fused.table(pack_sequences([part], None, None).X) for part in (values, values.copy()))
        expected = fused.summed(one, twin, 1, lags=True, same=False)
        np.testing.assert_allclose(torch.stack(fused.own_sums(one)), torch.stack(expected)[:, 0, 0, None], rtol=1e-12)
