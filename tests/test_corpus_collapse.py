"""Decoders that learn from their own samples: the alarm rings where real text is thrown away, not where it is kept."""

import random
import sys
from pathlib import Path

import pytest

from corpora import sentences
from tokenworth.corpus.diversity import alarm, beside_real

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(scope="module")
def collapse():
    """The script of the experiment."""
    sys.path.insert(0, str(BENCH))
    try:
        import collapse as script
    finally:
        sys.path.remove(str(BENCH))
    return script


def rare_words(n, seed):
    """Documents of 24 words, most of them rare: their frequencies fall as 1 / rank."""
    rng, letters = random.Random(seed), [x + y for x in "bdfgklmnprstvz" for y in "aeiou"]
    names = [first + last for first in letters[:25] for last in letters[25:35]]
    return [" ".join(rng.choices(names, [1 / (i + 1) for i in range(len(names))], k=24)) for _ in range(n)]


@pytest.fixture(scope="module")
def rows(collapse, tmp_path_factory):
    """Three generations of a tiny decoder, by way."""
    settings = collapse.Settings(
        model={"layers": 1, "width": 32, "heads": 2},
        training={"tokens": 60 * 16 * 32, "context": 32, "batch": 16, "lr": 0.015, "held_out_tokens": 500},
        vocabulary=520,
        generations=2,
        temperature=0.9,
    )
    text = collapse.Text(rare_words(200, 0), rare_words(200, 1), rare_words(20, 2))
    folder = tmp_path_factory.mktemp("collapse")
    return {way: list(collapse.generations(text, way, folder / way, settings)) for way in collapse.WAYS}


def test_the_alarm_rings_for_replaced_text_and_not_for_kept_text(rows):
    """Samples lose rare words; learnt from alone, they lose more of them in every generation."""
    assert not any(row["alarms"] for row in rows["accumulate"])
    assert rows["replace"][0]["alarms"] == []
    assert rows["replace"][-1]["alarms"]
    for name in ("distinct_2", "compression"):
        values = [row[name] for row in rows["replace"]]
        assert values == sorted(values, reverse=True)
        assert values[-1] < rows["accumulate"][-1][name]


def test_replaced_text_makes_worse_models_of_real_text(rows):
    assert rows["replace"][0]["bits_per_byte"] == rows["accumulate"][0]["bits_per_byte"]
    assert rows["replace"][-1]["bits_per_byte"] > rows["accumulate"][-1]["bits_per_byte"]
    assert [round(row["real"], 1) for row in rows["accumulate"]] == [1.0, 0.5, 0.3]


def test_variety_of_equal_amounts_does_not_depend_on_how_much_there_is():
    """Distinct runs fall with the amount of text: ten times as much real text is no less varied."""
    many, few = rare_words(600, 0), rare_words(60, 1)
    assert all(abs(value - 1) < 0.1 for value in beside_real(many, few).values())
    assert beside_real(many[:60] * 9, many[60:])["distinct_4"] < 0.3  # 1/9, and runs across documents
    assert alarm(many, few) == []


def test_an_alarm_says_what_to_do():
    (first, *_) = alarm(["to be or not to be"] * 50, sentences(50))
    assert "keep more real text" in first
