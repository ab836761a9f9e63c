"""Logistic regression of every label against its absence on frozen features, all labels in one fit.

    minimise   sum over texts and labels of log(1 + exp(-+ (x w + b)))  +  |w|^2 / (2 strength)

by L-BFGS on standardised features: one product serves all labels, and the fits are those of scikit-learn's, one a
label.  Axes: N texts, D features, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenworth.base.aliases import Floats, Ints
from tokenworth.base.blas_threads import one_blas_thread
from tokenworth.probes.folds import grouped_folds, stratified_part
from tokenworth.probes.label_set_metrics import label_set_value, sigmoid
from tokenworth.probes.label_thresholds import shared_threshold
from tokenworth.probes.logistic import INVERSE_PENALTIES, SEARCH_FOLDS, SEARCH_TEXTS, Features, Linear, standardised

STEPS, PRECISION = 300, 1e-4
"""Of the optimiser: most steps, and the largest slope of the mean loss at which it ends."""


@dataclass(frozen=True, eq=False, slots=True)
class LabelSetProbe:
    """A logistic probe of several labels a text."""

    inverse_penalty: float
    """Of `INVERSE_PENALTIES`, chosen by the log-loss over folds."""
    cv_micro_f1: float
    """Over folds of training texts at that penalty, at the shared threshold that is best there."""
    cv_accuracy: float
    """Share of texts whose labels are all right there."""
    threshold: float
    """The probability from which on a label is predicted, chosen there."""
    linear: Linear
    """Log-odds of each label, standardising included."""


@one_blas_thread()
def label_set_probe(
    train_ND: Features, labels_NC: Ints, *, groups_N: Ints | None = None, seed: int = 0
) -> LabelSetProbe:
    """Standardise, choose the penalty by log-loss over folds of at most SEARCH_TEXTS texts, fit on all."""
    x_ND, mean_D, scale_D = standardised(train_ND)
    rows = stratified_part(labels_NC, -(-len(labels_NC) // SEARCH_TEXTS), seed)
    groups = None if groups_N is None else groups_N[rows]
    folds = grouped_folds(labels_NC[rows], SEARCH_FOLDS, groups_N=groups, seed=seed)
    held_out = [_held_out(x_ND[rows], labels_NC[rows], folds, strength) for strength in INVERSE_PENALTIES]
    half_C = np.full(labels_NC.shape[1], 0.5)
    losses = [label_set_value("log_loss", labels_NC[rows], each, half_C) for each in held_out]
    best = int(np.argmin(losses))
    threshold = shared_threshold(labels_NC[rows], held_out[best])
    at_C = np.full_like(half_C, threshold)
    micro, exact = (label_set_value(name, labels_NC[rows], held_out[best], at_C) for name in ("micro_f1", "accuracy"))
    weights_DC, intercept_C = fit_logistic(x_ND, labels_NC, INVERSE_PENALTIES[best])
    weights_DC = weights_DC / scale_D[:, None]
    linear = Linear(weights_DC, intercept_C - mean_D @ weights_DC)
    return LabelSetProbe(INVERSE_PENALTIES[best], micro, exact, threshold, linear)


def _held_out(x_ND: Features, labels_NC: Ints, folds_N: Ints, strength: float) -> Floats:
    """Probabilities (N, C) by fits that never saw the text's fold."""
    probability_NC = np.empty(labels_NC.shape)
    for fold in range(int(folds_N.max()) + 1):
        held_out = folds_N == fold
        weights_DC, intercept_C = fit_logistic(x_ND[~held_out], labels_NC[~held_out], strength)
        probability_NC[held_out] = sigmoid(x_ND[held_out] @ weights_DC + intercept_C)
    return probability_NC


def fit_logistic(x_ND: Features, labels_NC: Ints, strength: float) -> tuple[Floats, Floats]:
    """Weights (D, C) and intercepts (C,); of a label that all texts have or lack no weights, and an intercept of 20."""
    from scipy.optimize import minimize

    width, n_labels = x_ND.shape[1], labels_NC.shape[1]
    y_NC = labels_NC.astype(np.float32)
    share_C = np.clip(labels_NC.mean(0), 2e-9, 1 - 2e-9)
    start = np.zeros((width + 1, n_labels))
    start[-1] = np.log(share_C / (1 - share_C))

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(width + 1, n_labels)
        scores_NC = x_ND @ weights[:-1].astype(np.float32) + weights[-1]
        off_NC = sigmoid(scores_NC) - y_NC
        misfit = np.logaddexp(0, scores_NC).sum() - (scores_NC * y_NC).sum()
        value = misfit + np.square(weights[:-1]).sum() / 2 / strength
        slope_DC = x_ND.T @ off_NC.astype(np.float32) + weights[:-1] / strength
        return float(value), np.concatenate([slope_DC, off_NC.sum(0)[None]]).ravel()

    options = {"maxiter": STEPS, "gtol": PRECISION * len(x_ND)}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(width + 1, n_labels)
    return found[:-1], found[-1]
