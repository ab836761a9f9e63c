"""The retained curve on held-out groups of texts, for where N is too small to adjust it for chance.

The work is done in coordinates of unit variance over all texts, those of them that vary: x = E' z / scale about the
mean of all.  Axes: D width, R rank of Szz, Q read-outs, C classes, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.frame import Frame
from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.whitening import whiten

INDEPENDENT = 1e-10
"""A read-out whose part beside those before it is this small a share of it adds no direction."""


def crossfit_retained(
    fixed: Frame, groups: Sequence[PooledMoments], total: PooledMoments, rows: Sequence[Tensor | None] | None = None
) -> Tensor:
    """Retained curve from texts held out by groups (D,): where N is too small to adjust for chance.

    Each group is predicted from read-outs V_k fitted on the other groups; the squared error they save over the mean
    is summed over groups and divided by that of the best k, so the curve peaks at 1.  Read-outs that save nothing
    retain nothing (0).  All NaN where even the best k saves no more than its standard error over groups.
    Cost O(G R^3); with the rows of each group (N_g, D) no covariance is decomposed.
    """
    into_DR, mean_D = fixed.whitening.vectors_DR / fixed.whitening.scale_D[:, None], total.mean()
    known = [each for each in rows or [] if each is not None]
    x_GNR = [(rows_ND.to(torch.float64) - mean_D) @ into_DR for rows_ND in known] if len(known) == len(groups) else None
    scaled_DD = fixed.whitening.scale_D[:, None] * fixed.encoder.directions_DD
    held_out = _HeldOut(
        total, groups, mean_D, into_DR, fixed.whitening.values_R, fixed.whitening.vectors_DR.T @ scaled_DD, x_GNR
    )
    gains_GD = torch.stack([held_out.gains(place) for place in range(len(groups))])
    saved_D = gains_GD.sum(0)
    best = int(saved_D.argmax())
    error = gains_GD[:, best].std() * len(groups) ** 0.5
    if not saved_D[best] > error:
        return torch.full_like(saved_D, torch.nan)
    return (saved_D / saved_D[best]).clamp(min=0)


@dataclass(frozen=True, eq=False, slots=True)
class _HeldOut:
    """All texts in these coordinates."""

    total: PooledMoments
    groups: Sequence[PooledMoments]
    mean_D: Tensor
    into_DR: Tensor
    values_R: Tensor  # variances of x over all texts
    order_RD: Tensor  # the encoder's directions, strongest first
    x_GNR: list[Tensor] | None  # texts of each group, where they are there

    def gains(self, place: int) -> Tensor:
        """Drop in squared error on a group's texts when the read-out through V_k replaces the mean, for each k (D,).

        From as many directions on as the fit can tell apart, least squares has no one answer, and the curve stays
        where it is.
        """
        held_out = self.groups[place]
        fit = self.total - held_out
        gram_RR, sum_R = self._sums(place)
        fit_mean_R = -sum_R / fit.n_texts
        basis_RQ = self._readouts(self._whitened(place, fit.n_texts, gram_RR, fit_mean_R))
        weights_QC = basis_RQ.T @ (self.into_DR.T @ fit.second_moments(center=True)[1])
        about_CR = held_out.class_sums(self.mean_D).T @ self.into_DR - torch.outer(held_out.sums.count_C, fit_mean_R)
        share_C = fit.sums.count_C / fit.n_texts
        cross_RC = about_CR.T - torch.outer(about_CR.sum(0), share_C)
        moved_RR = gram_RR - torch.outer(sum_R, fit_mean_R) - torch.outer(fit_mean_R, sum_R)
        moved_RR.addr_(fit_mean_R, fit_mean_R, alpha=held_out.n_texts)  # of the held-out texts, about the fit's mean
        weighted = (basis_RQ.T @ moved_RR @ basis_RQ) * (weights_QC @ weights_QC.T)
        linear = 2 * (weights_QC * (basis_RQ.T @ cross_RC)).sum(1).cumsum(0)
        gains = linear - weighted.cumsum(0).cumsum(1).diagonal()
        return torch.cat([gains, gains[-1].expand(held_out.dim - len(gains))])

    def _sums(self, place: int) -> tuple[Tensor, Tensor]:
        """Sum of x x' (R, R) and of x (R,) over a group."""
        if self.x_GNR is not None:
            return self.x_GNR[place].T @ self.x_GNR[place], self.x_GNR[place].sum(0)
        about = self.groups[place].sums.about(self.mean_D)
        return self.into_DR.T @ about.zz_DD @ self.into_DR, self.into_DR.T @ about.zy_DC.sum(1)

    def _whitened(self, place: int, n_fit: int, gram_RR: Tensor, fit_mean_R: Tensor) -> Tensor:
        """F V with F'F the covariance of x over the other groups, for as many columns of V as it has rank."""
        if self.x_GNR is not None:
            others_NR = torch.cat([x_NR for other, x_NR in enumerate(self.x_GNR) if other != place]) - fit_mean_R
            rank = min(n_fit - 1, len(self.values_R))
            return (others_NR @ self.order_RD[:, :rank]) / n_fit**0.5
        inner_RR = ((self.total.n_texts * self.values_R).diag() - gram_RR) / n_fit
        whitening = whiten(inner_RR.addr_(fit_mean_R, fit_mean_R, alpha=-1), scaled=True)
        return whitening.root(self.order_RD[:, : whitening.rank])

    def _readouts(self, whitened_FK: Tensor) -> Tensor:
        """Columns that span the first k of V for every k and are orthonormal in the fit's covariance (R, Q).

        R^-1 Q of the QR of R V would do where the fit's R is invertible; with fewer texts than directions its columns
        leave the span of V, and what is held out is then not read through V' z.
        """
        length_K = whitened_FK.norm(dim=0).clamp(min=torch.finfo(whitened_FK.dtype).tiny)
        upper_KK = torch.linalg.qr(whitened_FK / length_K, mode="r").R
        weak_K = upper_KK.diagonal().abs() <= INDEPENDENT
        count = int(weak_K.int().argmax()) if weak_K.any() else len(weak_K)
        columns_RK = (self.order_RD[:, : len(length_K)] / length_K)[:, :count]
        return torch.linalg.solve_triangular(upper_KK[:count, :count], columns_RK, upper=True, left=False)
