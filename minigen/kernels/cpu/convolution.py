"""The three convolutions as matrix products on tiles that stay in cache, without multiplying zeros.

Everything here reads and writes (N, H, W, C) memory. A convolution is *one* correlation

    out[n, i, j] = Σ_{t,u} in[n, i s + r₀ + t d, j s + c₀ + u d] W[t, u]        (W[t, u] is a C × Cₒ matrix)

and a transposed convolution of stride s is s × s of them with stride 1, one for each *phase*: the outputs at rows
≡ qh and columns ≡ qw (mod s), which only the taps k ≡ qh, l ≡ qw reach. So `_correlate` computes both, and
`_correlate_thin` does where there are few output channels. Work is dealt to threads in *tiles*: a few images, or a
band of one.

In a tile, `_expand` lays side by side what one row of taps sees (a contiguous run of kw C numbers), with the images
innermost, so that the next row of taps sees the same matrix, some rows further on: kh products add up to the result,
from kh times less copying than the textbook's im2col.
"""

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

from ..reference import convolution as reference
from .blas import FACTORS, gemm, one_blas_thread, workspace

_TILE = 1_000_000  # bytes of expanded input in a tile: within a core's second-level cache
_ROWS = 256  # a matrix product wants about this many rows
_THIN = 8  # below so many output channels: first multiply, then gather


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
    if co < min(ci, _THIN) and stride == (1, 1):  # exchange the roles of x and y: the kernel is turned round
        turned = tuple((d * (k - 1) - before, 0) for k, d, (before, _) in zip(kernel, dilation, padding))
        w = conv2d_weight_grad(y, x, kernel, stride, turned, dilation, groups)
        return np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1))
    x, y = _channels_last(x), _channels_last(y)
    rows = np.array([(kh, -padding[0][0], y.shape[1], 0)])
    columns = np.array([(kw, -padding[1][0], y.shape[2], 0)])
    tiles, fold, used = _plan(x.shape, rows, columns, co, stride, dilation, x.itemsize)
    scratch = workspace(used + kh * kw * ci * co, x.dtype)
    out = np.empty((co, ci, kh * kw), x.dtype)
    with one_blas_thread:
        _weight_grad(x.reshape(-1), x.shape, y.reshape(-1), y.shape, rows[0], columns[0], (*stride, *dilation, 1, 1),
                     tiles, fold, used, scratch, FACTORS[x.dtype], get_num_threads(), out)  # fmt: skip
    return out.reshape(co, ci, kh, kw)


# -- preparation ------------------------------------------------------------------------------------------------------


def _ours(x, w, groups):
    """Are these arrays for the compiled loops?"""
    return groups == 1 and x.dtype == w.dtype and x.dtype in FACTORS and x.size > 0 and w.size > 0


def _channels_last(x):
    """(N, C, H, W) as contiguous (N, H, W, C): no copy where the channels are last in memory already."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _taps(q, k, s):
    """The taps that reach the outputs ≡ q mod s, in the order of the inputs that they see."""
    return range(k)[q::s][::-1]


def _phase(q, k, s, d, before, size):
    """One axis of a phase: (taps, first input − that of output 0 of the phase …, outputs, first output)."""
    taps = len(_taps(q, k, s))
    a0 = -(-(before - q) // s)  # the first a with a s + q ≥ before
    a1 = (before + size - 1 - q) // s + 1
    return taps, a0 - (taps - 1) * d, max(a1 - a0, 0), a0 * s + q - before


def _matrices(w, taps, transpose):
    """(P, Q, kh, kw) -> (taps, P, Q), or (taps, Q, P): one matrix per tap, in the order of `taps`."""
    p, q, kh, kw = w.shape
    out = np.empty((len(taps), q, p) if transpose else (len(taps), p, q), w.dtype)
    strides = (kh * kw, q * kh * kw) if transpose else (q * kh * kw, kh * kw)
    _gather_taps(np.ascontiguousarray(w).reshape(-1), strides, taps, out)
    return out


def _run(x, matrices, rows, columns, stride, dilation, out_shape, out_stride):
    """out = the correlations of x for all phases: each of `rows` with each of `columns`."""
    taps, ci, co = matrices.shape
    x, rows, columns = _channels_last(x), np.array(rows), np.array(columns)
    out = np.empty((x.shape[0], *out_shape), x.dtype)
    geometry = (*stride, *dilation, *out_stride)
    one, threads = FACTORS[x.dtype], get_num_threads()
    with one_blas_thread:
        if co < min(ci, _THIN):
            scratch = workspace(x.shape[1] * x.shape[2] * taps * co, x.dtype)
            matrix = np.ascontiguousarray(matrices.transpose(1, 0, 2)).reshape(-1)
            _correlate_thin(x.reshape(-1), x.shape, matrix, taps * co, out.reshape(-1), out.shape, rows, columns,
                            geometry, scratch, one, threads)  # fmt: skip
        else:
            tiles, fold, used = _plan(x.shape, rows, columns, co, stride, dilation, x.itemsize)
            scratch = workspace(used, x.dtype)
            _correlate(x.reshape(-1), x.shape, matrices.reshape(-1), out.reshape(-1), out.shape, rows, columns,
                       geometry, tiles, fold, scratch, one, threads)  # fmt: skip
    return out.transpose(0, 3, 1, 2)


def _plan(shape, rows, columns, co, stride, dilation, itemsize):
    """How to cut the work: (images a tile, bands of rows, bands of columns), whether a row of the matrix holds all
    taps (`fold`) or one row of them, and how many numbers of scratch memory the matrices of a tile need."""
    n, c = shape[0], shape[3]
    kh, na, kw, nb = int(rows[:, 0].max()), int(rows[:, 2].max()), int(columns[:, 0].max()), int(columns[:, 2].max())
    fold = kh == 1 or kw * c < 64 or (stride[0] > 1 and dilation[0] > 1)

    def numbers(images, a, b):
        if fold:
            return images * a * b * kh * kw * c
        return min(stride[0], kh) * (a + 1 + (kh - 1) * dilation[0] // stride[0]) * images * b * kw * c

    limit = _TILE // itemsize
    images, a, b = 1, na, nb
    while images < n and images * na * nb < _ROWS and numbers(images + 1, na, nb) <= limit:
        images += 1
    while a > 1 and numbers(1, a, nb) > limit:
        a = -(-a // 2)
    while b > 64 and numbers(1, a, b) > limit:
        b = -(-b // 2)
    tiles = images, -(-na // max(a, 1)), -(-nb // max(b, 1))
    return tiles, fold, numbers(images, a + 1, b + 1) + images * (a + 1) * (b + 1) * co


# -- the loops --------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _gather_taps(w, strides, taps, out):
    m, outer, inner = out.shape
    for a in range(outer):
        for b0 in range(0, inner, 16):  # 16 kernels at a time: whole cache lines on either side
            b1 = min(b0 + 16, inner)
            for t in range(m):
                for b in range(b0, b1):
                    out[t, a, b] = w[a * strides[0] + b * strides[1] + taps[t]]


@njit(nogil=True, inline="always")
def _copy(to, o, x, i, count):
    """to[o …] = x[i …], `count` numbers. Slices first: then the loop is free of checks and becomes vector code."""
    to, x = to[o : o + count], x[i : i + count]
    for e in range(count):
        to[e] = x[e]


@njit(nogil=True, inline="always")
def _clear(to, o, count):
    to = to[o : o + count]
    for e in range(count):
        to[e] = 0


@njit(nogil=True, inline="always")
def _copy_taps(x, shape, n, r, first, step, taps, out, o):
    """out[o …] = x at image n, row r, columns first, first + step …: zero outside. Returns where it ends."""
    _, h, w, c = shape
    row = (n * h + r) * w
    if not 0 <= r < h:
        _clear(out, o, taps * c)
    elif step == 1:
        low = min(max(-first, 0), taps)
        high = max(min(w - first, taps), low)
        _clear(out, o, low * c)
        _copy(out, o + low * c, x, (row + first + low) * c, (high - low) * c)
        _clear(out, o + high * c, (taps - high) * c)
    else:
        for u in range(taps):
            column = first + u * step
            if 0 <= column < w:
                _copy(out, o + u * c, x, (row + column) * c, c)
            else:
                _clear(out, o + u * c, c)
    return o + taps * c


@njit(nogil=True, cache=True)
def _expand_all(x, shape, n0, n1, r0, a, kh, c0, b, kw, geometry, out):
    """The matrix of a tile, folded: a row for each output (i, n, j) holds what all taps (t, u, c) see."""
    sh, sw, dh, dw = geometry[0], geometry[1], geometry[2], geometry[3]
    o = 0
    for i in range(a):
        for n in range(n0, n1):
            for j in range(b):
                for t in range(kh):
                    o = _copy_taps(x, shape, n, r0 + i * sh + t * dh, c0 + j * sw, dw, kw, out, o)


@njit(nogil=True, cache=True)
def _expand_rows(x, shape, n0, n1, r0, planes, count, c0, b, kw, geometry, out):
    """The matrix of a tile: a row for each (r, n, j) holds what one row of taps (u, c) sees in input row r.

    Input rows that are equal mod the stride lie together in a plane of `count`: in each, outputs i, i + 1 … are
    neighbours.
    """
    sh, sw, dw = geometry[0], geometry[1], geometry[3]
    o = 0
    for q in range(planes):
        for i in range(count):
            for n in range(n0, n1):
                for j in range(b):
                    o = _copy_taps(x, shape, n, r0 + q + i * sh, c0 + j * sw, dw, kw, out, o)


@njit(nogil=True, inline="always")
def _band(band, bands, count):
    return band * count // bands, (band + 1) * count // bands


@njit(nogil=True, cache=True)
def _correlate_tile(x, shape, w, out, out_shape, rows, columns, geometry, tiles, tile, fold, scratch, one):
    images, row_bands, column_bands = tiles
    n0 = tile // (row_bands * column_bands) * images
    n1 = min(n0 + images, shape[0])
    c, (_, ho, wo, co) = shape[3], out_shape
    sh, sw, dh, _, osh, osw = geometry
    size, matrix, weight = one.itemsize, scratch.ctypes.data, w.ctypes.data
    for qw in range(len(columns)):
        kw, nb = columns[qw, 0], columns[qw, 2]
        b0, b1 = _band(tile % column_bands, column_bands, nb)
        b, c0 = b1 - b0, columns[qw, 1] + b0 * sw
        wide = (n1 - n0) * b * kw * c  # numbers in the matrix for one row of outputs
        used = 0
        if not fold:  # one matrix for all phases of rows: from their first input row to their last
            first, last = shape[1] * 2 + 2**30, -(2**30)
            planes = 1
            for qh in range(len(rows)):
                a0, a1 = _band(tile // column_bands % row_bands, row_bands, rows[qh, 2])
                if a0 < a1 and rows[qh, 0] > 0:
                    first = min(first, rows[qh, 1] + a0 * sh)
                    last = max(last, rows[qh, 1] + (a1 - 1) * sh + (rows[qh, 0] - 1) * dh)
                    planes = max(planes, min(sh, rows[qh, 0]))
            count = max((last - first) // sh + 1, 0)
            used = planes * count * wide
            if used:
                _expand_rows(x, shape, n0, n1, first, planes, count, c0, b, kw, geometry, scratch)
        for qh in range(len(rows)):
            kh, na = rows[qh, 0], rows[qh, 2]
            a0, a1 = _band(tile // column_bands % row_bands, row_bands, na)
            a, r0 = a1 - a0, rows[qh, 1] + a0 * sh
            oi, oj = rows[qh, 3] + a0 * osh, columns[qw, 3] + b0 * osw
            m, k = a * (n1 - n0) * b, kw * c
            taps = weight
            weight += kh * k * co * size
            if m == 0:
                continue
            if kh * kw == 0:
                for n in range(n0, n1):
                    for i in range(a):
                        for j in range(b):
                            _clear(out, ((n * ho + oi + i * osh) * wo + oj + j * osw) * co, co)
                continue
            if fold:
                used = m * kh * k
                _expand_all(x, shape, n0, n1, r0, a, kh, c0, b, kw, geometry, scratch)
            # the result lies in the output already, or else behind the matrix
            direct = n1 - n0 == 1 and osh == 1 and osw == 1 and (b == wo or a == 1)
            result = out.ctypes.data + ((n0 * ho + oi) * wo + oj) * co * size if direct else matrix + used * size
            if fold:
                gemm(False, False, m, co, kh * k, matrix, kh * k, taps, co, 0, result, co, one)
            else:
                for t in range(kh):
                    ahead = r0 + t * dh - first
                    start = matrix + (ahead % sh * count + ahead // sh) * wide * size
                    gemm(False, False, m, co, k, start, k, taps, co, min(t, 1), result, co, one)
                    taps += k * co * size
            if not direct:
                for i in range(a):
                    for n in range(n0, n1):
                        for j in range(b):
                            _copy(out, ((n * ho + oi + i * osh) * wo + oj + j * osw) * co, scratch, used, co)
                            used += co
                used -= m * co


@njit(nogil=True, parallel=True, cache=True)
def _correlate(x, shape, w, out, out_shape, rows, columns, geometry, tiles, fold, scratch, one, threads):
    total = (shape[0] + tiles[0] - 1) // tiles[0] * tiles[1] * tiles[2]
    for thread in prange(threads):
        for tile in range(thread * total // threads, (thread + 1) * total // threads):
            _correlate_tile(
                x, shape, w, out, out_shape, rows, columns, geometry, tiles, tile, fold, scratch[thread], one
            )


@njit(nogil=True, cache=True)
def _correlate_thin_image(x, shape, w, width, out, out_shape, rows, columns, geometry, n, scratch, one):
    """For few output channels: multiply each input by all taps, then add up what each output sees."""
    _, h, wi, c = shape
    _, ho, wo, co = out_shape
    sh, sw, dh, dw, osh, osw = geometry
    gemm(False, False, h * wi, width, c, x.ctypes.data + n * h * wi * c * one.itemsize, c, w.ctypes.data, width, 0,
         scratch.ctypes.data, width, one)  # fmt: skip
    first = 0
    for qw in range(len(columns)):
        kw, c0 = columns[qw, 0], columns[qw, 1]
        for qh in range(len(rows)):
            kh, r0 = rows[qh, 0], rows[qh, 1]
            for i in range(rows[qh, 2]):
                for j in range(columns[qw, 2]):
                    to = ((n * ho + rows[qh, 3] + i * osh) * wo + columns[qw, 3] + j * osw) * co
                    for o in range(co):
                        total = one[0]
                        for t in range(kh):
                            r = r0 + i * sh + t * dh
                            if 0 <= r < h:
                                for u in range(kw):
                                    v = c0 + j * sw + u * dw
                                    if 0 <= v < wi:
                                        total += scratch[(r * wi + v) * width + first + (t * kw + u) * co + o]
                        out[to + o] = total
            first += kh * kw * co


@njit(nogil=True, parallel=True, cache=True)
def _correlate_thin(x, shape, w, width, out, out_shape, rows, columns, geometry, scratch, one, threads):
    for thread in prange(threads):
        for n in range(thread * shape[0] // threads, (thread + 1) * shape[0] // threads):
            _correlate_thin_image(x, shape, w, width, out, out_shape, rows, columns, geometry, n, scratch[thread], one)


@njit(nogil=True, cache=True)
def _weight_grad_tile(x, shape, y, y_shape, row, column, geometry, tiles, tile, fold, used, scratch, one):
    """Add a tile's part of the weight gradient, (kh kw C, Cₒ), which lies in `scratch` at `used`."""
    images, row_bands, column_bands = tiles
    n0 = tile // (row_bands * column_bands) * images
    n1 = min(n0 + images, shape[0])
    a0, a1 = _band(tile // column_bands % row_bands, row_bands, row[2])
    b0, b1 = _band(tile % column_bands, column_bands, column[2])
    kh, kw, c, (_, ho, wo, co) = row[0], column[0], shape[3], y_shape
    sh, sw, dh = geometry[0], geometry[1], geometry[2]
    a, b, r0, c0 = a1 - a0, b1 - b0, row[1] + a0 * sh, column[1] + b0 * sw
    m, k, size = a * (n1 - n0) * b, kw * c, one.itemsize
    if m == 0:
        return
    planes = min(sh, kh)
    count = a + (kh - 1) * dh // sh
    if fold:
        _expand_all(x, shape, n0, n1, r0, a, kh, c0, b, kw, geometry, scratch)
    else:
        _expand_rows(x, shape, n0, n1, r0, planes, count, c0, b, kw, geometry, scratch)
    matrix, result = scratch.ctypes.data, scratch.ctypes.data + used * size
    if n1 - n0 == 1 and (b == wo or a == 1):
        right = y.ctypes.data + ((n0 * ho + a0) * wo + b0) * co * size
    else:
        o = used - m * co
        right = matrix + o * size
        for i in range(a0, a1):
            for n in range(n0, n1):
                _copy(scratch, o, y, ((n * ho + i) * wo + b0) * co, b * co)
                o += b * co
    if fold:
        gemm(True, False, kh * k, co, m, matrix, kh * k, right, co, 1, result, co, one)
    else:
        for t in range(kh):
            start = matrix + (t * dh % sh * count + t * dh // sh) * (n1 - n0) * b * k * size
            gemm(True, False, k, co, m, start, k, right, co, 1, result + t * k * co * size, co, one)


@njit(nogil=True, parallel=True, cache=True)
def _weight_grad(x, shape, y, y_shape, row, column, geometry, tiles, fold, used, scratch, one, threads, out):
    total = (shape[0] + tiles[0] - 1) // tiles[0] * tiles[1] * tiles[2]
    co, ci, taps = out.shape
    for thread in prange(threads):
        _clear(scratch[thread], used, taps * ci * co)
        for tile in range(thread * total // threads, (thread + 1) * total // threads):
            _weight_grad_tile(
                x, shape, y, y_shape, row, column, geometry, tiles, tile, fold, used, scratch[thread], one
            )
    for block in prange((co + 15) // 16):  # add up the threads' parts
        for c in range(ci):
            for t in range(taps):
                for o in range(block * 16, min(block * 16 + 16, co)):
                    part = one[0]
                    for thread in range(threads):
                        part += scratch[thread, used + (t * ci + c) * co + o]
                    out[o, c, t] = part
