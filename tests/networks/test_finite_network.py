"""Finite networks of architectures: shapes, seeds, parameterisations, errors."""

import torch

from widenet.architectures import Dense, ReLU
from widenet.networks import network

MLP = (Dense(bias_std=0.1) >> ReLU()) ** 2 >> Dense(bias_std=0.1)


def test_a_seed_gives_the_same_network():
    X = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    first, again, other = (network(MLP, 6, width=32, seed=seed)(X) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 1)
