"""Numba loops of the structured random matrix: blocks H D1 H D2 H D3, applied to samples in lanes.

H is the unnormalised Walsh-Hadamard matrix of size P, a power of two; D1, D2, D3 are diagonals of random signs. A tile
is as many samples as a register has lanes, stored (P, lanes). The loops hold no lock and start no thread:
`blocks.run_tiles` drives them.
"""

import numpy as np
from numba import njit

from widenet.kernels._fused_lanes import choose, constant, load, memory, read, store, width
from widenet.networks._fused_walsh import (
    active,
    add_transposed,
    block_product,
    gated,
    lane_sum,
    store_four,
    transpose,
)

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})


@_loop
def apply(T, signs, scale, out, bounds):
    """Write scale T S^T for the tiles from bounds[0] up to bounds[1].

    Args:
        T: Samples in tiles, (tiles, size, lanes).
        signs: Those of D1, D2 and D3 of all blocks, (3, padded rows).
        scale: Factor of the unnormalised product.
        out: Result, (N, rows), with at most as many rows as the signs are for.
        bounds: First tile, and the one after the last.
    """
    size, rows, lanes, (N, m) = T.shape[1], signs.shape[1], T.shape[2], out.shape
    tiles, flat, units = memory(T.reshape(-1)), memory(signs.reshape(-1)), memory(out.reshape(-1))
    source, result = np.empty(size * lanes, T.dtype), np.empty(size * lanes, T.dtype)
    for number in range(bounds[0], bounds[1]):
        _copy(tiles, number * size * lanes, memory(source), size)
        for start in range(0, rows, size):
            block_product(memory(source), memory(result), size, flat, start, rows)
            samples, count = min(lanes, N - number * lanes), min(size, m - start)
            squares = count - count % lanes if samples == lanes else 0
            for row in range(0, squares, lanes):
                goal = number * lanes * m + start + row
                transpose(memory(result), (row * lanes, lanes), units, (goal, m), scale)
            for lane in range(samples):
                for row in range(squares, count):
                    out[number * lanes + lane, start + row] = scale * result[row * lanes + lane]


@_loop
def _copy(x, at, out, rows):
    lanes = width(x)
    for row in range(rows):
        store(out, row * lanes, load(x, at + row * lanes))


@_loop
def apply_transposed(G, signs, scale, out, bounds):
    """Write scale G S for the tiles from bounds[0] up to bounds[1].

    Args:
        G: Samples, (N, rows).
        signs: As in `apply`.
        scale: Factor of the unnormalised product.
        out: Result in tiles, (tiles, size, lanes).
        bounds: As in `apply`.
    """
    size, rows, lanes, (N, m) = out.shape[1], signs.shape[1], out.shape[2], G.shape
    flat, units, one = memory(signs.reshape(-1)), memory(G.reshape(-1)), G.dtype.type(1)
    total, block = np.empty(size * lanes, G.dtype), np.empty(size * lanes, G.dtype)
    for number in range(bounds[0], bounds[1]):
        total[:] = 0
        for start in range(0, rows, size):
            samples, count = min(lanes, N - number * lanes), min(size, m - start)
            squares = count - count % lanes if samples == lanes else 0
            if squares < size:
                block[:] = 0
            for row in range(0, squares, lanes):
                place = number * lanes * m + start + row
                transpose(units, (place, m), memory(block), (row * lanes, lanes), one)
            for lane in range(samples):
                for row in range(squares, count):
                    block[row * lanes + lane] = G[number * lanes + lane, start + row]
            add_transposed(memory(block), memory(total), size, flat, start, rows)
        _store_scaled(total, scale, out, number)


@_loop
def _store_scaled(total, scale, out, number):
    tile = out[number].reshape(-1)
    for i in range(len(total)):
        tile[i] = scale * total[i]


@_loop
def _units(source, block, layer, start, count):
    """Write relu(scale S t + bias) of one block of units to `block`."""
    signs, bias, _, scale = layer
    lanes, rows = width(memory(block)), signs.shape[1]
    x, biases, biased = memory(block), memory(bias), len(bias) > 0
    zero, factor = constant(x, 0.0), constant(x, scale)
    block_product(memory(source), x, len(block) // lanes, memory(signs.reshape(-1)), start, rows)
    for row in range(count):
        z = load(x, row * lanes) * factor
        if biased:
            z = z + read(biases, start + row)
        store(x, row * lanes, choose(zero, z, z, zero))


@_loop
def _add_readout(z, A, start, count, sums):
    """Add A z to the sums of every output: A (outputs, m) from column `start` on, z (count, lanes)."""
    lanes, m = width(z), A.shape[1]
    weights, totals = memory(A.reshape(-1)), memory(sums)
    whole, fours = count - count % 4, A.shape[0] - A.shape[0] % 4
    for output in range(0, fours, 4):  # each number of z is loaded once for four outputs
        at, place = output * m + start, output * lanes
        a, b = load(totals, place), load(totals, place + lanes)
        c, d = load(totals, place + 2 * lanes), load(totals, place + 3 * lanes)
        for row in range(count):
            value = load(z, row * lanes)
            a = a + value * read(weights, at + row)
            b = b + value * read(weights, at + m + row)
            c = c + value * read(weights, at + 2 * m + row)
            d = d + value * read(weights, at + 3 * m + row)
        store_four(totals, place, lanes, (a, b, c, d))
    for output in range(fours, A.shape[0]):
        at = output * m + start
        a, b = load(totals, output * lanes), constant(z, 0.0)
        c, d = constant(z, 0.0), constant(z, 0.0)
        for row in range(0, whole, 4):
            a = a + load(z, row * lanes) * read(weights, at + row)
            b = b + load(z, (row + 1) * lanes) * read(weights, at + row + 1)
            c = c + load(z, (row + 2) * lanes) * read(weights, at + row + 2)
            d = d + load(z, (row + 3) * lanes) * read(weights, at + row + 3)
        for row in range(whole, count):
            a = a + load(z, row * lanes) * read(weights, at + row)
        store(totals, output * lanes, (a + b) + (c + d))


@_loop
def readout(T, layer, F, gates, bounds):
    """Write F = relu(scale T S^T + bias) A^T and which units are active for the tiles from bounds[0] up to bounds[1].

    Args:
        T: Samples in tiles, (tiles, size, lanes).
        layer: Signs as in `apply`; biases, (m,) or (0,) for none; readout A, (outputs, m); factor of the unnormalised
            product.
        F: Outputs in tiles, (tiles, outputs, lanes).
        gates: One bit for each sample, (tiles, m).
        bounds: As in `apply`.
    """
    signs, _, A, _ = layer
    size, lanes, (outputs, m) = T.shape[1], T.shape[2], A.shape
    source, block = np.empty(size * lanes, T.dtype), np.empty(size * lanes, T.dtype)
    sums = np.empty(outputs * lanes, T.dtype)
    for number in range(bounds[0], bounds[1]):
        _copy(memory(T.reshape(-1)), number * size * lanes, memory(source), size)
        sums[:] = 0
        for start in range(0, signs.shape[1], size):
            count = min(size, m - start)
            _units(source, block, layer, start, count)
            for row in range(count):
                gates[number, start + row] = active(load(memory(block), row * lanes))
            _add_readout(memory(block), A, start, count, sums)
        _copy(memory(sums), 0, memory(F[number].reshape(-1)), outputs)


@_loop
def _unit_gradient(r, weights, shape, unit, bits):
    """Gradient by what one unit reads: the weighted sum of those by the outputs, where it is active.

    The readout comes as its memory and its shape (outputs, m): an array would be counted at every unit.
    """
    lanes, value = width(r), constant(r, 0.0)
    for output in range(shape[0]):
        value = value + load(r, output * lanes) * read(weights, output * shape[1] + unit)
    return gated(value, bits)


@_loop
def _store_unit_gradients(r, weights, shape, unit, bits, place):
    """The same of four units one after the other, written to a place of a memory; each r is loaded once for them."""
    lanes = width(r)
    a, b, c, d = constant(r, 0.0), constant(r, 0.0), constant(r, 0.0), constant(r, 0.0)
    for output in range(shape[0]):
        value, at = load(r, output * lanes), output * shape[1] + unit
        a = a + value * read(weights, at)
        b = b + value * read(weights, at + 1)
        c = c + value * read(weights, at + 2)
        d = d + value * read(weights, at + 3)
    a, b, c, d = gated(a, bits[0]), gated(b, bits[1]), gated(c, bits[2]), gated(d, bits[3])
    store_four(place[0], place[1], lanes, (a, b, c, d))


@_loop
def inner_gradient(R, layer, gates, out, bounds):
    """Write the gradient of sum(R F) by T, with F and the gates of `readout`.

    Args:
        R: Gradient by F in tiles, (tiles, outputs, lanes).
        layer: As in `readout`.
        gates: As `readout` wrote them.
        out: Result in tiles, (tiles, size, lanes).
        bounds: As in `apply`.
    """
    signs, _, A, scale = layer
    size, lanes, m = out.shape[1], out.shape[2], A.shape[1]
    total, block = np.empty(size * lanes, R.dtype), np.empty(size * lanes, R.dtype)
    weights = memory(A.reshape(-1))
    for number in range(bounds[0], bounds[1]):
        r = memory(R[number].reshape(-1))
        total[:] = 0
        for start in range(0, signs.shape[1], size):
            count = min(size, m - start)
            if count < size:
                block[:] = 0
            for row in range(0, count - count % 4, 4):
                unit = start + row
                bits = (
                    np.int64(gates[number, unit]),
                    np.int64(gates[number, unit + 1]),
                    np.int64(gates[number, unit + 2]),
                    np.int64(gates[number, unit + 3]),
                )
                _store_unit_gradients(r, weights, A.shape, unit, bits, (memory(block), row * lanes))
            for row in range(count - count % 4, count):
                one = np.int64(gates[number, start + row])
                store(memory(block), row * lanes, _unit_gradient(r, weights, A.shape, start + row, one))
            add_transposed(memory(block), memory(total), size, memory(signs.reshape(-1)), start, signs.shape[1])
        _store_scaled(total, scale, out, number)


@_loop
def outer_gradient(T, R, layer, gates, results, bounds):
    """Add the gradients of sum(R F) by the bias and the readout for the blocks from bounds[0] up to bounds[1].

    Args:
        T: As in `readout`.
        R: Gradient by F in tiles, (tiles, outputs, lanes).
        layer: As in `readout`.
        gates: As `readout` wrote them.
        results: Gradients by the bias, (m,) or (0,) for none, and by the readout, (outputs, m) or (0, 0) for none.
        bounds: First block, and the one after the last.
    """
    (_, _, A, _), (of_bias, of_A) = layer, results
    size, lanes, (outputs, m) = T.shape[1], T.shape[2], A.shape
    source, block = np.empty(size * lanes, T.dtype), np.empty(size * lanes, T.dtype)
    weights = memory(A.reshape(-1))
    for number in range(T.shape[0]):
        r = memory(R[number].reshape(-1))
        if len(of_A) > 0:
            _copy(memory(T.reshape(-1)), number * size * lanes, memory(source), size)
        for start in range(bounds[0] * size, bounds[1] * size, size):
            count = min(size, m - start)
            if len(of_bias) > 0:
                for unit in range(start, start + count):
                    bits = np.int64(gates[number, unit])
                    of_bias[unit] += lane_sum(_unit_gradient(r, weights, A.shape, unit, bits))
            if len(of_A) > 0:
                _units(source, block, layer, start, count)
                for output in range(outputs):
                    weight = load(r, output * lanes)
                    for row in range(count):
                        of_A[output, start + row] += lane_sum(load(memory(block), row * lanes) * weight)
