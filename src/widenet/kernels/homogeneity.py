"""How a network's kernel scales with its inputs: which ones are functions of the angle alone."""

from dataclasses import dataclass, replace
from functools import reduce, singledispatch

from widenet.architectures import (
    AbsLinear,
    Activation,
    BranchSum,
    Concat,
    Dense,
    FactorizedDense,
    Identity,
    Layer,
    LayerNorm,
    Repeat,
    Scale,
    Serial,
    SpatialLayer,
)
from widenet.kernels.factorized import dense_factors


@dataclass(frozen=True)
class Degrees:
    """Powers of |x| |y| in a kernel of the form sum_p |x|^p |y|^p k_p(angle).

    Attributes:
        covariance: The one power in the NNGP.
        tangent: The powers in the NTK.
    """

    covariance: int
    tangent: frozenset[int]


@singledispatch
def degrees(layer: Layer, before: Degrees) -> Degrees | None:
    """Powers after a layer, or None where the kernel is no such sum for points of unequal norms."""
    return None


@degrees.register(Identity)
@degrees.register(Scale)
def _(layer: Layer, before: Degrees) -> Degrees | None:
    return before


@degrees.register
def _(layer: Dense, before: Degrees) -> Degrees | None:
    if layer.bias_std == 0 or layer.bias_init == "zero" or before.covariance == 0:
        own = {before.covariance} | ({0} if layer.bias_std else set()) if layer.trainable else set()
        return replace(before, tangent=before.tangent | own)
    return None


@degrees.register
def _(layer: FactorizedDense, before: Degrees) -> Degrees | None:
    return _chain(dense_factors(layer), before)


@degrees.register
def _(layer: Activation, before: Degrees) -> Degrees | None:
    return before if isinstance(layer, AbsLinear) or before.covariance == 0 else None


@degrees.register
def _(layer: LayerNorm, before: Degrees) -> Degrees | None:
    return Degrees(0, frozenset(power - before.covariance for power in before.tangent))


@degrees.register
def _(layer: SpatialLayer, before: Degrees) -> Degrees | None:
    return None  # every position has an angle of its own


@degrees.register
def _(layer: Serial, before: Degrees) -> Degrees | None:
    return _chain(layer.layers, before)


@degrees.register
def _(layer: Repeat, before: Degrees) -> Degrees | None:
    return _chain((layer.layer,) * layer.times, before)


@degrees.register(BranchSum)
@degrees.register(Concat)
def _(layer: BranchSum | Concat, before: Degrees) -> Degrees | None:
    after = [degrees(branch, before) for branch in layer.branches]
    if any(out is None or after[0] is None or out.covariance != after[0].covariance for out in after):
        return None
    found = [out for out in after if out is not None]
    return Degrees(found[0].covariance, frozenset().union(*(out.tangent for out in found)))


def _chain(layers: tuple[Layer, ...], before: Degrees) -> Degrees | None:
    def step(current: Degrees | None, layer: Layer) -> Degrees | None:
        return None if current is None else degrees(layer, current)

    return reduce(step, layers, before)
