"""Planted test texts: what is found at each n, and nothing else."""

import random

import numpy as np
import pytest

from tokenworth.corpus import contamination
from tokenworth.corpus.filters.contamination import COLUMNS, index_of, load_index, look, save_index
from tokenworth.errors import SettingError
from tokenworth.tasks.task import Split, Task, count

RNG = random.Random(0)
WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "re", "su") for b in ("ban", "dor", "fil", "gat", "hom", "pel")]


def sentence(words):
    return " ".join(RNG.choices(WORDS, k=words))


def task_of(train, test, notes=()):
    parts = [Split(texts, np.arange(len(texts)) % 2) for texts in (train, test)]
    return Task("planted", "here", ("a", "b"), *parts, tuple(notes), count(*parts, 2), 0)


TASK = task_of(
    [sentence(30) for _ in range(20)], [sentence(30), sentence(20), "A short but whole Sentence, here!", "tiny one"]
)
FILLER = [sentence(400) for _ in range(10)]


def planted(text):
    return f"{FILLER[0]} {text} {FILLER[1]}"


def test_verbatim_recased_and_repunctuated_texts_are_found_in_full():
    text = TASK.test.texts[0]
    other = ", ".join(text.upper().split()) + "?!"
    found = contamination([FILLER[2], planted(text), planted(other)], TASK)
    assert list(found.columns) == list(COLUMNS)
    assert found[["document", "split", "row", "words", "matches", "share"]].to_dict("records") == [
        {"document": i, "split": "test", "row": 0, "words": 13, "matches": 18, "share": 1.0} for i in (1, 2)
    ]
    assert found["start"].tolist() == [len(FILLER[0]) + 1] * 2
    assert text.startswith(found["excerpt"][0])


@pytest.mark.parametrize(("n", "matches"), [(5, 21), (8, 15), (13, 5), (15, 1), (16, 0)])
def test_one_changed_word_leaves_the_runs_that_do_not_hold_it(n, matches):
    """Of 30 words the 15th is changed: runs of n within the 14 before and the 15 behind are left."""
    words = TASK.test.texts[0].split()
    words[14] = "other"
    expected = max(0, 14 - n + 1) + max(0, 15 - n + 1)
    assert expected == matches
    found = contamination([planted(" ".join(words))], TASK, n=n)
    assert found["matches"].sum() == matches


def test_short_texts_are_looked_for_as_a_whole():
    found = contamination([planted("a SHORT but whole sentence here"), planted("tiny one")], TASK)
    assert found[["document", "row", "words", "share"]].to_dict("records") == [
        {"document": 0, "row": 2, "words": 6, "share": 1.0}
    ]
    assert index_of([TASK]).too_short == 1


def test_the_test_split_comes_first():
    found = contamination([planted(TASK.train.texts[3]), planted(TASK.test.texts[1])], TASK)
    assert found[["document", "split", "row"]].to_dict("records") == [
        {"document": 1, "split": "test", "row": 1}, {"document": 0, "split": "train", "row": 3},
    ]  # fmt: skip


def test_clean_texts_have_no_hit():
    found = contamination(FILLER, TASK)
    assert len(found) == 0
    assert list(found.columns) == list(COLUMNS)


def test_hits_are_those_of_plain_sets():
    rng = random.Random(5)
    small = "abcde"
    task = task_of(
        [" ".join(rng.choices(small, k=12)) for _ in range(6)], [" ".join(rng.choices(small, k=12)) for _ in range(6)]
    )
    texts = [" ".join(rng.choices(small, k=200)) for _ in range(5)]

    def runs(text):
        words = text.split()
        return {tuple(words[i : i + 6]) for i in range(len(words) - 5)}

    plain = {
        (i, split, row)
        for i, text in enumerate(texts)
        for split in ("test", "train")
        for row, own in enumerate(getattr(task, split).texts)
        if runs(text) & runs(own)
    }
    found = contamination(texts, task, n=6)
    assert {(row.document, row.split, row.row) for row in found.itertuples()} == plain
    assert plain


def test_what_to_look_for_comes_back_from_files(tmp_path):
    index = index_of([TASK])
    save_index(tmp_path / "index", index)
    texts = [planted(one) for one in TASK.test.texts]
    assert look(texts, load_index(str(tmp_path / "index"))) == look(texts, index)


def test_runs_of_no_words_are_refused():
    with pytest.raises(SettingError, match="n = 0"):
        contamination(["a"], TASK, n=0)
