"""The explicit reading of a layer: features in, features out."""

from dataclasses import replace
from functools import singledispatch

import torch

from widenet.architectures import (
    Activation,
    BranchSum,
    Concat,
    Conv,
    Dense,
    FactorizedDense,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    Layer,
    LayerNorm,
    Repeat,
    Scale,
    Serial,
    walk,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.features.embedding import Embedding, joined, with_column
from widenet.kernels.factorized import dense_factors


@singledispatch
def embed(layer: Layer, features: Embedding) -> Embedding:
    """Explicit features of the covariance and of the tangent kernel after a layer of infinite width.

    What `propagate` does to the second moments of pairs of points, this does to features whose inner products they
    are: sums of kernels put features side by side, sums over windows add them up, and products of kernels are sketched.
    The composition must be one that `propagate` reads.

    Args:
        layer: A layer or a whole architecture.
        features: Features of its input.

    Returns:
        Features of its output; the tangent is None where that of the input is.

    Raises:
        InvalidArchitecture: On a layer without such a reading.

    References: Zandieh et al. 2021, arXiv 2106.07880; Han et al. 2022, arXiv 2209.04121.
    """
    raise InvalidArchitecture(
        "a layer must have a reading in explicit features",
        type(layer).__name__,
        "Use landmarks: Nystroem(kernel, size)",
    )


@embed.register
def _(layer: Identity, features: Embedding) -> Embedding:
    return features


@embed.register
def _(layer: Scale, features: Embedding) -> Embedding:
    return features.scaled(layer.factor)


@embed.register
def _(layer: Serial, features: Embedding) -> Embedding:
    return _chain(layer.layers, features)


@embed.register
def _(layer: Repeat, features: Embedding) -> Embedding:
    return _chain((layer.layer,) * layer.times, features)


def _chain(layers: tuple[Layer, ...], features: Embedding) -> Embedding:
    place, last, pools = features.place, features.last, features.pools
    for number, part in enumerate(layers):
        later = layers[number + 1 :]
        behind = any(isinstance(leaf, Activation) for layer in later for leaf in walk(layer))
        pooled = isinstance(later[0], (GlobalAveragePool, GlobalSumPool)) if later else pools
        inside = replace(features, place=(*place, number), last=last and not behind, pools=pooled)
        features = embed(part, inside)
    return replace(features, place=place, last=last, pools=False)


@embed.register
def _(layer: Dense, features: Embedding) -> Embedding:
    gain = layer.weight_std
    if layer.fan_in_scaling == "none":
        if features.channels is None:
            raise InvalidArchitecture("Dense(fan_in_scaling='none') must read the inputs", "a layer before it")
        gain *= features.channels**0.5
    return weighted(layer, features, gain)


def weighted(layer: Dense | Conv, features: Embedding, gain: float) -> Embedding:
    """Features after the weights and biases of a layer; weights multiply them by `gain`."""
    out = features.scaled(gain)
    tangent = out.tangent
    if tangent is not None and layer.trainable:
        tangent = torch.cat([tangent, out.covariance], -1)
        tangent = with_column(tangent, layer.bias_std) if layer.bias_std else tangent
    out = out.with_constant(layer.bias_std if layer.bias_init == "normal" else 0.0)
    return replace(out, tangent=tangent, channels=None, share=layer.width)


@embed.register
def _(layer: FactorizedDense, features: Embedding) -> Embedding:
    inner, outer = dense_factors(layer)
    after = embed(outer, embed(inner, features))
    if after.tangent is not None and layer.train == "inner" and layer.bias_std:
        after = replace(after, tangent=with_column(after.tangent, layer.bias_std))
    return after


@embed.register
def _(layer: LayerNorm, features: Embedding) -> Embedding:
    square = features.second_moment
    if not bool((square > 0).all()):
        raise InvalidInput("LayerNorm must read units of positive variance", "a point at which they all are 0")
    factor = square.rsqrt().to(features.covariance.dtype)[..., None]
    tangent = None if features.tangent is None else features.tangent * factor
    return replace(features, covariance=features.covariance * factor, tangent=tangent, square=torch.ones_like(square))


@embed.register
def _(layer: BranchSum, features: Embedding) -> Embedding:
    branches = [embed(branch, features.at(number)) for number, branch in enumerate(layer.branches)]
    total = joined(branches, [1.0] * len(branches))
    return replace(total, place=features.place, channels=branches[0].channels).compressed()


@embed.register
def _(layer: Concat, features: Embedding) -> Embedding:
    branches = [embed(branch, features.at(number)) for number, branch in enumerate(layer.branches)]
    width = sum(branch.share for branch in branches)
    total = joined(branches, [branch.share / width for branch in branches])
    return replace(total, place=features.place, share=width).compressed()
