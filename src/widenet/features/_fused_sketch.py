"""Numba loops of sketches: hashed sums of coordinates, and programs of degree-2 products in tiles of rows.

A tile is as many rows as a register has lanes, stored (numbers, lanes). Rows come dense, (n, d), or as the arrays of
sparse rows; the other of the two is empty. The loops hold no lock and start no thread.
"""

import numpy as np
from numba import njit

from widenet.features.hashing import FIRST, INCREMENT, SECOND
from widenet.kernels._fused_lanes import constant, load, memory, store, width
from widenet.networks._fused_walsh import signed_transform, stages, transpose

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})

_INCREMENT, _FIRST, _SECOND = np.uint64(INCREMENT), np.uint64(FIRST), np.uint64(SECOND)
_ONE, _HALF = np.uint64(1), np.uint64(32)
_GROUP = 8  # dense rows that share one evaluation of the hash


@_loop
def _mixed(key, coordinate):
    """As `hashing.mixed`, for one coordinate."""
    z = key + (np.uint64(coordinate) + _ONE) * _INCREMENT
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@_loop
def _bucket(bits, count):
    return np.int64(((bits >> _HALF) * np.uint64(count)) >> _HALF)


@_loop
def _is_odd(bits):
    return (bits & _ONE) != np.uint64(0)


@_loop
def count_dense(X, keys, out, bounds):
    """Write hashed sums of the rows from bounds[0] up to bounds[1]: one bucket of every part of `out` a coordinate.

    Args:
        X: Rows, (n, d).
        keys: One a part; part r of s holds the columns from r m // s up to (r + 1) m // s.
        out: Result, (n, m).
        bounds: First row, and the one after the last.
    """
    s, m = len(keys), out.shape[1]
    scale = X.dtype.type(1 / np.sqrt(s))
    for first in range(bounds[0], bounds[1], _GROUP):
        last = min(first + _GROUP, bounds[1])
        out[first:last] = 0
        for part in range(s):
            low, high = part * m // s, (part + 1) * m // s
            for k in range(X.shape[1]):
                bits = _mixed(keys[part], k)
                column, sign = low + _bucket(bits, high - low), -scale if _is_odd(bits) else scale
                for row in range(first, last):
                    out[row, column] += sign * X[row, k]


@_loop
def count_sparse(rows, keys, out, bounds):
    """As `count_dense`, for sparse rows.

    Args:
        rows: Their numbers, columns and starts.
        keys: As in `count_dense`.
        out: Result, (n, m).
        bounds: First row, and the one after the last.
    """
    data, columns, starts = rows
    s, m = len(keys), out.shape[1]
    scale = data.dtype.type(1 / np.sqrt(s))
    for row in range(bounds[0], bounds[1]):
        out[row] = 0
        for part in range(s):
            low, high = part * m // s, (part + 1) * m // s
            for at in range(starts[row], starts[row + 1]):
                bits = _mixed(keys[part], columns[at])
                sign = -scale if _is_odd(bits) else scale
                out[row, low + _bucket(bits, high - low)] += sign * data[at]


@_loop
def walsh_sums(rows, key, chosen, out, bounds):
    """Write chosen numbers of H D x, over the root of their number, for sparse rows: one sum each, no transform.

    Args:
        rows: Numbers, columns and starts of sparse rows.
        key: Of the signs.
        chosen: Numbers to write, (m,).
        out: Result, (n, m) or more columns.
        bounds: First row, and the one after the last.
    """
    data, columns, starts = rows
    scale = data.dtype.type(1 / np.sqrt(len(chosen)))
    for row in range(bounds[0], bounds[1]):
        out[row, : len(chosen)] = 0
        for at in range(starts[row], starts[row + 1]):
            k = np.int64(columns[at])
            value = -data[at] * scale if _is_odd(_mixed(key, k)) else data[at] * scale
            for i in range(len(chosen)):
                bits = chosen[i] & k
                for shift in (32, 16, 8, 4, 2, 1):
                    bits ^= bits >> shift
                out[row, i] += -value if bits & 1 else value


@_loop
def _load_rows(X, first, tile):
    """Write as many rows as a register has lanes to a tile (d, lanes), zeros beyond the last row."""
    numbers, source = memory(tile), memory(X.reshape(-1))
    lanes, (n, d) = width(numbers), X.shape
    count = min(lanes, n - first)
    whole = d - d % lanes if count == lanes else 0
    if count < lanes:
        tile[:] = 0
    for k in range(0, whole, lanes):
        transpose(source, (first * d + k, d), numbers, (k * lanes, lanes), X.dtype.type(1))
    for lane in range(count):
        for k in range(whole, d):
            tile[k * lanes + lane] = X[first + lane, k]


@_loop
def _dense_leaf(tile, d, key, size, z):
    """Write the signed coordinates of a tile to z, each to its bucket where there are more than buckets."""
    x, out = memory(tile), memory(z)
    lanes = width(x)
    z[: size * lanes] = 0
    for k in range(d):
        bits = _mixed(key, k)
        place = (k if d <= size else _bucket(bits, size)) * lanes
        value = load(x, k * lanes)
        store(out, place, load(out, place) - value if _is_odd(bits) else load(out, place) + value)


@_loop
def _sparse_leaf(rows, first, d, key, size, z):
    """As `_dense_leaf`, from sparse rows of d coordinates."""
    data, columns, starts = rows
    lanes = width(memory(z))
    z[: size * lanes] = 0
    for lane in range(min(lanes, len(starts) - 1 - first)):
        for at in range(starts[first + lane], starts[first + lane + 1]):
            k = np.int64(columns[at])
            bits = _mixed(key, k)
            place = (k if d <= size else _bucket(bits, size)) * lanes + lane
            z[place] += -data[at] if _is_odd(bits) else data[at]


@_loop
def _store_cells(z, cells, scale, place, out):
    """Write scale z1[p] z2[q] for every cell (p, q) to the rows of a tile, from column place[1] on."""
    first, column = place
    strip = np.empty(width(memory(z[0])) ** 2, out.dtype)
    left, right, products, result = memory(z[0]), memory(z[1]), memory(strip), memory(out.reshape(-1))
    lanes, (n, total) = width(left), out.shape
    rows, m = min(lanes, n - first), cells.shape[1]
    for start in range(0, m, lanes):
        count = min(lanes, m - start)
        for i in range(count):
            p, q = np.int64(cells[0, start + i]), np.int64(cells[1, start + i])
            store(products, i * lanes, load(left, p * lanes) * load(right, q * lanes))
        goal = first * total + column + start
        if count == lanes and rows == lanes:
            transpose(products, (0, lanes), result, (goal, total), scale)
        else:
            for lane in range(rows):
                for i in range(count):
                    out[first + lane, column + start + i] = scale * strip[i * lanes + lane]


@_loop
def _keep_cells(z, cells, scale, value):
    """Write scale z1[p] z2[q] for every cell (p, q) to a tile, and zeros behind them."""
    left, right, kept = memory(z[0]), memory(z[1]), memory(value)
    lanes, m = width(left), cells.shape[1]
    factor = constant(left, scale)
    for i in range(m):
        p, q = np.int64(cells[0, i]), np.int64(cells[1, i])
        store(kept, i * lanes, load(left, p * lanes) * load(right, q * lanes) * factor)
    value[m * lanes :] = 0


@_loop
def products(rows, program, sizes, out, bounds):
    """Write the results of a program of degree-2 products for the tiles from bounds[0] up to bounds[1].

    A node multiplies chosen numbers of H D a and H D b, of two operands a and b: values of earlier nodes, or leaves,
    which are signed and hashed coordinates of the rows.

    Args:
        rows: First and second dense rows (n, d), and the numbers, columns and starts of sparse rows: leaves are of the
            sparse rows where there are any starts, else odd leaves are of the second rows where there are any.
        program: Nodes (N, 7): operands (values from 0 on, leaf t as -1 - t, none as -2^30), first cell, cells to keep
            and the slot of their value, cells to write and their column in `out`. Signs (2 N, W) of operands that are
            values. Cells (2, C). Keys of the leaves. Factors (N, 2) of what is kept and of what is written.
        sizes: Powers of two: numbers of a leaf, numbers W of a value, and slots; and the dimension of sparse rows.
        out: Result, (n, columns).
        bounds: First tile, and the one after the last.
    """
    X, Y, data, columns, starts = rows
    nodes, signs, cells, keys, factors = program
    leaf_size, value_size, slots, dimension = sizes
    lanes = width(memory(out.reshape(-1)))
    first_tile, second_tile = np.empty(X.shape[1] * lanes, out.dtype), np.empty(Y.shape[1] * lanes, out.dtype)
    z = np.empty((2, max(leaf_size, value_size) * lanes), out.dtype)
    values = np.empty((slots, value_size * lanes), out.dtype)
    flat = memory(signs.reshape(-1))
    for number in range(bounds[0], bounds[1]):
        first = number * lanes
        if len(starts) == 0:
            _load_rows(X, first, first_tile)
            if len(Y) > 0:
                _load_rows(Y, first, second_tile)
        for node in range(len(nodes)):
            for side in range(2):
                operand = nodes[node, side]
                if operand >= 0:
                    at = (2 * node + side) * value_size
                    signed_transform(memory(values[operand]), memory(z[side]), value_size, flat, at)
                elif operand == -(2**30):
                    z[side] = 1
                else:
                    leaf = -1 - operand
                    if len(starts) > 0:
                        _sparse_leaf((data, columns, starts), first, dimension, keys[leaf], leaf_size, z[side])
                    elif len(Y) > 0 and leaf % 2 == 1:
                        _dense_leaf(second_tile, Y.shape[1], keys[leaf], leaf_size, z[side])
                    else:
                        _dense_leaf(first_tile, X.shape[1], keys[leaf], leaf_size, z[side])
                    stages(memory(z[side]), leaf_size, 1)
            start, kept, slot, written, column = nodes[node, 2:]
            if kept > 0:
                _keep_cells(z, cells[:, start : start + kept], factors[node, 0], values[slot])
            if written > 0:
                chosen = cells[:, start : start + written]
                _store_cells(z, chosen, factors[node, 1], (first, column), out)
