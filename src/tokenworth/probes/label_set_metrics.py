"""Metrics where a text may have several labels, with bootstrap intervals over texts; and thresholds of probabilities.

    weighted F1         F1 of each label, weighted by how many texts have it
    macro F1            mean F1 of the labels that occur, in truth or predicted
    micro F1            2 hits / (labels there are + labels predicted), over all texts and labels
    samples F1          mean over texts of the F1 of its labels; 1 where there are none and none is predicted
    accuracy            share of texts whose labels are all right, no more and no fewer
    balanced accuracy   mean recall of the labels that texts have
    log-loss            mean over texts and labels of -log of the probability of what is so, floored at 1e-15
    Brier               mean over texts and labels of (p - y)^2, in [0, 1]
    ECE                 sum over 15 equal bins of p of |share with the label - mean p| x share of the bin

Axes: N texts, C labels, B resamples, K columns of a table of sums over texts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tokenworth.base.aliases import Floats, Ints
from tokenworth.errors import SettingError
from tokenworth.probes.metrics import RESAMPLES, with_range
from tokenworth.probes.probability_metrics import BINS, FLOOR, METRICS, metric_value, softmax

ONLY_LABEL_SETS = ("micro_f1", "samples_f1")
"""Of one class a text both are the accuracy."""
LABEL_SET_METRICS = ("weighted_f1", "micro_f1", "macro_f1", "samples_f1", *METRICS[2:])
"""What every route is measured by where texts may have several labels."""
HALF = 0.5


class _Table(NamedTuple):
    """What all metrics are sums or means over texts of (N, K); `sizes` are the columns of each part."""

    columns_NK: Floats
    n_labels: int

    @classmethod
    def of(cls, true_NC: Ints, predicted_NC: NDArray[Any], probability_NC: Floats) -> _Table:
        true, predicted, n = true_NC.astype(float), predicted_NC.astype(float), true_NC.shape[1]
        held_N = true.sum(1) + predicted.sum(1)
        samples_N = np.where(held_N > 0, 2 * (true * predicted).sum(1) / np.maximum(held_N, 1), 1.0)
        right_N = (true == predicted).all(1)
        gap_NB = np.zeros((len(true), BINS))
        for place, bin_C in enumerate(_bins(probability_NC)):
            np.add.at(gap_NB[place], bin_C, (true[place] - probability_NC[place]) / n)
        taken_NC = np.where(true > 0, probability_NC, 1 - probability_NC)
        losses = [-np.log(np.maximum(taken_NC, FLOOR)).mean(1), np.square(1 - taken_NC).mean(1)]
        parts = [true * predicted, true, predicted, np.column_stack([samples_N, right_N, *losses]), gap_NB]
        return cls(np.concatenate(parts, axis=1), n)


def measure_label_sets(
    true_NC: Ints, probability_NC: Floats, thresholds_C: Floats, *, seed: int = 0
) -> dict[str, float]:
    """All LABEL_SET_METRICS, each with the ends of its 95 % bootstrap interval as NAME_low and NAME_high.

    Args:
        true_NC: (N, C) 0 or 1.
        probability_NC: (N, C) probability that the text has the label.
        thresholds_C: (C,) from which probability on a label is predicted.
        seed: of the bootstrap.

    Raises ValueError: no texts.
    """
    if not len(true_NC):
        raise ValueError("no held-out texts to evaluate on")
    table = _Table.of(true_NC, probability_NC >= thresholds_C, probability_NC)
    figures: dict[str, float] = {}
    whole_1K, drawn_BK = table.columns_NK.mean(0)[None], _resampled(table, seed)
    values, drawn = (_figures(mean_BK, table.n_labels) for mean_BK in (whole_1K, drawn_BK))
    for name in LABEL_SET_METRICS:
        figures |= with_range(name, values[name], drawn[name])
    return figures


def _resampled(table: _Table, seed: int) -> Floats:
    """Means over RESAMPLES bootstrap samples of the texts (B, K), one at a time in memory."""
    rng, n = np.random.default_rng(seed), len(table.columns_NK)
    resamples = (rng.integers(0, n, n) for _ in range(RESAMPLES))
    return np.stack([np.bincount(rows, minlength=n) @ table.columns_NK for rows in resamples]) / n


def _figures(mean_BK: Floats, n_labels: int) -> dict[str, Floats]:
    ends = np.cumsum([n_labels, n_labels, n_labels, 4])
    hits_BC, true_BC, predicted_BC, means_B4, gap_BB = np.split(mean_BK, ends, axis=1)
    f1_BC, occurs_BC = _f1(hits_BC, true_BC, predicted_BC), (true_BC + predicted_BC) > 0
    recall_BC = hits_BC / np.where(true_BC > 0, true_BC, 1)
    return {
        "weighted_f1": (f1_BC * true_BC).sum(1) / np.where(true_BC.sum(1) > 0, true_BC.sum(1), 1),
        "micro_f1": _f1(hits_BC.sum(1), true_BC.sum(1), predicted_BC.sum(1)),
        "macro_f1": f1_BC.sum(1) / np.maximum(occurs_BC.sum(1), 1),
        "samples_f1": means_B4[:, 0],
        "accuracy": means_B4[:, 1],
        "balanced_accuracy": recall_BC.sum(1) / np.maximum((true_BC > 0).sum(1), 1),
        "log_loss": means_B4[:, 2],
        "brier": means_B4[:, 3],
        "ece": np.abs(gap_BB).sum(1),
    }


def _f1(hits: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """2 hits / (true + predicted), 0 where there are neither."""
    held = true + predicted
    return np.asarray(2 * hits / np.where(held > 0, held, 1))


def label_set_value(name: str, true_NC: Ints, probability_NC: Floats, thresholds_C: Floats) -> float:
    """One metric without its interval: what selection and tuning need.  SettingError: there is no such metric."""
    if name not in LABEL_SET_METRICS:
        raise SettingError(f"metric {name!r} is not understood; choose one of {', '.join(LABEL_SET_METRICS)}")
    table = _Table.of(true_NC, probability_NC >= thresholds_C, probability_NC)
    return float(_figures(table.columns_NK.mean(0)[None], table.n_labels)[name][0])


def value_of_scores(name: str, labels: Ints, scores_NC: Floats) -> float:
    """One metric of log-odds, of classes (N,) or of several labels a text (N, C), these at a probability of a half."""
    if labels.ndim == 1:
        return metric_value(name, labels, softmax(scores_NC))
    return label_set_value(name, labels, sigmoid(scores_NC), np.full(labels.shape[1], HALF))


def sigmoid(log_odds: Floats) -> Floats:
    """Probabilities of log-odds, in float64; NaN stays NaN."""
    from scipy.special import expit

    return np.asarray(expit(np.asarray(log_odds, dtype=np.float64)))


def reliability(true_NC: Ints, probability_NC: Floats) -> list[dict[str, float]]:
    """Mean probability ("confidence"), share that has the label ("accuracy") and number ("texts") of the pairs of text
    and label in every bin that holds one.
    """
    bin_P, true_P, probability_P = _bins(probability_NC).ravel(), true_NC.ravel(), probability_NC.ravel()
    return [
        {
            "confidence": float(probability_P[bin_P == number].mean()),
            "accuracy": float(true_P[bin_P == number].mean()),
            "texts": int((bin_P == number).sum()),
        }
        for number in np.unique(bin_P)
    ]


def _bins(probability_NC: Floats) -> Ints:
    return np.clip(np.ceil(probability_NC * BINS).astype(np.int64) - 1, 0, BINS - 1)


def fit_label_temperature(true_NC: Ints, scores_NC: Floats) -> float:
    """The T for which sigmoid(scores / T) has the least log-loss on held-out texts; between 0.01 and 100."""
    from scipy.optimize import minimize_scalar

    sign_NC = 1 - 2.0 * true_NC

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, sign_NC * scores_NC / np.exp(log_temperature)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded").x))


class LabelFigures(NamedTuple):
    """What is found of each label (C,): texts that have it, predicted ones, hits, F1 and its 95 % interval."""

    texts: Ints
    predicted: Ints
    hits: Ints
    f1: Floats
    f1_low: Floats
    f1_high: Floats


def figures_by_label(true_NC: Ints, predicted_NC: NDArray[Any], *, seed: int = 0) -> LabelFigures:
    """Every label by itself; intervals are bootstrap intervals over the texts (N,)."""
    n, predicted = true_NC.shape[1], predicted_NC.astype(np.int64)
    table = _Table(np.concatenate([true_NC * predicted, true_NC, predicted], axis=1).astype(float), n)
    low_C, high_C = np.quantile(_f1(*np.split(_resampled(table, seed), 3, axis=1)), [0.025, 0.975], axis=0)
    hits_C, texts_C, predicted_C = np.split(table.columns_NK.sum(0).astype(np.int64), 3)
    return LabelFigures(texts_C, predicted_C, hits_C, _f1(hits_C, texts_C, predicted_C), low_C, high_C)


def paired_label_difference(
    true_NC: Ints, first_NC: NDArray[Any], second_NC: NDArray[Any], *, seed: int = 0
) -> tuple[float, float, float]:
    """Weighted F1 of the first minus that of the second on the same texts: value and 95 % paired bootstrap interval."""
    n = true_NC.shape[1]
    tables = [np.concatenate([true_NC * each, true_NC, each], axis=1).astype(float) for each in (first_NC, second_NC)]
    joined = _Table(np.concatenate(tables, axis=1), n)
    drawn = np.concatenate([joined.columns_NK.mean(0)[None], _resampled(joined, seed)])
    difference_B = _weighted(drawn[:, : 3 * n], n) - _weighted(drawn[:, 3 * n :], n)
    low, high = np.quantile(difference_B[1:], [0.025, 0.975])
    return float(difference_B[0]), float(low), float(high)


def _weighted(mean_BK: Floats, n_labels: int) -> Floats:
    padded = np.pad(mean_BK, ((0, 0), (0, 4 + BINS)))
    return _figures(padded, n_labels)["weighted_f1"]
