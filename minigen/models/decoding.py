"""Which token comes next: greedy, temperature, top-k, top-p, beam search.

Letters: l the logits (…, V) that a model gives for the next token, p = softmax(l). Everything here is NumPy on the
host and draws only from the generator it is given; a logit of −∞ marks a token that must not come.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError, DtypeError, NonFiniteError, ShapeError

__all__ = ["Hypothesis", "beam_search", "greedy", "length_penalty", "next_token", "probabilities"]


def greedy(logits: ArrayLike) -> np.ndarray:
    """argmax_i l_i, the smallest i where several are largest        (…, V) -> (…), int64"""
    return _checked("greedy", logits).argmax(-1)


def probabilities(
    logits: ArrayLike, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """p_i ∝ e^(l_i / τ) on the tokens that are kept, 0 on the others        (…, V) -> (…, V), float64

    τ is the temperature: below 1 the likely tokens gain, above 1 the unlikely; 0 is the limit, all on the argmax.
    top_k = k keeps the k most probable tokens (Fan et al. 2018). top_p keeps the nucleus: the smallest set of most
    probable tokens whose probabilities sum to at least top_p (Holtzman et al. 2020), up to a rounding of 10⁻¹².

    With both, top_k goes first and top_p is measured on what it left. Of equally probable tokens those with the
    smaller ids are kept. k ≥ V keeps all, as does top_p = 1.
    """
    l = _checked("probabilities", logits)
    _check_settings(temperature, top_k, top_p)
    if temperature == 0:
        return (np.arange(l.shape[-1]) == l.argmax(-1)[..., None]).astype(np.float64)
    p = _softmax(l, temperature)
    if top_k is None and top_p is None:
        return p
    order = np.argsort(-l, axis=-1, kind="stable")
    ranked = np.take_along_axis(p, order, -1)  # from the most probable on
    if top_k is not None:
        ranked[..., top_k:] = 0
        ranked /= ranked.sum(-1, keepdims=True)
    if top_p is not None and top_p < 1:
        before = ranked.cumsum(-1) - ranked  # how probable the tokens before each are together
        ranked[before >= top_p - 1e-12] = 0
        ranked /= ranked.sum(-1, keepdims=True)
    np.put_along_axis(p, order, ranked, -1)
    return p


def next_token(
    logits: ArrayLike,
    generator: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> np.ndarray:
    """i ~ p, the `probabilities` of these settings        (…, V) -> (…), int64

    Drawn as argmax_i (ln p_i + γ_i) with γ_i from the standard Gumbel distribution, which has exactly these
    probabilities (Gumbel 1954): a token that is not kept, ln p_i = −∞, cannot win. Temperature 0 draws nothing.
    """
    if not isinstance(generator, np.random.Generator):
        raise DtypeError(
            f"next_token: generator is a {type(generator).__name__}, expected a numpy.random.Generator; "
            "make one with np.random.default_rng(seed)."
        )
    if temperature == 0:
        _check_settings(temperature, top_k, top_p)
        return greedy(logits)
    p = probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    with np.errstate(divide="ignore"):
        return (np.log(p) + generator.gumbel(size=p.shape)).argmax(-1)


# -- beam search ------------------------------------------------------------------------------------------------------


class Hypothesis(NamedTuple):
    """tokens: without the start, with the end token where it came; log_prob = ln p(tokens); score: what ranks them."""

    tokens: list[int]
    log_prob: float
    score: float


def length_penalty(length: int, alpha: float) -> float:
    """((5 + n) / 6)^α        by which ln p of n tokens is divided (Wu et al. 2016, eq. 14)

    α = 0 ranks by ln p itself, which favours short results; the larger α, the longer they get.
    """
    return ((5 + length) / 6) ** alpha


def beam_search(
    step: Callable[[np.ndarray, Any], tuple[ArrayLike, Any]],
    state: Any,
    *,
    start: int,
    end: int | None,
    width: int,
    max_length: int,
    alpha: float = 0.0,
) -> list[Hypothesis]:
    """The most probable continuations of one start that a search over `width` hypotheses at a time finds, best first.

    step     (tokens (B,), state) -> (logits (B, V), state): one step of the model for B hypotheses that have just
             got these tokens. B is at most `width`, and 1 the first time, with `start` and the `state` given.
    state    arrays or Tensors whose axis 0 is that of the hypotheses, in tuples, lists or dicts; or None
    end      the token that finishes a hypothesis; None if there is none

    In each step the `width` most probable extensions by one token live on; those that got `end` are finished, as are
    all at `max_length` tokens. The search ends when no living hypothesis can still reach the best `width` finished
    ones: ln p only falls and is divided by at most length_penalty(max_length, alpha). With `width` of at least
    V^max_length it is exhaustive.
    """
    for name, value in {"width": width, "max_length": max_length}.items():
        if not (isinstance(value, int | np.integer) and value >= 1):
            raise ConfigError(f"beam_search: expected {name} of at least 1, a whole number, got {value!r}.")
    if not 0 <= alpha < math.inf:
        raise ConfigError(f"beam_search: expected alpha of at least 0, got {alpha}; 0 ranks by probability alone.")
    finished: list[Hypothesis] = []
    living: list[list[int]] = [[]]
    log_probs, tokens = np.zeros(1), np.array([start], np.int64)

    def finish(sequence: list[int], log_prob: float) -> None:
        finished.append(Hypothesis(sequence, log_prob, log_prob / length_penalty(len(sequence), alpha)))
        finished.sort(key=lambda hypothesis: -hypothesis.score)

    for length in range(1, max_length + 1):
        logits, state = step(tokens, state)
        logits = _checked("beam_search", logits)
        if logits.ndim != 2 or len(logits) != len(tokens):
            raise ShapeError(
                f"beam_search: expected logits ({len(tokens)}, V) from step, got {logits.shape}; "
                "return a row for each token it was given."
            )
        with np.errstate(divide="ignore"):
            totals = (log_probs[:, None] + np.log(_softmax(logits, 1.0))).ravel()
        best = np.argsort(-totals, kind="stable")[:width]
        best = best[totals[best] > -np.inf]
        rows, chosen = np.divmod(best, logits.shape[-1])
        ends = np.full(len(chosen), length == max_length) | (chosen == end if end is not None else False)
        extended = [living[row] + [token] for row, token in zip(rows.tolist(), chosen.tolist())]
        for i in np.flatnonzero(ends):
            finish(extended[i], float(totals[best[i]]))
        on = np.flatnonzero(~ends)
        living, log_probs, tokens = [extended[i] for i in on], totals[best[on]], chosen[on]
        bound = log_probs.max(initial=-np.inf) / length_penalty(max_length, alpha)
        if not len(on) or (len(finished) >= width and finished[width - 1].score >= bound):
            break
        state = _select(state, rows[on])
    return finished[:width]


def _select(state: Any, rows: np.ndarray) -> Any:
    """The hypotheses `rows` of a state."""
    if state is None:
        return None
    if isinstance(state, dict):
        return {name: _select(item, rows) for name, item in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(_select(item, rows) for item in state))
    if isinstance(state, tuple | list):
        return type(state)(_select(item, rows) for item in state)
    return state[rows]


def _check_settings(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not 0 <= temperature < math.inf:
        raise ConfigError(f"temperature: expected a number of at least 0, got {temperature}; 0 is greedy.")
    if top_k is not None and not (isinstance(top_k, int | np.integer) and top_k >= 1):
        raise ConfigError(f"top_k: expected a whole number of at least 1, got {top_k!r}; None keeps all tokens.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ConfigError(f"top_p: expected a number in (0, 1], got {top_p!r}; 1 keeps all tokens.")


def _softmax(l: np.ndarray, temperature: float) -> np.ndarray:
    """e^(l_i / τ) / Σ_j e^(l_j / τ), shifted by the largest logit so that nothing overflows."""
    e = np.exp((l - l.max(-1, keepdims=True)) / temperature)
    return e / e.sum(-1, keepdims=True)


def _checked(function: str, logits: ArrayLike) -> np.ndarray:
    """The logits in float64, each row with at least one token that may come."""
    l = np.asarray(logits)
    if l.dtype.kind not in "iuf":
        raise DtypeError(f"{function}: expected real logits, got dtype {l.dtype}.")
    if l.ndim < 1 or l.shape[-1] < 1:
        raise ShapeError(f"{function}: expected logits (…, V) for at least one token, got shape {l.shape}.")
    l = l.astype(np.float64)
    top = l.max(-1)
    if not np.isfinite(top).all():
        if (top == -np.inf).any() and not (np.isnan(l).any() or (l == np.inf).any()):
            raise NonFiniteError(f"{function}: every token has a logit of −∞, so none may come; leave at least one.")
        raise NonFiniteError(f"{function}: expected finite logits or −∞, got NaN or ∞; look at the model's output.")
    return l
