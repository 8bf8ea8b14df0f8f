"""Convolutions to few channels: every input is multiplied by all taps, and each output adds up what it sees.

The products are laid out tap after tap, each tap's as an image of its own. Of such an image the outputs see all, only
shifted: long vectors are added. The letters are those of `convolution`, which asks here; the stride is 1.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .blas import FACTORS, NO, NONE, SIZE, address, gemm
from .layout import widened
from .threads import share
from .tile import BLOCK, LANES, multiply, pack, to_line, turn, usable

__all__ = ["FEW", "correlate", "fits"]

FEW = 8  # channels: fewer are few
TILES = usable()
ROWS = 4 * BLOCK  # of products that are turned over while they are in the cache


def fits(x, co, columns, stride):
    """Is this for the loops here? x is (N, H, W, C)."""
    return co < min(x.shape[3], FEW) and stride == (1, 1) and max(nb for _, _, nb, _ in columns) <= x.shape[2]


def correlate(x, matrices, rows, columns, dilation, out, out_stride):
    """out = the correlations of x for all phases, (N, Hₒ, Wₒ, Cₒ); matrices (taps, C, Cₒ), as the phases want them."""
    taps, c, co = matrices.shape
    tiled, width, line = TILES and x.dtype == np.float32, taps * co, x.shape[1] * x.shape[2]
    matrix = np.ascontiguousarray(matrices.transpose(1, 0, 2)).reshape(c, width)
    if tiled:
        width, line = (-(-count // LANES) * LANES for count in (width, line + LANES))
        packed = np.empty(c * width, x.dtype)
        pack(widened(matrix, width), NO, 0, c, 0, width, packed)
        matrix = packed
    rows, columns = np.array(rows), np.array(columns)
    sizes = (ROWS * width if tiled else 0), width * line, max(rows[:, 2]) * x.shape[2]
    share(_correlate, x.shape[0], sum(sizes) + LANES, x.dtype, x, tiled, matrix.reshape(-1), width, line, out, rows,
          columns, (*dilation, *out_stride), sizes, FACTORS[x.dtype])  # fmt: skip


@njit(nogil=True, cache=True)
def _multiply(image, pixels, c, packed, width, part, to, line):
    """The products of all taps (`width`, `line`) with an image (`pixels`, c), in tiles; `part` is for ROWS of them."""
    for top in range(0, pixels, ROWS):
        m = min(ROWS, pixels - top)
        multiply(m, width, c, image + 4 * c * top, 4 * c, SIZE, packed, part, 4 * width, NONE, NONE)
        for i in range(0, m, LANES):
            for j in range(0, width, LANES):
                turn(part + 4 * (i * width + j), 4 * width, to + 4 * (j * line + top + i), 4 * line)


@njit(nogil=True, cache=True)
def _correlate(begin, end, scratch, x, tiled, matrix, width, line, out, rows, columns, geometry, sizes, one):
    """The images `begin` … `end`, all phases"""
    (_, h, w, c), co, size = x.shape, out.shape[3], one.itemsize
    dh, dw, osh, osw = geometry
    scratch = scratch[to_line(scratch) :]
    products, sums = scratch[sizes[0] :], scratch[sizes[0] + sizes[1] :]
    for n in range(begin, end):
        image = address(x) + n * h * w * c * size
        if tiled:
            _multiply(image, h * w, c, address(matrix), width, address(scratch), address(products), line)
        else:
            gemm(True, True, width, h * w, c, address(matrix), width, image, c, 0, address(products), line, one)
        tap = 0
        for qw in range(len(columns)):
            kw, c0, nb, oj = columns[qw]
            for qh in range(len(rows)):
                kh, r0, na, oi = rows[qh]
                for o in range(co):
                    sums[: na * w] = 0
                    for t in range(kh):
                        for u in range(kw):
                            start = ((tap + t * kw + u) * co + o) * line
                            _add_shifted(products[start : start + h * w], h, w, r0 + t * dh, c0 + u * dw, na, sums)
                    for i in range(na):
                        for j in range(nb):
                            out[n, oi + i * osh, oj + j * osw, o] = sums[i * w + j]
                tap += kh * kw


@njit(nogil=True, cache=True)
def _add_shifted(image, h, w, top, left, count, sums):
    """sums[i, j] += image[i + top, j + left], where that is within the image (h, w), for the rows i < count of sums.

    This is done as one vector. What would come from the row above or below is made zero: no other sum wants it."""
    if abs(left) >= w:
        return
    begin, end = (0, left) if left > 0 else (w + left, w)
    for r in range(h):
        for v in range(begin, end):
            image[r * w + v] = 0
    shift = top * w + left
    first, last = max(0, -top) * w, min(count, h - top) * w
    first, last = max(first, -shift), min(last, h * w - shift)
    if first < last:
        to, seen = sums[first:last], image[first + shift : last + shift]
        for p in range(to.size):
            to[p] += seen[p]
