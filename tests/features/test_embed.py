"""Readings of layers in features against the exact kernels, without activations between them nothing is random."""

import numpy as np
import pytest
import torch

from widenet.architectures import (
    Activation,
    Concat,
    Dense,
    FactorizedDense,
    Identity,
    Layer,
    LayerNorm,
    ReLU,
    Scale,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.features.embed import embed
from widenet.features.embedding import Budget, Embedding
from widenet.kernels import NNGP, NTK

ROWS = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LAYERS: list[Layer] = [
    Dense(1.3, 0.4),
    Dense(1.3, 0.4, bias_init="zero"),
    Dense(fan_in_scaling="none", trainable=False) >> Dense(),
    Dense() >> Scale(1.7) >> Dense(bias_std=0.2),
    (Dense(1.2, 0.3)) ** 3,
    Dense() >> LayerNorm() >> Dense(0.7),
    Dense() >> (Identity() + Dense(1.5, 0.2)) ** 2,
    Dense() >> Concat(Dense(width=3.0), Dense(bias_std=0.5)) >> Dense(),
    FactorizedDense(rank=2, bias_std=0.3),
    FactorizedDense(rank=2, bias_std=0.3, train="inner"),
    FactorizedDense(rank=2, bias_std=0.3, train="none"),
]


def _start(rows: torch.Tensor) -> Embedding:
    scaled = rows / 3**0.5
    return Embedding(scaled, scaled[:, :0], scaled.square().sum(1), Budget(1000, 1000, 2, 0), channels=3)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_linear_networks_have_exact_features(layer: Layer):
    after = embed(layer, _start(ROWS))
    assert after.tangent is not None
    np.testing.assert_allclose(after.covariance @ after.covariance.T, NNGP(layer)(ROWS), rtol=1e-10)
    np.testing.assert_allclose(after.tangent @ after.tangent.T, NTK(layer)(ROWS), rtol=1e-10)
    assert after.square is not None
    np.testing.assert_allclose(after.square, NNGP(layer).diagonal(ROWS), rtol=1e-10)


def test_copies_of_a_layer_draw_their_own_numbers():
    # With one seed for both, the features of the branches would be the same, and their kernels would not add.
    unit = Dense() >> ReLU() >> Dense()
    after = embed(unit + unit, _start(ROWS)).covariance
    half = after.shape[1] // 2
    assert not torch.allclose(after[:, :half], after[:, half:])


def test_what_cannot_be_read_is_refused():
    with pytest.raises(InvalidInput, match="positive variance"):
        embed(LayerNorm(), _start(torch.zeros(2, 3, dtype=torch.float64)))
    with pytest.raises(InvalidArchitecture, match="explicit features"):
        embed(Layer(), _start(ROWS))
    with pytest.raises(InvalidArchitecture, match="inputs"):
        embed(Dense() >> Dense(fan_in_scaling="none"), _start(ROWS))
    assert issubclass(ReLU, Activation)
