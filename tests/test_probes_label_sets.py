"""Metrics, thresholds and read-outs of several labels a text, against scikit-learn and plain loops."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.linear_model import LogisticRegression

from tokenworth.errors import SettingError
from tokenworth.probes.bag_of_words import fit_bag_of_words
from tokenworth.probes.folds import grouped_folds, rarest_label
from tokenworth.probes.label_set_logistic import fit_logistic, label_set_probe
from tokenworth.probes.label_set_metrics import (
    LABEL_SET_METRICS,
    fit_label_temperature,
    label_set_value,
    measure_label_sets,
    paired_label_difference,
    reliability,
    sigmoid,
)
from tokenworth.probes.label_thresholds import FEWEST, best_threshold, choose_thresholds, shared_threshold


def drawn(n=300, c=5, seed=0):
    """Labels that follow their probabilities; the last is rare."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.6, 1.5, (n, c))
    probability[:, -1] *= 0.05
    return (rng.random((n, c)) < probability).astype(np.uint8), probability


def test_figures_are_those_of_scikit_learn():
    true, probability = drawn()
    thresholds = np.array([0.3, 0.4, 0.5, 0.6, 0.02])
    predicted = probability >= thresholds
    found = measure_label_sets(true, probability, thresholds)
    for kind in ("micro", "macro", "weighted", "samples"):
        truth = sklearn_metrics.f1_score(true, predicted, average=kind, zero_division=1.0 if kind == "samples" else 0.0)
        assert found[f"{kind}_f1"] == pytest.approx(truth, rel=1e-12)
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(true, predicted))
    assert found["balanced_accuracy"] == pytest.approx(sklearn_metrics.recall_score(true, predicted, average="macro"))
    each = [sklearn_metrics.log_loss(true[:, c], probability[:, c]) for c in range(5)]
    assert found["log_loss"] == pytest.approx(np.mean(each), rel=1e-9)
    assert found["brier"] == pytest.approx(((true - probability) ** 2).mean(), rel=1e-12)
    curve = reliability(true, probability)
    gaps = [abs(row["accuracy"] - row["confidence"]) * row["texts"] for row in curve]
    assert found["ece"] == pytest.approx(sum(gaps) / true.size, rel=1e-9)
    for name in LABEL_SET_METRICS:
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"] or name == "ece"  # resampling adds to it
        assert label_set_value(name, true, probability, thresholds) == pytest.approx(found[name])


def test_an_interval_is_that_of_resampled_texts():
    true, probability = drawn(80)
    rng, half = np.random.default_rng(0), np.full(5, 0.5)
    values = []
    for _ in range(1000):
        rows = rng.integers(0, 80, 80)
        values.append(label_set_value("macro_f1", true[rows], probability[rows], half))
    found = measure_label_sets(true, probability, half, seed=0)
    low, high = np.quantile(values, [0.025, 0.975])
    assert (found["macro_f1_low"], found["macro_f1_high"]) == pytest.approx((low, high))


def test_texts_without_labels_count_where_none_is_predicted():
    true, probability = np.zeros((4, 2), np.uint8), np.zeros((4, 2))
    found = measure_label_sets(true, probability, np.full(2, 0.5))
    assert (found["samples_f1"], found["accuracy"], found["micro_f1"]) == (1.0, 1.0, 0.0)


def test_another_metric_is_refused():
    true, probability = drawn(20)
    with pytest.raises(SettingError, match="metric 'f1' is not understood; choose one of weighted_f1, micro_f1"):
        label_set_value("f1", true, probability, np.full(5, 0.5))


@pytest.mark.parametrize("seed", range(5))
def test_the_best_threshold_is_that_of_trying_all(seed):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 12, 60) / 12  # many are equal
    true = (rng.random(60) < score).astype(int)
    tried = {t: sklearn_metrics.f1_score(true, score >= t) for t in np.unique(score)}
    found = best_threshold(true, score)
    assert sklearn_metrics.f1_score(true, score >= found) == pytest.approx(max(tried.values()))


def test_rare_labels_take_the_shared_threshold():
    true, probability = drawn(300)
    true[:, -1] = 0
    true[: FEWEST - 1, -1] = 1
    chosen = choose_thresholds(true, probability)
    assert chosen[-1] == shared_threshold(true, probability)
    assert chosen[0] == best_threshold(true[:, 0], probability[:, 0])
    half = np.full(5, 0.5)
    assert label_set_value("macro_f1", true, probability, chosen) > label_set_value("macro_f1", true, probability, half)
    assert choose_thresholds(np.zeros((9, 2), int), np.zeros((9, 2))).tolist() == [0.5, 0.5]


def test_the_temperature_brings_overconfident_scores_back():
    true, probability = drawn(2000)
    scores = np.log(probability / (1 - probability))
    assert fit_label_temperature(true, 3 * scores) == pytest.approx(3, rel=0.15)


def test_a_difference_is_that_of_both_figures():
    true, probability = drawn()
    first, second = probability >= 0.3, probability >= 0.6
    value, low, high = paired_label_difference(true, first, second)
    each = [sklearn_metrics.f1_score(true, predicted, average="weighted") for predicted in (first, second)]
    assert value == pytest.approx(each[0] - each[1])
    assert low < value < high


def test_folds_spread_the_rarest_label():
    true, _ = drawn(200)
    rarest = rarest_label(true)
    for row, label in zip(true, rarest, strict=True):
        held = np.flatnonzero(row)
        assert label == (min(held, key=lambda c: true[:, c].sum()) if len(held) else 5)
    folds = grouped_folds(true, 4)
    each = [(true[folds == fold, -1]).sum() for fold in range(4)]
    assert max(each) - min(each) <= 1


def test_logistic_regression_is_scikit_learns_of_every_label():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 6)).astype(np.float32)
    true = (rng.random((200, 3)) < sigmoid(x @ rng.normal(size=(6, 3)))).astype(np.uint8)
    weights, intercept = fit_logistic(x, true, 0.5)
    for c in range(3):
        truth = LogisticRegression(C=0.5, tol=1e-8).fit(x, true[:, c])
        np.testing.assert_allclose(weights[:, c], truth.coef_[0], atol=5e-3)
        assert intercept[c] == pytest.approx(truth.intercept_[0], abs=5e-3)


def test_the_probe_takes_a_label_that_no_text_has():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, 6)).astype(np.float32)
    true = np.stack([x[:, 0] > 0, x[:, 1] > 1, np.zeros(120, bool)], axis=1).astype(np.uint8)
    probe = label_set_probe(x, true)
    probability = sigmoid(probe.linear.scores(x))
    assert probability[:, 2].max() < 0.01
    assert probe.cv_micro_f1 > 0.8
    assert ((probability[:, :2] > 0.5) == true[:, :2]).mean() > 0.9


def test_a_bag_of_words_finds_labels_by_their_words():
    rng = np.random.default_rng(0)
    true = (rng.random((300, 4)) < [0.5, 0.3, 0.1, 0.0]).astype(np.uint8)
    words = ["alpha", "beta", "gamma", "delta"]
    texts = [" ".join([*(w for w, has in zip(words, row, strict=True) if has), "the", f"n{i % 40}"])
             for i, row in enumerate(true)]  # fmt: skip
    model = fit_bag_of_words(texts, true, 4, class_weight="balanced")
    probability = sigmoid(model.scores(["alpha gamma the", "the"]))
    assert (probability > 0.5).tolist() == [[True, False, True, False], [False] * 4]
    assert model.several
