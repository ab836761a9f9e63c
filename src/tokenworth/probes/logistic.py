"""Logistic regression on frozen features, its penalty by cross-validation on training texts (scikit-learn).

Axes: N texts, M test texts, D features, C classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenworth.base.aliases import Floats, Ints
from tokenworth.base.blas_threads import one_blas_thread
from tokenworth.probes.folds import grouped_folds, stratified_part

INVERSE_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
SEARCH_TEXTS = 4000
"""The penalty is searched on at most so many training texts; the chosen one is fitted on all."""
SEARCH_FOLDS = 3

Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Linear:
    """What is left of any linear classifier once it is fitted: scores = x @ weights + intercept.

    Their softmax is the probability of each class.
    """

    weights_DC: Floats
    """By feature and class, in the units of the features as they come."""
    intercept_C: Floats
    """By class."""

    def scores(self, x_ND: Any) -> Floats:
        """Log-odds (N, C), up to a constant a row; x may be sparse."""
        return np.asarray(x_ND @ self.weights_DC + self.intercept_C, dtype=np.float64)


def from_logistic(model: Any, n_classes: int, *, mean_D: Any = 0.0, scale_D: Any = 1.0) -> Linear:
    """The read-out of a fitted scikit-learn LogisticRegression, in the units before standardising.

    Two classes have one row of coefficients there, and classes the training labels lack have none: they get zero
    weights and an intercept at which their probability vanishes.
    """
    coefficients_KD, intercept_K = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(coefficients_KD) == 1:
        coefficients_KD = np.concatenate([-coefficients_KD / 2, coefficients_KD / 2])
        intercept_K = np.concatenate([-intercept_K / 2, intercept_K / 2])
    scaled_KD = coefficients_KD / scale_D
    weights_DC, intercept_C = np.zeros((scaled_KD.shape[1], n_classes)), np.full(n_classes, -1e4)
    weights_DC[:, model.classes_] = scaled_KD.T
    intercept_C[model.classes_] = intercept_K - (scaled_KD * mean_D).sum(1)
    return Linear(weights_DC, intercept_C)


@dataclass(frozen=True, eq=False, slots=True)
class LogisticProbe:
    """Predictions of a logistic probe (M,), the inverse penalty chosen, and its cross-validated training accuracy."""

    test_M: Ints
    """Class index predicted for each test text."""
    inverse_penalty: float
    """C of `INVERSE_PENALTIES`, chosen by accuracy over folds."""
    cv_accuracy: float
    """Accuracy over folds of training texts at that penalty."""
    converged: bool
    """Whether the optimiser came to its end on all training texts."""
    linear: Linear
    """The read-out of features as they come, standardising included."""


@one_blas_thread()
def logistic_probe(
    train_ND: Features, labels_N: Ints, test_MD: Features, *, groups_N: Ints | None = None, seed: int = 0
) -> LogisticProbe:
    """Standardise, choose C of `INVERSE_PENALTIES` by accuracy over folds, fit on all training texts, predict.

    Ties go to the stronger penalty.
    """
    train_ND, mean, scale = standardised(train_ND)
    test_MD = (test_MD - mean) / scale
    rows = stratified_part(labels_N, -(-len(labels_N) // SEARCH_TEXTS), seed)
    groups = None if groups_N is None else groups_N[rows]
    folds = grouped_folds(labels_N[rows], SEARCH_FOLDS, groups_N=groups, seed=seed)
    accuracy = [_cv_accuracy(train_ND[rows], labels_N[rows], folds, strength) for strength in INVERSE_PENALTIES]
    best = int(np.argmax(accuracy))
    model, converged = _fit(train_ND, labels_N, INVERSE_PENALTIES[best])
    predicted_M = np.asarray(model.predict(test_MD)) if len(test_MD) else np.zeros(0, dtype=np.int64)
    linear = from_logistic(model, int(labels_N.max()) + 1, mean_D=mean, scale_D=scale)
    return LogisticProbe(predicted_M, INVERSE_PENALTIES[best], accuracy[best], converged, linear)


@one_blas_thread()
def unit_logistic(train_ND: Floats, labels_N: Ints, weight_C: Floats, *, intercept: bool = True) -> Linear:
    """Logistic regression at inverse penalty 1 of features scaled by one number, to a mean length of 1.

    What SetFit fits on sentence embeddings (scikit-learn's defaults), whose lengths are 1 there.

    Args:
        train_ND: features, of any scale.
        labels_N: at least two classes among them.
        weight_C: of a text in the loss, by class.
        intercept: whether there is one.
    """
    from sklearn.linear_model import LogisticRegression

    length = max(float(np.linalg.norm(train_ND, axis=1).mean()), 1e-30)
    weights = dict(enumerate(weight_C.tolist()))
    model = LogisticRegression(max_iter=1000, fit_intercept=intercept, class_weight=weights)
    model.fit(train_ND / length, labels_N)
    return from_logistic(model, len(weight_C), scale_D=np.full(train_ND.shape[1], length))


def standardised(rows_ND: Features) -> tuple[Features, Features, Features]:
    """Features with mean 0 and standard deviation 1, the mean and the deviation (D,); what does not vary stays."""
    mean, scale = rows_ND.mean(0), rows_ND.std(0)
    scale = np.where(scale > 1e-6 * max(float(scale.max()), 1e-30), scale, 1.0)
    return (rows_ND - mean) / scale, mean, scale


def _cv_accuracy(x: Features, y: Ints, folds: Ints, strength: float) -> float:
    hits = 0
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        if len(np.unique(y[~held_out])) > 1 and held_out.any():
            model, _ = _fit(x[~held_out], y[~held_out], strength)
            hits += int((model.predict(x[held_out]) == y[held_out]).sum())
    return hits / len(y)


def _fit(x: Features, y: Ints, strength: float) -> tuple[Any, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x, y)
    return model, not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
