"""The one metric code where a text may have several labels: scores become thresholds, figures and predictions.

Axes: N texts, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tokenworth.adaptation.evaluation.evaluation import (
    FEW_CLASSES,
    Evaluation,
    finite_scores,
    most_train_texts,
)
from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.storage.adapt_result import Mistake, Mistakes
from tokenworth.assessment.label_rows import label_rows
from tokenworth.base.aliases import Floats
from tokenworth.probes.label_set_metrics import (
    HALF,
    LABEL_SET_METRICS,
    fit_label_temperature,
    label_set_value,
    measure_label_sets,
    reliability,
    sigmoid,
)
from tokenworth.probes.label_thresholds import choose_thresholds
from tokenworth.tasks import Task
from tokenworth.tasks.split import sample

_LISTED = 30


@dataclass(frozen=True, eq=False, slots=True)
class _Reading:
    """How scores are read."""

    temperature: float
    thresholds_C: Floats

    def probabilities(self, scores_NC: Floats) -> Floats:
        return sigmoid(scores_NC / self.temperature)


def evaluate_label_sets(job: Job, fitted: Fitted) -> Evaluation:
    """Temperature and thresholds on the validation part, then the test split once, then training texts."""
    reading, validation = _reading(job, fitted)
    task, test = job.task, job.task.test
    probability_NC = reading.probabilities(finite_scores(fitted, test.texts))
    return Evaluation(
        metrics=measure_label_sets(test.labels, probability_NC, reading.thresholds_C, seed=job.seed),
        train_metrics=_on_train(job, fitted, reading),
        validation=validation,
        temperature=reading.temperature,
        confusion=_by_label(task, probability_NC, reading.thresholds_C, job.seed),
        calibration=reliability(test.labels, probability_NC),
        predictions=_table(task, probability_NC, reading.thresholds_C),
        majority=_majority(job),
        thresholds=tuple(map(float, reading.thresholds_C)),
    )


def _reading(job: Job, fitted: Fitted) -> tuple[_Reading, dict[str, float]]:
    """The validation part's own metric is that of the thresholds chosen on it."""
    part, half_C = job.validation, np.full(job.n_classes, HALF)
    if part is None:
        return _Reading(1.0, half_C), {}
    scores_NC = finite_scores(fitted, part.texts)
    temperature = fit_label_temperature(part.labels, scores_NC) if job.config.calibrate else 1.0
    probability_NC = sigmoid(scores_NC / temperature)
    chosen_C = choose_thresholds(part.labels, probability_NC) if job.config.thresholds == "chosen" else half_C
    value = label_set_value(job.config.metric, part.labels, probability_NC, chosen_C)
    return _Reading(temperature, chosen_C), {"texts": len(part), job.config.metric: value}


def _on_train(job: Job, fitted: Fitted, reading: _Reading) -> dict[str, float]:
    train = job.train.take(sample(job.train.labels, most_train_texts(job.route), job.seed))
    probability_NC = reading.probabilities(finite_scores(fitted, train.texts))
    figures = measure_label_sets(train.labels, probability_NC, reading.thresholds_C, seed=job.seed)
    return {"texts": len(train), **figures}


def _majority(job: Job) -> dict[str, float]:
    """Metrics of always saying the most frequent label of the training texts; its probabilities would say nothing."""
    test, most_frequent = job.task.test, int(job.train.labels.sum(0).argmax())
    said_NC, half_C = np.zeros(test.labels.shape), np.full(job.n_classes, HALF)
    said_NC[:, most_frequent] = 1
    names = (name for name in LABEL_SET_METRICS if name not in ("log_loss", "brier", "ece"))
    return {name: label_set_value(name, test.labels, said_NC, half_C) for name in names}


def _by_label(task: Task, probability_NC: Floats, thresholds_C: Floats, seed: int) -> Mistakes:
    """Every label by itself, and which is most often given in the place of which."""
    true_NC, predicted_NC = task.test.labels, (probability_NC >= thresholds_C).astype(np.int64)
    names = task.label_names
    rows = label_rows(task, predicted_NC, seed=seed)
    for row, threshold in zip(rows, thresholds_C, strict=True):
        row["threshold"] = float(threshold)
    missed_NC, wrong_NC = (true_NC > predicted_NC).astype(np.int64), (predicted_NC > true_NC).astype(np.int64)
    together_CC = missed_NC.T @ wrong_NC
    worst = np.argsort(-together_CC, axis=None, kind="stable")[:_LISTED]
    places = [(int(c), int(other)) for c, other in zip(*np.unravel_index(worst, together_CC.shape), strict=True)]
    mistakes = [
        Mistake(true=names[c], predicted=names[other], texts=int(together_CC[c, other]))
        for c, other in places
        if together_CC[c, other]
    ]
    return {"mistakes": mistakes, "by_label": rows}


def _table(task: Task, probability_NC: Floats, thresholds_C: Floats) -> pd.DataFrame:
    predicted_NC = probability_NC >= thresholds_C
    table = pd.DataFrame(
        {
            "text": task.test.texts,
            "label": task.names_of(task.test.labels),
            "predicted": task.names_of(predicted_NC),
            "correct": (task.test.labels == predicted_NC).all(1),
            "confidence": least_sure(probability_NC, thresholds_C),
        }
    )
    if task.n_classes > FEW_CLASSES:
        return table
    return table.assign(**{f"p_{name}": probability_NC[:, i] for i, name in enumerate(task.label_names)})


def least_sure(probability_NC: Floats, thresholds_C: Floats) -> Floats:
    """Of each text (N,) the probability that the label it is least sure of is rightly given, or rightly left out."""
    return np.asarray(np.where(probability_NC >= thresholds_C, probability_NC, 1 - probability_NC).min(1))
