"""Metrics of held-out predictions with bootstrap intervals.

Accuracy and F1 depend on predictions only through the table of (true, predicted) counts, so resampling texts is
drawing that table from a multinomial: exact, and a thousand resamples cost milliseconds.  Axes: N texts, C classes,
B resamples, M cells of the table that occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tokenworth.base.aliases import Floats, Ints

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Metrics:
    """Support-weighted F1, accuracy and macro F1 on held-out texts, with 95 % bootstrap intervals over texts."""

    accuracy: float
    """Share of texts whose class is predicted."""
    accuracy_low: float
    """Lower end of its 95 % interval."""
    accuracy_high: float
    """Upper end of its 95 % interval."""
    f1: float
    """F1 of each class, weighted by its share of the texts: the published figure."""
    f1_low: float
    """Lower end of its 95 % interval."""
    f1_high: float
    """Upper end of its 95 % interval."""
    macro_f1: float
    """Mean F1 of the classes that occur, each counting the same."""
    macro_f1_low: float
    """Lower end of its 95 % interval."""
    macro_f1_high: float
    """Upper end of its 95 % interval."""


def evaluate(true_N: Ints, predicted_N: Ints, n_classes: int, *, seed: int = 0) -> Metrics:
    """Metrics of predictions against labels, both class indices (N,).  Raises ValueError: no texts."""
    if not len(true_N):
        raise ValueError("no held-out texts to evaluate on")
    value, resampled = label_scores(true_N, predicted_N, n_classes, seed=seed)
    return Metrics(
        **with_range("accuracy", value.accuracy, resampled.accuracy),
        **with_range("f1", value.weighted_f1, resampled.weighted_f1),
        **with_range("macro_f1", value.macro_f1, resampled.macro_f1),
    )


def with_range(name: str, value_1: Floats, drawn_B: Floats) -> dict[str, float]:
    """A figure, and as NAME_low and NAME_high the ends of the middle 95 % of what resampling gave."""
    low, high = np.quantile(drawn_B, [0.025, 0.975])
    return {name: float(value_1[0]), f"{name}_low": float(low), f"{name}_high": float(high)}


def weighted_f1(true_N: Ints, predicted_N: Ints, n_classes: int) -> float:
    """Support-weighted F1 alone, without an interval."""
    cells_M, counts_M = np.unique(_cells(true_N, predicted_N, n_classes), return_counts=True)
    return float(_scores(cells_M, counts_M[None], n_classes)[1][0])


class Scores(NamedTuple):
    """Of B tables, each (B,)."""

    accuracy: Floats
    weighted_f1: Floats
    macro_f1: Floats
    balanced_accuracy: Floats


NO_CLASS = -1
"""Predicted where there is no prediction: wrong, whatever the class, and no mistake for another one."""


def label_scores(true_N: Ints, predicted_N: Ints, n_classes: int, *, seed: int = 0) -> tuple[Scores, Scores]:
    """Scores of the predictions (each (1,)), and of RESAMPLES bootstrap samples of the texts.

    A prediction may be NO_CLASS.
    """
    cells_M, counts_M = np.unique(_cells(true_N, predicted_N, n_classes), return_counts=True)
    drawn_BM = np.random.default_rng(seed).multinomial(len(true_N), counts_M / len(true_N), size=RESAMPLES)
    return _scores(cells_M, counts_M[None], n_classes), _scores(cells_M, drawn_BM, n_classes)


def _cells(true_N: Ints, predicted_N: Ints, n_classes: int) -> Ints:
    """Cells of a table with a last column for what has no prediction."""
    return true_N * (n_classes + 1) + predicted_N % (n_classes + 1)


def _scores(cells_M: Ints, counts_BM: Ints, n_classes: int) -> Scores:
    """Of tables given by their occupied cells; macro F1 and balanced accuracy are means over classes that occur."""
    true_M, predicted_M = cells_M // (n_classes + 1), cells_M % (n_classes + 1)
    shape = (len(counts_BM), n_classes)
    support, chosen, hits = np.zeros(shape), np.zeros((len(counts_BM), n_classes + 1)), np.zeros(shape)
    hit_M = true_M == predicted_M
    for cell in range(len(cells_M)):
        support[:, true_M[cell]] += counts_BM[:, cell]
        chosen[:, predicted_M[cell]] += counts_BM[:, cell]
    hits[:, true_M[hit_M]] = counts_BM[:, hit_M]
    chosen = chosen[:, :n_classes]
    f1_BC = 2 * hits / np.maximum(support + chosen, 1)
    total = support.sum(1)
    present, asked = (support + chosen) > 0, support > 0
    return Scores(
        accuracy=hits.sum(1) / total,
        weighted_f1=(f1_BC * support).sum(1) / total,
        macro_f1=f1_BC.sum(1) / np.maximum(present.sum(1), 1),
        balanced_accuracy=(hits / np.maximum(support, 1)).sum(1) / np.maximum(asked.sum(1), 1),
    )


def paired_difference(
    true_N: Ints, first_N: Ints, second_N: Ints, n_classes: int, *, seed: int = 0
) -> tuple[float, float, float]:
    """Weighted F1 of the first minus that of the second on the same texts: value and 95 % paired bootstrap interval."""
    wide = n_classes + 1
    joint = _cells(true_N, first_N, n_classes) * wide + second_N % wide
    cells_M, counts_M = np.unique(joint, return_counts=True)
    true_M, first_M, second_M = cells_M // wide**2, cells_M // wide % wide, cells_M % wide
    drawn = np.random.default_rng(seed).multinomial(len(true_N), counts_M / len(true_N), size=RESAMPLES)
    tables = np.concatenate([counts_M[None], drawn])
    difference = _f1_of(true_M, first_M, tables, n_classes) - _f1_of(true_M, second_M, tables, n_classes)
    low, high = np.quantile(difference[1:], [0.025, 0.975])
    return float(difference[0]), float(low), float(high)


def _f1_of(true_M: Ints, predicted_M: Ints, counts_BM: Ints, n_classes: int) -> Floats:
    cells, inverse = np.unique(_cells(true_M, predicted_M, n_classes), return_inverse=True)
    merged = np.zeros((len(counts_BM), len(cells)), dtype=np.int64)
    for cell in range(len(true_M)):
        merged[:, inverse[cell]] += counts_BM[:, cell]
    return _scores(cells, merged, n_classes)[1]


def confusion(true_N: Ints, predicted_N: Ints, n_classes: int) -> Ints:
    """Ints (C, C): rows true, columns predicted; NO_CLASS stands in no column."""
    true_N, predicted_N = true_N[predicted_N != NO_CLASS], predicted_N[predicted_N != NO_CLASS]
    flat = np.bincount(true_N * n_classes + predicted_N, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes)


def mcnemar(true_N: Ints, first_N: Ints, second_N: Ints) -> tuple[int, int, float]:
    """Texts only the first predictor gets right, only the second, and the two-sided exact p-value that both err alike.

    Source: McNemar (1947), Psychometrika 12(2), 153-157; exact binomial form.
    """
    from scipy.stats import binomtest

    first, second = first_N == true_N, second_N == true_N
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    apart = only_first + only_second
    return only_first, only_second, float(binomtest(only_first, apart).pvalue) if apart else 1.0
