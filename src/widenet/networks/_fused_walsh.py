"""Walsh-Hadamard transforms in registers: tiles of samples (size, lanes), and squares of numbers turned over.

Every butterfly is one addition and one subtraction of whole registers, and sixteen rows at a time stay in registers for
four stages. Numba's cache on disk is renewed with the file of the function that Python calls: touch `_fused_hadamard`
after changes here.
"""

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import signature

from widenet.kernels._fused_lanes import Lanes, intrinsic, load, read, store, width

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
def transpose(typingctx, source, place, target, goal, scale):
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
def store_four(x, at, step, values):
    store(x, at, values[0])
    store(x, at + step, values[1])
    store(x, at + 2 * step, values[2])
    store(x, at + 3 * step, values[3])


@_loop
def _store_sixteen(x, at, step, groups):
    """Two more stages across four groups of four registers, which are then stored."""
    a, b, c, d = groups
    store_four(x, at, 4 * step, _four(a[0], b[0], c[0], d[0]))
    store_four(x, at + step, 4 * step, _four(a[1], b[1], c[1], d[1]))
    store_four(x, at + 2 * step, 4 * step, _four(a[2], b[2], c[2], d[2]))
    store_four(x, at + 3 * step, 4 * step, _four(a[3], b[3], c[3], d[3]))


@_loop
def stages(x, size, stride):
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
                    store_four(x, row * lanes, step, _four_rows(x, row * lanes, step))
            stride *= 4
        else:
            for start in range(0, size, 2 * stride):
                for row in range(start, start + stride):
                    a, b = load(x, row * lanes), load(x, row * lanes + step)
                    store(x, row * lanes, a + b)
                    store(x, row * lanes + step, a - b)
            stride *= 2


@_loop
def signed_transform(source, x, size, signs, sign):
    """Write H D source to x, which may be the source; the signs of D stand from `sign` on. The size is 16 or more."""
    lanes = width(x)
    for row in range(0, size, 16):
        at = sign + row
        a, b = _four_signed(source, row, signs, at), _four_signed(source, row + 4, signs, at + 4)
        c, d = _four_signed(source, row + 8, signs, at + 8), _four_signed(source, row + 12, signs, at + 12)
        _store_sixteen(x, row * lanes, lanes, (a, b, c, d))
    stages(x, size, 16)


@_loop
def block_product(source, x, size, signs, start, rows):
    """Write H D1 H D2 H D3 source to x; the signs are those of a block that starts at row `start` of `rows`."""
    for stage in range(2, -1, -1):
        signed_transform(source, x, size, signs, stage * rows + start)
        source = x


@_loop
def add_transposed(x, total, size, signs, start, rows):
    """Add D3 H D2 H D1 H x to the total; x is lost."""
    lanes = width(x)
    stages(x, size, 1)
    for stage in range(2):
        signed_transform(x, x, size, signs, stage * rows + start)
    for row in range(size):
        term = load(x, row * lanes) * read(signs, 2 * rows + start + row)
        store(total, row * lanes, load(total, row * lanes) + term)
