"""Recited spans: a planted one is found, counts are those of a slow search, distances those of a plain recursion."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from measured_models import random_decoder, texts, tokenizer, train
from tokenworth.errors import SettingError
from tokenworth.measures import measure_memorisation
from tokenworth.measures.corpus_spans import Spans
from tokenworth.measures.memorisation import edit_distance
from tokenworth.measures.token_rows import packed

SPAN, BEFORE = 8, 6


def planted():
    """100 documents of random words; one passage of 14 stands in 50 of them."""
    passage = texts(1, SPAN + BEFORE, seed=99)[0].split()
    documents = [text.split() for text in texts(100, 30)]
    for i in range(50):
        at = i % (30 - len(passage))
        documents[i][at : at + len(passage)] = passage
    return [" ".join(words) for words in documents]


def test_what_stands_often_is_recited_and_what_stands_once_is_not():
    decoder, documents = random_decoder(initializer_range=0.1), planted()
    rows = torch.tensor(decoder.tokenizer(documents)["input_ids"])
    train(decoder, rows, 250)
    settings = {"prefixes": (2, BEFORE), "span": SPAN}
    found = measure_memorisation(decoder, documents, texts(40, 30, seed=5), **settings)
    rates = {(row["prefix"], row["times"]): row for row in found.rates}
    assert rates[BEFORE, 32]["exact"] == 1
    assert rates[BEFORE, 32]["exact_low"] > rates[BEFORE, 1]["exact_high"]
    assert rates[BEFORE, 1]["exact"] < 0.1  # some hold most of the passage and a word behind it
    assert rates[BEFORE, 0]["exact"] == 0
    assert {row["times"] for row in found.rates} >= {0, 1, 32}
    assert found.examples == sorted(found.examples, key=lambda one: one["times"])
    assert all(any(one["text"] in text for text in documents) for one in found.examples)
    assert measure_memorisation(decoder, documents, texts(40, 30, seed=5), **settings) == found


def test_spans_are_counted_as_a_slow_search_counts_them():
    decoder = random_decoder()
    documents = texts(40, 12, words=3)
    stream, place = packed(decoder, documents)
    spans = Spans.of(stream, place, 4)
    rows = [tuple(row) for text in documents for row in windows([0, *decoder.tokenizer(text)["input_ids"]], 4)]
    assert sum(spans.times_U) == len(rows)
    assert len(spans.times_U) == len(set(rows))
    for at in np.flatnonzero(place == 2)[:30]:
        assert spans.times(at) == rows.count(tuple(stream[at : at + 4]))
    for times, places in spans.sample(place, 5, 10, np.random.default_rng(0)).items():
        assert len(places) == len(set(places)) <= 10
        assert all(place[at] >= 5 and times <= spans.times(at) < 2 * times for at in places)


def test_unseen_spans_stand_nowhere_in_the_corpus():
    decoder = random_decoder()
    stream, place = packed(decoder, texts(20, 12, words=3))
    other, other_place = packed(decoder, texts(20, 12, words=3, seed=1))
    spans = Spans.of(stream, place, 5)
    unseen = spans.unseen(Spans.of(other, other_place, 5))
    corpus = {tuple(row) for row in windows(stream.tolist(), 5)}
    found = unseen.sample(other_place, 3, 50, np.random.default_rng(0))
    assert list(found) == [0]
    assert found[0]
    assert all(tuple(other[at : at + 5]) not in corpus for at in found[0])


def windows(ids, size):
    return [ids[i : i + size] for i in range(len(ids) - size + 1)]


def test_edit_distance_is_the_recursion():
    rng = np.random.default_rng(0)
    a, b = rng.integers(3, size=(20, 7)), rng.integers(3, size=(20, 7))

    @lru_cache
    def slow(x, y):
        if not x or not y:
            return len(x) + len(y)
        return min(slow(x[1:], y) + 1, slow(x, y[1:]) + 1, slow(x[1:], y[1:]) + (x[0] != y[0]))

    assert edit_distance(a, b).tolist() == [slow(tuple(x), tuple(y)) for x, y in zip(a, b, strict=True)]


def test_short_documents_are_refused():
    with pytest.raises(SettingError, match="has 21 tokens, and a prefix of 64 with a span of 32 takes 96"):
        measure_memorisation(random_decoder(max_position_embeddings=128), texts(3, 20))
    with pytest.raises(SettingError, match="take 1 or more"):
        measure_memorisation(random_decoder(), texts(3, 20), span=0)


def test_the_tokenizer_of_these_tests_reads_words():
    assert tokenizer()("w0 w5")["input_ids"] == [1, 6]
