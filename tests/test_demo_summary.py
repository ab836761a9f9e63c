"""What the demo concludes, from made-up predictions."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from planted import planted_task
from report_results import adapted, assessment, decided
from tokenworth.demo.story_summary import Findings, examples_of, headline, summarise

TASK = planted_task(80, 200)


def predictions(share, seed):
    """Labels of the test texts, of which a share is right."""
    right = np.random.default_rng(seed).random(len(TASK.test)) < share
    return np.where(right, TASK.test.labels, (TASK.test.labels + 1) % TASK.n_classes).tolist()


def findings(trained, random, words, run=None):
    """Of classifiers that are right in such shares."""
    decision = decided(labels=False)
    decision = replace(decision, recommended={**decision.options[0], "model": "m"})
    result = None
    if run is not None:
        named = [TASK.label_names[place] for place in predictions(run, 3)]
        result = replace(adapted(), predictions=pd.DataFrame({"predicted": named}))
    bow = {"predictions": predictions(words, 2), "f1": words, "f1_low": words, "f1_high": words, "seconds": 2.0}
    return Findings(
        task=TASK, name="the model", trained=replace(assessment(), predictions=predictions(trained, 0)),
        random=replace(assessment(seed=1), predictions=predictions(random, 1)), words=bow, words_of_all=None, labels=80,
        decision=decision, run=result,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "told", "reason"),
    [
        ((0.95, 0.6, 0.7), "pretraining pays", "both beyond the noise of 200 test texts"),
        ((0.95, 0.95, 0.7), "the network pays, its pretraining does not show", "but not its pretraining"),
        ((0.6, 0.6, 0.95), "a bag of words is better than the pretrained network", "plain words are ahead"),
        ((0.8, 0.6, 0.8), "a pretrained network is no better than a bag of words, as far as can be told", "is open"),
        ((0.8, 0.6, 0.8, 0.98), "the network pays once it is adapted", "adapted as advised at"),
        ((0.95, 0.6, 0.7, 0.98), "pretraining pays", "both beyond the noise"),
    ],
)
def test_what_is_concluded(shares, told, reason):
    of_all = findings(*shares)
    assert headline(of_all) == told
    assert reason in summarise(of_all)[1]


def test_the_price_names_more_labels_where_there_are_any():
    few = findings(0.9, 0.6, 0.7)
    assert "labels" not in summarise(few)[2]
    many = replace(few, words_of_all={**few.words, "f1": 0.99}, labels=900)
    assert "taught by all 900 the bag of words reaches 0.990, more than the network by 80" in summarise(many)[2]


def test_a_prediction_that_did_not_hold_is_said():
    sentence = summarise(findings(0.9, 0.6, 0.7, 0.9))[3]
    assert "0.900 was predicted (0.850 to 0.940)" in sentence
    assert sentence.endswith("it reaches 0.871, inside the interval.")
    off = findings(0.9, 0.6, 0.7, 0.9)
    off.decision.recommended["f1_low"] = 0.88
    assert summarise(off)[3].endswith("outside the interval.")


def test_without_a_route_that_can_be_had_there_is_no_run():
    nothing = replace(findings(0.9, 0.6, 0.7), decision=SimpleNamespace(recommended=None, options=[], settings={}))
    assert summarise(nothing)[3] == "No route could be had within the budget."
    assert [row.kind for row in nothing.measured()] == ["words", "random", "trained"]


def test_examples_are_drawn_by_the_seed():
    of_all = findings(0.9, 0.6, 0.7)
    first = examples_of(of_all, 0)
    assert first == examples_of(of_all, 0) != examples_of(of_all, 1)
    place = TASK.test.texts.index(first[0].text)
    assert first[0].guesses["the model"] == TASK.label_names[of_all.trained.predictions[place]]
