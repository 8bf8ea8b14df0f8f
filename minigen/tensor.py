"""Reverse-mode differentiation: :class:`Tensor`, :func:`primitive`, :func:`grad`, :class:`no_grad`.

A :class:`Tensor` is an array that may remember the :class:`Node` that made it. A node holds one *edge* per input that
needs a gradient: where the gradient goes, which rule computes it, and exactly the values that this rule asked for.

Let y = f(x₁ … xₙ) be one operation inside a computation of L, and g = ∂L/∂y. Rule i computes ∂L/∂xᵢ from g.
:func:`primitive` joins a forward computation to its rules, and a rule *asks by name* for what it needs::

    @primitive(lambda g, y: g * y)
    def exp(x):
        return xp.exp(x)

=================  =============================================================================================
a rule's argument  is
=================  =============================================================================================
``g`` (first)      the gradient of the output, in the output's shape (a tuple where the forward returns one)
``y``              the output
``x``, ``w`` …     the input of that name in the forward; ``x_shape`` is its shape alone, which keeps no memory
``r``              the residual: what a forward with ``residual=True`` returns beside its output
``axis`` …         an argument that is no input, by its name in the forward
=================  =============================================================================================

What no rule asks for is not kept. Rules are written with operators and operations that take arrays and Tensors alike:
an ordinary backward pass hands them arrays; with ``create_graph=True`` it hands them Tensors, so that the gradient is
itself a recorded computation and can be differentiated again, to any order.

The engine, not the rule, sums over broadcast axes, casts to the input's dtype, skips inputs that need no gradient and
adds up the gradients of a value that is used more than once: L depends on it along every path, and the chain rule
sums over paths.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from operator import itemgetter
from typing import Any

import numpy as np

from . import backend, kernels
from .backend import Array, xp
from .errors import BackendError, DtypeError, GraphError, MinigenError, ShapeError

__all__ = ["Node", "Tensor", "grad", "no_grad", "primitive", "tensor"]

_numbers = count()
_recording = True


class no_grad:
    """``with no_grad():`` operations compute their value and record nothing."""

    _inside = False

    def __init__(self) -> None:
        self._before: list[bool] = []  # a list, so that one object may be entered twice

    def __enter__(self) -> None:
        global _recording
        self._before.append(_recording)
        _recording = self._inside

    def __exit__(self, *_: object) -> None:
        global _recording
        _recording = self._before.pop()


class _recorded(no_grad):
    """The opposite, for a backward pass that is to be differentiated itself."""

    _inside = True


class Node:
    """One recorded operation.

    `edges` holds (parent, index of the rule, its arguments, shape, dtype) for each input that needs a gradient; a
    parent is the node that made the input, or the input itself where it is a leaf. `number` counts creations, so an
    operation's number is always larger than those of its inputs. `watched` lists the version counters of leaves
    whose values a rule will use. A backward pass sets `edges` to None to free the graph behind it.
    """

    __slots__ = ("edges", "number", "op", "outputs", "watched")


class _Output(Node):
    """One output of an operation that returns several: hands its gradient to the operation's node.

    Two for the same output are equal: the one made by the forward pass, and one made when a saved output is rewrapped.
    """

    __slots__ = ("index", "parent")

    def __init__(self, parent: Node, index: int):
        self.op, self.edges, self.parent, self.index = parent.op, (), parent, index
        self.number = parent.number + (index + 1) / (len(parent.outputs) + 1)  # after the node, before the next

    def __eq__(self, other: object) -> bool:
        return type(other) is _Output and self.parent is other.parent and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.parent), self.index))


class Tensor:
    """An array and, where a gradient will be wanted, the node that computed it.

    A *leaf* is a Tensor made by :func:`tensor` with ``requires_grad=True``; a backward pass adds to its ``.grad``.
    """

    __slots__ = ("_data", "_leaf", "_version", "grad", "name", "node")
    __array_ufunc__ = None  # array * Tensor is Tensor.__rmul__, never an array of Tensors
    _data: Array
    grad: Tensor | None
    node: Node | None
    name: str | None

    def __init__(self, data: Array, node: Node | None = None):
        self._data = data
        self.node = node
        self._leaf = False
        self._version = None
        self.grad = None
        self.name = None

    # -- the array ------------------------------------------------------------------------------------------------
    @property
    def data(self) -> Array:
        """The array itself, not a copy. Assigning (also ``t.data -= step``) marks the old value as out of date."""
        return self._data

    @data.setter
    def data(self, array: Array) -> None:
        if not backend.is_array(array) or array.dtype != self._data.dtype:
            came = f"dtype {array.dtype}" if backend.is_array(array) else type(array).__name__
            raise DtypeError(f"data: expected an array of dtype {self._data.dtype}, got {came}; convert it first.")
        if array.shape != self._data.shape:
            raise ShapeError(f"data: expected shape {self._data.shape}, got {array.shape}; make a new tensor instead.")
        self._data = array
        self.mark_updated()

    def mark_updated(self) -> None:
        """Say that the array was changed in place: a backward pass that needs the old value will refuse."""
        if self._version is not None:
            self._version[0] += 1

    @property
    def requires_grad(self) -> bool:
        return self._leaf or self.node is not None

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    backend = property(lambda self: backend.backend_of(self._data))

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array: the same memory on the CPU, a copy from a device."""
        return backend.to_host(self._data)

    def item(self) -> float | int | bool:
        """The one value as a Python number (waits for the device)."""
        if self._data.size != 1:
            raise ShapeError(f"item: expected a tensor of one element, got shape {self.shape}; use .numpy().")
        return self._data.item()

    def detach(self) -> Tensor:
        """The same array with no history."""
        out = Tensor(self._data)
        out._version = self._version
        return out

    def to(self, name: str) -> Tensor:
        """A leaf or constant on another backend ("numpy", "numba", "cupy"); gradients do not flow through a copy."""
        if self.node is not None:
            raise GraphError("to: this tensor was computed by recorded operations; move its leaves, or detach() it.")
        out = Tensor(backend.to(self._data, name))
        out._leaf, out.name = self._leaf, self.name
        out._version = self._version if out._data is self._data else [0] if self._leaf else None
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if backend.name_of(self._data) == "cupy":
            raise BackendError("numpy: this tensor lies on a CUDA device; copy it with .numpy().")
        return np.array(self._data, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        if not self._data.shape:
            raise ShapeError("len: a tensor of shape () has no length.")
        return self._data.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        text = np.array2string(self.numpy(), precision=4, separator=", ", threshold=20, prefix="tensor(")
        end = f", op={self.node.op.name}" if self.node else ", requires_grad=True" if self._leaf else ""
        return f"tensor({text}, shape={self.shape}, {self.dtype}{end})"

    # -- gradients ------------------------------------------------------------------------------------------------
    def backward(self, gradient: Any = None, *, create_graph: bool = False) -> None:
        """Add ∂L/∂leaf to ``.grad`` of every leaf that this tensor was computed from, where L = Σ self ⊙ gradient.

        `gradient` (this tensor's shape) may be left out for a scalar, where it is 1. With `create_graph` the
        gradients are recorded computations. Errors: no history, a non-scalar without `gradient`, a graph that an
        earlier pass has freed, a value changed since the forward pass.
        """
        with _recorded() if create_graph else no_grad():
            for leaf, (g, owned) in _propagate([self], [gradient], None, create_graph).items():
                if leaf.grad is None:
                    leaf.grad = _own(g, owned)
                else:
                    leaf.grad = leaf.grad + g


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None, name: str | None = None) -> Tensor:
    """A Tensor from an array, a number or nested lists, on the current backend.

    Arrays keep their dtype and are not copied; Python floats become float32. With `requires_grad` it is a leaf (its
    dtype must be real floating point). `name` is used in messages.
    """
    if isinstance(data, Tensor):
        data = data._data
    out = Tensor(backend.asarray(data, dtype))
    out.name = name
    if requires_grad:
        if out._data.dtype.kind not in "fc":
            raise DtypeError(
                f"tensor: requires_grad needs a floating-point dtype, got {out._data.dtype}; pass dtype='float32'."
            )
        out._leaf, out._version = True, [0]
    return out


# -- operations -------------------------------------------------------------------------------------------------------


class Rule:
    """A gradient rule and where its arguments come from, worked out once from their names."""

    __slots__ = ("collect", "function", "reads", "sources")
    reads: frozenset[int] | None  # the inputs whose values it asks for; None: all of them

    def __init__(self, function: Callable, op: Primitive, joint: bool = False):
        self.function = function
        names = list(inspect.signature(function).parameters)
        if not names or names[0] != "g":
            raise TypeError(f"{op.name}: the first argument of a gradient rule must be g, got {names}")
        self.sources = [op.source(name, joint) for name in names[1:]]
        self.reads = frozenset(index for kind, index in self.sources if kind == "x")
        if ("X", 0) in self.sources:
            self.reads = None
        positions = [0 if kind == "y" else index + 1 for kind, index in self.sources if kind in "yx"]
        if len(positions) == len(self.sources) and not op.variadic:  # the usual case: only outputs and inputs
            if len(positions) > 1:
                pick = itemgetter(*positions)
                self.collect = lambda values, attributes: pick(values)
            elif positions:
                only = positions[0]
                self.collect = lambda values, attributes: (values[only],)
            else:
                self.collect = lambda values, attributes: ()
        else:
            self.collect = lambda values, attributes: tuple(op.fetch(s, values, attributes) for s in self.sources)


class Primitive:
    """A forward computation on arrays and its gradient rules.

    `inputs` are the names of what may need a gradient: an argument for each rule or, with a joint rule, all before a
    ``*``. `attributes` are the names of the other arguments.
    """

    def __init__(self, forward: Callable, rules: Sequence[Callable | None], joint: Callable | None,
                 composed: Callable | None, residual: bool):  # fmt: skip
        self.name = forward.__name__.strip("_")
        self.forward, self.composed, self.residual = forward, composed, residual
        parameters = list(inspect.signature(forward).parameters.values())
        self.variadic = parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        leading = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
        self.arity = arity = 0 if self.variadic else len(rules) or leading
        self.inputs = [p.name for p in parameters[:arity]] if not self.variadic else []
        self.many = parameters[0].name if self.variadic else None
        self.attributes = [p.name for p in parameters[arity:] if p.kind is not p.VAR_POSITIONAL]
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        if self.variadic and joint is None:
            raise TypeError(f"{self.name}: an operation on any number of inputs needs a joint rule")
        self.joint = Rule(joint, self, joint=True) if joint else None
        self.rules = [Rule(rule, self) if rule else None for rule in rules]
        if composed:
            asked = {name for kind, name in self.joint.sources if kind in "xa"}
            if asked != {*range(arity), *list(inspect.signature(composed).parameters)[arity:]}:
                raise TypeError(f"{self.name}: the joint rule must ask for what its composed twin takes: all inputs, "
                                "and the same other arguments")  # fmt: skip

    def source(self, name: str, joint: bool) -> tuple[str, Any]:
        """(kind, index or name) of a rule's argument: y output, x input, s its shape, r residual, n needs, a argument;
        X and S for all inputs of an operation that takes any number."""
        if name in ("y", "needs") and name in self.inputs:
            raise TypeError(f"{self.name}: in a rule {name!r} does not mean an input; name the input otherwise")
        if name == "y":
            return "y", 0
        if name == "r" and self.residual:
            return "r", 0
        if name == "needs" and joint:
            return "n", 0
        if self.variadic and name in (self.many, f"{self.many}_shape"):
            return ("X", 0) if name == self.many else ("S", 0)
        if name in self.inputs:
            return "x", self.inputs.index(name)
        if name.endswith("_shape") and name[:-6] in self.inputs:
            return "s", self.inputs.index(name[:-6])
        if name in self.attributes:
            return "a", name
        raise TypeError(f"{self.name}: a gradient rule asks for {name!r}, which is neither input nor argument")

    def fetch(self, source: tuple[str, Any], values: tuple, attributes: dict) -> Any:
        kind, index = source
        if kind == "x":
            return values[index + 1]
        if kind == "s":
            return getattr(values[index + 1], "shape", ())
        if kind == "a":
            return attributes[index] if index in attributes else self.defaults[index]
        if kind == "y":
            return values[0]
        if kind == "r":
            return values[-1]
        if kind == "n":
            return values[-1 - self.residual]
        inputs = values[1 : len(values) - self.residual - 1]
        return inputs if kind == "X" else tuple(map(xp.shape, inputs))

    def bind(self, inputs: tuple, attributes: dict) -> tuple[tuple, dict]:
        """Sort a call's arguments into inputs (by position) and attributes (by name)."""
        if not self.variadic:
            if len(inputs) > self.arity:
                extra = inputs[self.arity :]
                if len(extra) > len(self.attributes):
                    total = self.arity + len(self.attributes)
                    raise TypeError(f"{self.name}: expected at most {total} arguments, got {len(inputs)}")
                by_position = dict(zip(self.attributes, extra))
                if attributes and (twice := by_position.keys() & attributes.keys()):
                    raise TypeError(f"{self.name}: got argument {min(twice)!r} twice")
                attributes = by_position | attributes
                inputs = inputs[: self.arity]
            elif len(inputs) < self.arity or any(name in attributes for name in self.inputs):
                attributes = dict(attributes)
                rest = self.inputs[len(inputs) :]
                missing = [n for n in rest if n not in attributes and n not in self.defaults]
                if missing:
                    raise TypeError(f"{self.name}: missing argument {missing[0]!r}")
                inputs += tuple(attributes.pop(n) if n in attributes else self.defaults[n] for n in rest)
        return inputs, {k: self._constant(k, v) if isinstance(v, Tensor) else v for k, v in attributes.items()}

    def _constant(self, name: str, value: Tensor) -> Array:
        if value.requires_grad and _recording:
            raise GraphError(f"{self.name}: no gradient flows to its argument {name!r}; pass {name}.detach().")
        return value._data

    def explain(self, error: Exception, arrays: Sequence) -> MinigenError:
        """Turn an array library's complaint into one that names the operation and what came."""
        kinds = {backend.name_of(a) for a in arrays if backend.is_array(a)}
        came = ", ".join(f"{a.dtype}{list(a.shape)}" if backend.is_array(a) else repr(a) for a in arrays)
        if len(kinds) > 1:
            return BackendError(
                f"{self.name}: got arrays of both {' and '.join(sorted(kinds))} ({came}); move one with .to(...)."
            )
        kind = DtypeError if isinstance(error, TypeError) else ShapeError
        return kind(f"{self.name}: cannot be applied to ({came}): {' '.join(str(error).split()).rstrip('.')}.")


def primitive(*rules: Callable | None, joint: Callable | None = None, composed: Callable | None = None,
              residual: bool = False) -> Callable:  # fmt: skip
    """Make a differentiable operation of a forward computation on arrays.

    rules: one per input, in the order of the forward's leading arguments; None where there is no derivative.
    joint: instead of `rules`, one rule that returns the gradients of all inputs (it may ask for `needs`, a tuple of
        bools, and return None where nothing is needed). Everything after a ``*`` in the forward is no input.
    composed: the same function written with differentiable operations, used in place of a joint rule on arrays when
        the gradient is itself to be differentiated.
    residual: the forward returns (output, residual); rules ask for ``r``.

    Called with arrays only, the operation is just its forward.
    """

    def decorate(forward: Callable) -> Callable:
        op = Primitive(forward, rules, joint, composed, residual)
        arity, variadic = op.arity, op.variadic
        op_rules, op_joint = op.rules, op.joint

        def apply(*inputs, **attributes):
            if attributes or (len(inputs) != arity and not variadic):
                inputs, attributes = op.bind(inputs, attributes)
            arrays, tracked, watched, traced = [], [], None, False
            for i, a in enumerate(inputs):
                if isinstance(a, Tensor):
                    traced = True
                    arrays.append(a._data)
                    parent = a.node or (a if a._leaf else None)
                    if parent is not None:
                        tracked.append((i, parent))
                    if a._version is not None:
                        watched = [*(watched or ()), (i, a)]
                else:
                    arrays.append(a)
            try:
                y = forward(*arrays, **attributes)
            except MinigenError:
                raise
            except (ValueError, TypeError, IndexError) as error:
                raise op.explain(error, arrays) from error
            rest = ()
            if residual:
                y, *rest = y
            if not traced:
                return y
            if type(y) is tuple:
                return _several(op, y, arrays, rest, tracked, watched, attributes)
            out = Tensor(_array(y))
            if watched is not None:
                out._version = _shared_version(y, watched)
            if tracked and _recording:
                out.node = _record(op, out._data, arrays, rest, tracked, watched, attributes)
            return out

        def _record(op, y, arrays, rest, tracked, watched, attributes):
            node = Node()
            node.op = op
            node.number = next(_numbers)
            node.watched = watched and _watch(op, watched, tracked)
            if op_joint is None:
                values = (y, *arrays, *rest)
                node.edges = [
                    (parent, i, rule.collect(values, attributes), arrays[i].shape, arrays[i].dtype)
                    for i, parent in tracked
                    if (rule := op_rules[i]) is not None
                ]
                if not node.edges:
                    return None
            else:
                needs = [False] * len(arrays)
                for i, _ in tracked:
                    needs[i] = True
                values = (y, *arrays, tuple(needs), *rest)
                args = op_joint.collect(values, attributes)
                node.edges = [(parent, i, args, arrays[i].shape, arrays[i].dtype) for i, parent in tracked]
            return node

        def _several(op, ys, arrays, rest, tracked, watched, attributes):
            ys = tuple(map(_array, ys))
            outs = tuple(map(Tensor, ys))
            for out in outs:
                if watched is not None:
                    out._version = _shared_version(out._data, watched)
            if tracked and _recording and (node := _record(op, ys, arrays, rest, tracked, watched, attributes)):
                node.outputs = tuple((y.shape, y.dtype) for y in ys)
                for i, out in enumerate(outs):
                    if out._data.dtype.kind in "fc":
                        out.node = _Output(node, i)
            return outs

        for attribute in ("__name__", "__qualname__", "__doc__", "__module__", "__wrapped__"):
            setattr(apply, attribute, getattr(forward, attribute, forward))
        apply.primitive = op
        return apply

    return decorate


def _array(y: Any) -> Array:
    """NumPy returns numbers, not arrays, where a result has shape (): make them arrays."""
    return xp.asarray(y) if isinstance(y, np.generic) else y


def _shared_version(y: Array, watched: list) -> list | None:
    """A result in a leaf's memory, the leaf's array itself or a view, shares the leaf's version counter."""
    for _, a in watched:
        if y is a._data or (y.base is not None and (y.base is a._data or y.base is a._data.base)):
            return a._version
    return None


def _watch(op: Primitive, watched: list, tracked: list) -> list:
    """(input name, tensor name, counter, count) for the versioned inputs whose values a rule has kept."""
    if op.joint is not None:
        kept = op.joint.reads
    else:
        kept = set().union(*(op.rules[i].reads for i, _ in tracked if op.rules[i] is not None))
    return [
        (op.inputs[i] if not op.variadic else f"{op.many}[{i}]", a.name, a._version, a._version[0])
        for i, a in watched
        if kept is None or i in kept
    ]


@primitive(lambda g: g)
def _copy(x):
    """y = x, in memory and under a node of its own."""
    return x.copy()


# -- the backward pass ------------------------------------------------------------------------------------------------


def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor], grad_outputs: Any = None,
         create_graph: bool = False) -> Any:  # fmt: skip
    """∂L/∂input for each of `inputs`, where L = Σ_k Σ outputs_k ⊙ grad_outputs_k.

    `inputs` may be leaves or intermediate results; `.grad` is left alone, and only the paths that lead to them are
    computed. `grad_outputs` may be left out for scalar outputs. An input that the outputs do not depend on gets
    zeros. Returns one Tensor for one input, a list for a list. With `create_graph` the results can be differentiated
    again. Errors: as :meth:`Tensor.backward`, and an input that does not require a gradient.
    """
    single = isinstance(inputs, Tensor)
    wanted = [inputs] if single else list(inputs)
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    if isinstance(outputs, Tensor) or grad_outputs is None:
        cotangents = [grad_outputs] * len(outs)
    else:
        cotangents = list(grad_outputs)
    if len(cotangents) != len(outs):
        raise ShapeError(f"grad: expected {len(outs)} grad_outputs, one per output, got {len(cotangents)}.")
    keys = [t.node or t for t in wanted]
    for i, t in enumerate(wanted):
        if not t.requires_grad:
            raise GraphError(f"grad: input {i} does not require a gradient; make it with requires_grad=True.")
    found = _propagate(outs, cotangents, set(keys), create_graph)
    results, given = [], set()
    with _recorded() if create_graph else no_grad():
        for key, t in zip(keys, wanted, strict=True):
            g, owned = found[key] if key in found else (xp.zeros_like(t._data), True)
            results.append(_own(g, owned and key not in given))
            given.add(key)
    return results[0] if single else results


def _own(g: Any, owned: bool) -> Tensor:
    """A gradient as a Tensor that shares its memory with nothing else."""
    return _copy(g) if isinstance(g, Tensor) else Tensor(_array(g if owned else g.copy()))


def _propagate(outputs: list[Tensor], cotangents: list, wanted: set | None, create_graph: bool) -> dict:
    """The backward pass: walk the nodes from the latest to the earliest, each once, when its gradient is complete.

    Returns {leaf or wanted node: (gradient, whether this pass alone holds its array)}.
    """
    pending: dict[Any, Any] = {}  # node or leaf -> the sum of the gradients that have arrived
    owned: set = set()  # the keys whose sum is an array that this pass made, and may add into
    heap: list[tuple[int, Node]] = []
    found: dict[Any, Any] = {}

    for out, cotangent in zip(outputs, cotangents, strict=True):
        if not out.requires_grad:
            raise GraphError(
                "backward: this tensor has no history; compute it from leaves with requires_grad=True, "
                "outside no_grad and without detach()."
            )
        key, g = out.node or out, _cotangent(out, cotangent, create_graph)
        if key in pending:
            pending[key] = pending[key] + g
        else:
            pending[key] = g
            if key is out.node:
                heappush(heap, (-key.number, key))
    leads = None if wanted is None else _leading_to(wanted, [node for _, node in heap])
    useful = None if wanted is None else leads | wanted

    with _recorded() if create_graph else no_grad():
        while heap:
            node = heappop(heap)[1]
            g = pending.pop(node)
            if wanted is not None and node in wanted:
                found[node] = (g, node in owned)
                if node not in leads:
                    continue
            if type(node) is _Output:
                parent = node.parent
                if parent not in pending:
                    pending[parent] = [None] * len(parent.outputs)
                    heappush(heap, (-parent.number, parent))
                pending[parent][node.index] = g
                continue
            if node.edges is None:
                raise _freed(node)
            if node.watched:
                _check_versions(node)
            op = node.op
            if type(g) is list:
                g = _completed(g, node.outputs)
            arrivals = _joint_gradients(node, g, create_graph, useful) if op.joint is not None else None
            for parent, i, args, shape, dtype in node.edges:
                if useful is not None and parent not in useful:
                    continue
                if arrivals is not None:
                    r = arrivals[i]
                    if r is None:
                        continue
                elif create_graph:
                    r = op.rules[i].function(g, *_rewrapped(node, op.rules[i].sources, args))
                else:
                    r = op.rules[i].function(g, *args)
                if r.shape != shape:
                    r = _unbroadcast(r, shape, op)
                if r.dtype is not dtype and r.dtype != dtype:
                    r = r.astype(dtype)
                held = pending.get(parent)
                if held is None:
                    pending[parent] = r
                    if isinstance(parent, Tensor):
                        if not create_graph and _is_fresh(r, g, args, arrivals or ()):
                            owned.add(parent)
                    else:
                        heappush(heap, (-parent.number, parent))
                elif create_graph:
                    pending[parent] = held + r
                elif parent in owned and backend.is_array(held):  # NumPy makes a number of what has no axes
                    kernels.add_to(held, r)
                else:
                    pending[parent] = kernels.add(held, r)
                    owned.add(parent)
            if not create_graph:
                node.edges = None
    for leaf, g in pending.items():
        if wanted is None or leaf in wanted:
            found[leaf] = (g, leaf in owned)
    return found


def _joint_gradients(node: Node, g: Any, create_graph: bool, useful: set | None = None) -> Any:
    """The gradients of a node's inputs, by index, from its joint rule or composed twin: at least the useful ones."""
    op, args = node.op, node.edges[0][2]
    needed = [i for parent, i, *_ in node.edges if useful is None or parent in useful]
    if ("n", 0) in op.joint.sources:
        k = op.joint.sources.index(("n", 0))
        args = (*args[:k], tuple(i in needed for i in range(len(args[k]))), *args[k + 1 :])
    if not create_graph:
        return op.joint.function(g, *args)
    args = _rewrapped(node, op.joint.sources, args)
    if op.composed is None:
        return op.joint.function(g, *args)
    kept = dict(zip(op.joint.sources, args, strict=True))
    inputs = [kept["x", i] for i in range(op.arity)]
    for i in needed:
        inputs[i] = _copy(inputs[i])  # so that ∂/∂xᵢ stops here, also where one input was computed from another
    outputs = op.composed(*inputs, **{name: value for (kind, name), value in kept.items() if kind == "a"})
    return dict(zip(needed, grad(outputs, [inputs[i] for i in needed], g, create_graph=True), strict=True))


def _rewrapped(node: Node, sources: list, args: tuple) -> list:
    """A rule's arguments, each output and input as the Tensor that it was, on the same node."""
    parents = {i: parent for parent, i, *_ in node.edges}

    def output(k: int, value: Array) -> Any:
        return Tensor(value, _Output(node, k)) if value.dtype.kind in "fc" else value

    def input(i: int, value: Any) -> Any:
        parent = parents.get(i)
        return value if parent is None else parent if isinstance(parent, Tensor) else Tensor(value, parent)

    def rewrap(source: tuple, value: Any) -> Any:
        kind, index = source
        if kind == "y":
            return tuple(map(output, count(), value)) if type(value) is tuple else Tensor(value, node)
        if kind == "x":
            return input(index, value)
        return tuple(map(input, count(), value)) if kind == "X" else value

    return [rewrap(source, value) for source, value in zip(sources, args, strict=True)]


def _completed(gs: list, outputs: tuple) -> tuple:
    """The gradients of all outputs of an operation: zeros where none has arrived."""
    like = next(g for g in gs if g is not None)
    like = _array(like._data if isinstance(like, Tensor) else like)
    return tuple(xp.zeros(*out, like=like) if g is None else g for g, out in zip(gs, outputs, strict=True))


def _is_fresh(r: Array, g: Any, args: tuple, arrivals: Sequence) -> bool:
    """Did the rule make this array itself, and for one input alone? Then it may become a gradient without a copy."""
    if r.base is not None or any(r is a or (type(a) is tuple and any(r is b for b in a)) for a in (g, *args)):
        return False
    twice = [a is r or a.base is r for a in arrivals if a is not None]
    return twice.count(True) < 2


def _cotangent(out: Tensor, cotangent: Any, create_graph: bool) -> Any:
    """∂L/∂out to start from, checked: a Tensor with `create_graph`, else an array."""
    if cotangent is None:
        if out._data.size != 1:
            raise GraphError(
                f"backward: expected a scalar, got shape {out.shape}; reduce it with sum() or mean(), "
                "or pass a gradient of that shape."
            )
        cotangent = Tensor(xp.ones_like(out._data))
    elif not isinstance(cotangent, Tensor):
        cotangent = tensor(cotangent)
    if cotangent.shape != out.shape:
        raise ShapeError(f"backward: the gradient must have the output's shape {out.shape}, got {cotangent.shape}.")
    if backend.name_of(cotangent._data) != backend.name_of(out._data):
        raise BackendError("backward: the gradient and the output lie on different devices; move one with .to(...).")
    g = cotangent if create_graph else cotangent._data
    return g if g.dtype == out.dtype else g.astype(out.dtype)


def _parents(node: Node) -> list:
    if type(node) is _Output:
        return [node.parent]
    if node.edges is None:
        raise _freed(node)
    return [edge[0] for edge in node.edges]


def _leading_to(wanted: set, roots: list[Node]) -> set:
    """The nodes, at or before the roots, that have something wanted before them."""
    seen, stack = set(roots), list(roots)
    while stack:
        for parent in _parents(stack.pop()):
            if not isinstance(parent, Tensor) and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    leads: set = set()
    for node in sorted(seen, key=lambda node: node.number):
        if any(parent in leads or parent in wanted for parent in _parents(node)):
            leads.add(node)
    return leads


def _unbroadcast(r: Any, shape: tuple, op: Primitive) -> Any:
    """Sum `r` over the axes along which an input of this shape was repeated."""
    extra = r.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, r.shape[extra:], strict=True)):
        raise ShapeError(f"{op.name}: its gradient rule gave shape {r.shape} for an input of shape {shape}.")
    repeated = tuple(i for i, n in enumerate(shape, extra) if n == 1 and r.shape[i] != 1)
    axes = (*range(extra), *repeated)
    total = r.sum(axis=axes) if isinstance(r, Tensor) else kernels.sums(r, axes)
    return total.reshape(shape)


def _freed(node: Node) -> GraphError:
    return GraphError(
        f"backward: the graph at {node.op.name!r} was freed by an earlier backward pass; compute the output again, "
        "or let the earlier pass keep it with create_graph=True."
    )


def _check_versions(node: Node) -> None:
    for argument, name, version, number in node.watched:
        if version[0] != number:
            raise GraphError(
                f"backward: {node.op.name!r} needs the value that its argument {argument!r} ({name or 'a leaf'}) had "
                "in the forward pass, but it was updated in place since; call backward before the update."
            )
