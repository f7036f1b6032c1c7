"""Which convolutional networks the fused loops serve, and their compilation to plans."""

from dataclasses import dataclass, replace
from functools import lru_cache

from widenet.architectures import (
    AbsLinear,
    AvgPool,
    BranchSum,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalSumPool,
    Identity,
    Layer,
    LayerNorm,
    Pool,
    Repeat,
    Scale,
    Serial,
    Window,
    serial,
    windows,
)
from widenet.kernels import _fused_conv as loops
from widenet.kernels.conv_plan import Grid, Plan, Step

_POINT = Window(1, 1, "valid")


class _NotServed(Exception):
    """The network has a part that the fused loops do not have."""


@lru_cache(maxsize=128)
def plan_of(architecture: Layer, positions: tuple[int, ...]) -> Plan | None:
    """The steps of a network on images of one size; None where it has other layers or another form.

    Args:
        architecture: The network.
        positions: Sizes of the images, one or two.
    """
    layers = architecture.layers if isinstance(architecture, Serial) else (architecture,)
    ends = [i for i, layer in enumerate(layers) if isinstance(layer, (Flatten, GlobalAveragePool, GlobalSumPool))]
    if len(ends) != 1 or len(positions) not in (1, 2):
        return None
    tail = serial(*layers[ends[0] + 1 :])
    flattens = isinstance(layers[ends[0]], Flatten)
    compiler = _Compiler(len(positions), tuple(positions))
    try:
        state = compiler.read(serial(*layers[: ends[0]]), compiler.inputs, frozenset())
        compiler.finish(state, layers[ends[0]])
    except _NotServed:
        return None
    if not (is_linear(tail) or (flattens and _starts_dense(tail))):
        return None
    return Plan(
        tuple(compiler.steps),
        tuple(compiler.grids),
        tuple(compiler.segments),
        compiler.slots,
        compiler.wraps,
        compiler.rows,
        compiler.firsts,
        flattens,
        tail,
    )


def is_linear(layer: Layer) -> bool:
    """Whether a layer is a chain of Dense layers and factors."""
    if isinstance(layer, Serial):
        return all(map(is_linear, layer.layers))
    if isinstance(layer, Repeat):
        return is_linear(layer.layer)
    return isinstance(layer, (Identity, Scale)) or (isinstance(layer, Dense) and layer.fan_in_scaling == "inverse")


def _starts_dense(layer: Layer) -> bool:
    return isinstance(layer, Serial) and isinstance(layer.layers[0], Dense) and is_linear(layer.layers[0])


@dataclass(frozen=True)
class _State:
    """Where the units of a layer stand: their slot, -1 for the inputs; their grid; what they still go through."""

    slot: int
    grid: int
    factor: float = 1.0
    activation: AbsLinear | None = None
    signed: bool = True


class _Compiler:
    """Reads layers in their order of application, and writes steps."""

    def __init__(self, axes: int, positions: tuple[int, ...]) -> None:
        self.axes, self.wraps, self.plain = axes, False, False
        sizes = (1, positions[0]) if axes == 1 else (positions[0], positions[1])
        self.steps, self.grids, self.segments = list[Step](), [Grid(0, sizes)], [0]
        self.slots = self.rows = self.firsts = 0
        self.inputs = _State(-1, 0)

    def read(self, layer: Layer, state: _State, kept: frozenset[int]) -> _State:
        """The state after a layer; slots in `kept` are not written to."""
        if isinstance(layer, Serial):
            for part in layer.layers:
                state = self.read(part, state, kept)
            return state
        if isinstance(layer, Repeat):
            for _ in range(layer.times):
                state = self.read(layer.layer, state, kept)
            return state
        if isinstance(layer, Identity):
            return state
        if isinstance(layer, Scale):
            return replace(state, factor=state.factor * layer.factor**2)
        if isinstance(layer, AbsLinear):
            return self._activation(layer, state)
        if isinstance(layer, BranchSum):
            return self._sum(layer, state, kept)
        if isinstance(layer, (Conv, Dense)):
            return self._weights(layer, state, kept)
        if isinstance(layer, LayerNorm):
            return self._normalisation(state, kept)
        if isinstance(layer, Pool):
            return self._pool(layer, state, kept)
        raise _NotServed

    def _activation(self, layer: AbsLinear, state: _State) -> _State:
        # Nearly odd ones keep opposite points opposite, which the signed near of a state after them would not tell.
        if state.slot < 0 or state.activation is not None or layer.absolute == 0 or _odd(layer) > 0.9:
            raise _NotServed
        return replace(state, activation=layer)

    def _weights(self, layer: Conv | Dense, state: _State, kept: frozenset[int]) -> _State:
        if layer.bias_std > 0 and layer.bias_init != "normal":
            raise _NotServed  # units that are exactly 0 then have a tangent
        if isinstance(layer, Dense) and layer.fan_in_scaling != "inverse":
            raise _NotServed
        if isinstance(layer, Conv) and layer.init != "gaussian":
            raise _NotServed
        along = windows(layer, self.axes) if isinstance(layer, Conv) else (_POINT,) * self.axes
        along = (_POINT, *along) if self.axes == 1 else along
        grid = self._grid_after(along, state.grid)
        gain = self._gain(state) * layer.weight_std**2 / (along[0].size * along[1].size)
        first = state.slot < 0
        target = self._slot(state, kept)
        signed = (first or state.signed) if state.activation is None else _odd(state.activation) > 0.5
        same = all(w.size == 3 and w.stride == 1 and w.padding == "same" for w in along)
        step = replace(
            _reading(loops.FIRST if first else loops.CONVOLUTION, state, gain),
            target=target,
            grid_after=grid,
            trained=layer.trainable,
            signed=signed,
            roots=0 if first else self._table(state.grid),
            inverses=self._table(grid),
            fast=same,
            bias=layer.bias_std**2,
        )
        self.steps.append(self._with_windows(step, along))
        self.firsts += first
        return _State(target, grid, signed=signed)

    def _with_windows(self, step: Step, along: tuple[Window, ...]) -> Step:
        (rows, columns), sizes = along, self.grids[step.grid].sizes
        return replace(
            step,
            rows=rows.size,
            columns=columns.size,
            stride=rows.stride,
            stride_columns=columns.stride,
            pad=rows.pads(sizes[0])[0],
            pad_columns=columns.pads(sizes[1])[0],
        )

    def _gain(self, state: _State) -> float:
        activation = state.activation
        return state.factor * (1.0 if activation is None else activation.linear**2 + activation.absolute**2)

    def _grid_after(self, along: tuple[Window, ...], grid: int) -> int:
        """The grid after windows; those that wrap around and those that do not cannot be in one network."""
        before = self.grids[grid]
        for window, length in zip(along, before.sizes, strict=True):
            if window.padding == "circular" and (window.size > 1 or window.stride > 1):
                self.wraps = True
                if length % window.stride:
                    raise _NotServed
            elif window.size > 1 or window.stride > 1:
                self.plain = True
        if self.wraps and self.plain:
            raise _NotServed
        sizes = tuple(window.count(length) for window, length in zip(along, before.sizes, strict=True))
        strides = tuple(window.stride * stride for window, stride in zip(along, before.strides, strict=True))
        return self._grid(Grid(before.segment, (sizes[0], sizes[1]), (strides[0], strides[1])))

    def _grid(self, grid: Grid) -> int:
        if grid not in self.grids:
            self.grids.append(grid)
        return self.grids.index(grid)

    def _slot(self, state: _State, kept: frozenset[int]) -> int:
        if state.slot >= 0 and state.slot not in kept:
            return state.slot
        free = next(slot for slot in range(len(kept) + 2) if slot not in kept and slot != state.slot)
        self.slots = max(self.slots, free + 1)
        return free

    def _table(self, grid: int) -> int:
        start, (rows, columns) = self.rows, self.grids[grid].sizes
        self.rows += rows * columns
        return start

    def _sum(self, layer: BranchSum, state: _State, kept: frozenset[int]) -> _State:
        results = list[_State]()
        for branch in layer.branches:
            inside = kept | {result.slot for result in results} | {state.slot}
            results.append(self.read(branch, state, inside - {-1}))
        total = results[0]
        for result in results[1:]:
            total = self._addition(total, result, kept)
        return total

    def _addition(self, first: _State, second: _State, kept: frozenset[int]) -> _State:
        states = (first, second)
        if min(first.slot, second.slot) < 0 or any(state.activation is not None for state in states):
            raise _NotServed
        if first.grid != second.grid:
            raise _NotServed
        target = next((state.slot for state in states if state.slot not in kept), -1)
        if target < 0:
            target = self._slot(first, kept | {second.slot})
        roots, other = self._table(first.grid), self._table(first.grid)
        self.steps.append(
            Step(
                loops.ADDITION,
                source=first.slot,
                other=second.slot,
                target=target,
                grid=first.grid,
                roots=roots,
                other_roots=other,
                inverses=self._table(first.grid),
                gain=first.factor,
                other_gain=second.factor,
            )
        )
        return _State(target, first.grid, signed=True)

    def _normalisation(self, state: _State, kept: frozenset[int]) -> _State:
        if state.slot < 0 or state.activation is not None:
            raise _NotServed
        target, inverses = self._slot(state, kept), self._table(state.grid)
        step = Step(loops.NORMALISATION, source=state.slot, target=target, grid=state.grid, inverses=inverses)
        self.steps.append(step)
        return _State(target, state.grid, signed=state.signed)

    def _pool(self, layer: Pool, state: _State, kept: frozenset[int]) -> _State:
        along = windows(layer, self.axes)
        along = (_POINT, *along) if self.axes == 1 else along
        sizes = self.grids[state.grid].sizes
        whole = all(w.size == w.stride and not n % w.stride for w, n in zip(along, sizes, strict=True))
        if state.slot < 0 or kept or (not whole and any(w.padding == "circular" for w in along)):
            raise _NotServed
        self.plain = self.plain or not whole
        count = along[0].size * along[1].size
        segment = self.grids[state.grid].segment + 1
        counts = tuple(window.count(length) for window, length in zip(along, sizes, strict=True))
        grid, buffer = self._grid(Grid(segment, (counts[0], counts[1]))), 2 * (segment % 2)
        gain = self._gain(state) * (count**-2.0 if isinstance(layer, AvgPool) else 1.0)
        step = _reading(loops.POOLING, state, gain)
        step = replace(step, target=buffer, grid_after=grid, roots=self._table(state.grid))
        self.steps.append(self._with_windows(step, along))
        self.segments.append(len(self.steps))
        self.steps.append(Step(loops.POOLED, source=buffer, grid=grid, inverses=self._table(grid)))
        return _State(0, grid)

    def finish(self, state: _State, layer: Layer) -> None:
        """Write the output."""
        if state.slot < 0 or (self.wraps and self.plain):
            raise _NotServed
        rows, columns = self.grids[state.grid].sizes
        flattens, count = isinstance(layer, Flatten), rows * columns
        gain = self._gain(state) * (1 / count if flattens else 1.0)
        gain *= count**-2.0 if isinstance(layer, GlobalAveragePool) else 1.0
        step = replace(_reading(loops.OUTPUT, state, gain), signed=flattens, roots=self._table(state.grid))
        self.steps.append(replace(step, inverses=self.rows))
        self.rows += 1
        ends = [self.grids[self.steps[start - 1].grid] for start in self.segments[1:]] + [self.grids[state.grid]]
        for grid in self.grids:
            last = ends[grid.segment]
            if any(a % b for a, b in zip(last.strides, grid.strides, strict=True)):
                raise _NotServed


def _odd(activation: AbsLinear) -> float:
    return activation.linear**2 / (activation.linear**2 + activation.absolute**2)


def _reading(kind: int, state: _State, gain: float) -> Step:
    """A step that reads a state through its activation."""
    step = Step(kind, source=max(state.slot, 0), grid=state.grid, gain=gain)
    if state.activation is None:
        return step
    odd = _odd(state.activation)
    return replace(step, activation=loops.WHOLE if state.signed else loops.HALF, odd=odd, even=1 - odd)
