"""Convolution layers and their transposes, in one and two dimensions.

Weights (out_channels, in_channels / groups, *kernel), for the transposed ones (in_channels, out_channels / groups,
*kernel), and biases (out_channels,) start as in :class:`minigen.nn.Linear`: U(−a, a) with a = 1/√fan_in, or as the
given initialiser says with biases at 0. What the options mean stands in :mod:`minigen.ops.convolution`.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..errors import ConfigError, ShapeError
from ..tensor import Tensor
from .linear import Initialiser, _at, check_sizes, weight_and_bias
from .module import Module

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"]

Size = int | tuple[int, ...]


class _Convolution(Module):
    """What the four have in common: the weight's shape, the check of the input, the listing."""

    ndim: int
    transposed: bool = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, *, bias: bool, init: Initialiser | None, rng: Any,
        dtype: Any, groups: int, **options: Any,
    ):  # fmt: skip
        kind = type(self).__name__
        check_sizes(kind, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"{kind}: groups must divide both channel counts, got {in_channels} and {out_channels} channels "
                f"in {groups} groups."
            )
        kernel = (kernel_size,) * self.ndim if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(kernel) != self.ndim:
            raise ConfigError(f"{kind}: expected {self.ndim} kernel sizes, got {kernel_size}.")
        for size in kernel:
            check_sizes(kind, kernel_size=size)
        self.in_channels, self.out_channels, self.kernel = in_channels, out_channels, kernel
        self.options = {**options, "groups": groups}
        outer, inner = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight, self.bias = weight_and_bias(
            rng, (outer, inner // groups, *kernel), out_channels, bias, init, dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        if len(x.shape) != self.ndim + 2 or x.shape[1] != self.in_channels:
            axes = ", ".join(("N", str(self.in_channels), *"HW"[-self.ndim :]))
            raise ShapeError(f"{self!r}{_at(self)}: expected an input of shape ({axes}), got {tuple(x.shape)}.")
        operation = getattr(ops, f"conv{'_transpose' if self.transposed else ''}{self.ndim}d")
        return operation(x, self.weight, self.bias, **self.options)

    def settings(self) -> str:
        plain = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}
        shown = [f"{name}={value!r}" for name, value in self.options.items() if value != plain[name]]
        kernel = "×".join(map(str, self.kernel))
        parts = [str(self.in_channels), str(self.out_channels), kernel, *shown]
        return ", ".join(parts + ["bias=False"] * (self.bias is None))


class _Plain(_Convolution):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, *, stride: Size = 1, padding: Any = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True, init: Initialiser | None = None, rng: Any,
        dtype: Any = None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, dilation=dilation, groups=groups,
            bias=bias, init=init, rng=rng, dtype=dtype,
        )  # fmt: skip


class Conv1d(_Plain):
    """Convolution        (N, in_channels, W) -> (N, out_channels, W′)"""

    ndim = 1


class Conv2d(_Plain):
    """Convolution        (N, in_channels, H, W) -> (N, out_channels, H′, W′)"""

    ndim = 2


class _Transposed(_Convolution):
    transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, *, stride: Size = 1, padding: Any = 0,
        output_padding: Size = 0, dilation: Size = 1, groups: int = 1, bias: bool = True,
        init: Initialiser | None = None, rng: Any, dtype: Any = None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, output_padding=output_padding,
            dilation=dilation, groups=groups, bias=bias, init=init, rng=rng, dtype=dtype,
        )  # fmt: skip


class ConvTranspose1d(_Transposed):
    """Transposed convolution, the adjoint of a convolution        (N, in_channels, W) -> (N, out_channels, W′)

    W′ = (W − 1)·s − 2p + d·(k − 1) + output_padding + 1; with padding="same", W′ = W·s.
    """

    ndim = 1


class ConvTranspose2d(_Transposed):
    """Transposed convolution        (N, in_channels, H, W) -> (N, out_channels, H′, W′), each side as in one dimension

    With stride 2 and padding="same" both sides double.
    """

    ndim = 2
