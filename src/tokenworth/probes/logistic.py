"""Logistic regression on frozen features, its penalty by cross-validation on training texts (scikit-learn)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenworth.probes.folds import grouped_folds
from tokenworth.probes.linear import Linear, from_logistic

INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
SEARCH_TEXTS = 4000
"""The penalty is searched on at most so many training texts; the chosen one is fitted on all."""
SEARCH_FOLDS = 3

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class LogisticProbe:
    """Predictions of a logistic probe (M,), the inverse penalty chosen, and its cross-validated training accuracy."""

    test_M: Ints
    inverse_penalty: float
    cv_accuracy: float
    converged: bool
    linear: Linear
    """The read-out of features as they come, standardising included."""


def logistic_probe(
    train_ND: Floats, labels_N: Ints, test_MD: Floats, *, groups_N: Ints | None = None, seed: int = 0
) -> LogisticProbe:
    """Standardise, choose C of `INVERSE_PENALTIES` by accuracy over folds, fit on all training texts, predict.

    Ties go to the stronger penalty.
    """
    train_ND, mean, scale = standardised(train_ND)
    test_MD = (test_MD - mean) / scale
    rows = _search_rows(labels_N, seed)
    groups = None if groups_N is None else groups_N[rows]
    folds = grouped_folds(labels_N[rows], SEARCH_FOLDS, groups_N=groups, seed=seed)
    accuracy = [_cv_accuracy(train_ND[rows], labels_N[rows], folds, strength) for strength in INVERSE_PENALTIES]
    best = int(np.argmax(accuracy))
    model, converged = _fit(train_ND, labels_N, INVERSE_PENALTIES[best])
    predicted_M = np.asarray(model.predict(test_MD)) if len(test_MD) else np.zeros(0, dtype=np.int64)
    linear = from_logistic(model, int(labels_N.max()) + 1, mean_D=mean, scale_D=scale)
    return LogisticProbe(predicted_M, INVERSE_PENALTIES[best], accuracy[best], converged, linear)


def standardised(rows_ND: Floats) -> tuple[Floats, Floats, Floats]:
    """Features with mean 0 and standard deviation 1, the mean and the deviation (D,); what does not vary stays."""
    mean, scale = rows_ND.mean(0), rows_ND.std(0)
    scale = np.where(scale > 1e-6 * max(float(scale.max()), 1e-30), scale, 1.0)
    return (rows_ND - mean) / scale, mean, scale


def _search_rows(labels_N: Ints, seed: int) -> Ints:
    """At most SEARCH_TEXTS rows with every class in proportion: whole folds of one large deal."""
    if len(labels_N) <= SEARCH_TEXTS:
        return np.arange(len(labels_N))
    parts = -(-len(labels_N) // SEARCH_TEXTS)
    return np.flatnonzero(grouped_folds(labels_N, parts, seed=seed) == 0)


def _cv_accuracy(x: Floats, y: Ints, folds: Ints, strength: float) -> float:
    hits = 0
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        if len(np.unique(y[~held_out])) > 1 and held_out.any():
            model, _ = _fit(x[~held_out], y[~held_out], strength)
            hits += int((model.predict(x[held_out]) == y[held_out]).sum())
    return hits / len(y)


def _fit(x: Floats, y: Ints, strength: float) -> tuple[Any, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, y)
    return model, not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
