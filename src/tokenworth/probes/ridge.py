"""The ridge probe: every layer gets one, because it is a closed form of the moments.

Penalty by GCV and quality by cross-fitting over folds, both on training texts; the test texts are only predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tokenworth.probes.label_thresholds import shared_threshold
from tokenworth.scores import PooledMoments, ridge
from tokenworth.scores.ridge import shuffled_decisions
from tokenworth.scores.ridge_folds import held_out_decisions


@dataclass(frozen=True, eq=False, slots=True)
class RidgeProbe:
    """Predictions of one layer's ridge probe.  Axes: N training texts, M test texts, B shuffles.

    Of several labels a text predictions have an axis more, of the C labels, and are true where a label is given.
    """

    penalty: float
    """Chosen by generalised cross-validation on all training texts."""
    test_M: Tensor
    """Class predicted for each test text."""
    crossfit_N: Tensor
    """Class predicted for each training text by the probe that never saw its fold."""
    loss_N: Tensor
    """Squared error over one-hot labels of the same predictions."""
    shuffled_BM: Tensor
    """Test predictions of probes fitted to shuffled labels."""


def ridge_probe(
    train_ND: Tensor,
    labels_N: Tensor,
    folds_N: Tensor,
    test_MD: Tensor,
    *,
    total: PooledMoments,
    groups: Sequence[PooledMoments] = (),
    shuffled: Sequence[PooledMoments] = (),
) -> RidgeProbe:
    """Fit on all training texts, and once without each fold, named by its number, at the same penalty.

    ``total`` are pooled moments of the training texts, ``groups`` those of each fold (of many texts they save time),
    ``shuffled`` those of all under shuffled labels, best made by `relabel`.  Where moments know label sets, labels are
    numbers of sets.
    """
    fitted, several = ridge(total), total.sets_LC is not None
    truth_NC = as_columns(labels_N, total)
    held_out_NC = held_out_decisions(train_ND, truth_NC, folds_N, total, fitted, groups)
    loss_N = (held_out_NC - truth_NC).square().sum(1)
    decisions = [fitted.decision(test_MD), held_out_NC]
    if shuffled:
        decisions += shuffled_decisions(test_MD, shuffled, fitted.penalty).unbind(1)
    if several:  # predicted from the one decision on that gives cross-fitted texts the best micro F1
        threshold = shared_threshold(truth_NC.numpy().astype(np.int64), held_out_NC.numpy())
        test_M, crossfit_N, *chance = [decision >= threshold for decision in decisions]
    else:
        test_M, crossfit_N, *chance = [decision.argmax(1) for decision in decisions]
    return RidgeProbe(fitted.penalty, test_M, crossfit_N, loss_N, torch.stack(chance) if chance else test_M[None][:0])


def as_columns(labels_N: Tensor, total: PooledMoments) -> Tensor:
    """Labels as 0 and 1 (N, C), float64: one-hot of classes, or the labels of each set that moments know."""
    if total.sets_LC is not None:
        return total.sets_LC[labels_N].to(torch.float64)
    return torch.nn.functional.one_hot(labels_N, total.n_classes).to(torch.float64)
