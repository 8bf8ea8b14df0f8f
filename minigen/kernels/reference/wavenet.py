"""Drawing a sound from a WaveNet sample by sample, each at the cost of one sample.

A layer of dilation d needs what came into it d samples ago, and nothing else of the past. So each keeps its last d
inputs in a queue: the oldest is read, and the newest takes its place (Le Paine et al. 2016).

Letters: N sounds, L layers, C channels, S of the skip path, V codes, D = Σ d. The weights stand as they are multiplied
from the right; of filters (L, 2C, 2C), the rows 0 … C belong to h_{t−d}, the others to h_t.
"""

from __future__ import annotations

from ...backend import xp

__all__ = ["wavenet_draw"]


def wavenet_draw(u, codes, queues, t, temperature, dilations, embedding, filters, conditions, residuals,
                 residual_bias, skips, skip_bias, head):  # fmt: skip
    """Draw T more codes after `codes`, of which T uniform numbers decide        u (N, T), codes (N,) -> (N, T), (N, T)

        h = E[c],  then for each layer:  [f; g] = W [h_{t−d}; h_t] + v,   z = tanh(f) ⊙ σ(g)
                                         h ← h + R z + r (not the last layer),   s ← s + S z
        l = W₂ relu(W₁ relu(s) + b₁) + b₂,   the next c: the least with u < Σ_{i ≤ c} p_i, p_i ∝ e^(l_i / τ)

    Returns the codes, uint8, and −ln softmax(l) of each. With τ = 0 the likeliest code is taken.

    queues       (N, D, C), changed: the last d inputs of each layer, the one of time k at place k mod d of its own
    t            the time of `codes`, from 0
    conditions   (N, L, 2C): v, what the label adds, with the bias
    residuals    (L − 1, C, C): R, and residual_bias (L − 1, C): r
    skips        (L, C, S): S, and skip_bias (S,), with which s begins
    head         W₁ (S, S), b₁, W₂ (S, V), b₂
    """
    steps, channels = u.shape[1], embedding.shape[1]
    w1, b1, w2, b2 = head
    drawn, nll = xp.empty(u.shape, "uint8", like=u), xp.empty(u.shape, embedding.dtype, like=u)
    for i in range(steps):
        h, skip, start = embedding[codes], skip_bias, 0
        for layer, d in enumerate(dilations):
            place = start + (t + i) % d
            a = xp.concatenate([queues[:, place], h], axis=1) @ filters[layer] + conditions[:, layer]
            queues[:, place] = h
            z = xp.tanh(a[:, :channels]) / (1 + xp.exp(-a[:, channels:]))
            skip, start = skip + z @ skips[layer], start + d
            if layer < len(residuals):
                h = h + (z @ residuals[layer] + residual_bias[layer])
        logits = xp.maximum(xp.maximum(skip, 0) @ w1 + b1, 0) @ w2 + b2
        l = logits - logits.max(axis=1, keepdims=True)
        if temperature:
            p = xp.exp(l / temperature).cumsum(axis=1)
            codes = xp.minimum((p <= u[:, i, None] * p[:, -1:]).sum(axis=1), l.shape[1] - 1)
        else:
            codes = l.argmax(axis=1)
        drawn[:, i] = codes
        nll[:, i] = xp.log(xp.exp(l).sum(axis=1)) - xp.take_along_axis(l, codes[:, None], axis=1)[:, 0]
    return drawn, nll
