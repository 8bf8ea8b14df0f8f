"""Matrix products in tiles that stay in the registers of a CPU with vectors of 512 bits; others leave them to BLAS.

A tile of C = A B is some rows × 64, 32 or 16 numbers. For each k, the numbers of a column of A are multiplied by a row
of B: for 6 × 4 vectors of products, 6 numbers and 4 vectors are loaded. B is packed first, WIDE columns after WIDE
columns, so that it is read in one piece; what is left beside them is done in narrower and higher tiles. An element of C
is summed up over k in one order, whichever tile it lies in: so it does not depend on how the rows are dealt out.

The rows of A and C lie wherever their addresses say, and a sum over k may be made of several runs, each with a start of
its own: that is what convolutions need (Dukhan 2019, "The Indirect Convolution Algorithm"), and nothing is copied.

OpenBLAS packs both matrices, at every call. Addresses are 64-bit integers and steps are in bytes, as nothing checks
bounds: whoever calls keeps the arrays alive.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from .blas import NONE, ONE, SIZE, address, compiled_once, copy

__all__ = ["BEYOND", "LANES", "multiply", "multiply_listed", "pack", "to_line", "turn", "usable"]

LANES = 16  # float32 numbers of a vector
WIDE = 4 * LANES
HIGH = 12  # rows of the highest tile
BEYOND = LANES  # addresses that a list has behind its last row, which they repeat, or those of rows to be read next
BLOCK = 4 * HIGH  # rows of A that are read again from the cache for the next columns of B


def usable() -> bool:
    """Does Numba compile for vectors of 512 bits here?"""
    return "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")


def _once(name, function, arguments):
    """`compiled_once`; but where loops that could use tiles never do, they are compiled with an ordinary function."""
    return compiled_once(name, function, arguments) if usable() else njit(cache=True, nogil=True)(function)


@njit(cache=True, nogil=True, inline="always")
def to_line(scratch):
    """How many float32 numbers of this memory lie before the next line of the cache: a vector that begins there does
    not lie across two."""
    return -(address(scratch) // 4) % LANES


def _tile(rows: int, columns: int):
    """tile(runs, starts, steps, a_step, a, b, c, old, left): C = Σ A B + Old for C (rows, columns). `a`, `c` and `old`
    are addresses of lists: of the addresses of rows. In the runs that `starts` lists, `steps` numbers of each row of A
    are multiplied, a_step apart, and packed B (runs · steps, columns). Old is added last, so that rounding grows with
    the length of this sum alone; with old = 0 nothing is. The columns of C and Old begin `left` bytes after the row.
    The rows that list `a` has next are fetched into the cache meanwhile."""
    vector, number, integer = ir.VectorType(ir.FloatType(), LANES), ir.FloatType(), ir.IntType(64)
    places = [(r, v) for r in range(rows) for v in range(columns // LANES)]

    def build(context, builder, signature, arguments):
        runs, starts, steps, a_step, a, b, c, old, left = arguments
        fma_type = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, fma_type, f"llvm.fma.v{LANES}f32")

        fetch_type = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3])
        prefetch = cgutils.get_or_insert_function(builder.module, fetch_type, "llvm.prefetch.p0")
        to_read_again = [ir.Constant(ir.IntType(32), n) for n in (0, 3, 1)]

        def constant(n):
            return ir.Constant(integer, n)

        def pointer(address, offset, kind=vector):
            return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

        def load(*where, kind=vector):
            value = builder.load(pointer(*where, kind=kind))
            value.align = 8 if kind is integer else 4
            return value

        def listed(list, r):
            return load(list, constant(8 * r), kind=integer)

        def column(v):
            return builder.add(left, constant(4 * LANES * v))

        def phi(kind, *incoming):
            made = builder.phi(kind)
            for value, block in incoming:
                made.add_incoming(value, block)
            return made

        before = builder.block
        names = ("run", "loop", "next", "sums", "fetch", "end")
        run, loop, following, done, fetch, end = (builder.append_basic_block(f"tile.{name}") for name in names)
        a_first = listed(a, 0)  # one counter runs through A; the other rows are so much further on
        a_rows = [builder.sub(listed(a, r), a_first) for r in range(rows)]
        coming = builder.add(a, constant(8 * rows))
        zero = ir.Constant(vector, [0.0] * LANES)
        builder.branch(run)

        builder.position_at_end(run)
        n, b_run = phi(integer, (constant(0), before)), phi(integer, (b, before))
        begun = {place: phi(vector, (zero, before)) for place in places}
        a_run = builder.add(a_first, load(starts, builder.mul(n, constant(8)), kind=integer))
        builder.branch(loop)

        builder.position_at_end(loop)
        k, a_k, b_k = (phi(integer, (value, run)) for value in (constant(0), a_run, b_run))
        sums, new, ones = {}, {}, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        for place in places:
            sums[place] = phi(vector, (begun[place], run))
        row_of_b = [load(b_k, constant(4 * LANES * v)) for v in range(columns // LANES)]
        # of LANES rows one in turn, as LANES numbers are a line of the cache
        ahead = load(coming, builder.mul(builder.and_(k, constant(LANES - 1)), constant(8)), kind=integer)
        builder.call(prefetch, [pointer(ahead, builder.sub(a_k, a_first), ir.IntType(8)), *to_read_again])
        for r in range(rows):
            single = builder.insert_element(zero, load(a_k, a_rows[r], kind=number), ir.Constant(ir.IntType(32), 0))
            repeated = builder.shuffle_vector(single, single, ones)
            for v, numbers in enumerate(row_of_b):
                new[r, v] = builder.call(fma, [repeated, numbers, sums[r, v]])
        stepped = []
        for counter, step in ((k, constant(1)), (a_k, a_step), (b_k, constant(4 * columns))):
            stepped.append(builder.add(counter, step))
            counter.add_incoming(stepped[-1], loop)
        for place in places:
            sums[place].add_incoming(new[place], loop)
        builder.cbranch(builder.icmp_signed("<", stepped[0], steps), loop, following)

        builder.position_at_end(following)
        n_next = builder.add(n, constant(1))
        for counter, value in ((n, n_next), (b_run, stepped[2]), *((begun[place], new[place]) for place in places)):
            counter.add_incoming(value, following)
        builder.cbranch(builder.icmp_signed("<", n_next, runs), run, done)

        builder.position_at_end(done)
        builder.cbranch(builder.icmp_signed("!=", old, constant(0)), fetch, end)

        builder.position_at_end(fetch)
        old_rows = [listed(old, r) for r in range(rows)]
        added = {(r, v): builder.fadd(new[r, v], load(old_rows[r], column(v))) for r, v in places}
        builder.branch(end)

        builder.position_at_end(end)
        results = {place: phi(vector, (new[place], done), (added[place], fetch)) for place in places}
        c_rows = [listed(c, r) for r in range(rows)]
        for r, v in places:
            builder.store(results[r, v], pointer(c_rows[r], column(v))).align = 4
        return context.get_dummy_value()

    @intrinsic
    def tile(typing, runs, starts, steps, a_step, a, b, c, old, left):
        return types.void(*[types.intp] * 9), build

    return tile


_wide, _half, _narrow = _tile(6, 64), _tile(12, 32), _tile(12, 16)  # 24 sums, or 12: all that fits, with one row of B


@njit(cache=True, nogil=True, inline="always")
def _width(columns):
    """Of the next tile, when so many columns are left: LANES divides them."""
    return WIDE if columns >= WIDE else (2 * LANES if columns >= 2 * LANES else LANES)


def _multiply_listed(rows, columns, runs, starts, steps, a_step, a, b, c, old):
    """C = Σ A B + Old, as `_tile` says; the lists go on as BEYOND says."""
    j = 0
    while j < columns:
        width = _width(columns - j)
        for i in range(0, 8 * rows, 48 if width == WIDE else 96):
            old_i = old + i if old else NONE
            if width == WIDE:
                _wide(runs, starts, steps, a_step, a + i, b, c + i, old_i, 4 * j)
            elif width == LANES:
                _narrow(runs, starts, steps, a_step, a + i, b, c + i, old_i, 4 * j)
            else:
                _half(runs, starts, steps, a_step, a + i, b, c + i, old_i, 4 * j)
        b += 4 * width * runs * steps
        j += width
    return 0


multiply_listed = _once("minigen_multiply_listed", _multiply_listed, 10)


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(rows, columns, steps, a, a_row, a_step, b, c, c_row, old, old_row):
    """C = A B + Old for A (rows, steps), C (rows, columns), B as `pack` leaves it, steps ≥ 1. Old is C itself, or one
    row for all rows with old_row = 0, or nothing with old = old_row = 0."""
    lists, start = np.empty((3, BLOCK + BEYOND), np.int64), np.zeros(1, np.int64)
    a_list, c_list, old_list = address(lists[0]), address(lists[1]), address(lists[2]) if old else NONE
    for top in range(0, rows, BLOCK):
        m = min(BLOCK, rows - top)
        for r in range(m + BEYOND):
            i = top + min(r, m - 1)
            lists[0, r] = a + min(top + r, rows - 1) * a_row
            lists[1, r], lists[2, r] = c + i * c_row, old + i * old_row
        multiply_listed(m, columns, ONE, address(start), steps, a_step, a_list, b, c_list, old_list)


@intrinsic
def turn(typing, b, b_row, to, to_row):
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


def _pack(b, row, transposed, top, bottom, left, right, to):
    """As `pack`, for the addresses of b, whose rows are `row` bytes apart, and of `to`"""
    j, steps = left, bottom - top
    while j < right:
        width = _width(right - j)
        if transposed:
            whole = steps - steps % LANES
            for i in range(0, width, LANES):
                for k in range(0, whole, LANES):
                    turn(b + (j + i) * row + 4 * (top + k), row, to + 4 * (k * width + i), 4 * width)
            for k in range(whole, steps):
                for i in range(width):
                    copy(to + 4 * (k * width + i), b + (j + i) * row + 4 * (top + k), SIZE)
        else:
            for k in range(steps):
                copy(to + 4 * k * width, b + (top + k) * row + 4 * j, 4 * width)
        to += 4 * width * steps
        j += width
    return 0


_pack_once = _once("minigen_pack", _pack, 8)


@njit(cache=True, nogil=True)
def pack(b, transposed, top, bottom, left, right, to):
    """The rows top … bottom and columns left … right of B, which is b or bᵀ (`transposed`): WIDE columns after WIDE
    columns, then what is left in narrower strips. right − left is a multiple of LANES."""
    _pack_once(address(b), b.strides[0], transposed, top, bottom, left, right, address(to))
