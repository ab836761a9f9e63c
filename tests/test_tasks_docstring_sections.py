"""The built-in task of several labels: summaries of docstrings, and the sections that stand below them."""

import pytest

from tokenworth.errors import TaskError
from tokenworth.tasks import docstring_sections, load_task
from tokenworth.tasks.docstring_sections import SECTIONS, summary_and_sections
from tokenworth.tasks.docstrings import mask_names

DOCSTRING = """Solve an equation of numpy arrays.

It may be singular.

Parameters
----------
a : array
    Returns nothing.

Returns
-------
x : array

See Also
--------
solve
"""


def test_a_summary_ends_at_the_first_section():
    text, sections = summary_and_sections(DOCSTRING)
    assert text == "Solve an equation of library arrays. It may be singular."
    assert sections == ["parameters", "returns", "see also"]


@pytest.mark.parametrize("docstring", ["Only a summary of thirty characters and more.", "Short.\n\nNotes\n-----\nx"])
def test_docstrings_without_sections_or_with_short_summaries_are_left_out(docstring):
    assert summary_and_sections(docstring) is None


def test_two_thousand_summaries_of_several_packages():
    task = load_task("docstring-sections")
    assert task.several
    assert set(task.label_names) <= {section.lower() for section in SECTIONS}
    assert task.counts["rows"]["train"] + task.counts["rows"]["test"] > 1500
    assert task.counts["label_sets"]["train"]["mean"] > 2
    assert not set(task.train.groups) & set(task.test.groups)
    for text in task.test.texts:
        assert text == mask_names(text)
        assert "\n" not in text


def test_without_sources_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(docstring_sections, "PACKAGES", {"nowhere": "tokenworth_nowhere"})
    with pytest.raises(TaskError, match="docstring-sections: no sources of the packages are here; run: pip install"):
        load_task("docstring-sections")
