"""Route probe where a text may have several labels: ridge and logistic read-outs of one layer, a column a label.

Axes: N training texts, D numbers of a pooled text, C labels.
"""

from __future__ import annotations

import numpy as np
import torch

from tokenworth.assessment.layer_scores import Labels, probe_moments
from tokenworth.base.aliases import Floats, Ints
from tokenworth.base.blas_threads import one_blas_thread
from tokenworth.probes import Linear
from tokenworth.probes.label_set_logistic import label_set_probe
from tokenworth.probes.label_set_metrics import label_set_value, sigmoid
from tokenworth.probes.label_thresholds import shared_threshold
from tokenworth.scores import ridge
from tokenworth.scores.ridge_folds import held_out_decisions
from tokenworth.tasks import Split

_INVERSE_PENALTY = 1.0
"""Of the two numbers a label that make its decision a probability."""


def ridge_readout(train_ND: torch.Tensor, labels_NC: Ints, labels: Labels) -> tuple[float, Linear]:
    """The ridge read-out as log-odds, and its cross-fitted micro F1 at the shared threshold that is best.

    A decision of ridge becomes log-odds by a line of its own for every label, fitted to decisions about texts that the
    fit never saw (Platt 1999, Probabilistic Outputs for Support Vector Machines).
    """
    moments = probe_moments(train_ND, labels)
    fitted, truth_NC = ridge(moments.total), torch.from_numpy(labels_NC)
    decision_NC = held_out_decisions(train_ND, truth_NC, labels.folds_N, moments.total, fitted, moments.groups)
    held_out_NC = decision_NC.numpy()
    slope_C, offset_C = log_odds_lines(held_out_NC, labels_NC)
    linear = Linear(fitted.weights_DC.numpy() * slope_C, fitted.intercept_C.numpy() * slope_C + offset_C)
    return _micro_f1(labels_NC, sigmoid(held_out_NC * slope_C + offset_C)), linear


@one_blas_thread()
def log_odds_lines(decision_NC: Floats, labels_NC: Ints) -> tuple[Floats, Floats]:
    """Slope and offset (C,) with which each label's decisions are its log-odds; of one that never varies no slope."""
    from sklearn.linear_model import LogisticRegression

    n = len(labels_NC)
    share_C = np.clip(labels_NC.mean(0), 0.5 / n, 1 - 0.5 / n)
    slope_C, offset_C = np.zeros(len(share_C)), np.log(share_C / (1 - share_C))
    mean_C, scale_C = decision_NC.mean(0), np.maximum(decision_NC.std(0), 1e-12)
    for label in np.flatnonzero(labels_NC.any(0) & ~labels_NC.all(0)):
        along_N1 = ((decision_NC[:, label] - mean_C[label]) / scale_C[label])[:, None]
        model = LogisticRegression(C=_INVERSE_PENALTY).fit(along_N1, labels_NC[:, label])
        slope_C[label] = model.coef_[0, 0] / scale_C[label]
        offset_C[label] = model.intercept_[0] - slope_C[label] * mean_C[label]
    return slope_C, offset_C


def logistic_readout(train: Split, train_ND: np.ndarray, seed: int) -> tuple[float, Linear]:
    """The logistic read-out, and its cross-validated micro F1 at the shared threshold that is best."""
    probe = label_set_probe(train_ND, train.labels, groups_N=train.units(), seed=seed)
    return probe.cv_micro_f1, probe.linear


def _micro_f1(labels_NC: Ints, probability_NC: Floats) -> float:
    threshold = np.full(labels_NC.shape[1], shared_threshold(labels_NC, probability_NC))
    return label_set_value("micro_f1", labels_NC, probability_NC, threshold)
