"""WaveNet (van den Oord et al. 2016), and what article B calls WaveNet [B6, B15].

WaveNet has no recurrence. Its layers are causal convolutions of two taps, d = 1, 2, 4, … samples apart, so that the
last sees 1 + Σ d samples, and all times are computed at once:

    f_t, g_t = W [h_{t−d}; h_t] + V e_y + b        z_t = tanh(f_t) ⊙ σ(g_t)
    h_t ← h_t + R z_t + r                          s_t = Σ over the layers of S z_t + b
    p(c_{t+1} | …) = softmax(W₂ relu(W₁ relu(s_t) + b₁) + b₂)        over the 256 codes of the μ-law

Article B's network of that name is a recurrent cell of two sigmoids; it is here, too, for the same sounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import backend, kernels, nn, ops
from ..backend import Array
from ..datasets.audio import CODES, SILENCE
from ..optim import Adam, Player
from ..tensor import Tensor, no_grad
from . import decoding
from .audio import AudioConfig, AudioModel, alike
from .config import DEEPEST, Preset, at_most

__all__ = ["PRESETS", "TwoSigmoid", "TwoSigmoidConfig", "WaveNet", "WaveNetConfig"]

PIECE = 400  # samples that are drawn at a time


@dataclass(frozen=True, kw_only=True)
class WaveNetConfig(AudioConfig):
    """Settings of :class:`WaveNet`, beside those of :class:`AudioConfig`.

    layers     how many
    cycle      dilations are 1, 2, 4, … 2^(cycle − 1), and again from 1
    channels   of h
    skip       channels of s, and of the layer behind it
    """

    layers: int = at_most(10, DEEPEST)
    cycle: int = 10
    channels: int = 32
    skip: int = 64


class Layer(nn.Module):
    """f, g = W [h_{t−d}; h_t] + V e_y + b,   z = tanh(f) ⊙ σ(g)        (N, T, C), (N,) -> (N, T − d, C)

    With R z + r added to h_t, and S z: see the module. The last layer has no h to hand on.
    """

    def __init__(self, dilation: int, c: WaveNetConfig, last: bool, rng: Any):
        self.dilation = dilation
        self.filter = nn.Linear(2 * c.channels, 2 * c.channels, rng=rng)
        self.label = nn.Embedding(c.classes, 2 * c.channels, init=_half, rng=rng)
        self.skip = nn.Linear(c.channels, c.skip, rng=rng)
        self.residual = None if last else nn.Linear(c.channels, c.channels, rng=rng)

    def gated(self, h: Any, labels: Any) -> tuple[Tensor, Any]:
        """z_t, and h_t at the same times"""
        c = h.shape[2]
        taps = self.filter.weight.reshape(2 * c, 2, c).transpose(0, 2, 1)  # of h_{t−d} and of h_t
        a = ops.conv1d(h.transpose(0, 2, 1), taps, self.filter.bias, dilation=self.dilation)
        return ops.gated(a.transpose(0, 2, 1), self.label(labels)), h[:, self.dilation :]

    def forward(self, h: Any, labels: Any, count: int) -> tuple[Tensor | None, Tensor]:
        """h for the next layer, and S z of the last `count` times"""
        z, now = self.gated(h, labels)
        return None if self.residual is None else now + self.residual(z), self.skip(z[:, z.shape[1] - count :])


class WaveNet(AudioModel):
    """Embedding → layers → their skips, summed → relu → Linear → relu → Linear

    Nothing is padded: a layer gives as many fewer times as it looks back, so that what comes out has seen `context`
    samples, and the loss is on nothing else.
    """

    config: WaveNetConfig

    def __init__(self, config: WaveNetConfig, *, rng: Any):
        self.config = c = config
        self.dilations = [2 ** (layer % c.cycle) for layer in range(c.layers)]
        self.context = 1 + sum(self.dilations)
        self.embedding = nn.Embedding(CODES, c.channels, init=alike, rng=rng)
        self.layers = [Layer(d, c, i == c.layers - 1, rng) for i, d in enumerate(self.dilations)]
        self.hidden = nn.Linear(c.skip, c.skip, rng=rng)
        self.output = nn.Linear(c.skip, CODES, rng=rng)
        parameters = self.parameters()
        adam = Adam(parameters, c.lr)
        self.players = [Player("wavenet", parameters, self.objective, adam, schedule=c.rates(), clip=c.clip)]

    def forward(self, codes: Any, labels: Any) -> Tensor:
        """Logits of the code after each whose context is filled        (N, T), (N,) -> (N, T − context + 1, 256)"""
        h, skips, count = self.embedding(codes), None, codes.shape[1] - self.context + 1
        for layer in self.layers:
            h, skip = layer(h, labels, count)
            skips = skip if skips is None else skips + skip
        return self.output(ops.relu(self.hidden(ops.relu(skips))))

    # -- drawing --------------------------------------------------------------------------------------------------
    def generate(self, labels: np.ndarray, n: int, rng: np.random.Generator, *, temperature: float = 1.0
                 ) -> Iterator[np.ndarray]:  # fmt: skip
        """n codes of a sound of each class, piece by piece: uint8 arrays (N, m), the sum of whose m is n.

        On the host, whatever the backend: a sample waits for the one before it, and a device would wait with it.
        """
        for codes, _ in self.drawn(labels, n, rng, temperature=temperature):
            yield codes

    def drawn(self, labels: np.ndarray, n: int, rng: np.random.Generator, *, temperature: float = 1.0
              ) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
        """The same, each piece with −ln p of its codes, in nats."""
        labels = np.asarray(labels)
        weights, queues = self._weights(labels), self._silence(labels)
        codes = np.full(len(labels), SILENCE)
        for t in range(0, n, PIECE):
            u = rng.random((len(labels), min(PIECE, n - t)), dtype=queues.dtype)
            drawn, nll = kernels.wavenet_draw(u, codes, queues, t, temperature, self.dilations, **weights)
            yield drawn, nll
            codes = drawn[:, -1]

    def _weights(self, labels: np.ndarray) -> dict[str, Any]:
        """What :func:`kernels.wavenet_draw` multiplies with, on the host"""
        host = lambda t: np.ascontiguousarray(backend.to_host(t.data))
        c, layers = self.config.channels, self.layers
        stack = lambda found, *shape: np.array(list(map(host, found)), self.embedding.weight.dtype).reshape(-1, *shape)
        return {
            "embedding": host(self.embedding.weight),
            "filters": stack((y.filter.weight.T for y in layers), 2 * c, 2 * c),
            "conditions": np.stack([host(y.label.weight)[labels] + host(y.filter.bias) for y in layers], axis=1),
            "residuals": stack((y.residual.weight.T for y in layers[:-1]), c, c),
            "residual_bias": stack((y.residual.bias for y in layers[:-1]), c),
            "skips": stack((y.skip.weight.T for y in layers), c, self.config.skip),
            "skip_bias": stack((y.skip.bias for y in layers), self.config.skip).sum(axis=0),
            "head": tuple(host(t) for y in (self.hidden, self.output) for t in (y.weight.T, y.bias)),
        }

    def _silence(self, labels: np.ndarray) -> np.ndarray:
        """The queues when there has long been silence: every layer's input, repeated        (N,) -> (N, D, C)"""
        labels, queues = backend.asarray(labels), []
        with no_grad():
            h = self.embedding(backend.asarray(np.full((len(labels), 1), SILENCE)))
            for layer in self.layers:
                h = ops.broadcast_to(h, (len(labels), layer.dilation + 1, self.config.channels))
                queues.append(backend.to_host(h.data[:, 1:]))
                h, _ = layer(h, labels, 1)
        return np.ascontiguousarray(np.concatenate(queues, axis=1))


# -- article B --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TwoSigmoidConfig(AudioConfig):
    """Settings of :class:`TwoSigmoid`, beside those of :class:`AudioConfig`.

    embedding   length of a code's vector, and of a class's
    width       length of a and h
    """

    block: int = 200
    embedding: int = 32
    width: int = 128


class TwoSigmoid(AudioModel):
    """a_t = σ(W_a [h_{t−1}; x_t] + b_a),   h_t = σ(W_h [a_t; h_{t−1}] + b_h),   softmax(W_p h_t + b_p)        [B6]

    x_t is the vector of a code and that of the class. A sample is one step after another, in training, too; there each
    window begins from the state zero, and when a sound is measured or drawn, after silence.
    """

    config: TwoSigmoidConfig
    context = 1

    def __init__(self, config: TwoSigmoidConfig, *, rng: Any):
        self.config = c = config
        self.embedding = nn.Embedding(CODES, c.embedding, init=alike, rng=rng)
        self.label = nn.Embedding(c.classes, c.embedding, rng=rng)
        self.cell = nn.TwoSigmoidRNN(2 * c.embedding, c.width, rng=rng)
        self.output = nn.Linear(c.width, CODES, rng=rng)
        parameters = self.parameters()
        adam = Adam(parameters, c.lr)
        self.players = [Player("two_sigmoid", parameters, self.objective, adam, schedule=c.rates(), clip=c.clip)]

    @property
    def about(self) -> dict[str, str]:
        return {}

    def forward(self, codes: Any, labels: Any) -> Tensor:
        """(N, T), (N,) -> (N, T, 256)"""
        return self._hear(codes, labels)[0]

    def _hear(self, codes: Any, labels: Any, state: Any = None) -> tuple[Tensor, Any]:
        x, y = self.embedding(codes), ops.expand_dims(self.label(labels), 1)
        h, state = self.cell(ops.concatenate([x, ops.broadcast_to(y, x.shape)], axis=2), state)
        return self.output(h), state

    def nll(self, codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(n,), (k,) -> (k, n): the state goes on from the beginning of the sound to its end."""
        heard = np.concatenate([[SILENCE], codes]).astype(np.int64)
        labels, state, found = backend.asarray(np.asarray(labels)), None, []
        with no_grad():
            for at in range(0, len(codes), self.config.block):
                window = backend.asarray(np.repeat(heard[None, at : at + self.config.block + 1], len(labels), axis=0))
                logits, state = self._hear(window[:, :-1], labels, state)
                found.append(ops.softmax_cross_entropy(logits, window[:, 1:], "none").numpy())
        return np.concatenate(found, axis=1)

    def generate(self, labels: np.ndarray, n: int, rng: np.random.Generator, *, temperature: float = 1.0
                 ) -> Iterator[np.ndarray]:  # fmt: skip
        codes, labels, state = np.full(len(labels), SILENCE), backend.asarray(np.asarray(labels)), None
        for _ in range(n):
            with no_grad():
                logits, state = self._hear(backend.asarray(codes[:, None]), labels, state)
            codes = decoding.next_token(backend.to_host(logits.data)[:, 0], rng, temperature=temperature)
            yield codes[:, None].astype(np.uint8)


def _half(rng: Any, shape: tuple[int, ...], dtype: Any = None) -> Array:
    """N(0, 0.5²)"""
    return 0.5 * backend.normal(rng, shape, dtype)


PRESETS = {
    "wavenet": Preset(
        "WaveNet of 10 layers: dilated causal convolutions with gates, over 256 codes, told the class",
        WaveNet,
        WaveNetConfig(steps=1000, batch_size=8, block=1500, lr=6e-3, schedule="cosine"),
    ),
    "wavenet-b6": Preset(
        "the recurrent cell of two sigmoids that article B calls WaveNet, on the same sounds",
        TwoSigmoid,
        TwoSigmoidConfig(steps=400, batch_size=64, lr=6e-3, schedule="cosine"),
    ),
}
