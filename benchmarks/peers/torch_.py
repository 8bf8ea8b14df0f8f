"""PyTorch, eager, on the CPU or on the device; there in float32 all through, as minigen computes: TF32 is off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..workloads.networks import Layer, deal

CHANNELS_LAST, DEVICE = False, "cpu"
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
no_grad = torch.no_grad
mean, exp, softplus = torch.mean, torch.exp, F.softplus


def tensor(a: np.ndarray) -> Any:
    return torch.from_numpy(a).to(DEVICE, non_blocking=True)


def timed(step: Callable[[], Any]) -> tuple[Any, float]:
    """As :func:`minigen.backend.timed` on the device."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    result = step()
    end.record()
    end.synchronize()
    return result, begin.elapsed_time(end) / 1e3


def device_memory() -> int:
    """As :func:`minigen.backend.device_memory`."""
    held = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return held


def _module(layer: Layer) -> nn.Module:
    match layer:
        case ("linear", i, o):
            return nn.Linear(i, o)
        case ("conv", i, o, k, s):
            return nn.Conv2d(i, o, k, stride=s, padding=k // 2)
        case ("conv_transpose", i, o, k, s):
            return nn.ConvTranspose2d(i, o, k, stride=s, padding=k // 2, output_padding=s - 1)
        case ("batch_norm", c):
            return nn.BatchNorm1d(c)
        case ("batch_norm2d", c):
            return nn.BatchNorm2d(c)
        case ("leaky_relu", slope):
            return nn.LeakyReLU(slope)
        case ("relu",):
            return nn.ReLU()
        case ("tanh",):
            return nn.Tanh()
        case ("reshape", *shape):
            return nn.Unflatten(1, shape)
        case ("flatten", *_):
            return nn.Flatten()
    raise ValueError(layer)


def network(layers: list[Layer], arrays: Iterator[np.ndarray]) -> nn.Module:
    modules = []
    images = False
    for layer, own in deal(layers, arrays):
        images = layer[0] in ("reshape", "conv", "conv_transpose") or (images and layer[0] != "flatten")
        module = _module(("batch_norm2d", layer[1]) if layer[0] == "batch_norm" and images else layer)
        with torch.no_grad():
            for p, a in zip(module.parameters(), own, strict=True):
                p.copy_(torch.from_numpy(a))
        modules.append(module)
    net = nn.Sequential(*modules).to(DEVICE)
    return net.to(memory_format=torch.channels_last) if CHANNELS_LAST else net


def player(nets: list[nn.Module], lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> Callable[..., Any]:
    parameters = [p for net in nets for p in net.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=betas)

    def step(objective: Callable, *data: Any) -> Any:
        optimizer.zero_grad()
        loss = objective(*nets, *data)
        loss.backward(inputs=parameters)
        optimizer.step()
        return loss

    return step


def number(loss: Any) -> float:
    return float(loss.detach())


def bernoulli_nll(logits: Any, x: Any) -> Any:
    """Σ over pixels, mean over examples"""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def gaussian_code(both: Any, noise: Any) -> tuple[Any, Any]:
    """(z, KL) from [μ, log σ²]; the mean of the KL over examples"""
    mu, log_variance = both.chunk(2, dim=1)
    z = mu + torch.exp(0.5 * log_variance) * noise
    return z, 0.5 * (mu**2 + torch.exp(log_variance) - log_variance - 1).sum() / len(both)


def slope(f: Callable, x: Any) -> Any:
    """‖∇ f(x)‖ of each example, differentiable"""
    x = x.requires_grad_()
    (g,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    return g.flatten(1).norm(dim=1)


# -- without a model --------------------------------------------------------------------------------------------------


def gradient_of_sum(f: Callable, start: np.ndarray, *rest: float) -> Callable[[], tuple[Any, Any]]:
    x = torch.tensor(start, requires_grad=True, device=DEVICE)

    def run() -> tuple[Any, Any]:
        x.grad = None
        loss = f(x, *rest).sum()
        loss.backward()
        return loss, x.grad

    return run


def images(a: np.ndarray) -> Any:
    """In the memory order in which one convolution gets what another has computed."""
    t = tensor(a)
    return t.to(memory_format=torch.channels_last) if CHANNELS_LAST else t


def layer(net: nn.Module, x: Any, g: Any) -> tuple[Callable, Callable]:
    """Forward alone; forward and backward, from g to the gradients of input, weight and bias."""
    leaves = [x.requires_grad_(), *net.parameters()]

    def forward() -> Any:
        with torch.no_grad():
            return net(x)

    def both() -> Any:
        y = net(x)
        return y, torch.autograd.grad(y, leaves, g)

    return forward, both


def dot(a: Any, b: Any) -> float:
    return float((a.detach() * b).sum())


# -- language models --------------------------------------------------------------------------------------------------


def _copied(parameters: Iterable[nn.Parameter], arrays: Iterator[np.ndarray]) -> None:
    with torch.no_grad():
        for p in parameters:
            a = torch.from_numpy(next(arrays))
            if a.shape != p.shape:
                raise ValueError(f"the weights to copy have shape {a.shape}, not {p.shape}")
            p.copy_(a)


class lstm(nn.Module):
    """Embedding → LSTM → Linear"""

    def __init__(self, symbols: int, embedding: int, width: int, layers: int, arrays: Iterator[np.ndarray]):
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        self.cell = nn.LSTM(embedding, width, layers, batch_first=True)
        self.output = nn.Linear(width, symbols)
        for name, p in self.cell.named_parameters():
            if name.startswith("bias_hh"):  # a second bias, which only adds to the first
                nn.init.zeros_(p).requires_grad_(False)
        _copied((p for p in self.parameters() if p.requires_grad), arrays)
        self.to(DEVICE)

    def forward(self, ids: Any, state: Any = None, last: bool = False) -> tuple[Any, Any]:
        h, state = self.cell(self.embedding(ids), state)
        return self.output(h[:, -1] if last else h), state


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, arrays: Iterator[np.ndarray]):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for module in (self.qkv, self.out, self.norm1, self.up, self.down, self.norm2):
            _copied(module.parameters(), arrays)

    def forward(self, x: Any, past: Any = None) -> tuple[Any, Any]:
        n, t, c = x.shape
        q, k, v = (
            a.view(n, t, self.heads, c // self.heads).transpose(1, 2) for a in self.qkv(self.norm1(x)).chunk(3, dim=2)
        )
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x)))), (k, v)


class gpt(nn.Module):
    """Pre-norm Transformer; the embedding is the output's matrix as well"""

    def __init__(self, symbols: int, block: int, width: int, heads: int, layers: int, arrays: Iterator[np.ndarray]):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(symbols, width), nn.Embedding(block, width)
        _copied([self.tokens.weight, self.positions.weight], arrays)
        self.layers = nn.ModuleList(_Block(width, heads, arrays) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        _copied(self.norm.parameters(), arrays)
        self.to(DEVICE)

    def forward(self, ids: Any, pasts: Any = None, last: bool = False) -> tuple[Any, Any]:
        start = pasts[0][0].shape[2] if pasts else 0
        x, read = self.tokens(ids) + self.positions.weight[start : start + ids.shape[1]], []
        for i, layer in enumerate(self.layers):
            x, past = layer(x, pasts[i] if pasts else None)
            read.append(past)
        return F.linear(self.norm(x), self.tokens.weight), read


def reader(net: nn.Module, windows: np.ndarray, last: bool, optimizer: str, lr: float, clip: float) -> Callable:
    """Training steps of a language model on windows: all symbols, or only the `last`, are learnt from."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    x, y = tensor(windows[:, :-1].copy()), tensor(windows[:, 1:].copy())
    if optimizer == "AdamW":
        groups = [([p for p in parameters if p.ndim > 1], 0.1), ([p for p in parameters if p.ndim < 2], 0.0)]
        groups = [{"params": own, "weight_decay": decay} for own, decay in groups]
        rule = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))
        schedule = torch.optim.lr_scheduler.LambdaLR(rule, lambda step: min(1.0, (step + 1) / 100))
    else:
        rule, schedule = getattr(torch.optim, optimizer)(parameters, lr=lr), None

    def step() -> Any:
        rule.zero_grad()
        logits, _ = net(x, last=last)
        loss = F.cross_entropy(logits.flatten(0, -2), (y[:, -1] if last else y).flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, clip)
        rule.step()
        if schedule is not None:
            schedule.step()
        return loss

    return step


def write(net: nn.Module, n: int) -> list[int]:
    """n symbols after symbol 0, always the likeliest; what has been read is kept."""
    ids, state, written = torch.zeros((1, 1), dtype=torch.int64, device=DEVICE), None, []
    with torch.no_grad():
        for _ in range(n):
            logits, state = net(ids, state)
            ids = logits[:, -1:].argmax(-1)
            written.append(int(ids))
    return written


# -- sound ------------------------------------------------------------------------------------------------------------


class wavenet(nn.Module):
    """Dilated causal convolutions with gates; nothing is padded"""

    def __init__(self, layers: int, channels: int, skip: int, codes: int, classes: int, arrays: Iterator[np.ndarray]):
        super().__init__()
        self.embedding = nn.Embedding(codes, channels)
        _copied(self.embedding.parameters(), arrays)
        last = lambda i: i == layers - 1
        self.filters = nn.ModuleList(nn.Conv1d(channels, 2 * channels, 2, dilation=2**i) for i in range(layers))
        self.labels = nn.ModuleList(nn.Embedding(classes, 2 * channels) for _ in range(layers))
        self.skips = nn.ModuleList(nn.Conv1d(channels, skip, 1) for _ in range(layers))
        self.residuals = nn.ModuleList(nn.Conv1d(channels, channels, 1) for i in range(layers) if not last(i))
        self.hidden, self.output = nn.Conv1d(skip, skip, 1), nn.Conv1d(skip, codes, 1)
        for i in range(layers):
            taps = next(arrays)
            own = [np.stack([taps[:, :channels], taps[:, channels:]], axis=2), next(arrays)]
            _copied(self.filters[i].parameters(), iter(own))
            _copied(self.labels[i].parameters(), arrays)
            for conv in (self.skips[i], *([] if last(i) else [self.residuals[i]])):
                _copied(conv.parameters(), iter([next(arrays)[:, :, None], next(arrays)]))
        for conv in (self.hidden, self.output):
            _copied(conv.parameters(), iter([next(arrays)[:, :, None], next(arrays)]))
        self.to(DEVICE)

    def forward(self, codes: Any, labels: Any, context: int) -> Any:
        h, skips, count = self.embedding(codes).transpose(1, 2), 0, codes.shape[1] - context + 1
        for i, (convolve, label, skip) in enumerate(zip(self.filters, self.labels, self.skips, strict=True)):
            f, g = (convolve(h) + label(labels)[:, :, None]).chunk(2, dim=1)
            z = torch.tanh(f) * torch.sigmoid(g)
            skips = skips + skip(z[:, :, -count:])
            if i < len(self.residuals):
                h = h[:, :, 2**i :] + self.residuals[i](z)
        return self.output(F.relu(self.hidden(F.relu(skips))))


def listener(net: wavenet, windows: np.ndarray, labels: np.ndarray, context: int, lr: float, clip: float) -> Callable:
    """Training steps of a WaveNet on windows of codes."""
    parameters = list(net.parameters())
    adam = torch.optim.Adam(parameters, lr=lr)
    x, y, classes = tensor(windows[:, :-1].copy()), tensor(windows[:, context:].copy()), tensor(labels)

    def step() -> Any:
        adam.zero_grad()
        loss = F.cross_entropy(net(x, classes, context), y)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, clip)
        adam.step()
        return loss

    return step


def draw(net: wavenet, label: int, n: int, silence: int = 128) -> list[int]:
    """n codes after silence, always the likeliest; each layer keeps its last inputs."""
    point = lambda conv, x: F.linear(x, conv.weight[:, :, 0], conv.bias)
    classes, code, drawn = torch.tensor([label], device=DEVICE), torch.tensor([silence], device=DEVICE), []
    with torch.no_grad():
        queues, h = [], net.embedding(code)
        taps = [torch.cat([c.weight[:, :, 0], c.weight[:, :, 1]], dim=1) for c in net.filters]
        added = [c.bias + e(classes) for c, e in zip(net.filters, net.labels, strict=True)]
        gated = lambda i, past, h: (lambda f, g: torch.tanh(f) * torch.sigmoid(g))(
            *(F.linear(torch.cat([past, h], dim=1), taps[i]) + added[i]).chunk(2, dim=1)
        )
        for i in range(len(net.filters)):
            queues.append([h] * 2**i)
            if i < len(net.residuals):
                h = h + point(net.residuals[i], gated(i, h, h))
        for t in range(n):
            h, skips = net.embedding(code), 0
            for i, queue in enumerate(queues):
                place = t % len(queue)
                z, queue[place] = gated(i, queue[place], h), h
                skips = skips + point(net.skips[i], z)
                if i < len(net.residuals):
                    h = h + point(net.residuals[i], z)
            code = point(net.output, F.relu(point(net.hidden, F.relu(skips)))).argmax(1)
            drawn.append(int(code))
    return drawn
