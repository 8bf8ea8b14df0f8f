"""The GAN objectives against the articles' formulas, and what the articles' wrong forms do.

The formulas are computed here as they are written, with logarithms of the probabilities D = 1 / (1 + e⁻ˡ) and
1 − D = e⁻ˡ / (1 + e⁻ˡ), in decimal numbers that neither underflow nor overflow: so they hold also for logits of
±10,000. No code of minigen takes part in that.
"""

from __future__ import annotations

import decimal

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm

import minigen
from minigen.errors import ConfigError
from minigen.losses import documents
from minigen.losses.gan import discriminator_loss, generator_loss, optimal_discriminator, value

EXTREME = [-1e4, -50.0, -1.0, 0.0, 1e-3, 3.0, 40.0, 1e4]


def logs(logit: float) -> tuple[float, float]:
    """(log D, log(1 − D)) of one logit, with 60 digits on the way."""
    with decimal.localcontext(decimal.Context(prec=60)):
        e = (-decimal.Decimal(float(logit))).exp()
        return float((1 / (1 + e)).ln()), float((e / (1 + e)).ln())


def expected_logs(logits: np.ndarray) -> tuple[float, float]:
    """(E log D, E log(1 − D))"""
    log_d, log_not_d = zip(*map(logs, logits.ravel()), strict=True)
    return float(np.mean(log_d)), float(np.mean(log_not_d))


def pair() -> tuple[np.ndarray, np.ndarray]:
    """Logits of data and of samples in float64, (12, 1) each, the extreme ones among them."""
    rng = np.random.default_rng(0)
    real = np.concatenate([EXTREME, 3 * rng.standard_normal(4)])
    fake = np.concatenate([EXTREME[::-1], 3 * rng.standard_normal(4)])
    return real[:, None], fake[:, None]


def leaf(a: object) -> minigen.Tensor:
    return minigen.tensor(np.asarray(a, np.float64), requires_grad=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def same(got: minigen.Tensor, expected: float) -> None:
    assert got.shape == () and got.dtype == np.float64
    np.testing.assert_allclose(got.item(), expected, rtol=1e-13)


# -- the right forms --------------------------------------------------------------------------------------------------


def test_formula_C1():
    """L(G, D) = E_x[log D(x)] + E_z[log(1 − D(G(z)))]"""
    real, fake = pair()
    same(value(leaf(real), leaf(fake)), expected_logs(real)[0] + expected_logs(fake)[1])


def test_formula_C2():
    """L_G = −E_z log D(G(z)), L_D = −E_x log D(x) − E_z log(1 − D(G(z)))"""
    real, fake = pair()
    same(generator_loss(leaf(fake)), -expected_logs(fake)[0])
    same(discriminator_loss(leaf(real), leaf(fake)), -expected_logs(real)[0] - expected_logs(fake)[1])


@pytest.mark.parametrize("real", EXTREME)
@pytest.mark.parametrize("fake", EXTREME)
def test_formula_E1(real, fake):
    """L_G = −log D(G(z)), L_D = −[log D(x) + log(1 − D(G(z)))], for one x and one z"""
    same(generator_loss(leaf(fake)), -logs(fake)[0])
    same(discriminator_loss(leaf(real), leaf(fake)), -(logs(real)[0] + logs(fake)[1]))


def test_formula_B1():
    """D(x) = P(x is real): the D that minimises L_D says how often what looks like x is data"""
    x_data, x_fake = np.repeat([0, 1, 2], [30, 10, 5]), np.repeat([0, 1, 2], [10, 10, 25])
    frequency = np.array([30 / 40, 10 / 20, 5 / 30])
    logits = leaf(np.zeros(3))  # one for each kind of x: a discriminator that can be anything
    for _ in range(2000):
        gradient = minigen.grad(discriminator_loss(logits[x_data], logits[x_fake]), logits)
        logits.data -= 4 * gradient.data
    np.testing.assert_allclose(sigmoid(logits.numpy()), frequency, atol=1e-9)


def test_slopes_of_the_generators_losses():
    """∂L_G/∂l = −(1 − D) and −D: where D is sure (l = −10,000) one is steepest and the other flat; never NaN"""
    logits = np.array([-1e4, -2.0, 0.0, 2.0, 1e4])
    with np.errstate(over="ignore"):
        d = sigmoid(logits)
    for kind, slope in {"nonsaturating": -(1 - d), "saturating": -d}.items():
        fake = leaf(logits)
        np.testing.assert_allclose(minigen.grad(generator_loss(fake, kind), fake).numpy(), slope / 5, atol=1e-16)


@pytest.mark.parametrize("kind", ["nonsaturating", "saturating", "hinge", "least-squares"])
def test_losses_stay_in_float32(kind):
    real, fake = (minigen.tensor(a.astype(np.float32), requires_grad=True) for a in pair())
    for loss in discriminator_loss(real, fake, kind), value(real, fake), generator_loss(fake, kind):
        assert loss.dtype == np.float32 and np.isfinite(loss.item())
        g = minigen.grad(loss, fake)
        assert g.dtype == np.float32 and np.isfinite(g.numpy()).all()


def test_an_unknown_kind_is_an_error():
    kinds = "kind must be one of nonsaturating, saturating, hinge, least-squares, got 'wasserstein'"
    with pytest.raises(ConfigError, match=f"generator_loss: {kinds}"):
        generator_loss(leaf([0.0]), "wasserstein")
    with pytest.raises(ConfigError, match=f"discriminator_loss: {kinds}"):
        discriminator_loss(leaf([0.0]), leaf([0.0]), "wasserstein")


def test_formula_C8_better_losses():
    """Hinge and least squares, number by number, and what they ask of D: a margin, or the very scores 1 and 0"""
    real, fake = np.array([2.0, 0.5, -1.0]), np.array([-3.0, 0.0, 0.25])
    same(discriminator_loss(leaf(real), leaf(fake), "hinge"), (0 + 0.5 + 2) / 3 + (0 + 1 + 1.25) / 3)
    same(generator_loss(leaf(fake), "hinge"), 2.75 / 3)
    same(discriminator_loss(leaf(real), leaf(fake), "least-squares"), (1 + 0.25 + 4) / 6 + (9 + 0 + 0.0625) / 6)
    same(generator_loss(leaf(fake), "least-squares"), (16 + 1 + 0.5625) / 6)
    for kind, still in {"hinge": [True, False, False], "least-squares": [False] * 3}.items():
        scores = leaf(real)
        slope = minigen.grad(discriminator_loss(scores, leaf(fake), kind), scores).numpy()
        assert ((slope == 0) == still).all()  # beyond the margin the hinge is content
    far = leaf([40.0])
    for kind, force in {"nonsaturating": 0.0, "hinge": -1.0, "least-squares": 39.0}.items():
        np.testing.assert_allclose(minigen.grad(generator_loss(far, kind), far).numpy(), force, atol=1e-16)


@pytest.mark.oracle
def test_losses_as_torch_has_them():
    torch = pytest.importorskip("torch")
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    real, fake = pair()
    mine, theirs = (leaf(real), leaf(fake)), [torch.tensor(a, requires_grad=True) for a in (real, fake)]
    loss = bce(theirs[0], torch.ones(12, 1).double()) + bce(theirs[1], torch.zeros(12, 1).double())
    same(discriminator_loss(*mine), loss.item())
    for got, expected in zip(
        minigen.grad(discriminator_loss(*mine), mine), torch.autograd.grad(loss, theirs), strict=True
    ):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-15)
    same(generator_loss(mine[1]), bce(theirs[1], torch.ones(12, 1).double()).item())


# -- the wrong forms --------------------------------------------------------------------------------------------------


def test_formula_A2():
    """L_GAN = −E_x[log D(x)] − E_z[log(1 − D(G(z)))], min_G max_D L_GAN: both players are pulled the wrong way"""
    real, fake = pair()
    written = documents.a2_value_as_written(leaf(real), leaf(fake))
    same(written, -expected_logs(real)[0] - expected_logs(fake)[1])
    assert written.item() == -value(leaf(real), leaf(fake)).item()

    real, fake = leaf([0.5, -1.0]), leaf([0.2, 1.0])
    right = minigen.grad(value(real, fake), [real, fake])
    wrong = minigen.grad(documents.a2_value_as_written(real, fake), [real, fake])
    # max over D goes up the gradient: D(x) should rise and D(G(z)) fall
    assert (right[0].numpy() > 0).all() and (right[1].numpy() < 0).all()
    assert (wrong[0].numpy() < 0).all() and (wrong[1].numpy() > 0).all()
    # min over G goes down it: D(G(z)) should rise
    assert (-right[1].numpy() > 0).all() and (-wrong[1].numpy() < 0).all()


@pytest.mark.parametrize("game, end", [(value, 0.0), (documents.a2_value_as_written, np.inf)])
def test_formula_A2_has_no_balance(game, end):
    """p_g = p_data, D a hair above ½. max_D V leads back to D = ½; max_D L_GAN leads away without end"""
    logit = leaf([0.01])  # of one x, as often data as sample
    for _ in range(400):
        logit.data += minigen.grad(game(logit, logit), logit).data
    assert abs(logit.item()) > 300 if end else abs(logit.item()) < 1e-12


def forger() -> tuple[minigen.Tensor, np.ndarray]:
    """G(z) = z + θ and noise z, before a discriminator whose logit of x is x − 1: the larger, the more real."""
    return leaf(0.0), np.random.default_rng(1).standard_normal(50)


def believed_after_a_step(loss) -> tuple[float, float]:
    """E D(G(z)) before and after θ ← θ − 0.1 ∂L/∂θ"""
    theta, z = forger()
    slope = minigen.grad(loss(theta + z - 1.0), theta).item()
    return sigmoid(z - 1).mean(), sigmoid(z - 0.1 * slope - 1).mean()


def test_formula_A4():
    """L_G = −E_z[log(1 − D(G(z)))]: a step down this loss makes G's samples less believed"""
    _, fake = pair()
    same(documents.a4_generator_loss_as_written(leaf(fake)), -expected_logs(fake)[1])
    same(generator_loss(leaf(fake), "saturating"), expected_logs(fake)[1])
    same(generator_loss(leaf(fake), "nonsaturating"), -expected_logs(fake)[0])

    before, after = believed_after_a_step(documents.a4_generator_loss_as_written)
    assert after < before - 0.001
    for kind in "saturating", "nonsaturating":
        before, after = believed_after_a_step(lambda fake, kind=kind: generator_loss(fake, kind))
        assert after > before + 0.001


def train_discriminator(loss) -> tuple[float, float]:
    """E D(x), E D(G(z)) after 500 steps of D(x) = σ(a x + b) on data around 2 and samples around −2."""
    rng = np.random.default_rng(2)
    x, fake = rng.normal(2, 0.5, 100), rng.normal(-2, 0.5, 100)
    a, b = leaf(0.0), leaf(0.0)
    for _ in range(500):
        gradients = minigen.grad(loss(a * x + b, a * fake + b), [a, b])
        for p, g in zip((a, b), gradients, strict=True):
            p.data -= 0.5 * g.data
    return sigmoid(a.item() * x + b.item()).mean(), sigmoid(a.item() * fake + b.item()).mean()


def test_formula_A5():
    """L_D = −E_x[log D(x)] − E_z[log D(G(z))]: the loss falls when D calls fakes real"""
    real, fake = pair()
    written = documents.a5_discriminator_loss_as_written
    same(written(leaf(real), leaf(fake)), -expected_logs(real)[0] - expected_logs(fake)[0])
    same(discriminator_loss(leaf(real), leaf(fake)), -expected_logs(real)[0] - expected_logs(fake)[1])

    real, doubting, believing = leaf([2.0]), leaf([-2.0]), leaf([2.0])
    assert written(real, believing).item() < written(real, doubting).item()
    assert discriminator_loss(real, believing).item() > discriminator_loss(real, doubting).item()
    assert written(leaf([40.0]), leaf([40.0])).item() < 1e-16  # D = 1 for everything

    d_x, d_fake = train_discriminator(written)
    assert d_x > 0.95 and d_fake > 0.95  # 4 standard deviations to either side of 0, and it cannot tell them apart
    d_x, d_fake = train_discriminator(discriminator_loss)
    assert d_x > 0.95 and d_fake < 0.05


def test_formula_C3():
    """L = L_G + λ L_D over all parameters: G also minimises L_D's fake term, D also L_G"""
    real, fake = pair()
    l_g, l_d = -expected_logs(fake)[0], -expected_logs(real)[0] - expected_logs(fake)[1]
    same(documents.c3_joint_loss_as_written(leaf(real), leaf(fake), 0.7), l_g + 0.7 * l_d)

    lam, logits = 3.0, leaf([-4.0, -1.0, 0.0, 2.0])
    d = sigmoid(logits.numpy())
    joint = minigen.grad(documents.c3_joint_loss_as_written(leaf([1.0]), logits, lam), logits).numpy() * 4
    right = minigen.grad(generator_loss(logits), logits).numpy() * 4
    theirs = minigen.grad(discriminator_loss(leaf([1.0]), logits), logits).numpy() * 4
    np.testing.assert_allclose(joint, right + lam * theirs, rtol=1e-14)
    np.testing.assert_allclose(joint, (1 + lam) * d - 1, rtol=1e-13)
    assert (right < 0).all() and (theirs > 0).all()  # what G wants, and the term that it should not see
    assert (np.sign(joint) == np.sign(d - 1 / (1 + lam))).all()  # beyond D = ¼ the wrong one wins

    def joint_loss(fake):
        return documents.c3_joint_loss_as_written(leaf([1.0]), fake, lam)

    before, after = believed_after_a_step(joint_loss)
    assert after < before - 0.001
    before, after = believed_after_a_step(generator_loss)
    assert after > before + 0.001

    d_x, d_fake = train_discriminator(lambda real, fake: documents.c3_joint_loss_as_written(real, fake, 1.0))
    assert d_x > 0.95 and d_fake == pytest.approx(
        0.5, abs=0.1
    )  # L_G holds D(G(z)) at 1 / (1 + λ), fakes in plain sight


# -- where the game ends ----------------------------------------------------------------------------------------------

GRID = np.linspace(-12, 12, 4801)
P_DATA = 0.5 * norm.pdf(GRID, -2, 0.7) + 0.5 * norm.pdf(GRID, 2, 0.7)


def integral(f: np.ndarray) -> float:
    return float(np.sum(f) * (GRID[1] - GRID[0]))


def value_on_grid(d: np.ndarray, p_g: np.ndarray) -> float:
    """V = ∫ p_data log D + p_g log(1 − D)"""
    return integral(P_DATA * np.log(d) + p_g * np.log1p(-d))


def test_formula_B7():
    """At the end p_g = p_data: D* = ½, V = −log 4, L_G = log 2, and not E_z[−log D(G(z))] = 0"""
    d = optimal_discriminator(P_DATA, P_DATA)
    np.testing.assert_array_equal(d, 0.5)
    assert value_on_grid(d, P_DATA) == pytest.approx(-np.log(4), rel=1e-12)
    logits = leaf(np.zeros(10))
    same(value(logits, logits), -np.log(4))
    same(generator_loss(logits), np.log(2))
    same(documents.b7_generator_condition_as_written(logits), np.log(2))

    p_g = norm.pdf(GRID, 0.5, 1.5)
    d = optimal_discriminator(P_DATA, p_g)
    jsd = jensenshannon(P_DATA, p_g) ** 2  # SciPy's is the square root of the divergence
    assert value_on_grid(d, p_g) == pytest.approx(-np.log(4) + 2 * jsd, rel=1e-9)
    assert value_on_grid(d, p_g) > -np.log(4) + 0.1
    for other in d**1.1, 0.98 * d, np.full_like(d, 0.5):  # no other D does better
        assert value_on_grid(other, p_g) < value_on_grid(d, p_g) - 1e-5


def test_optimal_discriminator_where_nothing_is():
    p_data, p_g = np.array([0.0, 0.0, 0.3, 0.1]), np.array([0.0, 0.2, 0.0, 0.3])
    np.testing.assert_array_equal(optimal_discriminator(p_data, p_g), [0.5, 0, 1, 0.25])
