"""The flow chart "which route for me": every leaf rests on a figure of docs/results, and says so."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
result_tables, route_chart, evidence = (
    importlib.import_module(name) for name in ("result_tables", "route_chart", "route_evidence")
)
Leaf, Question, QUESTIONS = evidence.Leaf, evidence.Question, evidence.QUESTIONS
LEAVES = [leaf for question in QUESTIONS for leaves in question.ends.values() for leaf in leaves]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_a_leaf_rests_on_a_page(leaf):
    made = route_chart.checked(leaf())
    assert (ROOT / "docs" / "results" / f"{made.page}.md").is_file()
    assert any(letter.isdigit() for letter in made.evidence)
    assert "nan" not in made.evidence


def test_questions_lead_on_but_the_last():
    assert [bool(question.on) for question in QUESTIONS] == [True] * (len(QUESTIONS) - 1) + [False]


def test_both_drawings_and_the_list_hold_every_leaf():
    chart = route_chart.chart()
    wide, narrow, words = chart.split("</svg>")
    for made in (leaf() for leaf in LEAVES):
        for drawing in (wide, narrow):
            assert f'<a href="results/{made.page}.html">' in drawing
        assert f"{made.do} {made.evidence} [{result_tables.title(made.page)}](results/{made.page}.md)" in words


def test_what_the_tables_no_longer_bear_is_not_drawn():
    stale = replace(LEAVES[0](), holds=False)
    with pytest.raises(LookupError, match="does not bear what the chart advises"):
        route_chart.chart((Question("Is it so?", {"no": (lambda: stale,)}),))


def test_words_are_escaped():
    leaf = Leaf("<b>a</b>", "1 & 2", "index")
    assert "<b>" not in route_chart.chart((Question("a < b?", {"no": (lambda: leaf,)}),)).split("## ")[0]


@pytest.mark.parametrize(("page", "heading"), [("nowhere", ""), ("suggest", "Nowhere"), ("suggest", "Reading")])
def test_a_table_that_is_not_there_is_said(page, heading):
    with pytest.raises(LookupError, match=page):
        result_tables.table(page, heading)


def test_numbers_are_read_as_pages_write_them():
    cells = ["**0.910**", "+1.8 ± 1.8", "0.031 (0.01 to 0.06)", "", "1,000", "9.7e13"]
    found = [result_tables.number(cell) for cell in cells]
    assert found[:3] == [0.91, 1.8, 0.031]
    assert found[3] != found[3]
    assert found[4:] == [1000, 9.7e13]
