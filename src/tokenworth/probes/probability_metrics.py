"""Metrics of predicted probabilities, with bootstrap intervals over texts, and temperature scaling.

    log-loss   mean of -log p(true class), p floored at 1e-15
    Brier      mean over texts of the sum over classes of (p - [true])^2, in [0, 2]        Brier (1950)
    ECE        sum over 15 equal bins of confidence of |accuracy - confidence| x share     Guo et al. (2017)

Axes: N texts, C classes, B resamples.
"""

from __future__ import annotations

import numpy as np

from tokenworth.base.aliases import Floats, Ints
from tokenworth.errors import SettingError
from tokenworth.probes.metrics import NO_CLASS, RESAMPLES, label_scores, with_range

BINS = 15
FLOOR = 1e-15
METRICS = ("weighted_f1", "macro_f1", "accuracy", "balanced_accuracy", "log_loss", "brier", "ece")
"""What every route is measured by; of the last three less is better."""
_SUMMED = ("log_loss", "brier", "ece")
LOWER_IS_BETTER = frozenset(_SUMMED)


def check_metric(name: str) -> str:
    """The name, if it is one of METRICS.  Raises SettingError: it is not."""
    if name not in METRICS:
        raise SettingError(f"metric {name!r} is not understood; choose one of {', '.join(METRICS)}")
    return name


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether a value improves on the best so far; the first one always does."""
    return best is None or (value < best if metric in LOWER_IS_BETTER else value > best)


def measure(true_N: Ints, probability_NC: Floats, *, seed: int = 0) -> dict[str, float]:
    """All METRICS, each with the ends of its 95 % bootstrap interval as NAME_low and NAME_high.

    The predicted class is the most probable one, the first of equals; a text of NaN has none (`predicted_classes`) and
    every class is as probable as the others.

    Raises ValueError: no texts.
    """
    if not len(true_N):
        raise ValueError("no held-out texts to evaluate on")
    predicted_N = predicted_classes(probability_NC)
    value, resampled = label_scores(true_N, predicted_N, probability_NC.shape[1], seed=seed)
    figures: dict[str, float] = {}
    for name in ("weighted_f1", "macro_f1", "accuracy", "balanced_accuracy"):
        figures |= with_range(name, getattr(value, name), getattr(resampled, name))
    table_NK = _terms(true_N, probability_NC)
    rng, n = np.random.default_rng(seed), len(true_N)
    resamples = (rng.integers(0, n, n) for _ in range(RESAMPLES))  # one at a time in memory
    drawn_BK = np.stack([np.bincount(rows, minlength=n) @ table_NK for rows in resamples]) / n
    for name, whole, drawn_B in zip(_SUMMED, _sums(table_NK.mean(0)[None]), _sums(drawn_BK), strict=True):
        figures |= with_range(name, whole, drawn_B)
    return figures


def predicted_classes(probability_NC: Floats) -> Ints:
    """The most probable class of each text (N,), the first of equals; NO_CLASS where probabilities are NaN."""
    return np.where(np.isnan(probability_NC[:, 0]), NO_CLASS, probability_NC.argmax(1))


def evened(probability_NC: Floats) -> Floats:
    """The same with every class as probable as the others where there were no probabilities (NaN)."""
    return np.where(np.isnan(probability_NC), 1 / probability_NC.shape[1], probability_NC)


def _terms(true_N: Ints, probability_NC: Floats) -> Floats:
    """What the means of log-loss, Brier score and ECE are made of: two columns, and one a bin of confidence."""
    hit_N, probability_NC = predicted_classes(probability_NC) == true_N, evened(probability_NC)
    confidence_N = probability_NC.max(1)
    gap_NK = np.zeros((len(true_N), BINS))
    gap_NK[np.arange(len(true_N)), _bins(confidence_N)] = hit_N - confidence_N
    return np.column_stack([log_losses(true_N, probability_NC), brier_scores(true_N, probability_NC), gap_NK])


def _sums(mean_BK: Floats) -> tuple[Floats, Floats, Floats]:
    return mean_BK[:, 0], mean_BK[:, 1], np.abs(mean_BK[:, 2:]).sum(1)


def metric_value(name: str, true_N: Ints, probability_NC: Floats) -> float:
    """One metric without its interval: what selection and tuning need."""
    if name in LOWER_IS_BETTER:
        sums = _sums(_terms(true_N, probability_NC).mean(0)[None])
        return float(sums[_SUMMED.index(name)][0])
    value, _ = label_scores(true_N, predicted_classes(probability_NC), probability_NC.shape[1])
    return float(getattr(value, check_metric(name))[0])


def log_losses(true_N: Ints, probability_NC: Floats) -> Floats:
    """-log p(true class) of each text (N,), in nats."""
    taken = probability_NC[np.arange(len(true_N)), true_N]
    return np.asarray(-np.log(np.maximum(taken, FLOOR)))


def brier_scores(true_N: Ints, probability_NC: Floats) -> Floats:
    """Squared distance of each text's probabilities from its one-hot label (N,)."""
    apart = probability_NC.copy()
    apart[np.arange(len(true_N)), true_N] -= 1
    return np.asarray(np.square(apart).sum(1))


def calibration_curve(true_N: Ints, probability_NC: Floats) -> list[dict[str, float]]:
    """Mean confidence, accuracy and number of texts of every bin that holds one."""
    hit_N, confidence_N = predicted_classes(probability_NC) == true_N, evened(probability_NC).max(1)
    bin_N = _bins(confidence_N)
    return [
        {
            "confidence": float(confidence_N[bin_N == number].mean()),
            "accuracy": float(hit_N[bin_N == number].mean()),
            "texts": int((bin_N == number).sum()),
        }
        for number in np.unique(bin_N)
    ]


def _bins(confidence_N: Floats) -> Ints:
    """Bin of each confidence; the upper edge belongs to a bin, as in the source."""
    return np.clip(np.ceil(confidence_N * BINS).astype(np.int64) - 1, 0, BINS - 1)


def softmax(scores_NC: Floats) -> Floats:
    """Probabilities of rows of log-odds, in float64; a row of NaN stays one."""
    shifted = np.exp(scores_NC.astype(np.float64) - scores_NC.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def fit_temperature(true_N: Ints, scores_NC: Floats) -> float:
    """The T for which softmax(scores / T) has the least log-loss on held-out texts; between 0.01 and 100.

    Source: Guo et al. (2017), On Calibration of Modern Neural Networks.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return float(log_losses(true_N, softmax(scores_NC / np.exp(log_temperature))).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(100.0)), method="bounded").x))
