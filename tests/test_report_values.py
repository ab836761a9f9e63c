"""Numbers and names as they are shown."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tokenworth.report.pages.panel_words as panel_words
from report_results import assessment
from tokenworth.report.displayed_values import (
    ABSENT,
    clean,
    cut,
    duration,
    facts,
    hover,
    label,
    labels,
    number,
    parameters,
    sentence,
    short,
    shown,
    tight,
)
from tokenworth.report.pages.class_charts import balance_panel, confusion_panel, most_confused, recall_panel
from tokenworth.report.pages.depth_charts import depth_panel
from tokenworth.report.pages.panel_words import metric_of, panel_of
from tokenworth.report.pages.theme import band
from tokenworth.report.result_values import layers_text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "text", True, [1]])
def test_what_is_no_finite_number_is_absent(value):
    assert number(value) is None
    assert shown(value) == ABSENT


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.12345, 3, "0.123"),
        (1234.4, 0, "1,234"),
        (0.0001, 3, "0.0001"),
        (0.000391, 3, "0.00039"),
        (-0.0002, 3, "-0.0002"),
        (0.00001, 3, "1.0e-05"),
        (0, 3, "0.000"),
        (np.float32(0.5), 3, "0.500"),
    ],
)
def test_rounding_keeps_small_numbers_apart_from_zero(value, digits, text):
    assert shown(value, digits) == text


def test_intervals():
    assert tight(0.1, 0.25) == f"0.100{ABSENT}0.250"
    assert tight(-0.1, 0.25) == "-0.100 to 0.250"
    assert tight(None, 0.25) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (3720, "1 h 02 min"), (None, ABSENT)]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_names_are_cleaned_cut_and_escaped_in_this_order():
    assert clean("a\x1b[31m\n b\u202ec") == "a [31m b c"
    assert clean("\t ") == "(empty)"
    assert cut("x" * 30, 10) == "x" * 9 + "…"
    assert label("<b>&" + "x" * 40, 6) == "&lt;b&gt;&amp;x…"
    assert hover("<i> " + "word " * 20).startswith("&lt;i&gt; word")
    assert "<br>" in hover("word " * 20)


def test_labels_that_would_be_cut_to_the_same_keep_their_ends():
    names = ["balance_not_updated_after_cheque", "balance_not_updated_after_transfer", "card_<arrival>", "x" * 30]
    kept = ["balance_not_up…_cheque", "balance_not_up…ransfer"]
    assert labels(names, 22)[:2] == [label(name, 22) for name in kept]
    assert labels(names, 22)[2:] == ["card_&lt;arrival&gt;", "x" * 21 + "…"]
    assert labels(["same", "same"], 3) == ["sa…", "sa…"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("/a/b/models/tiny", "…/models/tiny"), ("Qwen/Qwen2-0.5B", "Qwen/Qwen2-0.5B"), ("/tiny", "/tiny"),
     (r"C:\models\runs\tiny", "…/runs/tiny"), ("tiny@random", "tiny@random")],
)  # fmt: skip
def test_paths_keep_their_end(name, text):
    assert short(name) == text


def test_one_wild_interval_does_not_flatten_a_curve():
    result = assessment()
    result.layers[1] |= {"hscore_low": -40.0, "hscore_high": 40.0}
    low, high = depth_panel(metric_of("hscore"), result).figure["layout"]["yaxis"]["range"]
    assert 0 < low < 0.09
    assert 0.5 < high < 0.7


def test_reasons_become_sentences():
    assert sentence("N too small") == "N too small."
    assert sentence("saturated: r >= d.") == "Saturated: r >= d."


@pytest.mark.parametrize(
    ("layers", "text"), [([3], "layer 3"), ([0, 1, 2], "layers 0 to 2"), ([5, 0, 1, 3], "layers 0 to 1, 3 and 5")]
)
def test_layers_are_joined(layers, text):
    assert layers_text(layers) == text


@pytest.mark.parametrize(
    ("count", "text"), [(13_900_000, "13.9 M"), (1_240_000_000, "1.24 B"), (999, "999"), (None, ABSENT)]
)
def test_parameters(count, text):
    assert parameters(count) == text


def test_facts_open_mappings_and_count_long_lists():
    found = facts({"counts": {"overlap": 3, "train": list(range(77))}, "random": False, "off": None, "tokens": 182331})
    assert found == [("counts, overlap", "3"), ("counts, train", "77 entries"), ("random", "no"), ("tokens", "182,331")]


def test_a_band_breaks_where_an_end_is_missing():
    low, high = [0.1, 0.2, None, 0.4, None], [0.3, 0.4, 0.5, 0.6, 0.7]
    strip, lone = band([0, 1, 2, 3, 4], low, high)
    assert (strip["x"], strip["y"]) == ([0, 1, 1, 0], [0.3, 0.4, 0.2, 0.1])
    assert (lone["x"], lone["y"]) == ([3, 3], [0.4, 0.6])


def test_hundreds_of_classes_are_cut_to_the_largest_and_say_so():
    result = assessment(160)
    balance, matrix = balance_panel(result), confusion_panel(result)
    assert balance.note == "The 150 largest of 160 classes are shown."
    assert len(balance.figure["data"][0]["y"]) == len(recall_panel(result).figure["data"][1]["y"]) == 150
    assert matrix.figure is None
    assert "160 classes are too many for a matrix" in matrix.reason


def test_the_most_frequent_mistakes_come_first():
    counts = [[5, 1, 0], [0, 9, 3], [0, 0, 0]]
    result = replace(assessment(3), confusion={"labels": ["a", "b", "c"], "counts": counts})
    first, second = most_confused(result)
    assert (first.true, first.predicted, first.count, first.share) == ("b", "c", 3, 0.25)
    assert (second.true, second.predicted, second.count) == ("a", "b", 1)


def test_a_panel_gives_one_reason_and_points_to_the_rest():
    result = assessment()
    flags = [{"layer": layer, "score": "ntps_ridge", "reason": f"penalty {layer}"} for layer in range(7)]
    result.flags.extend(flags)
    assert depth_panel(metric_of("ntps"), result).note == "Penalty 0. More of this kind under “What not to trust here”."


def test_the_words_of_every_panel_are_there_and_used():
    source = "".join(path.read_text(encoding="utf-8") for path in Path(panel_words.__file__).parent.glob("*.py"))
    asked = set(re.findall(r'panel_of\(\s*"([^"]+)"', source))
    assert asked == set(panel_words._words()["panels"])
    assert panel_of("confusion", who="this route", which="").title == "What this route takes for what"
