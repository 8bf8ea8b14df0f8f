"""The three convolutions as matrix products on tiles that stay in cache, without multiplying zeros.

Everything here reads and writes (N, H, W, C) memory. A convolution is *one* correlation

    out[n, i, j] = Σ_{t,u} in[n, i s + r₀ + t d, j s + c₀ + u d] W[t, u]        (W[t, u] is a C × Cₒ matrix)

and a transposed convolution of stride s is s × s of them with stride 1, one for each *phase*: the outputs at rows
≡ qh and columns ≡ qw (mod s), which only the taps k ≡ qh, l ≡ qw reach. So `_correlate` computes both, and
`thin` does where there are few output channels. Work is dealt to threads in *tiles*: a few images, or a
band of one.

In a tile, `_expand` lays side by side what one row of taps sees (a contiguous run of kw C numbers), with the images
innermost, so that the next row of taps sees the same matrix, some rows further on: kh products add up to the result,
from kh times less copying than the textbook's im2col.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..reference import convolution as reference
from . import indirect, thin
from .blas import FACTORS, clear, copy, gemm
from .layout import contiguous
from .threads import share

_TILE = 1_000_000  # bytes of expanded input in a tile: within a core's second-level cache
_POSITIONS = 256  # a matrix product wants about this many rows
_BY_ROW, _ALL, _ALL_TRANSPOSED = 0, 1, 2  # what a row of a tile's matrix holds: one row of taps, all taps, one tap
_COPIED = 1 << 14  # weights that are worth a thread when they change places
_ONE = np.int64(1)  # Numba would compile a function anew for a literal 1


def conv2d(x, w, stride, padding, dilation, groups):
    """Twin of `reference.conv2d`."""
    co, _, kh, kw = w.shape
    (top, bottom), (left, right) = padding
    ho = (x.shape[2] + top + bottom - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    wo = (x.shape[3] + left + right - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    if not _ours(x, w, groups) or 0 in (ho, wo):
        return reference.conv2d(x, w, stride, padding, dilation, groups)
    matrices = _matrices(w, np.arange(kh * kw), transpose=True)
    return _run(x, matrices, [(kh, -top, ho, 0)], [(kw, -left, wo, 0)], stride, dilation, (ho, wo, co), (1, 1))


def conv_transpose2d(y, w, size, stride, padding, dilation, groups):
    """Twin of `reference.conv_transpose2d`."""
    (kh, kw), (sh, sw), (dh, dw) = w.shape[2:], stride, dilation
    if not _ours(y, w, groups) or 0 in size or (sh > 1 and dh > 1) or (sw > 1 and dw > 1):
        return reference.conv_transpose2d(y, w, size, stride, padding, dilation, groups)
    (top, _), (left, _) = padding
    rows = [_phase(q, kh, sh, dh, top, size[0]) for q in range(sh)]
    columns = [_phase(q, kw, sw, dw, left, size[1]) for q in range(sw)]
    taps = [k * kw + l for qw in range(sw) for qh in range(sh) for k in _taps(qh, kh, sh) for l in _taps(qw, kw, sw)]
    matrices = _matrices(w, np.array(taps), transpose=False)
    return _run(y, matrices, rows, columns, (1, 1), dilation, (*size, w.shape[1]), stride)


def conv2d_weight_grad(x, y, kernel, stride, padding, dilation, groups):
    """Twin of `reference.conv2d_weight_grad`."""
    if not _ours(x, y, groups):
        return reference.conv2d_weight_grad(x, y, kernel, stride, padding, dilation, groups)
    (kh, kw), ci, co = kernel, x.shape[1], y.shape[1]
    if co < min(ci, thin.FEW) and stride == (1, 1):  # exchange the roles of x and y: the kernel is turned round
        turned = tuple((d * (k - 1) - before, 0) for k, d, (before, _) in zip(kernel, dilation, padding))
        w = conv2d_weight_grad(y, x, kernel, stride, turned, dilation, groups)
        return np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1))
    x, y = _channels_last(x), _channels_last(y)
    rows, columns = [(kh, -padding[0][0], y.shape[1], 0)], [(kw, -padding[1][0], y.shape[2], 0)]
    out = np.empty((co, ci, kh * kw), x.dtype)
    if y.size and indirect.fits(x, co, rows, columns, stride, dilation):
        return _added(indirect.weight_grad(x, y, rows, columns, stride, dilation), out).reshape(co, ci, kh, kw)
    rows, columns = np.array(rows), np.array(columns)
    tiles, count, form, used = _plan(x.shape, rows, columns, co, stride, dilation, x.itemsize)
    total = kh * kw * ci * co
    parts = share(_weight_grad, count, used + total, x.dtype, x.reshape(-1), x.shape, y.reshape(-1), y.shape, rows[0],
                  columns[0], (*stride, *dilation, 1, 1), tiles, form, used, FACTORS[x.dtype])  # fmt: skip
    return _added(parts[:, used : used + total].reshape(-1, kh * kw, ci, co), out).reshape(co, ci, kh, kw)


def _added(parts, out):
    """The sum of what the threads have found, (threads, taps, C, Cₒ) -> (Cₒ, C, taps)"""
    blocks = -(-len(out) // 16)
    share(_add_parts, blocks, 0, out.dtype, parts, out, least=-(-_COPIED * blocks // out.size))
    return out


# -- preparation ------------------------------------------------------------------------------------------------------


def _ours(x, w, groups):
    """Are these arrays for the compiled loops?"""
    same = x.dtype == w.dtype and x.dtype in FACTORS
    return groups == 1 and same and x.size > 0 and w.size > 0


def _channels_last(x):
    """(N, C, H, W) as contiguous (N, H, W, C): no copy where the channels are last in memory already."""
    return contiguous(x.transpose(0, 2, 3, 1))


def _taps(q, k, s):
    """The taps that reach the outputs ≡ q mod s, in the order of the inputs that they see."""
    return range(k)[q::s][::-1]


def _phase(q, k, s, d, before, size):
    """One axis of a phase: (taps, the input that the first tap sees from output 0, outputs, where output 0 lies)."""
    taps = len(_taps(q, k, s))
    a0 = -(-(before - q) // s)  # the first a with a s + q ≥ before
    a1 = (before + size - 1 - q) // s + 1
    return taps, a0 - (taps - 1) * d, max(a1 - a0, 0), a0 * s + q - before


def _matrices(w, taps, transpose):
    """(P, Q, kh, kw) -> (taps, P, Q), or (taps, Q, P): one matrix per tap, in the order of `taps`."""
    p, q, kh, kw = w.shape
    out = np.empty((len(taps), q, p) if transpose else (len(taps), p, q), w.dtype)
    strides = (kh * kw, q * kh * kw) if transpose else (q * kh * kw, kh * kw)
    share(_gather_taps, out.shape[1], 0, w.dtype, np.ascontiguousarray(w).reshape(-1), strides, taps, out,
          least=-(-_COPIED * out.shape[1] // w.size))  # fmt: skip
    return out


def _run(x, matrices, rows, columns, stride, dilation, out_shape, out_stride):
    """out = the correlations of x for all phases: each of `rows` with each of `columns`."""
    x, co = _channels_last(x), matrices.shape[2]
    out = np.empty((x.shape[0], *out_shape), x.dtype)
    if indirect.fits(x, co, rows, columns, stride, dilation):
        indirect.correlate(x, matrices, rows, columns, stride, dilation, out, out_stride)
        return out.transpose(0, 3, 1, 2)
    if thin.fits(x, co, columns, stride):
        thin.correlate(x, matrices, rows, columns, dilation, out, out_stride)
        return out.transpose(0, 3, 1, 2)
    rows, columns = np.array(rows), np.array(columns)
    tiles, count, form, used = _plan(x.shape, rows, columns, co, stride, dilation, x.itemsize)
    share(_correlate, count, used, x.dtype, x.reshape(-1), x.shape, matrices.reshape(-1), out.reshape(-1), out.shape,
          rows, columns, (*stride, *dilation, *out_stride), tiles, form, FACTORS[x.dtype])  # fmt: skip
    return out.transpose(0, 3, 1, 2)


def _plan(shape, rows, columns, co, stride, dilation, itemsize):
    """How to cut the work: (images a tile, bands of rows, bands of columns), the number of tiles, the form of a tile's
    matrix, and how many numbers a tile's matrix and result need."""
    n, c = shape[0], shape[3]
    kh, na, kw, nb = int(rows[:, 0].max()), int(rows[:, 2].max()), int(columns[:, 0].max()), int(columns[:, 2].max())
    form = _BY_ROW
    if kh == 1 or kw * c < 64 or (stride[0] > 1 and dilation[0] > 1):
        form = _ALL if c >= thin.FEW else _ALL_TRANSPOSED

    def numbers(images, a, b):
        if form != _BY_ROW:
            return images * a * b * kh * kw * c
        return min(stride[0], kh) * (a + 1 + (kh - 1) * dilation[0] // stride[0]) * images * b * kw * c

    limit = _TILE // itemsize
    images, a, b = 1, na, nb
    while images < n and images * na * nb < _POSITIONS and numbers(images + 1, na, nb) <= limit:
        images += 1
    while a > 1 and numbers(1, a, nb) > limit:
        a = -(-a // 2)
    while b > 64 and numbers(1, a, b) > limit:
        b = -(-b // 2)
    tiles = images, -(-na // max(a, 1)), -(-nb // max(b, 1))
    count = -(-n // images) * tiles[1] * tiles[2]
    return tiles, count, form, numbers(images, a + 1, b + 1) + images * (a + 1) * (b + 1) * co


# -- the loops: arrays that are only copied or multiplied are given by address, `size` bytes a number -----------------


@njit(nogil=True, cache=True)
def _gather_taps(first, last, scratch, w, strides, taps, out):
    m, _, inner = out.shape
    for a in range(first, last):
        for b0 in range(0, inner, 16):  # 16 kernels at a time: whole cache lines on either side
            b1 = min(b0 + 16, inner)
            for t in range(m):
                for b in range(b0, b1):
                    out[t, a, b] = w[a * strides[0] + b * strides[1] + taps[t]]


@njit(nogil=True, cache=True)
def _expand(x, shape, n0, n1, r0, planes, count, kh, c0, b, kw, geometry, size, to):
    """Write the matrix of a tile: a row for each (i, n, j) holds what kh rows of taps (t, u, c) see; zero outside x.

    With several planes, kh = 1, and plane q is for the input rows r ≡ r₀ + q mod the stride.
    """
    _, h, w, c = shape
    sh, sw, dh, dw = geometry[0], geometry[1], geometry[2], geometry[3]
    c = c * size  # bytes, from here on
    for q in range(planes):
        for i in range(count):
            for n in range(n0, n1):
                for j in range(b):
                    first = c0 + j * sw
                    for t in range(kh):
                        r = r0 + q + i * sh + t * dh
                        row = x + (n * h + r) * w * c
                        if not 0 <= r < h:
                            clear(to, kw * c)
                        elif dw == 1:  # one run, cut off at the borders
                            low = min(max(-first, 0), kw)
                            high = max(min(w - first, kw), low)
                            clear(to, low * c)
                            copy(to + low * c, row + (first + low) * c, (high - low) * c)
                            clear(to + high * c, (kw - high) * c)
                        else:
                            for u in range(kw):
                                if 0 <= first + u * dw < w:
                                    copy(to + u * c, row + (first + u * dw) * c, c)
                                else:
                                    clear(to + u * c, c)
                        to += kw * c


@njit(nogil=True, cache=True)
def _expand_thin(x, shape, n0, n1, r0, a, kh, c0, b, kw, geometry, to):
    """The matrix of `_expand`, transposed: for an input of few channels, whose runs would be short."""
    _, h, w, c = shape
    sh, sw, dh, dw = geometry[0], geometry[1], geometry[2], geometry[3]
    o = 0
    for t in range(kh):
        for u in range(kw):
            first = c0 + u * dw
            low = min(max((sw - 1 - first) // sw, 0), b)  # the first output that sees a column of x here
            high = max(min((w - 1 - first) // sw + 1, b), low)
            for e in range(c):
                for i in range(a):
                    r = r0 + i * sh + t * dh
                    for n in range(n0, n1):
                        line = to[o : o + b]
                        o += b
                        if 0 <= r < h:
                            start = ((n * h + r) * w + first) * c + e
                            for j in range(low):
                                line[j] = 0
                            for j in range(low, high):
                                line[j] = x[start + j * sw * c]
                            for j in range(high, b):
                                line[j] = 0
                        else:
                            line[:] = 0


@njit(nogil=True, cache=True)
def _part(tile, tiles, images, a, b):
    """What a tile covers: images n0 … n1, rows a0 … a1 and columns b0 … b1 of `a` by `b` outputs."""
    n0 = tile // (tiles[1] * tiles[2]) * tiles[0]
    i, j = tile // tiles[2] % tiles[1], tile % tiles[2]
    a0, a1 = i * a // tiles[1], (i + 1) * a // tiles[1]
    b0, b1 = j * b // tiles[2], (j + 1) * b // tiles[2]
    return n0, min(n0 + tiles[0], images), a0, a1, b0, b1


@njit(nogil=True, cache=True)
def _correlate(begin, end, scratch, x, shape, w, out, out_shape, rows, columns, geometry, tiles, form, one):
    """The tiles `begin` … `end` of a correlation, all its phases."""
    c, (_, ho, wo, co) = shape[3], out_shape
    sh, sw, dh, _, osh, osw = geometry
    size, source, target = one.itemsize, np.int64(x.ctypes.data), np.int64(out.ctypes.data)
    matrix = np.int64(scratch.ctypes.data)
    for tile in range(begin, end):
        weights = np.int64(w.ctypes.data)
        first, last, planes = np.int64(2**62), np.int64(-(2**62)), _ONE
        for qh in range(len(rows)):  # the input rows that all phases of rows see
            _, _, a0, a1, _, _ = _part(tile, tiles, shape[0], rows[qh, 2], columns[0, 2])
            if a0 < a1 and rows[qh, 0] > 0:
                first = min(first, rows[qh, 1] + a0 * sh)
                last = max(last, rows[qh, 1] + (a1 - 1) * sh + (rows[qh, 0] - 1) * dh)
                planes = max(planes, min(sh, rows[qh, 0]))
        count = max((last - first) // sh + 1, 0)
        for qw in range(len(columns)):
            kw, k = columns[qw, 0], columns[qw, 0] * c
            n0, n1, _, _, b0, b1 = _part(tile, tiles, shape[0], rows[0, 2], columns[qw, 2])
            b, c0 = b1 - b0, columns[qw, 1] + b0 * sw
            line = (n1 - n0) * b  # rows of the matrix for one row of outputs
            used = 0
            if form == _BY_ROW:
                _expand(source, shape, n0, n1, first, planes, count, _ONE, c0, b, kw, geometry, size, matrix)
                used = planes * count * line * k
            for qh in range(len(rows)):
                kh = rows[qh, 0]
                _, _, a0, a1, _, _ = _part(tile, tiles, shape[0], rows[qh, 2], columns[qw, 2])
                a, m, r0 = a1 - a0, (a1 - a0) * line, rows[qh, 1] + a0 * sh
                taps, weights = weights, weights + kh * k * co * size  # this phase's, and the next one's
                if m == 0:
                    continue
                oi, oj = rows[qh, 3] + a0 * osh, columns[qw, 3] + b0 * osw
                if form == _ALL:
                    _expand(source, shape, n0, n1, r0, _ONE, a, kh, c0, b, kw, geometry, size, matrix)
                elif form == _ALL_TRANSPOSED:
                    _expand_thin(x, shape, n0, n1, r0, a, kh, c0, b, kw, geometry, scratch)
                if form != _BY_ROW:
                    used = m * kh * k
                # the result lies in the output already, or else behind the matrix
                direct = n1 - n0 == 1 and osh == 1 and osw == 1 and (b == wo or a == 1)
                result = target + ((n0 * ho + oi) * wo + oj) * co * size if direct else matrix + used * size
                # `step` rows of taps in one product: all of them, or one by one, `ahead` rows of the matrix further on
                step = 1 if form == _BY_ROW else max(kh, 1)
                transposed = form == _ALL_TRANSPOSED
                if kh * k == 0:  # outputs that no tap reaches
                    clear(result, m * co * size)
                for t in range(0, kh if k else 0, step):
                    ahead = r0 + t * dh - first if form == _BY_ROW else 0
                    start = matrix + (ahead % sh * count + ahead // sh) * line * k * size
                    gemm(transposed, False, m, co, step * k, start, m if transposed else step * k,
                         taps + t * k * co * size, co, min(t, 1), result, co, one)  # fmt: skip
                if not direct:
                    for i in range(a):
                        for n in range(n0, n1):
                            for j in range(b):
                                to = ((n * ho + oi + i * osh) * wo + oj + j * osw) * co
                                copy(target + to * size, result, co * size)
                                result += co * size


@njit(nogil=True, cache=True)
def _weight_grad(begin, end, scratch, x, shape, y, y_shape, row, column, geometry, tiles, form, used, one):
    """What the tiles `begin` … `end` add to the weight gradient, (kh kw C, Cₒ), in `scratch` from `used` on."""
    kh, kw, c, (_, ho, wo, co) = row[0], column[0], shape[3], y_shape
    sh, sw, dh = geometry[0], geometry[1], geometry[2]
    k, size = kw * c, one.itemsize
    source, source_y, matrix = np.int64(x.ctypes.data), np.int64(y.ctypes.data), np.int64(scratch.ctypes.data)
    total = matrix + used * size
    clear(total, kh * k * co * size)
    for tile in range(begin, end):
        n0, n1, a0, a1, b0, b1 = _part(tile, tiles, shape[0], row[2], column[2])
        a, b, r0, c0 = a1 - a0, b1 - b0, row[1] + a0 * sh, column[1] + b0 * sw
        line = (n1 - n0) * b
        m, count = a * line, a + (kh - 1) * dh // sh
        if m == 0:
            continue
        if form == _BY_ROW:
            _expand(source, shape, n0, n1, r0, min(sh, kh), count, _ONE, c0, b, kw, geometry, size, matrix)
        elif form == _ALL:
            _expand(source, shape, n0, n1, r0, _ONE, a, kh, c0, b, kw, geometry, size, matrix)
        else:
            _expand_thin(x, shape, n0, n1, r0, a, kh, c0, b, kw, geometry, scratch)
        right = source_y + ((n0 * ho + a0) * wo + b0) * co * size
        if n1 - n0 > 1 or (b < wo and a > 1):  # put its rows in the order of the matrix
            right = total - m * co * size
            for i in range(a):
                for n in range(n0, n1):
                    there = source_y + ((n * ho + a0 + i) * wo + b0) * co * size
                    copy(right + (i * line + (n - n0) * b) * co * size, there, b * co * size)
        step = 1 if form == _BY_ROW else kh
        transposed = form != _ALL_TRANSPOSED
        for t in range(0, kh, step):
            ahead = t * dh if form == _BY_ROW else 0
            start = matrix + (ahead % sh * count + ahead // sh) * line * k * size
            gemm(transposed, False, step * k, co, m, start, step * k if transposed else m, right, co, 1,
                 total + t * k * co * size, co, one)  # fmt: skip


@njit(nogil=True, cache=True)
def _add_parts(first, last, scratch, parts, out):
    """out[o, c, t] = Σ_threads parts[thread, t, c, o] for the outputs 16 first … 16 last"""
    co, ci, taps = out.shape
    for o0 in range(16 * first, min(16 * last, co), 16):
        o1 = min(o0 + 16, co)
        for c in range(ci):
            for t in range(taps):
                for o in range(o0, o1):
                    out[o, c, t] = parts[0, t, c, o]
                for thread in range(1, len(parts)):
                    for o in range(o0, o1):
                        out[o, c, t] += parts[thread, t, c, o]
