"""The probes a reader compares: majority class, bag of words, ridge and logistic on the best layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, cast

import numpy as np

from tokenworth.assessment.assessment_result import Confusion, FittedProbe, LayerRow, ProbeRow
from tokenworth.assessment.assessment_settings import AssessSettings
from tokenworth.assessment.layer_choice import Candidate, LayerChoice
from tokenworth.base.aliases import Ints
from tokenworth.features import Features
from tokenworth.probes import RidgeProbe, bag_of_words, evaluate, logistic_probe, paired_difference
from tokenworth.probes.metrics import confusion
from tokenworth.tasks import Task


@dataclass(frozen=True, slots=True)
class ProbeTable:
    """Rows as in Assessment.probes, and what is kept of the best probe."""

    rows: list[ProbeRow]
    best: FittedProbe
    """The row of the probe with the best cross-validated accuracy on training texts."""
    bow: FittedProbe
    predictions: list[int]
    confusion: Confusion
    lead: tuple[float, float, float]
    """Weighted F1 of the best probe minus that of the bag of words: value and 95 % paired interval."""


def probe_table(
    features: Features,
    task: Task,
    choice: LayerChoice,
    rows: dict[int, LayerRow],
    ridge: RidgeProbe,
    settings: AssessSettings,
    baseline: dict[str, Any] | None = None,
) -> ProbeTable:
    """Fit what is not fitted yet and evaluate everything on the test texts.

    The logistic probes' figures are also written into the rows of their layers.
    """
    bow = cast("FittedProbe", baseline) if baseline else bow_row(task)
    ridge_row = _row("ridge", "ridge", task, ridge.test_M.numpy(), place=choice.best)
    ridge_row["cv_accuracy"] = rows[choice.best.layer]["cv_accuracy"]
    logistic = [_logistic_row(features, task, place, settings) for place in choice.order[: settings.logistic_layers]]
    for place, row in zip(choice.order, logistic, strict=False):
        rows[place.layer] |= {
            f"logistic_{name}": cast("float", row.get(name))
            for name in ("accuracy", "accuracy_low", "accuracy_high", "f1", "f1_low", "f1_high")
        }
    candidates = [ridge_row, *logistic]
    best = max(candidates, key=lambda row: row["cv_accuracy"])
    predicted = np.asarray(best["predictions"])
    lead = paired_difference(task.test.labels, predicted, np.asarray(bow["predictions"]), task.n_classes)
    table = confusion(task.test.labels, predicted, task.n_classes).tolist()
    most_frequent_M = np.full(len(task.test), np.bincount(task.train.labels).argmax())
    majority = _row("majority class", "majority", task, most_frequent_M)
    return ProbeTable(
        rows=[without_predictions(row) for row in (majority, bow, *candidates)],
        best=best,
        bow=bow,
        predictions=best["predictions"],
        confusion={"probe": best["name"], "labels": list(task.label_names), "counts": table},
        lead=lead,
    )


def bow_row(task: Task) -> FittedProbe:
    """The bag of words on a task, with its predictions, so that it is fitted once for many backbones."""
    start, train = perf_counter(), task.train
    fitted = bag_of_words(train.texts, train.labels, task.test.texts, groups_N=train.units())
    name = f"bag of words ({fitted.recipe})"
    row = _row(name, "bow", task, fitted.test_M, seconds=perf_counter() - start)
    return row | {"setting": fitted.setting, "n_features": fitted.n_features}


def _logistic_row(features: Features, task: Task, place: Candidate, settings: AssessSettings) -> FittedProbe:
    start, train = perf_counter(), task.train
    train_ND, test_MD = features.part("train", *place), features.part("test", *place)
    fitted = logistic_probe(train_ND, train.labels, test_MD, groups_N=train.units(), seed=settings.seed)
    seconds = perf_counter() - start
    row = _row("logistic", "logistic", task, fitted.test_M, place=place, seconds=seconds)
    chosen = {"cv_accuracy": fitted.cv_accuracy, "inverse_penalty": fitted.inverse_penalty}
    return cast("FittedProbe", row | chosen | {"converged": fitted.converged})


def _row(
    name: str, kind: str, task: Task, predicted_M: Ints, *, place: Candidate | None = None, seconds: float | None = None
) -> FittedProbe:
    figures = asdict(evaluate(task.test.labels, predicted_M, task.n_classes))
    row: Any = {"name": name, "kind": kind, "layer": None, "pooling": None, "states": None}
    if place is not None:
        row |= {
            "name": f"{name}, layer {place.layer}, {place.reading}",
            "layer": place.layer,
            **place.reading._asdict(),
        }
    row |= {**figures, "seconds": seconds}
    return cast("FittedProbe", row | {"predictions": predicted_M.tolist()})


def without_predictions(row: FittedProbe) -> ProbeRow:
    """As files keep it."""
    return cast("ProbeRow", {name: value for name, value in row.items() if name != "predictions"})
