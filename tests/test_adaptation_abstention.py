"""Answers within a certified risk, and label sets: bounds against what happens, and the command on real files."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from commands import ending as tokenworth
from planted import planted_task, rows_of, write_rows
from report_results import adapted
from tokenworth.adaptation import AdaptResult
from tokenworth.adaptation.evaluation.abstention import risk_curve
from tokenworth.probes.selective_prediction import (
    SHARES,
    certified_threshold,
    error_bound,
    label_sets,
    least_texts,
    risk_coverage,
    set_threshold,
    thresholds,
)

# --- arrays


@pytest.mark.parametrize(("errors", "answered"), [(0, 1), (0, 60), (3, 100), (40, 41)])
def test_the_bound_is_where_so_few_errors_become_unlikely(errors, answered):
    bound = error_bound(errors, answered, 0.02)
    assert binom.cdf(errors, answered, bound) == pytest.approx(0.02)
    assert error_bound(answered, answered, 0.02) == 1.0
    assert error_bound(0, 0, 0.02) == 1.0


def drawn(rng, n):
    """Confidences of three decimals, and answers that are right as often as the square root of it says."""
    confidence = np.round(rng.uniform(0.5, 1, n), 3)
    return confidence, rng.random(n) < np.sqrt(confidence)


def true_risk(least):
    """Of the texts above a threshold, by integration."""
    grid = np.linspace(max(least + 5e-4, 0.5), 1, 2000)
    return 1 - np.sqrt(grid).mean()


@pytest.mark.parametrize(("risk", "certainty"), [(0.1, 0.8), (0.12, 0.9)])
def test_a_certified_risk_is_broken_no_more_often_than_said(risk, certainty):
    """2,000 held-out parts of 300; the standard error of the share that may break it is at most .009."""
    rng, broken, certified, answered = np.random.default_rng(0), 0, 0, []
    for _ in range(2000):
        found = certified_threshold(*drawn(rng, 300), risk, certainty)
        if found is not None:
            certified += 1
            broken += true_risk(found.confidence) > risk
            answered.append(found.answered / 300)
    assert certified > 200
    assert broken / 2000 <= 1 - certainty + 0.03
    assert 0.05 < np.mean(answered) < 1


def test_thresholds_answer_what_is_above_them_and_ties_stay_together():
    confidence = np.array([0.9, 0.9, 0.9, 0.8, 0.8, 0.7, 0.6, 0.6, 0.6, 0.5])
    correct = np.array([1, 1, 0, 1, 1, 1, 1, 0, 1, 1], dtype=bool)
    found = thresholds(confidence, correct, 0.95)
    assert [entry.answered for entry in found] == [10, 9, 6, 6, 6, 5, 3, 3, 0, 0]
    assert [entry.errors for entry in found] == [2, 2, 1, 1, 1, 1, 1, 1, 0, 0]
    assert all(entry.bound == error_bound(entry.errors, entry.answered, 0.005) for entry in found)
    coverage, error = risk_coverage(confidence, correct)
    assert coverage.tolist() == pytest.approx([0.3, 0.5, 0.6, 0.9, 1.0])
    assert error.tolist() == pytest.approx([1 / 3, 1 / 5, 1 / 6, 2 / 9, 2 / 10])


def test_the_fewest_texts_are_the_fewest():
    n = least_texts(0.05, 0.95)
    right = np.ones(n, dtype=bool)
    assert certified_threshold(np.linspace(0.5, 1, n), right, 0.05, 0.95) is not None
    assert certified_threshold(np.linspace(0.5, 1, n - 1), right[:-1], 0.05, 0.95) is None


@pytest.mark.parametrize("share", [0.8, 0.9])
def test_label_sets_hold_the_true_class_as_often_as_said(share):
    """Coverage over draws of 50 held-out texts and one more is at least the share, at most 1/51 more plus the top."""
    rng, held = np.random.default_rng(1), []
    for _ in range(4000):
        probability = rng.dirichlet([0.5] * 5, 51)
        true = np.array([rng.choice(5, p=row) for row in probability])
        least = set_threshold(probability[np.arange(50), true[:50]], share)
        held.append(label_sets(probability[50:], least)[0, true[50]])
    assert share - 0.015 < np.mean(held) < share + 0.05


def test_sets_are_never_empty_and_too_few_texts_give_none():
    assert label_sets(np.array([[0.4, 0.3, 0.3]]), 0.9).tolist() == [[True, False, False]]
    assert set_threshold(np.linspace(0.1, 1, 9), 0.9) == pytest.approx(0.1)
    assert set_threshold(np.linspace(0.1, 1, 8), 0.9) is None


# --- the command


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_rows(home / "reviews.csv", rows_of(planted_task(300, 500, own=0.12)))
    write_rows(home / "few.csv", rows_of(planted_task(60, 40)))
    planted = planted_task(400, 10, own=0.12, seed=4).train
    pd.DataFrame({"text": planted.texts, "label": planted.labels}).to_csv(home / "new.csv", index=False)
    for file in ("reviews", "few"):
        tokenworth("adapt", f"{file}.csv", "--route", "bow", "--test", 0.6, "--out", file, "--quiet", cwd=home)
    return home


def test_risk_answers_some_texts_and_hands_the_others_back(home):
    assert AdaptResult.load(home / "reviews").metrics["accuracy"] < 0.9
    tokenworth("predict", "reviews", "new.csv", "--to", "all.csv", cwd=home)
    told = tokenworth("predict", "reviews", "new.csv", "--risk", 0.1, "--to", "some.csv", cwd=home).err
    some, every = (pd.read_csv(home / name, keep_default_na=False) for name in ("some.csv", "all.csv"))
    answered = some["answered"].to_numpy()
    assert 0 < answered.sum() < len(some)
    assert f"answered: {answered.sum():,} of 400 texts" in told
    assert (some["predicted"][answered] == every["predicted"][answered]).all()
    assert (some["predicted"][~answered] == "").all()
    assert some["confidence"][answered].min() > some["confidence"][~answered].max()
    labels = pd.read_csv(home / "new.csv")["label"].map("class {}".format)
    assert (some["predicted"][answered] != labels[answered]).mean() < 0.1


def test_sets_name_classes_by_probability(home):
    rows = json.loads(tokenworth("predict", "reviews", "new.csv", "--sets", 0.9, "--json", cwd=home).out)
    labels = pd.read_csv(home / "new.csv")["label"].map("class {}".format)
    assert {len(row["set"]) for row in rows} == {1, 2}
    assert all(row["set"][0] == row["predicted"] for row in rows)
    held = np.mean([label in row["set"] for row, label in zip(rows, labels, strict=True)])
    assert held > 0.9 - 3 * math.sqrt(0.09 / 400) - 3 * math.sqrt(0.09 / 480)
    tokenworth("predict", "reviews", "new.csv", "--sets", 0.9, "--to", "sets.csv", cwd=home)
    assert [json.loads(cell) for cell in pd.read_csv(home / "sets.csv")["set"]] == [row["set"] for row in rows]


def test_what_cannot_be_certified_is_one_sentence(home):
    cases = {
        (
            "few",
            "--risk",
            0.01,
        ): "cannot be certified with so few texts: at a certainty of 0.95 it takes 528 test texts",
        ("reviews", "--risk", 0.02): "the lowest bound of reviews is",
        ("reviews/model", "--risk", 0.1): "holds no result.json",
        ("few", "--sets", 0.999): "need 999 test texts, and few has",
    }
    for (run, *options), message in cases.items():
        told = tokenworth("predict", run, "new.csv", *options, cwd=home, code=1)
        assert message in told.err
        assert told.err.count("\n") == 1
    assert "--risk" in tokenworth("predict", "few", "new.csv", "--risk", 1.5, cwd=home, code=2).err


def test_the_curve_of_the_page_is_that_of_the_predictions(home):
    result = AdaptResult.load(home / "reviews")
    curve = risk_curve(result)
    assert curve["coverage"][-1] == 1
    assert curve["error"][-1] == pytest.approx(1 - result.metrics["accuracy"])
    assert curve["shares"] == list(SHARES)
    assert all(bound > 0 for bound in curve["bounds"])
    page = (home / "reviews" / "report.html").read_text(encoding="utf-8")
    assert 'id="chart-abstention"' in page
    assert risk_curve(adapted()) is None
