"""The built-in task: enough classes and texts, names masked, files on one side, nothing imported."""

import subprocess
import sys

import numpy as np
import pytest

from tokenworth.errors import TaskError
from tokenworth.tasks import docstrings, load_task
from tokenworth.tasks.docstrings import comments_of, docstring_table, docstrings_of, mask_names, source_files


@pytest.fixture(scope="module")
def task():
    return load_task("docstrings")


def test_at_least_six_classes_of_several_hundred_texts(task):
    assert task.n_classes >= 6
    assert "scikit-learn" in task.label_names
    totals = np.add(task.counts["classes"]["train"], task.counts["classes"]["test"])
    assert totals.min() >= 300
    assert totals.max() <= docstrings.MAX_TEXTS
    np.testing.assert_allclose(np.array(task.counts["classes"]["test"]) / totals, 0.3, atol=0.01)


def test_texts_are_short_lines_without_names_and_repeats(task):
    texts = [*task.train.texts, *task.test.texts]
    assert len(set(texts)) == len(texts)
    assert task.counts["overlap"] == 0
    assert all(docstrings.MIN_CHARACTERS <= len(text) <= docstrings.MAX_CHARACTERS for text in texts)
    assert all(text == " ".join(text.split()) == mask_names(text) for text in texts)


def test_files_stay_on_one_side_and_none_dominates(task):
    assert task.counts["shared_groups"] == 0
    assert np.bincount(np.concatenate([task.train.groups, task.test.groups])).max() <= docstrings.MAX_PER_FILE


def test_same_seed_same_texts(monkeypatch):
    monkeypatch.setattr(docstrings, "PACKAGES", {"networkx": "networkx"})
    monkeypatch.setattr(docstrings, "MIN_CLASSES", 1)
    first = docstring_table(3)
    assert first.columns == docstring_table(3).columns
    assert first.columns["text"] != docstring_table(4).columns["text"]


def test_building_it_imports_none_of_the_packages():
    code = ("import sys; from tokenworth.tasks.docstrings import source_files; source_files('sympy'); "
            "print([name for name in ('torch', 'sympy', 'datasets', 'sklearn') if name in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Use np.array or numpy.", "Use library.array or library."),
        ("PyTorch's torch.nn, __torch_function__", "library's library.nn, __library_function__"),
        ("scikit-learn, Hugging Face and pd.DataFrame", "library, library and library.DataFrame"),
        ("a torchlight in a spandex np1", "a torchlight in a spandex np1"),
    ],
)
def test_names_are_masked_as_whole_words(text, masked):
    assert mask_names(text) == masked


SOURCE = '''"""Module docstring of this file, which has enough characters to be a text of the task.

Parameters
----------
x : not prose
"""
# first
# second

x = "# not a comment"  # third
class A:
    """Class."""
    def f(self):
        """Method \\d."""
        def g():
            """Inner."""
if x:
    async def h():
        """Guarded."""
'''


def test_docstrings_and_comments_of_a_file(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(SOURCE)
    found = docstrings_of(path)
    assert found[0].startswith("Module docstring")
    assert found[0].endswith("x : not prose")
    assert found[1:] == ["Class.", "Method \\d.", "Guarded."]
    assert comments_of(path) == ["first\nsecond", "third"]
    assert docstrings._beginning(found[0]) == found[0].splitlines()[0]
    path.write_text("def broken(:\n  'x")
    assert docstrings_of(path) == comments_of(path) == []


def test_long_docstrings_are_cut_at_a_word():
    text = docstrings._beginning("word " * 300)
    assert text is not None
    assert text.endswith("word")
    assert docstrings.MAX_CHARACTERS - 5 <= len(text) <= docstrings.MAX_CHARACTERS


def test_source_files_are_sorted_and_without_tests():
    files = source_files("networkx")
    assert files == sorted(files)
    assert len(files) > 100
    assert not any("tests" in path.parts for path in files)
    with pytest.raises(TaskError, match=r"'no_such_package' is not installed.*pip install no_such_package"):
        source_files("no_such_package")


def test_too_few_packages_name_what_to_install(monkeypatch):
    monkeypatch.setattr(docstrings, "PACKAGES", {"networkx": "networkx", "gone": "no_such_package"})
    with pytest.raises(TaskError, match=r"only 1 of the packages.*needs 6; run: pip install gone"):
        load_task("docstrings")
