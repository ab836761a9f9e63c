"""One metric code for all routes: scores of the test texts, read once, become figures and predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.routes.endpoint_predictor import ENDPOINT
from tokenworth.adaptation.storage.adapt_result import NO_CLASS_NAME, Mistake, Mistakes
from tokenworth.base.aliases import Floats, Ints
from tokenworth.errors import AdaptError
from tokenworth.probes.metrics import confusion, label_scores
from tokenworth.probes.probability_metrics import (
    calibration_curve,
    evened,
    fit_temperature,
    measure,
    metric_value,
    predicted_classes,
    softmax,
)
from tokenworth.tasks import Task
from tokenworth.tasks.split import sample

FEW_CLASSES = 200
"""Up to so many classes the whole confusion matrix and all probabilities are kept."""


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Everything measured of a fitted route."""

    metrics: dict[str, float]
    train_metrics: dict[str, float]
    validation: dict[str, float]
    temperature: float
    confusion: Mistakes
    calibration: list[dict[str, float]]
    predictions: pd.DataFrame
    majority: dict[str, float]
    """Metrics of always saying the most frequent class of the training texts; its probabilities would say nothing."""
    thresholds: tuple[float, ...] | None = None
    """From which probability on each of several labels is predicted; None where a text has one class."""


def evaluate_route(job: Job, fitted: Fitted) -> Evaluation:
    """Temperature on the validation part, then the test split once, then training texts."""
    temperature, validation = _validation(job, fitted)
    task, test = job.task, job.task.test
    most_frequent = np.bincount(job.train.labels).argmax()
    constant, _ = label_scores(test.labels, np.full(len(test), most_frequent), job.n_classes)
    probability_NC = softmax(finite_scores(fitted, test.texts) / temperature)
    return Evaluation(
        metrics=measure(test.labels, probability_NC, seed=job.seed),
        train_metrics=_on_train(job, fitted, temperature),
        validation=validation,
        temperature=temperature,
        confusion=_confusion(task, predicted_classes(probability_NC)),
        calibration=calibration_curve(test.labels, probability_NC),
        predictions=_table(task, probability_NC),
        majority={name: float(values[0]) for name, values in constant._asdict().items()},
    )


def most_train_texts(route: str) -> int:
    """Training texts at most on which a route is evaluated."""
    return ROUTES[route].train_texts


def _on_train(job: Job, fitted: Fitted, temperature: float) -> dict[str, float]:
    """Empty for an endpoint: nothing has learnt from the texts, and each would be paid for."""
    if fitted.predictor.kind == ENDPOINT:
        return {}
    train = job.train.take(sample(job.train.labels, most_train_texts(job.route), job.seed))
    probability_NC = softmax(finite_scores(fitted, train.texts) / temperature)
    return {"texts": len(train), **measure(train.labels, probability_NC, seed=job.seed)}


def finite_scores(fitted: Fitted, texts: list[str]) -> Floats:
    """Scores of texts (N, C).  AdaptError: some are no finite numbers; of an endpoint they are answers without one."""
    scores_NC = fitted.predictor.scores(texts)
    if fitted.predictor.kind == ENDPOINT:
        return scores_NC
    if not np.isfinite(scores_NC).all():
        row = int(np.flatnonzero(~np.isfinite(scores_NC).all(1))[0])
        raise AdaptError(
            f"the scores of text {row} ({texts[row][:40]!r}) are no finite numbers; choose dtype float32, or a lower lr"
        )
    return scores_NC


def _validation(job: Job, fitted: Fitted) -> tuple[float, dict[str, float]]:
    part = job.validation
    if part is None:
        return 1.0, {}
    scores_NC = finite_scores(fitted, part.texts)
    told_N = np.isfinite(scores_NC).all(1)
    temperature = 1.0
    if job.config.calibrate and told_N.any():
        temperature = fit_temperature(part.labels[told_N], scores_NC[told_N])
    value = metric_value(job.config.metric, part.labels, softmax(scores_NC / temperature))
    return temperature, {"texts": len(part), job.config.metric: value}


def _confusion(task: Task, predicted_N: Ints) -> Mistakes:
    """The counts for few classes; the most frequent mistakes for any number of them."""
    wide, names = task.n_classes + 1, (*task.label_names, NO_CLASS_NAME)
    pairs = task.test.labels * wide + predicted_N % wide
    wrong, counts = np.unique(pairs[task.test.labels != predicted_N], return_counts=True)
    worst = np.argsort(-counts, kind="stable")[:30]
    mistakes = list[Mistake]()
    for pair, count in zip(wrong[worst], counts[worst], strict=True):
        true, predicted = (names[place] for place in divmod(int(pair), wide))
        mistakes.append({"true": true, "predicted": predicted, "texts": int(count)})
    if task.n_classes > FEW_CLASSES:
        return {"mistakes": mistakes}
    table = confusion(task.test.labels, predicted_N, task.n_classes)
    return {"mistakes": mistakes, "labels": list(task.label_names), "counts": table.tolist()}


def _table(task: Task, probability_NC: Floats) -> pd.DataFrame:
    names, predicted_N = np.array([*task.label_names, NO_CLASS_NAME], dtype=object), predicted_classes(probability_NC)
    probability_NC = evened(probability_NC)
    table = pd.DataFrame(
        {
            "text": task.test.texts,
            "label": names[task.test.labels],
            "predicted": names[predicted_N],
            "correct": task.test.labels == predicted_N,
            "confidence": probability_NC.max(1),
        }
    )
    if task.n_classes > FEW_CLASSES:
        return table
    return table.assign(**{f"p_{name}": probability_NC[:, i] for i, name in enumerate(task.label_names)})
