"""`minigen.trace`: the numbers of the engine, who sends what to whom, and a page that needs nothing but itself."""

import gc
import json
import re
import sys

import numpy as np
import pytest

from minigen import backend, grad, no_grad, ops, tensor, trace
from minigen.errors import GraphError, MinigenError
from minigen.ops.elementwise import multiply
from minigen.tensor import primitive
from minigen.viz.layout import BOX, layered
from minigen.viz.stepper import formula


def leaves(rng, *shapes):
    return [tensor(rng.standard_normal(s), requires_grad=True, name=n) for n, s in zip("abc", shapes)]


COMPUTATIONS = {
    "a diamond": (lambda a, b, c: ops.sum((a * b + a) * ops.tanh(a)), [(3,), (3,), ()]),
    "constants": (lambda a, b, c: ops.mean(1 - 2 * a) + ops.sum(b @ tensor(np.ones((2, 3)))) - 0.5, [(4,), (3, 2), ()]),
    "broadcasting": (lambda a, b, c: ops.logsumexp(a + b[:, None] * c), [(2, 3), (2,), ()]),
    "joint rules": (lambda a, b, c: ops.sum(ops.einsum("ij,jk->ik", a, b) ** 2) * c, [(2, 3), (3, 2), ()]),
    "several outputs": (lambda a, b, c: ops.sum(ops.split(a, indices_or_sections=2)[1] * b), [(4,), (2,), ()]),
    "any number of inputs": (lambda a, b, c: ops.var(ops.concatenate([a, b, a])), [(2,), (3,), ()]),
    "a residual": (lambda a, b, c: ops.bce_with_logits(a, ops.sigmoid(b)), [(2, 3), (2, 3), ()]),
    "convolution": (
        lambda a, b, c: ops.sum(ops.conv2d(a, b, stride=2, padding="same")),
        [(1, 1, 5, 5), (2, 1, 3, 3), ()],
    ),
}


@pytest.mark.parametrize("compute, shapes", COMPUTATIONS.values(), ids=COMPUTATIONS.keys())
@pytest.mark.parametrize("watched", [True, False], ids=["a function", "a tensor"])
def test_the_gradients_are_the_engines_to_the_last_bit(backend_name, rng, compute, shapes, watched):
    inputs = leaves(rng, *shapes)
    output = (lambda: compute(*inputs)) if watched else compute(*inputs)
    seen = trace(output)
    output = compute(*inputs) if watched else output
    output.backward()  # the graph that was traced is still whole
    traced = {box.name: box for box in seen.boxes if box.op is None}
    for leaf in inputs:
        if leaf.grad is None:
            assert leaf.name not in traced
        else:
            np.testing.assert_array_equal(traced[leaf.name].gradient, leaf.grad.numpy())
            np.testing.assert_array_equal(traced[leaf.name].values[0], leaf.numpy())
    np.testing.assert_array_equal(seen.output.values[0], output.numpy())
    assert f"∂L/∂{inputs[0].name} = " in str(seen)


@pytest.mark.parametrize("compute, shapes", COMPUTATIONS.values(), ids=COMPUTATIONS.keys())
def test_what_is_computed_again_equals_what_was_watched(rng, compute, shapes):
    """Of a Tensor some numbers are gone; those that are shown are those that a function shows."""
    inputs = leaves(rng, *shapes)
    watched, later = trace(lambda: compute(*inputs)), trace(compute(*inputs))
    assert len(watched.boxes) == len(later.boxes)
    for box, again in zip(watched.boxes, later.boxes):
        assert box.name == again.name
        for value, known in zip(box.values, again.values):
            assert value is not None
            if known is not None:
                np.testing.assert_array_equal(value, known)


def test_who_sends_what_to_whom():
    x = tensor(2.0, requires_grad=True, dtype="float64", name="x")
    w = tensor(3.0, requires_grad=True, dtype="float64", name="w")
    seen = trace(lambda: (x + w) * x)
    assert [box.name for box in seen.boxes] == ["x", "w", "v1", "L"]
    product, total = seen.steps
    assert [(letter, box.name, float(sent), before) for letter, box, sent, before in product.sent] == [
        ("x", "v1", 2.0, None), ("w", "x", 5.0, None),
    ]  # fmt: skip
    assert [(box.name, float(sent), before) for _, box, sent, before in total.sent] == [
        ("x", 2.0, 5.0),
        ("w", 2.0, None),
    ]
    text = str(seen)
    assert "to x, its x: 2, added to 5: 7" in text and text.endswith("∂L/∂x = 7\n∂L/∂w = 2")
    assert "L  = 10    multiply(v1, x)    y = x ⊙ w" in text


def test_it_leaves_everything_as_it_was():
    x = tensor([1.0, 2.0], requires_grad=True)
    hook = sys.getprofile()
    y = ops.sum(x * x)
    trace(y)
    trace(lambda: ops.sum(x * x))
    with pytest.raises(ZeroDivisionError):
        trace(lambda: 1 / 0)
    assert x.grad is None and sys.getprofile() is hook
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])


def test_a_gradient_can_be_given_and_traced(rng):
    x = tensor(rng.standard_normal(3), requires_grad=True, name="x")
    g = rng.standard_normal(3)
    seen = trace(lambda: ops.exp(x), g)
    np.testing.assert_allclose(seen.boxes[0].gradient, g * np.exp(x.numpy()), rtol=1e-15)
    penalty = trace(lambda: ops.sum(grad(ops.sum(x**3), x, create_graph=True) ** 2))
    np.testing.assert_allclose(penalty.boxes[0].gradient, 36 * x.numpy() ** 3, rtol=1e-12)


def test_formula_and_rule_come_from_the_docstring():
    assert formula(ops.tanh.primitive) == ("y = tanh x", "∂L/∂x = g ⊙ (1 − y²)")
    name = trace(ops.concatenate([tensor([1.0], requires_grad=True)] * 2)[1]).steps[1].box.op
    assert formula(name)[0].startswith("y = (x₁ | x₂") and "∂L/∂xₖ" in formula(name)[1]
    x, w = (tensor(np.ones((1, 1, 2, 2)), requires_grad=True) for _ in range(2))
    for operation in ops.conv2d, ops.conv_transpose2d:
        said = formula(trace(ops.sum(operation(x, w))).boxes[2].op)
        assert "= conv" in said[0] and "∂L/∂w" in said[1]

    @primitive(lambda g: g)
    def unsaid(x):
        return x * 1

    assert formula(unsaid.primitive) == ("", "")
    assert "unsaid(x1)" in str(trace(unsaid(tensor(1.0, requires_grad=True))))


def test_every_operation_has_something_to_say():
    """The forward formula of every primitive that ops offers, and a gradient for each that has one."""
    offered = {
        name: f.primitive
        for name, f in vars(ops).items()
        if callable(f) and hasattr(f, "primitive") and not name.startswith("_")
    }
    assert len(offered) > 40
    assert [name for name, op in offered.items() if not formula(op)[0]] == []
    assert [n for n, op in offered.items() if (op.joint or any(op.rules)) and not formula(op)[1]] == []


def test_what_was_not_kept_is_said():
    x = tensor(2.0, requires_grad=True, name="x")
    text = str(trace(3 * (x + 1)))
    assert "not kept" in text and "∂L/∂x = 3" in text
    assert "not kept" not in str(trace(lambda: 3 * (x + 1)))


def test_what_cannot_be_traced():
    x = tensor(2.0, requires_grad=True)
    with no_grad(), pytest.raises(GraphError, match="trace: expected a tensor computed from leaves"):
        trace(lambda: x * x)
    with pytest.raises(GraphError, match="got float"):
        trace(lambda: 1.0)
    with pytest.raises(GraphError, match="expected a scalar"):
        trace(lambda: tensor([1.0, 2.0], requires_grad=True) * 2)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match="freed"):
        trace(y)
    z = x * x
    x.data = np.asarray(x.data + 1)
    with pytest.raises(GraphError, match="updated in place"):
        trace(z)


def test_the_page(tmp_path, rng):
    a, b = leaves(rng, (2, 3), (3, 2))
    a.name = "</script><b>"
    seen = trace(lambda: ops.sum(ops.relu(a @ b)))
    page = seen.html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page
    assert not re.search(r"(src|href)=|https?://(?!www\.w3\.org/2000/svg)|@import|url\(", page)
    assert "</script><b>" not in page
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert [box["op"] for box in data["boxes"]] == ["", "", "matmul", "relu", "sum"]
    assert [step["phase"] for step in data["steps"]] == ["forward"] * 3 + ["backward"] * 3
    assert len(data["paths"]) == 4 and all(0 <= box["x"] <= data["width"] for box in data["boxes"])


def test_places_do_not_overlap_and_arrows_point_down(rng):
    for count in (1, 2, 12, 40):
        arrows = sorted({(int(rng.integers(i)), i) for i in range(1, count) for _ in range(2)})
        width, height, places, paths = layered(count, arrows)
        for i, (x, y) in enumerate(places):
            assert BOX[0] / 2 <= x <= width - BOX[0] / 2 and BOX[1] / 2 <= y <= height - BOX[1] / 2
            for u, v in places[:i]:
                assert abs(x - u) >= BOX[0] or abs(y - v) >= BOX[1]
        assert all(places[a][1] < places[b][1] for a, b in arrows) and len(paths) == len(arrows)


def test_no_graph_outlives_its_trace():
    x = tensor(np.ones(3), requires_grad=True)
    seen = trace(lambda: ops.sum(multiply(x, x)))
    node = seen.output.key
    del seen
    gc.collect()
    assert sys.getrefcount(node) == 2


def test_on_a_device_or_not(backend_name):
    x = tensor([1.0, -2.0], requires_grad=True, name="x")
    seen = trace(lambda: ops.sum(ops.relu(x)))
    assert isinstance(seen.boxes[0].gradient, np.ndarray)
    assert backend.name_of(x.data) in ("numpy", "cupy")
    assert issubclass(GraphError, MinigenError)
