"""How far a neural tangent kernel falls below its diagonal, without the subtraction that loses it."""

from math import pi

import torch
from torch import Tensor

from widenet.architectures import AbsLinear, Dense, Layer, Scale
from widenet.errors import InvalidArchitecture
from widenet.kernels.dense_chain import elementary_chain
from widenet.kernels.moments import sphere_moments
from widenet.kernels.propagate import propagate


def tangent_deficit(architecture: Layer, theta: Tensor, norm: float, channels: int) -> Tensor:
    """K(x, x) - K(x, y) of the NTK for two points of one norm at small angles, to full relative precision.

    With D the deficit so far, T the tangent kernel and t the angle between the units, a layer
    phi(z) = +-sqrt(a) z +- sqrt(b) |z| gives D <- (a + b) D + T 2 b t / pi, since E[phi'(u)^2] - E[phi'(u) phi'(v)]
    is 2 b t / pi; a Dense layer gives D <- w^2 D + E(u - v)^2 / 2 of its units if it is trained.

    Args:
        architecture: A chain of Dense layers, positively homogeneous activations and scales.
        theta: Angles between the points, (n,), float64.
        norm: The norm of the points.
        channels: The number of their channels.

    Returns:
        The deficits, (n,).

    Raises:
        InvalidArchitecture: If the architecture is no such chain.

    Example:
        >>> import torch
        >>> from widenet.architectures import fully_connected
        >>> network = fully_connected(3, scaling="geifman")
        >>> tangent_deficit(network, torch.tensor([1e-6], dtype=torch.float64), norm=1.0, channels=2)
        tensor([1.9099e-06], dtype=torch.float64)
    """
    chain = elementary_chain(architecture)
    if chain is None:
        raise InvalidArchitecture(
            "the deficit needs a chain of Dense layers and positively homogeneous activations", repr(architecture)
        )
    moments = sphere_moments(theta, norm, channels, True)
    deficit = torch.zeros_like(theta)
    for layer in chain:
        before, moments = moments, propagate(layer, moments)
        if isinstance(layer, AbsLinear) and before.tangent is not None:
            even = layer.absolute**2
            deficit = (layer.linear**2 + even) * deficit + before.tangent * (2 * even / pi) * before.angle
        elif isinstance(layer, Scale):
            deficit = layer.factor**2 * deficit
        elif isinstance(layer, Dense):
            gain = layer.weight_std**2 * (channels if layer.fan_in_scaling == "none" else 1)
            # Biases are common to both points, so they leave the difference of the units alone.
            deficit = gain * (deficit + before.apart / 2 if layer.trainable else deficit)
    return deficit
