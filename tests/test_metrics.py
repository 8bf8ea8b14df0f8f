"""minigen.metrics against closed forms, scipy and loops; the mixture and PCA baselines; the classifier of digits."""

import math
import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, special, stats

from benchmarks.train_classifier import accuracy, shifted, train
from minigen import backend, datasets, metrics
from minigen.datasets import ring_of_gaussians
from minigen.errors import ConfigError, DataError, DtypeError, MinigenError, NonFiniteError, ShapeError
from minigen.metrics import manifold
from minigen.models.classifier import DigitClassifier, load_classifier
from minigen.models.mixture import GaussianMixture, PCAGaussian, k_means, k_means_plus_plus

quick = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


def rng_of(seed):
    return np.random.default_rng(seed)


def spread(rng, n, d):
    """Correlated features whose scales differ."""
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)


# Estimates -----------------------------------------------------------------------------------------------------------


def test_estimate_is_scipys_standard_error():
    x = rng_of(0).standard_normal(17)
    found = metrics.estimate(x)
    assert found.mean == pytest.approx(x.mean()) and found.standard_error == pytest.approx(stats.sem(x))
    assert str(metrics.Estimate(105.2134, 0.0812)) == "105.2 ± 0.081"


# Fréchet distance ----------------------------------------------------------------------------------------------------


@given(
    means=st.tuples(*[st.floats(-10, 10)] * 2),
    stds=st.tuples(*[st.floats(0, 10)] * 2),
)
@quick
def test_frechet_of_one_dimensional_gaussians(means, stds):
    """In one dimension d² = (μ₁ − μ₂)² + (σ₁ − σ₂)²."""
    a, b = ((np.array([m]), np.array([[s * s]])) for m, s in zip(means, stds))
    expected = (means[0] - means[1]) ** 2 + (stds[0] - stds[1]) ** 2
    assert metrics.gaussian_distance(a, b) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("d", [1, 2, 7, 30])
def test_frechet_with_scipys_matrix_square_root(d):
    rng = rng_of(d)
    x, y = spread(rng, 200, d), spread(rng, 150, d)
    s1, s2 = (np.atleast_2d(np.cov(z, rowvar=False)) for z in (x, y))
    root = linalg.sqrtm(s1 @ s2)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


@given(seed=seeds, d=st.integers(1, 6), n=st.integers(2, 12), m=st.integers(2, 12))
@quick
def test_frechet_is_a_distance(seed, d, n, m):
    """Also with fewer samples than features: symmetric, zero for equal sets, the same after any rotation and shift."""
    rng = rng_of(seed)
    x, y = spread(rng, n, d), spread(rng, m, d)
    distance = metrics.frechet_distance(x, y)
    from_moments = metrics.gaussian_distance(metrics.moments(x), metrics.moments(y))
    scale = np.trace(np.cov(np.concatenate([x, y]), rowvar=False).reshape(d, d))
    assert metrics.frechet_distance(y, x) == pytest.approx(distance, abs=1e-9 * scale)
    assert metrics.frechet_distance(x, rng.permutation(x)) <= 1e-9 * scale
    turn, shift = np.linalg.qr(rng.standard_normal((d, d)))[0], rng.standard_normal(d)
    assert metrics.frechet_distance(x @ turn + shift, y @ turn + shift) == pytest.approx(distance, abs=1e-9 * scale)
    assert from_moments == pytest.approx(distance, abs=1e-7 * scale)
    assert distance >= ((x.mean(0) - y.mean(0)) ** 2).sum() - 1e-9 * scale


@given(seed=seeds, d=st.integers(1, 6))
@quick
def test_frechet_satisfies_the_triangle_inequality(seed, d):
    rng = rng_of(seed)
    x, y, z = (spread(rng, 5, d) for _ in range(3))
    xy, yz, xz = (math.sqrt(metrics.frechet_distance(a, b)) for a, b in ((x, y), (y, z), (x, z)))
    assert xz <= xy + yz + 1e-7


def test_frechet_of_covariances_without_full_rank():
    """Two lines in space at a right angle: tr (Σ₁Σ₂)^½ = 0. The same line, twice as long: (2 − 1)². A point: tr Σ."""
    t = np.linspace(-1, 1, 11)
    zero = np.zeros_like(t)
    t = t / t.std(ddof=1)
    along_x, along_y, point = np.stack([t, zero, zero], 1), np.stack([zero, t, zero], 1), np.zeros((11, 3))
    assert metrics.frechet_distance(along_x, along_y) == pytest.approx(2)
    assert metrics.frechet_distance(along_x, 2 * along_x) == pytest.approx(1)
    assert metrics.frechet_distance(along_x, point) == pytest.approx(1)
    assert metrics.frechet_distance(point, point + 3) == 27


def test_frechet_stays_exact_where_the_product_is_ill_conditioned():
    """Commuting covariances with eigenvalues down to 10⁻¹²: d² = Σ (√λ − √κ)², found to nine digits."""
    rng = rng_of(3)
    turn = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    root1, root2 = np.logspace(0, -6, 12), 1.5 * np.logspace(0, -6, 12)
    gaussians = [(np.zeros(12), (turn * r**2) @ turn.T) for r in (root1, root2)]
    assert metrics.gaussian_distance(*gaussians) == pytest.approx(((root1 - root2) ** 2).sum(), rel=1e-9)


def test_moments_are_numpys():
    x = spread(rng_of(4), 40, 5)
    mean, covariance = metrics.moments(x)
    np.testing.assert_allclose(mean, x.mean(0))
    np.testing.assert_allclose(covariance, np.cov(x, rowvar=False))


def test_frechet_of_float32_features():
    x, y = spread(rng_of(5), 300, 8), spread(rng_of(6), 300, 8)
    single = metrics.frechet_distance(x.astype(np.float32), y.astype(np.float32))
    assert single == pytest.approx(metrics.frechet_distance(x, y), rel=1e-5)
    covariances = [(m.astype(np.float32), c.astype(np.float32)) for m, c in map(metrics.moments, (x, y))]
    assert metrics.gaussian_distance(*covariances) == pytest.approx(metrics.frechet_distance(x, y), rel=1e-4)


def test_real_floor_falls_with_the_number_of_samples_and_is_reproducible():
    x = spread(rng_of(7), 2000, 4)
    floor = metrics.real_floor(x, rng_of(0))
    assert floor == metrics.real_floor(x, rng_of(0)) != metrics.real_floor(x, rng_of(1))
    small = metrics.real_floor(x, rng_of(0), size=100)
    assert small.mean > 5 * floor.mean > 0  # in theory ten times: the bias goes with 1 / size
    assert floor.standard_error < floor.mean


def test_real_floor_in_one_dimension():
    """For N(0, 1), E d² = E (Δμ)² + E (Δσ)² ≈ 2/n + 2/(2n) = 3/n."""
    n, x = 500, rng_of(8).standard_normal((100_000, 1))
    floor = metrics.real_floor(x, rng_of(0), size=n, repeats=400)
    assert abs(floor.mean - 3 / n) < 4 * floor.standard_error and floor.standard_error < 0.1 * 3 / n


def test_real_floor_compares_disjoint_sets():
    """Of two samples far apart and two, no split has equal halves."""
    x = np.array([[0.0], [1.0], [10.0], [100.0]])
    halves = [metrics.frechet_distance(x[list(a)], x[list(b)]) for a, b in (((0, 1), (2, 3)), ((0, 2), (1, 3)))]
    halves.append(metrics.frechet_distance(x[[0, 3]], x[[1, 2]]))
    floor = metrics.real_floor(x, rng_of(0), repeats=300)
    assert abs(floor.mean - np.mean(halves)) < 4 * floor.standard_error


# Precision, recall, density, coverage --------------------------------------------------------------------------------


def scores_by_loops(real, generated, k):
    """The four definitions, in loops over Python numbers."""

    def radius(points, i):
        return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    r = [radius(real, i) for i in range(len(real))]
    s = [radius(generated, j) for j in range(len(generated))]
    d = [[math.dist(x, y) for y in generated] for x in real]
    n, m = len(real), len(generated)
    return (
        sum(any(d[i][j] <= r[i] for i in range(n)) for j in range(m)) / m,
        sum(any(d[i][j] <= s[j] for j in range(m)) for i in range(n)) / n,
        sum(d[i][j] <= r[i] for i in range(n) for j in range(m)) / (k * m),
        sum(any(d[i][j] <= r[i] for j in range(m)) for i in range(n)) / n,
    )


@given(seed=seeds, n=st.integers(4, 12), m=st.integers(4, 12), k=st.integers(1, 3), d=st.integers(1, 3))
@quick
def test_manifold_scores_by_loops(seed, n, m, k, d):
    """Whole numbers as coordinates, so that points coincide and distances equal radii."""
    rng = rng_of(seed)
    real, generated = (rng.integers(0, 5, size=(size, d)).astype(float) for size in (n, m))
    assert metrics.manifold_scores(real, generated, k) == pytest.approx(scores_by_loops(real, generated, k))


def test_manifold_scores_do_not_depend_on_the_chunks(monkeypatch):
    rng = rng_of(0)
    real, generated = rng.standard_normal((60, 3)), rng.standard_normal((50, 3)) + 1
    whole = metrics.manifold_scores(real, generated)
    assert 0 < whole.precision < 1 and 0 < whole.recall < 1 and 0 < whole.coverage < 1
    for chunk in (1, 7 * 50, 59 * 60):
        monkeypatch.setattr(manifold, "CHUNK", chunk)
        assert metrics.manifold_scores(real, generated) == whole


def test_manifold_scores_of_known_constructions():
    """Two clusters. Equal sets: all 1. One cluster of two: precise, half recalled. Elsewhere: all 0."""
    rng = rng_of(1)
    left, right = rng.standard_normal((100, 4)), rng.standard_normal((100, 4)) + 1000
    real = np.concatenate([left, right])
    assert metrics.manifold_scores(real, real)[:2] == (1, 1)
    assert metrics.manifold_scores(real, real).coverage == 1
    dropped = metrics.manifold_scores(real, left)
    assert (dropped.precision, dropped.recall, dropped.coverage) == (1, 0.5, 0.5)
    invented = metrics.manifold_scores(left, real)
    assert (invented.precision, invented.recall, invented.coverage) == (0.5, 1, 1)
    assert metrics.manifold_scores(left, right) == (0, 0, 0, 0)
    collapsed = metrics.manifold_scores(left, np.repeat(left[:1], 100, axis=0))
    assert collapsed.precision == 1 and collapsed.recall == 0.01 and collapsed.coverage < 0.2


def test_density_and_coverage_of_perfect_samples():
    """Expected for M = N: density 1, coverage 1 − 2⁻ᵏ (Naeem et al. 2020), whatever the distribution."""
    found = [metrics.manifold_scores(*rng_of(seed).standard_normal((2, 400, 3)), k=2) for seed in range(20)]
    density, coverage = (metrics.estimate([s[i] for s in found]) for i in (2, 3))
    assert abs(density.mean - 1) < 4 * density.standard_error and density.standard_error < 0.02
    assert abs(coverage.mean - 0.75) < 4 * coverage.standard_error + 1e-3 and coverage.standard_error < 0.01


def test_an_outlier_raises_precision_but_not_density():
    """The weakness that density was made for (Naeem et al. 2020, figure 1)."""
    rng = rng_of(2)
    real = rng.standard_normal((200, 2))
    generated = rng.standard_normal((200, 2)) + 30
    assert metrics.manifold_scores(real, generated).precision == 0
    real[0] = 100
    with_outlier = metrics.manifold_scores(real, generated)
    assert with_outlier.precision == 1 and with_outlier.density == pytest.approx(1 / 5)


@given(seed=seeds)
@quick
def test_manifold_scores_are_the_same_after_rotation(seed):
    rng = rng_of(seed)
    real, generated = rng.standard_normal((30, 4)), 1.5 * rng.standard_normal((25, 4))
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    turned = metrics.manifold_scores(real @ turn, generated @ turn)
    assert turned == pytest.approx(metrics.manifold_scores(real, generated))


def test_manifold_scores_need_little_memory():
    x = rng_of(3).standard_normal((6000, 2)).astype(np.float32)
    tracemalloc.start()
    metrics.manifold_scores(x, x[:3000])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 8 * manifold.CHUNK < 8 * 6000 * 6000


# Classes -------------------------------------------------------------------------------------------------------------


def predicted(counts):
    """Probabilities whose largest is at class k in counts[k] rows."""
    rows = np.repeat(np.eye(len(counts)), counts, axis=0)
    return 0.9 * rows + 0.1 / len(counts)


def test_class_coverage_counts_classes_with_a_tenth_of_their_share():
    counts = [500, 0, 10, 9, 1, 480, 0, 0, 0, 0]  # of 1000 samples: a tenth of the even share of 100 is 10
    p = predicted(counts)
    np.testing.assert_array_equal(metrics.class_counts(p), counts)
    assert metrics.class_coverage(p) == 3
    assert metrics.class_coverage(p, share=0) == 5
    assert metrics.class_coverage(p, share=1) == 2
    assert metrics.class_coverage(predicted([100] * 10), share=1) == 10


@given(counts=st.lists(st.integers(0, 40), min_size=2, max_size=12).filter(any))
@quick
def test_class_entropy_is_scipys(counts):
    assert metrics.class_entropy(predicted(counts)) == pytest.approx(stats.entropy(counts), abs=1e-12)


def test_class_entropy_at_its_ends():
    assert metrics.class_entropy(predicted([7, 0, 0])) == 0
    assert metrics.class_entropy(predicted([5] * 10)) == pytest.approx(math.log(10))


def test_fraction_asked_for():
    p = predicted([2, 1, 1])
    assert metrics.fraction_asked_for(p, [0, 0, 1, 2]) == 1
    assert metrics.fraction_asked_for(p, [0, 1, 1, 0]) == 0.5
    assert metrics.fraction_asked_for(p, np.array([1, 1, 0, 0])) == 0


# Modes ---------------------------------------------------------------------------------------------------------------


def test_ring_centres_are_those_of_the_data():
    x, k = ring_of_gaussians(4000, rng_of(0), modes=5, radius=3.0, std=0.01)
    centres = metrics.ring_centres(5, 3.0)
    for j in range(5):
        np.testing.assert_allclose(x[k == j].mean(axis=0), centres[j], atol=2e-3)


def test_a_perfect_sampler_covers_all_modes():
    x, k = ring_of_gaussians(50_000, rng_of(1))
    report = metrics.mode_report(x, metrics.ring_centres(), 0.02)
    expected = stats.chi2(2).cdf(9)  # ‖x − μ‖²/σ² ~ χ²(2)
    assert expected == pytest.approx(1 - math.exp(-4.5))
    assert report.covered == 8
    assert abs(report.high_quality - expected) < 4 * math.sqrt(expected * (1 - expected) / 50_000)
    assert (report.counts <= np.bincount(k)).all() and report.counts.sum() == round(report.high_quality * 50_000)


def test_a_mode_needs_a_share_of_good_samples():
    """800 samples, so that a mode needs ten: mode 0 has 700, mode 1 ten, mode 2 nine; 81 lie between the modes."""
    centres = metrics.ring_centres()
    samples = np.concatenate([np.repeat(centres[:3], [700, 10, 9], axis=0), np.zeros((81, 2))])
    report = metrics.mode_report(samples, centres, 0.02)
    assert report.covered == 2
    assert report.high_quality == pytest.approx(719 / 800)
    np.testing.assert_array_equal(report.counts, [700, 10, 9, 0, 0, 0, 0, 0])
    assert metrics.mode_report(samples, centres, 0.02, share=0).covered == 3
    assert metrics.mode_report(samples[-81:], centres, 0.02, share=0)[:2] == (0, 0)


def test_high_quality_ends_at_three_standard_deviations():
    samples = np.array([[0.0, 2.99], [0.0, 3.01], [2.0, 2.0], [-2.2, 2.2]])
    assert metrics.mode_report(samples, np.zeros((1, 2)), 1.0).high_quality == 0.5


# Likelihoods ---------------------------------------------------------------------------------------------------------


@given(seed=seeds, axis=st.integers(-2, 1), shift=st.sampled_from([0.0, 1000.0, -1000.0]))
@quick
def test_log_mean_exp_is_scipys(seed, axis, shift):
    x = 10 * rng_of(seed).standard_normal((5, 3)) + shift
    expected = special.logsumexp(x, axis=axis) - math.log(x.shape[axis])
    np.testing.assert_allclose(metrics.log_mean_exp(x, axis), expected, rtol=1e-12)


def test_log_mean_exp_of_zeros():
    assert metrics.log_mean_exp(np.array([-np.inf, 0.0])) == pytest.approx(-math.log(2))
    assert metrics.log_mean_exp(np.full(3, -np.inf)) == -np.inf


def test_importance_weighted_bound_rises_to_the_likelihood():
    """z ~ N(0, 1), x|z ~ N(z, 1), so x ~ N(0, 2); q = N(x/2, 1) is too broad. L_1 < L_10 < L_1000 ≈ ln p(x)."""
    rng = rng_of(2)
    n = 2000
    x = math.sqrt(2) * rng.standard_normal(n)
    z = x / 2 + rng.standard_normal((1000, n))
    w = stats.norm.logpdf(z) + stats.norm.logpdf(x, loc=z) - stats.norm.logpdf(z, loc=x / 2)
    exact = stats.norm.logpdf(x, scale=math.sqrt(2)).mean()
    elbo, ten, thousand = (metrics.importance_weighted_bound(w[:s]).mean for s in (1, 10, 1000))
    kl = 0.5 * (2 - 1 - math.log(2))  # of q from the posterior N(x/2, 1/2)
    assert elbo == pytest.approx(exact - kl, abs=0.05)
    assert elbo < ten < thousand < exact + 1e-3 and thousand == pytest.approx(exact, abs=1e-3)
    by_hand = special.logsumexp(w[:10], axis=0) - math.log(10)
    assert metrics.importance_weighted_bound(w[:10]).standard_error == pytest.approx(stats.sem(by_hand))


def test_bits_per_dimension_of_uniform_noise():
    """784 pixels of 256 equally probable values: 8 bits each, as probabilities and as densities on [0, 1]."""
    assert metrics.bits_per_dimension(-784 * math.log(256), 784) == pytest.approx(8)
    assert metrics.bits_per_dimension(0.0, 784, levels=256) == pytest.approx(8)
    assert metrics.bits_per_dimension(-784 * math.log(2), 784, levels=128) == pytest.approx(8)  # on [−1, 1]


@given(nats=st.floats(-1e5, 1e5), dimensions=st.integers(1, 10_000), levels=st.sampled_from([1, 2, 128, 256]))
@quick
def test_bits_and_nats_are_inverse(nats, dimensions, levels):
    bits = metrics.bits_per_dimension(nats, dimensions, levels)
    assert metrics.nats_from_bits_per_dimension(bits, dimensions, levels) == pytest.approx(nats, rel=1e-9, abs=1e-6)


# Mixture of Gaussians, PCA -------------------------------------------------------------------------------------------


def clusters(rng, n=300):
    centres = np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 0.0], [0.0, 8.0, 2.0]])
    k = rng.integers(3, size=n)
    return centres[k] + rng.standard_normal((n, 3)) @ np.diag([1.0, 0.5, 0.3]), k


def test_k_means_plus_plus_draws_with_the_squared_distance():
    """Rows 0, 1 and 3 on a line. The second centre after row 0: row 1 with 1/10, row 3 with 9/10."""
    x, rng = np.array([[0.0], [1.0], [3.0]]), rng_of(0)
    pairs = [tuple(k_means_plus_plus(x, 2, rng)[:, 0]) for _ in range(6000)]
    after_zero = [second for first, second in pairs if first == 0]
    assert stats.binomtest(len(after_zero), 6000, 1 / 3).pvalue > 1e-4
    assert stats.binomtest(after_zero.count(3.0), len(after_zero), 0.9).pvalue > 1e-4
    assert all(first != second for first, second in pairs)
    x = np.concatenate([x, [[4.0]]])  # the third after 0 and 4: distances to the nearest are 1 and 1, squared
    triples = [tuple(k_means_plus_plus(x, 3, rng)[:, 0]) for _ in range(3000)]
    assert all(len(set(triple)) == 3 for triple in triples)
    third = [last for *firsts, last in triples if set(firsts) == {0, 4}]
    assert stats.binomtest(third.count(1.0), len(third), 0.5).pvalue > 1e-4


def test_k_means_finds_clusters_and_is_at_rest():
    x, k = clusters(rng_of(1))
    centres, nearest = k_means(x, 3, rng_of(0))
    for j in range(3):
        found = nearest[k == j]
        assert (found == found[0]).all()
        np.testing.assert_allclose(centres[found[0]], x[k == j].mean(axis=0))


def densities_by_scipy(m, x):
    covariances = m.covariances if m.covariance == "full" else [np.diag(v) for v in m.covariances]
    return [w * stats.multivariate_normal(mu, c).pdf(x) for w, mu, c in zip(m.weights, m.means, covariances)]


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_mixture_likelihood_and_responsibilities_are_scipys(covariance):
    x, _ = clusters(rng_of(2))
    m = GaussianMixture(3, covariance).fit(x, rng_of(0), iterations=3)
    densities = np.array(densities_by_scipy(m, x))
    np.testing.assert_allclose(m.log_likelihood(x), np.log(densities.sum(axis=0)), rtol=1e-9)
    np.testing.assert_allclose(m.responsibilities(x), (densities / densities.sum(axis=0)).T, atol=1e-12)
    far = m.log_likelihood(x + 1000)  # where every density is 0 in float64
    assert np.isfinite(far).all() and (far < -1e4).all()


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_one_step_of_em_by_loops(covariance):
    x = rng_of(3).standard_normal((60, 3)) * [3.0, 1.0, 0.3]  # no clusters: the components go on moving
    floor = 0.2
    before = GaussianMixture(2, covariance, floor).fit(x, rng_of(1), iterations=2, tolerance=-1)
    after = GaussianMixture(2, covariance, floor).fit(x, rng_of(1), iterations=3, tolerance=-1)
    densities = np.array(densities_by_scipy(before, x))
    γ = densities / densities.sum(axis=0)
    for k in range(2):
        np.testing.assert_allclose(after.weights[k], γ[k].sum() / 60)
        mean = sum(γ[k, i] * x[i] for i in range(60)) / γ[k].sum()
        np.testing.assert_allclose(after.means[k], mean)
        s = sum(γ[k, i] * np.outer(x[i] - mean, x[i] - mean) for i in range(60)) / γ[k].sum()
        if covariance == "diagonal":
            np.testing.assert_allclose(after.covariances[k], np.maximum(np.diag(s), floor))
        else:
            values, axes = np.linalg.eigh(s)
            np.testing.assert_allclose(after.covariances[k], axes @ np.diag(np.maximum(values, floor)) @ axes.T)
    assert abs(after.means - before.means).max() > 0.02 and (np.linalg.eigvalsh(s) < floor).any()
    assert after.history[2] == pytest.approx(np.log(densities.sum(axis=0)).mean())


@given(seed=seeds, components=st.integers(1, 5), d=st.integers(1, 4), covariance=st.sampled_from(["full", "diagonal"]))
@quick
def test_em_never_loses_likelihood(seed, components, d, covariance):
    """Also where the floor is at work, rows repeat, and there are few rows for each component."""
    rng = rng_of(seed)
    x = np.round(spread(rng, 25, d), 1)
    x[:5] = x[5]
    components = min(components, len(np.unique(x, axis=0)))
    m = GaussianMixture(components, covariance, floor=0.05).fit(x, rng, iterations=30, tolerance=-1)
    assert len(m.history) == 30 and np.diff(m.history).min() > -1e-9
    assert m.log_likelihood(x).mean() >= m.history[-1] - 1e-9
    assert m.weights.sum() == pytest.approx(1)
    full = m.covariances if covariance == "full" else np.stack([np.diag(v) for v in m.covariances])
    assert np.linalg.eigvalsh(full).min() > 0.05 - 1e-9


def test_em_finds_the_mixture_and_beats_one_gaussian():
    weights, means, stds = [0.3, 0.7], [-2.0, 1.0], [0.5, 1.0]
    rng = rng_of(4)
    k = rng.choice(2, size=20_000, p=weights)
    x = (np.array(means)[k] + np.array(stds)[k] * rng.standard_normal(20_000))[:, None]
    m = GaussianMixture(2).fit(x, rng, iterations=300, tolerance=1e-7)
    order = m.means[:, 0].argsort()
    np.testing.assert_allclose(m.weights[order], weights, atol=0.02)
    np.testing.assert_allclose(m.means[order, 0], means, atol=0.05)
    np.testing.assert_allclose(np.sqrt(m.covariances[order, 0, 0]), stds, atol=0.03)
    assert m.history[-1] > GaussianMixture(1).fit(x, rng).history[-1] + 0.05


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_mixture_samples_have_its_moments(covariance):
    m = GaussianMixture(3, covariance).fit(clusters(rng_of(5))[0], rng_of(0))
    x, k = m.sample(40_000, rng_of(6))
    assert x.shape == (40_000, 3)
    for j in range(3):
        rows, c = x[k == j], m.covariances[j]
        c = c if covariance == "full" else np.diag(c)
        assert stats.binomtest(len(rows), 40_000, m.weights[j]).pvalue > 1e-4
        np.testing.assert_allclose(rows.mean(axis=0), m.means[j], atol=5 * math.sqrt(c.max() / len(rows)))
        np.testing.assert_allclose(np.cov(rows, rowvar=False), c, atol=6 * c.max() / math.sqrt(len(rows)))
    again, _ = m.sample(40_000, rng_of(6))
    np.testing.assert_array_equal(x, again)


def test_the_floor_bounds_the_likelihood_of_repeated_rows():
    x = np.repeat([[0.0, 0.0], [5.0, 5.0]], 20, axis=0)
    m = GaussianMixture(2, floor=0.01).fit(x, rng_of(0))
    expected = math.log(0.5) - math.log(2 * math.pi * 0.01)
    np.testing.assert_allclose(m.log_likelihood(x), expected)


def test_mixture_does_not_depend_on_the_chunks(monkeypatch):
    x, _ = clusters(rng_of(7))
    whole = GaussianMixture(3).fit(x, rng_of(0))
    monkeypatch.setattr("minigen.models.mixture.CHUNK", 17)
    parts = GaussianMixture(3).fit(x, rng_of(0))
    np.testing.assert_allclose(parts.covariances, whole.covariances, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(parts.log_likelihood(x), whole.log_likelihood(x))


def test_pca_is_the_singular_value_decomposition():
    x = spread(rng_of(8), 50, 6)
    pca = PCAGaussian(3).fit(x)
    _, s, vt = np.linalg.svd(x - x.mean(axis=0))
    np.testing.assert_allclose(pca.variances, s[:3] ** 2 / 49)
    np.testing.assert_allclose(abs(pca.axes.T @ vt[:3].T), np.eye(3), atol=1e-9)
    assert pca.explained == pytest.approx((s[:3] ** 2).sum() / (s**2).sum())
    np.testing.assert_allclose(pca.encode(pca.decode(np.eye(3))), np.eye(3), atol=1e-9)
    nearest = pca.decode(pca.encode(x))
    assert ((x - nearest) ** 2).sum() == pytest.approx((s[3:] ** 2).sum())  # Eckart & Young 1936: no plane is nearer


def test_pca_samples_have_the_moments_of_the_data():
    x = spread(rng_of(9), 500, 4)
    samples = PCAGaussian(4).fit(x).sample(50_000, rng_of(0))
    scale = np.cov(x, rowvar=False).max()
    np.testing.assert_allclose(samples.mean(axis=0), x.mean(axis=0), atol=5 * math.sqrt(scale / 50_000))
    np.testing.assert_allclose(np.cov(samples, rowvar=False), np.cov(x, rowvar=False), atol=0.03 * scale)
    flat = PCAGaussian(2).fit(x).sample(100, rng_of(0))
    assert np.linalg.matrix_rank(flat - flat.mean(axis=0)) == 2


# The classifier ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier():
    return load_classifier()


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", "test")


def test_the_classifier_knows_the_bundled_test_digits(classifier, digits):
    """MNIST's first 2,000 test digits; of all 10,000 the next test wants 99 %."""
    right = classifier.probabilities(digits.images).argmax(axis=1) == digits.labels
    assert right.mean() >= 0.985


@pytest.mark.skipif("MINIGEN_DATA" not in os.environ, reason="set MINIGEN_DATA to a folder with all of MNIST")
def test_the_classifier_is_right_on_99_percent_of_mnist(classifier):
    test = datasets.load("mnist", "test")
    assert len(test) == 10_000
    assert accuracy(classifier, test) >= 0.99


def test_features_and_probabilities(classifier, digits):
    """Probabilities are the softmax of a linear map of the features; neither depends on the batch or on the dtype."""
    images = digits.images[:70]
    h, p = classifier.features_and_probabilities(images)
    assert h.shape == (70, 64) and h.dtype == np.float32 and p.shape == (70, 10)
    w, b = classifier.head.weight.numpy(), classifier.head.bias.numpy()
    np.testing.assert_allclose(p, special.softmax(h @ w.T + b, axis=1), atol=1e-5)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(classifier.features(images, batch=9), h, rtol=1e-4, atol=1e-4)
    for same in (images[:, None], datasets.to_unit(images), datasets.to_unit(images, np.float64)):
        np.testing.assert_allclose(classifier.features(same), h, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(classifier.probabilities(images[:1]), p[:1], atol=1e-5)
    assert classifier.features(images[:0]).shape == (0, 64)
    assert np.linalg.matrix_rank(classifier.features(digits.images)) > 32


def test_the_measures_tell_better_digits_from_worse(classifier):
    """Real digits at the floor; then, ever worse: one missing class, one Gaussian on pixels, noise."""
    training = datasets.load("digits", "train")
    rng = rng_of(0)
    gaussian = PCAGaussian(50).fit(datasets.to_unit(training.images[:4000]).reshape(-1, 784)).sample(2000, rng)
    sets = {
        "real": training.images[:2000],
        "no ones": training.images[:4000][training.labels[:4000] != 1][:2000],
        "Gaussian": gaussian.clip(0, 1).reshape(-1, 28, 28),
        "noise": rng.random((2000, 28, 28)),
    }
    real = classifier.features(training.images[-2000:])
    found = {name: classifier.features_and_probabilities(images) for name, images in sets.items()}
    distances = [metrics.frechet_distance(real, h) for h, _ in found.values()]
    assert distances == sorted(distances)
    floor = metrics.real_floor(real, rng)  # of half as many samples
    assert distances[0] < 2 * floor.mean and distances[1] > 4 * floor.mean
    scores = [metrics.manifold_scores(real[:800], h[:800]) for h, _ in found.values()]
    assert scores[0].precision > 0.8 and scores[0].recall > 0.8 and scores[0].coverage > 0.9
    assert scores[1].coverage < scores[0].coverage - 0.05
    assert scores[2].recall < 0.5 and scores[2].coverage < 0.5
    assert scores[3].precision < 0.05 and scores[3].coverage < 0.05
    classes = [metrics.class_coverage(p) for _, p in found.values()]
    assert classes[:2] == [10, 9]
    assert metrics.class_entropy(found["real"][1]) > 2.29 > metrics.class_entropy(found["no ones"][1])


def test_shifted_digits():
    """Every image is the original moved by some (down, right) of up to two pixels, and all 25 moves occur."""
    images = rng_of(0).integers(1, 256, size=(300, 5, 6)).astype(np.uint8)
    seen = set()
    for old, new in zip(images, shifted(images, rng_of(1))):
        moves = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = np.zeros_like(old)
                for i in range(5):
                    for j in range(6):
                        if 0 <= i - down < 5 and 0 <= j - right < 6:
                            moved[i, j] = old[i - down, j - right]
                if (moved == new).all():
                    moves.append((down, right))
        assert len(moves) == 1
        seen.update(moves)
    assert len(seen) == 25


def test_training_teaches_and_repeats_itself():
    few = datasets.load("digits", "train").subset(slice(400))
    options = {"batch_size": 20, "lr": 3e-3, "log": lambda *_, **__: None}
    trained = train(few, epochs=2, seed=1, **options)
    assert accuracy(trained, few) > 0.5
    assert accuracy(DigitClassifier(rng=backend.generator(1)), few) < 0.4
    one, twin, other = (train(few.subset(slice(40)), epochs=1, seed=s, **options).state_dict() for s in (1, 1, 2))
    assert all(one[name].tobytes() == twin[name].tobytes() for name in one)
    assert any(one[name].tobytes() != other[name].tobytes() for name in one)


def test_weights_from_another_file(tmp_path):
    from safetensors.numpy import save_file

    one = DigitClassifier(rng=backend.generator(5))
    save_file(one.state_dict(), tmp_path / "one.safetensors")
    images = datasets.load("digits", "test").images[:3]
    np.testing.assert_array_equal(load_classifier(tmp_path / "one.safetensors").features(images), one.features(images))


def test_a_file_that_is_not_the_classifier(tmp_path, monkeypatch):
    from safetensors.numpy import save_file

    with pytest.raises(DataError, match="cannot be read"):
        load_classifier(tmp_path / "none.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be decoded"):
        load_classifier(tmp_path / "broken.safetensors")
    save_file({"head.weight": np.zeros((10, 64), np.float32)}, tmp_path / "part.safetensors")
    with pytest.raises(DataError, match="it lacks body"):
        load_classifier(tmp_path / "part.safetensors")
    state = DigitClassifier(rng=backend.generator(0)).state_dict()
    save_file(state | {"head.bias": np.zeros(3, np.float32)}, tmp_path / "small.safetensors")
    with pytest.raises(DataError, match="not the weights of a DigitClassifier.*head.bias"):
        load_classifier(tmp_path / "small.safetensors")
    save_file(state, tmp_path / "mnist_classifier.safetensors")
    monkeypatch.setattr("minigen.models.classifier.data_folder", lambda: tmp_path)
    with pytest.raises(DataError, match="SHA-256"):
        load_classifier()


UNTRAINED = DigitClassifier(rng=backend.generator(0))

BAD_IMAGES = {
    "flat": (np.zeros((4, 784), np.float32), ShapeError, r"\(N, 1, 28, 28\) or \(N, 28, 28\), got \(4, 784\)"),
    "small": (np.zeros((4, 1, 27, 28), np.float32), ShapeError, "27"),
    "integers": (np.zeros((4, 28, 28), np.int64), DtypeError, "int64"),
    "signed": (np.full((4, 28, 28), -1.0), DataError, r"\(x \+ 1\) / 2"),
    "stored as floats": (np.full((4, 28, 28), 255.0), DataError, "255"),
    "NaN": (np.full((4, 28, 28), np.nan), NonFiniteError, "NaN"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
@pytest.mark.parametrize("method", ["features", "probabilities"])
def test_images_that_are_none(case, method):
    images, error, message = BAD_IMAGES[case]
    with pytest.raises(error, match=message) as caught:
        getattr(UNTRAINED, method)(images)
    assert str(caught.value).startswith(f"DigitClassifier.{method}: ")


# Input that cannot be used -------------------------------------------------------------------------------------------

X = np.zeros((8, 3))
NAN = np.array([[0.0, np.nan], [1.0, 1.0]])
P = np.full((4, 10), 0.1)
MIXTURE = GaussianMixture(1).fit(rng_of(0).standard_normal((9, 3)), rng_of(0))

BAD = {
    "one row": (lambda: metrics.frechet_distance(X[:1], X), DataError, "at least 2 samples in real, got 1"),
    "images": (lambda: metrics.frechet_distance(np.zeros((8, 28, 28)), X), ShapeError, r"\(N, D\), got \(8, 28, 28\)"),
    "features differ": (lambda: metrics.frechet_distance(X, X[:, :2]), ShapeError, "got 3 for real and 2 for gen"),
    "NaN": (lambda: metrics.frechet_distance(NAN, X[:, :2]), NonFiniteError, "NaN or infinity in 1 of 4"),
    "infinity": (lambda: metrics.moments(np.full((3, 2), np.inf)), NonFiniteError, "6 of 6"),
    "no features": (lambda: metrics.moments(np.zeros((3, 0))), ShapeError, "at least one feature"),
    "words": (lambda: metrics.moments([["a", "b"]]), DtypeError, "array of numbers"),
    "skew covariance": (
        lambda: metrics.gaussian_distance((np.zeros(2), np.array([[1.0, 1], [0, 1]])), metrics.moments(X[:, :2])),
        DataError,
        "symmetric",
    ),
    "indefinite covariance": (
        lambda: metrics.gaussian_distance((np.zeros(2), np.diag([1.0, -1.0])), metrics.moments(X[:, :2])),
        DataError,
        "without negative eigenvalues, got one of -1",
    ),
    "covariance of another size": (
        lambda: metrics.gaussian_distance((np.zeros(2), np.eye(3)), metrics.moments(X[:, :2])),
        ShapeError,
        r"covariance of shape \(2, 2\)",
    ),
    "means of two lengths": (
        lambda: metrics.gaussian_distance(metrics.moments(X), metrics.moments(X[:, :2])),
        ShapeError,
        "two means of one length",
    ),
    "size above half": (lambda: metrics.real_floor(X, rng_of(0), size=5), ConfigError, "from 2 to 4, got 5"),
    "no generator": (lambda: metrics.real_floor(X, 0), DtypeError, "np.random.default_rng"),
    "one repeat": (lambda: metrics.real_floor(X, rng_of(0), repeats=1), ConfigError, "repeats"),
    "one value": (lambda: metrics.estimate([1.0]), DataError, "at least 2"),
    "k of all": (lambda: metrics.manifold_scores(X, X, k=8), DataError, "at least 9 samples in real, got 8"),
    "k of zero": (lambda: metrics.manifold_scores(X, X, k=0), ConfigError, "k must be a whole number from 1"),
    "k of a half": (lambda: metrics.manifold_scores(X, X, k=2.5), ConfigError, "got 2.5"),
    "logits": (lambda: metrics.class_counts(P - 0.5), DataError, "softmax"),
    "no samples": (lambda: metrics.class_entropy(P[:0]), DataError, "at least 1"),
    "share above one": (lambda: metrics.class_coverage(P, share=2), ConfigError, "share must lie"),
    "labels missing": (lambda: metrics.fraction_asked_for(P, [1, 2]), ShapeError, r"each of 4 samples, got \(2,\)"),
    "label of no class": (lambda: metrics.fraction_asked_for(P, [1, 2, 3, 10]), DataError, "from 0 to 9"),
    "labels as floats": (lambda: metrics.fraction_asked_for(P, [1.0, 2, 3, 4]), DataError, "whole numbers"),
    "another plane": (lambda: metrics.mode_report(X, np.zeros((8, 2)), 1.0), ShapeError, "one space, got 3 and 2"),
    "std of zero": (lambda: metrics.mode_report(X, X, 0.0), ConfigError, "std must be a positive number"),
    "no modes": (lambda: metrics.ring_centres(0), ConfigError, "modes"),
    "log_mean_exp of nothing": (lambda: metrics.log_mean_exp(np.zeros((0, 2))), DataError, "along axis 0"),
    "log_mean_exp of NaN": (lambda: metrics.log_mean_exp([np.nan]), NonFiniteError, "NaN"),
    "weights of one example": (lambda: metrics.importance_weighted_bound(np.zeros((9, 1))), DataError, "at least 2"),
    "no dimensions": (lambda: metrics.bits_per_dimension(1.0, 0), ConfigError, "dimensions"),
    "no levels": (lambda: metrics.bits_per_dimension(1.0, 1, levels=0), ConfigError, "levels"),
    "too few different rows": (lambda: k_means_plus_plus(X, 2, rng_of(0)), DataError, "expected 2 different rows"),
    "more clusters than rows": (lambda: k_means(X, 9, rng_of(0)), ConfigError, "from 1 to 8, got 9"),
    "covariance of no kind": (lambda: GaussianMixture(2, "tied"), ConfigError, "'full' or 'diagonal', got 'tied'"),
    "floor of zero": (lambda: GaussianMixture(2, floor=0), ConfigError, "floor must be a positive number"),
    "more components than rows": (lambda: GaussianMixture(9).fit(X, rng_of(0)), DataError, "at least 9"),
    "not fitted": (lambda: GaussianMixture(2).sample(1, rng_of(0)), ConfigError, "call fit"),
    "mixture of other rows": (lambda: MIXTURE.log_likelihood(X[:, :2]), ShapeError, r"\(N, 3\), as in fit, got"),
    "more components than dimensions": (lambda: PCAGaussian(4).fit(X), ConfigError, "3 dimensions, too few for 4"),
    "PCA not fitted": (lambda: PCAGaussian(2).sample(1, rng_of(0)), ConfigError, "call fit"),
    "PCA of other rows": (lambda: PCAGaussian(2).fit(X).encode(X[:, :2]), ShapeError, r"\(N, 3\)"),
    "other coordinates": (lambda: PCAGaussian(2).fit(X).decode(X), ShapeError, r"\(N, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_sentence(case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    text = str(caught.value)
    assert isinstance(caught.value, MinigenError)
    assert "\n" not in text and text.endswith(".") and ": " in text
