"""What the ridge read-out says of texts it never saw: refitted without each fold, in closed form.

With the rows of all texts about their mean in coordinates of unit variance U (N, D), U'U / N = E diag(l) E', the
penalty p of `ridge` and one more column for the intercept,

    T = [U E diag(1 / sqrt(N (l + p))), 1 / sqrt(N)]              the read-out of all texts is  f = T T' Y
    f without a fold = y - (I - T_g T_g')^-1 (y - f)              at the texts of the fold

Exact, and equal to refitting weights and intercept without the fold, the standardisation and the penalty N p being
those of all texts: Woodbury's identity, as in `influence`.  One eigendecomposition, which the choice of the penalty
needs anyhow, serves all folds; a refit of each would need a factor of D x D.

Axes: N texts, n texts of a fold, D width, R rank, C classes or labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.ridge import Ridge, whitening_of

_MANY = 5
"""Texts to a direction from which on a factor of D x D for each fold costs less than the texts along E: a probe of
8,000 texts of width 384 with ten folds takes .12 against .23 s so, one of 1,500 texts .05 against .04 s."""


def held_out_decisions(
    pooled_ND: Tensor,
    labels_NC: Tensor,
    folds_N: Tensor,
    total: PooledMoments,
    fitted: Ridge,
    groups: Sequence[PooledMoments] = (),
) -> Tensor:
    """Scores (N, C), float64, of each text by the read-out of the texts of all other folds.

    Cost beyond `ridge`: O(N D R + N n R), n the texts of a fold, or R where those are more; with ``groups``, of many
    texts to a direction, O(D^3) a fold.

    Args:
        pooled_ND: the texts.
        labels_NC: their labels, one-hot or 0 and 1 of several.
        folds_N: the number of each text's fold, from 0.
        total: moments of these texts under these labels.
        fitted: their `ridge`.
        groups: moments of each fold, if they are there.
    """
    labels_NC, held_out_NC = labels_NC.to(torch.float64), torch.empty(labels_NC.shape, dtype=torch.float64)
    many = bool(groups) and groups_pay(*pooled_ND.shape)
    root_DR = None if many else _root(total, fitted.penalty)
    for fold in range(int(folds_N.max()) + 1):
        rows = folds_N == fold
        texts_nD = pooled_ND[rows].to(torch.float64)
        if root_DR is None:
            held_out_NC[rows] = _refitted(texts_nD, total, groups[fold], fitted.penalty)
            continue
        along_nR = (texts_nD - total.mean()) @ root_DR
        along_nR = torch.cat([along_nR, along_nR.new_full((len(along_nR), 1), total.n_texts**-0.5)], 1)
        truth_nC = labels_NC[rows]
        held_out_NC[rows] = truth_nC - _without_themselves(along_nR, truth_nC - fitted.decision(texts_nD))
    return held_out_NC


def groups_pay(n_texts: int, width: int) -> bool:
    """Whether texts are so many that moments of each fold are worth being made."""
    return n_texts > _MANY * width


def _root(total: PooledMoments, penalty: float) -> Tensor:
    """What takes texts about their mean to the columns of T (D, R)."""
    whitening = whitening_of(total)
    strength_R = (total.n_texts * (whitening.values_R + penalty)).sqrt()
    return whitening.vectors_DR / strength_R / whitening.scale_D[:, None]


def _without_themselves(along_nR: Tensor, residual_nC: Tensor) -> Tensor:
    """(I - T T')^-1 r of a fold's rows T (n, R), by the smaller of the two Gram matrices."""
    few = len(along_nR) <= along_nR.shape[1]
    gram = along_nR @ along_nR.T if few else along_nR.T @ along_nR
    lower = torch.linalg.cholesky(torch.eye(len(gram)).to(gram).sub_(gram))
    if few:
        return torch.cholesky_solve(residual_nC, lower)
    return residual_nC + along_nR @ torch.cholesky_solve(along_nR.T @ residual_nC, lower)


def _refitted(texts_nD: Tensor, total: PooledMoments, group: PooledMoments, penalty: float) -> Tensor:
    """Scores of a fold's texts by the read-out of the others, from their moments."""
    fit, scale_D = total - group, whitening_of(total).scale_D
    szz_DD, szy_DC, _ = fit.second_moments(center=True)
    scaled_DD = (szz_DD / scale_D).div_(scale_D[:, None])
    scaled_DD.diagonal().add_(penalty * total.n_texts / fit.n_texts)
    solved_DC = torch.cholesky_solve(szy_DC / scale_D[:, None], torch.linalg.cholesky(scaled_DD))
    return (texts_nD - fit.mean()) @ (solved_DC / scale_D[:, None]) + fit.label_shares()
