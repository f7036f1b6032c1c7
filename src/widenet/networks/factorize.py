"""Turning a wide network into one of factorised layers."""

import copy
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from widenet.architectures import FactorizedDense, ReLU
from widenet.errors import InvalidInput
from widenet.networks.factorized import FactorizedLinear
from widenet.networks.factorized_costs import layer_cost
from widenet.networks.factorized_readout import MOST_OUTPUTS, structured_readout
from widenet.networks.modules import ActivationModule, DenseModule


@dataclass(frozen=True)
class ReplacedLayer:
    """One layer before and after.

    Attributes:
        name: Its name in the module.
        sizes: Inputs, rank, outputs.
        trainable_before: Trained numbers of the dense layer.
        trainable_after: Those of the factorised one.
        flops_before: Operations of a point in the dense layer.
        flops_after: Those in the factorised one.
        distance: |W - W'| / |W| between the matrices in the Frobenius norm; near sqrt(2) for a fresh draw.
    """

    name: str
    sizes: tuple[int, int, int]
    trainable_before: int
    trainable_after: int
    flops_before: int
    flops_after: int
    distance: float


@dataclass(frozen=True, eq=False)
class Factorization:
    """A factorised network and what was changed.

    Attributes:
        module: The network, a copy.
        layers: The layers that were replaced.
        kept: Names of the linear layers that stayed as they were, and why.
    """

    module: nn.Module
    layers: tuple[ReplacedLayer, ...]
    kept: dict[str, str]

    def __str__(self) -> str:
        lines = [
            f"{layer.name}: {layer.sizes[0]} x {layer.sizes[2]} by rank {layer.sizes[1]}, trained numbers "
            f"{layer.trainable_before:,} -> {layer.trainable_after:,}, operations a point {layer.flops_before:,} -> "
            f"{layer.flops_after:,}, distance {layer.distance:.3g}"
            for layer in self.layers
        ]
        return "\n".join([*lines, *(f"{name}: kept, {reason}" for name, reason in self.kept.items())])


class WideReadout(nn.Module):
    """A factorised wide layer, ReLU and the linear layer behind it, computed in one pass where that is faster.

    Args:
        hidden: The wide layer.
        readout: The linear layer that reads its units.
    """

    def __init__(self, hidden: FactorizedLinear, readout: nn.Linear) -> None:
        super().__init__()
        self.hidden, self.readout = hidden, readout

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (..., outputs) of inputs (..., d)."""
        hidden, structured = self.hidden, self.hidden.structured
        if hidden.outer is not None or structured is None or self.readout.out_features > MOST_OUTPUTS:
            return self.readout(torch.relu(hidden(x)))
        z = hidden.projected(x)
        bias = None if hidden.bias is None else hidden.factor("bias") * hidden.bias
        units = structured_readout(
            z.reshape(-1, z.shape[-1]), structured, self.readout.weight, hidden.factor("outer"), bias
        )
        outputs = units.reshape(*z.shape[:-1], -1)
        return outputs if self.readout.bias is None else outputs + self.readout.bias


def factorize(
    module: nn.Module,
    layer: FactorizedDense,
    *,
    start: Literal["drawn", "approximate"] = "drawn",
    least_saving: float = 2.0,
    seed: int = 0,
) -> Factorization:
    """A copy of a network in which wide linear layers are factorised.

    Every torch.nn.Linear, and every dense layer of `widenet.network`, becomes a `FactorizedLinear` of the asked kind
    where that saves operations. The size of its weights and its biases are those of the layer that it replaces, and it
    is held in the parameterisation of torch.nn.Linear, so that learning rates keep their meaning. In a
    torch.nn.Sequential, a structured layer, ReLU and a narrow linear layer become one `WideReadout`.

    Args:
        module: The network; it is left as it is.
        layer: Rank, trained factors, kind of the frozen factor; its weight_std, bias_std and width are not used.
        start: "drawn": the factors are drawn anew, for a network that is still to be trained. "approximate": the
            trained factor is the least-squares fit of the layer's matrix, both factors its best approximation of that
            rank; only the latter keeps what a network has learnt.
        least_saving: A layer is replaced if the factors take at most 1 / least_saving of its operations.
        seed: Of the factors.

    Returns:
        The network, what was replaced, and what was kept.

    Raises:
        InvalidInput: If there is no linear layer, or a frozen layer is asked for.

    References:
        See `FactorizedDense`.

    Example:
        >>> wide = nn.Sequential(nn.Linear(784, 8192), nn.ReLU(), nn.Linear(8192, 10))
        >>> result = factorize(wide, FactorizedDense(256, frozen="hadamard"))
        >>> result.layers[0].trainable_before, result.layers[0].trainable_after, list(result.kept)
        (6430720, 208896, ['2'])
    """
    if layer.train == "none" or least_saving <= 0:
        raise InvalidInput(
            "a factorised layer must be trained, least_saving positive", f"{layer.train!r}, {least_saving}"
        )
    linear = {name: part for name, part in module.named_modules() if _is_linear(part)}
    if not linear:
        raise InvalidInput("there must be a torch.nn.Linear to factorise", type(module).__name__)
    generator, replaced, kept = Generator().manual_seed(seed), list[ReplacedLayer](), dict[str, str]()
    result = copy.deepcopy(module)
    for name, part in linear.items():
        weight, bias = _weight_and_bias(part)
        flops = _flops(layer, weight.shape[1], weight.shape[0])
        if flops * least_saving > 2 * weight.numel():
            kept[name] = f"its factors would take {flops:,} operations a point instead of {2 * weight.numel():,}"
            continue
        new = _factorized(weight, bias, layer, generator, start)
        result = _replace(result, name, new)
        counts = [sum(values.numel() for values in owner.parameters()) for owner in (part, new)]
        distance = float((new.matrix() - weight).norm() / weight.norm())
        replaced.append(
            ReplacedLayer(name, new.sizes, counts[0], counts[1], 2 * weight.numel(), flops, distance),
        )
    return Factorization(_join(result), tuple(replaced), kept)


def _is_linear(module: nn.Module) -> bool:
    return type(module) is nn.Linear or type(module) is DenseModule


@torch.no_grad()
def _weight_and_bias(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    if isinstance(module, DenseModule):
        bias = None if module.bias is None else module.factor("bias") * module.bias
        return module.factor("weight") * module.weight, bias
    if not isinstance(module, nn.Linear):
        raise AssertionError("a layer without weights")
    return module.weight.detach(), None if module.bias is None else module.bias.detach()


def _flops(layer: FactorizedDense, d: int, m: int) -> int:
    from_layer = FactorizedDense(layer.rank, layer.train, layer.frozen)
    return layer_cost(from_layer, 1, d, m).forward_flops - 2 * m


@torch.no_grad()
def _factorized(
    weight: Tensor, bias: Tensor | None, layer: FactorizedDense, generator: Generator, start: str
) -> FactorizedLinear:
    m, d = weight.shape
    size = float(weight.square().mean().sqrt()) * sqrt(d)
    drawn = FactorizedDense(layer.rank, layer.train, layer.frozen, size or 1.0, 0.0 if bias is None else 1.0)
    new = FactorizedLinear(d, m, drawn, generator, weight.dtype).to(weight.device)
    new.reparameterize("standard")
    if bias is not None and new.bias is not None:
        new.bias.copy_(bias)
    if start == "approximate":
        _approximate(new, weight)
    return new


def _approximate(new: FactorizedLinear, weight: Tensor) -> None:
    """Let the trained factors be the best fit of a matrix, in place."""
    inner, outer = new.inner, new.outer
    if new.layer.train == "both" and inner is not None and outer is not None:
        U, values, V = torch.linalg.svd(weight, full_matrices=False)
        rank = min(new.sizes[1], len(values))
        outer.zero_()
        inner.zero_()
        outer[:, :rank], inner[:rank] = U[:, :rank] * values[:rank].sqrt(), values[:rank, None].sqrt() * V[:rank]
        return
    if new.layer.train == "inner" and inner is not None:
        S = new.structured.matrix() if outer is None and new.structured is not None else outer
        if S is None:
            raise AssertionError("a factor that is neither stored nor structured")
        inner.copy_(torch.linalg.lstsq(new.factor("outer") * S, weight).solution / new.factor("inner"))
    elif outer is not None:
        R = new.structured.matrix() if inner is None and new.structured is not None else inner
        if R is None:
            raise AssertionError("a factor that is neither stored nor structured")
        outer.copy_(torch.linalg.lstsq((new.factor("inner") * R).T, weight.T).solution.T / new.factor("outer"))


def _replace(root: nn.Module, name: str, new: nn.Module) -> nn.Module:
    if not name:
        return new
    parent, _, last = name.rpartition(".")
    setattr(root.get_submodule(parent), last, new)
    return root


def _join(root: nn.Module) -> nn.Module:
    """Let structured layers, ReLU and the narrow linear layers behind them be computed in one pass, in place."""
    for part in root.modules():
        if type(part) is not nn.Sequential:
            continue
        children = list(part)
        for at in range(len(children) - 2):
            hidden, activation, readout = children[at : at + 3]
            if not isinstance(hidden, FactorizedLinear) or type(readout) is not nn.Linear or not _is_relu(activation):
                continue
            if hidden.structured is not None and hidden.outer is None and readout.out_features <= MOST_OUTPUTS:
                part[at], part[at + 1], part[at + 2] = WideReadout(hidden, readout), nn.Identity(), nn.Identity()
    return root


def _is_relu(module: nn.Module) -> bool:
    return type(module) is nn.ReLU or (isinstance(module, ActivationModule) and module.layer == ReLU())
