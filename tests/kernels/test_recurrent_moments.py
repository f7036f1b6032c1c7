"""The step-by-step form in torch: what each sequence needs of itself alone."""

import numpy as np
import pytest
import torch

from widenet.architectures import Elementwise, Erf, Recurrent, ReLU
from widenet.kernels.recurrent_moments import pair_steps, sequence_steps
from widenet.kernels.recurrent_tables import FusedRecurrence
from widenet.kernels.sequences import pack_sequences

SERIES = [np.random.default_rng(length).standard_normal((length, 2)) for length in (3, 1, 6)]


@pytest.mark.parametrize("activation", [ReLU(), Erf(1.1, 0.6, 0.2)])
def test_variances_and_tangents_are_those_of_the_fused_tables(activation):
    layers = (Recurrent(activation, 1.3, 0.8, 0.2, 0.3), Recurrent(activation, 0.7, 1.2, 0.1, trainable=False))
    packed = pack_sequences(SERIES, None, None).X
    steps, fused = sequence_steps(layers, packed, tangent=True), FusedRecurrence.of(layers, True)
    assert fused is not None
    table = fused.table(packed)
    assert steps.lengths.tolist() == [3, 1, 6]
    for ours, theirs in zip(steps.steps, (table.variances, table.tangents), strict=True):
        np.testing.assert_allclose(ours.numpy()[:, table.order], theirs, rtol=1e-12)


def test_a_sequence_against_itself_is_its_own_moments():
    layers = (Recurrent(Elementwise(torch.tanh), 1.2, 0.9, 0.1, 0.4),)
    steps = sequence_steps(layers, pack_sequences(SERIES[2:], None, None).X, tangent=True)
    *_, (moments, both) = pair_steps(layers, steps, steps, 0, itself=None, tangent=True)
    assert bool(both.all())
    assert moments.tangent is not None
    assert steps.last.tangent is not None
    np.testing.assert_allclose(moments.cross, steps.last.x, rtol=1e-12)
    np.testing.assert_allclose(moments.tangent, steps.last.tangent, rtol=1e-12)
