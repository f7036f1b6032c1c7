"""Numba loops of one recurrent layer in single precision: a register of pairs, carried through all steps.

The recursion is that of `_fused_recurrent`, whose tables it reads: near and far are sums of squares, so single
precision keeps near-duplicates. Between steps a pair is near and tangent; far is 1 - near, which the activations that
are served keep away from 0. The polynomials are those of convolutional networks, of six and seven terms.

Every step adds a rounding or two of the tangent, which the steps behind it forget where the layer damps its state: the
caller serves only those. The loops hold no lock and start no thread.
"""

import math

import numpy as np
from numba import njit

from widenet.kernels._fused_conv import arc, fold
from widenet.kernels._fused_lanes import choose, constant, load, memory, read, root, smaller, store, width

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_ROWS = 8  # first sequences that share what is loaded of a register of others


@_loop
def _begin(state, x_first, y_first, step, starts):
    """Start the pairs that begin at a step: unrelated, or in one shared state where both sequences do."""
    for r in range(x_first.shape[0]):
        for lane in range(y_first.shape[0]):
            if max(x_first[r], y_first[lane]) == step:
                state[0, r, lane] = starts[2] if x_first[r] == y_first[lane] else starts[0]
                state[1, r, lane] = 0.0


@_loop
def _step(work, tables, at, sizes, count, numbers):
    """One step of some rows with one register."""
    x, y = tables
    x_at, y_at = at
    rows, n, m = sizes
    one, odd, even, trained = numbers
    lanes = width(work)
    two, four, arcs, whole = one + one, one + one + one + one, even * constant(one, 4 / math.pi), odd + even
    h, b = load(y, y_at), load(y, y_at + m)
    for r in range(count):
        x_h, x_b = read(x, x_at + r), read(x, x_at + n + r)
        across, bias_apart, bias_along = x_h - h, x_b - b, x_b + b
        across = across * across
        near, far = across + bias_apart * bias_apart, across + bias_along * bias_along
        for k in range(2, rows):
            u, v = read(x, x_at + k * n + r), load(y, y_at + k * m)
            apart, along = u - v, u + v
            near, far = near + apart * apart, far + along * along
        hidden, tangent = load(work, r * lanes), load(work, (_ROWS + r) * lanes)
        p = four * x_h * h
        near, far = near + p * hidden, far + p * (one - hidden)
        z = smaller(near, far)
        cosine = one - two * z
        s = root(z)
        turn = s * arc(z, arcs)
        total = trained * choose(near, far, cosine, constant(one, 0.0) - cosine) + p * tangent
        store(work, r * lanes, odd * near + (even * z - z * s * fold(z, even)))
        store(work, (_ROWS + r) * lanes, choose(near, far, whole - turn, odd - even + turn) * total)


@_loop
def recurrent_registers(out, x, y, program, starts, same):
    """Moments of the units at the last step, for all pairs of two sets of sequences, in single precision.

    Args:
        out: Near and tangent, (n, m) each, overwritten.
        x: Table (steps, rows, n) and the step at which each of the sequences begins, (n,), not falling.
        y: The same of the others; their number in the table is a multiple of 16.
        program: Shares of z^2 and |z|^2, 1 if trained.
        starts: Nears of a new pair, and of one where both begin at one step, as in `recurrent_pairs`.
        same: Whether the sets are one, so that only the pairs j >= i are needed.
    """
    near, tangent = out
    x_table, x_first = x
    y_table, y_first = y
    steps, rows, n = x_table.shape
    m = y_table.shape[2]
    tables = memory(x_table.reshape(-1)), memory(y_table)
    lanes = width(tables[1])
    state = np.zeros((2, _ROWS, lanes), y_table.dtype)
    work = memory(state)
    numbers = constant(work, 1.0), constant(work, program[0]), constant(work, program[1]), constant(work, program[2])
    for i in range(0, x_first.shape[0], _ROWS):
        end = min(i + _ROWS, x_first.shape[0])
        for j in range(i - i % lanes if same else 0, y_first.shape[0], lanes):
            last = min(j + lanes, y_first.shape[0])
            settled = max(x_first[end - 1], y_first[last - 1])
            for s in range(max(x_first[i], y_first[j]), steps):
                if s <= settled:
                    _begin(state, x_first[i:end], y_first[j:last], s, starts)
                _step(work, tables, (s * rows * n + i, s * rows * m + j), (rows, n, m), end - i, numbers)
            for r in range(i, end):
                for lane in range(last - j):
                    near[r, j + lane], tangent[r, j + lane] = state[0, r - i, lane], state[1, r - i, lane]
