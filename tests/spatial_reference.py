"""Kernels of convolutional networks by plain loops over positions, in any arithmetic: what tests compare with."""

from dataclasses import dataclass
from itertools import product
from math import acos, ceil, pi, prod, sin, sqrt

import mpmath
import numpy as np


@dataclass
class Step:
    """One layer: "conv", "relu", "average", "sum", "flatten", "dense", with what it needs."""

    kind: str
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: str = "valid"
    weight: float = 1.0
    bias: float = 0.0


def windows_of(step: Step, shape: tuple[int, ...]) -> dict[tuple[int, ...], list[tuple[int, ...] | None]]:
    """For every window the positions that its entries read, None for one outside."""
    along = []
    for length, size, stride in zip(shape, step.size, step.stride, strict=True):
        count = (length - size) // stride + 1 if step.padding == "valid" else ceil(length / stride)
        total = 0 if step.padding == "valid" else max((count - 1) * stride + size - length, 0)
        rows = [[o * stride + w - total // 2 for w in range(size)] for o in range(count)]
        if step.padding == "circular":
            rows = [[p % length for p in row] for row in rows]
        along.append([[p if 0 <= p < length else None for p in row] for row in rows])
    result = {}
    for o in product(*(range(len(rows)) for rows in along)):
        entries = product(*(rows[i] for rows, i in zip(along, o, strict=True)))
        result[o] = [None if None in entry else entry for entry in entries]
    return result


def _relu(own_x, own_y, cross, exact: bool):
    """E[relu relu] and E[relu' relu'], by the arc cosine; zeros have the slope 0."""
    if own_x == 0 or own_y == 0:
        return 0.0, 0.0
    root, arc, sine, half = (mpmath.sqrt, mpmath.acos, mpmath.sin, mpmath.pi) if exact else (sqrt, acos, sin, pi)
    size = root(own_x * own_y)
    cosine = max(min(cross / size, 1), -1)
    theta = arc(cosine)
    return size * (sine(theta) + (half - theta) * cosine) / (2 * half), (half - theta) / (2 * half)


def kernels(steps: list[Step], x: np.ndarray, y: np.ndarray, exact: bool = False):
    """NNGP and NTK of two images (*positions, channels), with mpmath numbers where `exact`."""
    number = mpmath.mpf if exact else float
    shape, channels = x.shape[:-1], x.shape[-1]
    places = list(product(*map(range, shape)))
    points = {"x": x, "y": y}
    state = {
        a + b: {
            (p, q): sum(number(points[a][p][c]) * number(points[b][q][c]) for c in range(channels)) / channels
            for p in places
            for q in places
        }
        for a, b in ("xx", "yy", "xy")
    }
    tangent = dict.fromkeys(state["xy"], number(0))
    for step in steps:
        w, b = number(step.weight) ** 2, number(step.bias) ** 2
        if step.kind in ("conv", "average", "sum"):
            sources = windows_of(step, shape)
            shape = tuple(max(o[i] for o in sources) + 1 for i in range(len(shape)))
            turn = _convolved if step.kind == "conv" else _pooled
            divisor = {"conv": prod(step.size), "average": prod(step.size) ** 2, "sum": 1}[step.kind]
            state = {key: turn(values, sources, divisor) for key, values in state.items()}
            tangent = turn(tangent, sources, divisor)
        elif step.kind == "relu":
            old = {key: dict(values) for key, values in state.items()}
            for key, (a, c) in {"xx": "xx", "yy": "yy", "xy": "xy"}.items():
                for p, q in old[key]:
                    pair = old[a + a][p, p], old[c + c][q, q], old[key][p, q]
                    value, slope = _relu(*pair, exact)
                    state[key][p, q] = value
                    if key == "xy":
                        tangent[p, q] *= slope
        elif step.kind == "flatten":
            count = prod(shape)
            equal = [(p, p) for p in product(*map(range, shape))]
            state = {key: {((), ()): sum(values[e] for e in equal) / count} for key, values in state.items()}
            tangent = {((), ()): sum(tangent[e] for e in equal) / count}
            shape = ()
        if step.kind in ("conv", "dense"):
            state = {key: {e: w * v + b for e, v in values.items()} for key, values in state.items()}
            tangent = {e: w * v + state["xy"][e] for e, v in tangent.items()}
    ((covariance,), (final,)) = state["xy"].values(), tangent.values()
    return covariance, final


def _convolved(values: dict, sources: dict, divisor: int) -> dict:
    """Both positions of a pair move alike: entry w of one window meets entry w of the other."""
    return {
        (o, p): sum(values.get(pair, 0) for pair in zip(sources[o], sources[p], strict=True)) / divisor
        for o, p in product(sources, sources)
    }


def _pooled(values: dict, sources: dict, divisor: int) -> dict:
    """Every entry of one window meets every entry of the other."""
    return {
        (o, p): sum(values.get(pair, 0) for pair in product(sources[o], sources[p])) / divisor
        for o, p in product(sources, sources)
    }
