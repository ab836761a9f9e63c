"""Measures of variety on cases with known answers, and their alarm when a model learns from its own samples."""

import json
import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from test_corpus_build import made
from tokenworth.corpus.corpus_settings import Source
from tokenworth.corpus.diversity import diversity, self_bleu
from tokenworth.corpus.output.build_report import describe
from tokenworth.corpus.output.variety import REAL, Variety, allowed, pieces, varieties


def test_distinct_runs_are_counted():
    found = diversity(["a b a b", "A, b!"])
    assert found["distinct_1"] == pytest.approx(2 / 6)
    assert found["distinct_2"] == pytest.approx(2 / 4)
    assert found["distinct_4"] == 1.0


def test_self_bleu_of_equal_and_of_foreign_texts():
    one = "the quick brown fox jumps over the lazy dog".split()  # noqa: SIM905
    assert self_bleu([one, one]) == pytest.approx(1.0)
    assert self_bleu([one, [f"x{word}" for word in one]]) == 0.0
    assert self_bleu([one]) == 0.0


def test_self_bleu_is_its_formula():
    """Precisions 4/5, 3/4, 2/3, 1/2 one way and the other; lengths are equal."""
    left, right = "a b c d x".split(), "a b c d y".split()  # noqa: SIM905
    assert self_bleu([left, right]) == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_no_texts_are_no_error():
    assert diversity([]) == {
        "distinct_1": 0,
        "distinct_2": 0,
        "distinct_3": 0,
        "distinct_4": 0,
        "self_bleu": 0,
        "compression": 0,
    }


def generation(texts, rng):
    """A model of pairs of words, trained on texts and sampled a little below its own temperature."""
    follows = defaultdict(Counter)
    for text in texts:
        words = ["<", *text.split()]
        for before, after in pairwise(words):
            follows[before][after] += 1
    made = []
    for text in texts:
        word, words = "<", []
        while len(words) < len(text.split()):
            nexts = follows.get(word) or follows["<"]
            (word,) = rng.choices(list(nexts), [count**1.5 for count in nexts.values()])
            words.append(word)
        made.append(" ".join(words))
    return made


def test_collapse_is_seen():
    """Each generation learns from the one before alone; every measure moves the way that means less variety."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(400)]
    texts = [" ".join(rng.choices(vocabulary, [1 / (i + 1) for i in range(400)], k=40)) for _ in range(150)]
    rows = [diversity(texts)]
    for _ in range(4):
        texts = generation(texts, rng)
        rows.append(diversity(texts))
    for name, sign in (("distinct_1", -1), ("distinct_2", -1), ("self_bleu", 1), ("compression", 1)):
        values = [sign * row[name] for row in rows]
        assert values == sorted(values), (name, values)
        assert abs(values[-1]) > 1.2 * abs(values[0]) or abs(values[-1]) < abs(values[0]) / 1.2


# -- beside real text ---------------------------------------------------------------------------------------------


def zipfian(n, seed, vocabulary=2000):
    """Texts of 60 words drawn by Zipf's law."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(vocabulary)]
    return [" ".join(rng.choices(words, [1 / (i + 1) for i in range(vocabulary)], k=60)) for _ in range(n)]


def collapsed(texts, generations):
    rng = random.Random(1)
    for _ in range(generations):
        texts = generation(texts, rng)
    return texts


def test_pieces_are_equal_amounts():
    found = pieces(["a " * 130, "b " * 90])
    assert [len(piece.split()) for piece in found] == [100, 100]
    assert found[1].split() == ["a"] * 30 + ["b"] * 70


def test_text_as_varied_as_real_text_has_a_ratio_of_one_and_collapsed_text_less():
    real = zipfian(200, 0)
    sources = (Source(name="real"), Source(name="as good", synthetic=True), Source(name="bad", synthetic=True),
               Source(name="short", synthetic=True))  # fmt: skip
    texts = {REAL: real, "as good": zipfian(150, 1), "bad": collapsed(zipfian(150, 2), 4), "short": zipfian(3, 3)}
    found = varieties(texts, sources)
    assert [one.source for one in found] == [REAL, "as good", "bad"]
    assert found[0].ratio is None
    assert found[1].ratio == pytest.approx(1, abs=0.06)
    assert found[2].ratio < 0.8
    assert (found[2].distinct_4, found[2].self_bleu) < (found[1].distinct_4, 1.0)


def test_below_the_limit_a_source_is_cut_and_below_half_of_it_refused():
    rows = [Variety(name, 0.5, 0.5, 0.1, 2.0, ratio) for name, ratio in
            ((REAL, None), ("good", 0.9), ("fair", 0.6), ("bad", 0.3))]  # fmt: skip
    parts, notes = allowed(rows, 0.8)
    assert parts == {"fair": pytest.approx(0.75), "bad": 0.0}
    told = "of the variety of real text, below the 0.8 of least_variety"
    assert notes == [
        f"source fair has 0.60 {told}: 75% of what it would give is taken",
        f"source bad has 0.30 {told}: nothing of it is taken",
    ]
    assert allowed(rows, None) == ({}, [])


def test_a_build_measures_and_cuts_what_models_wrote(tmp_path):
    for name, texts in (
        ("real", zipfian(120, 0)),
        ("varied", zipfian(120, 1)),
        ("dull", collapsed(zipfian(60, 2), 3) * 2),
    ):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    sources = {name: {"path": f"{name}.jsonl", "synthetic": name != "real"} for name in ("real", "varied", "dull")}
    flow, before = made(tmp_path, sources=sources, stages=["extract"])
    told = describe(flow, tmp_path / "out")["variety"]
    assert [row["source"] for row in told] == [REAL, "varied", "dull"]
    assert all(row["part"] == 1 for row in told)
    assert before["source"].value_counts().to_dict() == {"real": 120, "varied": 120, "dull": 120}
    measured = {path: path.stat().st_mtime_ns for path in flow.root.glob("variety-*.json")}
    flow, after = made(tmp_path, sources=sources, stages=["extract"], mix={"least_variety": 0.9})
    assert {path: path.stat().st_mtime_ns for path in flow.root.glob("variety-*.json")} == measured
    counts = after["source"].value_counts().to_dict()
    assert (counts["real"], counts["varied"]) == (120, 120)
    assert counts.get("dull", 0) < 100
    assert any("source dull has" in note for note in flow.notes)
    weights = {"real": 0.5, "varied": 0.25, "dull": 0.25}
    weighted = {name: {**own, "weight": weights[name]} for name, own in sources.items()}
    flow, _ = made(tmp_path, sources=weighted, stages=["extract"], mix={"least_variety": 0.9})
    mix = {row["source"]: row["got_share"] for row in describe(flow, tmp_path / "out")["mix"]}
    assert mix["dull"] < 0.22
    assert mix["real"] == pytest.approx(2 * mix["varied"], rel=0.05)
