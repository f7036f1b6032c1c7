"""Numba loops of the structured random matrix: blocks H D1 H D2 H D3, applied to samples in lanes.

H is the unnormalised Walsh-Hadamard matrix of size P, a power of two; D1, D2, D3 are diagonals of random signs. A tile
is as many samples as a register has lanes, stored (P, lanes): every butterfly is then one addition and one subtraction
of whole registers, and sixteen rows at a time stay in registers for four stages.
The loops hold no lock and start no thread: `blocks.run_tiles` drives them.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import signature

from widenet.kernels._fused_lanes import Lanes, choose, constant, intrinsic, load, memory, read, store, width

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})


@intrinsic
def active(typingctx, value):
    """One bit for each lane: whether it is above 0."""

    def generate(context, builder, sig, args):
        zero = ir.Constant(args[0].type, [ir.Constant(args[0].type.element, 0.0)] * value.count)
        bits = builder.bitcast(builder.fcmp_ordered(">", args[0], zero), ir.IntType(value.count))
        return builder.zext(bits, ir.IntType(64))

    return signature(types.int64, value), generate


@intrinsic
def gated(typingctx, value, bits):
    """The lanes whose bit is set, 0 in the others."""

    def generate(context, builder, sig, args):
        word = builder.trunc(builder.sext(args[1], ir.IntType(64)), ir.IntType(value.count))
        mask = builder.bitcast(word, ir.VectorType(ir.IntType(1), value.count))
        zero = ir.Constant(args[0].type, [ir.Constant(args[0].type.element, 0.0)] * value.count)
        return builder.select(mask, args[0], zero)

    return signature(value, value, types.int64), generate


@intrinsic
def lane_sum(typingctx, value):
    """The sum of all lanes."""

    def generate(context, builder, sig, args):
        vector, half = args[0], value.count // 2
        while half:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), value.count), [i ^ half for i in range(value.count)])
            vector = builder.fadd(vector, builder.shuffle_vector(vector, vector, mask))
            half //= 2
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return signature(value.dtype, value), generate


@intrinsic
def _transpose(typingctx, source, place, target, goal, scale):
    """Write a square of as many rows as lanes, transposed and scaled; a place is (first number, numbers a row)."""
    from_type = Lanes(source.dtype)

    def generate(context, builder, sig, args):
        data, (at, step), out, (to, leap) = args[0], _pair(builder, args[1]), args[2], _pair(builder, args[3])
        count, vector = from_type.count, context.get_value_type(from_type)
        align = from_type.dtype.bitwidth // 8

        def pointer(memory, first, between, row):
            index = builder.add(first, builder.mul(between, ir.Constant(between.type, row)))
            return builder.bitcast(builder.gep(memory, [index]), vector.as_pointer())

        rows = [builder.load(pointer(data, at, step, row), align=align) for row in range(count)]
        distance = 1
        while distance < count:
            rows = _exchanged(builder, rows, distance)
            distance *= 2
        factor = builder.insert_element(ir.Constant(vector, ir.Undefined), args[4], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
        factor = builder.shuffle_vector(factor, ir.Constant(vector, ir.Undefined), zeros)
        for row, value in enumerate(rows):
            builder.store(builder.fmul(value, factor), pointer(out, to, leap, row), align=align)
        return context.get_dummy_value()

    return signature(types.none, source, place, target, goal, source.dtype), generate


def _pair(builder, pair):
    return builder.extract_value(pair, 0), builder.extract_value(pair, 1)


def _exchanged(builder, rows, distance):
    """One stage of a transposition: rows i and i + distance exchange the lanes that differ from them in that bit."""
    count, result = len(rows), list(rows)
    lanes, kind = range(count), ir.VectorType(ir.IntType(32), count)
    upper = [count + lane - distance if lane & distance else lane for lane in lanes]
    lower = [count + lane if lane & distance else lane + distance for lane in lanes]
    for row in range(count):
        if not row & distance:
            a, b = rows[row], rows[row + distance]
            result[row] = builder.shuffle_vector(a, b, ir.Constant(kind, upper))
            result[row + distance] = builder.shuffle_vector(a, b, ir.Constant(kind, lower))
    return result


@_loop
def _four(a, b, c, d):
    e, f, g, h = a + b, a - b, c + d, c - d
    return e + g, f + h, e - g, f - h


@_loop
def _four_rows(x, at, step):
    return _four(load(x, at), load(x, at + step), load(x, at + 2 * step), load(x, at + 3 * step))


@_loop
def _four_signed(x, row, signs, sign):
    lanes = width(x)
    at = row * lanes
    return _four(
        load(x, at) * read(signs, sign),
        load(x, at + lanes) * read(signs, sign + 1),
        load(x, at + 2 * lanes) * read(signs, sign + 2),
        load(x, at + 3 * lanes) * read(signs, sign + 3),
    )


@_loop
def _store_four(x, at, step, values):
    store(x, at, values[0])
    store(x, at + step, values[1])
    store(x, at + 2 * step, values[2])
    store(x, at + 3 * step, values[3])


@_loop
def _store_sixteen(x, at, step, groups):
    """Two more stages across four groups of four registers, which are then stored."""
    a, b, c, d = groups
    _store_four(x, at, 4 * step, _four(a[0], b[0], c[0], d[0]))
    _store_four(x, at + step, 4 * step, _four(a[1], b[1], c[1], d[1]))
    _store_four(x, at + 2 * step, 4 * step, _four(a[2], b[2], c[2], d[2]))
    _store_four(x, at + 3 * step, 4 * step, _four(a[3], b[3], c[3], d[3]))


@_loop
def _stages(x, size, stride):
    """The stages of H from a stride on, in place; `x` is (size, lanes)."""
    lanes = width(x)
    while stride < size:
        step = stride * lanes
        if stride * 16 <= size:
            for start in range(0, size, 16 * stride):
                for row in range(start, start + stride):
                    at = row * lanes
                    a, b = _four_rows(x, at, step), _four_rows(x, at + 4 * step, step)
                    c, d = _four_rows(x, at + 8 * step, step), _four_rows(x, at + 12 * step, step)
                    _store_sixteen(x, at, step, (a, b, c, d))
            stride *= 16
        elif stride * 4 <= size:
            for start in range(0, size, 4 * stride):
                for row in range(start, start + stride):
                    _store_four(x, row * lanes, step, _four_rows(x, row * lanes, step))
            stride *= 4
        else:
            for start in range(0, size, 2 * stride):
                for row in range(start, start + stride):
                    a, b = load(x, row * lanes), load(x, row * lanes + step)
                    store(x, row * lanes, a + b)
                    store(x, row * lanes + step, a - b)
            stride *= 2


@_loop
def _signed_transform(source, x, size, signs, sign):
    """Write H D source to x, which may be the source; the signs of D stand from `sign` on. The size is 16 or more."""
    lanes = width(x)
    for row in range(0, size, 16):
        at = sign + row
        a, b = _four_signed(source, row, signs, at), _four_signed(source, row + 4, signs, at + 4)
        c, d = _four_signed(source, row + 8, signs, at + 8), _four_signed(source, row + 12, signs, at + 12)
        _store_sixteen(x, row * lanes, lanes, (a, b, c, d))
    _stages(x, size, 16)


@_loop
def _block(source, x, size, signs, start, rows):
    """Write H D1 H D2 H D3 source to x; the signs are those of a block that starts at row `start` of `rows`."""
    for stage in range(2, -1, -1):
        _signed_transform(source, x, size, signs, stage * rows + start)
        source = x


@_loop
def _add_transposed(x, total, size, signs, start, rows):
    """Add D3 H D2 H D1 H x to the total; x is lost."""
    lanes = width(x)
    _stages(x, size, 1)
    for stage in range(2):
        _signed_transform(x, x, size, signs, stage * rows + start)
    for row in range(size):
        term = load(x, row * lanes) * read(signs, 2 * rows + start + row)
        store(total, row * lanes, load(total, row * lanes) + term)


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
            _block(memory(source), memory(result), size, flat, start, rows)
            samples, count = min(lanes, N - number * lanes), min(size, m - start)
            squares = count - count % lanes if samples == lanes else 0
            for row in range(0, squares, lanes):
                goal = number * lanes * m + start + row
                _transpose(memory(result), (row * lanes, lanes), units, (goal, m), scale)
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
                _transpose(units, (place, m), memory(block), (row * lanes, lanes), one)
            for lane in range(samples):
                for row in range(squares, count):
                    block[row * lanes + lane] = G[number * lanes + lane, start + row]
            _add_transposed(memory(block), memory(total), size, flat, start, rows)
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
    _block(memory(source), x, len(block) // lanes, memory(signs.reshape(-1)), start, rows)
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
        _store_four(totals, place, lanes, (a, b, c, d))
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
def _unit_gradient(r, A, unit, bits):
    """Gradient by what one unit reads: the weighted sum of those by the outputs, where it is active."""
    lanes, m = width(r), A.shape[1]
    weights, value = memory(A.reshape(-1)), constant(r, 0.0)
    for output in range(A.shape[0]):
        value = value + load(r, output * lanes) * read(weights, output * m + unit)
    return gated(value, np.int64(bits))


@_loop
def _store_unit_gradients(r, A, unit, gates, place):
    """The same of four units one after the other, written to a place of a memory; each r is loaded once for them."""
    lanes, m = width(r), A.shape[1]
    weights = memory(A.reshape(-1))
    a, b, c, d = constant(r, 0.0), constant(r, 0.0), constant(r, 0.0), constant(r, 0.0)
    for output in range(A.shape[0]):
        value, at = load(r, output * lanes), output * m + unit
        a = a + value * read(weights, at)
        b = b + value * read(weights, at + 1)
        c = c + value * read(weights, at + 2)
        d = d + value * read(weights, at + 3)
    a, b = gated(a, np.int64(gates[unit])), gated(b, np.int64(gates[unit + 1]))
    c, d = gated(c, np.int64(gates[unit + 2])), gated(d, np.int64(gates[unit + 3]))
    _store_four(place[0], place[1], lanes, (a, b, c, d))


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
    for number in range(bounds[0], bounds[1]):
        r = memory(R[number].reshape(-1))
        total[:] = 0
        for start in range(0, signs.shape[1], size):
            count = min(size, m - start)
            if count < size:
                block[:] = 0
            for row in range(0, count - count % 4, 4):
                _store_unit_gradients(r, A, start + row, gates[number], (memory(block), row * lanes))
            for row in range(count - count % 4, count):
                store(memory(block), row * lanes, _unit_gradient(r, A, start + row, gates[number, start + row]))
            _add_transposed(memory(block), memory(total), size, memory(signs.reshape(-1)), start, signs.shape[1])
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
    for number in range(T.shape[0]):
        r = memory(R[number].reshape(-1))
        if len(of_A) > 0:
            _copy(memory(T.reshape(-1)), number * size * lanes, memory(source), size)
        for start in range(bounds[0] * size, bounds[1] * size, size):
            count = min(size, m - start)
            if len(of_bias) > 0:
                for unit in range(start, start + count):
                    of_bias[unit] += lane_sum(_unit_gradient(r, A, unit, gates[number, unit]))
            if len(of_A) > 0:
                _units(source, block, layer, start, count)
                for output in range(outputs):
                    weight = load(r, output * lanes)
                    for row in range(count):
                        of_A[output, start + row] += lane_sum(load(memory(block), row * lanes) * weight)
