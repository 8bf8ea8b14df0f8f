"""Convolutions in register tiles (see `tile`), read from the image itself: the indirect convolution (Dukhan 2019).

What an output sees of one row of taps is a run of kw C numbers of the image (N, H, W, C). So a convolution is a product
whose rows lie in the image, kh runs each, and the textbook's im2col only a list of addresses. The same holds for the
weight gradient: a tap sees a run of every row of outputs. Only a border is copied: some images at a time get their
zeros around them, as many as stay in a core's cache.

The letters are those of `convolution`, which asks here first. Only float32 and multiples of LANES outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .blas import NO, NONE, SIZE, address, clear, copy
from .threads import share
from .tile import BEYOND, LANES, multiply_listed, pack, to_line, usable

__all__ = ["correlate", "fits", "weight_grad"]

TILES = usable()
TERMS = 512  # of a sum that is added up in one go: more would cost digits
POSITIONS = 256  # a product wants so many rows, or steps: images are taken together
LARGEST = 1 << 20  # numbers of an image: more leaves the cache


def _box(rows, columns, stride, dilation):
    """The rows and columns of the image that any output sees: (top, bottom, left, right)."""
    ends = []
    for phases, s, d in zip((rows, columns), stride, dilation):
        used = [(first, first + (count - 1) * s + (taps - 1) * d + 1) for taps, first, count, _ in phases
                if taps and count]  # fmt: skip
        ends += [min((a for a, _ in used), default=0), max((b for _, b in used), default=0)]
    return ends


def _group(images, positions, numbers):
    """How many images to take together."""
    return max(1, min(images, -(-POSITIONS // positions), LARGEST // max(numbers, 1)))


def fits(x, co, rows, columns, stride, dilation):
    """Is this for the tiles here? x is (N, H, W, C)."""
    top, bottom, left, right = _box(rows, columns, stride, dilation)
    numbers = (bottom - top) * (right - left) * x.shape[3]
    return TILES and x.dtype == np.float32 and co % LANES == 0 and numbers <= LARGEST


def _space(*counts):
    """Numbers of scratch memory for arrays of so many, each of which begins with a line of the cache."""
    return sum(-(-count // LANES) * LANES for count in counts) + LANES


def _listed(rows):
    """Numbers that a list of so many addresses needs."""
    return 2 * (rows + BEYOND)


@njit(nogil=True, cache=True)
def _runs(kh, kw, c, dw):
    """How many runs a position sees, of how many numbers, and how many of them are added up in one go"""
    runs, steps = (kh, kw * c) if dw == 1 else (kh * kw, c)
    return runs, steps, max(TERMS // max(steps, 1), 1)


def correlate(x, matrices, rows, columns, stride, dilation, out, out_stride):
    """out = the correlations of x for all phases, (N, Hₒ, Wₒ, Cₒ); matrices (taps, C, Cₒ), as the phases want them."""
    taps, ci, co = matrices.shape
    box = _box(rows, columns, stride, dilation)
    packed, first, last = np.empty(matrices.size, np.float32), 0, 0
    matrix = matrices.reshape(taps * ci, co)
    for column in columns:
        for row in rows:
            runs, steps, together = _runs(row[0], column[0], ci, dilation[1])
            for run in range(0, runs, together):
                first, last = last, last + min(together, runs - run) * steps
                pack(matrix, False, first, last, 0, co, packed[first * co : last * co])
    positions, runs = (max(r[k] for r in rows) * max(c[k] for c in columns) for k in (2, 0))
    numbers = (box[1] - box[0]) * (box[3] - box[2]) * ci
    images = _group(len(x), positions, numbers)
    sizes = np.array([images * numbers, _listed(images * positions), _listed(images * positions), _listed(runs)])
    groups = -(-len(x) // images)
    share(_correlate, groups, _space(*sizes), x.dtype, x, packed, out, np.array(rows), np.array(columns),
          (*stride, *dilation, *out_stride), tuple(box), images, sizes)  # fmt: skip


@njit(nogil=True, cache=True)
def _places(scratch, sizes):
    """Where the arrays of these sizes begin in scratch memory, as indices."""
    places = np.empty(len(sizes) + 1, np.int64)
    places[0] = to_line(scratch)
    for k in range(len(sizes)):
        places[k + 1] = places[k] + (sizes[k] + LANES - 1) // LANES * LANES
    return places


@njit(nogil=True, cache=True)
def _list(scratch, places, k):
    """The k-th array as a list of addresses"""
    return scratch[places[k] : places[k + 1]].view(np.int64)


@njit(nogil=True, cache=True)
def _padded(x, n0, n1, box, to):
    """The images n0 … n1 within the box, zero where that reaches beyond: their address, height and width"""
    _, h, w, c = x.shape
    top, bottom, left, right = box
    size, source = SIZE, address(x)
    if top >= 0 and bottom <= h and left >= 0 and right <= w:
        return source + ((n0 * h + top) * w + left) * c * size, h, w
    begin, end, line = max(left, 0), min(right, w), (right - left) * c * size
    at = to
    for n in range(n0, n1):
        for r in range(top, bottom):
            if 0 <= r < h:
                before, inner = (begin - left) * c * size, (end - begin) * c * size
                clear(at, before)
                copy(at + before, source + ((n * h + r) * w + begin) * c * size, inner)
                clear(at + before + inner, line - before - inner)
            else:
                clear(at, line)
            at += line
    return to, bottom - top, right - left


@njit(nogil=True, cache=True)
def _repeat(list, count):
    """Make the list as long as `multiply_listed` wants it."""
    for k in range(count, count + BEYOND):
        list[k] = list[count - 1]


@njit(nogil=True, cache=True)
def _correlate(first, last, scratch, x, packed, out, rows, columns, geometry, box, images, sizes):
    """The groups of images `first` … `last`, all phases"""
    c, (_, ho, wo, co) = x.shape[3], out.shape
    sh, sw, dh, dw, osh, osw = geometry
    places, size = _places(scratch, sizes), np.int64(4)
    image, target = address(scratch) + places[0] * size, address(out)
    seen, result, starts = _list(scratch, places, 1), _list(scratch, places, 2), _list(scratch, places, 3)
    for group in range(first, last):
        n0, n1 = group * images, min((group + 1) * images, len(x))
        source, h, w = _padded(x, n0, n1, box, image)
        b = address(packed)
        for qw in range(len(columns)):
            kw, c0, nb, oj = columns[qw]
            for qh in range(len(rows)):
                kh, r0, na, oi = rows[qh]
                weights, b = b, b + kh * kw * c * co * size  # this phase's, and the next one's
                runs, steps, together = _runs(kh, kw, c, dw)
                m = 0
                for n in range(n1 - n0):
                    for i in range(na):
                        for j in range(nb):
                            row, column = n * h + r0 - box[0] + i * sh, c0 - box[2] + j * sw
                            seen[m] = source + (row * w + column) * c * size
                            to = ((n0 + n) * ho + oi + i * osh) * wo + oj + j * osw
                            result[m] = target + to * co * size
                            m += 1
                if m == 0:
                    continue
                if kh * kw == 0:  # outputs that no tap reaches
                    for k in range(m):
                        clear(result[k], co * size)
                    continue
                _repeat(seen, m)
                _repeat(result, m)
                for run in range(runs):
                    t, u = (run, 0) if dw == 1 else (run // kw, run % kw)
                    starts[run] = (t * dh * w + u * dw) * c * size
                for run in range(0, runs, together):
                    count = min(together, runs - run)
                    multiply_listed(m, co, count, address(starts[run:]), steps, size, address(seen), weights,
                                    address(result), address(result) if run else NONE)  # fmt: skip
                    weights += count * steps * co * size


def weight_grad(x, y, rows, columns, stride, dilation):
    """What each thread adds to the weight gradient: (threads, kh kw, C, Cₒ)."""
    (kh, _, ho, _), (kw, _, wo, _), ci, co = rows[0], columns[0], x.shape[3], y.shape[3]
    box = _box(rows, columns, stride, dilation)
    numbers = (box[1] - box[0]) * (box[3] - box[2]) * ci
    images, total = _group(len(x), ho * wo, numbers + ho * wo * co), kh * kw * ci * co
    sizes = np.array([images * numbers, images * ho * wo * co, _listed(kh * kw * ci), _listed(kh * kw * ci),
                      2 * images * ho, total])  # fmt: skip
    groups = -(-len(x) // images)
    parts = share(_weight_grad, groups, _space(*sizes), x.dtype, x, y, kh, kw, (*stride, *dilation), tuple(box), images,
                  sizes)  # fmt: skip
    return np.stack([part[_places(part, sizes)[5] :][:total].reshape(kh * kw, ci, co) for part in parts])


@njit(nogil=True, cache=True)
def _weight_grad(first, last, scratch, x, y, kh, kw, geometry, box, images, sizes):
    c, (_, ho, wo, co) = x.shape[3], y.shape
    sh, sw, dh, dw = geometry
    places, size = _places(scratch, sizes), np.int64(4)
    start = address(scratch)
    image, total = start + places[0] * size, start + places[5] * size
    packed = scratch[places[1] : places[2]]
    seen, result, starts = _list(scratch, places, 2), _list(scratch, places, 3), _list(scratch, places, 4)
    y = y.reshape(-1, co)
    clear(total, sizes[5] * size)
    for group in range(first, last):
        n0, n1 = group * images, min((group + 1) * images, len(x))
        source, h, w = _padded(x, n0, n1, box, image)
        pack(y, NO, n0 * ho * wo, n1 * ho * wo, NONE, co, packed)
        m = 0
        for t in range(kh):
            for u in range(kw):
                for e in range(c):
                    seen[m] = source + ((t * dh * w + u * dw) * c + e) * size
                    result[m] = total + m * co * size
                    m += 1
        _repeat(seen, m)
        _repeat(result, m)
        runs = 0
        for n in range(n1 - n0):
            for i in range(ho):
                starts[runs] = (n * h + i * sh) * w * c * size
                runs += 1
        multiply_listed(m, co, runs, address(starts), wo, sw * c * size, address(seen), address(packed),
                        address(result), address(result))  # fmt: skip
