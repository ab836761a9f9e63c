"""The ridge probe: every layer gets one, because it is a closed form of the moments.

Penalty by GCV and quality by cross-fitting over groups, both on training texts; the test texts are only predicted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tokenworth.probes.label_thresholds import shared_threshold
from tokenworth.scores import PooledMoments, ridge
from tokenworth.scores.pooled import add_up
from tokenworth.scores.ridge import ridge_at


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
    """Class predicted for each training text by the probe that never saw its group."""
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
    groups: Sequence[PooledMoments],
    shuffled: Sequence[PooledMoments] = (),
    total: PooledMoments | None = None,
) -> RidgeProbe:
    """Fit on all training texts, and once without each fold (0 .. G - 1) at the same penalty.

    ``groups`` are pooled moments of each fold, ``total`` their sum if it is there, and ``shuffled`` those of all
    training texts under shuffled labels.  Where they know label sets, labels are numbers of sets.
    """
    total = add_up(groups) if total is None else total
    if total.sets_LC is not None:
        return _label_probe(train_ND, total.sets_LC[labels_N], folds_N, test_MD, groups, shuffled, total)
    fitted = ridge(total)
    crossfit, loss = torch.empty_like(labels_N), torch.empty(len(labels_N), dtype=torch.float64)
    for rows, decision in crossfit_decisions(train_ND, folds_N, groups, total, fitted.penalty):
        one_hot = torch.nn.functional.one_hot(labels_N[rows], decision.shape[1])
        crossfit[rows], loss[rows] = decision.argmax(1), (decision - one_hot).square().sum(1)
    chance = [_decision(test_MD, moments, fitted.penalty).argmax(1) for moments in shuffled]
    empty = torch.empty(0, len(test_MD), dtype=torch.int64)
    return RidgeProbe(fitted.penalty, fitted.predict(test_MD), crossfit, loss, torch.stack(chance) if chance else empty)


def _label_probe(
    train_ND: Tensor,
    labels_NC: Tensor,
    folds_N: Tensor,
    test_MD: Tensor,
    groups: Sequence[PooledMoments],
    shuffled: Sequence[PooledMoments],
    total: PooledMoments,
) -> RidgeProbe:
    """Of several labels a text: predicted from the one decision on that gives cross-fitted texts the best micro F1."""
    fitted = ridge(total)
    decision_NC = torch.empty_like(labels_NC)
    for rows, decision in crossfit_decisions(train_ND, folds_N, groups, total, fitted.penalty):
        decision_NC[rows] = decision
    threshold = shared_threshold(labels_NC.numpy().astype(np.int64), decision_NC.numpy())
    said = [decision_MC >= threshold for decision_MC in (fitted.decision(test_MD), decision_NC)]
    chance = [_decision(test_MD, moments, fitted.penalty) >= threshold for moments in shuffled]
    loss_N = (decision_NC - labels_NC).square().sum(1)
    empty = torch.empty(0, *said[0].shape, dtype=torch.bool)
    return RidgeProbe(fitted.penalty, said[0], said[1], loss_N, torch.stack(chance) if chance else empty)


def crossfit_decisions(
    train_ND: Tensor, folds_N: Tensor, groups: Sequence[PooledMoments], total: PooledMoments, penalty: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """For each fold: which texts are in it (N,) bool, and what the read-out fitted without it says of them (n, C)."""
    for fold, group in enumerate(groups):
        rows = folds_N == fold
        yield rows, _decision(train_ND[rows], total - group, penalty)


def _decision(pooled_BD: Tensor, moments: PooledMoments, penalty: float) -> Tensor:
    weights_DC, intercept_C = ridge_at(moments, penalty)
    return pooled_BD.to(torch.float64) @ weights_DC + intercept_C
