"""One computation, forward and backward, an operation at a time: as text, and as a page to step through.

`trace` looks at the graph from outside and costs a computation that nobody traces nothing.
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, ops
from ..errors import GraphError
from ..tensor import (
    Tensor,
    _check_versions,
    _completed,
    _cotangent,
    _joint_gradients,
    _Output,
    _parents,
    _unbroadcast,
    no_grad,
    primitive,
)
from .layout import layered

__all__ = ["Trace", "trace"]

WIDGET = Path(__file__).with_name("stepper.js")


@dataclass(eq=False)
class Box:
    """A leaf, or an operation and its output: what it computed, and from what."""

    name: str
    key: Any  # the leaf, or the node
    values: list[np.ndarray | None]  # one, or one for each output; None: not kept
    inputs: list[tuple[str, Box | None, int, Any]] = field(default_factory=list)  # letter, box and output, or constant
    gradient: np.ndarray | None = None

    @property
    def op(self) -> Any:
        return None if isinstance(self.key, Tensor) else self.key.op


@dataclass
class Step:
    """One operation of the backward pass: g arrives, and its rule sends a gradient to each input."""

    box: Box
    g: np.ndarray | list[np.ndarray]
    sent: list[tuple[str, Box, np.ndarray, np.ndarray | None]]  # letter, to whom, what, the sum that was there before


def trace(output: Tensor | Callable[[], Tensor], gradient: Any = None) -> Trace:
    """Record the forward and the backward pass behind `output`, and change neither the graph nor any ``.grad``.

    output: a Tensor with a history, or a function of no arguments that computes one. Of a function every number is
        seen as it is computed. A Tensor's graph holds only what gradient rules need; what follows from that is computed
        again, and the rest reads "not kept".
    gradient: ∂L/∂output, as for :meth:`Tensor.backward`.

    Show it in a notebook, ``print`` it, or write a page with ``.html("file.html")``.
    """
    calls: dict[Any, tuple] = {}
    if not isinstance(output, Tensor):
        output = _watched(output, calls)
    if not isinstance(output, Tensor) or output.node is None:
        raise GraphError(
            "trace: expected a tensor computed from leaves with requires_grad=True, or a function that computes one, "
            f"got {'one without history' if isinstance(output, Tensor) else type(output).__name__}."
        )
    return Trace(output, gradient, calls)


class Trace:
    """What :func:`trace` recorded: `boxes` in the order of the forward pass, `steps` in that of the backward pass."""

    def __init__(self, output: Tensor, gradient: Any, calls: dict[Any, tuple]):
        root, index = _origin(output.node)
        nodes = _ancestors(root)
        known = {node: _call(node, calls) for node in nodes}
        known[root].outputs[index] = output.data
        if not calls:
            _recover(nodes, known)
        self.boxes = _boxes(nodes, known, output)
        self.output = next(box for box in self.boxes if box.key is root)
        self.steps = _backward(self.boxes, output, gradient)

    def __str__(self) -> str:
        lines = ["forward"]
        wide = max(len(box.name) for box in self.boxes)
        for box in self.boxes:
            if box.op is None:
                lines.append(f"  {box.name:<{wide}} = {_text(box.values[0])}")
                continue
            lines.append(f"  {box.name:<{wide}} = {_values(box)}    {_call_text(box)}    {formula(box.op)[0]}".rstrip())
        seed = self.steps[0].g
        lines += ["", f"backward, from {self.d(self.output)} = {_text(seed)}"]
        for step in self.steps:
            lines.append(
                f"  {step.box.name} = {step.box.op.name}: g = {_text(step.g)}    {formula(step.box.op)[1]}".rstrip()
            )
            for letter, box, sent, before in step.sent:
                more = "" if before is None else f", added to {_text(before)}: {_text(before + sent)}"
                lines.append(f"    to {box.name}, its {letter}: {_text(sent)}{more}")
        leaves = [box for box in self.boxes if box.op is None]
        return "\n".join([*lines, "", *(f"{self.d(box)} = {_text(box.gradient)}" for box in leaves)])

    __repr__ = __str__

    def d(self, box: Box) -> str:
        return f"∂L/∂{box.name}"

    def html(self, file: str | os.PathLike[str] | None = None) -> str:
        """A page of its own, which asks the network for nothing; written to `file` where one is named."""
        page = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Forward and backward</title>\n'
            '<meta name="viewport" content="width=device-width">\n'
            "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:1rem}</style></head>\n"
            f"<body>{self._repr_html_()}</body></html>\n"
        )
        if file is not None:
            Path(file).write_text(page, "utf-8")
        return page

    def _repr_html_(self) -> str:
        data = json.dumps(self._widget(), ensure_ascii=False).replace("<", "\\u003c")  # names may hold HTML, "<!--" too
        return (
            f'<div class="minigen-trace"><pre>{html.escape(str(self))}</pre>'
            f'<script type="application/json">{data}</script></div>'
            f"<script>{WIDGET.read_text('utf-8')}</script>"
        )

    def _widget(self) -> dict:
        """What the page needs: boxes with their places, arrows, and for each step what lights up and what is said."""
        number = {box: i for i, box in enumerate(self.boxes)}
        arrows = sorted({(number[x], number[box]) for box in self.boxes for _, x, _, _ in box.inputs if x is not None})
        width, height, places, paths = layered(len(self.boxes), arrows)
        which = {arrow: i for i, arrow in enumerate(arrows)}
        steps = []
        for box in self.boxes:
            if box.op is None:
                continue
            lines = [["is", formula(box.op)[0]]] if formula(box.op)[0] else []
            for letter, x, k, constant in box.inputs:
                of = f"{x.name}{_part(x, k)}" if x else "a constant"
                lines.append(["in", letter, of, _cells(x.values[k] if x else constant)])
            lines += [["out", _part(box, k) or "y", _cells(value)] for k, value in enumerate(box.values)]
            steps.append({
                "phase": "forward", "box": number[box], "title": f"{box.name} = {_call_text(box)}", "lines": lines,
                "arrows": [which[number[x], number[box]] for _, x, _, _ in box.inputs if x is not None],
            })  # fmt: skip
        sums: dict[int, str] = {number[self.output]: _brief(self.steps[0].g)}
        for i, step in enumerate(self.steps):
            start = sums if i == 0 else {}
            lines = [["is", formula(step.box.op)[1]]] if formula(step.box.op)[1] else []
            lines.append(["out", "g", _cells(step.g)])
            changed = {}
            for letter, box, sent, before in step.sent:
                lines.append(["to", letter, box.name, _cells(sent), None if before is None else _cells(before),
                              None if before is None else _cells(before + sent)])  # fmt: skip
                changed[number[box]] = _brief(sent if before is None else before + sent)
            steps.append({
                "phase": "backward", "box": number[step.box], "title": f"{step.box.name} = {_call_text(step.box)}",
                "lines": lines, "gradients": start | changed,
                "arrows": sorted({which[number[box], number[step.box]] for _, box, _, _ in step.sent}),
            })  # fmt: skip
        boxes = [
            {"name": box.name, "op": box.op.name if box.op else "", "value": _brief(box.values), "x": x, "y": y}
            for box, (x, y) in zip(self.boxes, places)
        ]
        return {"width": width, "height": height, "boxes": boxes, "paths": paths, "steps": steps}


# -- the forward pass -------------------------------------------------------------------------------------------------


@dataclass
class _Call:
    outputs: list[Any]
    inputs: list[Any]  # None: not known
    attributes: dict[str, Any]


def _watched(compute: Callable[[], Tensor], calls: dict[Any, tuple]) -> Any:
    """compute(), and in `calls` the output, inputs and arguments of every operation that it recorded.

    A profiling hook reads them as the engine's `_record` returns, so that the engine need not know of it.
    """

    engine = primitive.__code__.co_filename

    def hook(frame: Any, event: str, node: Any) -> None:
        code = frame.f_code
        if event == "return" and node is not None and code.co_name == "_record" and code.co_filename == engine:
            seen = frame.f_locals
            y = seen["y"] if isinstance(seen["y"], tuple) else (seen["y"],)
            calls[node] = [_copy(a) for a in y], [_copy(a) for a in seen["arrays"]], dict(seen["attributes"])

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        return compute()
    finally:
        sys.setprofile(before)


def _copy(a: Any) -> Any:
    return a.copy() if backend.is_array(a) else a


def _origin(node: Any) -> tuple[Any, int]:
    """The operation's node, and which of its outputs this is."""
    return (node.parent, node.index) if type(node) is _Output else (node, 0)


def _ancestors(root: Any) -> list:
    """All nodes behind one, in the order in which they were made."""
    seen, stack = {root}, [root]
    while stack:
        for parent in _parents(stack.pop()):
            if not isinstance(parent, Tensor) and (node := _origin(parent)[0]) not in seen:
                seen.add(node)
                stack.append(node)
    return sorted(seen, key=lambda node: node.number)


def _call(node: Any, calls: dict[Any, tuple]) -> _Call:
    """What is known of an operation: all of it, if it was watched, else what its rules asked the engine to keep."""
    if node in calls:
        return _Call(*calls[node])
    op = node.op
    outputs: list = [None] * len(node.outputs) if hasattr(node, "outputs") else [None]
    inputs: list = [None] * max(op.arity, 1 + max(edge[1] for edge in node.edges))
    attributes: dict = {}
    for _, i, args, _, _ in node.edges:
        for (kind, where), value in zip((op.joint or op.rules[i]).sources, args):
            if kind == "y":
                outputs = list(value) if type(value) is tuple else [value]
            elif kind == "x":
                inputs[where] = value
            elif kind == "X":
                inputs = list(value)
            elif kind == "a":
                attributes[where] = value
    return _Call(outputs, inputs, attributes)


def _recover(nodes: list, known: dict[Any, _Call]) -> None:
    """Fill in what follows from what is known: an output is its users' input, and its operation's forward."""
    for node in reversed(nodes):
        for parent, i, *_ in node.edges:
            if not isinstance(parent, Tensor) and known[node].inputs[i] is not None:
                maker, k = _origin(parent)
                known[maker].outputs[k] = known[node].inputs[i]
    shapes = {_origin(edge[0]): edge[3] for node in nodes for edge in node.edges if not isinstance(edge[0], Tensor)}
    for node in nodes:
        call, op = known[node], node.op
        for parent, i, *_ in node.edges:
            if call.inputs[i] is None:
                maker, k = (parent, 0) if isinstance(parent, Tensor) else _origin(parent)
                call.inputs[i] = parent.data if isinstance(parent, Tensor) else known[maker].outputs[k]
        told = set(op.attributes) <= {"keepdims", *call.attributes}
        if call.outputs[0] is None and told and not op.variadic and all(x is not None for x in call.inputs):
            y = op.forward(*call.inputs, **call.attributes)
            y = y[0] if op.residual else y
            shape = shapes.get((node, 0))
            if not isinstance(y, tuple):
                call.outputs = [y if shape is None else np.reshape(y, shape)]


def _boxes(nodes: list, known: dict[Any, _Call], output: Tensor) -> list[Box]:
    boxes: dict[Any, Box] = {}
    root = _origin(output.node)[0]
    leaves = {edge[0]: None for node in nodes for edge in node.edges if isinstance(edge[0], Tensor)}
    taken = {leaf.name for leaf in leaves}
    free = (name for i in range(1, 10**9) if (name := f"x{i}") not in taken)
    for leaf in leaves:
        boxes[leaf] = Box(leaf.name or (next(free)), leaf, [_host(leaf.data)])
    for i, node in enumerate(nodes, 1):
        call, op = known[node], node.op
        name = f"v{i}" if node is not root else output.name or ("L" if output.size == 1 else "y")
        while name in taken:
            name += "′"
        taken.add(name)
        box = boxes[node] = Box(name, node, [None if y is None else _host(y) for y in call.outputs])
        parents = {edge[1]: edge[0] for edge in node.edges}
        for j, value in enumerate(call.inputs):
            letter = op.inputs[j] if j < len(op.inputs) else f"x{j + 1}".translate(_LOW)
            parent = parents.get(j)
            if parent is None:
                box.inputs.append((letter, None, 0, value))
            else:
                key, k = (parent, 0) if isinstance(parent, Tensor) else _origin(parent)
                box.inputs.append((letter, boxes[key], k, None))
    return list(boxes.values())


# -- the backward pass ------------------------------------------------------------------------------------------------


def _backward(boxes: list[Box], output: Tensor, gradient: Any) -> list[Step]:
    """The engine's backward pass with the engine's rules, in its order, but with each gradient it sends looked at."""
    pending: dict[Any, Any] = {}
    by_key = {box.key: box for box in boxes}
    steps = []

    def add(parent: Any, r: Any) -> Any:
        """Add r to what has arrived at a node or leaf; returns what was there before."""
        if isinstance(parent, Tensor):
            held = pending.get(parent)
            pending[parent] = r if held is None else held + r
            return held
        node, k = _origin(parent)
        arrived = pending.setdefault(node, [None] * len(by_key[node].values))
        held = arrived[k]
        arrived[k] = r if held is None else held + r
        return held

    with no_grad():
        add(output.node, _cotangent(output, gradient, False))
        for box in sorted((box for box in boxes if box.op), key=lambda box: -box.key.number):
            node, op = box.key, box.op
            if node not in pending:
                continue
            if node.watched:
                _check_versions(node)
            arrived = pending[node]
            g = _completed(arrived, node.outputs) if hasattr(node, "outputs") else arrived[0]
            arrivals = _joint_gradients(node, g, False) if op.joint else None
            sent = []
            for parent, i, args, shape, dtype in node.edges:
                r = op.rules[i].function(g, *args) if arrivals is None else arrivals[i]
                if r is None:
                    continue
                r = _unbroadcast(r, shape, op) if r.shape != shape else r
                r = r.astype(dtype) if r.dtype != dtype else r
                held = add(parent, r)
                to = by_key[parent if isinstance(parent, Tensor) else _origin(parent)[0]]
                sent.append((box.inputs[i][0], to, _host(r), None if held is None else _host(held)))
            box.gradient = [_host(a) for a in g] if isinstance(g, tuple) else _host(g)
            steps.append(Step(box, box.gradient, sent))
    for key, total in pending.items():
        if isinstance(key, Tensor):
            by_key[key].gradient = _host(total)
    return steps


# -- words and numbers ------------------------------------------------------------------------------------------------


def formula(op: Any) -> tuple[str, str]:
    """What an operation computes, and its gradient rule, from the first lines of its docstring.

    A private operation, `_conv2d`, that gives no rule is explained by the public function of its name.
    """
    said = _said(op.forward.__doc__)
    public = getattr(ops, op.name, None)
    if said[1] or not op.forward.__name__.startswith("_") or not callable(public):
        return said
    return _said(public.__doc__)


def _said(docstring: str | None) -> tuple[str, str]:
    lines = (docstring or "").strip().split("\n")
    first = [part.strip() for part in re.split(r"\s{3,}", lines[0]) if part.strip()]
    rule = next((part for part in first[1:] if "∂" in part or "gradient" in part), "")
    if not rule:
        rule = next((line.strip().split(". ")[0] for line in lines[1:] if "∂L/∂" in line), "")
    return (first[0] if first else ""), rule


_LOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _host(a: Any) -> np.ndarray:
    return np.array(backend.to_host(a))


def _part(box: Box, k: int) -> str:
    return f"[{k}]" if len(box.values) > 1 else ""


def _call_text(box: Box) -> str:
    """multiply(x, v1)"""
    names = [f"{x.name}{_part(x, k)}" if x else _text(constant) for _, x, k, constant in box.inputs]
    return f"{box.op.name}({', '.join(names)})"


def _values(box: Box) -> str:
    return "; ".join(_text(value) for value in box.values)


def _number(v: Any) -> str:
    return f"{v:.4g}".replace("-", "−") if isinstance(v, float | np.floating) else str(v)


def _text(value: Any) -> str:
    """A number, a few numbers, or what many numbers are like."""
    if value is None:
        return "not kept"
    if isinstance(value, list):
        return "; ".join(map(_text, value))
    if not backend.is_array(value):
        return _number(value) if isinstance(value, int | float) else " ".join(repr(value).split())[:40]
    a = _host(value)
    if a.ndim == 0:
        return _number(a[()])
    if a.size <= 6:
        return "[" + ", ".join(_text(row) for row in a) + "]"
    shape = "×".join(map(str, a.shape))
    if a.dtype.kind not in "fiu":
        return f"{shape} {a.dtype}"
    return f"{shape} numbers from {_number(a.min())} to {_number(a.max())}"


def _brief(value: Any) -> str:
    """What fits into a box: a number or two, else the shape."""
    if isinstance(value, list):
        return "; ".join(map(_brief, value))
    return "×".join(map(str, value.shape)) if backend.is_array(value) and value.size > 2 else _text(value)


def _cells(value: Any) -> Any:
    """Rows of numbers for a table where they fit, else text."""
    if backend.is_array(value) and value.ndim in (1, 2) and 1 < value.size <= 48 and value.shape[-1] <= 8:
        return [[_number(v) for v in row] for row in np.atleast_2d(_host(value))]
    return _text(value)
