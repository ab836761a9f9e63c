"""The second built-in task: what a sentence describes, without its words' giving the package or the layout away."""

import numpy as np
import pytest

from tokenworth.errors import TaskError
from tokenworth.tasks import docstring_kinds, load_task
from tokenworth.tasks.docstring_kinds import kind_table
from tokenworth.tasks.docstrings import mask_names

SOURCE = '''"""Tools for numpy arrays that several of the others need. More of it."""
class A:
    """A container of things, which are kept
    in their order.

    Not the first sentence.
    """
    def f(self):
        """Return what is kept in the place that was asked for."""
    async def g(self):
        """lower case does not begin a sentence of the task."""
def h():
    """=============== A heading that gives it away ===="""
'''


@pytest.fixture(scope="module")
def task():
    return load_task("docstring-kinds")


def test_three_kinds_of_several_hundred_sentences(task):
    assert task.label_names == ("class", "function", "module")
    totals = np.add(task.counts["classes"]["train"], task.counts["classes"]["test"])
    assert totals.min() >= 400
    assert totals.max() <= docstring_kinds.MAX_TEXTS * 8


def test_sentences_are_masked_lines_and_files_stay_on_one_side(task):
    texts = [*task.train.texts, *task.test.texts]
    assert len(set(texts)) == len(texts)
    assert all(docstring_kinds.MIN_CHARACTERS <= len(text) <= docstring_kinds.MAX_CHARACTERS for text in texts)
    assert all(text == " ".join(text.split()) == mask_names(text) for text in texts)
    assert task.counts["shared_groups"] == 0


def test_fewer_labels_leave_the_test_texts_as_they_are(task):
    few = task.sample_train(90)
    assert len(few.train) == 90
    assert set(few.train.texts) < set(task.train.texts)
    assert few.test.texts == task.test.texts
    assert few.counts["rows"] == {"train": 90, "test": len(task.test)}
    assert few.notes[-1].startswith(f"Sampled, stratified by class with seed 0: 90 of {len(task.train):,} training and")
    assert few.fingerprint != task.fingerprint
    assert task.sample_train(10**6) is task


def test_what_a_sentence_describes(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(SOURCE)
    monkeypatch.setattr(docstring_kinds, "PACKAGES", {"made": "made"})
    monkeypatch.setattr(docstring_kinds, "source_files", lambda _: [tmp_path / "a.py"])
    columns = kind_table(0).columns
    assert dict(zip(columns["text"], columns["label"], strict=True)) == {
        "Tools for library arrays that several of the others need.": "module",
        "A container of things, which are kept in their order.": "class",
        "Return what is kept in the place that was asked for.": "function",
    }


def test_same_seed_same_texts(monkeypatch):
    monkeypatch.setattr(docstring_kinds, "PACKAGES", {"networkx": "networkx"})
    first = kind_table(3).columns
    assert first == kind_table(3).columns
    assert first["text"] != kind_table(4).columns["text"]


def test_without_sources_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(docstring_kinds, "PACKAGES", {"gone": "no_such_package"})
    with pytest.raises(TaskError, match="docstring-kinds: no sources of the packages are here; run: pip install gone"):
        kind_table(0)
