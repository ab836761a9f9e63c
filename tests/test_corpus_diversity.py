"""Measures of variety on cases with known answers, and their alarm when a model learns from its own samples."""

import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from tokenworth.corpus.diversity import diversity, self_bleu


def test_distinct_runs_are_counted():
    found = diversity(["a b a b", "A, b!"])
    assert found["distinct_1"] == pytest.approx(2 / 6)
    assert found["distinct_2"] == pytest.approx(2 / 4)
    assert found["distinct_4"] == 1.0


def test_self_bleu_of_equal_and_of_foreign_texts():
    one = "the quick brown fox jumps over the lazy dog".split()  # noqa: SIM905
    assert self_bleu([one, one]) == pytest.approx(1.0)
    assert self_bleu([one, [f"x{word}" for word in one]]) == 0.0
    assert self_bleu([one]) == 0.0


def test_self_bleu_is_its_formula():
    """Precisions 4/5, 3/4, 2/3, 1/2 one way and the other; lengths are equal."""
    left, right = "a b c d x".split(), "a b c d y".split()  # noqa: SIM905
    assert self_bleu([left, right]) == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_no_texts_are_no_error():
    assert diversity([]) == {
        "distinct_1": 0,
        "distinct_2": 0,
        "distinct_3": 0,
        "distinct_4": 0,
        "self_bleu": 0,
        "compression": 0,
    }


def generation(texts, rng):
    """A model of pairs of words, trained on texts and sampled a little below its own temperature."""
    follows = defaultdict(Counter)
    for text in texts:
        words = ["<", *text.split()]
        for before, after in pairwise(words):
            follows[before][after] += 1
    made = []
    for text in texts:
        word, words = "<", []
        while len(words) < len(text.split()):
            nexts = follows.get(word) or follows["<"]
            (word,) = rng.choices(list(nexts), [count**1.5 for count in nexts.values()])
            words.append(word)
        made.append(" ".join(words))
    return made


def test_collapse_is_seen():
    """Each generation learns from the one before alone; every measure moves the way that means less variety."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(400)]
    texts = [" ".join(rng.choices(vocabulary, [1 / (i + 1) for i in range(400)], k=40)) for _ in range(150)]
    rows = [diversity(texts)]
    for _ in range(4):
        texts = generation(texts, rng)
        rows.append(diversity(texts))
    for name, sign in (("distinct_1", -1), ("distinct_2", -1), ("self_bleu", 1), ("compression", 1)):
        values = [sign * row[name] for row in rows]
        assert values == sorted(values), (name, values)
        assert abs(values[-1]) > 1.2 * abs(values[0]) or abs(values[-1]) < abs(values[0]) / 1.2
