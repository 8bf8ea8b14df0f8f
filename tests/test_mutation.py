"""Does the gradient check notice a wrong rule? Every rule of every primitive is damaged in five ways; all are caught.

A rule is damaged where it is used: in the forward graph of a sample (caught by the first-order check), or, for an
operation that only other rules use, in the graph of a gradient (caught by the second-order check).
"""

import importlib
import pkgutil
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest

from minigen import backend, ops
from minigen.errors import GradientError
from minigen.gradcheck import gradcheck, gradgradcheck
from minigen.ops import normalization
from minigen.tensor import Primitive, Tensor, grad, tensor
from tests.opspec import OpSpec, Sample
from tests.test_ops import DIFFERENTIABLE, LIMIT, arrays, calls, cotangents

# The records of astype change the dtype, where differences say nothing about the rule; from float64 to float64 they do.
SAME_DTYPE = OpSpec(
    "astype", lambda x: ops.astype(x, "float64"), np.array, lambda rng: [Sample((rng.standard_normal((2, 3)),))]
)
# In one process the mean over the processes is what it was; tests/test_distributed.py has several.
OVER_PROCESSES = OpSpec(
    "over_processes", normalization._over_processes, np.array, lambda rng: [Sample((rng.standard_normal((2, 3)),))]
)


def rolled(r):
    """Each element where its neighbour belongs, along the longest axis."""
    return np.roll(r, 1, axis=int(np.argmax(r.shape))) if r.ndim else 2 * r


def one_dropped(r):
    """The largest element lost."""
    r = np.array(r)
    if r.size:
        r[np.unravel_index(np.argmax(np.abs(r)), r.shape)] = 0
    return r


DAMAGES = {
    "zero": lambda r: 0 * r,
    "negated": lambda r: -r,
    "one percent more": lambda r: 1.01 * r,
    "rolled": rolled,
    "one element dropped": one_dropped,
}


@contextmanager
def damaged(op: Primitive, i: int, damage):
    """`op` with the gradient of its input i damaged."""

    def hurt(r):
        return r if r is None else 1.5 * r if isinstance(r, Tensor) else damage(r)

    rule = op.joint or op.rules[i]
    right = rule.function
    if op.joint:
        rule.function = lambda *args: [hurt(r) if k == i else r for k, r in enumerate(right(*args))]
    else:
        rule.function = lambda *args: hurt(right(*args))
    try:
        yield
    finally:
        rule.function = right


def rules_in_graph(tensors):
    """{(primitive, input)} of every rule that a backward pass from these tensors uses."""
    found, seen, stack = set(), set(), [t.node for t in tensors if t.node is not None]
    while stack:
        node = getattr(stack[-1], "parent", stack[-1])
        stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for parent, i, *_ in node.edges:
            found.add((node.op, i))
            if not isinstance(parent, Tensor):
                stack.append(parent)
    return found


@cache
def uses():
    """{rule: [(order of the check, spec, call)]}: the samples that use it, those of the first order first."""
    found = {}
    with backend.use("numpy"):
        for spec in [*DIFFERENTIABLE, SAME_DTYPE, OVER_PROCESSES]:
            for call in calls(spec):
                leaves = arrays(call)
                ys = [y for y in call.outputs(*leaves) if isinstance(y, Tensor) and y.requires_grad]
                first = rules_in_graph(ys)
                for rule in first:
                    found.setdefault(rule, []).append((1, spec, call))
                if spec.second_order and ys:
                    gs = [tensor(g, requires_grad=True) for g in cotangents(ys)]
                    for rule in rules_in_graph(grad(ys, leaves, gs, create_graph=True)) - first:
                        found.setdefault(rule, []).append((2, spec, call))
    size = lambda call: sum(x.size for x in call.xs)
    for samples in found.values():
        samples.sort(key=lambda s: (s[0], size(s[2]) < 2, size(s[2])))
    return found


def is_caught(rule, damage):
    """Does the check of some sample notice?"""
    with damaged(*rule, damage), np.errstate(all="ignore"):
        for order, _, call in uses()[rule]:
            try:
                (gradcheck if order == 1 else gradgradcheck)(call, call.xs, limit=LIMIT)
            except GradientError:
                return True
    return False


def primitives():
    """Every primitive of the families, private ones too, that has a rule."""
    found = {}
    for info in pkgutil.iter_modules(ops.__path__):
        for value in vars(importlib.import_module(f"minigen.ops.{info.name}")).values():
            op = getattr(value, "primitive", None)
            if op is not None and (op.joint or any(op.rules)):
                found[id(op)] = op
    return list(found.values())


@pytest.mark.parametrize("op", primitives(), ids=lambda op: op.name)
def test_a_damaged_rule_is_caught(op):
    with backend.use("numpy"):
        mine = [rule for rule in uses() if rule[0] is op]
        wanted = {i for i, rule in enumerate(op.rules) if rule is not None}
        assert mine and wanted <= {i for _, i in mine}, f"no sample uses the rules of {op.name}"
        survivors = [(f"input {i}", name) for _, i in mine for name in DAMAGES if not is_caught((op, i), DAMAGES[name])]
    assert not survivors, f"{op.name}: the check does not notice {survivors}"


def test_the_number_of_mutants(record_property):
    """Three ways at least for each rule; the number is printed with -s and recorded in the report."""
    rules = [rule for rule in uses() if any(rule[0] is op for op in primitives())]
    mutants = len(rules) * len(DAMAGES)
    record_property("mutants", mutants)
    print(f"{len(rules)} rules of {len(primitives())} primitives, {mutants} mutants")
    assert len(DAMAGES) >= 3 and len(rules) >= len(primitives())


def test_a_right_rule_passes():
    """The check is not merely strict: undamaged rules pass where the damaged ones fail."""
    with backend.use("numpy"):
        for (op, _), samples in list(uses().items())[:20]:
            order, _, call = samples[0]
            assert op.name
            (gradcheck if order == 1 else gradgradcheck)(call, call.xs, limit=LIMIT)


def test_ones_would_miss_what_random_cotangents_catch():
    """With g = 1 the gradient of Σ softmax is 0, and a rule that returns zeros is right; with a random g it is not."""
    x = np.random.default_rng(0).standard_normal((2, 3))
    with damaged(ops.softmax.primitive, 0, DAMAGES["zero"]):
        gradcheck(lambda x: ops.sum(ops.softmax(x)), x)
        with pytest.raises(GradientError, match="analytic gradient is zero"):
            gradcheck(ops.softmax, x)
