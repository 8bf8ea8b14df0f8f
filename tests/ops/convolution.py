"""Records of convolution, pooling and what moves pixels. References are loops over output positions."""

import numpy as np

from minigen import ops
from minigen.errors import ConfigError, DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts


def functional():
    import torch

    return torch.nn.functional


# -- references -------------------------------------------------------------------------------------------------------


def tuples(value, axes):
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


def spelled(padding, size, kernel, stride, dilation):
    """The padding before and after, for each axis."""
    pads = []
    for i, (n, k, s, d) in enumerate(zip(size, kernel, stride, dilation)):
        if padding == "valid":
            pads.append((0, 0))
        elif padding == "same":
            total = max((int(np.ceil(n / s)) - 1) * s + d * (k - 1) + 1 - n, 0)
            pads.append((total // 2, total - total // 2))
        elif padding == "causal":
            pads.append((d * (k - 1), 0))
        else:
            pair = len(size) == 1 and isinstance(padding, tuple) and len(padding) == 2  # (before, after) of a signal
            p = padding if isinstance(padding, int) or pair else padding[i]
            pads.append(tuples(p, 2))
    return pads


def patches(x, kernel, stride, pads, dilation, fill=0.0):
    """(output position, what the kernel sees there: (N, C, *kernel)) for each position, for any number of axes."""
    x = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    out = [(n - span) // s + 1 for n, span, s in zip(x.shape[2:], spans, stride)]
    for at in np.ndindex(*out):
        window = [slice(i * s, i * s + span, d) for i, s, span, d in zip(at, stride, spans, dilation)]
        yield at, out, x[(slice(None), slice(None), *window)]


def conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    axes, (co, per_group, *kernel) = x.ndim - 2, weight.shape
    stride, dilation = tuples(stride, axes), tuples(dilation, axes)
    y = None
    for at, out, patch in patches(x, kernel, stride, spelled(padding, x.shape[2:], kernel, stride, dilation), dilation):
        if y is None:
            y = np.zeros((len(x), co, *out))
        for o in range(co):
            group = o // (co // groups)
            seen = patch[:, group * per_group : (group + 1) * per_group]
            y[(slice(None), o, *at)] = (seen * weight[o]).sum(axis=tuple(range(1, x.ndim)))
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def conv_transpose(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    axes, (ci, per_group, *kernel) = x.ndim - 2, weight.shape
    stride, dilation, extra = tuples(stride, axes), tuples(dilation, axes), tuples(output_padding, axes)
    size = x.shape[2:]
    if padding == "same":
        wanted = [n * s for n, s in zip(size, stride)]
        pads = spelled(padding, wanted, kernel, stride, dilation)
    else:
        pads = spelled(padding, size, kernel, stride, dilation)
        wanted = [
            (n - 1) * s - sum(p) + d * (k - 1) + e + 1
            for n, s, p, d, k, e in zip(size, stride, pads, dilation, kernel, extra)
        ]
    y = np.zeros((len(x), per_group * groups, *[n + sum(p) for n, p in zip(wanted, pads)]))
    for at in np.ndindex(*size):
        for tap in np.ndindex(*kernel):
            to = tuple(i * s + k * d for i, s, k, d in zip(at, stride, tap, dilation))
            for c in range(ci):
                group = slice(c // (ci // groups) * per_group, (c // (ci // groups) + 1) * per_group)
                y[(slice(None), group, *to)] += x[(slice(None), c, *at)][:, None] * weight[(c, slice(None), *tap)]
    y = y[(..., *[slice(p[0], p[0] + n) for n, p in zip(wanted, pads)])]
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def weight_grad(x, y, kernel_size, stride=1, padding=0, dilation=1, groups=1):
    kernel, stride, dilation = tuples(kernel_size, 2), tuples(stride, 2), tuples(dilation, 2)
    co, per_group = y.shape[1], x.shape[1] // groups
    w = np.zeros((co, per_group, *kernel))
    for at, _, patch in patches(x, kernel, stride, spelled(padding, x.shape[2:], kernel, stride, dilation), dilation):
        for o in range(co):
            group = o // (co // groups)
            seen = patch[:, group * per_group : (group + 1) * per_group]
            w[o] += (seen * y[(slice(None), o, *at)][:, None, None, None]).sum(0)
    return w


def pool(reduce, fill):
    def reference(x, kernel_size, stride=None, padding=0):
        axes = x.ndim - 2
        kernel = tuples(kernel_size, axes)
        stride = kernel if stride is None else tuples(stride, axes)
        pads = [(p, p) for p in tuples(padding, axes)]
        y = None
        for at, out, patch in patches(x, kernel, stride, pads, (1,) * axes, fill):
            if y is None:
                y = np.zeros((*x.shape[:2], *out))
            y[(slice(None), slice(None), *at)] = reduce(patch, axis=tuple(range(2, x.ndim)))
        return y

    return reference


def upsample(x, scale):
    for axis, s in enumerate(tuples(scale, x.ndim - 2), 2):
        x = np.repeat(x, s, axis)
    return x


def shuffle(x, factor):
    n, c, h, w = x.shape
    y = np.zeros((n, c // factor**2, h * factor, w * factor))
    for k, l in np.ndindex(factor, factor):
        y[:, :, k::factor, l::factor] = x[:, k * factor + l :: factor**2]
    return y


def unshuffle(x, factor):
    return np.stack(
        [x[:, :, k::factor, l::factor] for k, l in np.ndindex(factor, factor)], axis=2
    ).reshape(len(x), -1, x.shape[2] // factor, x.shape[3] // factor)  # fmt: skip


# -- the same in PyTorch ----------------------------------------------------------------------------------------------


def torch_conv(name):
    """PyTorch's function on an input that is padded by hand where PyTorch cannot."""

    def call(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        axes = x.ndim - 2
        pads = spelled(padding, x.shape[2:], weight.shape[2:], tuples(stride, axes), tuples(dilation, axes))
        x = functional().pad(x, [p for pair in pads[::-1] for p in pair])
        return getattr(functional(), name)(x, weight, bias, stride, 0, dilation, groups)

    return call


def torch_conv_transpose(name):
    def call(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        axes, same = x.ndim - 2, padding == "same"
        strides, dilations = tuples(stride, axes), tuples(dilation, axes)
        size = [n * s for n, s in zip(x.shape[2:], strides)] if same else x.shape[2:]
        pads = spelled(padding, size, weight.shape[2:], strides, dilations)
        y = getattr(functional(), name)(x, weight, None, stride, 0, 0, groups, dilation)
        extra = [s - 1 for s in strides]  # room for every output padding, filled with zeros
        y = functional().pad(y, [p for e in extra[::-1] for p in (0, e)])
        if not same:
            size = [
                (n - 1) * s - sum(p) + d * (k - 1) + e + 1
                for n, s, p, d, k, e in zip(
                    x.shape[2:], strides, pads, dilations, weight.shape[2:], tuples(output_padding, axes)
                )
            ]
        y = y[(..., *[slice(p[0], p[0] + n) for n, p in zip(size, pads)])]
        return y if bias is None else y + bias.reshape(-1, *[1] * axes)

    return call


def torch_weight_grad(x, y, kernel_size, stride=1, padding=0, dilation=1, groups=1):
    import torch

    shape = (y.shape[1], x.shape[1] // groups, *tuples(kernel_size, 2))
    pads = spelled(padding, x.shape[2:], shape[2:], tuples(stride, 2), tuples(dilation, 2))
    x = functional().pad(x, [p for pair in pads[::-1] for p in pair])
    w = torch.zeros(shape, dtype=x.dtype, requires_grad=True)
    value = (functional().conv2d(x, w, None, stride, 0, dilation, groups) * y).sum()
    return torch.autograd.grad(value, w, create_graph=True)[0]


# -- samples ----------------------------------------------------------------------------------------------------------


def calls(*shapes_and_options, strided=True):
    """Samples from tuples of shapes with a dictionary of options last; the first also in other memory layouts."""

    def samples(rng):
        found = []
        for *shapes, options in shapes_and_options:
            found.append(Sample(tuple(rng.standard_normal(s) for s in shapes), options))
        if strided:
            first, options = found[0].args, found[0].kwargs
            found += [Sample(args, options) for args in list(zip(*map(layouts, first)))[1:]]
            found.append(Sample(tuple(map(channels_last, first)), options))
        return found

    return samples


def channels_last(a):
    """`a` with axis 1 last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 1 else a


def apart(*calls_):
    """Samples whose elements differ by at least 0.1, so that no step of a numerical derivative changes the largest."""

    def samples(rng):
        draw = lambda shape: 0.1 * rng.permutation(int(np.prod(shape))).reshape(shape) - 1.0
        return [Sample((draw(shape),), options) for shape, options in calls_]

    return samples


def spec(name, reference, samples, torch, bad, **more):
    return OpSpec(name, getattr(ops, name), reference, samples, torch=torch, bad=bad, **more)


IMAGE, SIGNAL = np.ones((2, 4, 5, 5)), np.ones((2, 4, 6))
WEIGHT = np.ones((4, 4, 3, 3))


def wrong_arguments(x, w):
    """What every convolution refuses."""
    return [
        Bad((x[0], w), {}, ShapeError, r"x must be \(N, C, .*got shape \(4, "),
        Bad((x, w[0]), {}, ShapeError, r"weight must be \(.*groups, k.*got shape"),
        Bad((x > 0, w), {}, DtypeError, "x must be a Tensor or array of numbers, got dtype bool"),
        Bad((x[:, :3], w), {}, ShapeError, r"expected x of 4 channels .*got x \(2, 3"),
        Bad((x, w), {"groups": 3}, ShapeError, "groups=3 must divide .*, got 4"),
        Bad((x, w), {"groups": 0}, ConfigError, "groups must be a whole number of at least 1, got 0"),
        Bad((x, w), {"stride": 0}, ConfigError, "stride must be at least 1, got 0"),
        Bad((x, w), {"stride": 1.5}, ConfigError, "stride must be a whole number or .*got 1.5"),
        Bad((x, w), {"stride": (1, 1, 1)}, ConfigError, "stride must be .*one per axis"),
        Bad((x, w), {"dilation": 0}, ConfigError, "dilation must be at least 1, got 0"),
        Bad((x, w), {"padding": -1}, ConfigError, "padding must not be negative, got -1"),
        Bad((x, w), {"padding": "full"}, ConfigError, "padding must be a number, .*'valid', 'same'.*got 'full'"),
        Bad((x, w), {"padding": (1, 2, 3)}, ConfigError, "padding must be .*got"),
        Bad((x, w, np.ones(3)), {}, ShapeError, r"expected bias of shape \(4,\), .*got \(3,\)"),
    ]


def wrong_pooling(x):
    return [
        Bad((x[0], 2), {}, ShapeError, r"x must be \(N, C, "),
        Bad((x, 9), {}, ShapeError, r"the kernel \(9.* must fit into the padded input"),
        Bad((x, 0), {}, ConfigError, "kernel_size must be at least 1"),
        Bad((x, 2), {"stride": 0}, ConfigError, "stride must be at least 1"),
        Bad((x, 2), {"padding": 2}, ConfigError, "padding must be at most half of kernel_size"),
    ]


def conv_samples(axes):
    big, small = ((2, 4, 5, 6), (1, 2, 3, 3)) if axes == 2 else ((2, 4, 7), (1, 2, 4))
    w = lambda co, ci, *k: (co, ci, *k[:axes])
    found = [
        (small, w(3, 2, 2, 2), (3,), {}),
        (big, w(2, 4, 3, 2), {"stride": 2, "padding": "same"}),
        (big, w(4, 2, 3, 3), (4,), {"stride": 1, "padding": 1, "dilation": 2, "groups": 2}),
        (big, w(1, 4, 1, 1), {"stride": 3}),
        (big, w(4, 1, 2, 3), {"padding": "valid", "groups": 4}),
        (small[:1] + (1,) + small[2:], w(2, 1, 3, 3), {"padding": "same"}),
        ((0, *big[1:]), w(2, 4, 3, 2), (2,), {"padding": 1}),
    ]
    if axes == 1:
        return [
            *found,
            (big, (2, 4, 3), {"padding": "causal", "dilation": 2}),
            (big, (2, 4, 3), {"padding": (2, 0), "stride": (2,)}),
            (big, (2, 4, 3), {"padding": ((0, 3),)}),
        ]
    return [
        *found,
        (big, (2, 4, 3, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
        (big, (2, 4, 2, 3), {"padding": ((0, 2), (3, 1)), "stride": (1, 2)}),
    ]


def transposed_samples(axes):
    big, small = ((2, 4, 3, 4), (1, 3, 2, 3)) if axes == 2 else ((2, 4, 5), (1, 3, 3))
    w = lambda ci, co, *k: (ci, co, *k[:axes])
    found = [
        (small, w(3, 2, 2, 2), (2,), {}),
        (big, w(4, 2, 5, 5), (2,), {"stride": 2, "padding": "same"}),
        (big, w(4, 2, 3, 3), (4,), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
        (big, w(4, 1, 2, 2), {"stride": 3, "output_padding": 2}),
        (big, w(4, 2, 3, 2), {"stride": 2, "dilation": 2, "padding": 1}),
        (small, w(3, 1, 1, 1), {"padding": "same", "stride": 2}),
        ((0, *big[1:]), w(4, 2, 3, 2), (2,), {"stride": 2}),
    ]
    if axes == 1:
        return [*found, (big, (4, 2, 3), {"padding": ((0, 2),), "dilation": 3})]
    return [
        *found,
        (
            big,
            (4, 2, 3, 2),
            {"stride": (1, 2), "padding": ((0, 1), (1, 0)), "output_padding": (0, 1), "dilation": (2, 1)},
        ),
    ]


SPECS = [
    spec(
        "conv1d",
        conv,
        calls(*conv_samples(1)),
        torch_conv("conv1d"),
        [
            *wrong_arguments(SIGNAL, np.ones((4, 4, 3))),
            Bad(
                (SIGNAL, np.ones((4, 4, 7))),
                {},
                ShapeError,
                r"the kernel \(7,\), .*must fit into the padded input \(6,\)",
            ),
        ],
        differentiable=(0, 1, 2),
        complex_step=True,
    ),
    spec(
        "conv2d",
        conv,
        calls(*conv_samples(2)),
        torch_conv("conv2d"),
        [
            *wrong_arguments(IMAGE, WEIGHT),
            Bad((IMAGE, WEIGHT), {"dilation": 3}, ShapeError, r"spanning \(7, 7\) .*padded input \(5, 5\)"),
            Bad((IMAGE, WEIGHT), {"padding": "causal"}, ConfigError, "padding must be .*got 'causal'"),
            Bad(
                (IMAGE, np.ones((5, 2, 3, 3))),
                {"groups": 2},
                ShapeError,
                "groups=2 must divide the first axis of weight, got 5",
            ),
        ],
        differentiable=(0, 1, 2),
        complex_step=True,
    ),
    spec(
        "conv_transpose1d",
        conv_transpose,
        calls(*transposed_samples(1)),
        torch_conv_transpose("conv_transpose1d"),
        [
            *wrong_arguments(SIGNAL, np.ones((4, 4, 3))),
            Bad(
                (SIGNAL, np.ones((4, 4, 3))),
                {"output_padding": 1},
                ConfigError,
                r"output_padding must be smaller than stride \(1,\), got \(1,\)",
            ),
            Bad((SIGNAL, np.ones((4, 4, 3))), {"padding": 4}, ShapeError, r"the output would have size \(0,\)"),
        ],
        differentiable=(0, 1, 2),
        complex_step=True,
    ),
    spec(
        "conv_transpose2d",
        conv_transpose,
        calls(*transposed_samples(2)),
        torch_conv_transpose("conv_transpose2d"),
        [
            *wrong_arguments(IMAGE, WEIGHT),
            Bad(
                (IMAGE, WEIGHT),
                {"stride": 2, "output_padding": 2},
                ConfigError,
                "output_padding must be smaller than stride",
            ),
            Bad(
                (IMAGE, WEIGHT),
                {"stride": 2, "output_padding": 1, "padding": "same"},
                ConfigError,
                "output_padding must be 0",
            ),
        ],
        differentiable=(0, 1, 2),
        complex_step=True,
    ),
    spec(
        "conv2d_weight_grad",
        weight_grad,
        calls(
            ((2, 3, 4, 5), (2, 2, 2, 4), {"kernel_size": (3, 2)}),
            ((2, 4, 5, 4), (2, 2, 3, 2), {"kernel_size": 3, "stride": 2, "padding": "same", "groups": 2}),
            (
                (1, 2, 5, 5),
                (1, 1, 3, 2),
                {"kernel_size": 2, "dilation": 2, "padding": ((0, 0), (1, 0)), "stride": (1, 2)},
            ),
            ((0, 2, 3, 3), (0, 1, 3, 3), {"kernel_size": 1}),
        ),
        torch_weight_grad,
        [
            Bad((IMAGE, IMAGE, 3), {}, ShapeError, r"y must have the shape .*\(2, …, 3, 3\).*got \(2, 4, 5, 5\)"),
            Bad((IMAGE, IMAGE[:1], 1), {}, ShapeError, "y must have the shape"),
            Bad((IMAGE, IMAGE[0], 1), {}, ShapeError, r"y must be \(N, C, H, W\)"),
            Bad((IMAGE, IMAGE, 0), {}, ConfigError, "kernel_size must be at least 1"),
            Bad((IMAGE, IMAGE, 1), {"groups": 3}, ShapeError, "groups=3 must divide the channels of x, got 4"),
        ],
        differentiable=(0, 1),
        complex_step=True,
    ),
    spec(
        "max_pool1d",
        pool(np.max, -np.inf),
        apart(((2, 3, 7), {"kernel_size": 2}), ((1, 2, 6), {"kernel_size": 3, "stride": 2, "padding": 1})),
        lambda *a, **k: functional().max_pool1d(*a, **k),
        wrong_pooling(SIGNAL),
    ),
    spec(
        "max_pool2d",
        pool(np.max, -np.inf),
        apart(
            ((2, 3, 4, 5), {"kernel_size": 2}),
            ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)}),
            ((1, 1, 6, 6), {"kernel_size": 2, "stride": 3}),
            ((0, 1, 4, 4), {"kernel_size": 2}),
        ),
        lambda *a, **k: functional().max_pool2d(*a, **k),
        wrong_pooling(IMAGE),
    ),
    spec(
        "avg_pool1d",
        pool(np.mean, 0.0),
        calls(((2, 3, 7), {"kernel_size": 2}), ((1, 2, 6), {"kernel_size": 3, "stride": 2, "padding": 1})),
        lambda *a, **k: functional().avg_pool1d(*a, **k),
        wrong_pooling(SIGNAL),
        complex_step=True,
    ),
    spec(
        "avg_pool2d",
        pool(np.mean, 0.0),
        calls(
            ((2, 3, 4, 5), {"kernel_size": 2}),
            ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)}),
            ((1, 1, 6, 6), {"kernel_size": 2, "stride": 3}),
            ((0, 1, 4, 4), {"kernel_size": 2}),
        ),
        lambda *a, **k: functional().avg_pool2d(*a, **k),
        wrong_pooling(IMAGE),
        complex_step=True,
    ),
    spec(
        "upsample_nearest",
        upsample,
        calls(
            ((2, 3, 2, 3), {"scale": 2}),
            ((1, 2, 3), {"scale": 3}),
            ((1, 1, 2, 2), {"scale": (1, 3)}),
            ((0, 1, 2, 2), {"scale": 2}),
        ),
        lambda x, scale: functional().interpolate(
            x, size=tuple(n * s for n, s in zip(x.shape[2:], tuples(scale, x.ndim - 2)))
        ),
        [
            Bad((IMAGE[0, 0], 2), {}, ShapeError, r"x must be \(N, C, H, W\)"),
            Bad((IMAGE, 0), {}, ConfigError, "scale must be at least 1"),
            Bad((IMAGE, 1.5), {}, ConfigError, "scale must be a whole number"),
        ],
        complex_step=True,
    ),
    spec(
        "pixel_shuffle",
        shuffle,
        calls(((2, 8, 2, 3), {"factor": 2}), ((1, 9, 1, 2), {"factor": 3}), ((1, 2, 2, 2), {"factor": 1})),
        lambda x, factor: functional().pixel_shuffle(x, factor),
        [
            Bad((IMAGE, 3), {}, ShapeError, r"divisible by factor² = 9, got x \(2, 4"),
            Bad((SIGNAL, 2), {}, ShapeError, "x must be"),
        ],
        complex_step=True,
    ),
    spec(
        "pixel_unshuffle",
        unshuffle,
        calls(((2, 2, 4, 6), {"factor": 2}), ((1, 1, 3, 6), {"factor": 3}), ((1, 2, 2, 2), {"factor": 1})),
        lambda x, factor: functional().pixel_unshuffle(x, factor),
        [Bad((IMAGE, 2), {}, ShapeError, "divisible by factor 2"), Bad((SIGNAL, 2), {}, ShapeError, "x must be")],
        complex_step=True,
    ),
]
