"""Documents of the installed packages: none that the task shows, none twice, the same on every call."""

import numpy as np
import pytest

import tokenworth.pretraining.data.package_texts as texts
from tokenworth.pretraining import package_texts
from tokenworth.tasks import load_task
from tokenworth.tasks.docstrings import mask_names


@pytest.fixture(scope="module")
def shown():
    task = load_task("docstrings")
    return [*task.train.texts, *task.test.texts]


@pytest.fixture(scope="module")
def found(shown):
    return package_texts(exclude=shown, max_bytes=400_000)


def test_no_text_of_the_task_occurs_in_a_document(shown, found):
    assert set(shown).isdisjoint(found)
    everything = "\n".join(found)
    assert not [text for text in shown if text in everything]
    unfiltered = "\n".join(package_texts(max_bytes=400_000))
    assert sum(text in unfiltered for text in shown) > 20  # there was something to leave out


def test_documents_are_masked_lines_and_unlike(found):
    assert len(set(found)) == len(found) > 500
    assert all(len(text) >= texts.MIN_CHARACTERS for text in found)
    assert all(text == " ".join(text.split()) == mask_names(text) for text in found)
    sizes = np.cumsum([len(text.encode()) for text in found])
    assert sizes[-2] < 400_000 <= sizes[-1]


def test_one_seed_one_result():
    first = package_texts(seed=1, max_bytes=50_000)
    assert first == package_texts(seed=1, max_bytes=50_000)
    assert set(first) != set(package_texts(seed=2, max_bytes=50_000))


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "tw_words"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(texts, "PACKAGES", {})
    monkeypatch.setattr(texts, "OTHERS", ("tw_words", "no_such_package"))
    return folder


SHOWN = "Returns the np.array of all rows that were\n    read from the file before the last call"
FILE = f'''"""A module of which one function says what the task shows, and of others."""
# A comment of two lines, of which neither alone
# would be long enough to count as a document.
# short


def f():
    """First. {SHOWN}. Then more."""
'''


def test_a_file_that_holds_an_excluded_text_is_left_out_whole(package):
    (package / "a.py").write_text(FILE)
    whole = package_texts()
    assert sorted(text.split()[0] for text in whole) == ["A", "A", "First."]
    assert any("library.array of all rows that were read" in text for text in whole)
    assert package_texts(exclude=[SHOWN]) == []
    assert package_texts(exclude=["Short.", "Returns the array of none of the rows that were read at all"]) == whole


def test_an_excluded_comment_counts_and_repeats_do_not(package):
    (package / "a.py").write_text(FILE)
    (package / "b.py").write_text(FILE)
    assert len(package_texts()) == 3
    assert package_texts(exclude=["of which neither alone would be long enough to count"]) == []
