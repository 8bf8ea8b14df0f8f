"""Convolution and pooling: two-dimensional, without bias, geometry already checked and spelled out.

Letters: x (N, C, H, W), weight w (Cₒ, C/G, kh, kw), y (N, Cₒ, Hₒ, Wₒ); stride s = (sh, sw), dilation d = (dh, dw),
padding p = ((top, bottom), (left, right)), G groups. A *tap* is one position (k, l) of the kernel.

The three convolutions are one bilinear triple: ⟨conv2d(x, w), y⟩ = ⟨x, conv_transpose2d(y, w)⟩ =
⟨w, conv2d_weight_grad(x, y)⟩. Shapes are (N, C, H, W) throughout, but results are stored with the channels last (a
transposed view), because then a row of the kernel's window is one contiguous run of memory.
"""

from __future__ import annotations

from ...backend import xp

__all__ = [
    "conv2d", "conv2d_weight_grad", "conv_transpose2d", "window_argmax", "window_pick", "window_place",
    "window_spread", "window_sum",
]  # fmt: skip

SHORT = 16  # numbers that lie one after another


def conv2d(x, w, stride, padding, dilation, groups):
    """y[n, o, i, j] = Σ_{c,k,l} x̄[n, c, i sh + k dh, j sw + l dw] w[o, c, k, l], x̄ being x with its padding

    One matrix product: each row of `columns` is what the kernel sees at one position.
    """
    columns, (n, ho, wo) = _columns(x, w.shape[2:], stride, padding, dilation, groups)
    y = columns @ _matrix(w, groups).swapaxes(1, 2)  # (G, N Hₒ Wₒ, Cₒ/G)
    return _ungrouped(y, n, ho, wo)


def conv_transpose2d(y, w, size, stride, padding, dilation, groups):
    """x̄[n, c, i sh + k dh, j sw + l dw] += Σ_o y[n, o, i, j] w[o, c, k, l]; x of the given `size` is x̄ less its padding

    Each value of y paints the kernel into the output; here tap after tap, all positions at once. Where a tap paints
    few channels, one matrix product for all taps comes first.
    """
    n, co, ho, wo = y.shape
    per_group, kh, kw = w.shape[1:]
    (top, bottom), (left, right) = padding
    padded = (n, per_group * groups, size[0] + top + bottom, size[1] + left + right)
    x = _zeros(padded, y, xp.result_type(y.dtype, w.dtype))
    rows, short = _grouped(y, groups), _short(kw, per_group, groups)
    if short:
        painted = (_matrix(w, 1)[0].T @ rows[0].T).reshape(kh, kw, per_group, n, ho, wo).swapaxes(2, 3)
    else:
        w = w.reshape(groups, co // groups, per_group, kh, kw)
    for k in range(kh):
        for l in range(kw):
            one = painted[k, l] if short else _ungrouped(rows @ w[..., k, l], n, ho, wo)
            _seen(x, k, l, (ho, wo), stride, dilation)[...] += one
    return x[:, :, top : top + size[0], left : left + size[1]]


def conv2d_weight_grad(x, y, kernel, stride, padding, dilation, groups):
    """w[o, c, k, l] = Σ_{n,i,j} x̄[n, c, i sh + k dh, j sw + l dw] y[n, o, i, j]"""
    columns, _ = _columns(x, kernel, stride, padding, dilation, groups)
    w = _grouped(y, groups).swapaxes(1, 2) @ columns  # (G, Cₒ/G, kh kw C/G)
    w = w.reshape(y.shape[1], *kernel, x.shape[1] // groups)
    return w.transpose(0, 3, 1, 2).copy()


def window_argmax(x, kernel, stride, padding):
    """Which tap sees the largest value of each window: the first of equals, never the padding; NaN counts as largest"""
    (top, _), (left, _) = padding
    lowest = -xp.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
    x = _padded(x, padding, lowest)
    ho, wo = out = _positions(x, kernel, stride, (1, 1))
    y, index = _zeros((*x.shape[:2], *out), x), _zeros((*x.shape[:2], *out), x, xp.int32)
    y[...] = lowest
    index += kernel[1] * xp.maximum(top - stride[0] * xp.arange(ho, like=x), 0).astype(xp.int32)[:, None]
    index += xp.maximum(left - stride[1] * xp.arange(wo, like=x), 0).astype(xp.int32)
    for tap in range(kernel[0] * kernel[1]):
        value = _seen(x, *divmod(tap, kernel[1]), out, stride)
        larger = (value > y) | (value != value)
        y, index = xp.where(larger, value, y), xp.where(larger, xp.int32(tap), index)
    return index


def window_pick(x, index, kernel, stride, padding):
    """y[n, c, i, j] = the value of x̄ at tap index[n, c, i, j] of window (i, j)"""
    x = _padded(x, padding)
    y = xp.zeros(index.shape, x.dtype, like=x)
    for tap in range(kernel[0] * kernel[1]):
        y = xp.where(index == tap, _seen(x, *divmod(tap, kernel[1]), index.shape[2:], stride), y)
    return y


def window_place(y, index, size, kernel, stride, padding):
    """x̄ += y[n, c, i, j] at tap index[n, c, i, j] of window (i, j): the transpose of `window_pick`"""
    (top, bottom), (left, right) = padding
    x = _zeros((*y.shape[:2], size[0] + top + bottom, size[1] + left + right), y)
    for tap in range(kernel[0] * kernel[1]):
        _seen(x, *divmod(tap, kernel[1]), y.shape[2:], stride)[...] += xp.where(index == tap, y, 0)
    return x[:, :, top : top + size[0], left : left + size[1]]


def window_sum(x, kernel, stride, padding):
    """y[n, c, i, j] = the sum of x̄ over window (i, j)"""
    x = _padded(x, padding)
    out = _positions(x, kernel, stride, (1, 1))
    y = _zeros((*x.shape[:2], *out), x)
    for tap in range(kernel[0] * kernel[1]):
        y += _seen(x, *divmod(tap, kernel[1]), out, stride)
    return y


def window_spread(y, size, kernel, stride, padding):
    """x̄ += y[n, c, i, j] at every tap of window (i, j): the transpose of `window_sum`"""
    (top, bottom), (left, right) = padding
    x = _zeros((*y.shape[:2], size[0] + top + bottom, size[1] + left + right), y)
    for tap in range(kernel[0] * kernel[1]):
        _seen(x, *divmod(tap, kernel[1]), y.shape[2:], stride)[...] += y
    return x[:, :, top : top + size[0], left : left + size[1]]


# -- windows ----------------------------------------------------------------------------------------------------------


def _positions(x, kernel, stride, dilation):
    """(Hₒ, Wₒ): at how many positions the kernel lies inside a padded x."""
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation))


def _seen(x, k, l, out, stride, dilation=(1, 1)):
    """The part of a padded x that tap (k, l) sees from all positions: (N, C, Hₒ, Wₒ), a view."""
    top, left = k * dilation[0], l * dilation[1]
    bottom, right = top + (out[0] - 1) * stride[0] + 1, left + (out[1] - 1) * stride[1] + 1
    return x[:, :, top : bottom : stride[0], left : right : stride[1]]


def _short(taps, per_group, groups):
    """Does a row of the kernel see so few numbers that copying tap after tap is faster?"""
    return groups == 1 and taps * per_group < SHORT


def _columns(x, kernel, stride, padding, dilation, groups):
    """(G, N Hₒ Wₒ, kh kw C/G): for each group and position what its kernel sees. And (N, Hₒ, Wₒ)."""
    x = _padded(x, padding)
    if _short(kernel[1], x.shape[1], groups):
        (n, channels), (ho, wo) = x.shape[:2], _positions(x, kernel, stride, dilation)
        columns = xp.empty((*kernel, channels, n, ho, wo), x.dtype, like=x)
        for k in range(kernel[0]):
            for l in range(kernel[1]):
                columns[k, l] = _seen(x, k, l, (ho, wo), stride, dilation).swapaxes(0, 1)
        columns = columns.reshape(1, kernel[0] * kernel[1] * channels, n * ho * wo)
        return columns.swapaxes(1, 2), (n, ho, wo)
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    windows = xp.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    n, channels, ho, wo, kh, kw = windows.shape
    per_group = channels // groups
    windows = windows.reshape(n, groups, per_group, ho, wo, kh, kw).transpose(1, 0, 3, 4, 5, 6, 2)
    return windows.reshape(groups, n * ho * wo, kh * kw * per_group), (n, ho, wo)


def _matrix(w, groups):
    """(Cₒ, C/G, kh, kw) as (G, Cₒ/G, kh kw C/G)"""
    co, per_group, kh, kw = w.shape
    return w.transpose(0, 2, 3, 1).reshape(groups, co // groups, kh * kw * per_group)


def _grouped(y, groups):
    """(N, C, H, W) as (G, N H W, C/G)"""
    n, channels, h, w = y.shape
    y = y.reshape(n, groups, channels // groups, h, w).transpose(1, 0, 3, 4, 2)
    return y.reshape(groups, n * h * w, channels // groups)


def _ungrouped(y, n, h, w):
    """(G, N H W, C/G) as (N, C, H, W), with the channels last in memory"""
    groups, _, per_group = y.shape
    y = y.reshape(groups, n, h, w, per_group).transpose(1, 2, 3, 0, 4)
    return y.reshape(n, h, w, groups * per_group).transpose(0, 3, 1, 2)


def _zeros(shape, like, dtype=None):
    """Zeros of shape (N, C, H, W), with the channels last in memory."""
    n, c, h, w = shape
    return xp.zeros((n, h, w, c), dtype or like.dtype, like=like).transpose(0, 3, 1, 2)


def _padded(x, padding, value=0):
    """x inside a border of `value`."""
    (top, bottom), (left, right) = padding
    if not (top or bottom or left or right):
        return x
    n, c, h, w = x.shape
    out = _zeros((n, c, top + h + bottom, left + w + right), x)
    if value:
        out[...] = value
    out[:, :, top : top + h, left : left + w] = x
    return out
