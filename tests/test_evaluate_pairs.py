"""The scores of translations, by hand on sentences short enough for it."""

import math
import sys

import pytest

from minigen.evaluation.pairs import scores, table


def test_formula_B13():
    """BLEU = min(1, e^(1 − r/c)) (p₁ p₂ p₃ p₄)^¼;  ROUGE-L = 2 P R / (P + R) with P = LCS / c, R = LCS / r."""
    made, target = "the cat sat on the red mat today", "the cat sat on the mat today again and again"
    p = 7 / 8, 5 / 7, 3 / 6, 2 / 5  # n-grams of 8 words that are among those of the target's 10
    found = scores([made], [[target]])
    assert found["bleu"] == pytest.approx(100 * math.exp(1 - 10 / 8) * math.prod(p) ** 0.25)
    precision, recall = 7 / 8, 7 / 10  # the longest common subsequence leaves out "red"
    assert found["rouge_l"] == pytest.approx(100 * 2 * precision * recall / (precision + recall))
    assert 0 < found["chrf"] < 100


def test_chinese_is_cut_into_characters():
    found = scores(["我今天很高兴啊"], [["我今天非常高兴啊"]])
    assert found["rouge_l"] == pytest.approx(100 * 2 * 6 / (7 + 8))  # 我今天高兴啊
    assert found["bleu"] > 0


def test_the_best_of_several_targets_counts():
    found = scores(["a b c d", "x y z w"], [["no", "a b c d"], ["x y z w"]])
    assert found == pytest.approx({"bleu": 100, "chrf": 100, "rouge_l": 100})


def test_without_the_packages_the_table_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    assert scores(["a"], [["a"]]) == {}
    report = {"sources": 1, "data": "dates", "exact": {"mean": 1.0, "standard_error": 0.0}, "wrong": []}
    assert 'pip install "minigen[metrics]"' in table("seq2seq", report)
