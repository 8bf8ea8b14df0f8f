"""Records of attention. The reference takes one query at a time, and of the keys only those that it may look at."""

import math

import numpy as np

from minigen import ops
from minigen.errors import DtypeError, ShapeError
from tests.opspec import Bad, OpSpec, Sample, layouts


def torch():
    import torch

    return torch


def look(scores, t, u, mask, causal):
    """P for scores (…, T, U): each row over the keys that mask and time leave, one after the other."""
    p = np.zeros(scores.shape)
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    for index in np.ndindex(scores.shape[:-1]):
        keys = [j for j in range(u) if allowed[index][j] and (not causal or j <= index[-1] + u - t)]
        top = max((scores[index][j] for j in keys), default=0)
        e = {j: math.exp(scores[index][j] - top) for j in keys}
        for j in keys:
            p[index][j] = e[j] / math.fsum(e.values())
    return p


def weights(q, k, mask=None, causal=False):
    scores = np.einsum("...td,...ud->...tu", q, k) / math.sqrt(q.shape[-1])
    return look(scores, q.shape[-2], k.shape[-2], mask, causal)


def attention(q, k, v, mask=None, causal=False):
    return np.einsum("...tu,...ue->...te", weights(q, k, mask, causal), v)


def additive(q, k, values, v, mask=None):
    scores = np.zeros((*q.shape[:-1], k.shape[-2]))
    for *index, i, j in np.ndindex(scores.shape):
        at = tuple(index)
        scores[(*at, i, j)] = math.fsum(v * np.tanh(q[at][i] + k[at][j]))
    p = look(scores, q.shape[-2], k.shape[-2], mask, False)
    return np.einsum("...tu,...ue->...te", p, values), p


def sizes(rng, *, e=True):
    """Queries, keys and (with `e`) values: one head, many heads, fewer and more queries than keys, sizes 1 and 0."""
    shapes = [((), 2, 3, 2, 4), ((2, 3), 3, 3, 2, 2), ((2, 1), 1, 4, 3, 2), ((2,), 4, 2, 1, 3), ((1, 2, 2), 2, 2, 2, 1),
              ((0, 2), 2, 3, 2, 2), ((2,), 0, 3, 2, 2)]  # fmt: skip
    for lead, t, u, d, width in shapes:
        arrays = [(*lead, t, d), (*lead, u, d), *([(*lead, u, width)] if e else [])]
        yield tuple(rng.standard_normal(shape) for shape in arrays)


def masks(rng, q, k):
    """The mask of each row of keys (padding), of each pair, and one that leaves the first query nothing."""
    t, u = q.shape[-2], k.shape[-2]
    padding = rng.random((*q.shape[:-2], 1, u)) < 0.7
    pairs = rng.random((t, u)) < 0.7
    return padding, pairs, np.arange(t)[:, None] * np.ones(u) > 0


def samples(rng, e=True):
    found = [Sample(a, {"causal": causal}) for a in sizes(rng, e=e) for causal in (False, True)]
    for i, a in enumerate(sizes(rng, e=e)):
        found += [Sample(a, {"mask": mask, "causal": i % 2 == 0}) for mask in masks(rng, *a[:2])]
    of_one_array = rng.standard_normal((2, 3, 3, 2, 2))
    heads = tuple(of_one_array[:, :, i].transpose(0, 2, 1, 3) for i in range(3 if e else 2))  # as models lay them out
    laid_out = [layouts(rng.standard_normal((2, 3, 2))) for _ in range(3 if e else 2)]
    return [*found, Sample(heads, {"causal": True}), *map(Sample, zip(*laid_out, strict=True))]


def additive_samples(rng):
    found = []
    for i, (q, k, values) in enumerate(sizes(rng)):
        mask = [None, *masks(rng, q, k)][i % 4]
        found.append(Sample((q, k, values, rng.standard_normal(q.shape[-1])), {} if mask is None else {"mask": mask}))
    return found


def torch_attention(q, k, v, mask=None, causal=False):
    """With a mask of numbers, because PyTorch's causal mask counts from the first key; 0 for a query that sees none."""
    t, u = q.shape[-2], k.shape[-2]
    allowed = torch().ones(*q.shape[:-1], u, dtype=torch().bool)
    allowed = (allowed.tril(u - t) if causal else allowed) & (True if mask is None else mask)
    bias = torch().zeros(allowed.shape, dtype=q.dtype).masked_fill(~allowed, -1e30)
    with torch().nn.attention.sdpa_kernel(torch().nn.attention.SDPBackend.MATH):  # which has second derivatives
        y = torch().nn.functional.scaled_dot_product_attention(q, k, v, bias)
    return torch().where(allowed.any(-1, keepdim=True), y, 0.0)


def by_heads(of):
    """self_attention from what attends for separate queries, keys and values, for one head after the other."""

    def attend(qkv, heads, mask=None, causal=False):
        width = qkv.shape[-1] // (3 * heads)
        parts = [qkv[..., i * width : (i + 1) * width] for i in range(3 * heads)]
        masks = [None] * heads if mask is None else [mask[:, i % mask.shape[1]] for i in range(heads)]
        ys = [of(*parts[i::heads], mask=masks[i], causal=causal) for i in range(heads)]
        return np.concatenate(ys, -1) if isinstance(qkv, np.ndarray) else torch().cat(ys, -1)

    return attend


def self_samples(rng):
    found = []
    for n, t, heads, d in ((2, 3, 2, 2), (1, 1, 1, 1), (2, 4, 1, 3), (0, 2, 2, 2), (1, 3, 3, 1)):
        padding = rng.random((n, 1, 1, t)) < 0.7
        pairs = rng.random((1, heads, t, t)) < 0.7
        for options in ({}, {"causal": True}, {"mask": padding}, {"mask": pairs, "causal": True}):
            found.append(Sample((rng.standard_normal((n, t, 3 * heads * d)),), {"heads": heads} | options))
    return [*found, *(Sample((a,), {"heads": 2}) for a in layouts(rng.standard_normal((2, 3, 6))))]


Q, K, V = np.ones((2, 3, 4)), np.ones((2, 5, 4)), np.ones((2, 5, 6))
FITS = r"queries \(…, T, d\), keys \(…, U, d\) and values"


def bad(*tail):
    """Calls that must fail, of an operation whose arguments after queries, keys and values begin with `tail`."""
    return [
        Bad((Q, V, V, *tail), {}, ShapeError, FITS + r".* got \(2, 3, 4\), \(2, 5, 6\), \(2, 5, 6\)"),
        Bad((Q, K, Q, *tail), {}, ShapeError, FITS + r".* got \(2, 3, 4\), \(2, 5, 4\), \(2, 3, 4\)"),
        Bad((Q, K[:1], V[:1], *tail), {}, ShapeError, FITS),
        Bad((Q[0, 0], K[0], V[0], *tail), {}, ShapeError, FITS + r".* got \(4,\)"),
        Bad((Q, K[:, :0], V[:, :0], *tail), {}, ShapeError, r"at least one key .* got \(2, 0, 4\)"),
        Bad((Q, K, V, *tail), {"mask": np.ones((3, 4), bool)}, ShapeError, r"broadcasts to \(2, 3, 5\).* got \(3, 4\)"),
        Bad((Q, K, V, *tail), {"mask": np.ones((3, 2, 3, 5), bool)}, ShapeError, r"got \(3, 2, 3, 5\)"),
        Bad((Q, K, V, *tail), {"mask": np.ones((3, 5))}, DtypeError, "a mask of truth values .* got float64"),
    ]


SPECS = [
    OpSpec(
        "scaled_dot_product_attention", ops.scaled_dot_product_attention, attention, samples,
        differentiable=(0, 1, 2), torch=torch_attention, bad=bad(),
    ),
    OpSpec(
        "self_attention", ops.self_attention, by_heads(attention), self_samples, torch=by_heads(torch_attention),
        bad=[Bad((V,), {"heads": 4}, ShapeError, r"3 · 4 heads · d\), got \(2, 5, 6\)"),
             Bad((V[0],), {"heads": 2}, ShapeError, r"3 · 2 heads · d\), got \(5, 6\)"),
             Bad((V,), {"heads": 1, "mask": np.ones((3, 5, 5), bool)}, ShapeError, r"broadcasts to \(2, 1, 5, 5\)"),
             Bad((V,), {"heads": 1, "mask": np.ones((5, 5))}, DtypeError, "a mask of truth values")],
    ),
    OpSpec(
        "attention_weights", ops.attention_weights, weights, lambda rng: samples(rng, e=False), differentiable=(0, 1),
        bad=[Bad((Q, V), {}, ShapeError, FITS + r".* got \(2, 3, 4\), \(2, 5, 6\)"),
             Bad((Q, K[:, :0]), {}, ShapeError, "at least one key"),
             Bad((Q, K), {"mask": np.ones((3, 5))}, DtypeError, "a mask of truth values")],
    ),
    OpSpec(
        "additive_attention", ops.additive_attention, additive, additive_samples, differentiable=(0, 1, 2, 3),
        bad=[*bad(np.ones(4)), Bad((Q, K, V, np.ones(5)), {}, ShapeError, r"v of shape \(4,\).* got \(5,\)")],
    ),
]  # fmt: skip
