"""Structured derivatives: what hooks see of every layer, instead of a gradient for every point and output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from widenet.errors import InvalidInput
from widenet.kernels.blocks import new_matrix
from widenet.networks.kernel_factors import Factor, GradientFactor, OuterFactor, PositionsFactor, SlicedFactor, Way
from widenet.networks.layer_readings import GainReading, LayerReading, MatrixReading, held, readings_of
from widenet.networks.module_function import ModuleFunction


@dataclass(frozen=True, eq=False)
class Part:
    """Parameters of a kernel's sum that one kind of layer applies, perhaps in several places.

    Attributes:
        weight: Full name of the weight, or None where it is not trained.
        bias: Full name of the bias, or None.
        readings: How each of the layers that hold them is read.
    """

    weight: str | None
    bias: str | None
    readings: tuple[LayerReading, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its parameters."""
        return tuple(name for name in (self.weight, self.bias) if name is not None)


@dataclass(frozen=True, eq=False)
class Seen:
    """Inputs of a part and the derivatives of all outputs by what it returns, over all uses.

    Attributes:
        inputs: (n, groups, positions, p) for matrices; standardised inputs (n, uses, *shape) for gains.
        cotangents: (n, outputs, groups, positions, q) for matrices; (n, outputs, uses, *shape) for gains.
    """

    inputs: Tensor
    cotangents: Tensor


@dataclass(frozen=True, eq=False)
class _Use:
    """One call of a layer."""

    input: Tensor
    edge: GradientEdge
    shape: torch.Size


def find_parts(module: nn.Module, names: Sequence[str]) -> tuple[Part, ...]:
    """The parts of a module's parameters that structured derivatives are known for.

    A parameter that several layers hold is one part, with all of their uses.

    Args:
        module: The module.
        names: Full names of the parameters asked for.
    """
    full = {id(parameter): name for name, parameter in module.named_parameters() if name in names}
    claims: dict[tuple[str | None, str | None], list[LayerReading]] = {}
    for layer in module.modules():
        for reading in readings_of(layer):
            names_here = (reading.weight, reading.bias)
            weight, bias = (None if name is None else full.get(id(held(layer, name)[0])) for name in names_here)
            if weight is not None or bias is not None:
                claims.setdefault((weight, bias), []).append(reading)
    holders = [name for pair in claims for name in pair if name is not None]
    parts: dict[tuple[str | None, str | None], list[LayerReading]] = {}
    for (weight, bias), readings in claims.items():
        # Weights that are shared by layers with biases of their own are a part without them.
        shared = any(holders.count(name) > 1 for name in (weight, bias) if name is not None)
        keys = ((weight, None), (None, bias)) if shared else ((weight, bias),)
        for key in keys:
            if key != (None, None):
                parts.setdefault(key, []).extend(readings)
    return tuple(Part(*key, tuple(readings)) for key, readings in parts.items())


def see(
    function: ModuleFunction, parts: Sequence[Part], X: Tensor, *, graph: bool = False, mixed: bool = False
) -> "View":
    """Evaluate the module on points with hooks on the layers of all parts, then differentiate each of its outputs.

    Args:
        function: The module.
        parts: The parts.
        X: Points, (n, ...).
        graph: Whether results are to be differentiable.
        mixed: Whether only one random combination of all outputs is differentiated, as a check needs.

    Cost:
        One forward pass, and one backward pass an output without the products that weights' gradients take.
    """
    uses: dict[int, list[_Use]] = {}
    parameters = {name: value.detach().requires_grad_() for name, value in function.parameters.items()}
    handles = []
    try:
        for layer in {reading.layer: None for part in parts for reading in part.readings}:
            handles.append(layer.register_forward_hook(_Recorder(uses), prepend=True, with_kwargs=True))
        outputs = function(parameters, X)
    finally:
        for handle in handles:
            handle.remove()
    directions = _directions(outputs.detach(), mixed)
    return View(outputs, directions, parameters, uses, _cotangents(outputs, directions, uses, graph), graph)


def _directions(outputs: Tensor, mixed: bool) -> Tensor:
    """What outputs (n, outputs) are multiplied by, (k, n, outputs): each output alone, or all at random with k = 1."""
    random = torch.Generator().manual_seed(0)
    shape = (1, outputs.shape[1])
    rows = torch.randn(shape, generator=random, dtype=torch.float64) if mixed else torch.eye(shape[1])
    # The same for all points: what belongs to which point is to be seen in what follows.
    return rows.to(outputs)[:, None].expand(-1, len(outputs), -1)


@dataclass(frozen=True)
class _Recorder:
    """Remembers each call of a layer."""

    uses: dict[int, list[_Use]]

    def __call__(self, layer: nn.Module, arguments: tuple, keywords: Mapping[str, Tensor], output: Tensor) -> None:
        read = arguments[0] if arguments else next(iter(keywords.values()))
        # The edge, not the tensor: an activation may overwrite the output in place afterwards.
        use = _Use(read, get_gradient_edge(output), output.shape)
        self.uses.setdefault(id(layer), []).append(use)


def _cotangents(
    outputs: Tensor, directions: Tensor, uses: Mapping[int, Sequence[_Use]], graph: bool
) -> dict[int, list[Tensor]]:
    """Derivatives of outputs in all directions by what each call of a layer returned, (N, k, *shape), by the layer."""
    calls = [use for layer in uses.values() for use in layer]
    columns: list[list[Tensor]] = [[] for _ in calls]
    # Written in place where nothing else is to be remembered: copies into fresh memory take as long as a layer.
    whole = [] if graph else [_room(use, len(directions), outputs) for use in calls]
    for k, direction in enumerate(directions if calls else ()):
        found = torch.autograd.grad(
            outputs, [use.edge for use in calls], direction, retain_graph=True, create_graph=graph, allow_unused=True
        )
        for call, derivative in enumerate(found):
            value = outputs.new_zeros(calls[call].shape) if derivative is None else derivative
            if graph:
                columns[call].append(value)
            else:
                whole[call][:, k] = value
    stacked = iter([torch.stack(column, 1) for column in columns] if graph else whole)
    return {layer: [next(stacked) for _ in calls] for layer, calls in uses.items()}


def _room(use: _Use, outputs: int, like: Tensor) -> Tensor:
    """Uninitialised (N, outputs, *shape) for what a call of a layer returned."""
    rows, *shape = use.shape
    return new_matrix(rows * outputs, prod(shape), like).view(rows, outputs, *shape)


@dataclass(frozen=True, eq=False)
class View:
    """What was seen of a batch of points.

    Attributes:
        outputs: (n, outputs), with the graph of the parameters.
        directions: Combinations of outputs that were differentiated, (k, n, outputs): each output, or one of all.
        parameters: The parameters of that graph.
    """

    outputs: Tensor
    directions: Tensor
    parameters: dict[str, Tensor]
    _uses: dict[int, list[_Use]]
    _derivatives: dict[int, list[Tensor]]
    _graph: bool

    def multiplicity(self, part: Part) -> tuple[int, ...]:
        """Rows that every call of the part's layers had for each point; 0 where they are not a multiple of points."""
        rows = [len(use.input) for reading in part.readings for use in self._uses.get(id(reading.layer), [])]
        whole = [count % len(self.outputs) == 0 for count in rows]
        return tuple(count // len(self.outputs) if fits else 0 for count, fits in zip(rows, whole, strict=True))

    def of(self, part: Part) -> Seen:
        """Inputs and derivatives of a part, gathered over its uses.

        Raises:
            InvalidInput: Where a layer saw rows that do not belong to the points one by one.
        """
        if 0 in (counts := self.multiplicity(part)) or not counts:
            raise InvalidInput(
                f"layers must see every point the same number of times for structured derivatives of {part.names[0]}",
                f"{counts} rows a point in its calls",
                "Choose method='jacobian'",
            )
        inputs, cotangents = [], []
        with torch.set_grad_enabled(self._graph):
            for reading in part.readings:
                layer = id(reading.layer)
                for use, derivative in zip(self._uses[layer], self._derivatives[layer], strict=True):
                    x, d = self._gathered(reading, use.input, derivative)
                    inputs.append(x)
                    cotangents.append(d)
            if len(inputs) == 1:
                return Seen(inputs[0], cotangents[0])
            matrix = isinstance(part.readings[0], MatrixReading)
            if not matrix and len({x.shape for x in inputs}) > 1:
                raise InvalidInput(
                    f"structured derivatives need one shape of inputs for all uses of {part.names[0]}",
                    " and ".join(str(tuple(x.shape)) for x in inputs),
                    "Choose method='jacobian'",
                )
            return Seen(torch.cat(inputs, 2 if matrix else 1), torch.cat(cotangents, 3 if matrix else 2))

    def _gathered(self, reading: LayerReading, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        n, outputs = len(self.outputs), len(self.directions)
        x = x if self._graph else x.detach()
        each = len(x) // n
        if isinstance(reading, GainReading):
            shaped = reading.standardised(x)
            return shaped.reshape(n, each, *shaped.shape[1:]), d.reshape(n, each, *d.shape[1:]).transpose(1, 2)
        a, z = reading.inputs(x), reading.outputs(d.flatten(0, 1))
        if each == 1:
            return a, z.unflatten(0, (n, outputs))
        groups = a.shape[1]
        a = a.reshape(n, each, groups, -1, a.shape[-1]).transpose(1, 2).flatten(2, 3)
        z = z.reshape(n, each, outputs, groups, -1, z.shape[-1]).permute(0, 2, 3, 1, 4, 5).flatten(3, 4)
        return a, z


def gradient_of(part: Part, seen: Seen, directions: Tensor) -> dict[str, Tensor]:
    """Gradient of sum_ia v_ia f_a(x_i) by the parameters of a part, flattened: what reverse mode must find as well.

    Args:
        part: The part.
        seen: What was seen of the points x_i.
        directions: v, (n, outputs).
    """
    reading, found = part.readings[0], {}
    weighted = torch.einsum("na,na...->n...", directions, seen.cotangents)
    if isinstance(reading, GainReading):
        if part.weight is not None:
            found[part.weight] = _gains(reading, seen.inputs * weighted).sum(0)
        if part.bias is not None:
            found[part.bias] = _gains(reading, weighted).sum(0)
        return found
    scale, constant = reading.factors
    if part.weight is not None:
        found[part.weight] = scale * torch.einsum("ngtq,ngtp->gqp", weighted, seen.inputs).flatten()
    if part.bias is not None:
        found[part.bias] = constant * weighted.sum((0, 2)).flatten()
    return found


def _gains(reading: GainReading, values: Tensor) -> Tensor:
    """Sums over the entries (n, uses, *shape) of each gain, (n, gains)."""
    return reading.gathered(values).sum(1)


def factors_of(part: Part, seen: Seen, way: Way, room: Factor | None = None) -> list[Factor]:
    """What is kept of a part for the kernel.

    Args:
        part: The part.
        seen: What was seen of the points.
        way: Whether the gradient of every point and output is formed, now or a slice at a time, or its two factors are
            what is kept.
        room: Where the first factor is to lie, if it is formed: a copy would take as long as a layer.
    """
    reading = part.readings[0]
    if isinstance(reading, GainReading):
        return [GradientFactor(g) for g in _gain_gradients(part, reading, seen)]
    scale, constant = reading.factors
    if way == "gradients":
        target = None if room is None else room.tensors[0]
        return [GradientFactor(g) for g in _matrix_gradients(part, seen, (scale, constant), target)]
    weights = (scale**2 if part.weight is not None else 0.0, constant**2 if part.bias is not None else 0.0)
    inputs, cotangents = seen.inputs[:, 0], seen.cotangents[:, :, 0]
    if part.weight is None:
        inputs = inputs[..., :0]
    if way == "gradients in slices":
        return [SlicedFactor(inputs, cotangents.mT, *weights)]
    if inputs.shape[1] == 1:
        return [OuterFactor(inputs[:, 0], cotangents[:, :, 0], *weights)]
    return [PositionsFactor(inputs, cotangents.transpose(1, 2), *weights)]


def _gain_gradients(part: Part, reading: GainReading, seen: Seen) -> list[Tensor]:
    gradients = []
    n, outputs = seen.cotangents.shape[:2]
    if part.weight is not None:
        values = (seen.inputs[:, None] * seen.cotangents).flatten(0, 1)
        gradients.append(_gains(reading, values))
    if part.bias is not None:
        gradients.append(_gains(reading, seen.cotangents.flatten(0, 1)))
    return [gradient.reshape(n, outputs, -1) for gradient in gradients]


def _matrix_gradients(part: Part, seen: Seen, factors: tuple[float, float], room: Tensor | None) -> list[Tensor]:
    """Gradients (n, outputs, parameters) of a matrix and its biases: sum over t of d_at a_t^T."""
    gradients, (scale, constant) = [], factors
    n, outputs, groups, positions, q = seen.cotangents.shape
    if part.weight is not None:
        p = seen.inputs.shape[3]
        # (n, groups, outputs q, positions) times (n, groups, positions, p): one product a point and group.
        rows = seen.cotangents.permute(0, 2, 1, 4, 3).reshape(n, groups, outputs * q, positions)
        if room is not None and groups == 1:
            torch.bmm(rows[:, 0], seen.inputs[:, 0], out=room.view(n, outputs * q, p))
            gradients.append(room if scale == 1 else room.mul_(scale))
        else:
            products = (rows @ seen.inputs).reshape(n, groups, outputs, q * p).transpose(1, 2).reshape(n, outputs, -1)
            gradients.append(products if scale == 1 else scale * products)
    if part.bias is not None:
        biases = seen.cotangents.sum(3).reshape(n, outputs, groups * q)
        gradients.append(biases if constant == 1 else constant * biases)
    return gradients
