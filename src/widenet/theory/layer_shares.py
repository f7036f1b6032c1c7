"""The neural tangent kernel layer by layer, and kernels in which every layer has a rate or a penalty of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import isfinite
from operator import add
from typing import Literal

from widenet.architectures import BranchSum, Concat, Conv, Dense, Layer, Repeat, Serial
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels.base import Kernel
from widenet.kernels.neural import NTK


@dataclass(frozen=True)
class LayerShare:
    """The part of the NTK that the weights or the biases of one layer add.

    Attributes:
        layer: The layer, Dense or Conv.
        index: Its number in the order of application, from 0.
        part: "weight" or "bias".
        kernel: The part.
    """

    layer: Dense | Conv
    index: int
    part: Literal["weight", "bias"]
    kernel: NTK


def layer_shares(architecture: Layer, input_shape: tuple[int, ...] | None = None) -> tuple[LayerShare, ...]:
    """The NTK as a sum over the layers, weights and biases apart: what each adds if it alone is trained.

    Args:
        architecture: A network of Dense and Conv layers, activations, sums and concatenations.
        input_shape: Shape of one point, as for `NTK`.

    Returns:
        A share for the weights and, where there are any, the biases of every trained layer.

    Raises:
        InvalidArchitecture: On layers of other kinds that have weights.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import fully_connected
        >>> network = fully_connected(2, bias_std=0.3)
        >>> shares = layer_shares(network)
        >>> [(share.index, share.part) for share in shares][:3]
        [(0, 'weight'), (0, 'bias'), (1, 'weight')]
        >>> X = np.eye(2)
        >>> bool(np.allclose(sum(share.kernel(X) for share in shares), NTK(network)(X)))
        True
    """
    flat = _expanded(architecture)
    layers = list(_weighted(flat))
    shares = []
    for index, layer in enumerate(layers):
        for part in ("weight", "bias"):
            if layer.trainable and (part == "weight" or layer.bias_std > 0):
                alone, _ = _alone(flat, index, part == "weight")
                shares.append(LayerShare(layer, index, part, NTK(alone, input_shape)))
    return tuple(shares)


def weighted_kernel(shares: Sequence[LayerShare], factors: Sequence[float]) -> Kernel:
    """The kernel of training with a rate, or towards a penalty, of its own for every share: sum_l c_l Theta_l.

    Rates eta_l give c_l = eta_l in the flow. Penalties d_l / 2 |theta_l - theta_l,0|^2 give c_l = 1 / d_l at the end of
    training, with the ridge 1.

    Args:
        shares: From `layer_shares`.
        factors: c_l, positive, one for each.

    Raises:
        InvalidInput: If there is not one positive finite factor for each.
    """
    if len(factors) != len(shares) or not all(isfinite(c) and c > 0 for c in factors) or not shares:
        raise InvalidInput(f"{len(shares)} positive factors are needed", repr(list(factors)))
    return reduce(add, (float(c) * share.kernel for c, share in zip(factors, shares, strict=True)))


def standard_kernel(architecture: Layer, fan_ins: Sequence[int], input_shape: tuple[int, ...] | None = None) -> Kernel:
    """The tangent kernel in the standard parameterisation, where W = weight_std / sqrt(n) omega itself is trained.

    Theta_std = sum_l n_l / weight_std_l^2 Theta_l,weight + bias_std_l^-2 Theta_l,bias. It grows with the widths; with
    one rate the wide layers learn most. Weight decay d / 2 sum |W_l - W_l,0|^2 is a ridge d on it, while the layer-wise
    d / 2 sum n_l / weight_std_l^2 |W_l - W_l,0|^2 + |b_l - b_l,0|^2 / bias_std_l^2 is the ridge d on the NTK.

    Args:
        architecture: As for `layer_shares`.
        fan_ins: n_l of every layer with weights, in order: its inputs, or k k C for a convolution of k x k over C.
        input_shape: Shape of one point, as for `NTK`.

    Returns:
        The kernel.

    Raises:
        InvalidInput: If there is not one fan-in of at least 1 for each layer, or a trained one has weight_std 0.
        InvalidArchitecture: On layers of other kinds that have weights, or without the division by the fan-in.

    References:
        Lee et al. 2020, arXiv 2007.15801; the equivalence is derived here.

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import fully_connected
        >>> round(float(standard_kernel(fully_connected(1), fan_ins=[2, 512])(np.eye(2))[0, 0]), 6)
        128.5
    """
    layers = list(_weighted(_expanded(architecture)))
    if len(fan_ins) != len(layers) or not all(n >= 1 for n in fan_ins):
        raise InvalidInput(f"{len(layers)} fan-ins of at least 1 are needed", repr(list(fan_ins)))
    shares = layer_shares(architecture, input_shape)
    factors = []
    for share in shares:
        layer = share.layer
        if isinstance(layer, Dense) and layer.fan_in_scaling == "none":
            raise InvalidArchitecture("the standard parameterisation divides by the fan-in", repr(layer))
        std = layer.weight_std if share.part == "weight" else layer.bias_std
        if std == 0:
            raise InvalidInput("a trained layer must have a positive weight_std", repr(layer))
        factors.append((fan_ins[share.index] if share.part == "weight" else 1) / std**2)
    return weighted_kernel(shares, factors)


def _expanded(layer: Layer) -> Layer:
    """The same architecture with repeated layers written out."""
    if isinstance(layer, Repeat):
        return Serial((_expanded(layer.layer),) * layer.times)
    if isinstance(layer, Serial):
        return Serial(tuple(map(_expanded, layer.layers)))
    if isinstance(layer, BranchSum):
        return BranchSum(tuple(map(_expanded, layer.branches)))
    return Concat(*map(_expanded, layer.branches)) if isinstance(layer, Concat) else layer


def _parts(layer: Layer) -> tuple[Layer, ...]:
    """The layers that a composition is made of, or none."""
    if isinstance(layer, Serial):
        return layer.layers
    return layer.branches if isinstance(layer, (BranchSum, Concat)) else ()


def _weighted(layer: Layer) -> Iterator[Dense | Conv]:
    """Layers with weights in the order of application."""
    if isinstance(layer, (Dense, Conv)):
        yield layer
    elif "trainable" in getattr(type(layer), "__dataclass_fields__", {}):
        raise InvalidArchitecture("shares are known of Dense and Conv layers", repr(layer))
    for part in _parts(layer):
        yield from _weighted(part)


def _alone(layer: Layer, index: int, weight: bool) -> tuple[Layer, int]:
    """The architecture with one part of one layer trained, and how many layers with weights it holds."""
    if isinstance(layer, (Dense, Conv)):
        frozen = replace(layer, trainable=False)
        if index != 0:
            return frozen, 1
        if layer.bias_std == 0:
            return layer, 1
        # Weights and biases add: a layer without biases, and one with nothing else.
        weights, biases = replace(layer, bias_std=0.0), replace(layer, weight_std=0.0)
        parts = (weights, replace(biases, trainable=False)) if weight else (replace(weights, trainable=False), biases)
        return BranchSum(parts), 1
    parts, seen = [], 0
    for part in _parts(layer):
        made, count = _alone(part, index - seen, weight)
        parts.append(made)
        seen += count
    if isinstance(layer, Serial):
        return Serial(tuple(parts)), seen
    if isinstance(layer, BranchSum):
        return BranchSum(tuple(parts)), seen
    return (Concat(*parts), seen) if isinstance(layer, Concat) else (layer, 0)
