"""The Markov chain of order k over tokens, or (k + 1)-gram model: the next token depends on the last k alone.

Letters: x a token, c = (x_{t−k}, …, x_{t−1}) its context, c′ = (x_{t−k+1}, …, x_{t−1}) the context without its oldest
token, V the size of the vocabulary.

Most contexts of a long chain were seen once or never, so counts alone cannot be probabilities. Interpolated, modified
Kneser–Ney smoothing (Kneser & Ney 1995; Chen & Goodman 1999) takes a discount D off every count and gives what it took
to the chain one order shorter:

    p_k(x | c) = (a(c x) − D(a(c x))) / Σ_x′ a(c x′)  +  γ(c) p_{k−1}(x | c′),        p_{−1}(x) = 1 / V
    γ(c) = Σ_x D(a(c x)) / Σ_x′ a(c x′),        γ = 1 for a context that was never seen

a(c x) is how often c x occurs, at the highest order; at the lower ones, which matter where the longer context is
unknown, it is *after how many different tokens* c x occurs (the beginning of the text counted as one). D depends on
the count (0, 1, 2, or 3 and more):

    D(0) = 0,   Y = n₁ / (n₁ + 2 n₂),   D(1) = 1 − 2 Y n₂/n₁,   D(2) = 2 − 3 Y n₃/n₂,   D(3+) = 3 − 4 Y n₄/n₃

with n_a the number of grams that have a = 1, 2, 3, 4. The probabilities of each context sum to 1, and none is 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError, DataError, DtypeError
from . import decoding

__all__ = ["MarkovChain"]


class MarkovChain:
    """p(x_t | x_{t−k}, …, x_{t−1}) for ids 0, …, V − 1; k is the `order`, and 0 the unigram model.

    What it has learnt are three arrays for each order j = 0, …, k, of which a gram is a row:

    grams[j]    the different grams of j + 1 tokens, as (row of the first j tokens in grams[j − 1]) V + last token,
                ascending, so that the grams of one context are neighbours
    shares[j]   (a − D(a)) / Σ a of each gram
    backoff[j]  γ of each context, a row of grams[j − 1]; of the empty context for j = 0
    """

    def __init__(self, order: int, vocab_size: int):
        if not (isinstance(order, int | np.integer) and order >= 0):
            raise ConfigError(f"MarkovChain: expected an order of at least 0, a whole number, got {order!r}.")
        if not (isinstance(vocab_size, int | np.integer) and vocab_size >= 1):
            raise ConfigError(f"MarkovChain: expected a vocab_size of at least 1, got {vocab_size!r}.")
        self.order, self.vocab_size = int(order), int(vocab_size)
        self.grams: list[np.ndarray] = []
        self.shares: list[np.ndarray] = []
        self.backoff: list[np.ndarray] = []

    def fit(self, ids: ArrayLike) -> MarkovChain:
        """Learn from a text, in place of what was learnt before. Sorting takes most of the time: O(k n log n)."""
        x = self._checked("fit", ids)
        if len(x) <= self.order:
            raise DataError(
                f"MarkovChain.fit: order {self.order} needs more than {self.order} tokens, got {len(x)}; "
                "use a longer text."
            )
        contexts = np.zeros(len(x) + 1, np.int64)  # the row of the j tokens that begin at each place
        grams, rows, counts = [], [], []
        for j in range(self.order + 1):
            different, contexts, count = np.unique(
                contexts[: len(x) - j] * self.vocab_size + x[j:], return_inverse=True, return_counts=True
            )
            grams.append(different)
            rows.append(contexts)
            counts.append(count)
        self.grams, self.shares, self.backoff = grams, [], []
        for j in range(self.order + 1):
            a = counts[j]
            if j < self.order:  # how many different longer grams end in this one
                a = np.zeros(len(grams[j]), np.int64)
                shorter = np.empty(len(grams[j + 1]), np.int64)
                shorter[rows[j + 1]] = rows[j][1:]
                np.add.at(a, shorter, 1)
                a[rows[j][0]] += 1
            D = _discounts(a)[np.minimum(a, 3)]
            context, contexts_seen = grams[j] // self.vocab_size, len(grams[j - 1]) if j else 1
            total = np.bincount(context, a, contexts_seen)
            self.shares.append((a - D) / total[context])
            left = np.bincount(context, D, contexts_seen)
            self.backoff.append(np.divide(left, total, out=np.ones(contexts_seen), where=total > 0))
        return self

    def log_prob(self, ids: ArrayLike) -> np.ndarray:
        """ln p(x_t | x_{t−k}, …, x_{t−1}) for every t, in nats; the first k tokens have what context there is.

        (n,) -> (n,), float64
        """
        self._fitted("log_prob")
        x = self._checked("log_prob", ids)
        p = np.full(len(x), 1 / self.vocab_size)
        contexts = np.zeros(len(x) + 1, np.int64)  # the row of the j tokens that begin at each place, −1 if unknown
        for j in range(min(self.order + 1, len(x))):
            context = contexts[: len(x) - j]
            rows = self._rows(j, np.where(context >= 0, context * self.vocab_size + x[j:], -1))
            share = np.where(rows >= 0, self.shares[j][rows], 0)
            p[j:] = share + np.where(context >= 0, self.backoff[j][context], 1) * p[j:]
            contexts = rows
        return np.log(p)

    def nats_per_symbol(self, ids: ArrayLike) -> float:
        """−1/n Σ_t ln p(x_t | x_{t−k}, …, x_{t−1})        the cross-entropy; perplexity is its exponential"""
        log_prob = self.log_prob(ids)
        if not len(log_prob):
            raise DataError("MarkovChain.nats_per_symbol: expected at least one token, got none.")
        return float(-log_prob.mean())

    def probabilities(self, context: ArrayLike = ()) -> np.ndarray:
        """p(x | the end of the context) for every x        (n,) -> (V,), float64"""
        self._fitted("probabilities")
        c = self._checked("probabilities", context).tolist()
        V = self.vocab_size
        p = np.full(V, 1 / V)
        for j in range(min(self.order, len(c)) + 1):
            row = 0
            for i, token in enumerate(c[len(c) - j :]):
                row = int(self._rows(i, np.array([row * V + token]))[0])
                if row < 0:  # then no longer context is known either
                    return p
            start, stop = np.searchsorted(self.grams[j], [row * V, (row + 1) * V])
            p *= self.backoff[j][row]
            p[self.grams[j][start:stop] - row * V] += self.shares[j][start:stop]
        return p

    def sample(
        self,
        prompt: ArrayLike,
        n: int,
        rng: np.random.Generator,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> np.ndarray:
        """n tokens that go on from the prompt, which may be empty        (m,) -> (n,), int64"""
        tokens = self._checked("sample", prompt).tolist()
        if n < 0:
            raise ConfigError(f"MarkovChain.sample: expected n of at least 0, got {n}.")
        for _ in range(n):
            logits = np.log(self.probabilities(tokens[max(len(tokens) - self.order, 0) :]))
            tokens.append(int(decoding.next_token(logits, rng, temperature=temperature, top_k=top_k, top_p=top_p)))
        return np.array(tokens[len(tokens) - n :], np.int64)

    def state_dict(self) -> dict[str, np.ndarray]:
        """What was learnt: ``grams.0``, ``shares.0``, ``backoff.0``, ``grams.1``, …"""
        self._fitted("state_dict")
        return {f"{name}.{j}": a.copy() for name in _STATE for j, a in enumerate(getattr(self, name))}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over what another chain of this order and vocabulary has learnt."""
        names = {f"{name}.{j}" for name in _STATE for j in range(self.order + 1)}
        if names != state.keys():
            raise DataError(
                f"MarkovChain: the state is not that of a chain of order {self.order}: it should have "
                f"{len(names)} arrays, not {len(state)}; build the chain with the order that it was saved with."
            )
        grams, shares, backoff = ([np.array(state[f"{name}.{j}"]) for j in range(self.order + 1)] for name in _STATE)
        contexts = [1, *map(len, grams)]
        for j in range(self.order + 1):
            fits = len(shares[j]) == len(grams[j]) > 0 and len(backoff[j]) == contexts[j]
            if not fits or grams[j][-1] >= contexts[j] * self.vocab_size:
                raise DataError(
                    f"MarkovChain: the arrays of order {j} in the state do not belong together or to a vocabulary of "
                    f"{self.vocab_size}; build the chain with the vocab_size that it was saved with."
                )
        self.grams, self.shares, self.backoff = grams, shares, backoff

    def _rows(self, j: int, keys: np.ndarray) -> np.ndarray:
        """Where keys stand in grams[j], −1 for those that do not."""
        rows = np.minimum(np.searchsorted(self.grams[j], keys), len(self.grams[j]) - 1)
        return np.where(self.grams[j][rows] == keys, rows, -1)

    def _fitted(self, method: str) -> None:
        if not self.grams:
            raise ConfigError(f"MarkovChain.{method}: the chain has learnt nothing yet; call fit(ids) first.")

    def _checked(self, method: str, ids: ArrayLike) -> np.ndarray:
        x = np.asarray(ids)
        if not x.size:
            return np.zeros(0, np.int64)
        if x.ndim != 1 or x.dtype.kind not in "iu":
            raise DtypeError(
                f"MarkovChain.{method}: expected integer ids (n,), got {x.dtype} of shape {x.shape}; encode the text."
            )
        if x.min() < 0 or x.max() >= self.vocab_size:
            raise DataError(
                f"MarkovChain.{method}: expected ids from 0 to {self.vocab_size - 1}, got {x.min()} to {x.max()}; "
                "encode with the tokenizer whose vocab_size this is."
            )
        return x.astype(np.int64, copy=False)


_STATE = ("grams", "shares", "backoff")


def _discounts(a: np.ndarray) -> np.ndarray:
    """D(0), D(1), D(2), D(3+) for adjusted counts a.

    Where few grams are rare, as with single characters or in a very short text, an estimate may divide by 0, be
    negative or take off all of a count; then Y stands in for it, and ½ for Y.
    """
    n1, n2, n3, n4 = np.bincount(np.minimum(a, 5), minlength=6)[1:5].tolist()
    Y = n1 / (n1 + 2 * n2) if n1 and n2 else 0.5
    D = [0.0]
    for count, n, more in ((1, n1, n2), (2, n2, n3), (3, n3, n4)):
        estimate = count - (count + 1) * Y * more / n if n else 0.0
        D.append(estimate if 0 < estimate < count else Y)
    return np.array(D)
