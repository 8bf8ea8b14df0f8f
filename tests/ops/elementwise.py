"""Records of the element-by-element operations. References are NumPy's or SciPy's functions, or formulas."""

import math

import numpy as np
import scipy.special as sp

from minigen import ops
from minigen.errors import DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts


def _torch(path):
    """The PyTorch function of that name, looked up when it is called."""

    def call(*args, **kwargs):
        import torch

        function = torch
        for part in path.split("."):
            function = getattr(function, part)
        return function(*args, **kwargs)

    return call


WRONG = Bad((np.ones(3), np.ones(4)), {}, ShapeError, r"\[3\].*\[4\]")


def away(x, *points, gap=0.05):
    """`x` moved away from kinks, so that differences do not straddle them."""
    for p in points:
        x = np.where(np.abs(x - p) < gap, p + np.where(x >= p, gap, -gap) + (x - p), x)
    return x


def unary(name, reference, inside=lambda x: x, extreme=(), second=True, complex_step=False, torch=None, options=({},),
          bad=None, op=None):  # fmt: skip
    """A record of y = f(x). `inside` maps normal numbers into the domain; `extreme` are numbers far out."""

    def samples(rng):
        xs = [inside(x) for x in (rng.standard_normal(s) for s in [(), (1,), (0, 3), (2, 1, 3)])]
        xs += layouts(inside(rng.standard_normal((3, 4))))
        if extreme:
            xs.append(np.array(extreme, dtype=float))
        return [Sample((x,), dict(o)) for o in options for x in xs]

    return OpSpec(
        name, op or getattr(ops, name), reference, samples, second_order=second, complex_step=complex_step,
        torch=torch, bad=[bad or Bad((), {}, TypeError, f"{name}: missing argument 'x'")],
    )  # fmt: skip


def binary(
    name, reference, left=lambda x: x, right=lambda x: x, pairs=None, complex_step=False, torch=None, scalars=True
):
    """A record of y = f(x, w): every way of broadcasting, numbers on either side, odd layouts."""
    shapes = [((3, 4), (3, 4)), ((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 3), ()),
              ((1,), (1, 1)), ((0, 3), (3,)), ((2, 1, 3), (4, 1)), ((), ())]  # fmt: skip

    def samples(rng):
        def draw(s, t):
            x, w = left(rng.standard_normal(s)), right(rng.standard_normal(t))
            return pairs(x, w) if pairs else (x, w)

        out = [Sample(tuple(np.asarray(a) for a in draw(s, t))) for s, t in shapes]
        x, w = draw((3, 4), (3, 4))
        out += [Sample((a, b)) for a, b in zip(layouts(x), reversed(layouts(w)))]
        if scalars:
            out += [Sample((x, float(right(0.7)))), Sample((float(left(-1.3)), w))]
        return out

    return OpSpec(name, getattr(ops, name), reference, samples, differentiable=(0, 1), complex_step=complex_step,
                  torch=torch, bad=[WRONG])  # fmt: skip


def truth(name, reference, arity=2):
    """A record of an operation with truth values, through which no gradient flows."""

    def samples(rng):
        draw = lambda *s: rng.integers(-1, 2, s).astype(float)
        if arity == 1:
            return [Sample((a,)) for a in (draw(3, 4), draw(), draw(0, 2), *layouts(draw(2, 3)))]
        out = [Sample(p) for p in ((draw(3, 4), draw(4)), (draw(), draw(2)), (draw(0, 3), draw(3)), (draw(2, 3), 0.0))]
        return out + [Sample(p) for p in zip(layouts(draw(3, 4)), reversed(layouts(draw(3, 4))))]

    bad = WRONG if arity == 2 else Bad((), {}, TypeError, f"{name}: missing argument 'x'")
    return OpSpec(name, getattr(ops, name), reference, samples, differentiable=(), bad=[bad])


def apart(x, w):
    """The pair, with no two elements closer than 0.1, so that the choice between them is clear."""
    x, w = np.asarray(x), np.asarray(w)
    if x.shape == w.shape:
        return np.where(np.abs(x - w) < 0.1, w + 0.3, x), w
    return np.round(x, 1) + 0.03, np.round(w, 1) - 0.03


def gelu(x):
    return np.vectorize(lambda v: 0.5 * v * math.erfc(-v / math.sqrt(2)), otypes=[float])(x)


def gated(a, c):
    z = np.zeros((*a.shape[:2], a.shape[2] // 2))
    for n, t, j in np.ndindex(z.shape):
        f, u = (a[n, t, i] + c[n, i] for i in (j, z.shape[2] + j))
        z[n, t, j] = math.tanh(f) * sp.expit(u)
    return z


def gated_samples(rng):
    normal = rng.standard_normal
    found = [Sample((normal((n, t, 2 * c)), normal((n, 2 * c)))) for n, t, c in
             [(2, 3, 2), (1, 1, 1), (3, 1, 4), (0, 2, 1), (2, 0, 2)]]  # fmt: skip
    return [*found, *(Sample((a, b)) for a, b in zip(layouts(normal((2, 3, 4))), layouts(normal((2, 4)))))]


def torch_gated(a, c):
    import torch

    f, u = (a + c[:, None]).chunk(2, dim=2)
    return torch.tanh(f) * torch.sigmoid(u)


def where_samples(rng):
    normal = rng.standard_normal
    out = [Sample((normal(c) > 0, normal(s), normal(t))) for c, s, t in
           [((3, 4), (3, 4), (3, 4)), ((4,), (3, 4), ()), ((3, 1), (1, 4), (3, 4)), ((2, 3), (3,), (2, 1)),
            ((), (2,), (2,)), ((0, 3), (3,), (1,))]]  # fmt: skip
    x, w = normal((3, 4)), normal((3, 4))
    out += [Sample((c > 0, a, b)) for c, a, b in zip(layouts(normal((3, 4))), layouts(x), reversed(layouts(w)))]
    return [*out, Sample((x > 0, x, 0.5)), Sample((x > 0, -2.0, x))]


def power_samples(rng):
    positive = lambda *s: np.exp(0.5 * rng.standard_normal(s))
    normal = lambda *s: rng.standard_normal(s)
    out = [
        Sample((positive(*s), normal(*t)))
        for s, t in [
            ((3, 4), (3, 4)),
            ((3, 4), (4,)),
            ((3, 1), (1, 4)),
            ((), (2, 3)),
            ((2, 3), ()),
            ((0, 3), (3,)),
            ((1,), (1,)),
        ]
    ]
    out += [Sample((a, b)) for a, b in zip(layouts(positive(3, 4)), reversed(layouts(normal(3, 4))))]
    out += [Sample((normal(3, 4), p)) for p in (2, 3, 1, 0, 2.0, 3.0)]  # a negative base with a whole exponent
    return [
        *out,
        Sample((positive(3, 4), 0.5)),
        Sample((positive(3), -1.5)),
        Sample((2.5, normal(3, 2))),
        Sample((2, normal(3))),
    ]


positive = lambda x: np.exp(0.5 * x)
off_zero = lambda x: away(np.asarray(x), 0.0)
nonzero = lambda w: np.copysign(np.exp(0.5 * w), w)
ln_domain = lambda x: np.expm1(0.5 * x)
erf = np.vectorize(math.erf, otypes=[float])
FAR = (-300.0, -40.0, -3.0, 3.0, 40.0, 300.0)

SPECS = [
    binary("add", np.add, complex_step=True, torch=_torch("add")),
    binary("subtract", np.subtract, complex_step=True, torch=_torch("subtract")),
    binary("multiply", np.multiply, complex_step=True, torch=_torch("multiply")),
    binary("divide", np.divide, right=nonzero, complex_step=True, torch=_torch("divide")),
    unary("negative", np.negative, complex_step=True, torch=_torch("negative")),
    OpSpec(
        "power", ops.power, np.power, power_samples, differentiable=(0, 1),
        torch=_torch("pow"), bad=[WRONG],
    ),
    unary("square", np.square, complex_step=True, torch=_torch("square")),
    unary("sqrt", np.sqrt, positive, complex_step=True, torch=_torch("sqrt")),
    unary("abs", np.abs, off_zero, extreme=FAR, torch=_torch("abs")),
    unary("sign", np.sign, off_zero, torch=_torch("sign")),
    unary("exp", np.exp, extreme=(-800.0, -5.0, 5.0), complex_step=True, torch=_torch("exp")),
    unary("expm1", np.expm1, extreme=(-800.0, -1e-9, 1e-9, 5.0), complex_step=True, torch=_torch("expm1")),
    unary("log", np.log, positive, complex_step=True, torch=_torch("log")),
    unary("log1p", np.log1p, ln_domain, extreme=(-1e-9, 1e-9, 5.0), complex_step=True, torch=_torch("log1p")),
    unary("sin", np.sin, complex_step=True, torch=_torch("sin")),
    unary("cos", np.cos, complex_step=True, torch=_torch("cos")),
    unary("tanh", np.tanh, extreme=FAR, complex_step=True, torch=_torch("tanh")),
    unary("erf", erf, extreme=FAR, complex_step=True, torch=_torch("erf")),
    unary("sigmoid", sp.expit, extreme=FAR, torch=_torch("sigmoid")),
    unary("softplus", lambda x: np.logaddexp(0, x), extreme=FAR, torch=_torch("nn.functional.softplus")),
    unary("relu", lambda x: np.where(x > 0, x, 0.0), off_zero, extreme=FAR, torch=_torch("relu")),
    unary(
        "leaky_relu", lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x), off_zero, extreme=FAR,
        options=({}, {"negative_slope": 0.2}), torch=_torch("nn.functional.leaky_relu"),
    ),
    unary(
        "elu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), off_zero, extreme=FAR,
        options=({}, {"alpha": 0.5}), torch=_torch("nn.functional.elu"),
    ),
    unary("gelu", gelu, extreme=(-8.0, -3.0, 3.0, 40.0), torch=_torch("nn.functional.gelu")),
    unary("silu", lambda x: x * sp.expit(x), extreme=FAR, torch=_torch("nn.functional.silu")),
    OpSpec(
        "gated", ops.gated, gated, gated_samples, differentiable=(0, 1), torch=torch_gated,
        bad=[Bad((np.ones((2, 3, 5)), np.ones((2, 5))), {}, ShapeError, r"got \(2, 3, 5\) and \(2, 5\)"),
             Bad((np.ones((2, 3, 4)), np.ones((3, 4))), {}, ShapeError, r"a \(N, T, 2 C\) and c .* \(3, 4\)"),
             Bad((np.ones((3, 4)), np.ones(4)), {}, ShapeError, "gated: expected a")],
    ),
    OpSpec(
        "where", ops.where, np.where, where_samples, differentiable=(1, 2),
        torch=_torch("where"), bad=[Bad((np.ones(3) > 0, np.ones(3), np.ones(4)), {}, ShapeError, r"\[3\].*\[4\]")],
    ),
    binary("maximum", np.fmax, pairs=apart, scalars=False, torch=_torch("maximum")),
    binary("minimum", np.fmin, pairs=apart, scalars=False, torch=_torch("minimum")),
    unary(
        "clip", lambda x, *, low, high: np.clip(x, low, high), lambda x: away(np.asarray(x), -0.5, 0.7), extreme=FAR,
        options=({"low": -0.5, "high": 0.7},), bad=Bad((np.ones(3),), {"low": 0}, DtypeError, "high"),
        torch=lambda x, low, high: x.clamp(low, high),
    ),
    truth("equal", np.equal),
    truth("not_equal", np.not_equal),
    truth("less", np.less),
    truth("less_equal", np.less_equal),
    truth("greater", np.greater),
    truth("greater_equal", np.greater_equal),
    truth("logical_and", np.logical_and),
    truth("logical_or", np.logical_or),
    truth("logical_not", np.logical_not, arity=1),
]  # fmt: skip
