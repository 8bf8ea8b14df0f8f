"""Convolution, its transpose and its weight gradient; pooling, upsampling, pixel shuffle.

Letters: x (N, C, H, W), weight w (Cₒ, C/G, kh, kw), y (N, Cₒ, Hₒ, Wₒ); stride s, padding p = (p₀, p₁) before and
after, dilation d, groups G, g = ∂L/∂(result). Signals of one dimension are images of height 1.

The three convolutions are one bilinear form ⟨conv(x, w), y⟩ = ⟨x, conv_transpose(y, w)⟩ = ⟨w, conv_weight_grad(x, y)⟩,
each derivative of one is another of them, and so there are derivatives of every order.

*padding* is a number, one number per axis, or a pair (before, after) per axis; or

- ``'valid'``: none.
- ``'same'``: ⌈n/s⌉ outputs from n inputs (Keras): p₀ + p₁ = max((⌈n/s⌉ − 1) s + d (k − 1) + 1 − n, 0), the smaller
  half first. For the transposed convolution: the transpose of that convolution, n s outputs from n inputs.
- ``'causal'`` (conv1d): p = (d (k − 1), 0), so that no output sees a later input.
"""

from __future__ import annotations

from .. import kernels
from ..errors import ConfigError, DtypeError, ShapeError
from ..tensor import primitive
from .shape import reshape

__all__ = [
    "avg_pool1d", "avg_pool2d", "conv1d", "conv2d", "conv2d_weight_grad", "conv_transpose1d", "conv_transpose2d",
    "max_pool1d", "max_pool2d", "pixel_shuffle", "pixel_unshuffle", "upsample_nearest",
]  # fmt: skip

# -- the triple -------------------------------------------------------------------------------------------------------


@primitive(
    lambda g, w, x_shape, stride, padding, dilation, groups: _conv_transpose2d(
        g, w, size=x_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, x, w_shape, stride, padding, dilation, groups: _conv2d_weight_grad(
        x, g, kernel=w_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
)
def _conv2d(x, w, *, stride, padding, dilation, groups):
    """y = conv(x, w)        ∂L/∂x = conv_transpose(g, w), ∂L/∂w = conv_weight_grad(x, g)"""
    return kernels.conv2d(x, w, stride, padding, dilation, groups)


@primitive(
    lambda g, w, stride, padding, dilation, groups: _conv2d(
        g, w, stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, u, w_shape, stride, padding, dilation, groups: _conv2d_weight_grad(
        g, u, kernel=w_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
)
def _conv_transpose2d(u, w, *, size, stride, padding, dilation, groups):
    """x = conv_transpose(u, w)        ∂L/∂u = conv(g, w), ∂L/∂w = conv_weight_grad(g, u)"""
    return kernels.conv_transpose2d(u, w, size, stride, padding, dilation, groups)


@primitive(
    lambda g, u, x_shape, stride, padding, dilation, groups: _conv_transpose2d(
        u, g, size=x_shape[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
    lambda g, x, stride, padding, dilation, groups: _conv2d(
        x, g, stride=stride, padding=padding, dilation=dilation, groups=groups
    ),
)
def _conv2d_weight_grad(x, u, *, kernel, stride, padding, dilation, groups):
    """w = conv_weight_grad(x, u)        ∂L/∂x = conv_transpose(u, g), ∂L/∂u = conv(x, g)"""
    return kernels.conv2d_weight_grad(x, u, kernel, stride, padding, dilation, groups)


# -- convolution ------------------------------------------------------------------------------------------------------


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i, j] = b[o] + Σ_{c,k,l} x̄[n, c, s i + d k, s j + d l] w[o, c, k, l], x̄ being x with its padding

    (N, C, H, W), (Cₒ, C/G, kh, kw) -> (N, Cₒ, Hₒ, Wₒ), Hₒ = ⌊(H + p₀ + p₁ − d (kh − 1) − 1) / s⌋ + 1, likewise Wₒ.
    With G groups, each Cₒ/G of the outputs see only their own C/G of the inputs. Padding: see the module.
    """
    return _convolve("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def conv1d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i] = b[o] + Σ_{c,k} x̄[n, c, s i + d k] w[o, c, k], x̄ being x with its padding

    (N, C, L), (Cₒ, C/G, k) -> (N, Cₒ, Lₒ), Lₒ = ⌊(L + p₀ + p₁ − d (k − 1) − 1) / s⌋ + 1. Padding: see the module.
    """
    return _convolve("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """y = b + the transpose of conv2d with the same weight: ⟨conv2d(y, w), x⟩ = ⟨y, conv_transpose2d(x, w)⟩ for b = 0

    (N, C, H, W), (C, Cₒ/G, kh, kw) -> (N, Cₒ, Hₒ, Wₒ), Hₒ = (H − 1) s − (p₀ + p₁) + d (kh − 1) + op + 1, likewise Wₒ.
    The output padding op < s chooses among the sizes from which conv2d would give H. With padding='same', Hₒ = H s.
    """
    return _transpose("conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose1d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """y = b + the transpose of conv1d with the same weight: ⟨conv1d(y, w), x⟩ = ⟨y, conv_transpose1d(x, w)⟩ for b = 0

    (N, C, L), (C, Cₒ/G, k) -> (N, Cₒ, Lₒ), Lₒ = (L − 1) s − (p₀ + p₁) + d (k − 1) + op + 1; L s with padding='same'.
    """
    return _transpose("conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv2d_weight_grad(x, y, kernel_size, stride=1, padding=0, dilation=1, groups=1):
    """w[o, c, k, l] = Σ_{n,i,j} x̄[n, c, s i + d k, s j + d l] y[n, o, i, j]: the gradient of ⟨conv2d(x, w), y⟩ in w

    (N, C, H, W), (N, Cₒ, Hₒ, Wₒ) -> (Cₒ, C/G, kh, kw), where conv2d would give Hₒ from H, Wₒ from W.
    """
    op = "conv2d_weight_grad"
    _check_images(op, 2, x=x, y=y)
    kernel = _numbers(op, "kernel_size", kernel_size, 2, 1)
    _check_groups(op, groups, {"the channels of x": x.shape[1], "the channels of y": y.shape[1]})
    geometry = _geometry(op, x.shape[2:], kernel, stride, padding, dilation)
    out = _sizes(op, x.shape[2:], kernel, **geometry)
    if y.shape[0] != x.shape[0] or y.shape[2:] != out:
        raise ShapeError(
            f"{op}: y must have the shape (N, Cₒ, Hₒ, Wₒ) = ({x.shape[0]}, …, {out[0]}, {out[1]}) that conv2d gives "
            f"for x {x.shape}, got {y.shape}; check kernel_size, stride, padding and dilation."
        )
    return _conv2d_weight_grad(x, y, kernel=kernel, groups=groups, **geometry)


def _convolve(op, axes, x, weight, bias, stride, padding, dilation, groups):
    _check_images(op, axes, x=x, weight=weight)
    _check_groups(op, groups, {"the channels of x": x.shape[1], "the first axis of weight": weight.shape[0]})
    if x.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"{op}: expected x of {weight.shape[1] * groups} channels (axis 1) for weight {weight.shape} and "
            f"groups={groups}, got x {x.shape}; weight is (outputs, inputs/groups, *kernel)."
        )
    size, kernel = x.shape[2:], weight.shape[2:]
    geometry = _geometry(op, size, kernel, stride, padding, dilation)
    _sizes(op, size, kernel, **geometry)
    y = _conv2d(_image(x), _image(weight), groups=groups, **_geometry2d(**geometry))
    return _biased(op, _signal(y, axes), bias, weight.shape[0])


def _transpose(op, axes, x, weight, bias, stride, padding, output_padding, groups, dilation):
    _check_images(op, axes, x=x, weight=weight)
    _check_groups(op, groups, {"the channels of x": x.shape[1]})
    if x.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"{op}: expected x of {weight.shape[0]} channels (axis 1) for weight {weight.shape}, got x {x.shape}; "
            "weight is (inputs, outputs/groups, *kernel)."
        )
    kernel, extra = weight.shape[2:], _numbers(op, "output_padding", output_padding, axes, 0)
    if padding == "same":
        if any(extra):
            raise ConfigError(f"{op}: padding='same' fixes the output size, so output_padding must be 0, got {extra}.")
        size = tuple(n * s for n, s in zip(x.shape[2:], _numbers(op, "stride", stride, axes, 1)))
        geometry = _geometry(op, size, kernel, stride, padding, dilation)
    else:
        geometry = _geometry(op, x.shape[2:], kernel, stride, padding, dilation)
        size = tuple(
            (n - 1) * s - (p0 + p1) + d * (k - 1) + e + 1
            for n, k, e, s, (p0, p1), d in zip(x.shape[2:], kernel, extra, *geometry.values())
        )
    if any(e >= s for e, s in zip(extra, geometry["stride"])):
        raise ConfigError(
            f"{op}: output_padding must be smaller than stride {geometry['stride']}, got {extra}; "
            "it chooses among the sizes that one stride skips."
        )
    if min(size) < 1:
        raise ShapeError(
            f"{op}: the output would have size {size} from x {x.shape} and kernel {kernel}; use less padding than "
            f"{geometry['padding']}."
        )
    geometry = _geometry2d(**geometry)
    size = (1,) * (2 - axes) + size
    y = _conv_transpose2d(_image(x), _image(weight), size=size, groups=groups, **geometry)
    return _biased(op, _signal(y, axes), bias, weight.shape[1] * groups)


def _biased(op, y, bias, channels):
    """y + b, one number per channel"""
    if bias is None:
        return y
    if getattr(bias, "shape", None) != (channels,):
        came = getattr(bias, "shape", type(bias).__name__)
        raise ShapeError(f"{op}: expected bias of shape ({channels},), one per output channel, got {came}.")
    return _add_to(y, reshape(bias, (channels,) + (1,) * (y.ndim - 2)))


@primitive(lambda g: g, lambda g: g)
def _add_to(y, b):
    """y + b in the memory of y: for a result that no one else has seen and no rule needs        ∂L/∂y = ∂L/∂b = g"""
    return kernels.add_to(y, b) if y.dtype == b.dtype else y + b


# -- pooling ----------------------------------------------------------------------------------------------------------


@primitive(None)
def _window_argmax(x, *, kernel, stride, padding):
    """The tap that sees the largest value of each window: a choice, constant almost everywhere"""
    return kernels.window_argmax(x, kernel, stride, padding)


@primitive(
    lambda g, x_shape, index, kernel, stride, padding: _window_place(
        g, index=index, size=x_shape[2:], kernel=kernel, stride=stride, padding=padding
    )
)
def _window_pick(x, *, index, kernel, stride, padding):
    """y = x at tap `index` of each window        ∂L/∂x: g, added at that tap"""
    return kernels.window_pick(x, index, kernel, stride, padding)


@primitive(
    lambda g, index, kernel, stride, padding: _window_pick(
        g, index=index, kernel=kernel, stride=stride, padding=padding
    )
)
def _window_place(u, *, index, size, kernel, stride, padding):
    """x = u, added at tap `index` of each window        ∂L/∂u = g at that tap"""
    return kernels.window_place(u, index, size, kernel, stride, padding)


@primitive(
    lambda g, x_shape, kernel, stride, padding: _window_spread(
        g, size=x_shape[2:], kernel=kernel, stride=stride, padding=padding
    )
)
def _window_sum(x, *, kernel, stride, padding):
    """y = the sum over each window        ∂L/∂x: g, added all over its window"""
    return kernels.window_sum(x, kernel, stride, padding)


@primitive(lambda g, kernel, stride, padding: _window_sum(g, kernel=kernel, stride=stride, padding=padding))
def _window_spread(u, *, size, kernel, stride, padding):
    """x = u, added all over its window        ∂L/∂u = the sum of g over each window"""
    return kernels.window_spread(u, size, kernel, stride, padding)


def max_pool2d(x, kernel_size, stride=None, padding=0):
    """y[n, c, i, j] = max_{k,l} x[n, c, s i + k − p, s j + l − p]        the gradient goes to the first largest value

    (N, C, H, W) -> (N, C, Hₒ, Wₒ), Hₒ = ⌊(H + 2p − kh) / s⌋ + 1. The stride is the kernel size unless given; padding
    never wins.
    """
    _check_images("max_pool2d", 2, x=x)
    geometry = _pooling("max_pool2d", x, kernel_size, stride, padding)
    return _window_pick(x, index=_window_argmax(x, **geometry), **geometry)


def max_pool1d(x, kernel_size, stride=None, padding=0):
    """y[n, c, i] = max_k x[n, c, s i + k − p]        (N, C, L) -> (N, C, ⌊(L + 2p − k) / s⌋ + 1)"""
    _check_images("max_pool1d", 1, x=x)
    geometry, x = _pooling("max_pool1d", x, kernel_size, stride, padding), _image(x)
    return _signal(_window_pick(x, index=_window_argmax(x, **geometry), **geometry), 1)


def avg_pool2d(x, kernel_size, stride=None, padding=0):
    """y[n, c, i, j] = 1/(kh kw) Σ_{k,l} x[n, c, s i + k − p, s j + l − p]        (zeros of the padding are counted)

    (N, C, H, W) -> (N, C, Hₒ, Wₒ), Hₒ = ⌊(H + 2p − kh) / s⌋ + 1. The stride is the kernel size unless given.
    """
    _check_images("avg_pool2d", 2, x=x)
    geometry = _pooling("avg_pool2d", x, kernel_size, stride, padding)
    return _window_sum(x, **geometry) * (1 / (geometry["kernel"][0] * geometry["kernel"][1]))


def avg_pool1d(x, kernel_size, stride=None, padding=0):
    """y[n, c, i] = 1/k Σ_k x[n, c, s i + k − p]        (N, C, L) -> (N, C, ⌊(L + 2p − k) / s⌋ + 1)"""
    _check_images("avg_pool1d", 1, x=x)
    geometry = _pooling("avg_pool1d", x, kernel_size, stride, padding)
    return _signal(_window_sum(_image(x), **geometry) * (1 / geometry["kernel"][1]), 1)


def upsample_nearest(x, scale):
    """y[n, c, i, j] = x[n, c, ⌊i/scale⌋, ⌊j/scale⌋]        (N, C, H, W) -> (N, C, scale H, scale W), or (N, C, L)

    `scale` is an integer or one per axis. ∂L/∂x is the sum of g over the copies.
    """
    axes = getattr(x, "ndim", 4) - 2
    _check_images("upsample_nearest", 1 if axes == 1 else 2, x=x)
    scale = _numbers("upsample_nearest", "scale", scale, axes, 1)
    size = tuple(n * s for n, s in zip(x.shape[2:], scale))
    kernel, size = (1,) * (2 - axes) + scale, (1,) * (2 - axes) + size
    return _signal(_window_spread(_image(x), size=size, kernel=kernel, stride=kernel, padding=((0, 0), (0, 0))), axes)


@primitive(lambda g, factor: _pixel_unshuffle(g, factor=factor))
def _pixel_shuffle(x, factor):
    n, c, h, w = x.shape
    r = factor
    y = x.reshape(n, c // (r * r), r, r, h, w).transpose(0, 4, 2, 5, 3, 1)  # (N, H, r, W, r, C)
    return y.reshape(n, h * r, w * r, c // (r * r)).transpose(0, 3, 1, 2)


@primitive(lambda g, factor: _pixel_shuffle(g, factor=factor))
def _pixel_unshuffle(x, factor):
    n, c, h, w = x.shape
    r = factor
    y = x.reshape(n, c, h // r, r, w // r, r).transpose(0, 2, 4, 1, 3, 5)  # (N, H/r, W/r, C, r, r)
    return y.reshape(n, h // r, w // r, c * r * r).transpose(0, 3, 1, 2)


def pixel_shuffle(x, factor):
    """y[n, c, r i + k, r j + l] = x[n, c r² + k r + l, i, j]        (N, C r², H, W) -> (N, C, r H, r W)

    With r the factor (Shi et al. 2016).
    """
    _check_images("pixel_shuffle", 2, x=x)
    (factor,) = _numbers("pixel_shuffle", "factor", factor, 1, 1)
    if x.shape[1] % factor**2:
        raise ShapeError(
            f"pixel_shuffle: expected channels (axis 1) divisible by factor² = {factor**2}, got x {x.shape}."
        )
    return _pixel_shuffle(x, factor=factor)


def pixel_unshuffle(x, factor):
    """y[n, c r² + k r + l, i, j] = x[n, c, r i + k, r j + l]        (N, C, r H, r W) -> (N, C r², H, W)"""
    _check_images("pixel_unshuffle", 2, x=x)
    (factor,) = _numbers("pixel_unshuffle", "factor", factor, 1, 1)
    if x.shape[2] % factor or x.shape[3] % factor:
        raise ShapeError(f"pixel_unshuffle: expected height and width divisible by factor {factor}, got x {x.shape}.")
    return _pixel_unshuffle(x, factor=factor)


# -- arguments --------------------------------------------------------------------------------------------------------

_IMAGES = {1: "(N, C, L)", 2: "(N, C, H, W)"}
_WEIGHT = [
    {1: "(outputs, inputs/groups, k)", 2: "(outputs, inputs/groups, kh, kw)"},
    {1: "(inputs, outputs/groups, k)", 2: "(inputs, outputs/groups, kh, kw)"},
]


def _image(x):
    """A signal (N, C, L) as an image (N, C, 1, L)."""
    return x if x.ndim == 4 else reshape(x, (*x.shape[:2], 1, x.shape[2]))


def _signal(y, axes):
    """Undo `_image`."""
    return y if axes == 2 else reshape(y, (*y.shape[:2], y.shape[3]))


def _check_images(op, axes, **arguments):
    for name, a in arguments.items():
        if not hasattr(a, "shape") or a.dtype.kind not in "iufc":
            came = f"dtype {a.dtype}" if hasattr(a, "dtype") else type(a).__name__
            raise DtypeError(f"{op}: {name} must be a Tensor or array of numbers, got {came}; use minigen.tensor(…).")
        if a.ndim != axes + 2:
            form = _WEIGHT["transpose" in op] if name == "weight" else _IMAGES
            raise ShapeError(f"{op}: {name} must be {form[axes]}, got shape {tuple(a.shape)}; reshape it.")


def _check_groups(op, groups, channels):
    if not _is_int(groups) or groups < 1:
        raise ConfigError(f"{op}: groups must be a whole number of at least 1, got {groups!r}.")
    for name, count in channels.items():
        if count % groups:
            raise ShapeError(f"{op}: groups={groups} must divide {name}, got {count}.")


def _is_int(a):
    return hasattr(a, "__index__") and not isinstance(a, bool)


def _numbers(op, name, value, axes, least):
    """`value`, a number or one per axis, as a tuple of integers, each at least `least`."""
    values = (value,) * axes if _is_int(value) else tuple(value) if isinstance(value, tuple | list) else ()
    if len(values) != axes or not all(map(_is_int, values)):
        raise ConfigError(f"{op}: {name} must be a whole number or {axes} of them, one per axis, got {value!r}.")
    if any(v < least for v in values):
        raise ConfigError(f"{op}: {name} must be at least {least}, got {value!r}.")
    return tuple(map(int, values))


def _geometry(op, size, kernel, stride, padding, dilation):
    """Stride, padding and dilation spelled out: one number per axis, a pair per axis for the padding."""
    axes = len(size)
    stride, dilation = _numbers(op, "stride", stride, axes, 1), _numbers(op, "dilation", dilation, axes, 1)
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel))
    if padding == "valid":
        pads = ((0, 0),) * axes
    elif padding == "same":
        totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, s, span in zip(size, stride, spans)]
        pads = tuple((total // 2, total - total // 2) for total in totals)
    elif padding == "causal" and op == "conv1d":
        pads = ((spans[0] - 1, 0),)
    else:
        pads = _pads(op, padding, axes)
    return {"stride": stride, "padding": pads, "dilation": dilation}


def _pads(op, padding, axes):
    words = "'valid', 'same'" + (", 'causal'" if op == "conv1d" else "")
    if _is_int(padding):
        pads = ((padding, padding),) * axes
    elif isinstance(padding, tuple | list) and axes == 1 and len(padding) == 2 and all(map(_is_int, padding)):
        pads = (tuple(padding),)
    elif isinstance(padding, tuple | list) and len(padding) == axes:
        pads = tuple((p, p) if _is_int(p) else tuple(p) if isinstance(p, tuple | list) else () for p in padding)
    else:
        pads = ()
    if not pads or not all(len(p) == 2 and all(map(_is_int, p)) for p in pads):
        each = "(before, after)" if axes == 1 else "((top, bottom), (left, right))"
        raise ConfigError(f"{op}: padding must be a number, one per axis, {each} or one of {words}, got {padding!r}.")
    if any(v < 0 for p in pads for v in p):
        raise ConfigError(f"{op}: padding must not be negative, got {padding!r}; cut the input by indexing instead.")
    return tuple((int(before), int(after)) for before, after in pads)


def _geometry2d(stride, padding, dilation):
    """The geometry of a signal as that of an image of height 1."""
    if len(stride) == 2:
        return {"stride": stride, "padding": padding, "dilation": dilation}
    return {"stride": (1, *stride), "padding": ((0, 0), *padding), "dilation": (1, *dilation)}


def _sizes(op, size, kernel, stride, padding, dilation):
    """⌊(n + p₀ + p₁ − d (k − 1) − 1) / s⌋ + 1 for each axis, checked."""
    padded = tuple(n + p0 + p1 for n, (p0, p1) in zip(size, padding))
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    if min(kernel) < 1 or any(span > n for span, n in zip(spans, padded)):
        raise ShapeError(
            f"{op}: the kernel {tuple(kernel)}, spanning {spans} with dilation {dilation}, must fit into the padded "
            f"input {padded}; use a smaller kernel or more padding."
        )
    return tuple((n - span) // s + 1 for n, span, s in zip(padded, spans, stride))


def _pooling(op, x, kernel_size, stride, padding):
    """The geometry of a pooling operation, as that of an image."""
    axes = x.ndim - 2
    kernel = _numbers(op, "kernel_size", kernel_size, axes, 1)
    stride = kernel if stride is None else _numbers(op, "stride", stride, axes, 1)
    pads = tuple((p, p) for p in _numbers(op, "padding", padding, axes, 0))
    if any(2 * p > k for (p, _), k in zip(pads, kernel)):
        raise ConfigError(f"{op}: padding must be at most half of kernel_size {kernel}, got {padding!r}.")
    _sizes(op, x.shape[2:], kernel, stride, pads, (1,) * axes)
    geometry = _geometry2d(stride, pads, (1,) * axes)
    return {"kernel": (1,) * (2 - axes) + kernel, "stride": geometry["stride"], "padding": geometry["padding"]}
