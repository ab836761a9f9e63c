"""Metrics of probabilities against scikit-learn and against the definition."""

import numpy as np
import pytest
import sklearn.metrics as slow

from tokenworth.errors import SettingError
from tokenworth.probes import fit_bag_of_words, mcnemar, measure
from tokenworth.probes.logistic import from_logistic
from tokenworth.probes.probability_metrics import (
    BINS,
    METRICS,
    calibration_curve,
    check_metric,
    fit_temperature,
    is_better,
    metric_value,
    softmax,
)


def planted(n=400, n_classes=4, seed=0, sharpness=2.0):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, n_classes, n)
    scores = rng.normal(size=(n, n_classes))
    scores[np.arange(n), true] += 1
    return true, sharpness * scores


def test_every_metric_is_that_of_scikit_learn():
    true, scores = planted()
    p = softmax(scores)
    predicted, found = p.argmax(1), measure(true, p)
    assert found["weighted_f1"] == pytest.approx(slow.f1_score(true, predicted, average="weighted"))
    assert found["macro_f1"] == pytest.approx(slow.f1_score(true, predicted, average="macro"))
    assert found["accuracy"] == pytest.approx(slow.accuracy_score(true, predicted))
    assert found["balanced_accuracy"] == pytest.approx(slow.balanced_accuracy_score(true, predicted))
    assert found["log_loss"] == pytest.approx(slow.log_loss(true, p))
    assert found["brier"] == pytest.approx(np.mean(np.sum((p - np.eye(4)[true]) ** 2, axis=1)))


def test_the_calibration_error_is_that_of_its_definition():
    true, scores = planted(seed=1)
    p = softmax(scores)
    confidence, hit = p.max(1), p.argmax(1) == true
    error = 0.0
    for i in range(BINS):
        inside = (confidence > i / BINS) & (confidence <= (i + 1) / BINS)
        if inside.any():
            error += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    assert measure(true, p)["ece"] == pytest.approx(error)
    assert sum(row["texts"] for row in calibration_curve(true, p)) == len(true)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """95 % intervals of 100 draws from one population: between 88 and 99 % cover its value."""
    whole_true, whole_scores = planted(20_000, seed=2)
    truth = measure(whole_true, softmax(whole_scores))
    inside = dict.fromkeys(("weighted_f1", "log_loss", "brier"), 0)
    for draw in range(100):
        rows = np.random.default_rng(draw).integers(0, 20_000, 200)
        found = measure(whole_true[rows], softmax(whole_scores[rows]), seed=draw)
        for name in inside:
            inside[name] += found[f"{name}_low"] <= truth[name] <= found[f"{name}_high"]
    assert all(88 <= covered <= 99 for covered in inside.values()), inside


@pytest.mark.parametrize("name", METRICS)
def test_one_metric_is_the_same_alone(name):
    true, scores = planted()
    assert metric_value(name, true, softmax(scores)) == pytest.approx(measure(true, softmax(scores))[name])


def test_a_certain_and_wrong_prediction_has_a_finite_loss():
    found = measure(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert found["log_loss"] == pytest.approx(-np.log(1e-15) / 2)


def test_unknown_metrics_and_no_texts_are_refused():
    with pytest.raises(SettingError, match="choose one of weighted_f1"):
        check_metric("f1")
    with pytest.raises(ValueError, match="no held-out texts"):
        measure(np.zeros(0, dtype=int), np.zeros((0, 2)))
    assert is_better("log_loss", 1.0, 2.0)
    assert is_better("accuracy", 2.0, 1.0)
    assert not is_better("accuracy", 1.0, 1.0)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_wrong_scale(factor):
    """Labels drawn from softmax(scores) itself: scaled scores need the temperature of the scale."""
    rng = np.random.default_rng(3)
    scores = 2 * rng.normal(size=(20_000, 3))
    true = np.array([rng.choice(3, p=row) for row in softmax(scores)])
    assert fit_temperature(true, factor * scores) == pytest.approx(factor, rel=0.05)


def test_mcnemar_is_the_sign_test_on_texts_that_differ():
    true = np.zeros(20, dtype=int)
    first, second = true.copy(), true.copy()
    first[:2], second[5:15] = 1, 1
    assert mcnemar(true, first, second) == (10, 2, pytest.approx(2 * sum([1, 12, 66]) / 2**12))
    assert mcnemar(true, first, first) == (0, 0, 1.0)


@pytest.mark.parametrize("classes", [[0, 1], [0, 1, 2], [0, 2]], ids=["two", "three", "one missing"])
def test_a_logistic_model_as_plain_arrays_gives_its_own_probabilities(classes):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 5)), np.array(classes)[np.arange(90) % len(classes)]
    mean, scale = x.mean(0), x.std(0)
    model = LogisticRegression().fit((x - mean) / scale, y)
    found = softmax(from_logistic(model, 3, mean_D=mean, scale_D=scale).scores(x))
    np.testing.assert_allclose(found[:, classes], model.predict_proba((x - mean) / scale), atol=1e-9)
    assert found.sum(1) == pytest.approx(1)


def test_a_bag_of_words_without_words_says_the_shares_of_the_classes():
    fitted = fit_bag_of_words(["", " ", "\n"], np.array([0, 0, 1]), 2)
    np.testing.assert_allclose(softmax(fitted.scores(["...", "word"])), [[2 / 3, 1 / 3]] * 2)
