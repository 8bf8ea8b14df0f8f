"""What all models share that make one text of another: vocabularies, batches of pairs, greedy and beam search.

A model reads a source x and gives the distribution of each symbol of the target y after those before it [A1, C5],

    p(y | x) = Π_t p(y_t | y_1, …, y_{t−1}, x),        L = −mean ln p(y_t | y_1, …, y_{t−1}, x)        [A6]

In training the symbols before are those of the true target (teacher forcing); in use, those that the model has made.
Subclasses define `forward`, and `read` and `step`, which keep what has been computed of the source and the symbols.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import backend, distributed, nn, ops
from ..backend import Array, xp
from ..datasets import CharTokenizer, PairSet, Tokenizer, load_set, tokenizer_from_dict
from ..errors import ConfigError, DataError
from ..tensor import Tensor, no_grad
from . import decoding
from .config import Config

__all__ = ["PairConfig", "TranslationModel"]


@dataclass(frozen=True, kw_only=True)
class PairConfig(Config):
    """Settings of every model that makes one text of another, beside those of :class:`Config`.

    longest      symbols that a text may have: pairs with a longer one are not learnt from, and no longer one is made
    vocabulary   the tokenizers of sources and targets, which :meth:`TranslationModel.learn` fills in
    """

    reads: ClassVar[str] = "pairs"
    data: str = "dates"
    longest: int = 100
    vocabulary: dict | None = None


class TranslationModel(nn.Module):
    """p(y | x), symbols being characters."""

    modality = "pairs"
    config: PairConfig

    def __init__(self, config: PairConfig):
        if config.vocabulary is None:
            raise ConfigError(
                f"vocabulary: {type(self).__name__} needs one; config = {type(self).__name__}.learn(config)."
            )
        self.config = config
        self.source: Tokenizer = tokenizer_from_dict(config.vocabulary["source"])
        self.target: Tokenizer = tokenizer_from_dict(config.vocabulary["target"])

    @classmethod
    def learn(cls, config: PairConfig) -> PairConfig:
        """The same settings with vocabularies: those of all pairs, so that those held out can be measured."""
        if config.vocabulary is not None:
            return config
        pairs = [pair for split in ("train", "test") for pair in load_set("pairs", config.data, split).pairs]
        sides = {"source": [pair.source for pair in pairs], "target": [pair.target for pair in pairs]}
        vocabulary = {
            side: CharTokenizer("".join(texts), special_tokens=True).to_dict() for side, texts in sides.items()
        }
        return dataclasses.replace(config, vocabulary=vocabulary)

    # -- what subclasses define -----------------------------------------------------------------------------------
    def forward(self, source: Any, lengths: Any, target: Any, rng: Any = None) -> Tensor:
        """Logits of the symbol after each of the target        (N, S), (N,), (N, T) -> (N, T, V)"""
        raise NotImplementedError

    def read(self, source: Any, lengths: Any) -> Any:
        """Read sources: what :meth:`step` starts from, arrays or Tensors with the sources on axis 0."""
        raise NotImplementedError

    def step(self, ids: Any, state: Any) -> tuple[Array, Any]:
        """Read one symbol more of the target        (N,), state -> logits of the next (N, V), state"""
        raise NotImplementedError

    # -- training -------------------------------------------------------------------------------------------------
    def prepare(self, dataset: PairSet) -> tuple[np.ndarray, ...]:
        """Sources and targets between <bos> and <eos>, padded to the longest, each with its lengths."""
        most = self.config.longest
        pairs = [pair for pair in dataset.pairs if max(len(pair.source), len(pair.target)) <= most]
        if not pairs:
            raise DataError(f"{dataset.name}: no pair has texts of at most longest = {most} symbols; raise longest.")
        arrays = []
        for tokenizer, side in ((self.source, "source"), (self.target, "target")):
            ids, lengths = tokenizer.encode_batch([getattr(pair, side) for pair in pairs])
            arrays += [ids.astype(np.min_scalar_type(tokenizer.vocab_size - 1)), lengths]
        return tuple(arrays)

    def objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean of −ln p over the symbols of the targets, <eos> among them and padding not, in nats."""
        source, lengths, target, target_lengths = batch
        source, target = source.astype("int64"), target.astype("int64")
        nll = ops.softmax_cross_entropy(self(source, lengths, target[:, :-1], rng), target[:, 1:], "none")
        counts = xp.arange(target.shape[1] - 1, like=target) < target_lengths[:, None] - 1
        (symbols,) = distributed.mean((counts.sum() / len(counts)).astype(nll.dtype))  # of the whole batch, per target
        return ops.sum(nll * counts) / len(counts) / symbols, {}

    # -- use ------------------------------------------------------------------------------------------------------
    def translate(self, texts: Sequence[str], *, beam: int = 1, alpha: float = 1.0) -> list[str]:
        """The text that the model makes of each: the likeliest symbol at every step or, with `beam` above 1, the best
        that a search over so many hypotheses finds, ranked by ln p / ((5 + n) / 6)^alpha."""
        if beam == 1:
            return self._greedy(texts)
        return [self._search(text, beam, alpha) for text in texts]

    def _greedy(self, texts: Sequence[str]) -> list[str]:
        if not texts:
            return []
        made = np.full((len(texts), self.config.longest), self.target.eos, np.int64)
        ids = np.full(len(texts), self.target.bos, np.int64)
        with no_grad():
            state = self.read(*map(backend.asarray, self.source.encode_batch(texts)))
            for t in range(self.config.longest):
                logits, state = self.step(backend.asarray(ids), state)
                ended = ids == self.target.eos
                made[:, t] = ids = np.where(ended, self.target.eos, decoding.greedy(backend.to_host(logits)))
                if (ids == self.target.eos).all():
                    break
        return [self._text(row) for row in made]

    def _search(self, text: str, width: int, alpha: float) -> str:
        def step(ids: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
            logits, state = self.step(backend.asarray(ids), state)
            return backend.to_host(logits), state

        with no_grad():
            state = self.read(*map(backend.asarray, self.source.encode_batch([text])))
            found = decoding.beam_search(
                step, state, start=self.target.bos, end=self.target.eos, width=width, max_length=self.config.longest,
                alpha=alpha,
            )  # fmt: skip
        return self._text(np.array(found[0].tokens, np.int64))

    def _text(self, ids: np.ndarray) -> str:
        """The symbols before the first <eos>."""
        ends = np.flatnonzero(ids == self.target.eos)
        return self.target.decode(ids[: ends[0]] if len(ends) else ids)
