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
_THIN = 8  # up to so many output channels, first multiply, then gather


def conv2d(x, w, stride, padding, dilation, groups):
    """Twin of `reference.conv2d`."""
    (kh, kw), (sh, sw), (dh, dw) = w.shape[2:], stride, dilation
    (top, bottom), (left, right) = padding
    ho = (x.shape[2] + top + bottom - dh * (kh - 1) - 1) // sh + 1
    wo = (x.shape[3] + left + right - dw * (kw - 1) - 1) // sw + 1
    if not _ours(x, w, groups) or 0 in (ho, wo, kh, kw):
        return reference.conv2d(x, w, stride, padding, dilation, groups)
    co, ci = w.shape[:2]
    packed = _pack(w, np.arange(kh * kw), swap=True)
    phases = np.array([[kh, kw, -top, -left, ho, wo, 0, 0, 0]])
    return _run(x, packed, phases, stride, dilation, (ho, wo, co), (1, 1))


def conv_transpose2d(y, w, size, stride, padding, dilation, groups):
    """Twin of `reference.conv_transpose2d`."""
    (kh, kw), (sh, sw), (dh, dw) = w.shape[2:], stride, dilation
    if not _ours(y, w, groups) or 0 in (*size, kh, kw) or (sh > 1 and dh > 1) or (sw > 1 and dw > 1):
        return reference.conv_transpose2d(y, w, size, stride, padding, dilation, groups)
    (top, _), (left, _) = padding
    taps, phases = [], []
    for qh in range(sh):
        rows, r0, i0, oi, na = _phase(qh, kh, sh, dh, top, size[0])
        for qw in range(sw):
            columns, c0, j0, oj, nb = _phase(qw, kw, sw, dw, left, size[1])
            phases.append([len(rows), len(columns), i0 + r0, j0 + c0, na, nb, oi, oj, len(taps)])
            taps += [k * kw + l for k in rows for l in columns]
    packed = _pack(w, np.array(taps), swap=False)
    return _run(y, packed, np.array(phases), (1, 1), dilation, (*size, w.shape[1]), stride)


def conv2d_weight_grad(x, y, kernel, stride, padding, dilation, groups):
    """Twin of `reference.conv2d_weight_grad`."""
    if not _ours(x, y, groups) or 0 in kernel:
        return reference.conv2d_weight_grad(x, y, kernel, stride, padding, dilation, groups)
    (kh, kw), ci, co = kernel, x.shape[1], y.shape[1]
    if co < min(ci, _THIN) and stride == (1, 1):  # exchange the roles of x and y: the kernel is turned round
        turned = tuple((d * (k - 1) - p0, 0) for k, d, (p0, _) in zip(kernel, dilation, padding))
        w = conv2d_weight_grad(y, x, kernel, stride, turned, dilation, groups)
        return np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1))
    x, y = _channels_last(x), _channels_last(y)
    n, h, width, _ = x.shape
    _, ho, wo, _ = y.shape
    phases = np.array([[kh, kw, -padding[0][0], -padding[1][0], ho, wo, 0, 0, 0]])
    tiles, fold, size = _plan(phases, n, ci, co, stride, dilation, x.itemsize)
    out = np.empty((co, ci, kh * kw), x.dtype)
    partial = workspace(size + kh * kw * ci * co, x.dtype)
    with one_blas_thread:
        _weight_grad(x.reshape(-1), x.shape, y.reshape(-1), y.shape, phases, (*stride, *dilation), tiles, fold, size,
                     partial, FACTORS[x.dtype], get_num_threads(), out)  # fmt: skip
    return out.reshape(co, ci, kh, kw)


# -- preparation ------------------------------------------------------------------------------------------------------


def _ours(x, w, groups):
    """Are these arrays for the compiled loops?"""
    return groups == 1 and x.dtype == w.dtype and x.dtype in FACTORS and x.size > 0 and w.size > 0


def _channels_last(x):
    """(N, C, H, W) as contiguous (N, H, W, C): no copy where the channels are last in memory already."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _phase(q, k, s, d, before, size):
    """Where the padded position is ≡ q mod s: taps in order of input position, first input for output 0 less …, first
    output and number of outputs."""
    taps = list(range(q, k, s) if s > 1 else range(k))[::-1]
    a0 = -(-(before - q) // s)  # first a with a s + q ≥ before
    a1 = (before + size - 1 - q) // s + 1
    return taps, -(len(taps) - 1) * d, a0, a0 * s + q - before, max(a1 - a0, 0)


def _run(x, packed, phases, stride, dilation, out_shape, out_stride):
    """The correlations `phases` of x, whose outputs interleave with `out_stride`."""
    ci, co = packed.shape[1:]
    x = _channels_last(x)
    out = np.empty((x.shape[0], *out_shape), x.dtype)
    geometry = (*stride, *dilation, *out_stride)
    one, threads = FACTORS[x.dtype], get_num_threads()
    with one_blas_thread:
        if co < min(ci, _THIN):
            taps = packed.shape[0]
            columns = np.ascontiguousarray(packed.transpose(1, 0, 2)).reshape(ci, taps * co)
            scratch = workspace(x.shape[1] * x.shape[2] * taps * co, x.dtype)
            _correlate_thin(x.reshape(-1), x.shape, columns.reshape(-1), taps, out.reshape(-1), out.shape, phases,
                            geometry, scratch, one, threads)  # fmt: skip
        else:
            tiles, fold, size = _plan(phases, x.shape[0], ci, co, stride, dilation, x.itemsize)
            scratch = workspace(size, x.dtype)
            _correlate(x.reshape(-1), x.shape, packed.reshape(-1), out.reshape(-1), out.shape, phases, geometry, tiles,
                       fold, scratch, one, threads)  # fmt: skip
    return out.transpose(0, 3, 1, 2)


def _plan(phases, n, ci, co, stride, dilation, itemsize):
    """How to cut the work: (images a tile, bands of rows, bands of columns), whether a row of the matrix holds all
    taps (`fold`) or one row of them, and how many numbers of scratch memory a tile needs."""
    kh, kw, na, nb = (int(phases[:, i].max()) for i in (0, 1, 4, 5))
    fold = kh == 1 or kw * ci < 64 or (stride[0] > 1 and dilation[0] > 1)

    def numbers(images, rows, columns):
        if fold:
            return images * rows * columns * kh * kw * ci
        planes = min(stride[0], kh)
        return planes * (rows + (kh - 1) * dilation[0] // stride[0]) * images * columns * kw * ci

    limit = _TILE // itemsize
    images, rows, columns = 1, na, nb
    while images < n and images * na * nb < _ROWS and numbers(images + 1, na, nb) <= limit:
        images += 1
    while rows > 1 and numbers(1, rows, nb) > limit:
        rows = -(-rows // 2)
    while columns > 64 and numbers(1, rows, columns) > 4 * limit:
        columns = -(-columns // 2)
    tiles = (images, -(-na // max(rows, 1)), -(-nb // max(columns, 1)))
    return tiles, fold, numbers(images, rows + 1, columns + 1) + images * (rows + 1) * (columns + 1) * co


def _pack(w, taps, swap):
    """(P, Q, kh, kw) -> (taps, P, Q), or (taps, Q, P) with `swap`: one matrix per tap, in the order of `taps`."""
    p, q, kh, kw = w.shape
    w = np.ascontiguousarray(w)
    out = np.empty((len(taps), q, p) if swap else (len(taps), p, q), w.dtype)
    strides = (kh * kw, q * kh * kw) if swap else (q * kh * kw, kh * kw)
    _gather_taps(w.reshape(-1), strides, taps, out)
    return out


@njit(nogil=True, cache=True)
def _gather_taps(w, strides, taps, out):
    m, outer, inner = out.shape
    for a in range(outer):
        for b0 in range(0, inner, 16):  # 16 kernels at a time: whole cache lines on either side
            b1 = min(b0 + 16, inner)
            for t in range(m):
                for b in range(b0, b1):
                    out[t, a, b] = w[a * strides[0] + b * strides[1] + taps[t]]


# -- the loops --------------------------------------------------------------------------------------------------------


@njit(nogil=True, inline="always")
def _copy_run(x, row, inside, width, c, first, step, taps, out, o):
    """The taps of one row, for one output: out[o …] = x at columns first, first + step …, zero outside."""
    if not inside:
        for e in range(taps * c):
            out[o + e] = 0
    elif step == 1:
        low = min(max(-first, 0), taps) * c
        high = max(min(width - first, taps), 0) * c
        start = row + first * c
        for e in range(low):
            out[o + e] = 0
        for e in range(low, high):
            out[o + e] = x[start + e]
        for e in range(max(low, high), taps * c):
            out[o + e] = 0
    else:
        for u in range(taps):
            column = first + u * step
            start = row + column * c
            if 0 <= column < width:
                for e in range(c):
                    out[o + u * c + e] = x[start + e]
            else:
                for e in range(c):
                    out[o + u * c + e] = 0


@njit(nogil=True, cache=True)
def _expand(x, shape, n0, n1, a0, a1, b0, b1, kh, kw, r0, c0, geometry, fold, out):
    """Write the matrix of a tile. Rows (i, n, j); folded, columns (t, u, c) hold all taps. Else columns are (u, c), and
    rows of inputs that are equal mod the stride form a plane, so that tap t is (t d) // s rows of i further on in
    plane (t d) % s."""
    _, h, w, c = shape
    sh, sw, dh, dw = geometry[0], geometry[1], geometry[2], geometry[3]
    o = 0
    if fold:
        for a in range(a0, a1):
            for n in range(n0, n1):
                for b in range(b0, b1):
                    for t in range(kh):
                        r = a * sh + r0 + t * dh
                        _copy_run(x, (n * h + r) * w * c, 0 <= r < h, w, c, b * sw + c0, dw, kw, out, o)
                        o += kw * c
    else:
        for q in range(min(sh, kh)):
            for a in range(a0, a1 + (kh - 1) * dh // sh):
                r = a * sh + q + r0
                for n in range(n0, n1):
                    for b in range(b0, b1):
                        _copy_run(x, (n * h + r) * w * c, 0 <= r < h, w, c, b * sw + c0, dw, kw, out, o)
                        o += kw * c


@njit(nogil=True, inline="always")
def _tap_row(t, images, rows, columns, kh, kwc, geometry):
    """Where in an unfolded matrix the rows for tap row t begin, in elements."""
    sh, dh = geometry[0], geometry[2]
    plane, ahead = (t * dh) % sh, (t * dh) // sh
    return (plane * (rows + (kh - 1) * dh // sh) + ahead) * images * columns * kwc


@njit(nogil=True, cache=True)
def _correlate_tile(x, shape, w, out, out_shape, phase, geometry, n0, n1, a0, a1, b0, b1, fold, scratch, one):
    kh, kw, r0, c0, oi, oj = phase[0], phase[1], phase[2], phase[3], phase[6], phase[7]
    c, (_, ho, wo, co) = shape[3], out_shape
    osh, osw = geometry[4], geometry[5]
    images, rows, columns = n1 - n0, a1 - a0, b1 - b0
    size, m = one.itemsize, images * rows * columns
    if kh * kw == 0:
        for n in range(n0, n1):
            for a in range(a0, a1):
                for b in range(b0, b1):
                    to = ((n * ho + oi + a * osh) * wo + oj + b * osw) * co
                    for e in range(co):
                        out[to + e] = 0
        return
    _expand(x, shape, n0, n1, a0, a1, b0, b1, kh, kw, r0, c0, geometry, fold, scratch)
    matrix, weight = scratch.ctypes.data, w.ctypes.data + phase[8] * c * co * size
    direct = images == 1 and osh == 1 and osw == 1 and (columns == wo or rows == 1)
    if fold:
        used = m * kh * kw * c
    else:
        used = min(geometry[0], kh) * (rows + (kh - 1) * geometry[2] // geometry[0]) * images * columns * kw * c
    if direct:
        result = out.ctypes.data + ((n0 * ho + oi + a0) * wo + oj + b0) * co * size
    else:
        result = matrix + used * size
    if fold:
        gemm(False, False, m, co, kh * kw * c, matrix, kh * kw * c, weight, co, 0, result, co, one)
    else:
        for t in range(kh):
            start = matrix + _tap_row(t, images, rows, columns, kh, kw * c, geometry) * size
            gemm(False, False, m, co, kw * c, start, kw * c, weight + t * kw * c * co * size, co, min(t, 1), result, co,
                 one)  # fmt: skip
    if not direct:
        o = used
        for a in range(a0, a1):
            for n in range(n0, n1):
                for b in range(b0, b1):
                    to = ((n * ho + oi + a * osh) * wo + oj + b * osw) * co
                    for e in range(co):
                        out[to + e] = scratch[o + e]
                    o += co


@njit(nogil=True, parallel=True, cache=True)
def _correlate(x, shape, w, out, out_shape, phases, geometry, tiles, fold, scratch, one, threads):
    images, row_bands, column_bands = tiles
    chunks = (shape[0] + images - 1) // images
    total = chunks * row_bands * column_bands
    for thread in prange(threads):
        for tile in range(thread * total // threads, (thread + 1) * total // threads):
            n0 = tile // (row_bands * column_bands) * images
            i, j = tile // column_bands % row_bands, tile % column_bands
            for p in range(len(phases)):
                na, nb = phases[p, 4], phases[p, 5]
                a0, a1 = i * na // row_bands, (i + 1) * na // row_bands
                b0, b1 = j * nb // column_bands, (j + 1) * nb // column_bands
                if a0 < a1 and b0 < b1:
                    _correlate_tile(x, shape, w, out, out_shape, phases[p], geometry, n0, min(n0 + images, shape[0]),
                                    a0, a1, b0, b1, fold, scratch[thread], one)  # fmt: skip


@njit(nogil=True, parallel=True, cache=True)
def _correlate_thin(x, shape, w, taps, out, out_shape, phases, geometry, scratch, one, threads):
    """For few output channels: multiply each input by all taps, then add up what each output sees."""
    images, h, width, c = shape
    _, ho, wo, co = out_shape
    sh, sw, dh, dw, osh, osw = geometry
    size, columns = one.itemsize, taps * co
    for thread in prange(threads):
        buffer = scratch[thread]
        for n in range(thread * images // threads, (thread + 1) * images // threads):
            gemm(False, False, h * width, columns, c, x.ctypes.data + n * h * width * c * size, c, w.ctypes.data,
                 columns, 0, buffer.ctypes.data, columns, one)  # fmt: skip
            for p in range(len(phases)):
                kh, kw, r0, c0, na, nb = (
                    phases[p, 0],
                    phases[p, 1],
                    phases[p, 2],
                    phases[p, 3],
                    phases[p, 4],
                    phases[p, 5],
                )
                oi, oj, first = phases[p, 6], phases[p, 7], phases[p, 8]
                for a in range(na):
                    for b in range(nb):
                        to = ((n * ho + oi + a * osh) * wo + oj + b * osw) * co
                        for o in range(co):
                            total = one[0]
                            for t in range(kh):
                                r = a * sh + r0 + t * dh
                                if 0 <= r < h:
                                    for u in range(kw):
                                        v = b * sw + c0 + u * dw
                                        if 0 <= v < width:
                                            total += buffer[(r * width + v) * columns + (first + t * kw + u) * co + o]
                            out[to + o] = total


@njit(nogil=True, cache=True)
def _weight_grad_tile(x, shape, y, y_shape, phase, geometry, n0, n1, a0, a1, b0, b1, fold, used, scratch, one):
    """Add a tile's part of the weight gradient, (kh kw C, Cₒ), which lies in `scratch` behind the tile's matrices."""
    kh, kw, r0, c0 = phase[0], phase[1], phase[2], phase[3]
    c, (_, ho, wo, co) = shape[3], y_shape
    images, rows, columns = n1 - n0, a1 - a0, b1 - b0
    size, m = one.itemsize, images * rows * columns
    _expand(x, shape, n0, n1, a0, a1, b0, b1, kh, kw, r0, c0, geometry, fold, scratch)
    matrix, result = scratch.ctypes.data, scratch.ctypes.data + used * size
    if images == 1 and (columns == wo or rows == 1):
        right = y.ctypes.data + ((n0 * ho + a0) * wo + b0) * co * size
    else:
        o = used - m * co
        right = matrix + o * size
        for a in range(a0, a1):
            for n in range(n0, n1):
                start = ((n * ho + a) * wo + b0) * co
                for e in range(columns * co):
                    scratch[o + e] = y[start + e]
                o += columns * co
    if fold:
        gemm(True, False, kh * kw * c, co, m, matrix, kh * kw * c, right, co, 1, result, co, one)
    else:
        for t in range(kh):
            start = matrix + _tap_row(t, images, rows, columns, kh, kw * c, geometry) * size
            gemm(True, False, kw * c, co, m, start, kw * c, right, co, 1, result + t * kw * c * co * size, co, one)


@njit(nogil=True, parallel=True, cache=True)
def _weight_grad(x, shape, y, y_shape, phases, geometry, tiles, fold, used, scratch, one, threads, out):
    images, row_bands, column_bands = tiles
    chunks = (shape[0] + images - 1) // images
    total = chunks * row_bands * column_bands
    co, ci, taps = out.shape
    na, nb = phases[0, 4], phases[0, 5]
    for thread in prange(threads):
        scratch[thread, used : used + taps * ci * co] = 0
        for tile in range(thread * total // threads, (thread + 1) * total // threads):
            n0 = tile // (row_bands * column_bands) * images
            i, j = tile // column_bands % row_bands, tile % column_bands
            a0, a1 = i * na // row_bands, (i + 1) * na // row_bands
            b0, b1 = j * nb // column_bands, (j + 1) * nb // column_bands
            if a0 < a1 and b0 < b1:
                _weight_grad_tile(x, shape, y, y_shape, phases[0], geometry, n0, min(n0 + images, shape[0]),
                                  a0, a1, b0, b1, fold, used, scratch[thread], one)  # fmt: skip
    blocks = (co + 15) // 16
    for block in prange(blocks):
        for c in range(ci):
            for t in range(taps):
                for o in range(block * 16, min(block * 16 + 16, co)):
                    total_ = one[0]
                    for thread in range(threads):
                        total_ += scratch[thread, used + (t * ci + c) * co + o]
                    out[o, c, t] = total_
