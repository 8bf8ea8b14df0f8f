"""The base of every layer and model: :class:`Module`, a tree of named parameters.

What a module holds is what its attributes hold, in the order of their assignment::

    class Affine(Module):
        def __init__(self, n, *, rng):
            self.scale = tensor(backend.normal(rng, (n,)), requires_grad=True)   # a parameter
            self.seen = tensor(0.0)                                              # a buffer
            self.inner = Linear(n, n, rng=rng)                                   # a submodule

        def forward(self, x):
            return self.inner(x * self.scale)

======================================  ============================================================================
an attribute                            is
======================================  ============================================================================
a Tensor with ``requires_grad=True``    a parameter: an optimizer changes it, a checkpoint keeps it
any other Tensor without history        a buffer: the module changes it itself, a checkpoint keeps it
a Module, a list or tuple of these      a submodule, whose names continue this one's: ``inner.weight``, ``blocks.0``
anything else, or ``_named_so``         the module's own affair
======================================  ============================================================================

A module that draws random numbers while it computes takes the generator as the argument ``rng`` of its forward pass
and keeps none: see :class:`minigen.nn.Dropout`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import backend
from ..errors import DataError, DtypeError, ShapeError
from ..tensor import Tensor, no_grad, tensor

__all__ = ["Module"]


class Module:
    """A function with parameters. Subclasses assign attributes in ``__init__`` and define ``forward``."""

    training: bool = True
    _path: str = ""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The computation; called as ``module(x)``."""
        raise NotImplementedError(f"{type(self).__name__}: define forward(self, ...).")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign, and let what is inside know its new path, for messages."""
        object.__setattr__(self, name, value)
        for key, child in _members(name, value):
            if isinstance(child, Tensor):
                child.name = key
                continue
            for path, module in child.named_modules(key):
                object.__setattr__(module, "_path", path)
                for own, held in module._own():
                    if isinstance(held, Tensor):
                        held.name = f"{path}.{own}"

    # -- what it holds --------------------------------------------------------------------------------------------
    def _own(self) -> Iterator[tuple[str, Tensor | Module]]:
        """(name, member) of this module's own parameters, buffers and submodules, in order of assignment."""
        for name, value in vars(self).items():
            yield from _members(name, value)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted path, module): this module, then all inside it, each once, from the outside in."""
        seen: set[int] = set()

        def walk(path: str, module: Module) -> Iterator[tuple[str, Module]]:
            if id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, member in module._own():
                if isinstance(member, Module):
                    yield from walk(f"{path}.{name}" if path else name, member)

        return walk(prefix, self)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted path, tensor): parameters and buffers, each once, also where modules share one."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, member in module._own():
                if isinstance(member, Tensor) and id(member) not in seen:
                    seen.add(id(member))
                    yield f"{path}.{name}" if path else name, member

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted path, parameter), each once; the order is the same in every run."""
        return ((name, t) for name, t in self._tensors() if t.requires_grad)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted path, buffer), each once."""
        return ((name, t) for name, t in self._tensors() if not t.requires_grad)

    def parameters(self) -> list[Tensor]:
        """The parameters in the order of :meth:`named_parameters`."""
        return [t for _, t in self.named_parameters()]

    def modules(self) -> list[Module]:
        """This module and all inside it."""
        return [module for _, module in self.named_modules()]

    # -- how it behaves -------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Module:
        """Let batch normalisation use the batch's statistics and dropout drop, here and in all submodules."""
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self) -> Module:
        """The opposite of :meth:`train`: running statistics, no dropout."""
        return self.train(False)

    def to(self, name: str) -> Module:
        """Move every parameter and buffer to another backend, keeping the Tensors themselves; gradients are dropped."""
        for _, t in self._tensors():
            t.data = backend.to(t.data, name)
            t.grad = None
        return self

    # -- its state ------------------------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers on the host, by dotted path."""
        return {name: np.array(t.numpy()) for name, t in self._tensors()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Set all parameters and buffers from :meth:`state_dict`; on any error nothing is changed.

        Raises DataError with all names that are missing or unexpected, ShapeError and DtypeError with every tensor
        that does not fit.
        """
        own = dict(self._tensors())
        missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unexpected:
            parts = [f"it lacks {_listed(own, missing)}"] if missing else []
            parts += [f"it has {_listed(state, unexpected)}, which the model has not"] if unexpected else []
            raise DataError(
                f"load_state_dict: the state is not that of this {type(self).__name__}: {'; '.join(parts)}; "
                "build the model with the configuration that it was saved with."
            )
        arrays = {name: np.asarray(state[name]) for name in own}
        for aspect, error in (("shape", ShapeError), ("dtype", DtypeError)):
            wrong = [
                f"{name} expects {getattr(t, aspect)}, came {getattr(arrays[name], aspect)}"
                for name, t in own.items()
                if getattr(t, aspect) != getattr(arrays[name], aspect)
            ]
            if wrong:
                raise error(
                    f"load_state_dict: {'; '.join(wrong)}; "
                    "build the model with the configuration that it was saved with."
                )
        for name, t in own.items():
            t.data[...] = backend.to(arrays[name], backend.backend_of(t.data))
            t.mark_updated()

    # -- how it reads ---------------------------------------------------------------------------------------------
    def settings(self) -> str:
        """What stands between the brackets in a listing: ``100, 256`` in ``Linear(100, 256)``."""
        return ""

    def __repr__(self) -> str:
        children = [(name, member) for name, member in self._own() if isinstance(member, Module)]
        if not children:
            return f"{type(self).__name__}({self.settings()})"
        lines = [f"({name}): {member!r}".replace("\n", "\n  ") for name, member in children]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

    def summary(self, *example: Any) -> str:
        """A table of the layers and their parameters; with an example input also the shapes of their outputs.

        The example (arrays or Tensors, the arguments of one forward pass) is run in evaluation mode.
        """
        shapes = self._shapes(example) if example else {}
        rows = [("name", "layer", "output shape", "parameters") if example else ("name", "layer", "parameters")]
        for path, module in self.named_modules():
            held = [member for _, member in module._own()]
            if any(isinstance(member, Module) for member in held):
                continue
            count = sum(t.size for t in held if isinstance(t, Tensor) and t.requires_grad)
            shape = (shapes.get(id(module), "–"),) if example else ()
            rows.append((path or "–", repr(module), *shape, f"{count:,}" if count else "–"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([*(cell.ljust(n) for cell, n in zip(row[:-1], widths, strict=False)), row[-1].rjust(widths[-1])])
            for row in rows
        ]
        lines.insert(1, "─" * len(lines[0]))
        total = sum(t.size for t in self.parameters())
        return "\n".join([*lines, lines[1], "parameters".ljust(len(lines[0]) - 16) + f"{total:,}".rjust(16)])

    def _shapes(self, example: tuple) -> dict[int, str]:
        """id(module) -> the shape of its output when this module is called on the example."""
        found: dict[int, str] = {}
        modes = [(module, module.training) for module in self.modules()]

        def observed(module: Module) -> Any:
            def forward(*inputs: Any, **options: Any) -> Any:
                y = type(module).forward(module, *inputs, **options)
                found[id(module)] = str(y.shape) if hasattr(y, "shape") else type(y).__name__
                return y

            return forward

        for module, _ in modes:
            object.__setattr__(module, "forward", observed(module))
        try:
            self.eval()
            with no_grad():
                self(*(x if isinstance(x, Tensor) else tensor(x) for x in example))
        finally:
            for module, mode in modes:
                object.__delattr__(module, "forward")
                object.__setattr__(module, "training", mode)
        return found


def _members(name: str, value: Any) -> Iterator[tuple[str, Tensor | Module]]:
    """The parameters, buffers and modules that an attribute holds: itself, or the items of a list or tuple."""
    if name.startswith("_"):
        return
    if isinstance(value, Module) or (isinstance(value, Tensor) and value.is_leaf):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _members(f"{name}.{i}", item)


def _listed(order: Any, names: set[str]) -> str:
    return ", ".join(name for name in order if name in names)
