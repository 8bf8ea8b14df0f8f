"""The engine: what is recorded, what a backward pass computes, what it refuses, what it frees."""

import gc
import math
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

from minigen import ops
from minigen.errors import BackendError, DtypeError, GraphError, ShapeError
from minigen.gradcheck import gradcheck, gradgradcheck
from minigen.tensor import Node, Tensor, grad, no_grad, primitive, tensor


def leaf(data, name=None, dtype="float64"):
    return tensor(np.array(data, dtype), requires_grad=True, name=name)


@pytest.fixture
def quiet_gc():
    """The garbage collector off and its debt paid, so that what is freed is freed by counting references."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def live_nodes():
    return sum(isinstance(o, Node) for o in gc.get_objects())


# -- operations written for these tests -------------------------------------------------------------------------------


@primitive(lambda g, y: (g[0] + g[1] * y[0]) * y[0])
def exp_and_half_square(x):
    """y₀ = eˣ, y₁ = e²ˣ / 2: two outputs, and a rule that asks for both gradients and an output"""
    y = np.exp(x)
    return y, 0.5 * y * y


@primitive(joint=lambda g, x, w, needs: (g * w if needs[0] else None, g * x if needs[1] else None))
def joint_product(x, w):
    return x * w


@primitive(
    joint=lambda g, x, w, power, r: (g * r[0], g * r[1]),
    composed=lambda x, w, *, power: x**power * w,
    residual=True,
)
def fused_power(x, w, *, power=2):
    """y = xᵖ w, with both slopes computed in the forward pass: a joint rule on arrays, a composed twin"""
    return x**power * w, (power * x ** (power - 1) * w, x**power)


@primitive(lambda g, r: g * r, residual=True)
def masked(x):
    mask = (x > 0).astype(x.dtype)
    return x * mask, mask


@primitive(joint=lambda g, xs: [g * 2 * x for x in xs])
def sum_of_squares(*xs):
    return sum(x * x for x in xs)


@primitive(joint=lambda g, xs_shape: (1 * g,) * len(xs_shape))
def sum_of_all(*xs):
    return sum(xs)


# -- values of gradients -----------------------------------------------------------------------------------------------


def test_a_diamond_sums_over_its_paths():
    x = leaf([1.0, 2.0])
    a = x * 3.0
    y = a * a + ops.exp(a)  # a is used three times, x once
    y.backward(np.ones(2))
    np.testing.assert_allclose(x.grad.numpy(), 3 * (2 * 3 * x.data + np.exp(3 * x.data)))


def test_one_input_used_twice_by_one_operation():
    x = leaf([2.0, -1.0])
    (x * x).backward(np.ones(2))
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.data)
    x = leaf([2.0, -1.0])
    joint_product(x, x).backward(np.ones(2))
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.data)


def test_a_deep_ladder_of_diamonds():
    """x doubles 40 times: 2⁴⁰ paths, walked once each node."""
    x = leaf(1.0)
    y = x
    for _ in range(40):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**40


def test_gradients_accumulate_on_leaves_only():
    x = leaf(3.0)
    a = x * 2.0
    for times in (1, 2, 3):
        a = x * 2.0
        b = a * a
        b.backward()
        assert x.grad.item() == times * 8 * 3.0
    assert a.grad is None and b.grad is None
    assert not x.grad.requires_grad


def test_accumulation_leaves_earlier_gradients_alone():
    x = leaf([1.0, 2.0])
    (x * 2.0).backward(np.ones(2))
    first = x.grad
    kept = first.data
    (x * 5.0).backward(np.ones(2))
    np.testing.assert_array_equal(kept, [2.0, 2.0])
    np.testing.assert_array_equal(x.grad.numpy(), [7.0, 7.0])


def test_broadcast_axes_are_summed_and_shapes_kept():
    for shape in [(), (1,), (3,), (2, 1), (1, 3), (2, 3)]:
        x, w = leaf(np.ones(shape)), leaf(np.ones((2, 3)))
        (x * w).backward(np.arange(6.0).reshape(2, 3))
        assert x.grad.shape == shape and x.grad.data.sum() == 15


def test_gradients_have_the_dtype_of_their_input():
    a, b = leaf([1.0, 2.0], dtype="float32"), leaf([3.0, 4.0])
    for create_graph in (False, True):
        for cotangent in (np.ones(2, np.float32), np.ones(2), [1, 1]):
            y = a * b
            assert y.dtype == np.float64
            ga, gb = grad(y, [a, b], cotangent, create_graph=create_graph)
            assert ga.dtype == np.float32 and gb.dtype == np.float64


def test_outputs_cotangents_and_inputs_in_lists():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 5.0])
    y, z = x * w, ops.exp(x)
    gx, gw = grad([y, z, y], [x, w], [np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.ones(2)])
    np.testing.assert_allclose(gx.numpy(), w.data * [2, 1] + np.exp(x.data) * [0, 1])
    np.testing.assert_allclose(gw.numpy(), x.data * [2, 1])
    assert isinstance(grad(ops.sum(x * w), x), Tensor)
    assert isinstance(grad(ops.sum(x * w), [x]), list)


def test_grad_leaves_grad_alone():
    x = leaf(2.0)
    grad(x * x, x)
    assert x.grad is None


def test_a_leaf_is_its_own_gradient_s_input():
    x = leaf([1.0, 2.0])
    g = np.array([3.0, 4.0])
    for create_graph in (False, True):
        found = grad(x, x, g, create_graph=create_graph)
        np.testing.assert_array_equal(found.numpy(), g)
        assert not np.shares_memory(found.data, g)
    x.backward(g)
    assert not np.shares_memory(x.grad.data, g)


def test_interior_inputs():
    x = leaf(0.5)
    a = ops.sin(x)
    b = ops.exp(a)
    y = a * b
    gx, ga, gb = grad(y, [x, a, b])
    s, e = math.sin(0.5), math.exp(math.sin(0.5))
    assert gb.item() == pytest.approx(s)
    assert ga.item() == pytest.approx(e + s * e)  # along both paths
    assert gx.item() == pytest.approx((e + s * e) * math.cos(0.5))
    y = ops.exp(x)
    assert grad(y, y).item() == 1.0  # and nothing before it is touched:
    assert grad(y, x).item() == pytest.approx(math.exp(0.5))


def test_interior_inputs_of_a_second_derivative():
    x = leaf(0.5)
    a = ops.exp(x)
    y = a * a * a
    (g,) = grad(y, [a], create_graph=True)
    assert grad(g, a).item() == pytest.approx(6 * a.item())


def test_unused_inputs_get_zeros():
    x, unused, after = leaf([1.0, 2.0]), leaf(np.ones((3, 1), np.float32), dtype="float32"), leaf([1.0, 1.0])
    y = x * 2.0
    z = y * after  # comes after y
    gx, gu, ga = grad(y, [x, unused, z], np.ones(2), create_graph=True)
    np.testing.assert_array_equal(gu.numpy(), np.zeros((3, 1)))
    assert gu.dtype == np.float32 and gu.shape == (3, 1)
    np.testing.assert_array_equal(ga.numpy(), [0, 0])
    np.testing.assert_array_equal(gx.numpy(), [2, 2])


def test_outputs_that_depend_on_each_other():
    x = leaf(2.0)
    a = x * x
    b = a * a
    g = grad([a, b], x)
    assert g.item() == pytest.approx(2 * 2.0 + 4 * 2.0**3)


# -- what is computed and kept -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_rules_off_the_path_are_not_called(create_graph):
    called = []

    @primitive(lambda g, w: called.append("x") or g * w, lambda g, x: called.append("w") or g * x)
    def watched_product(x, w):
        return x * w

    x, w, v = leaf(2.0), leaf(3.0), leaf(5.0)
    y = watched_product(watched_product(x, w), watched_product(v, v))
    assert grad(y, x, create_graph=create_graph).item() == 75.0
    assert called == ["x", "x"]
    constant = tensor(np.float64(2.0))
    called.clear()
    watched_product(x, constant).backward()
    assert called == ["x"]


def test_needs_says_which_inputs_want_a_gradient():
    x, w = leaf(2.0), tensor(np.float64(3.0))
    joint_product(x, w).backward()
    assert x.grad.item() == 3.0 and w.grad is None


def test_nothing_is_recorded_for_constants():
    y = ops.exp(tensor([1.0])) * 2.0
    assert y.node is None and not y.requires_grad and y.is_leaf


def test_only_what_a_rule_asks_for_is_kept():
    x, w = leaf(np.ones(1000)), leaf(np.ones(1000))
    a = x * 1.0
    kept = weakref.ref(a.data)
    y = a + w  # the rules of + ask for nothing
    del a
    assert kept() is None
    y.backward(np.ones(1000))


def test_an_operation_without_rules_records_nothing():
    x = leaf([1.0, -2.0])
    assert ops.sign(x).node is None
    assert (x > 0).node is None and (x > 0).dtype == bool

    @primitive(None)
    def two(x):
        return x > 0, x < 0

    assert all(not y.requires_grad for y in two(x))


# -- higher orders -----------------------------------------------------------------------------------------------------


def test_derivatives_of_any_order():
    """f = x⁴ sin x, its first four derivatives against the formulas."""
    v = 0.7
    s, c = math.sin(v), math.cos(v)
    expected = [
        4 * v**3 * s + v**4 * c,
        12 * v**2 * s + 8 * v**3 * c - v**4 * s,
        24 * v * s + 36 * v**2 * c - 12 * v**3 * s - v**4 * c,
        24 * s + 96 * v * c - 72 * v**2 * s - 16 * v**3 * c + v**4 * s,
    ]
    x = leaf(v)
    y = x * x * x * x * ops.sin(x)
    z = x**4 * ops.sin(x)
    for value in expected:
        y, z = grad(y, x, create_graph=True), grad(z, x, create_graph=True)
        assert y.item() == pytest.approx(value, rel=1e-12)
        assert z.item() == pytest.approx(value, rel=1e-12)


def test_derivatives_through_a_saved_output():
    x = leaf(0.3)
    t = math.tanh(0.3)
    y = ops.tanh(x)
    first = grad(y, x, create_graph=True)
    second = grad(first, x, create_graph=True)
    third = grad(second, x)
    assert first.item() == pytest.approx(1 - t * t)
    assert second.item() == pytest.approx(-2 * t * (1 - t * t))
    assert third.item() == pytest.approx((6 * t * t - 2) * (1 - t * t))


def test_a_gradient_penalty():
    """∂/∂w (‖∂(w·x²)/∂x‖ − 1)², the shape of WGAN-GP's term."""
    x, w = leaf([1.0, 2.0]), leaf([0.5, -1.0])
    g = grad(ops.sum(w * x * x), x, create_graph=True)
    norm = ops.sqrt(ops.sum(g * g))
    ((norm - 1.0) * (norm - 1.0)).backward()
    n = np.sqrt(np.sum((2 * w.data * x.data) ** 2))
    np.testing.assert_allclose(w.grad.numpy(), 2 * (n - 1) / n * 4 * w.data * x.data**2)


def test_backward_with_create_graph_can_be_differentiated():
    x = leaf(1.5)
    (x * x * x).backward(create_graph=True)
    assert x.grad.item() == pytest.approx(3 * 1.5**2)
    assert grad(x.grad, x).item() == pytest.approx(6 * 1.5)


def test_create_graph_records_also_inside_no_grad():
    x = leaf(1.5)
    y = x * x * x
    with no_grad():
        g = grad(y, x, create_graph=True)
        second = grad(g, x)
    assert g.requires_grad and not second.requires_grad
    assert second.item() == pytest.approx(9.0)


def test_the_derivative_in_the_cotangent():
    x, g = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    first = grad(ops.exp(x), x, g, create_graph=True)
    np.testing.assert_allclose(grad(first, g, np.ones(2)).numpy(), np.exp(x.data))


# -- kinds of operations -----------------------------------------------------------------------------------------------


def test_several_outputs():
    x = leaf([0.1, 0.2])
    e = np.exp(x.data)
    for use, expected in [
        (lambda a, b: a + b, e + e * e),
        (lambda a, b: a, e),
        (lambda a, b: b, e * e),
        (lambda a, b: a * b, 1.5 * e**3),
        (lambda a, b: a * a * b + b, 2 * e**4 + e**2),
    ]:
        np.testing.assert_allclose(grad(use(*exp_and_half_square(x)), x, np.ones(2)).numpy(), expected)
        gradcheck(lambda x, use=use: use(*exp_and_half_square(x)), x)
        gradgradcheck(lambda x, use=use: use(*exp_and_half_square(x)), x)


def test_several_outputs_to_the_third_order():
    x = leaf(0.3)
    a, b = exp_and_half_square(x)
    y = a * b  # ½ e³ˣ
    for order in (1, 2, 3):
        y = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(0.5 * 3**order * math.exp(0.9))


def test_one_of_several_outputs_as_an_interior_input():
    x = leaf(0.3)
    a, b = exp_and_half_square(x)
    y = a * a * b
    ga, gb = grad(y, [a, b], create_graph=True)
    assert ga.item() == pytest.approx(2 * a.item() * b.item()) and gb.item() == pytest.approx(a.item() ** 2)
    assert grad(ga, b).item() == pytest.approx(2 * a.item())


def test_a_saved_output_leads_back_to_its_node_beside_other_uses():
    """In ∂/∂x of g(x) = (a + a b) a₀, a₀ and the a outside are one output: both gradients must arrive."""
    x = leaf(0.3)
    a, b = exp_and_half_square(x)
    g = grad(b, x, create_graph=True)  # e²ˣ = y₀ y₀, through the saved output
    y = g * a  # e³ˣ, and a itself
    assert grad(y, x).item() == pytest.approx(3 * math.exp(0.9))


def test_joint_composed_and_residual_operations():
    x, w = leaf([0.5, 1.5]), leaf([2.0, -1.0])
    cube = lambda x, w: fused_power(x, w, power=3)
    for f in (fused_power, cube):
        gradcheck(f, [x, w])
        gradgradcheck(f, [x, w])
        gradgradcheck(lambda x, f=f: f(x, x * 2.0), x)  # one input computed from the other
        gradgradcheck(lambda x, f=f: f(x, x), x)
    gradcheck(masked, leaf([1.0, -2.0]))
    gradgradcheck(masked, leaf([1.0, -2.0]))
    gradgradcheck(lambda x, w: joint_product(x, ops.exp(w) * x), [x, w])


def test_any_number_of_inputs():
    xs = [leaf([1.0, 2.0]), leaf([3.0, 4.0]), tensor(np.ones(2))]
    sum_of_squares(*xs).backward(np.ones(2))
    np.testing.assert_array_equal(xs[1].grad.numpy(), [6.0, 8.0])
    assert xs[2].grad is None
    gradgradcheck(lambda a, b: sum_of_squares(a, b, a * b), xs[:2])


def test_a_joint_rule_may_return_one_array_for_all():
    a, b, c = leaf([1.0]), leaf([2.0]), leaf([3.0])
    y = sum_of_all(a, a, b, c, b)
    y.backward(np.array([1.0]))
    assert [t.grad.item() for t in (a, b, c)] == [2.0, 2.0, 1.0]
    assert not np.shares_memory(a.grad.data, b.grad.data)


def test_a_rule_may_return_what_it_was_given():
    @primitive(lambda g, r: r[0], residual=True)
    def keeps_its_input(x):
        return 0.5 * x * x, (x, 1)

    x = leaf([1.0, 2.0])
    keeps_its_input(x).backward(np.ones(2))
    assert not np.shares_memory(x.grad.data, x.data)
    y = keeps_its_input(x) + keeps_its_input(x)
    x.grad = None
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.data, [1.0, 2.0])
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 4.0])


def test_definitions_that_cannot_work_are_refused():
    def define(*rules, forward=lambda x: x, **options):
        forward.__name__ = "broken"
        return primitive(*rules, **options)(forward)

    with pytest.raises(TypeError, match="first argument of a gradient rule must be g"):
        define(lambda x: x)
    with pytest.raises(TypeError, match="broken: a gradient rule asks for 'q'"):
        define(lambda g, q: g)
    with pytest.raises(TypeError, match="broken: a gradient rule asks for 'needs'"):
        define(lambda g, needs: g)
    with pytest.raises(TypeError, match="in a rule 'y' does not mean an input"):
        define(lambda g, y: g, None, forward=lambda x, y: x)
    with pytest.raises(TypeError, match="needs a joint rule"):
        define(lambda g: g, forward=lambda *x: x)
    with pytest.raises(TypeError, match="must ask for what its composed twin takes"):
        define(joint=lambda g, x: (g,), composed=lambda x, *, eps: x, forward=lambda x, *, eps: x)
    with pytest.raises(TypeError, match="must ask for what its composed twin takes"):
        define(joint=lambda g: (g,), composed=lambda x: x)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_second_backward_through_a_freed_graph():
    x = leaf([1.0, 2.0])
    y = ops.sum(ops.exp(x))
    y.backward()
    with pytest.raises(GraphError, match="graph at 'sum' was freed by an earlier backward pass.*create_graph=True"):
        y.backward()
    with pytest.raises(GraphError, match="freed"):
        grad(y, x)
    a = ops.exp(x)
    ops.sum(a).backward()
    with pytest.raises(GraphError, match="graph at 'exp' was freed"):
        ops.sum(a * 2.0).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(x.data))  # the refused passes added nothing


def test_create_graph_keeps_the_graph():
    x = leaf(2.0)
    y = x * x
    assert grad(y, x, create_graph=True).item() == 4.0
    assert grad(y, x, create_graph=True).item() == 4.0
    y.backward()
    assert x.grad.item() == 4.0


def test_a_value_changed_in_place():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0], name="weight")
    y = x * w
    w.data -= 1.0
    with pytest.raises(GraphError, match=r"'multiply' needs the value that its argument 'w' \(weight\) had"):
        y.backward(np.ones(2))
    assert x.grad is None and w.grad is None
    y = x * w
    w.data[0] = 7.0
    w.mark_updated()
    with pytest.raises(GraphError, match="updated in place"):
        grad(y, x, np.ones(2))
    w2 = leaf([1.0, 1.0])
    y = w2 + x  # no rule asks for the value
    w2.data = np.zeros(2)
    y.backward(np.ones(2))
    assert w2.grad is not None


@pytest.mark.parametrize(
    "view",
    [
        lambda w: ops.reshape(w, (4,)),
        lambda w: ops.reshape(w, (2, 2)),
        lambda w: ops.reshape(ops.reshape(w, (4,)), (4, 1)),
        lambda w: ops.broadcast_to(w, (3, 2, 2)),
        lambda w: w.detach(),
        lambda w: w.to("numpy").detach(),
    ],
    ids=["reshape", "same shape", "twice", "broadcast", "detach", "to"],
)
def test_a_value_changed_in_place_behind_a_view(view):
    w = leaf([[1.0, 2.0], [3.0, 4.0]], name="weight")
    x = leaf(2.0)
    y = view(w) * x
    w.data -= 1.0
    with pytest.raises(GraphError, match="updated in place"):
        y.backward(np.ones(y.shape))


def test_a_view_by_an_operation_that_returns_its_input():
    @primitive(lambda g: g)
    def same(x):
        return x

    w, x = leaf([1.0]), leaf([2.0])
    y = same(w) * x
    w.data -= 1.0
    with pytest.raises(GraphError, match="updated in place"):
        y.backward()


def test_a_value_changed_through_a_view():
    w, x = leaf([1.0, 2.0]), leaf([1.0, 1.0])
    y = w * x
    view = w.detach()
    view.data -= 1.0
    with pytest.raises(GraphError, match="updated in place"):
        y.backward(np.ones(2))


def test_any_number_of_inputs_watch_only_values_that_a_rule_asks_for():
    a, b = leaf([1.0]), leaf([2.0])
    y = sum_of_all(a, b)
    a.data += 1.0
    y.backward()  # only shapes were kept
    y = sum_of_squares(a, b)
    b.data += 1.0
    with pytest.raises(GraphError, match=r"'xs\[1\]'"):
        y.backward()


def test_updates_between_passes_are_fine():
    w = leaf([1.0, 2.0])
    for _ in range(3):
        w.grad = None
        ops.sum(w * w).backward()
        w.data -= 0.1 * w.grad.data
    np.testing.assert_allclose(w.data, np.array([1.0, 2.0]) * 0.8**3)


def test_a_non_scalar_needs_a_cotangent():
    x = leaf(np.ones((2, 3)))
    with pytest.raises(GraphError, match=r"expected a scalar, got shape \(2, 3\); reduce it with sum\(\)"):
        (x * 2.0).backward()
    with pytest.raises(GraphError, match="expected a scalar"):
        grad(x * 2.0, x)
    y = leaf(np.ones((1, 1)))
    (y * 2.0).backward()  # one element is a scalar
    assert y.grad.shape == (1, 1)


def test_a_cotangent_of_the_wrong_shape_or_kind():
    x = leaf(np.ones((2, 3)))
    for wrong in (np.ones(3), np.ones((3, 2)), np.ones((2, 3, 1)), 1.0):
        with pytest.raises(ShapeError, match=r"must have the output's shape \(2, 3\), got"):
            (x * 2.0).backward(wrong)
    with pytest.raises(ShapeError, match="expected 2 grad_outputs, one per output, got 1"):
        grad([x * 2.0, x * 3.0], x, [np.ones((2, 3))])
    with pytest.raises(DtypeError, match="expected numbers"):
        (x * 2.0).backward(np.full((2, 3), "a"))


def test_no_history():
    x = leaf(2.0)
    with no_grad():
        y = x * x
    for lost in (y, tensor(1.0), (x * x).detach(), ops.sign(x)):
        with pytest.raises(GraphError, match="no history"):
            lost.backward()
    with pytest.raises(GraphError, match="input 1 does not require a gradient"):
        grad(x * x, [x, tensor(1.0)])


def test_arguments_through_which_no_gradient_flows():
    x, low = leaf([1.0]), leaf(0.0)
    with pytest.raises(GraphError, match=r"clip: no gradient flows to its argument 'low'; pass low.detach\(\)"):
        ops.clip(x, low=low, high=2.0)
    assert ops.clip(x, low=low.detach(), high=2.0).item() == 1.0
    with no_grad():
        ops.clip(x, low=low, high=2.0)


def test_arguments_given_wrongly():
    x = leaf([1.0])
    with pytest.raises(TypeError, match="sum: got argument 'axis' twice"):
        ops.sum(x, 0, axis=0)
    with pytest.raises(TypeError, match="exp: expected at most 1 arguments, got 2"):
        ops.exp(x, x)
    with pytest.raises(TypeError, match="add: missing argument 'w'"):
        ops.add(x)
    with pytest.raises(DtypeError, match="exp: cannot be applied.*unexpected keyword argument 'out'"):
        ops.exp(x, out=None)
    assert ops.add(w=x, x=1.0).item() == 2.0


def test_shapes_and_dtypes_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"add: cannot be applied to \(float64\[2\], float64\[3\]\)"):
        leaf([1.0, 2.0]) + leaf([1.0, 2.0, 3.0])
    with pytest.raises(DtypeError, match="requires_grad needs a floating-point dtype, got int64"):
        tensor(np.arange(3), requires_grad=True)
    with pytest.raises(DtypeError, match="expected numbers, got str"):
        tensor("abc")
    with pytest.raises(DtypeError, match="ragged list"):
        tensor([[1.0], [2.0, 3.0]])


def test_a_rule_that_returns_a_wrong_shape_is_named():
    for wrong in (lambda g: g[0], lambda g: g[:2], lambda g: g[..., None]):

        @primitive(wrong)
        def misshapen(x):
            return x + 0

        with pytest.raises(ShapeError, match="misshapen: its gradient rule gave shape"):
            misshapen(leaf(np.ones((3, 3)))).backward(np.ones((3, 3)))


def test_data_takes_arrays_of_the_same_kind():
    x = leaf([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"data: expected shape \(2,\), got \(3,\)"):
        x.data = np.ones(3)
    with pytest.raises(DtypeError, match="data: expected an array of dtype float64, got dtype float32"):
        x.data = np.ones(2, np.float32)
    for wrong in ([1.0, 2.0], tensor(np.ones(2)), 1.0):
        with pytest.raises(DtypeError, match="data: expected an array"):
            x.data = wrong
    np.testing.assert_array_equal(x.data, [1.0, 2.0])


def test_an_error_leaves_recording_as_it_was():
    @primitive(lambda g: 1 / 0)
    def failing(x):
        return x + 0

    x = leaf(1.0)
    for create_graph in (False, True):
        with pytest.raises(ZeroDivisionError):
            failing(x).backward(create_graph=create_graph)
        assert (x * 2.0).requires_grad


# -- no_grad -----------------------------------------------------------------------------------------------------------


def test_no_grad_nests():
    x = leaf(1.0)
    outer = no_grad()
    with outer:
        assert not (x * 2.0).requires_grad
        with no_grad():
            assert not (x * 2.0).requires_grad
        with outer:
            assert not (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad


def test_no_grad_ends_with_an_exception():
    x = leaf(1.0)
    with pytest.raises(KeyError), no_grad(), no_grad():
        raise KeyError
    assert (x * 2.0).requires_grad


# -- memory ------------------------------------------------------------------------------------------------------------

LONG = 300_000


def test_a_chain_of_300000_operations():
    """Forward, backward and freeing, with a recursion limit of 200 and no garbage collector, in its own process."""
    program = f"""
        import gc, sys
        import numpy as np
        from minigen.tensor import Node, grad, tensor
        gc.disable()
        x = tensor(np.ones(1), requires_grad=True)
        sys.setrecursionlimit(200)
        def chain(n={LONG}):
            y = x
            for _ in range(n // 2):
                y = y * 1.0 + 1.0
            return y
        count = lambda: sum(type(o) is Node for o in gc.get_objects())
        y = chain()
        y.backward(np.ones(1))
        assert x.grad.item() == 1.0
        assert count() == 1, count()  # the last one, which y holds
        del y
        assert count() == 0
        y = chain()
        assert count() == {LONG}
        del y  # never differentiated
        assert count() == 0
        y = chain({LONG // 10})
        g = grad(y, x, np.ones(1), create_graph=True)
        assert g.item() == 1.0
        del y, g
        assert count() == 0
        print("fine")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "fine\n", done.stderr[-2000:]


def test_a_backward_pass_frees_the_graph_at_once(quiet_gc):
    x = leaf(np.ones(1000))
    a = ops.exp(x)
    b = ops.exp(a)
    y = ops.sum(b)
    kept = [weakref.ref(a.data), weakref.ref(b.data)]
    del a, b
    assert all(r() is not None for r in kept)
    y.backward()
    assert all(r() is None for r in kept)
    assert y.node is not None


def test_dropped_graphs_leave_no_cycles(quiet_gc):
    x, w = leaf(np.ones((3, 3))), leaf(np.ones(3))
    before = live_nodes()

    def build(kind):
        y = ops.tanh(x * w) + ops.sum(x) * 0.1
        a, b = exp_and_half_square(y)
        z = ops.sum(fused_power(a, b) + joint_product(a, masked(b)) + sum_of_squares(a, b, w))
        if kind == "backward":
            z.backward()
        elif kind == "grad":
            grad(z, [x, a])
        elif kind == "twice":
            g = grad(z, x, create_graph=True)
            ops.sum(g * g).backward()
        elif kind == "create":
            z.backward(create_graph=True)
            x.grad = w.grad = None
        elif kind == "error":
            z.backward()
            with pytest.raises(GraphError):
                z.backward()
            with pytest.raises(ShapeError):
                x + np.ones(7)

    for kind in ("drop", "backward", "grad", "twice", "create", "error"):
        gc.collect()
        build(kind)
        x.grad = w.grad = None
        if kind != "error":  # a caught traceback holds its frames in a cycle of its own
            assert gc.collect() == 0, kind
        assert live_nodes() == before, kind


def test_gradients_share_memory_with_nothing():
    g = np.ones(3)
    for create_graph in (False, True):
        x, w = leaf(np.ones(3)), leaf(np.ones(3))
        y = x + w
        y.backward(g, create_graph=create_graph)
        arrays = [g, x.data, w.data, y.data, x.grad.data, w.grad.data]
        x, w = leaf(np.ones(3)), leaf(np.ones((3, 1)))
        z = ops.reshape(x, (3, 1)) + w
        arrays += [t.data for t in grad(z, [x, w, z, x], g.reshape(3, 1), create_graph=create_graph)]
        for i, a in enumerate(arrays):
            assert not any(np.shares_memory(a, b) for b in arrays[:i] if a.size == b.size and a is not g.base)


# -- the Tensor itself -------------------------------------------------------------------------------------------------


def test_arrays_and_numbers_on_the_left_of_operators():
    x = leaf([1.0, 2.0])
    a = np.array([3.0, 4.0])
    for result, expected in [
        (a + x, [4, 6]), (a - x, [2, 2]), (a * x, [3, 8]), (a / x, [3, 2]), (a**x, [3, 16]),
        (2 - x, [1, 0]), (2.0 / x, [2, 1]), (2**x, [2, 4]), (np.float64(2) * x, [2, 4]), (np.int64(2) + x, [3, 4]),
        (a > x, [True, True]), (a == x, [False, False]), (a <= x, [False, False]),
    ]:  # fmt: skip
        assert isinstance(result, Tensor)
        np.testing.assert_allclose(result.numpy(), expected)
    assert (a + x).requires_grad


def test_python_numbers_keep_float32():
    x = tensor([1.0, 2.0])
    assert x.dtype == np.float32
    for y in (x + 1.5, 2 * x, x / 3, 1.0 - x, x**2, x**0.5, 2.0**x, ops.maximum(x, 0.5), ops.clip(x, low=0, high=1.5)):
        assert y.dtype == np.float32


def test_item_len_iter_bool_numbers():
    assert tensor([[2.5]]).item() == 2.5 and isinstance(tensor(2.5).item(), float)
    assert isinstance(tensor(np.int64(3)).item(), int) and int(tensor(3.7)) == 3 and float(tensor(2.0)) == 2.0
    with pytest.raises(ShapeError, match="item: expected a tensor of one element"):
        tensor([1.0, 2.0]).item()
    assert len(tensor([1.0, 2.0])) == 2
    with pytest.raises(ShapeError, match="len"):
        len(tensor(1.0))
    with pytest.raises(ShapeError):
        bool(tensor([1.0, 2.0]))
    assert tensor(1.0) and not tensor(0.0)
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    rows = list(x)
    assert [r.shape for r in rows] == [(2,), (2,)]
    (rows[0] * rows[1]).backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.numpy(), [[3, 4], [1, 2]])


def test_shape_dtype_numpy_detach_to():
    a = np.ones((2, 3))
    x = tensor(a, requires_grad=True, name="x")
    assert (x.shape, x.dtype, x.ndim, x.size) == ((2, 3), np.float64, 2, 6)
    assert x.numpy() is a and np.asarray(x) is a and x.is_leaf
    assert not x.detach().requires_grad and x.detach().data is a
    moved = x.to("numpy")
    assert moved.is_leaf and moved.requires_grad and moved.name == "x"
    with pytest.raises(GraphError, match="to: this tensor was computed"):
        (x * 2.0).to("numpy")
    assert tensor(x).data is a and not tensor(x).requires_grad


def test_repr():
    assert repr(tensor([1.0, 2.5])) == "tensor([1. , 2.5], shape=(2,), float32)"
    x = leaf(1.0)
    assert "requires_grad=True" in repr(x) and "op=exp" in repr(ops.exp(x))
    assert len(repr(tensor(np.zeros(100000)))) < 200


def test_tensors_are_told_apart_by_identity():
    x, y = leaf([1.0]), leaf([1.0])
    assert len({x, y}) == 2 and x in {x: 1}


def test_mixing_backends_names_both(monkeypatch):
    """A stand-in: an array that says it belongs to CuPy, and refuses NumPy as CuPy does."""

    class Device(np.ndarray):
        def __array_ufunc__(self, *_, **__):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")

    from minigen import backend

    name_of = backend.name_of
    monkeypatch.setattr(backend, "name_of", lambda a: "cupy" if isinstance(a, Device) else name_of(a))
    device = Tensor(np.ones(2).view(Device))
    with pytest.raises(BackendError, match=r"multiply: got arrays of both cupy and numpy .*move one with \.to"):
        leaf([1.0, 2.0]) * device
    with pytest.raises(BackendError, match="gradient and the output lie on different devices"):
        (leaf([1.0, 2.0]) * 2.0).backward(device)
    with pytest.raises(BackendError, match="CUDA device"):
        np.asarray(device)
