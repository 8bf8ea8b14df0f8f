"""What all models of text share: a vocabulary, windows of a text, nats per symbol, and writing symbol by symbol.

A language model gives the distribution of each symbol after those before it [C5], and learns by the mean of

    L = −ln p(x_t | x_1, …, x_{t−1})        in nats per symbol [A6]

Subclasses define `forward`, and `begin` and `step`, which write: they keep what is needed of the symbols that have
been read (an LSTM its state, a Transformer its keys and values), so that nothing is computed twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .. import backend, nn, ops
from ..backend import Array
from ..datasets import (
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    TextSet,
    Tokenizer,
    load_text,
    strided_windows,
    tokenizer_from_dict,
)  # fmt: skip
from ..datasets.text import DEFAULT
from ..errors import ConfigError, DataError
from ..tensor import Tensor, no_grad
from . import decoding
from .config import Config, choice

__all__ = ["LanguageModel", "TextConfig", "TokenModel"]


@dataclass(frozen=True, kw_only=True)
class TextConfig(Config):
    """Settings of every model of text, beside those of :class:`Config`.

    tokenizer    symbols are characters, bytes, or byte pairs
    merges       how many byte pairs are learnt from the text
    lower        the text is lower-cased first [B11]
    block        symbols in a window of training
    vocabulary   the tokenizer, which :meth:`LanguageModel.learn` fills in
    """

    reads: ClassVar[str] = "text"
    data: str = DEFAULT
    tokenizer: str = choice("characters", ("characters", "bytes", "byte pairs"))
    merges: int = 512
    lower: bool = False
    block: int = 64
    vocabulary: dict | None = None


class TokenModel(nn.Module):
    """p(x_t | x_1, …, x_{t−1}) over ids 0, …, V − 1."""

    # -- what subclasses define -----------------------------------------------------------------------------------
    def forward(self, ids: Any, rng: Any = None) -> Tensor:
        """Logits of the symbol after each        (N, T) -> (N, T, V); `rng` for dropout in training"""
        raise NotImplementedError

    def begin(self, ids: Any) -> tuple[Array, Any]:
        """Read a prompt: the logits of the symbol after it, and what is remembered        (N, T) -> (N, V), state"""
        raise NotImplementedError

    def step(self, ids: Any, state: Any) -> tuple[Array, Any]:
        """Read one symbol more        (N,), state -> (N, V), state"""
        raise NotImplementedError

    def objective(self, batch: tuple[Array, ...], rng: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean of −ln p over the symbols of the windows (N, block + 1), in nats."""
        ids = batch[0].astype("int64")
        return ops.softmax_cross_entropy(self(ids[:, :-1], rng), ids[:, 1:]), {}

    def generate(self, prompt: np.ndarray, n: int, rng: np.random.Generator, *, temperature: float = 1.0,
                 top_k: int | None = None, top_p: float | None = None,
                 never: Sequence[int] = ()) -> Iterator[int]:  # fmt: skip
        """n ids that go on from those of the prompt, of which there must be one, each as soon as it is drawn.

        Those in `never` do not come.
        """
        if not len(prompt):
            raise ConfigError("generate: expected a prompt of at least one symbol, got none.")
        with no_grad():
            logits, state = self.begin(backend.asarray(prompt[None]))
        for i in range(n):
            l = np.array(backend.to_host(logits)[0])
            if never:
                l[list(never)] = -np.inf
            token = decoding.next_token(l, rng, temperature=temperature, top_k=top_k, top_p=top_p)
            yield int(token)
            if i < n - 1:
                with no_grad():
                    logits, state = self.step(backend.asarray(np.array([token])), state)


class LanguageModel(TokenModel):
    """p(x_t | x_1, …, x_{t−1}) over the symbols of a tokenizer."""

    modality = "text"
    config: TextConfig

    def __init__(self, config: TextConfig):
        if config.vocabulary is None:
            raise ConfigError(
                f"vocabulary: {type(self).__name__} needs one; config = {type(self).__name__}.learn(config)."
            )
        self.config = config
        self.tokenizer: Tokenizer = tokenizer_from_dict(config.vocabulary)

    @classmethod
    def learn(cls, config: TextConfig) -> TextConfig:
        """The same settings with a vocabulary: that of the whole text, so that the part held out can be measured."""
        if config.vocabulary is not None:
            return config
        text = load_text(config.data)
        text = text.lower() if config.lower else text
        if config.tokenizer == "characters":
            tokenizer: Tokenizer = CharTokenizer(text)
        elif config.tokenizer == "bytes":
            tokenizer = ByteTokenizer()
        else:
            tokenizer = BPETokenizer.train(text, config.merges)
        return dataclasses.replace(config, vocabulary=tokenizer.to_dict())

    # -- training -------------------------------------------------------------------------------------------------
    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, int64 (n,). Raises DataError that names the characters outside the vocabulary."""
        return self.tokenizer.encode(text.lower() if self.config.lower else text)

    def prepare(self, dataset: TextSet) -> tuple[np.ndarray, ...]:
        """Every window of block + 1 symbols, one for each place where it may begin; a view of the text's ids."""
        ids = self.encode(dataset.text)
        length = self.config.block + 1
        if len(ids) < length:
            raise DataError(
                f"{dataset.name}: expected at least {length} symbols for a window, came {len(ids)}; "
                "use a longer text or a smaller block."
            )
        ids = ids.astype(np.min_scalar_type(self.tokenizer.vocab_size - 1))
        return (np.lib.stride_tricks.sliding_window_view(ids, length),)

    # -- measuring ------------------------------------------------------------------------------------------------
    def nll(self, ids: np.ndarray) -> np.ndarray:
        """−ln p of every symbol of a text but the first, with what precedes it in its block        (n,) -> (n − 1,)

        Blocks have the length of training and follow each other, so a symbol sees half a block on average.
        """
        x, y, counted = strided_windows(ids, self.config.block)
        found = []
        with no_grad():
            for i in range(0, len(x), 64):
                logits = self(backend.asarray(x[i : i + 64]))
                nll = ops.softmax_cross_entropy(logits, backend.asarray(y[i : i + 64]), "none").numpy()
                found.append(nll[counted[i : i + 64]])
        return np.concatenate(found)

    # -- writing --------------------------------------------------------------------------------------------------
    def write(self, prompt: str, n: int, rng: np.random.Generator, **settings: Any) -> Iterator[str]:
        """The text of :meth:`generate`, piece by piece, after a prompt, or after a line end where there is none."""
        ids = self.encode(prompt) if prompt else self._line_end()
        return self.tokenizer.stream(self.generate(ids, n, rng, **settings))

    def _line_end(self) -> np.ndarray:
        try:
            return self.tokenizer.encode("\n")
        except DataError:  # a text of one line
            return np.zeros(1, np.int64)
