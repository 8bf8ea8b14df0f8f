"""Matrix products in tiles that stay in the registers of a CPU with vectors of 512 bits; others leave them to BLAS.

A tile of C = A B is ROWS × WIDE numbers. For each k, the numbers of a column of A are multiplied by a row of B: WIDE
numbers are loaded for ROWS · WIDE products and sums. B is packed first, WIDE columns after WIDE columns, so that it is
read in one piece; what is left beside them is done in tiles of LANES columns. An element of C is summed up over k in
one order, whichever tile it lies in: so it does not depend on how the rows are dealt out to threads.

OpenBLAS packs both matrices, at every call. Addresses are 64-bit integers and steps are in bytes, as nothing checks
bounds: whoever calls keeps the arrays alive.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from .blas import copy

__all__ = ["LANES", "WIDE", "multiply", "pack", "usable"]

LANES = 16  # float32 numbers of a vector
ROWS, WIDE = 6, 4 * LANES  # 24 sums, 4 vectors of B and one number of A: 29 of 32 registers
BLOCK = 8 * ROWS  # rows of A that are read again from the cache for the next columns of B


def usable() -> bool:
    """Does Numba compile for vectors of 512 bits here?"""
    return not config.DISABLE_JIT and "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")


def _tile(rows: int, columns: int):
    """tile(steps, a, a_row, a_step, b, c, c_row, old, old_row): C = A B + Old for C (rows, columns), A (rows, steps)
    and packed B (steps, columns). Old is C itself, or a row for all rows with old_row = 0, or nothing with old = 0."""
    vector, number, integer = ir.VectorType(ir.FloatType(), LANES), ir.FloatType(), ir.IntType(64)
    places = [(r, v) for r in range(rows) for v in range(columns // LANES)]

    def build(context, builder, signature, arguments):
        steps, a, a_row, a_step, b, c, c_row, old, old_row = arguments
        fma_type = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, fma_type, f"llvm.fma.v{LANES}f32")

        def constant(n):
            return ir.Constant(integer, n)

        def pointer(address, offset=None, kind=vector):
            return builder.inttoptr(address if offset is None else builder.add(address, offset), kind.as_pointer())

        def load(*where, kind=vector):
            value = builder.load(pointer(*where, kind=kind))
            value.align = 4
            return value

        def place_in(matrix, row, r, v):
            return builder.add(matrix, builder.mul(row, constant(r))), constant(4 * LANES * v)

        def counter(start, step):
            phi = builder.phi(integer)
            phi.add_incoming(start, before)
            phi.add_incoming(start, fetch)
            return phi, step

        before = builder.block
        fetch, loop, end = (builder.append_basic_block(f"tile.{name}") for name in ("fetch", "loop", "end"))
        a_rows = [builder.mul(a_row, constant(r)) for r in range(rows)]
        zero = ir.Constant(vector, [0.0] * LANES)
        builder.cbranch(builder.icmp_signed("!=", old, constant(0)), fetch, loop)

        builder.position_at_end(fetch)
        first = {place: load(*place_in(old, old_row, *place)) for place in places}
        builder.branch(loop)

        builder.position_at_end(loop)
        counters = [counter(constant(0), constant(1)), counter(a, a_step), counter(b, constant(4 * columns))]
        k, a_k, b_k = (phi for phi, _ in counters)
        sums, new, ones = {}, {}, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        for place in places:
            sums[place] = builder.phi(vector)
            sums[place].add_incoming(zero, before)
            sums[place].add_incoming(first[place], fetch)
        row_of_b = [load(b_k, constant(4 * LANES * v)) for v in range(columns // LANES)]
        for r in range(rows):
            single = builder.insert_element(zero, load(a_k, a_rows[r], kind=number), ir.Constant(ir.IntType(32), 0))
            repeated = builder.shuffle_vector(single, single, ones)
            for v, numbers in enumerate(row_of_b):
                new[r, v] = builder.call(fma, [repeated, numbers, sums[r, v]])
        for phi, step in counters:
            phi.add_incoming(builder.add(phi, step), loop)
        for place in places:
            sums[place].add_incoming(new[place], loop)
        builder.cbranch(builder.icmp_signed("<", builder.add(k, constant(1)), steps), loop, end)

        builder.position_at_end(end)
        for place in places:
            builder.store(new[place], pointer(*place_in(c, c_row, *place))).align = 4
        return context.get_dummy_value()

    @intrinsic
    def tile(typing, steps, a, a_row, a_step, b, c, c_row, old, old_row):
        return types.void(*[types.intp] * 9), build

    return tile


_large, _flat, _narrow, _small = _tile(ROWS, WIDE), _tile(1, WIDE), _tile(ROWS, LANES), _tile(1, LANES)


@njit(cache=True, nogil=True, error_model="numpy")
def _strip(wide, rows, steps, a, a_row, a_step, b, c, c_row, old, old_row):
    """WIDE columns of C, or LANES"""
    for i in range(0, rows - ROWS + 1, ROWS):
        if wide:
            _large(steps, a + i * a_row, a_row, a_step, b, c + i * c_row, c_row, old + i * old_row, old_row)
        else:
            _narrow(steps, a + i * a_row, a_row, a_step, b, c + i * c_row, c_row, old + i * old_row, old_row)
    for i in range(rows - rows % ROWS, rows):
        if wide:
            _flat(steps, a + i * a_row, a_row, a_step, b, c + i * c_row, c_row, old + i * old_row, old_row)
        else:
            _small(steps, a + i * a_row, a_row, a_step, b, c + i * c_row, c_row, old + i * old_row, old_row)


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(rows, columns, steps, a, a_row, a_step, b, c, c_row, old, old_row):
    """C = A B + Old for A (rows, steps), C (rows, columns), B as `pack` leaves it, steps ≥ 1. Old is C itself, or one
    row for all rows with old_row = 0, or nothing with old = old_row = 0."""
    for i in range(0, rows, BLOCK):
        m, a_i, c_i, old_i, b_j = min(BLOCK, rows - i), a + i * a_row, c + i * c_row, old + i * old_row, b
        j = 0
        while j < columns:
            old_j = old_i + 4 * j if old else 0
            width = WIDE if columns - j >= WIDE else LANES
            _strip(width == WIDE, m, steps, a_i, a_row, a_step, b_j, c_i + 4 * j, c_row, old_j, old_row)
            b_j += 4 * width * steps
            j += width


@intrinsic
def _turn(typing, b, b_row, to, to_row):
    """to = bᵀ for LANES × LANES numbers; rows are so many bytes apart. Blocks of 1, 2, 4, 8 change places in turn."""

    def build(context, builder, signature, arguments):
        b, b_row, to, to_row = arguments
        vector, integer = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)

        def place(matrix, row, r):
            address = builder.add(matrix, builder.mul(row, ir.Constant(integer, r)))
            return builder.inttoptr(address, vector.as_pointer())

        rows = [builder.load(place(b, b_row, r)) for r in range(LANES)]
        for row in rows:
            row.align = 4
        for size in (1, 2, 4, 8):
            for r in range(LANES):
                if r & size:
                    continue
                pair = rows[r], rows[r + size]
                upper = [LANES + k - size if k & size else k for k in range(LANES)]
                lower = [LANES + k if k & size else k + size for k in range(LANES)]
                rows[r], rows[r + size] = (
                    builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(ir.IntType(32), LANES), taken))
                    for taken in (upper, lower)
                )
        for r, row in enumerate(rows):
            builder.store(row, place(to, to_row, r)).align = 4
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), build


@njit(cache=True, nogil=True, error_model="numpy")
def pack(b, transposed, top, bottom, left, right, to):
    """The rows top … bottom and columns left … right of B, which is b or bᵀ (`transposed`): WIDE columns after WIDE
    columns, then LANES after LANES, of which right − left is a multiple."""
    start, row = np.int64(b.ctypes.data), b.strides[0]
    at, j, steps = np.int64(to.ctypes.data), left, bottom - top
    while j < right:
        width = WIDE if right - j >= WIDE else LANES
        if transposed:
            whole = steps - steps % LANES
            for i in range(0, width, LANES):
                for k in range(0, whole, LANES):
                    _turn(start + (j + i) * row + 4 * (top + k), row, at + 4 * (k * width + i), 4 * width)
            for k in range(whole, steps):
                for i in range(width):
                    to[(j - left) * steps + k * width + i] = b[j + i, top + k]
        else:
            for k in range(steps):
                copy(at + 4 * k * width, start + (top + k) * row + 4 * j, 4 * width)
        at += 4 * width * steps
        j += width
