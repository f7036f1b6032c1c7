"""Laws of finite networks: each layer's tends to the layer's infinite kernel as width^-1/2, whatever its weights."""

import importlib
import pickle
import pkgutil
from collections.abc import Iterator
from math import sqrt

import pytest
import torch

import widenet.architectures
from widenet.architectures import Activation, BranchSum, Concat, Layer, Pool, Repeat, Serial, SpatialLayer
from widenet.experiments.layer_networks import layer_networks
from widenet.networks import EmpiricalNTK, network
from widenet.networks.build import build
from widenet.networks.convergence import kernel_convergence, tangent_kernels

NETWORKS = layer_networks()
ABSTRACT = {Layer, Activation, SpatialLayer, Pool}
WIDTHS, SEEDS = (16, 32, 64, 128), 10


def _kinds(layer: Layer) -> Iterator[type[Layer]]:
    yield type(layer)
    parts = layer.layers if isinstance(layer, Serial) else ()
    parts = layer.branches if isinstance(layer, (BranchSum, Concat)) else parts
    for part in (layer.layer,) if isinstance(layer, Repeat) else parts:
        yield from _kinds(part)


def _subclasses(kind: type) -> set[type]:
    below = set(kind.__subclasses__())
    return below | {deeper for part in below for deeper in _subclasses(part)}


def test_every_layer_is_in_a_network_here():
    for module in pkgutil.walk_packages(widenet.architectures.__path__, "widenet.architectures."):
        importlib.import_module(module.name)
    layers = {kind for kind in _subclasses(Layer) if kind.__module__.startswith("widenet.")} - ABSTRACT
    assert layers == {kind for case in NETWORKS.values() for kind in _kinds(case.architecture)}
    assert all(build.dispatch(kind) is not build.dispatch(object) for kind in layers)


@pytest.mark.parametrize("init", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_tangent_kernel_tends_to_the_infinite_one(name: str, init: str):
    case = NETWORKS[name]
    found = kernel_convergence(case.architecture, case.points(), WIDTHS, SEEDS, init)
    assert found.slope_error < 0.2  # a check that sees something
    assert abs(found.slope + 0.5) < 4 * found.slope_error
    # The mean over the seeds is as much closer as independent errors make it.
    assert found.of_means[-1] < 4 * found.distances[-1] / sqrt(SEEDS)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_modules_like_any_other(name: str):
    case, X = NETWORKS[name], NETWORKS[name].points()
    net, other = (network(case.architecture, case.shape, width=8, seed=seed, dtype=X.dtype) for seed in (0, 1))
    assert net(X).shape == (3, 1)
    assert torch.equal(net(X.flatten(1)), net(X))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(X), net(X))
    torch.testing.assert_close(EmpiricalNTK(net)(X), tangent_kernels([net], X)[0], rtol=1e-10, atol=1e-12)
    assert pickle.loads(pickle.dumps(net)).state_dict().keys() == net.state_dict().keys()
    standard = network(case.architecture, case.shape, width=8, seed=0, dtype=X.dtype, parameterization="standard")
    torch.testing.assert_close(standard(X), net(X), rtol=1e-12, atol=1e-14)
    assert standard.float()(X.float()).dtype == torch.float32
