"""Twins of `reference.optimizer`."""

from __future__ import annotations

import math

import numpy as np

from ..reference import optimizer as reference
from . import alike, launch, ours

__all__ = ["adam_steps"]

TABLE = 56  # parameters of a launch, as in optimizer.cu
_PARAMETER = np.dtype(
    [(name, np.uint64) for name in "pmvg"] + [("size", np.int64)]
    + [(name, np.float64) for name in ("rate", "root", "decay")]
)  # fmt: skip
_TABLE = np.dtype([("of", _PARAMETER, TABLE)])


def adam_steps(ps, gs, ms, vs, ts, lr, beta1, beta2, eps, decays):
    if not all(ours(*arrays) for arrays in zip(ps, gs, ms, vs)) or len({p.dtype for p in ps}) > 1:
        return reference.adam_steps(ps, gs, ms, vs, ts, lr, beta1, beta2, eps, decays)
    kept = []  # gradients that had to be laid out as their parameters are
    rows = []
    for p, g, m, v, t, decay in zip(ps, gs, ms, vs, ts, decays):
        q, g, m_, v_ = alike(p, g, m, v)
        if q is not p or m_ is not m or v_ is not v:
            reference.adam_step(p, g, m, v, t, lr, beta1, beta2, eps, decay)
            continue
        kept.append(g)
        scales = (lr / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t), 1 - lr * decay)
        rows.append((*(a.data.ptr for a in (p, m, v, g)), p.size, *scales))
    for first in range(0, len(rows), TABLE):
        table, some = np.zeros((), _TABLE), rows[first : first + TABLE]
        table["of"][: len(some)] = some
        blocks = max(1, min(-(-max(row[4] for row in some) // 256), 1 << 14))
        launch("optimizer", "adam_steps", ps[0].dtype, (blocks, len(some)), (256,), table, beta1, beta2, eps)
    return None
