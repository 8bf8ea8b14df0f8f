"""minigen.models.markov against the formulas of Kneser-Ney smoothing, written out with dictionaries."""

import itertools
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from minigen import datasets
from minigen.datasets.remote import find
from minigen.errors import ConfigError, DataError, DtypeError
from minigen.models import decoding
from minigen.models.markov import MarkovChain

TEXTS = st.lists(st.integers(0, 3), min_size=6, max_size=60)


class Naive:
    """Chen & Goodman 1999, interpolated modified Kneser-Ney, one gram at a time."""

    def __init__(self, x, order, V):
        self.V, self.a, self.D = V, [], []
        for j in range(order + 1):
            grams = [tuple(x[i : i + j + 1]) for i in range(len(x) - j)]
            if j == order:
                a = Counter(grams)
            else:
                before = defaultdict(set)
                for i, gram in enumerate(grams):
                    before[gram].add(x[i - 1] if i else "start")
                a = {gram: len(tokens) for gram, tokens in before.items()}
            n = Counter(a.values())
            Y = n[1] / (n[1] + 2 * n[2]) if n[1] * n[2] else 0.5
            D = {0: 0.0}
            for c in (1, 2, 3):
                D[c] = c - (c + 1) * Y * n[c + 1] / n[c] if n[c] else 0
                if D[c] <= 0 or D[c] >= c:
                    D[c] = Y
            self.a.append(a)
            self.D.append(D)

    def p(self, x, context):
        """p(x | context), the context cut to the order."""
        context = tuple(context)[max(len(context) - (len(self.a) - 1), 0) :]
        lower = self.p(x, context[1:]) if context else 1 / self.V
        j = len(context)
        followers = {gram: a for gram, a in self.a[j].items() if gram[:-1] == context}
        total = sum(followers.values())
        if not total:
            return lower
        discount = lambda a: self.D[j][min(a, 3)]
        a = followers.get((*context, x), 0)
        return (a - discount(a)) / total + sum(map(discount, followers.values())) / total * lower


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.integers(0, 4), st.lists(st.integers(0, 4), max_size=15))
def test_formula_D6(text, order, other):
    """The chain's probabilities are those of the formulas, on its own text and on another with an unseen token."""
    chain, naive = MarkovChain(order, 5).fit(text), Naive(text, order, 5)
    for ids in (text[:12], other):
        expected = [np.log(naive.p(x, ids[:t])) for t, x in enumerate(ids)]
        np.testing.assert_allclose(chain.log_prob(ids), expected, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.integers(0, 5), st.lists(st.integers(0, 5), max_size=8))
def test_probabilities_sum_to_one_and_none_is_zero(text, order, context):
    chain = MarkovChain(order, 6).fit(text)
    p = chain.probabilities(context)
    assert p.shape == (6,) and abs(p.sum() - 1) < 1e-12 and p.min() > 0
    scored = [chain.log_prob([*context, x])[-1] for x in range(6)]
    np.testing.assert_allclose(np.log(p), scored, rtol=1e-9)  # the two ways to the same probabilities


def test_all_strings_of_a_length_are_one_event():
    """Σ p(x₁ x₂ x₃ x₄) over all strings is 1: the chain rule with the shorter contexts at the beginning."""
    chain = MarkovChain(2, 3).fit(np.random.default_rng(0).integers(0, 3, 40))
    total = sum(np.exp(chain.log_prob(string).sum()) for string in itertools.product(range(3), repeat=4))
    assert abs(total - 1) < 1e-12


def test_a_known_chain_is_recovered():
    transitions = np.array([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.05, 0.15, 0.8]])
    rng = np.random.default_rng(1)
    x = [0]
    for u in rng.random(60_000).tolist():
        x.append(int(np.searchsorted(transitions[x[-1]].cumsum(), u)))
    train, held_out = np.array(x[:50_000]), np.array(x[50_000:])
    chain = MarkovChain(1, 3).fit(train)
    for state in range(3):
        visits = (train == state).sum()
        spread = np.sqrt(transitions[state] * (1 - transitions[state]) / visits)
        assert (np.abs(chain.probabilities([state]) - transitions[state]) < 4 * spread).all()
    true = -np.log(transitions[held_out[:-1], held_out[1:]]).mean()
    assert true - 0.01 < chain.nats_per_symbol(held_out) < true + 0.01
    assert MarkovChain(0, 3).fit(train).nats_per_symbol(held_out) > true + 0.1
    assert MarkovChain(4, 3).fit(train).nats_per_symbol(held_out) < true + 0.02  # more context does little harm


def by_order(text, orders, size=None):
    tokenizer = datasets.CharTokenizer(text)
    train, validation = datasets.train_validation_split(tokenizer.encode(text))
    return tokenizer.vocab_size, [
        MarkovChain(order, tokenizer.vocab_size).fit(train[:size]).nats_per_symbol(validation) for order in orders
    ]


def test_cross_entropy_falls_with_the_order_on_real_text():
    """Python's documentation, whole held-out tenth: each order below the one before, all far below uniform."""
    vocab_size, nats = by_order(datasets.load_text(), range(5))
    assert nats[0] < np.log(vocab_size) - 0.5
    assert (np.diff(nats) < -0.05).all() and nats[-1] < 2.0


def test_tiny_shakespeare():
    """Where the text is at hand: nats per character of the whole validation split, orders 0 to 6."""
    if find("text", "tinyshakespeare.txt") is None:
        pytest.skip("MINIGEN_DATA has no tinyshakespeare.txt")
    _, nats = by_order(datasets.load_text("tiny-shakespeare"), range(7))
    np.testing.assert_allclose(nats, [3.3473, 2.4835, 2.0381, 1.7191, 1.5612, 1.5226, 1.5165], atol=2e-4)


def test_samples_follow_the_probabilities():
    text = np.random.default_rng(2).choice(4, 300, p=[0.5, 0.3, 0.15, 0.05])
    chain, rng = MarkovChain(1, 4).fit(text), np.random.default_rng(3)
    x = chain.sample([0], 8000, rng)
    assert x.shape == (8000,) and x.dtype == np.int64
    for state in range(3):
        after = np.bincount(x[1:][x[:-1] == state], minlength=4)
        assert stats.chisquare(after, after.sum() * chain.probabilities([state])).pvalue > 1e-3
    np.testing.assert_array_equal(chain.sample([0], 50, np.random.default_rng(3)), x[:50])
    assert len(chain.sample([], 5, rng)) == 5 and len(chain.sample([1], 0, rng)) == 0


def test_the_prompt_is_continued():
    tokenizer = datasets.ByteTokenizer()
    chain = MarkovChain(5, tokenizer.vocab_size).fit(tokenizer.encode("春眠不覺曉，處處聞啼鳥。" * 4))
    going_on = chain.sample(tokenizer.encode("處處聞"), 9, np.random.default_rng(0), temperature=0)
    assert tokenizer.decode(going_on) == "啼鳥。"
    assert len(chain.sample(tokenizer.encode("人工智能"), 30, np.random.default_rng(0))) == 30  # bytes never seen


def test_argmax_repeats_itself_and_sampling_does_not():
    """The argmax is a function of the last k tokens; once they come back, everything does."""
    text = re.sub(r"[*=~^-]{3,}", "", datasets.load_text()[:200_000])  # lines under headings repeat themselves
    tokenizer = datasets.CharTokenizer(text)
    chain, prompt = MarkovChain(4, tokenizer.vocab_size).fit(tokenizer.encode(text)), tokenizer.encode("The ")

    def new_in_the_second_half(**how):
        x = tokenizer.decode(chain.sample(prompt, 800, np.random.default_rng(0), **how))
        seen = {x[i : i + 12] for i in range(388)}
        return np.mean([x[i : i + 12] not in seen for i in range(400, 788)])

    assert new_in_the_second_half(temperature=0) == 0
    assert new_in_the_second_half() > 0.7


def test_truncated_sampling_uses_the_common_rules():
    chain = MarkovChain(1, 4).fit([0, 1, 0, 1, 0, 2, 0, 3, 0, 1])
    kept = decoding.probabilities(np.log(chain.probabilities([0])), top_k=1).argmax()
    for i in range(20):
        assert chain.sample([0], 1, np.random.default_rng(i), top_k=1)[0] == kept == 1


def test_state(tmp_path):
    text = np.random.default_rng(0).integers(0, 5, 500)
    chain = MarkovChain(3, 5).fit(text)
    np.savez(tmp_path / "chain.npz", **chain.state_dict())
    other = MarkovChain(3, 5)
    with np.load(tmp_path / "chain.npz") as state:
        other.load_state_dict(dict(state))
    np.testing.assert_array_equal(other.log_prob(text), chain.log_prob(text))
    other.shares[0] *= 0  # the state was copied
    assert chain.state_dict()["shares.0"].min() > 0
    for wrong, message in [
        (MarkovChain(2, 5), "not that of a chain of order 2"),
        (MarkovChain(3, 3), "vocabulary of 3"),
    ]:
        with pytest.raises(DataError, match=message):
            wrong.load_state_dict(chain.state_dict())
        assert wrong.grams == []


def test_a_large_vocabulary_does_not_overflow():
    """A million characters, order 6: the number of possible grams is 10⁴², but rows are counted, not grams."""
    text = np.random.default_rng(0).integers(0, 1_000_000, 2000)
    chain = MarkovChain(6, 1_000_000).fit(text)
    assert chain.nats_per_symbol(text) < 3  # it knows its own text
    assert chain.nats_per_symbol(text[::-1]) > 7
    assert abs(chain.probabilities(text[:6]).sum() - 1) < 1e-9


def test_it_refuses():
    chain = MarkovChain(2, 4).fit([0, 1, 2, 3, 0, 1])
    rng = np.random.default_rng(0)
    for call, kind, message in [
        (lambda: MarkovChain(-1, 4), ConfigError, "order of at least 0, a whole number, got -1"),
        (lambda: MarkovChain(1.5, 4), ConfigError, "got 1.5"),
        (lambda: MarkovChain(1, 0), ConfigError, "vocab_size of at least 1, got 0"),
        (lambda: MarkovChain(3, 4).fit([0, 1, 2]), DataError, "needs more than 3 tokens, got 3"),
        (lambda: chain.log_prob([4]), DataError, "expected ids from 0 to 3, got 4 to 4"),
        (lambda: chain.sample([-1], 3, rng), DataError, "expected ids from 0 to 3, got -1"),
        (lambda: chain.log_prob([0.5]), DtypeError, "expected integer ids"),
        (lambda: chain.sample([0], -1, rng), ConfigError, "n of at least 0, got -1"),
        (lambda: chain.sample([0], 3, 0), DtypeError, "generator is a int"),
        (lambda: chain.sample([0], 3, rng, top_p=2), ConfigError, "top_p"),
        (lambda: chain.nats_per_symbol([]), DataError, "at least one token"),
        (lambda: MarkovChain(1, 4).log_prob([0]), ConfigError, r"call fit\(ids\) first"),
        (lambda: MarkovChain(1, 4).sample([0], 1, rng), ConfigError, r"call fit\(ids\) first"),
    ]:
        with pytest.raises(kind, match=message) as error:
            call()
        assert "\n" not in str(error.value) and str(error.value).endswith(".")
