"""The gradient check itself: what it accepts, what it reports, what it refuses. Formulas judge it, not the engine."""

import numpy as np
import pytest

from minigen import ops
from minigen.errors import ConfigError, DtypeError, GradientError
from minigen.gradcheck import Comparison, GradientReport, gradcheck, gradgradcheck
from minigen.tensor import primitive, tensor


def wrong_exp(rule):
    """exp with another gradient rule."""

    @primitive(rule)
    def exp(x):
        return np.exp(x)

    return exp


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_its_slopes_are_those_of_the_formula():
    """One input, one output: analytic and numeric slope over the cotangent g are both cos x."""
    x = numbers(5)
    report = gradcheck(ops.sin, x)
    assert [c.index for c in report.comparisons] == [(k,) for k in range(5)]
    g = np.random.default_rng(0).standard_normal(5)  # the seed's first numbers
    np.testing.assert_allclose([c.analytic for c in report.comparisons], g * np.cos(x), rtol=1e-14)
    np.testing.assert_allclose([c.numeric for c in report.comparisons], g * np.cos(x), rtol=1e-8)


def test_second_order_slopes_are_those_of_the_formula():
    """Of G(x, g) = g cos x: −h g sin x in x, h cos x in g."""
    x = numbers(4)
    report = gradgradcheck(ops.sin, x)
    g = np.random.default_rng([0, 1]).standard_normal(4)
    h = np.random.default_rng(0).standard_normal(4)
    np.testing.assert_allclose([c.analytic for c in report.comparisons[:4]], -h * g * np.sin(x), rtol=1e-12)
    np.testing.assert_allclose([c.numeric for c in report.comparisons[4:]], h * np.cos(x), rtol=1e-8)
    assert report.comparisons[4].input == "input 1"


def test_the_complex_step_has_all_digits():
    """Squire & Trapp's own example, f = eˣ / (sin³x + cos³x) at 1.5: f′ = 4.0534278938986…, without cancellation."""
    f = lambda x: ops.exp(x) / (ops.sin(x) ** 3 + ops.cos(x) ** 3)
    x = np.array(1.5)
    s, c, e = np.sin(1.5), np.cos(1.5), np.exp(1.5)
    slope = e / (s**3 + c**3) - e * (3 * s * s * c - 3 * c * c * s) / (s**3 + c**3) ** 2
    central, complex_ = gradcheck(f, x), gradcheck(f, x, method="complex", rtol=1e-13, atol=0)
    g = np.random.default_rng(0).standard_normal()
    assert complex_.worst.numeric / g == pytest.approx(slope, rel=1e-14)
    assert 1e-13 < central.max_error < 1e-7
    gradgradcheck(f, x, method="complex", rtol=1e-12, atol=0)


def test_a_report_for_lessons():
    report = gradcheck(lambda x, w: x * w, [numbers(2, 3), tensor(numbers(3), requires_grad=True, name="w")])
    assert isinstance(report, GradientReport) and len(report.comparisons) == 9
    assert report.max_error == report.worst.error == max(c.error for c in report.comparisons)
    assert {c.input for c in report.comparisons} == {"input 0", "input 1 (w)"}
    assert "9 slopes agree; largest error" in str(report)
    assert str(Comparison("input 0", (1, 2), 0.5, 0.25)) == "input 0, index (1, 2): analytic 0.5, numeric 0.25"


def test_small_inputs_by_element_large_ones_by_direction():
    small, large = numbers(2, 3), numbers(50, 50)
    f = lambda x, w: ops.sum(ops.sin(x)) * ops.tanh(w)
    report = gradcheck(f, [small, large], directions=3)
    indices = [c.index for c in report.comparisons]
    assert indices == [*np.ndindex(2, 3), "direction 0", "direction 1", "direction 2"]
    with pytest.raises(GradientError, match=r"input 0, direction \d"):
        gradcheck(wrong_exp(lambda g, y: 1.01 * g * y), large)


def test_large_values_get_large_steps():
    """At x = 10⁶ a step of 6·10⁻⁶ would leave four digits; h grows with |x|."""
    gradcheck(ops.square, np.array([1e6, -1e8, 1e-6, 0.0]), rtol=1e-8)
    gradcheck(ops.square, 1e6 * numbers(300), rtol=1e-8)


def test_far_from_zero_a_short_step_is_tried_too():
    """Softmax changes over distances of 1, also at x ≈ 1000, where the long step is 6·10⁻³."""
    gradcheck(ops.softmax, 1000 + numbers(2, 3))
    gradcheck(ops.softmax, 1000 + numbers(20, 30))
    with pytest.raises(GradientError, match="1.01 times"):
        gradcheck(lambda x: wrong_exp(lambda g, y: 1.01 * g * y)(x - 1000.0), 1000 + numbers(4))


def test_several_outputs_and_constants():
    @primitive(lambda g, y: g[0] * y[0] + g[1] * 2)
    def two(x):
        return np.exp(x), 2 * x

    gradcheck(two, numbers(3))
    gradgradcheck(two, numbers(3))
    x, w, mask = numbers(3), tensor(numbers(3)), np.array([True, False, True])
    report = gradcheck(lambda x, w, mask, n: (ops.where(mask, x, w) * n, x > 0), [x, w, mask, 3])
    assert {c.input for c in report.comparisons} == {"input 0"}


def test_the_missing_gradient_of_one_output_is_noticed():
    @primitive(lambda g, y: g[0] * y[0])
    def two(x):
        return np.exp(x), 2 * x

    with pytest.raises(GradientError):
        gradcheck(two, numbers(3))


def test_functions_without_a_gradient():
    gradcheck(ops.sign, np.array([1.0, -2.0]))  # zero slopes, no history
    gradgradcheck(ops.sign, np.array([1.0, -2.0]))
    with pytest.raises(GradientError, match="analytic gradient is zero: a missing rule"):
        gradcheck(wrong_exp(None), numbers(2))
    with pytest.raises(GradientError, match="is zero"):
        gradcheck(lambda x: x * ops.exp(x.detach()) * 0.0 + ops.exp(x.detach()), numbers(2))


def test_empty_inputs():
    report = gradcheck(lambda x: ops.exp(x), np.ones((0, 3)))
    assert report.comparisons == () and report.max_error == 0.0 and report.worst is None
    assert "0 slopes" in str(report)
    gradgradcheck(lambda x, w: x * w, [np.ones((0, 3)), np.ones(3)])


@pytest.mark.parametrize(
    "rule, meaning",
    [
        (lambda g, y: -g * y, "wrong sign"),
        (lambda g, y: 0 * g, "analytic gradient is zero"),
        (lambda g, y: 3 * g * y, "3 times the numeric one: a sum, mean or factor 3 too many or missing"),
        (lambda g, y: g * y / 6, "0.1667 times the numeric one: a sum, mean or factor 6"),
        (lambda g, y: 1.01 * g * y, "1.01 times the numeric one: a constant factor"),
        (lambda g, y: (g * y)[::-1], "right numbers stand in the wrong places"),
        (lambda g, y: g * y + np.eye(3)[0], "2 slopes are right: look at what is special about the others"),
        (lambda g, y: g * y + g, "No simple factor"),
        (lambda g, y: g * np.inf * 0, "not finite: a division by zero, or infinity times zero"),
    ],
)
def test_the_report_says_what_it_probably_means(rule, meaning):
    with pytest.raises(GradientError, match=meaning) as caught, np.errstate(all="ignore"):
        gradcheck(wrong_exp(rule), numbers(3))
    assert "input 0, index (" in str(caught.value)
    assert "analytic" in str(caught.value) and "numeric" in str(caught.value)


def test_the_report_names_input_index_and_values():
    @primitive(lambda g, w: g * w, lambda g, x: g * x * np.array([1.0, 1.0, 2.0]))
    def multiply(x, w):
        return x * w

    x, w = numbers(2, 3), numbers(2, 3, seed=1)
    with pytest.raises(GradientError) as caught:
        gradcheck(multiply, [x, tensor(w, requires_grad=True, name="weight")])
    g = np.random.default_rng(0).standard_normal((2, 3))
    row = int(np.abs((g * x)[:, 2]).argmax())
    assert f"input 1 (weight), index ({row}, 2): analytic {2 * (g * x)[row, 2]:.6g}"[:-1] in str(caught.value)
    assert "2 of 6 slopes of input 1 (weight) differ" in str(caught.value)


def test_kinks_and_edges_of_the_domain():
    with pytest.raises(GradientError, match="kink"):
        gradcheck(ops.relu, np.array([0.0, 1.0]))
    with pytest.raises(GradientError, match="not finite near this point"), np.errstate(all="ignore"):
        gradcheck(ops.log, np.array([1e-9, 1.0]))

    @primitive(lambda g: g)
    def constant(x):
        return np.zeros_like(x)

    with pytest.raises(GradientError, match="f does not change with this input"):
        gradcheck(constant, np.ones(2))


def test_a_wrong_second_derivative():
    """Right to first order, wrong to second: a rule that hides its dependence on x."""
    hidden = wrong_exp(lambda g, y: g * (y.detach() if hasattr(y, "detach") else y))
    gradcheck(hidden, numbers(3))
    with pytest.raises(GradientError, match="input 0"):
        gradgradcheck(hidden, numbers(3))


def test_what_it_refuses():
    with pytest.raises(DtypeError, match="input 1 is float32, whose rounding hides a wrong gradient; pass float64"):
        gradcheck(lambda x, w: x * w, [numbers(2), numbers(2).astype(np.float32)])
    with pytest.raises(DtypeError, match="input 0 is float32"):
        gradgradcheck(ops.exp, np.ones(2, np.float32))
    with pytest.raises(DtypeError, match="f got float64 and returned float32"):
        gradcheck(lambda x: ops.astype(x, "float32"), numbers(2))
    with pytest.raises(DtypeError, match="f must return Tensors, got float"):
        gradcheck(lambda x: 1.0, numbers(2))
    with pytest.raises(ConfigError, match="central or complex, got 'forward'"):
        gradcheck(ops.exp, numbers(2), method="forward")
    with pytest.raises(DtypeError, match="real numbers for a complex input"):
        gradcheck(ops.abs, numbers(2), method="complex")
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="different values for the same inputs"):
        gradcheck(lambda x: x * rng.standard_normal(2), numbers(2))


def test_the_same_seed_gives_the_same_report():
    f, x = ops.tanh, numbers(300)
    assert gradcheck(f, x) == gradcheck(f, x)
    assert gradcheck(f, x, seed=1) != gradcheck(f, x)


def test_inputs_are_not_changed():
    x = tensor(numbers(3), requires_grad=True)
    before = x.data.copy()
    gradcheck(ops.exp, x)
    gradgradcheck(ops.exp, x)
    assert x.grad is None
    np.testing.assert_array_equal(x.data, before)


@pytest.mark.oracle
def test_autograd_agrees_on_a_second_derivative():
    """HIPS autograd computes the Hessian-vector product that gradgradcheck's analytic slopes are."""
    anp = pytest.importorskip("autograd.numpy")
    from autograd import elementwise_grad

    x = numbers(4)
    report = gradgradcheck(lambda x: ops.exp(x) * ops.sin(x), x)
    g = np.random.default_rng([0, 1]).standard_normal(4)
    h = np.random.default_rng(0).standard_normal(4)
    second = elementwise_grad(elementwise_grad(lambda x: anp.exp(x) * anp.sin(x)))(x)
    np.testing.assert_allclose([c.analytic for c in report.comparisons[:4]], h * g * second, rtol=1e-10)
