"""The same questions of one class a text (N,) and of several labels a text (N, C): one answer for both kinds.

Axes: N texts, C classes or labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenworth.probes.label_set_metrics import measure_label_sets, paired_label_difference
from tokenworth.probes.metrics import Metrics, evaluate, paired_difference, weighted_f1

Labels = NDArray[Any]
"""Classes (N,), or 0 and 1 of several labels (N, C)."""


def metrics_of(true: Labels, predicted: Labels, n_classes: int, *, seed: int = 0) -> Metrics:
    """Accuracy (of several labels: all of a text's are right), weighted and macro F1, with bootstrap intervals.

    Raises ValueError: no texts.
    """
    if true.ndim == 1:
        return evaluate(true, predicted, n_classes, seed=seed)
    found = measure_label_sets(true, predicted.astype(float), np.full(true.shape[1], 0.5), seed=seed)
    names = {"accuracy": "accuracy", "f1": "weighted_f1", "macro_f1": "macro_f1"}
    ends = ("", "_low", "_high")
    return Metrics(**{f"{ours}{end}": found[f"{theirs}{end}"] for ours, theirs in names.items() for end in ends})


def f1_of(true: Labels, predicted: Labels, n_classes: int) -> float:
    """Weighted F1 without an interval."""
    if true.ndim == 1:
        return weighted_f1(true, predicted, n_classes)
    hits_C, held_C = (true * predicted).sum(0), true.sum(0) + predicted.astype(np.int64).sum(0)
    weight_C = true.sum(0) / max(1, true.sum())
    return float((2 * hits_C / np.maximum(held_C, 1) * weight_C).sum())


def difference_of(true: Labels, first: Labels, second: Labels, n_classes: int) -> tuple[float, float, float]:
    """Weighted F1 of the first minus that of the second: value and 95 % paired bootstrap interval."""
    if true.ndim == 1:
        return paired_difference(true, first, second, n_classes)
    return paired_label_difference(true, first, second)


def right(true: Labels, predicted: Labels) -> NDArray[np.bool_]:
    """Which texts (N,) are predicted right, in all their labels."""
    same = true == predicted
    return np.asarray(same if same.ndim == 1 else same.all(1))


def always(labels: Labels, n_texts: int) -> Labels:
    """Predictions for so many texts that always name the most frequent class or label."""
    if labels.ndim == 1:
        return np.full(n_texts, np.bincount(labels).argmax())
    said = np.zeros((n_texts, labels.shape[1]), dtype=np.int64)
    said[:, labels.sum(0).argmax()] = 1
    return said


def as_lists(predicted: Labels) -> list[Any]:
    """Predictions as files keep them: a class a text, or the numbers of its labels."""
    return predicted.tolist() if predicted.ndim == 1 else [np.flatnonzero(row).tolist() for row in predicted]


def from_lists(predictions: list[Any], n_classes: int, *, several: bool) -> Labels:
    """The way back from `as_lists`."""
    if not several:
        return np.asarray(predictions)
    rows = np.zeros((len(predictions), n_classes), dtype=np.int64)
    for row, held in zip(rows, predictions, strict=True):
        row[held] = 1
    return rows
