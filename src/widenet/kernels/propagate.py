"""The infinite-width reading of a layer: moments in, moments out."""

from dataclasses import replace
from functools import reduce, singledispatch

from widenet.architectures import (
    AbsLinear,
    Activation,
    BranchSum,
    Concat,
    Conv,
    Dense,
    Erf,
    FactorizedDense,
    Identity,
    Layer,
    LayerNorm,
    Repeat,
    Scale,
    Serial,
    Sine,
)
from widenet.errors import InvalidArchitecture, InvalidInput
from widenet.kernels.duals import dual
from widenet.kernels.factorized import dense_factors
from widenet.kernels.moments import Moments, add_independent


@singledispatch
def propagate(layer: Layer, moments: Moments) -> Moments:
    """Second moments and neural tangent kernel after a layer of infinite width.

    Args:
        layer: A layer or a whole architecture.
        moments: Moments of its input.

    Returns:
        Moments of its output; the tangent is None where that of the input is.

    Raises:
        InvalidArchitecture: If the composition has no infinite-width kernel: an activation on units
            that are not Gaussian, a sum of correlated branches, branches of unequal width.

    References: Lee et al. 2018, arXiv 1711.00165 (NNGP); Jacot et al. 2018, arXiv 1806.07572 (NTK).
    """
    raise InvalidArchitecture("a layer must have a reading at infinite width", type(layer).__name__)


@propagate.register
def _(layer: Identity, moments: Moments) -> Moments:
    return moments


@propagate.register
def _(layer: Scale, moments: Moments) -> Moments:
    return moments.scaled(layer.factor**2)


@propagate.register
def _(layer: Serial, moments: Moments) -> Moments:
    return reduce(lambda current, part: propagate(part, current), layer.layers, moments)


@propagate.register
def _(layer: Repeat, moments: Moments) -> Moments:
    for _ in range(layer.times):
        moments = propagate(layer.layer, moments)
    return moments


@propagate.register
def _(layer: Dense, moments: Moments) -> Moments:
    # K <- w^2 K + b^2,  T <- w^2 T + (w^2 K + b^2) if trained; b^2 enters K only if biases start random.
    gain = layer.weight_std**2
    if layer.fan_in_scaling == "none":
        if moments.channels is None:
            raise InvalidArchitecture(
                "Dense(fan_in_scaling='none') must read the inputs",
                "a layer of infinite width before it",
                "Use fan_in_scaling='inverse' after the first layer",
            )
        gain *= moments.channels
    return weighted(layer, moments, gain)


def weighted(layer: Dense | Conv, moments: Moments, gain: float) -> Moments:
    """Moments after the weights and biases of a layer; weights multiply the second moments by `gain`."""
    out = moments.scaled(gain)
    bias = layer.bias_std**2
    tangent = out.tangent
    if tangent is not None and layer.trainable:
        tangent = tangent + out.cross + bias
    out = out.with_constant(bias if layer.bias_init == "normal" else 0.0)
    return replace(out, tangent=tangent, channels=None, width=layer.width, gaussian=True, drawn=moments.depth)


@propagate.register
def _(layer: FactorizedDense, moments: Moments) -> Moments:
    inner, outer = dense_factors(layer)
    after = propagate(outer, propagate(inner, moments))
    if after.tangent is not None and layer.train == "inner":
        after = replace(after, tangent=after.tangent + layer.bias_std**2)  # biases are trained beside a frozen factor
    return after


@propagate.register
def _(layer: Activation, moments: Moments) -> Moments:
    if not moments.gaussian:
        raise _unreadable(layer, "Gaussian units", moments)
    require_tracked(layer, moments)
    after = dual(layer, moments)
    tangent = None if moments.tangent is None else moments.tangent * after.derivative
    # An odd function of a centred Gaussian keeps mean zero, so sums of such branches still add.
    odd = (isinstance(layer, AbsLinear) and layer.absolute == 0) or (isinstance(layer, Erf) and layer.offset == 0)
    odd = odd or (type(layer) is Sine and layer.phase == 0)
    return replace(
        moments,
        x=after.x,
        y=after.y,
        apart=after.apart,
        together=after.together,
        tangent=tangent,
        gaussian=False,
        drawn=moments.drawn if odd else -1,
    )


@propagate.register
def _(layer: LayerNorm, moments: Moments) -> Moments:
    if not moments.centred:
        raise _unreadable(layer, "units of mean zero", moments)
    require_tracked(layer, moments)
    if not (moments.x.detach() > 0).all() or not (moments.y.detach() > 0).all():
        raise InvalidInput("LayerNorm must read units of positive variance", "a point at which they all are 0")
    size = moments.size
    return replace(
        moments,
        x=moments.x / moments.x,
        y=moments.y / moments.y,
        apart=moments.apart / size,
        together=moments.together / size,
        tangent=None if moments.tangent is None else moments.tangent / size,
    )


@propagate.register
def _(layer: BranchSum, moments: Moments) -> Moments:
    inside = replace(moments, depth=moments.depth + 1)
    branches = [propagate(branch, inside) for branch in layer.branches]
    # Without weights drawn inside the branch, odd or not, its units are a function of what the others read too.
    loose = [repr(part) for part, out in zip(layer.branches, branches, strict=True) if out.drawn < inside.depth]
    if len(loose) > 1:
        raise InvalidArchitecture(
            "all branches of a sum but at most one must end in a layer with weights, else their kernels do not add",
            f"{len(loose)} that do not: {', '.join(loose)}",
            "End them with Dense()",
        )
    _require_same_positions(branches)
    shapes = {(out.channels, out.width) for out in branches}
    if len(shapes) > 1:
        raise InvalidArchitecture(
            "the branches of a sum must have equal width",
            ", ".join(f"{c} input channels" if c else f"relative width {w:g}" for c, w in sorted(shapes, key=str)),
            "Put a Dense() before the sum, or give its Dense layers one width",
        )
    return replace(
        add_independent(branches),
        gaussian=all(out.gaussian for out in branches),
        depth=moments.depth,
        drawn=min(moments.depth, *(out.drawn for out in branches)),
    )


@propagate.register
def _(layer: Concat, moments: Moments) -> Moments:
    branches = [propagate(branch, moments) for branch in layer.branches]
    if any(out.channels is not None for out in branches):
        raise InvalidArchitecture(
            "the branches of Concat must have infinite width",
            "a branch that hands on the inputs, whose share of the channels would be 0",
            "Put a Dense() before the Concat",
        )
    _require_same_positions(branches)
    width = sum(out.width for out in branches)
    return replace(
        add_independent([out.scaled(out.width / width) for out in branches]),
        width=width,
        gaussian=False,  # a mixture over the channels: E phi(u) phi(v) is the mean over the branches
        drawn=min(out.drawn for out in branches),
    )


def require_tracked(layer: Layer, moments: Moments) -> None:
    """Raise InvalidArchitecture where a layer that needs second moments meets mere bounds of them."""
    if not moments.tracked:
        raise InvalidArchitecture(
            f"{layer!r} must read units whose own second moments are known",
            "units after pooling, of which only the covariances between the points were tracked",
            "Give the list of pairs every pair of a point with itself, and `own`",
        )


def _require_same_positions(branches: list[Moments]) -> None:
    shapes = {(out.axes, out.crossed, out.apart.shape) for out in branches}
    if len(shapes) > 1:
        raise InvalidArchitecture(
            "the branches of a sum or concatenation must have the same positions",
            " and ".join(str(tuple(out.apart.shape[1:])) for out in branches),
            "Give them the same strides and padding",
        )


def _unreadable(layer: Layer, needed: str, moments: Moments) -> InvalidArchitecture:
    found = "the output of an activation, of a Concat or of Flatten"
    if moments.channels is not None:
        found = "the inputs themselves"
    return InvalidArchitecture(f"{layer!r} must read {needed}", found, "Put a Dense() before it")
