"""Images and signals at infinite width: how layers of positions change the moments, and the reading of images."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from widenet._arrays import row_blocks
from widenet.architectures import (
    Activation,
    AvgPool,
    Conv,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Layer,
    LayerNorm,
    Pool,
    SpatialLayer,
    SumPool,
    Window,
    positions_after,
    walk,
    windows,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels.conv_chain import ConvProgram
from widenet.kernels.moments import Moments, listed_moments, root
from widenet.kernels.propagate import propagate, weighted
from widenet.kernels.readings import Reading

_POOLS = (Pool, GlobalAveragePool, GlobalSumPool)
_NUMBERS = 2**20  # of one tensor of moments in a chunk, where the whole list is not asked for at once


@propagate.register
def _(layer: Conv, moments: Moments) -> Moments:
    if layer.init == "delta_orthogonal":
        return _delta_orthogonal(layer, moments)
    for axis, window in enumerate(_windows(layer, moments)):
        moments = _average_along(moments, axis, window)
    return weighted(layer, moments, layer.weight_std**2)


def _delta_orthogonal(layer: Conv, moments: Moments) -> Moments:
    """K <- w^2 K + b^2 of the windows' centres, T <- w^2 T of these + w^2 mean of K over the windows + b^2."""
    patches, tangent = moments.cross, moments.tangent
    for axis, window in enumerate(_windows(layer, moments)):
        to_x, to_y = _axes_of(moments, axis)
        dims = (to_x, to_y) if moments.crossed else (to_x,)
        if tangent is not None:
            tangent = _centres(tangent, dims, window)
            patches = _mean(_parts_of_pairs(patches, dims, window))
        moments = replace(
            moments,
            x=_centres(moments.x, (to_x,), window),
            y=_centres(moments.y, (to_y,), window),
            apart=_centres(moments.apart, dims, window),
            together=_centres(moments.together, dims, window),
        )
    out = weighted(replace(layer, trainable=False), replace(moments, tangent=tangent), layer.weight_std**2)
    if out.tangent is None or not layer.trainable:
        return out
    return replace(out, tangent=out.tangent + layer.weight_std**2 * patches + layer.bias_std**2)


def _centres(values: Tensor, dims: tuple[int, ...], window: Window) -> Tensor:
    """What stands at the centre of every window, 0 where that is in the padding."""
    lengths = [values.shape[dim] for dim in dims]
    for dim in dims:
        values = _padded(values, dim, window)
    for dim, length in zip(dims, lengths, strict=True):
        values = _taken(values, dim, window, length, (window.size - 1) // 2)
    return values


def _average_along(moments: Moments, axis: int, window: Window) -> Moments:
    """Moments of sums of independent parts, one for every position w of a window, divided by sqrt(size).

    With a_w = sqrt(E u_w^2) and b_w = sqrt(E v_w^2) the parts' means P of a_w^2, Q of b_w^2 and S of a_w b_w, the new
    2 r (1 -+ cos t) is the mean of the old ones plus 2 (sqrt(P Q) - S), free of cancellation by
    P Q - S^2 = P mean_w (b_w - a_w S / P)^2.
    A filter over several axes is one along each in turn: sums of independent parts are associative.
    """
    to_x, to_y = _axes_of(moments, axis)
    parts_x, parts_y = (_parts(v, dim, window) for v, dim in ((moments.x, to_x), (moments.y, to_y)))
    x, y = _mean(parts_x), _mean(parts_y)
    a, b = list(map(root, parts_x)), list(map(root, parts_y))
    between = _mean(p * q for p, q in zip(a, b, strict=True))
    # Not by x itself, which is the mean of a_w^2 up to rounding: for equal units the slope is exactly 1, the skew 0.
    slope = between / _mean(p * p for p in a).clamp(min=1e-300)
    spread = _mean((q - p * slope).square() for p, q in zip(a, b, strict=True))
    skew = 2 * x * spread / (root(x * y) + between).clamp(min=1e-300)
    dims = (to_x, to_y) if moments.crossed else (to_x,)
    return replace(
        moments,
        x=x,
        y=y,
        apart=_mean(_parts_of_pairs(moments.apart, dims, window)) + skew,
        together=_mean(_parts_of_pairs(moments.together, dims, window)) + skew,
        tangent=None if moments.tangent is None else _mean(_parts_of_pairs(moments.tangent, dims, window)),
    )


def _windows(layer: Conv | Pool, moments: Moments) -> tuple[Window, ...]:
    return (Window(1, 1, "valid"),) * moments.axes if moments.pixel and moments.axes else windows(layer, moments.axes)


def _mean(parts: Iterable[Tensor]) -> Tensor:
    """Mean of tensors, each made when it is its turn: a window of them at once would be the most of the memory."""
    total, count = None, 0
    for part in parts:
        total, count = part if total is None else total + part, count + 1
    if total is None:
        raise AssertionError("a window without positions")
    return total / count


def _axes_of(moments: Moments, axis: int) -> tuple[int, int]:
    """Where an axis of the positions of x and of those of y stands among the dimensions."""
    return 1 + axis, 1 + axis + (moments.axes if moments.crossed else 0)


def _parts(values: Tensor, dim: int, window: Window) -> list[Tensor]:
    """What stands at the first position of every window along an axis, at the second, and so on; 0 in the padding."""
    padded = _padded(values, dim, window)
    return [_taken(padded, dim, window, values.shape[dim], w) for w in range(window.size)]


def _parts_of_pairs(values: Tensor, dims: tuple[int, ...], window: Window) -> list[Tensor]:
    """The same for pairs of positions, along the axis of x and that of y in step where there are both."""
    lengths = [values.shape[dim] for dim in dims]
    for dim in dims:
        values = _padded(values, dim, window)
    parts = [values] * window.size
    for dim, length in zip(dims, lengths, strict=True):
        parts = [_taken(part, dim, window, length, w) for w, part in enumerate(parts)]
    return parts


def _padded(values: Tensor, dim: int, window: Window) -> Tensor:
    length = values.shape[dim]
    before, after = window.pads(length)
    if before == after == 0:
        return values
    if window.padding == "circular":
        around = torch.arange(-before, length + after, device=values.device) % length
        return values.index_select(dim, around)
    ends = [0, 0] * (values.ndim - 1 - dim) + [before, after]
    return torch.nn.functional.pad(values, ends)


def _taken(padded: Tensor, dim: int, window: Window, length: int, start: int) -> Tensor:
    index = [slice(None)] * padded.ndim
    index[dim] = slice(start, start + (window.count(length) - 1) * window.stride + 1, window.stride)
    return padded[tuple(index)]


@propagate.register(AvgPool)
@propagate.register(SumPool)
def _(layer: Pool, moments: Moments) -> Moments:
    along = _windows(layer, moments)
    _require_crossed(layer, moments)
    cross, tangent, bounds = moments.cross, moments.tangent, [moments.x, moments.y]
    for axis, window in enumerate(along):
        dims = _axes_of(moments, axis)
        for dim in dims:
            cross = _mean(_parts(cross, dim, window))
            tangent = None if tangent is None else _mean(_parts(tangent, dim, window))
        bounds = [_mean(_parts(own, dim, window)) for own, dim in zip(bounds, dims, strict=True)]
    pooled = _pooled(moments, cross, tangent, bounds)
    return pooled if isinstance(layer, AvgPool) else pooled.scaled(math.prod(w.size for w in along) ** 2)


@propagate.register(GlobalAveragePool)
@propagate.register(GlobalSumPool)
def _(layer: GlobalAveragePool | GlobalSumPool, moments: Moments) -> Moments:
    positions_after(layer, (1,) * moments.axes)
    _require_crossed(layer, moments)
    cross, tangent = moments.cross.flatten(1).mean(1), moments.tangent
    tangent = None if tangent is None else tangent.flatten(1).mean(1)
    bounds = [own.flatten(1).mean(1) for own in (moments.x, moments.y)]
    count = math.prod(moments.x.shape[1:])
    pooled = _pooled(replace(moments, axes=0, crossed=False), cross, tangent, bounds)
    return pooled if isinstance(layer, GlobalAveragePool) else pooled.scaled(count**2)


def _pooled(before: Moments, cross: Tensor, tangent: Tensor | None, bounds: list[Tensor]) -> Moments:
    """Moments of averages, from their covariances; their own second moments from those of the points with themselves.

    Without these the means of the second moments stand for them: bounds that leave the covariances right.
    """
    x, y, tracked = bounds[0], bounds[1], False
    if before.own is not None:
        own, tracked = _of_equal_positions(cross, before.axes), before.tracked
        x, y = own[before.own[0]].reshape(x.shape), own[before.own[1]].reshape(y.shape)
    # Near-duplicates keep half of the digits of their angle from here on: a difference of averages has no product form.
    size = root(x * y)
    apart, together = (2 * (size - cross)).clamp(min=0), (2 * (size + cross)).clamp(min=0)
    return replace(before, x=x, y=y, apart=apart, together=together, tangent=tangent, tracked=tracked)


def _of_equal_positions(values: Tensor, axes: int) -> Tensor:
    """The entries of equal positions, (N, *positions), of crossed ones."""
    for left in range(axes, 0, -1):
        values = values.diagonal(dim1=1, dim2=1 + left)
    return values


def _require_crossed(layer: Layer, moments: Moments) -> None:
    if not moments.crossed:
        raise InvalidArchitecture(
            f"{layer!r} must read the moments of all pairs of positions", "those of aligned ones", "Use crossed moments"
        )


@propagate.register
def _(layer: Flatten, moments: Moments) -> Moments:
    positions_after(layer, (1,) * moments.axes)
    count = moments.x[0].numel()
    if moments.crossed:
        apart, together = (_of_equal_positions(v, moments.axes) for v in (moments.apart, moments.together))
        tangent = None if moments.tangent is None else _of_equal_positions(moments.tangent, moments.axes)
        x, y = moments.x.reshape(apart.shape), moments.y.reshape(apart.shape)
        moments = replace(moments, x=x, y=y, apart=apart, together=together, tangent=tangent, crossed=False)
    for axis, length in enumerate(moments.x.shape[1:]):
        moments = _average_along(moments, axis, Window(length, 1, "valid"))
    return replace(
        moments,
        x=moments.x.flatten(),
        y=moments.y.flatten(),
        apart=moments.apart.flatten(),
        together=moments.together.flatten(),
        tangent=None if moments.tangent is None else moments.tangent.flatten(),
        channels=None if moments.channels is None else moments.channels * count,
        width=moments.width * count,
        gaussian=False,  # positions differ in variance, so their units together are no one Gaussian
        axes=0,
    )


@lru_cache(maxsize=256)
def needs_crossed(architecture: Layer) -> bool:
    """Whether an architecture needs the moments of all pairs of positions, n^2 P^2 of them: whether it pools.

    Without pooling a position of one point meets only the same position of another, n^2 P pairs.
    """
    return any(isinstance(layer, _POOLS) for layer in walk(architecture))


@lru_cache(maxsize=256)
def needs_own_moments(architecture: Layer) -> bool:
    """Whether an activation or normalisation comes after pooling, which then needs each point's moments with itself."""
    layers = list(walk(architecture))
    first = next((i for i, layer in enumerate(layers) if isinstance(layer, _POOLS)), len(layers))
    return any(isinstance(layer, (Activation, LayerNorm)) for layer in layers[first:])


@dataclass(frozen=True)
class Images(Reading):
    """Points with positions, (n, *positions, channels), or rows of them where `input_shape` says how to unfold these.

    Pairs of points are read as a list. Where own moments are needed, every point stands in the list with itself too.
    """

    def __post_init__(self) -> None:
        shape = self.input_shape
        if shape is not None and (len(shape) < 2 or min(shape) < 1):
            raise InvalidArchitecture(
                "an architecture of images reads points of a known shape (*positions, channels)", str(shape)
            )
        if shape is not None:
            positions_after(self.architecture, shape[:-1])
        # A composition without a kernel is refused here and not at the first Gram matrix.
        pixel, itself = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
        after = propagate(self.architecture, replace(self._moments(pixel, pixel, (itself, itself)), pixel=True))
        if after.axes:
            raise InvalidArchitecture(
                "a network must leave no positions, so that its kernel is one number a pair",
                "an architecture that ends with positions",
                "Put Flatten() or GlobalAveragePool() before the last Dense()",
            )

    def check(self, X: Tensor) -> None:
        """Raise InvalidInput unless the points have the shape that is read, and the layers leave some of it."""
        if self.input_shape is None:
            if X.ndim < 3:
                raise InvalidInput(
                    "this architecture reads points (points, *positions, channels)",
                    f"shape {tuple(X.shape)}",
                    "Give the kernel an input_shape such as (28, 28, 1) to unfold rows",
                )
        elif X.shape[1:] != self.input_shape and X.shape[1:] != (math.prod(self.input_shape),):
            raise InvalidInput(
                f"points must have the shape {self.input_shape}, or be rows of {math.prod(self.input_shape)}",
                f"shape {tuple(X.shape[1:])}",
            )
        try:
            positions_after(self.architecture, self._images(X).shape[1:-1])
        except InvalidArchitecture as error:
            raise InvalidInput(error.asked, error.got, error.cure) from error

    def gram(self, X: Tensor, Y: Tensor | None) -> Tensor | None:
        """Gram matrix by the fused pass on all threads, where it serves the network and no gradient is asked for."""
        program = self._program(X, X if Y is None else Y)
        return None if program is None else program.gram(self._images(X), None if Y is None else self._images(Y))

    def _program(self, X: Tensor, Y: Tensor) -> ConvProgram | None:
        if X.device.type != "cpu" or (torch.is_grad_enabled() and (X.requires_grad or Y.requires_grad)):
            return None
        return ConvProgram.of(self.architecture, self.tangent, tuple(self._images(X).shape[1:-1]))

    def pair_size(self, X: Tensor) -> int:
        """Number of pairs of positions of a pair of points."""
        program = self._program(X.detach(), X.detach())
        if program is not None:
            return program.pair_size
        positions = math.prod(self._images(X).shape[1:-1])
        return positions**2 if needs_crossed(self.architecture) else positions

    def working_bytes(self, X: Tensor) -> tuple[int, int]:
        """Of the fused pass, the tables of its images and the workspaces of the threads."""
        images = self._images(X.detach())
        program = self._program(X.detach(), X.detach())
        return super().working_bytes(X) if program is None else program.working_bytes(images.shape[-1])

    def cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """Kernel of all pairs of points: by the fused pass as in `gram`, or else layer by layer."""
        program = self._program(X, Y)
        if program is None:
            return self.all_pairs(X, Y, same=same)
        return program.cross(self._images(X), self._images(Y), same=same).double()

    def all_pairs(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        """The same layer by layer in torch; with gradients by chunks that are computed again backwards."""
        X, Y = self._images(X).double(), self._images(Y).double()
        n, m = len(X), len(Y)
        if same:
            first, second = torch.triu_indices(n, n, device=X.device)
        else:
            first, second = torch.cartesian_prod(*(torch.arange(k, device=X.device) for k in (n, m))).unbind(1)
        values = torch.cat([self._values(X, Y, (first[part], second[part])) for part in self._chunks(X, len(first))])
        if not same:
            return values.reshape(n, m)
        upper = values.new_zeros(n, n).index_put((first, second), values)
        return upper + upper.triu(1).T

    def diagonal(self, X: Tensor) -> Tensor:
        """Kernel of every point with itself, by chunks of points."""
        X = self._images(X).double()
        each = torch.arange(len(X), device=X.device)
        return torch.cat([self._values(X, X, (each[part], each[part])) for part in self._chunks(X, len(X))])

    def _images(self, X: Tensor) -> Tensor:
        return X if self.input_shape is None else X.reshape(len(X), *self.input_shape)

    def _chunks(self, X: Tensor, pairs: int) -> Iterator[slice]:
        return row_blocks(pairs, max(1, _NUMBERS // self.pair_size(X)))

    def _values(self, X: Tensor, Y: Tensor, pairs: tuple[Tensor, Tensor]) -> Tensor:
        """Kernel of a list of pairs, given by the numbers of their points, (N,)."""
        if torch.is_grad_enabled() and (X.requires_grad or Y.requires_grad):
            return checkpoint(self._listed, X, Y, pairs, use_reentrant=False)  # pyright: ignore[reportReturnType]
        return self._listed(X, Y, pairs)

    def _listed(self, X: Tensor, Y: Tensor, pairs: tuple[Tensor, Tensor]) -> Tensor:
        first, second = pairs
        A, B, own = X[first], Y[second], None
        if needs_own_moments(self.architecture):
            (of_x, to_x), (of_y, to_y) = (numbers.unique(return_inverse=True) for numbers in pairs)
            A, B = torch.cat([A, X[of_x], Y[of_y]]), torch.cat([B, X[of_x], Y[of_y]])
            own = _own(len(first), to_x, to_y)
        return self._read(self._moments(A, B, own))[: len(first)]

    def _moments(self, A: Tensor, B: Tensor, own: tuple[Tensor, Tensor] | None) -> Moments:
        return listed_moments(A, B, self.tangent, crossed=needs_crossed(self.architecture), own=own)


def _own(pairs: int, to_x: Tensor, to_y: Tensor) -> tuple[Tensor, Tensor]:
    """Where the pairs (x, x) and (y, y) stand behind a list of pairs: those of the x first, then those of the y."""
    points_x, points_y = int(to_x.max()) + 1, int(to_y.max()) + 1
    behind = torch.arange(pairs, pairs + points_x + points_y, device=to_x.device)
    return torch.cat([pairs + to_x, behind]), torch.cat([pairs + points_x + to_y, behind])


def reads_images(architecture: Layer) -> bool:
    """Whether an architecture has a layer that looks at positions."""
    return any(isinstance(layer, SpatialLayer) for layer in walk(architecture))
