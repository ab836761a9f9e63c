"""Ridge read-out of the label from the pooled text, its penalty by generalised cross-validation.

Axes: D width, C classes, R rank.  The penalty acts on coordinates scaled to unit variance.
Source: Golub, Heath and Wahba (1979), Technometrics 21(2), 215-223.  Two rules of ours keep it from interpolating where
texts are hardly more than directions: repeated texts do not count, and no more than SPENT_AT_MOST of the degrees of
freedom may be spent; docs/results/repeated_texts.md has what they are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.whitening import Whitening, whiten, whiten_rows

PENALTIES = torch.logspace(-8, 4, 61, dtype=torch.float64)
"""The path searched, relative to unit-variance coordinates."""
SPENT_AT_MOST = 0.7
"""Share of the distinct texts that the degrees of freedom of a chosen penalty may reach."""


@dataclass(frozen=True, eq=False, slots=True)
class Ridge:
    """Linear read-out: scores = pooled @ weights_DC + intercept_C, the largest names the class.

    Of several labels a text they are fitted one by one at one penalty; each column estimates the label's probability.
    """

    weights_DC: Tensor
    """By coordinate and class, in the units of the pooled states as they come."""
    intercept_C: Tensor
    """By class."""
    penalty: float
    """Chosen by generalised cross-validation, relative to coordinates of unit variance."""
    gcv: float
    """Generalised cross-validation estimate of the mean squared error over one-hot labels."""
    r2: float
    """1 - gcv / variance of the labels: at most 1, near 0 without signal."""

    def predict(self, pooled_BD: Tensor) -> Tensor:
        """Class indices (B,) of pooled texts (B, D)."""
        return self.decision(pooled_BD).argmax(1)

    def decision(self, pooled_BD: Tensor) -> Tensor:
        """Scores (B, C), float64."""
        return pooled_BD.to(self.weights_DC) @ self.weights_DC + self.intercept_C


@dataclass(frozen=True, eq=False, slots=True)
class _Path:
    """Everything the path of penalties needs: eigenvalues and squared label loadings along them."""

    values_R: Tensor
    loadings_RC: Tensor
    variance: Tensor  # tr Syy
    n_distinct: int
    intercept: int  # degrees of freedom of the mean

    def left(self, penalties_P: Tensor) -> Tensor:
        """Share of the degrees of freedom that each penalty (P,) leaves to the residual."""
        kept_PR = self.values_R / (self.values_R + penalties_P[:, None])
        return 1 - (kept_PR.sum(1) + self.intercept) / self.n_distinct

    def gcv(self, penalties_P: Tensor) -> Tensor:
        """GCV(p) = RSS / n / (1 - df / n)^2 for each penalty (P,); the second n counts distinct texts."""
        shrunk_PR = 1 / (self.values_R + penalties_P[:, None])
        energy_R = self.loadings_RC.square().sum(1)
        gain = (energy_R * (2 * shrunk_PR - self.values_R * shrunk_PR.square())).sum(1)
        left_P = self.left(penalties_P)
        error = (self.variance - gain).clamp(min=0) / left_P.square()
        # With every degree of freedom spent both sides vanish and GCV says nothing.
        return torch.where(left_P > 1e-6, error, torch.full_like(error, torch.inf))

    def best(self, penalties_P: Tensor) -> float:
        """The penalty of least GCV among those that do not nearly interpolate; the largest where all do."""
        error_P = self.gcv(penalties_P)
        sound_P = self.left(penalties_P) >= 1 - SPENT_AT_MOST
        if not sound_P.any():
            return float(penalties_P.max())
        return float(penalties_P[torch.where(sound_P, error_P, torch.full_like(error_P, torch.inf)).argmin()])


def _path(pooled: PooledMoments, whitening: Whitening, *, center: bool) -> _Path:
    _, szy, syy = pooled.second_moments(center=center)
    return _Path(whitening.values_R, _loadings(whitening, szy), syy.trace(), pooled.n_distinct, int(center))


def raw_diagonal(pooled: PooledMoments, szz_DD: Tensor) -> Tensor:
    """Mean squares of the coordinates (D,), uncentred: their rounding bounds what counts as varying."""
    return szz_DD.diagonal() + pooled.mean().square()


def pooled_whitening(pooled: PooledMoments, *, center: bool) -> Whitening:
    """Factor of Szz, of the texts themselves where these are few and were kept."""
    szz = pooled.second_moments(center=center)[0]
    texts_ND = pooled.few_texts() if center else None
    if texts_ND is not None:
        return whiten_rows(texts_ND, raw_diagonal(pooled, szz))
    return whiten(szz, floor_D=raw_diagonal(pooled, szz))


def whitening_of(pooled: PooledMoments) -> Whitening:
    """The same of centred moments, found once for texts and all their relabellings."""
    return pooled.known("whitening True", lambda: pooled_whitening(pooled, center=True))


def gcv_penalty(pooled: PooledMoments, whitening: Whitening, *, center: bool = True) -> float:
    """The penalty of the path with the least GCV, of those that spend at most SPENT_AT_MOST."""
    return _path(pooled, whitening, center=center).best(PENALTIES.to(whitening.values_R.device))


def ridge(pooled: PooledMoments, *, penalty: float | None = None) -> Ridge:
    """Ridge regression of one-hot labels with an intercept; penalty None chooses by GCV.

    Cost O(D^3); of the same texts under other labels (`PooledMoments.relabel`) only O(D^2 C).

    Raises:
        ValueError: no texts.
    """
    if not pooled.n_texts:
        raise ValueError("no texts were added to the pooled moments")
    whitening = whitening_of(pooled)
    path = _path(pooled, whitening, center=True)
    if penalty is None:
        penalty = gcv_penalty(pooled, whitening)
    gcv = float(path.gcv(torch.tensor([penalty], dtype=torch.float64, device=path.values_R.device)))
    weights = _weights(whitening, path.loadings_RC, penalty)
    variance = max(float(path.variance), 1e-300)
    return Ridge(weights, _intercept(pooled, weights), penalty, gcv, 1 - gcv / variance)


def shuffled_decisions(pooled_BD: Tensor, shuffled: Sequence[PooledMoments], penalty: float) -> Tensor:
    """Scores (B, S, C) of texts (B, D) by the read-outs of the same texts under several labels, all in two products.

    Args:
        pooled_BD: the texts asked about.
        shuffled: moments of one set of texts under the labels of each shuffle (`PooledMoments.relabel`).
        penalty: of coordinates of unit variance.
    """
    whitening = whitening_of(shuffled[0])
    szy_DX = torch.cat([moments.label_moments()[0] for moments in shuffled], 1)
    weights_DX = _weights(whitening, _loadings(whitening, szy_DX), penalty)
    share_X = torch.cat([moments.label_shares() for moments in shuffled])
    decision_BX = (pooled_BD.to(torch.float64) - shuffled[0].mean()) @ weights_DX + share_X
    return decision_BX.view(len(pooled_BD), len(shuffled), -1)


def _loadings(whitening: Whitening, szy_DC: Tensor) -> Tensor:
    return whitening.vectors_DR.T @ (szy_DC / whitening.scale_D[:, None])


def _weights(whitening: Whitening, loadings_RC: Tensor, penalty: float) -> Tensor:
    shrunk_RC = loadings_RC / (whitening.values_R + penalty)[:, None]
    return whitening.vectors_DR @ shrunk_RC / whitening.scale_D[:, None]


def _intercept(pooled: PooledMoments, weights_DC: Tensor) -> Tensor:
    return pooled.label_shares() - pooled.mean() @ weights_DC
