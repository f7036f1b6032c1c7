"""The networks that hold every layer; laws/test_network_laws.py says that none is missing."""

import torch

from widenet.experiments.layer_networks import ACTIVATIONS, layer_networks
from widenet.networks import network
from widenet.networks.build import sets_outputs


def test_every_network_reads_its_points():
    networks = layer_networks()
    assert {type(activation).__name__ for activation in ACTIVATIONS} <= networks.keys()
    for case in networks.values():
        X = case.points()
        assert torch.equal(X, case.points())
        assert X.shape == (3, *case.shape)
        assert sets_outputs(case.architecture)
        assert network(case.architecture, case.shape, width=4, dtype=X.dtype)(X).shape == (3, 1)
