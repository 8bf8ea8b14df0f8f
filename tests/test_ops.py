"""The same questions to every operation: value, gradients, dtype, memory, errors. tests/ops holds the records."""

import copy
import importlib
import inspect
import pkgutil
import warnings
from functools import cache

import numpy as np
import pytest

import tests.ops
from minigen import backend, kernels, ops
from minigen.gradcheck import gradcheck, gradgradcheck
from minigen.tensor import Tensor, grad, no_grad, primitive, tensor

LIMIT = 24  # inputs with more elements are checked along random directions


def load_specs():
    """The records of all families, in the order of their files."""
    specs = []
    for module in sorted(m.name for m in pkgutil.iter_modules(tests.ops.__path__)):
        specs += importlib.import_module(f"tests.ops.{module}").SPECS
    return specs


SPECS = load_specs()
DIFFERENTIABLE = [spec for spec in SPECS if spec.differentiable]
every_op = pytest.mark.parametrize("spec", SPECS, ids=str)
differentiable_op = pytest.mark.parametrize("spec", DIFFERENTIABLE, ids=str)


# -- a call and its arguments -----------------------------------------------------------------------------------------


def convert(value, array):
    """`value` with each NumPy array in it replaced by array(a); generators are copied, so that calls are repeatable."""
    if isinstance(value, np.ndarray | np.generic):
        return array(np.asarray(value))
    if isinstance(value, list | tuple):
        return type(value)(convert(v, array) for v in value)
    return copy.deepcopy(value)


class Call:
    """One sample of an operation, with the arrays that have a gradient set apart.

    `xs` are these arrays in order (all floating-point arrays, where nothing is differentiable); `self(*xs)` makes the
    call with others in their place.
    """

    def __init__(self, spec, sample, dtype=np.float64):
        self.op = spec.op
        cast = lambda a: a.astype(dtype) if a.dtype == np.float64 and dtype != np.float64 else a
        self.args, self.kwargs = convert(sample.args, cast), {k: convert(v, cast) for k, v in sample.kwargs.items()}
        self.xs = []
        keep = lambda a: self.xs.append(a) if a.dtype.kind == "f" else None
        self.positions = set(spec.differentiable or range(len(self.args))) & set(range(len(self.args)))
        for i in sorted(self.positions):
            convert(self.args[i], keep)

    def __call__(self, *xs, constant=lambda a: backend.asarray(a)):
        rest = iter(xs)
        put = lambda a: next(rest) if a.dtype.kind == "f" else constant(a)
        args = [convert(a, put if i in self.positions else constant) for i, a in enumerate(self.args)]
        return self.op(*args, **{k: convert(v, constant) for k, v in self.kwargs.items()})

    def outputs(self, *xs):
        ys = self(*xs)
        return list(ys) if isinstance(ys, list | tuple) else [ys]


def calls(spec, dtype=np.float64):
    return [Call(spec, sample, dtype) for sample in samples(spec)]


def samples(spec):
    found = spec.samples(np.random.default_rng(sum(map(ord, spec.name))))
    assert found, f"{spec.name} has no samples"
    return found


def host(y):
    """The values of a Tensor, an array or a number as a NumPy array."""
    return y.numpy() if isinstance(y, Tensor) else backend.to_host(y) if backend.is_array(y) else np.asarray(y)


def as_list(ys):
    return list(ys) if isinstance(ys, list | tuple) else [ys]


def arrays(call):
    """The differentiable inputs as fresh leaves with the memory layout of the sample."""
    return [tensor(like(x), requires_grad=True) for x in call.xs]


def like(x):
    """A copy of `x` with the same strides (also negative ones), on the current backend."""
    if backend.current() == "cupy" or x.base is None:
        return backend.asarray(x.copy(order="K"))
    owner = x.base if isinstance(x.base, np.ndarray) else x
    if owner is x or owner.dtype != x.dtype:
        return backend.asarray(x.copy(order="K"))
    memory = owner.copy(order="K")
    offset = x.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    if memory.strides != owner.strides or not 0 <= offset < max(owner.nbytes, 1):
        return backend.asarray(x.copy(order="K"))
    return np.ndarray(x.shape, x.dtype, memory, offset, x.strides)


def close(ours, theirs, rtol, atol):
    """Shapes and values agree, to a tolerance relative to the largest value."""
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    if theirs.dtype.kind in "fc" and theirs.size:
        finite = theirs[np.isfinite(theirs)]
        atol = atol * max(1.0, np.abs(finite).max(initial=0.0))
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def cotangents(ys, seed=1):
    """A random cotangent for each output that can have one."""
    rng = np.random.default_rng(seed)
    return [backend.asarray(rng.standard_normal(y.shape).astype(y.dtype)) for y in ys]


def differentiated(call):
    """Leaves, the outputs that depend on them, and a cotangent for each of these."""
    leaves = arrays(call)
    ys = [y for y in call.outputs(*leaves) if isinstance(y, Tensor) and y.requires_grad]
    return leaves, ys, cotangents(ys)


def memory(a):
    """The bytes that an array spans: (device or host, first, last)."""
    if isinstance(a, Tensor):
        a = a.data
    if a.size == 0:
        return ("none", 0, 0)
    if backend.name_of(a) == "numpy":
        return ("numpy", *np.lib.array_utils.byte_bounds(a))
    reach = [(n - 1) * s for n, s in zip(a.shape, a.strides)]
    first = a.data.ptr + sum(r for r in reach if r < 0)
    return ("cupy", first, a.data.ptr + sum(r for r in reach if r > 0) + a.itemsize)


def overlap(a, b):
    (where, first, last), (there, start, end) = memory(a), memory(b)
    return where == there and first < end and start < last


@cache
def uses_kernels(name):
    """Does this operation, forward or backward, call a kernel that may have a compiled twin?"""
    spec = next(spec for spec in SPECS if spec.name == name)
    called, twin = [], kernels.twin
    kernels.twin = lambda *key: called.append(key) or twin(*key)
    try:
        with backend.use("numpy"):
            for call in calls(spec):
                leaves, ys, gs = differentiated(call)
                if ys:
                    grad(ys, leaves, gs, create_graph=True)
                if called:
                    return True
    finally:
        kernels.twin = twin
    return False


def skip_repetition(spec, backend_name):
    """NumPy and Numba differ in their kernels alone; the long tests of an operation without any run once."""
    if backend_name == "numba" and not uses_kernels(spec.name):
        pytest.skip("calls no kernel: the same on numba as on numpy")


# -- the questions ----------------------------------------------------------------------------------------------------


@every_op
def test_forward_agrees_with_the_reference(spec, backend_name):
    for sample, call in zip(samples(spec), calls(spec), strict=True):
        expected = as_list(spec.reference(*convert(sample.args, np.copy), **copy.deepcopy(sample.kwargs)))
        ours = call.outputs(*arrays(call))
        assert len(ours) == len(expected)
        for y, e in zip(ours, expected, strict=True):
            close(host(y), e, rtol=1e-10, atol=1e-12)
            if np.asarray(e).dtype == np.float64:
                assert y.dtype == np.float64


@every_op
def test_float32_stays_float32(spec, backend_name):
    for sample, call in zip(samples(spec), calls(spec, np.float32), strict=True):
        rounded = Call(spec, sample, np.float32)
        wide = lambda a: a.astype(np.float64) if a.dtype == np.float32 else a.copy()
        args, kwargs = convert(rounded.args, wide), {k: convert(v, wide) for k, v in rounded.kwargs.items()}
        expected = as_list(spec.reference(*args, **kwargs))
        leaves = arrays(call)
        ours = call.outputs(*leaves)
        for y, e in zip(ours, expected, strict=True):
            assert y.dtype != np.float64, f"{spec.name}: float32 in, float64 out"
            close(host(y).astype(np.asarray(e).dtype), e, rtol=2e-4, atol=2e-5)
        ys = [y for y in ours if isinstance(y, Tensor) and y.requires_grad]
        if ys:
            for g in grad(ys, leaves, cotangents(ys)):
                assert g.dtype == np.float32, f"{spec.name}: the gradient of a float32 input is {g.dtype}"


@every_op
def test_arrays_in_arrays_out(spec, backend_name):
    """Given no Tensor an operation is plain array code with the same values."""
    for call in calls(spec):
        plain = call.outputs(*[backend.asarray(x) for x in call.xs])
        traced = call.outputs(*[tensor(x) for x in call.xs])
        for a, t in zip(plain, traced, strict=True):
            assert not isinstance(a, Tensor)
            assert not backend.is_array(a) or backend.name_of(a) == ("cupy" if backend_name == "cupy" else "numpy")
            np.testing.assert_array_equal(host(a), host(t))
            assert a.dtype == t.dtype


@differentiable_op
def test_gradient(spec, backend_name):
    skip_repetition(spec, backend_name)
    for call in calls(spec):
        gradcheck(call, call.xs, limit=LIMIT)
        if spec.complex_step and backend_name == "numpy":  # CuPy has not all functions of complex numbers
            gradcheck(call, call.xs, limit=LIMIT, method="complex", rtol=1e-10, atol=1e-10)


@differentiable_op
def test_gradient_of_the_gradient(spec, backend_name):
    skip_repetition(spec, backend_name)
    if not spec.second_order:
        pytest.skip("no second derivative")
    for call in calls(spec):
        gradgradcheck(call, call.xs, limit=4, directions=4)


@differentiable_op
def test_with_create_graph_the_gradient_is_the_same(spec, backend_name):
    for call in calls(spec):
        leaves, ys, gs = differentiated(call)
        if ys:
            plain = grad(ys, leaves, gs)
            leaves, ys, gs = differentiated(call)
            recorded = grad(ys, leaves, gs, create_graph=True)
            for p, r in zip(plain, recorded, strict=True):
                close(p.numpy(), r.numpy(), rtol=1e-10, atol=1e-11)


@every_op
def test_inputs_are_not_changed(spec, backend_name):
    for call in calls(spec):
        leaves = arrays(call)
        before = [leaf.numpy().copy() for leaf in leaves]
        constants = []

        def constant(a, constants=constants):
            a = backend.asarray(a.copy())
            constants.append((a, backend.to_host(a).copy()))
            return a

        ys = [y for y in as_list(call(*leaves, constant=constant)) if isinstance(y, Tensor) and y.requires_grad]
        gs = cotangents(ys)
        kept = [host(g).copy() for g in gs]
        values = [y.numpy().copy() for y in ys]
        if ys:
            grad(ys, leaves, gs)
        for leaf, b in zip(leaves, before, strict=True):
            np.testing.assert_array_equal(leaf.numpy(), b)
        for a, b in constants:
            np.testing.assert_array_equal(backend.to_host(a), b)
        for g, k, y, v in zip(gs, kept, ys, values, strict=True):
            np.testing.assert_array_equal(host(g), k)
            np.testing.assert_array_equal(y.numpy(), v)


@differentiable_op
@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "create_graph"])
def test_gradients_share_no_memory(spec, create_graph, backend_name):
    """Neither with each other, nor with inputs, outputs or cotangents; by grad() and by backward()."""
    for call in calls(spec):
        for method in ("grad", "backward"):
            leaves, ys, gs = differentiated(call)
            if not ys:
                continue
            if method == "grad":
                found = grad(ys, leaves, gs, create_graph=create_graph)
            else:
                if len(ys) > 1:
                    continue
                ys[0].backward(gs[0], create_graph=create_graph)
                found = [leaf.grad for leaf in leaves if leaf.grad is not None]
            for i, g in enumerate(found):
                others = [*found[:i], *leaves, *ys, *gs]
                assert not any(overlap(g, other) for other in others), f"{spec.name}: gradient {i} shares memory"


@every_op
def test_no_grad_records_nothing(spec, backend_name):
    for call in calls(spec)[:3]:
        with no_grad():
            for y in call.outputs(*arrays(call)):
                assert not isinstance(y, Tensor) or not y.requires_grad


@every_op
def test_a_bad_call_says_what_is_wrong(spec, backend_name):
    assert spec.bad, f"{spec.name}: no bad call on record"
    for bad in spec.bad:
        if bad.host_only and backend_name == "cupy":
            continue
        for make in (tensor, backend.asarray):
            with pytest.raises(bad.error, match=bad.match) as caught:
                spec.op(*convert(bad.args, make), **{k: convert(v, backend.asarray) for k, v in bad.kwargs.items()})
            assert spec.op.__name__.strip("_") in str(caught.value), f"the message does not name {spec.name}"


# -- PyTorch, which knows most of them --------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.torch], ids=str)
def test_torch_agrees(spec, backend_name):
    """Value, gradient, and gradient of the gradient."""
    skip_repetition(spec, backend_name)
    torch = pytest.importorskip("torch")
    to_torch = lambda a: torch.from_numpy(np.array(a, order="C"))
    for call in calls(spec):
        theirs = [to_torch(x).requires_grad_() for x in call.xs]
        queue = theirs[::-1]
        put = lambda a, queue=queue: queue.pop() if a.dtype.kind == "f" else to_torch(a)
        args = [convert(a, put if i in call.positions else to_torch) for i, a in enumerate(call.args)]
        their_ys = as_list(spec.torch(*args, **{k: convert(v, to_torch) for k, v in call.kwargs.items()}))
        leaves = arrays(call)
        our_ys = call.outputs(*leaves)
        for y, t in zip(our_ys, their_ys, strict=True):
            close(host(y), t.detach().numpy(), rtol=1e-9, atol=1e-11)
        pairs = [(y, t) for y, t in zip(our_ys, their_ys) if t.requires_grad and y.requires_grad]
        if not pairs:
            continue
        our_ys, their_ys = zip(*pairs)
        gs = cotangents(our_ys)
        their_gs = [to_torch(host(g)).requires_grad_() for g in gs]
        our_gs = [tensor(g, requires_grad=True) for g in gs]
        options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
        first_theirs = torch.autograd.grad(their_ys, theirs, their_gs, **options)
        first = grad(our_ys, leaves, our_gs, create_graph=True)
        compare(first, first_theirs)
        if not spec.second_order:
            continue
        pairs = [(a, t) for a, t in zip(first, first_theirs) if t.requires_grad and a.requires_grad]
        if pairs:
            first, first_theirs = zip(*pairs)
            hs = cotangents(first, seed=2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                second_theirs = torch.autograd.grad(
                    first_theirs, [*theirs, *their_gs], [to_torch(host(h)) for h in hs], **options
                )
            compare(grad(first, [*leaves, *our_gs], hs), second_theirs)


def compare(ours, theirs):
    for a, t in zip(ours, theirs, strict=True):
        close(a.numpy(), t.detach().numpy(force=True), rtol=1e-7, atol=1e-9)


# -- nothing is left out ----------------------------------------------------------------------------------------------

# Public names of the families that need no record of their own, each with the reason.
EXCEPTIONS: dict[str, str] = {}


def public_operations():
    """{name: function} of every operation and public function that the families define."""
    found = {}
    for info in pkgutil.iter_modules(ops.__path__):
        module = importlib.import_module(f"minigen.ops.{info.name}")
        for name, value in vars(module).items():
            if name.startswith("_") or not callable(value) or inspect.isclass(value):
                continue
            if getattr(value, "__module__", None) == module.__name__:
                found[name] = value
    return found


def test_every_operation_has_a_record():
    recorded = {id(spec.op) for spec in SPECS}
    missing = [n for n, op in public_operations().items() if id(op) not in recorded and n not in EXCEPTIONS]
    assert not missing, f"operations without a record in tests/ops: {', '.join(missing)}"


def test_exceptions_exist_and_have_no_record():
    public, recorded = public_operations(), {id(spec.op) for spec in SPECS}
    for name in EXCEPTIONS:
        assert name in public and id(public[name]) not in recorded


def test_records_have_distinct_names():
    names = [spec.name for spec in SPECS]
    assert len(set(names)) == len(names)


def test_an_operation_without_a_record_is_noticed(monkeypatch):
    @primitive(lambda g: g)
    def forgotten(x):
        return x

    forgotten.__module__ = "minigen.ops.elementwise"
    monkeypatch.setattr(ops.elementwise, "forgotten", forgotten, raising=False)
    with pytest.raises(AssertionError, match="forgotten"):
        test_every_operation_has_a_record()
