"""The retained curve on held-out groups of texts, for where N is too small to adjust it for chance.

Axes: D width, R rank of Szz, K as many of the encoder's directions, Q of them that a fit can tell apart, C classes.
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
    Cost O(G R^3): with the rows of each group (N_g, D) a QR for each group, without them two eigendecompositions more.
    """
    known = [each for each in rows or [] if each is not None]
    held_out = _HeldOut.of(fixed, groups, total, known if len(known) == len(groups) else None)
    gains_GD = torch.stack([held_out.gains(place) for place in range(len(groups))])
    saved_D = gains_GD.sum(0)
    best = int(saved_D.argmax())
    error = gains_GD[:, best].std() * len(groups) ** 0.5
    if not saved_D[best] > error:
        return torch.full_like(saved_D, torch.nan)
    return (saved_D / saved_D[best]).clamp(min=0)


@dataclass(frozen=True, eq=False, slots=True)
class _HeldOut:
    """All texts in coordinates of unit variance, those of them that vary, and along the encoder's directions.

    x = E' z / scale (R) about the mean of all, and V' z = order' x (K) of what of z varies.
    """

    total: PooledMoments
    groups: Sequence[PooledMoments]
    mean_D: Tensor
    into_DR: Tensor
    values_R: Tensor  # variances of x over all texts
    order_RK: Tensor
    along_DK: Tensor
    rows_GNK: list[Tensor] | None  # texts of each group along the directions, where they are there

    @classmethod
    def of(
        cls, fixed: Frame, groups: Sequence[PooledMoments], total: PooledMoments, rows: Sequence[Tensor] | None
    ) -> _HeldOut:
        whitening, mean_D = fixed.whitening, total.mean()
        into_DR = whitening.vectors_DR / whitening.scale_D[:, None]
        first_DK = fixed.encoder.directions_DD[:, : whitening.rank]
        order_RK = whitening.vectors_DR.T @ (whitening.scale_D[:, None] * first_DK)
        along_DK = into_DR @ order_RK
        rows_GNK = None if rows is None else [(each.to(torch.float64) - mean_D) @ along_DK for each in rows]
        return cls(total, groups, mean_D, into_DR, whitening.values_R, order_RK, along_DK, rows_GNK)

    def gains(self, place: int) -> Tensor:
        """Drop in squared error on a group's texts when the read-out through V_k replaces the mean, for each k (D,).

        The first k columns of V, through R^-1 of the QR of the fit's texts, are orthonormal in the fit's covariance for
        every k.  From as many directions on as the fit can tell apart, least squares has no one answer, and the curve
        stays where it is.
        """
        held_out, fit = self.groups[place], self.total.labels_without(self.groups[place])
        fit_FK, held_out_NK = self._along(place, fit)
        length_K = fit_FK.norm(dim=0).clamp(min=torch.finfo(fit_FK.dtype).tiny)
        upper_KK = torch.linalg.qr(fit_FK / length_K, mode="r").R
        weak_K = upper_KK.diagonal().abs() <= INDEPENDENT
        count = int(weak_K.int().argmax()) if weak_K.any() else len(weak_K)
        upper_QQ, length_Q, along_DQ = upper_KK[:count, :count], length_K[:count], self.along_DK[:, :count]
        about_DC = held_out.class_sums(fit.mean())
        cross_DC = held_out.of_labels(about_DC) - torch.outer(about_DC.sum(1), fit.label_shares())
        sides_Q2C = along_DQ.T @ torch.cat([fit.label_moments()[0], cross_DC], 1) / length_Q[:, None]
        weights_QC, cross_QC = torch.linalg.solve_triangular(upper_QQ.T, sides_Q2C, upper=False).chunk(2, dim=1)
        seen_NQ = held_out_NK[:, :count] / length_Q
        seen_NQ = torch.linalg.solve_triangular(upper_QQ, seen_NQ, upper=True, left=False)
        gains = 2 * (weights_QC * cross_QC).sum(1).cumsum(0)
        for weights_Q in weights_QC.T:
            gains -= (seen_NQ * weights_Q).cumsum(1).square().sum(0)
        return torch.cat([gains, gains[-1].expand(held_out.dim - len(gains))])

    def _along(self, place: int, fit: PooledMoments) -> tuple[Tensor, Tensor]:
        """Rows along the directions, about the mean of the fit: F' F is the fit's covariance, H' H the sum over the
        held-out texts; for as many directions as the fit has rank.
        """
        if self.rows_GNK is not None:
            others_NK = torch.cat([rows_NK for other, rows_NK in enumerate(self.rows_GNK) if other != place])
            mean_K, rank = others_NK.mean(0), min(len(others_NK) - 1, len(self.values_R))
            fit_NK = (others_NK - mean_K)[:, :rank] / fit.n_texts**0.5
            return fit_NK, (self.rows_GNK[place] - mean_K)[:, :rank]
        about = self.groups[place].sums.about(self.mean_D)
        gram_RR, sum_R = self.into_DR.T @ about.zz_DD @ self.into_DR, self.into_DR.T @ about.zy_DC.sum(1)
        mean_R = -sum_R / fit.n_texts
        inner_RR = ((self.total.n_texts * self.values_R).diag() - gram_RR) / fit.n_texts
        whitening = whiten(inner_RR.addr_(mean_R, mean_R, alpha=-1), scaled=True)
        moved_RR = gram_RR - torch.outer(sum_R, mean_R) - torch.outer(mean_R, sum_R)
        held_out = whiten(moved_RR.addr_(mean_R, mean_R, alpha=self.groups[place].n_texts), scaled=True)
        order_RK = self.order_RK[:, : whitening.rank]
        return whitening.root(order_RK), held_out.root(order_RK)
