"""What a module is made of, as two of its points tell: outputs, costs, and parts with structured derivatives."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from widenet.errors import InvalidInput
from widenet.networks.layer_readings import MatrixReading
from widenet.networks.module_function import ModuleFunction, evaluation
from widenet.networks.structured import Part, View, find_parts, gradient_of, see


@dataclass(frozen=True)
class PartSize:
    """Sizes of a part for one point.

    Attributes:
        groups: Groups of channels; 0 for gains and offsets.
        positions: Positions at which a matrix is applied, over all its uses.
        inputs: p, length of the inputs of a matrix, or entries of what gains multiply.
        outputs: q, length of the outputs of a matrix, or 0.
        parameters: Number of parameters.
    """

    groups: int
    positions: int
    inputs: int
    outputs: int
    parameters: int


@dataclass(frozen=True, eq=False)
class Structure:
    """What the evaluation of two points told about a module.

    Attributes:
        outputs: Number of outputs.
        flops: Of the matrix products and convolutions of a forward pass of one point.
        saved: Bytes that a forward pass of one point keeps for the backward pass.
        parts: Parts with structured derivatives, each checked against reverse mode, with their sizes.
        rest: Names of all other parameters.
        parameters: Number of all parameters.
    """

    outputs: int
    flops: int
    saved: int
    parts: tuple[tuple[Part, PartSize], ...]
    rest: tuple[str, ...]
    parameters: int


def investigate(function: ModuleFunction, X: Tensor) -> Structure:
    """Evaluate two points with and without hooks, and compare what the hooks give with reverse mode.

    A part whose gradient along a random direction of the outputs differs from that of reverse mode, such as one that
    is applied outside of its layer, is left to Jacobians.

    Args:
        function: The module.
        X: Points, (n, ...), of which the first two are used.

    Raises:
        InvalidInput: If outputs are not finite, or depend on other points or on chance.

    Cost:
        Forward passes of one and of two points, and two backward passes of two points.
    """
    pair = X[[0, min(1, len(X) - 1)]].detach()
    if pair.is_inference():
        pair = pair.clone()
    with evaluation(X.device):
        parts = find_parts(function.module, tuple(function.parameters))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            alone = function(function.parameters, pair[:1])
        every = (*function.parameters.values(), *function.fixed.values())
        storages = {value.untyped_storage().data_ptr() for value in every}
        with _saved_bytes(storages) as saved:
            view = see(function, parts, pair, mixed=True)
        _check_outputs(view.outputs.detach(), alone)
        known, rest = _agreeing(view, parts)
    return Structure(view.outputs.shape[1], counter.get_total_flops(), sum(saved) // 2, known, rest, function.size)


@contextmanager
def _saved_bytes(known: set[int]) -> Iterator[list[int]]:
    """Bytes of the tensors that autograd keeps meanwhile, but for some known ones."""
    sizes: list[int] = []
    seen = set(known)

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in seen:
            seen.add(tensor.untyped_storage().data_ptr())
            sizes.append(tensor.untyped_storage().nbytes())
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        yield sizes


def _check_outputs(together: Tensor, alone: Tensor) -> None:
    if not bool(torch.isfinite(together).all()):
        raise InvalidInput("outputs of the module must be finite", f"{together.flatten()[:3].tolist()} ...")
    gap, size = float((together[:1] - alone).abs().max()), float(together.abs().max())
    if gap > torch.finfo(together.dtype).eps ** 0.6 * size:
        raise InvalidInput(
            "each output must depend on its own point alone, and not on chance",
            f"outputs of a point that differ by {gap:.3g} of {size:.3g} alone and beside another",
            "Call module.eval() first, or take batch statistics and randomness out of forward",
        )


def _agreeing(view: View, parts: Sequence[Part]) -> tuple[tuple[tuple[Part, PartSize], ...], tuple[str, ...]]:
    """Parts whose structured gradient along a random direction is that of reverse mode, and names of all others."""
    names, leaves = list(view.parameters), list(view.parameters.values())
    if not view.outputs.requires_grad:
        raise InvalidInput("outputs must depend on the parameters asked for", f"no influence of {', '.join(names)}")
    # Points get weights after the hooks have seen them, to tell whose rows are whose.
    weights = view.outputs.new_tensor([[0.7], [-1.3]])
    found = torch.autograd.grad(
        view.outputs, leaves, weights * view.directions[0], allow_unused=True, materialize_grads=True
    )
    true = dict(zip(names, found, strict=True))
    norms = [float(torch.linalg.vector_norm(gradient)) for gradient in true.values()]
    tolerance = torch.finfo(view.outputs.dtype).eps ** 0.6 * sum(norm**2 for norm in norms) ** 0.5
    known = []
    for part in parts:
        size = _size_where_right(view, part, weights, true, tolerance)
        if size is not None:
            known.append((part, size))
    covered = {name for part, _ in known for name in part.names}
    return tuple(known), tuple(name for name in names if name not in covered)


def _size_where_right(
    view: View, part: Part, weights: Tensor, true: dict[str, Tensor], tolerance: float
) -> PartSize | None:
    """Sizes of a part, or None where its structured gradient is not that of reverse mode."""
    if len({type(reading) for reading in part.readings}) > 1:
        return None
    try:
        seen = view.of(part)
        with torch.no_grad():
            gradients = gradient_of(part, seen, weights)
            gaps = [float(torch.linalg.vector_norm(g - true[name].flatten())) for name, g in gradients.items()]
    except (InvalidInput, RuntimeError):  # layers that see other rows than points, or shapes that do not fit
        return None
    if max(gaps) > tolerance:
        return None
    count = sum(gradient.numel() for gradient in gradients.values())
    if isinstance(part.readings[0], MatrixReading):
        groups, positions, p = seen.inputs.shape[1:]
        return PartSize(groups, positions, p if part.weight else 0, seen.cotangents.shape[-1], count)
    return PartSize(0, 1, seen.inputs[0].numel(), 0, count)
