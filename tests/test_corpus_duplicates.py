"""Near-duplicates against brute force; words and runs of words against a plain loop."""

import random
import re

import numpy as np
import pytest

from tokenworth.corpus import near_duplicates
from tokenworth.corpus.deduplication.minhash import shingle
from tokenworth.corpus.deduplication.near_duplicates import PLACES, bands, columns_of, gather_from, similarities
from tokenworth.corpus.word_hashes import gram_hashes, words_of
from tokenworth.errors import SettingError

VOCABULARY = [f"word{i}" for i in range(300)]


def plain_runs(text, n=5):
    words = re.findall(r"[^\W_]+", text.lower())
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))} if words else set()


def jaccard(left, right):
    left, right = plain_runs(left), plain_runs(right)
    return len(left & right) / max(1, len(left | right))


def document(rng, words=120):
    return " ".join(rng.choices(VOCABULARY, k=words))


def varied(text, rng, changes):
    words = text.split()
    for _ in range(changes):
        words[rng.randrange(len(words))] = rng.choice(VOCABULARY)
    return " ".join(words)


def corpus(n=80, seed=0):
    """Documents of several lengths, with variants of every similarity."""
    rng = random.Random(seed)
    originals = [document(rng, rng.choice((3, 8, 30, 120, 400))) for _ in range(n)]
    return originals + [varied(text, rng, rng.choice((0, 1, 1, 2, 4, 9))) for text in originals]


def slow_clusters(texts, threshold):
    found = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if jaccard(texts[i], texts[j]) >= threshold:
                old, new = max(found[i], found[j]), min(found[i], found[j])
                found = [new if one == old else one for one in found]
    return found


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_clusters_are_those_of_brute_force(threshold):
    texts = corpus()
    assert near_duplicates(texts, threshold).tolist() == slow_clusters(texts, threshold)


def test_similarity_of_a_candidate_is_exact():
    texts = corpus(30)
    pairs = np.array([(i, j) for j in range(len(texts)) for i in range(j)])
    found = similarities(pairs, gather_from(shingle(texts)))
    np.testing.assert_allclose(found, [jaccard(texts[i], texts[j]) for i, j in pairs], atol=1e-12)


def test_places_of_sketches_agree_as_often_as_sets_are_alike():
    """Standard deviation of the mean over 60 pairs of 128 places: below .006."""
    rng = random.Random(1)
    for length, changes in ((20, 1), (120, 3), (400, 20)):
        texts = [document(rng, length) for _ in range(60)]
        others = [varied(text, rng, changes) for text in texts]
        agree = (shingle(texts).sketches == shingle(others).sketches).mean()
        assert agree == pytest.approx(np.mean([jaccard(a, b) for a, b in zip(texts, others, strict=True)]), abs=0.025)


def test_case_punctuation_and_white_space_do_not_matter():
    assert near_duplicates(["A b, c d e f g!", "a B\n\nc—d e... f g", "a b c d e f h"], 0.9).tolist() == [0, 0, 2]


def test_texts_without_words_are_duplicates_of_equal_ones_only():
    assert near_duplicates(["", "???", "", "!", "???", "a"]).tolist() == [0, 1, 0, 3, 1, 5]
    assert near_duplicates([]).tolist() == []


def test_a_text_is_joined_through_a_third():
    words = [f"w{i}" for i in range(100)]
    chain = [" ".join(words[i : i + 80]) for i in (0, 5, 10)]
    assert jaccard(chain[0], chain[2]) < 0.8 <= jaccard(chain[0], chain[1])
    assert near_duplicates(chain, 0.8).tolist() == [0, 0, 0]


def test_a_thousand_copies_are_one_cluster():
    rng = random.Random(3)
    one = document(rng)
    texts = [varied(one, rng, 1) for _ in range(1000)]
    assert len(set(near_duplicates(texts, 0.5).tolist())) == 1


def test_bands_find_nearly_all_pairs_at_the_threshold():
    for threshold in (0.3, 0.5, 0.8, 0.9, 1.0):
        number, rows = bands(threshold)
        assert number * rows <= PLACES
        assert 1 - (1 - threshold**rows) ** number >= 0.995


@pytest.mark.parametrize("threshold", [0, 1.1, -1])
def test_a_threshold_that_is_none_is_refused(threshold):
    with pytest.raises(SettingError, match="above 0 and up to 1"):
        near_duplicates(["a"], threshold)


def test_how_texts_are_cut_into_blocks_does_not_matter(monkeypatch):
    texts = corpus(20)
    whole = shingle(texts)
    monkeypatch.setattr("tokenworth.corpus.word_hashes.blocks.__defaults__", (100,))
    parts = shingle(texts)
    for name in ("runs", "first", "sketches"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    np.testing.assert_array_equal(columns_of(whole)(3, 5), whole.sketches[:, 3:5].T)


def test_words_are_what_they_look_like():
    texts = ["The cat, the CAT!", "naïve Straße", "日本語 abc", "हिन्दी x", "", "a1_b2", "𝔘x 😀 y", "𠀀𠀁"]  # noqa: RUF001
    words = words_of(texts)
    assert np.diff(words.first).tolist() == [4, 2, 4, 2, 0, 2, 2, 2]
    assert words.hashes[0] == words.hashes[2]
    assert words.hashes[1] == words.hashes[3]
    assert words.starts[:4].tolist() == [0, 4, 9, 13]
    assert words_of(["cat"]).hashes[0] == words_of(["日 cat"]).hashes[1]


@pytest.mark.parametrize("n", [1, 2, 5, 8, 13])
def test_runs_of_words_are_equal_where_their_words_are(n):
    rng = random.Random(n)
    texts = [" ".join(rng.choices("abc", k=40)), "a b", " ".join(rng.choices("abc", k=30))]
    hashes, at = gram_hashes(words_of(texts), n)
    split = [text.split() for text in texts]
    plain = [tuple(own[i : i + n]) for own in split for i in range(len(own) - n + 1)]
    assert len(plain) == len(hashes) == len(at)
    assert len({(one, int(two)) for one, two in zip(plain, hashes, strict=True)}) == len(set(plain)) == len(set(hashes))
