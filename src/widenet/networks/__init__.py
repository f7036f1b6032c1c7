"""Networks of finite width as torch modules."""

from widenet.networks.build import Plan, Shape, build, sets_outputs
from widenet.networks.finite_network import Network, network
from widenet.networks.modules import DenseModule, ScaledModule
from widenet.networks.orthogonal import delta_orthogonal_weights, haar_orthogonal, orthogonal_weights

__all__ = [
    "DenseModule",
    "Network",
    "Plan",
    "ScaledModule",
    "Shape",
    "build",
    "delta_orthogonal_weights",
    "haar_orthogonal",
    "network",
    "orthogonal_weights",
    "sets_outputs",
]
