"""The probes a reader compares: majority class, bag of words, ridge and logistic on the best layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, cast

from tokenworth.assessment.assessment_result import Confusion, FittedProbe, LayerRow, ProbeRow
from tokenworth.assessment.assessment_settings import AssessSettings
from tokenworth.assessment.label_rows import label_rows
from tokenworth.assessment.layer_choice import Candidate, LayerChoice
from tokenworth.base.aliases import Ints
from tokenworth.features import Features
from tokenworth.probes import RidgeProbe, bag_of_words, logistic_probe
from tokenworth.probes.label_kinds import always, as_lists, difference_of, from_lists, metrics_of
from tokenworth.probes.label_set_probes import label_bag_of_words, label_logistic_probe
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
    predicted, words = (from_lists(row["predictions"], task.n_classes, several=task.several) for row in (best, bow))
    lead = difference_of(task.test.labels, predicted, words, task.n_classes)
    thing = "majority label" if task.several else "majority class"
    majority = _row(thing, "majority", task, always(task.train.labels, len(task.test)))
    return ProbeTable(
        rows=[without_predictions(row) for row in (majority, bow, *candidates)],
        best=best,
        bow=bow,
        predictions=best["predictions"],
        confusion=_confusion(best["name"], task, predicted),
        lead=lead,
    )


def _confusion(name: str, task: Task, predicted_M: Ints) -> Confusion:
    """True against predicted classes; of several labels a text every label by itself."""
    facts = {"probe": name, "labels": list(task.label_names)}
    if task.several:
        return cast("Confusion", {**facts, "counts": [], "by_label": label_rows(task, predicted_M)})
    return cast("Confusion", {**facts, "counts": confusion(task.test.labels, predicted_M, task.n_classes).tolist()})


def bow_row(task: Task) -> FittedProbe:
    """The bag of words on a task, with its predictions, so that it is fitted once for many backbones."""
    start, train = perf_counter(), task.train
    fit = label_bag_of_words if task.several else bag_of_words
    fitted = fit(train.texts, train.labels, task.test.texts, groups_N=train.units())
    name = f"bag of words ({fitted.recipe})"
    row = _row(name, "bow", task, fitted.test_M, seconds=perf_counter() - start)
    return row | {"setting": fitted.setting, "n_features": fitted.n_features}


def _logistic_row(features: Features, task: Task, place: Candidate, settings: AssessSettings) -> FittedProbe:
    start, train = perf_counter(), task.train
    train_ND, test_MD = features.part("train", *place), features.part("test", *place)
    fit = label_logistic_probe if task.several else logistic_probe
    fitted = fit(train_ND, train.labels, test_MD, groups_N=train.units(), seed=settings.seed)
    seconds = perf_counter() - start
    row = _row("logistic", "logistic", task, fitted.test_M, place=place, seconds=seconds)
    chosen = {"cv_accuracy": fitted.cv_accuracy, "inverse_penalty": fitted.inverse_penalty}
    return cast("FittedProbe", row | chosen | {"converged": fitted.converged})


def _row(
    name: str, kind: str, task: Task, predicted_M: Ints, *, place: Candidate | None = None, seconds: float | None = None
) -> FittedProbe:
    figures = asdict(metrics_of(task.test.labels, predicted_M, task.n_classes))
    row: Any = {"name": name, "kind": kind, "layer": None, "pooling": None, "states": None}
    if place is not None:
        row |= {
            "name": f"{name}, layer {place.layer}, {place.reading}",
            "layer": place.layer,
            **place.reading._asdict(),
        }
    row |= {**figures, "seconds": seconds}
    return cast("FittedProbe", row | {"predictions": as_lists(predicted_M)})


def without_predictions(row: FittedProbe) -> ProbeRow:
    """As files keep it."""
    return cast("ProbeRow", {name: value for name, value in row.items() if name != "predictions"})
