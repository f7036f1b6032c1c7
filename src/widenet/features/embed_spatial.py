"""The explicit reading of layers of positions: windows of features, side by side or averaged."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from itertools import product

import torch
from torch import Tensor

from widenet.architectures import (
    AvgPool,
    Conv,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Pool,
    SumPool,
    Window,
    positions_after,
    windows,
)
from widenet.features.embed import embed, weighted
from widenet.features.embedding import Embedding, mixed_lowest
from widenet.features.random_blocks import add_hashed

_SLACK = 4  # as in `Embedding.compressed`


@embed.register
def _(layer: Conv, features: Embedding) -> Embedding:
    along = windows(layer, features.axes)
    if layer.init == "delta_orthogonal":
        return _delta_orthogonal(layer, features, along)
    size = math.prod(window.size for window in along)
    lowest = mixed_lowest([features.lowest]) if size > 1 else features.lowest
    square = None if features.square is None else _mean(features.square[..., None], along)[..., 0]
    covariance = _patches(features.covariance, along, features, 0)
    tangent = None if features.tangent is None else _patches(features.tangent, along, features, 1)
    out = replace(features, covariance=covariance, tangent=tangent, square=square, lowest=lowest)
    return weighted(layer, out, layer.weight_std)


def _delta_orthogonal(layer: Conv, features: Embedding, along: tuple[Window, ...]) -> Embedding:
    """Covariance of the windows' centres; the tangent's own part is the mean of the covariance over the windows."""

    def centre(values: Tensor) -> Tensor:
        return list(_shifts(values, along))[_centre(along)]

    square, tangent = features.square, features.tangent
    out = replace(
        features,
        covariance=centre(features.covariance),
        tangent=None if tangent is None else centre(tangent),
        square=None if square is None else centre(square[..., None])[..., 0],
    )
    after = weighted(replace(layer, trainable=False), out, layer.weight_std)
    if after.tangent is None or not layer.trainable:
        return after
    own = layer.weight_std * _patches(features.covariance, along, features, 0)
    bias = [torch.full_like(own[..., :1], layer.bias_std)] if layer.bias_std else []
    return replace(after, tangent=torch.cat([after.tangent, own, *bias], -1))


def _centre(along: tuple[Window, ...]) -> int:
    """Number of the offset of a window's centre among all offsets."""
    number = 0
    for window in along:
        number = number * window.size + (window.size - 1) // 2
    return number


def _patches(values: Tensor, along: tuple[Window, ...], features: Embedding, number: int) -> Tensor:
    """Features of the mean of a kernel over the positions of windows: side by side, hashed down where they are many."""
    count, width = math.prod(window.size for window in along), features.budget.width
    shifts = _shifts(values, along)
    if values.shape[-1] * count <= _SLACK * width:
        return torch.cat(list(shifts), -1) / math.sqrt(count)
    positions = [window.count(length) for window, length in zip(along, values.shape[1:-1], strict=True)]
    total = values.new_zeros(len(values), *positions, width)
    for place, shifted in enumerate(shifts):
        add_hashed(total, shifted, (*features.key(number), place))
    return total.div_(math.sqrt(count))


def _shifts(values: Tensor, along: tuple[Window, ...]) -> Iterator[Tensor]:
    """What stands at the first position of every window, at the second, and so on; 0 in the padding."""
    lengths = values.shape[1:-1]
    for axis, (window, length) in enumerate(zip(along, lengths, strict=True)):
        values = _padded(values, 1 + axis, window, length)
    for offset in product(*(range(window.size) for window in along)):
        index: list[slice] = [slice(None)]
        for window, length, start in zip(along, lengths, offset, strict=True):
            index.append(slice(start, start + (window.count(length) - 1) * window.stride + 1, window.stride))
        yield values[tuple(index)]


def _padded(values: Tensor, dim: int, window: Window, length: int) -> Tensor:
    before, after = window.pads(length)
    if before == after == 0:
        return values
    if window.padding == "circular":
        return values.index_select(dim, torch.arange(-before, length + after, device=values.device) % length)
    return torch.nn.functional.pad(values, [0, 0] * (values.ndim - 1 - dim) + [before, after])


def _mean(values: Tensor, along: tuple[Window, ...]) -> Tensor:
    """Means over windows."""
    return reduce(torch.add, _shifts(values, along)) / math.prod(window.size for window in along)


@embed.register(AvgPool)
@embed.register(SumPool)
def _(layer: Pool, features: Embedding) -> Embedding:
    along = windows(layer, features.axes)
    tangent = None if features.tangent is None else _mean(features.tangent, along)
    out = replace(features, covariance=_mean(features.covariance, along), tangent=tangent, square=None)
    return out if isinstance(layer, AvgPool) else out.scaled(math.prod(window.size for window in along))


@embed.register(GlobalAveragePool)
@embed.register(GlobalSumPool)
def _(layer: GlobalAveragePool | GlobalSumPool, features: Embedding) -> Embedding:
    positions = features.covariance.shape[1:-1]
    positions_after(layer, tuple(positions))
    tangent = None if features.tangent is None else features.tangent.flatten(1, -2).mean(1)
    covariance = features.covariance.flatten(1, -2).mean(1)
    out = replace(features, covariance=covariance, tangent=tangent, square=None, merged=1)
    return out if isinstance(layer, GlobalAveragePool) else out.scaled(math.prod(positions) * features.merged)


@embed.register
def _(layer: Flatten, features: Embedding) -> Embedding:
    positions = features.covariance.shape[1:-1]
    positions_after(layer, tuple(positions))
    count, square = math.prod(positions), features.square
    out = replace(
        features,
        covariance=features.covariance.flatten(1),
        tangent=None if features.tangent is None else features.tangent.flatten(1),
        square=None if square is None else square.flatten(1).sum(1),
        channels=None if features.channels is None else features.channels * count,
        share=features.share * count,
        lowest=mixed_lowest([features.lowest]),
    )
    return out.scaled(1 / math.sqrt(count)).compressed()
