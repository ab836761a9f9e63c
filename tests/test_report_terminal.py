"""Tables of the terminal: whole lines when piped, whatever the width, and no name that can steer the terminal."""

import io

import pytest
from rich.console import Console

from report_results import PWNED, assessment, empty_assessment, ranking
from tokenworth.report import assessment_table, plain_text, ranking_table, show
from tokenworth.report.displayed_values import ABSENT


def test_one_line_a_layer_with_the_best_one_marked():
    lines = plain_text(assessment_table(assessment())).splitlines()
    rows = [line for line in lines if line.lstrip("* ")[:1].isdigit()]
    assert [row.split()[0] for row in rows] == ["0", "1", "2", "3", "*4", "5", "6"]


def test_ntps_is_shown_as_its_excess_over_chance():
    result = assessment()
    result.layers[4] |= {"ntps": 0.61, "ntps_chance": 0.54}
    result.layers[5] |= {"ntps": 0.61, "ntps_chance": None}
    lines = plain_text(assessment_table(result)).splitlines()
    best = next(line for line in lines if line.lstrip().startswith("*4"))
    assert "+0.070" in best
    assert "+" not in lines[lines.index(best) + 1]


@pytest.mark.parametrize("width", [20, 80, 300])
def test_piped_output_does_not_depend_on_the_width(width):
    out = io.StringIO()
    show(ranking_table(ranking()), Console(file=out, width=width))
    assert out.getvalue() == plain_text(ranking_table(ranking()))
    assert len([line for line in out.getvalue().splitlines() if "failed: model.safetensors is cut short" in line]) == 1


def test_a_terminal_gets_the_table_at_its_own_width():
    out = io.StringIO()
    show(assessment_table(assessment()), Console(file=out, width=80, force_terminal=True, color_system=None))
    assert "…" not in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_a_narrow_terminal_folds_words_and_keeps_numbers_whole():
    out = io.StringIO()
    show(ranking_table(ranking()), Console(file=out, width=100, force_terminal=True, color_system=None))
    first = next(line for line in out.getvalue().splitlines() if line.lstrip().startswith("1 "))
    for figure in ("0.870", "0.878", "-0.382", "13.9 M", "26.8 s"):
        assert figure in first


def test_ties_failures_and_the_baseline_are_said():
    lines = plain_text(ranking_table(ranking())).splitlines()
    assert [line.split()[1] for line in lines if line.endswith("tied with the best")] == ["all-MiniLM-L6-v2"]
    assert any("TF-IDF + logistic regression" in line and "0.750" in line for line in lines)
    assert any(PWNED in line and "wikinovels-14m@random" in line for line in lines)


def test_names_cannot_steer_the_terminal():
    result = assessment(name="\x1b[31mred\x1b]0;title\x07 [bold]model[/bold]\nsecond line")
    text = plain_text(assessment_table(result))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.splitlines()[0].startswith("[31mred ]0;title [bold]model[/bold] second line on")


def test_a_result_without_numbers_still_has_its_rows():
    lines = plain_text(assessment_table(empty_assessment())).splitlines()
    row = next(line for line in lines if line.lstrip().startswith("*2"))
    assert row.split()[1:] == [ABSENT] * 9
