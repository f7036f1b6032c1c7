"""Explicit vector registers for Numba: a row of lanes that are loaded, computed with and stored as one.

LLVM vectorises a loop by itself only where it can prove that its arrays do not overlap, and gives up on loops over many
of them. Loops in lanes need no proof. One source serves float32 (16 lanes) and float64 (8 lanes), and LLVM splits a
register of 64 bytes where the processor has narrower ones. Arrays go from function to function as bare `memory`, since
Numba counts the references to an array, at the price of a dozen registers of arithmetic.

`a + b`, `a - b` and `a * b` may be contracted to fused multiply-adds; `exact_product` is not.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.extending import intrinsic as numba_intrinsic
from numba.core.extending import register_model
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, signature
from numba.core.typing.templates import infer_global as numba_infer_global

# Numba's decorators change what is called, which type checkers do not follow.
intrinsic: Any = numba_intrinsic
infer_global: Any = numba_infer_global

_BYTES = 64
_CONTRACT = ("contract",)
_REAL = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def lanes(dtype) -> int:
    """How many numbers of a type a register holds."""
    return _BYTES // np.dtype(dtype).itemsize


class Lanes(types.Type):
    """Numba's type of a register of float32 or float64."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype, self.count = dtype, _BYTES * 8 // dtype.bitwidth
        super().__init__(f"Lanes({dtype} x {self.count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes_type):
        super().__init__(manager, lanes_type, ir.VectorType(_REAL[lanes_type.dtype], lanes_type.count))


def _constant(lanes_type, value: float) -> ir.Constant:
    vector = ir.VectorType(_REAL[lanes_type.dtype], lanes_type.count)
    # As a float32 first: LLVM refuses float constants that a double does not hold exactly in 24 bits.
    number = float(np.float32(value)) if lanes_type.dtype == types.float32 else float(value)
    return ir.Constant(vector, [ir.Constant(vector.element, number)] * lanes_type.count)


def _splat(builder, number, vector):
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask)


def _register_operator(function, instruction):
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    infer_global(function)(Template)

    @lower_builtin(function, Lanes, Lanes)
    def lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args, flags=_CONTRACT)


for _function, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _register_operator(_function, _instruction)


class Memory(types.Type):
    """Numba's type of the numbers of an array without their owner, who has to keep them alive.

    Attributes:
        dtype: Type of the numbers.
        single: Whether the array has one dimension.
    """

    def __init__(self, dtype: types.Float, single: bool) -> None:
        self.dtype, self.single = dtype, single
        super().__init__(f"Memory({dtype}, {single})")


@register_model(Memory)
class _MemoryModel(models.PrimitiveModel):
    def __init__(self, manager, memory_type):
        super().__init__(manager, memory_type, _REAL[memory_type.dtype].as_pointer())


@intrinsic
def memory(typingctx, array):
    """The numbers of a contiguous array."""

    def generate(context, builder, sig, args):
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return signature(Memory(array.dtype, array.ndim == 1), array), generate


@intrinsic
def width(typingctx, like):
    """How many lanes a register has."""
    count = Lanes(like.dtype).count

    def generate(context, builder, sig, args):
        return ir.Constant(context.get_value_type(types.intp), count)

    return signature(types.intp, like), generate


def _register_at(builder, data, index, count, bits):
    pointer = builder.gep(data, [index])
    return builder.bitcast(pointer, ir.VectorType(data.type.pointee, count).as_pointer()), bits // 8


@intrinsic
def load(typingctx, data, index):
    """The register that starts at a number."""
    result = Lanes(data.dtype)

    def generate(context, builder, sig, args):
        pointer, align = _register_at(builder, args[0], args[1], result.count, data.dtype.bitwidth)
        return builder.load(pointer, align=align)

    return signature(result, data, types.intp), generate


@intrinsic
def store(typingctx, data, index, value):
    """Write a register from a number on."""

    def generate(context, builder, sig, args):
        pointer, align = _register_at(builder, args[0], args[1], value.count, data.dtype.bitwidth)
        builder.store(args[2], pointer, align=align)
        return context.get_dummy_value()

    return signature(types.none, data, types.intp, value), generate


@intrinsic
def read(typingctx, table, row):
    """Row `row` of a table (rows, lanes); of a table (rows,) the one number of that row in all lanes."""
    result = Lanes(table.dtype)

    def generate(context, builder, sig, args):
        data, index = args
        if table.single:
            return _splat(builder, builder.load(builder.gep(data, [index])), context.get_value_type(result))
        start = builder.mul(index, ir.Constant(index.type, result.count))
        pointer, align = _register_at(builder, data, start, result.count, table.dtype.bitwidth)
        return builder.load(pointer, align=align)

    return signature(result, table, types.intp), generate


@intrinsic
def constant(typingctx, like, value):
    """A number in all lanes, of the type of a memory or of a register."""
    result = Lanes(like.dtype)

    def generate(context, builder, sig, args):
        number = context.cast(builder, args[1], sig.args[1], result.dtype)
        return _splat(builder, number, context.get_value_type(result))

    return signature(result, like, value), generate


@intrinsic
def root(typingctx, value):
    """Square root of every lane."""

    def generate(context, builder, sig, args):
        name = f"llvm.sqrt.v{value.count}f{value.dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(args[0].type, [args[0].type]), name)
        return builder.call(function, args)

    return value(value), generate


@intrinsic
def exact_product(typingctx, a, b):
    """The product rounded by itself, so that a difference of equal products is 0."""

    def generate(context, builder, sig, args):
        return builder.fmul(*args)

    return a(a, b), generate


@intrinsic
def smaller(typingctx, a, b):
    """The smaller of two numbers in every lane."""

    def generate(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return a(a, b), generate


@intrinsic
def choose(typingctx, a, b, less, otherwise):
    """`less` in the lanes with a < b, `otherwise` in the others."""

    def generate(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", *args[:2]), *args[2:])

    return less(a, b, less, otherwise), generate


@intrinsic
def size(typingctx, a):
    """The absolute value of every lane."""

    def generate(context, builder, sig, args):
        zero = ir.Constant(args[0].type, [ir.Constant(args[0].type.element, 0.0)] * a.count)
        negative = builder.fcmp_ordered("<", args[0], zero)
        return builder.select(negative, builder.fsub(zero, args[0]), args[0])

    return a(a), generate


@intrinsic
def any_less(typingctx, a, b):
    """Whether a < b in any lane."""

    def generate(context, builder, sig, args):
        mask = builder.fcmp_ordered("<", *args)
        word = ir.IntType(a.count)
        return builder.icmp_unsigned("!=", builder.bitcast(mask, word), ir.Constant(word, 0))

    return signature(types.boolean, a, b), generate


def _horner(lanes_type, builder, args, coefficients):
    z, scale = args
    value = builder.fmul(scale, _constant(lanes_type, coefficients[-1]))
    for coefficient in reversed(coefficients[:-1]):
        # Products of the scale are the same in every turn of a loop, and LLVM takes them out of it.
        term = builder.fmul(scale, _constant(lanes_type, coefficient))
        value = builder.fadd(builder.fmul(value, z, flags=_CONTRACT), term, flags=_CONTRACT)
    return value


def polynomial(single: tuple[float, ...], double: tuple[float, ...]):
    """An intrinsic (z, scale) -> scale q(z), with the coefficients for each precision, lowest power first."""

    @intrinsic
    def evaluate(typingctx, z, scale):
        def generate(context, builder, sig, args):
            return _horner(z, builder, args, single if z.dtype == types.float32 else double)

        return z(z, scale), generate

    return evaluate
