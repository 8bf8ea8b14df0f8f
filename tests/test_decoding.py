"""minigen.models.decoding: the choice of the next token, against enumeration and frequencies."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special, stats

from minigen.errors import ConfigError, DtypeError, NonFiniteError, ShapeError
from minigen.models import decoding

LOGITS = st.integers(2, 7).flatmap(
    lambda v: arrays(np.float64, v, elements=st.one_of(st.integers(-3, 3).map(float), st.floats(-20, 20)))
)


def test_greedy():
    np.testing.assert_array_equal(decoding.greedy([[1, 3, 3, 2], [-np.inf, -5, -9, -7]]), [1, 1])
    assert decoding.greedy([0.0, 2.0]).shape == () and decoding.greedy([0.0, 2.0]) == 1


@settings(deadline=None)
@given(LOGITS, st.floats(0.05, 5))
def test_temperature(logits, temperature):
    p = decoding.probabilities(logits, temperature=temperature)
    np.testing.assert_allclose(p, special.softmax(logits / temperature), rtol=1e-9, atol=1e-300)
    assert abs(p.sum() - 1) < 1e-12


def test_temperature_zero_is_greedy_and_a_limit():
    logits = np.array([[0.3, 1.0, -2.0, 0.9], [2.0, 2.0, 0.0, 0.0]])
    np.testing.assert_array_equal(decoding.probabilities(logits, temperature=0), [[0, 1, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_allclose(decoding.probabilities(logits[0], temperature=1e-3), [0, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(decoding.probabilities(logits[0], temperature=1e9), [0.25] * 4, atol=1e-6)
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(decoding.next_token(logits, generator, temperature=0), [1, 0])
    assert generator.bit_generator.state == np.random.default_rng(0).bit_generator.state


def kept_set(p, k, nucleus):
    """By trial of all subsets: the k most probable, then the smallest most probable set with mass ≥ nucleus."""
    ids = range(len(p))

    def best(size, q):  # of all sets of a size the one with most mass; of equal ones the first
        return max(itertools.combinations(ids, size), key=lambda s: (round(sum(q[i] for i in s), 13), [-i for i in s]))

    if k is not None and k < len(p):
        keep = best(k, p)
        p = [p[i] if i in keep else 0 for i in ids]
        p = [x / sum(p) for x in p]
    if nucleus is not None and nucleus < 1:
        for size in range(1, len(p) + 1):
            keep = best(size, p)
            if sum(p[i] for i in keep) >= nucleus - 1e-12:
                p = [p[i] if i in keep else 0 for i in ids]
                break
    return [x / sum(p) for x in p]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=6),
    st.one_of(st.none(), st.integers(1, 8)),
    st.one_of(st.none(), st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), st.floats(0.01, 1)),
)
def test_top_k_and_top_p_keep_what_trial_of_all_subsets_keeps(weights, top_k, top_p):
    p = np.array(weights) / sum(weights)
    got = decoding.probabilities(np.log(p), top_k=top_k, top_p=top_p)
    expected = kept_set(p.tolist(), top_k, top_p)
    np.testing.assert_array_equal(got > 0, np.array(expected) > 0)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_ties_and_bounds():
    p = decoding.probabilities(np.zeros(4), top_k=2)
    np.testing.assert_array_equal(p, [0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(decoding.probabilities(np.zeros(4), top_p=0.5), [0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(decoding.probabilities(np.zeros(4), top_p=1e-9), [1, 0, 0, 0])
    logits = np.log([0.7, 0.1, 0.1, 0.05, 0.05])  # 0.7 + 0.1 + 0.1 rounds to less than 0.9
    np.testing.assert_array_equal(decoding.probabilities(logits, top_p=0.9) > 0, [1, 1, 1, 0, 0])
    for everything in ({"top_k": 5}, {"top_k": 99}, {"top_p": 1}, {"top_k": np.int64(5), "top_p": 1.0}):
        np.testing.assert_allclose(decoding.probabilities(logits, **everything), np.exp(logits), rtol=1e-12)
    masked = decoding.probabilities([0.0, -np.inf, 0.0], top_k=3, top_p=1)
    np.testing.assert_allclose(masked, [0.5, 0, 0.5])


def test_each_row_is_decided_for_itself():
    logits = np.random.default_rng(0).normal(size=(2, 3, 6))
    together = decoding.probabilities(logits, temperature=0.7, top_k=4, top_p=0.8)
    for i, j in np.ndindex(2, 3):
        alone = decoding.probabilities(logits[i, j], temperature=0.7, top_k=4, top_p=0.8)
        np.testing.assert_allclose(together[i, j], alone, rtol=1e-12)
    before = logits.copy()
    assert decoding.next_token(logits, np.random.default_rng(0), top_p=0.9).shape == (2, 3)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize(
    "how", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.7}, {"temperature": 2, "top_k": 4}]
)
def test_frequencies_are_the_probabilities(how):
    logits = np.array([1.0, 0.2, -np.inf, 0.7, -1.0, 1.3])
    p = decoding.probabilities(logits, **how)
    n = 40_000
    drawn = decoding.next_token(np.tile(logits, (n, 1)), np.random.default_rng(5), **how)
    counts = np.bincount(drawn, minlength=6)
    assert counts[p == 0].sum() == 0
    assert stats.chisquare(counts[p > 0], n * p[p > 0]).pvalue > 1e-3
    again = decoding.next_token(np.tile(logits, (n, 1)), np.random.default_rng(5), **how)
    np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize(
    "logits, how, kind, message",
    [
        ([0.0, 1], {"temperature": -1}, ConfigError, "temperature: expected a number of at least 0, got -1; 0 is"),
        ([0.0, 1], {"temperature": np.nan}, ConfigError, "temperature: .* got nan"),
        ([0.0, 1], {"temperature": np.inf}, ConfigError, "temperature: .* got inf"),
        ([0.0, 1], {"top_k": 0}, ConfigError, "top_k: expected a whole number of at least 1, got 0"),
        ([0.0, 1], {"top_k": 1.5}, ConfigError, "top_k: .* got 1.5"),
        ([0.0, 1], {"top_p": 0}, ConfigError, r"top_p: expected a number in \(0, 1\], got 0"),
        ([0.0, 1], {"top_p": 1.01}, ConfigError, "top_p: .* got 1.01"),
        ([0.0, np.nan], {}, NonFiniteError, "expected finite logits or −∞, got NaN or ∞"),
        ([0.0, np.inf], {}, NonFiniteError, "expected finite logits or −∞"),
        ([-np.inf, -np.inf], {}, NonFiniteError, "every token has a logit of −∞"),
        ([], {}, ShapeError, r"at least one token, got shape \(0,\)"),
        (3.0, {}, ShapeError, r"got shape \(\)"),
        ([1j, 2], {}, DtypeError, "expected real logits, got dtype complex128"),
        (["a"], {}, DtypeError, "expected real logits"),
    ],
)
def test_bad_values(logits, how, kind, message):
    with pytest.raises(kind, match=message) as error:
        decoding.next_token(logits, np.random.default_rng(0), **how)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    with pytest.raises(DtypeError, match="generator is a int, expected a numpy.random.Generator"):
        decoding.next_token([0.0, 1], 0)


# beam search ---------------------------------------------------------------------------------------------------------


class Toy:
    """A model whose logits depend on all tokens so far, by a table; its state is the index into the table."""

    def __init__(self, vocabulary, length, seed):
        self.v = vocabulary
        self.table = np.random.default_rng(seed).normal(
            0, 2, (sum(vocabulary**i for i in range(length + 1)), vocabulary)
        )
        self.calls = []

    def step(self, tokens, state):
        self.calls.append(len(tokens))
        (path,) = state["path"]
        path = np.where(tokens == self.v, 0, path * self.v + tokens + 1)  # the start token is V
        return self.table[path], {"path": (path,)}

    state = {"path": (np.zeros(1, np.int64),)}

    def all(self, end, max_length, alpha):
        """(score, log p, tokens) of every sequence that ends in `end` or has max_length tokens, best first."""
        found = []

        def grow(sequence, path, log_prob):
            if sequence and (sequence[-1] == end or len(sequence) == max_length):
                found.append((log_prob / ((5 + len(sequence)) / 6) ** alpha, log_prob, sequence))
                return
            for token, more in enumerate(special.log_softmax(self.table[path])):
                grow([*sequence, token], path * self.v + token + 1, log_prob + more)

        grow([], 0, 0.0)
        return sorted(found, key=lambda item: -item[0])


def search(toy, **options):
    return decoding.beam_search(toy.step, toy.state, start=toy.v, **options)


@pytest.mark.parametrize("alpha", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("end", [None, 0, 2])
@pytest.mark.parametrize("seed", range(4))
def test_full_width_is_exhaustive_search(seed, end, alpha):
    toy = Toy(3, 4, seed)
    found = search(toy, end=end, width=3**4, max_length=4, alpha=alpha)
    expected = toy.all(end, 4, alpha)
    assert len(found) == len(expected)
    for hypothesis, (score, log_prob, tokens) in zip(found, expected, strict=True):
        assert hypothesis.tokens == tokens
        np.testing.assert_allclose([hypothesis.score, hypothesis.log_prob], [score, log_prob], rtol=1e-9)


def test_width_one_is_greedy():
    toy = Toy(4, 5, 1)
    path, tokens = 0, []
    for _ in range(5):
        tokens.append(int(toy.table[path].argmax()))
        path = path * 4 + tokens[-1] + 1
    (found,) = search(toy, end=None, width=1, max_length=5)
    assert found.tokens == tokens


def test_a_wider_beam_finds_what_greedy_misses():
    """Greedy takes 0.6 · 0.5; the best sequence begins with the less probable token: 0.4 · 0.9."""
    table = {(): [0.6, 0.4], (0,): [0.5, 0.5], (1,): [0.9, 0.1]}
    table = {key: np.log(p) for key, p in table.items()}

    def step(tokens, paths):
        paths = [(*path, token) if token < 2 else () for path, token in zip(paths.tolist(), tokens.tolist())]
        out = np.empty(len(paths), object)
        out[:] = paths
        return np.array([table[path] for path in paths]), out

    start = np.empty(1, object)
    start[0] = ()
    narrow, wide = (
        decoding.beam_search(step, start, start=2, end=None, width=width, max_length=2)[0] for width in (1, 2)
    )
    assert narrow.tokens[0] == 0 and wide.tokens == [1, 0]
    np.testing.assert_allclose([np.exp(narrow.log_prob), np.exp(wide.log_prob)], [0.3, 0.36])


@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_stopping_early_loses_nothing(width, alpha):
    """The same beam, kept until max_length, finds nothing better among its first `width`."""
    for seed in range(6):
        toy = Toy(3, 6, seed)
        toy.table[:, 0] += 2  # so that hypotheses end early
        found = search(toy, end=0, width=width, max_length=6, alpha=alpha)
        scores, beam, done = [h.score for h in found], [([], 0, 0.0)], []
        for length in range(1, 7):
            grown = [
                ([*tokens, token], path * 3 + token + 1, log_prob + more)
                for tokens, path, log_prob in beam
                for token, more in enumerate(special.log_softmax(toy.table[path]))
            ]
            grown = sorted(grown, key=lambda item: -item[2])[:width]
            ended = [item for item in grown if item[0][-1] == 0 or length == 6]
            done += [item[2] / ((5 + length) / 6) ** alpha for item in ended]
            beam = [item for item in grown if item not in ended]
        np.testing.assert_allclose(scores, sorted(done, reverse=True)[:width], rtol=1e-9)
        assert max(toy.calls) <= width
        if alpha == 0 and width == 2:
            assert len(toy.calls) < 6  # and it did stop early


def test_impossible_tokens_are_never_taken():
    logits = np.array([[0.0, -np.inf, -np.inf]])
    found = decoding.beam_search(
        lambda tokens, state: (np.repeat(logits, len(tokens), 0), None), None, start=0, end=1, width=5, max_length=3
    )
    assert [h.tokens for h in found] == [[0, 0, 0]] and found[0].log_prob == 0


def test_length_penalty_prefers_longer():
    assert decoding.length_penalty(1, 0.7) == 1 and decoding.length_penalty(7, 1) == 2
    p = np.log([0.4, 0.35, 0.25])  # ending at once, or going on

    def step(tokens, state):
        return np.tile(p if state[0, 0] == 0 else np.log([0.98, 0.01, 0.01]), (len(tokens), 1)), state + 1

    options = {"start": 2, "end": 0, "width": 3, "max_length": 6}
    short = decoding.beam_search(step, np.zeros((1, 1)), **options)[0]
    long = decoding.beam_search(step, np.zeros((1, 1)), alpha=2.0, **options)[0]
    assert short.tokens == [0] and long.tokens == [1, 0]


@pytest.mark.parametrize(
    "change, kind, message",
    [
        ({"width": 0}, ConfigError, "expected width of at least 1, a whole number, got 0"),
        ({"max_length": 1.5}, ConfigError, "expected max_length of at least 1, a whole number, got 1.5"),
        ({"alpha": -1}, ConfigError, "expected alpha of at least 0, got -1"),
        (
            {"step": lambda tokens, state: (np.zeros(3), None)},
            ShapeError,
            r"expected logits \(1, V\) from step, got \(3,\)",
        ),
        ({"step": lambda tokens, state: (np.zeros((2, 3)), None)}, ShapeError, r"from step, got \(2, 3\)"),
        ({"step": lambda tokens, state: ([[np.nan, 0]], None)}, NonFiniteError, "beam_search: expected finite logits"),
    ],
)
def test_beam_search_refuses(change, kind, message):
    options = {"step": lambda tokens, state: (np.zeros((1, 3)), None), "state": None, "start": 0, "end": 1, "width": 1}
    with pytest.raises(kind, match=message) as error:
        decoding.beam_search(**{**options, "max_length": 3, **change})
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
