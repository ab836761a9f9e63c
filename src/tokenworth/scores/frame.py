"""What stays the same in one layer while labels are shuffled or a group of texts is left out.

The encoder directions V see no labels and are held fixed; the pooled side is taken to coordinates K = R^-1 in which
Szz of all texts is the identity.  There a replicate costs two products and one well-conditioned Cholesky
factorisation instead of an eigendecomposition and a QR.  Axes: D width, R rank of Szz, C classes, r label directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.context import ContextMoments
from tokenworth.scores.curves import complete_in_any_order
from tokenworth.scores.ntps import check_widths, encoder_basis, overlap_curve
from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.retained import Readout, readout, whitened_order
from tokenworth.scores.subspaces import (
    LABEL_DIRECTION_CUT,
    Autoregressive,
    Perception,
    Target,
    autoregressive,
    perception,
    whiten_pooled,
)
from tokenworth.scores.whitening import Whitening, whiten

INDEPENDENT = 1e-10
"""A read-out whose part beside those before it is this small a share of it adds no direction."""


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """Fixed directions and coordinates of one layer; see `frame`."""

    encoder: Autoregressive
    encoder_basis_DD: Tensor
    labels: Perception
    coordinates_DR: Tensor  # K with K' Szz K = I, its columns in the order of the encoder's directions
    whitening: Whitening  # of Szz
    order_RR: Tensor  # from whitened coordinates to these: orthonormal
    penalty_R: Tensor  # the GCV penalty in whitened coordinates
    penalty_RR: Tensor | None  # and in these; None where none was needed
    full: Readout

    def relabelled(self, pooled: PooledMoments) -> Replicate:
        """What the same texts under other labels say in these coordinates."""
        return self._replicate(pooled, None)

    def without(self, total: PooledMoments, group: PooledMoments, rows_ND: Tensor | None = None) -> Replicate:
        """What all texts but a group say in these coordinates; rows_ND, the group's pooled texts, make it cheaper."""
        fit = total - group
        gram_RR, sum_R = _sums_in(self.coordinates_DR, total.mean(), group, rows_ND)
        inner_RR = gram_RR.mul_(-1 / fit.n_texts)
        inner_RR.diagonal().add_(total.n_texts / fit.n_texts)
        return self._replicate(fit, torch.addr(inner_RR, sum_R, sum_R, alpha=-1 / fit.n_texts**2))

    def _replicate(self, pooled: PooledMoments, inner_RR: Tensor | None) -> Replicate:
        _, szy, syy = pooled.second_moments(center=True)
        cross_RC = (szy.T @ self.coordinates_DR).T  # a tenth of the time of K' Szy: K is read row by row
        return Replicate(self, pooled, inner_RR, cross_RC, float(syy.trace()))


@dataclass(frozen=True, eq=False, slots=True)
class Replicate:
    """One set of texts and labels in the coordinates of a frame."""

    frame: Frame
    pooled: PooledMoments
    inner_RR: Tensor | None  # K' Szz K; None where it is the identity
    cross_RC: Tensor  # K' Szy
    variance: float

    def curves(self) -> tuple[Readout, Tensor]:
        """c_k, and NTPS(k) for k = 1 .. D (D,), NaN where saturated."""
        lower = None if self.inner_RR is None else _cholesky(self.inner_RR)
        return self._readout(lower), self._ntps(lower)

    def _readout(self, lower_RR: Tensor | None) -> Readout:
        loadings = self.cross_RC
        if lower_RR is not None:
            loadings = torch.linalg.solve_triangular(lower_RR, loadings, upper=False)
        gains, width = loadings.square().sum(1).cumsum(0), len(self.frame.coordinates_DR)
        gains = torch.cat([gains, gains[-1].expand(width - len(gains))])
        gains = complete_in_any_order(gains, self.frame.encoder.rank)
        return Readout(gains, self.variance, self.frame.full.rank, self.pooled.n_texts)

    def _ntps(self, lower_RR: Tensor | None) -> Tensor:
        fixed = self.frame
        if fixed.labels.saturated:
            return torch.full((len(fixed.coordinates_DR),), torch.nan, dtype=torch.float64)
        return overlap_curve(fixed.encoder_basis_DD, fixed.encoder.rank, self._label_basis(lower_RR))

    def _label_basis(self, lower_RR: Tensor | None) -> Tensor:
        """Orthonormal basis (D, r) of the label directions."""
        weights_DC = self.frame.coordinates_DR @ self._solve(lower_RR)
        left, singular, _ = torch.linalg.svd(weights_DC, full_matrices=False)
        # A class whose texts were all left out has no direction: what stands in its place is rounding.
        kept = singular[: len(self.frame.labels.strengths_r)] > LABEL_DIRECTION_CUT * singular[0]
        return left[:, : len(kept)][:, kept]

    def _solve(self, lower_RR: Tensor | None) -> Tensor:
        penalty = self.frame.penalty_RR
        if penalty is None:
            return self.cross_RC if lower_RR is None else torch.cholesky_solve(self.cross_RC, lower_RR)
        if self.inner_RR is None:  # the identity: whitened coordinates, where the penalty is diagonal
            order = self.frame.order_RR
            return order.T @ ((order @ self.cross_RC) / (1 + self.frame.penalty_R[:, None]))
        return torch.cholesky_solve(self.cross_RC, _cholesky(self.inner_RR + penalty))


def frame(context: ContextMoments, pooled: PooledMoments, *, target: Target = "plain") -> Frame:
    """The frame of one layer from all its texts; pooled moments centred.  Cost O(D^3).

    Raises:
        ValueError: widths that differ, moments without pairs or texts.
    """
    check_widths(context, pooled)
    encoder, labels = autoregressive(context, target=target), perception(pooled)
    whitening = whiten_pooled(pooled, center=True)
    order_RR = whitened_order(encoder, whitening)
    penalty_R = labels.penalty / whitening.values_R
    return Frame(
        encoder=encoder,
        encoder_basis_DD=encoder_basis(encoder),
        labels=labels,
        coordinates_DR=whitening.solve(order_RR),
        whitening=whitening,
        order_RR=order_RR,
        penalty_R=penalty_R,
        penalty_RR=(order_RR.T * penalty_R) @ order_RR if labels.penalty else None,
        full=readout(encoder, pooled, order_RR=order_RR),
    )


def _cholesky(matrix: Tensor) -> Tensor:
    """Lower factor of a matrix near the identity; where too few texts are left it is singular and a ridge steps in."""
    lower, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        ridged = matrix.clone()
        ridged.diagonal().add_(1e-8 * matrix.diagonal().mean())
        lower = torch.linalg.cholesky(ridged)
    return lower


def _sums_in(
    coordinates_DR: Tensor, mean_D: Tensor, group: PooledMoments, rows_ND: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Sum of x x' (R, R) and of x (R,) over a group of texts, x = K'(z - mean): from its rows where they are few."""
    if rows_ND is not None and len(rows_ND) < 2 * len(coordinates_DR):
        x_NR = (rows_ND.to(torch.float64) - mean_D) @ coordinates_DR
        return x_NR.T @ x_NR, x_NR.sum(0)
    about = group.sums.about(mean_D)
    return coordinates_DR.T @ about.zz_DD @ coordinates_DR, coordinates_DR.T @ about.zy_DC.sum(1)


def crossfit_retained(
    fixed: Frame, groups: Sequence[PooledMoments], total: PooledMoments, rows: Sequence[Tensor | None] | None = None
) -> Tensor:
    """Retained curve from texts held out by groups (D,): where N is too small to adjust for chance.

    Each group is predicted from read-outs V_k fitted on the other groups; the squared error they save over the mean
    is summed over groups and divided by that of the best k, so the curve peaks at 1.  Read-outs that save nothing
    retain nothing (0).  All NaN where even the best k saves no more than its standard error over groups.
    Cost O(G R^3) with the rows of each group, O(G R D^2) without.
    """
    rows = [None] * len(groups) if rows is None else rows
    order_RD = fixed.whitening.vectors_DR.T @ (fixed.whitening.scale_D[:, None] * fixed.encoder.directions_DD)
    gains_GD = torch.stack(
        [_held_out_gains(fixed, order_RD, total, group, rows_ND) for group, rows_ND in zip(groups, rows, strict=True)]
    )
    saved_D = gains_GD.sum(0)
    best = int(saved_D.argmax())
    error = gains_GD[:, best].std() * len(groups) ** 0.5
    if not saved_D[best] > error:
        return torch.full_like(saved_D, torch.nan)
    return (saved_D / saved_D[best]).clamp(min=0)


def _held_out_gains(
    fixed: Frame, order_RD: Tensor, total: PooledMoments, held_out: PooledMoments, rows_ND: Tensor | None
) -> Tensor:
    """Drop in squared error on the held-out texts when the read-out through V_k replaces the mean, for each k (D,).

    The work is done in coordinates of unit variance over all texts, those of them that vary: x = E' z / scale about the
    mean of all (R).  From as many directions on as the fit can tell apart, least squares has no one answer, and the
    curve stays where it is.
    """
    into_DR = fixed.whitening.vectors_DR / fixed.whitening.scale_D[:, None]
    fit, mean_D = total - held_out, total.mean()
    gram_RR, sum_R = _sums_in(into_DR, mean_D, held_out, rows_ND)
    fit_mean_R = -sum_R / fit.n_texts
    inner_RR = ((total.n_texts * fixed.whitening.values_R).diag() - gram_RR) / fit.n_texts
    whitening = whiten(inner_RR.addr_(fit_mean_R, fit_mean_R, alpha=-1), scaled=True)
    basis_RQ = _readouts(whitening, order_RD[:, : whitening.rank])
    weights_QC = basis_RQ.T @ (into_DR.T @ fit.second_moments(center=True)[1])
    about_CR = held_out.class_sums(mean_D).T @ into_DR - torch.outer(held_out.sums.count_C, fit_mean_R)
    share_C = fit.sums.count_C / fit.n_texts
    cross_RC = about_CR.T - torch.outer(about_CR.sum(0), share_C)
    moved_RR = gram_RR - torch.outer(sum_R, fit_mean_R) - torch.outer(fit_mean_R, sum_R)
    moved_RR.addr_(fit_mean_R, fit_mean_R, alpha=held_out.n_texts)  # of the held-out texts, about the fit's mean
    weighted = (basis_RQ.T @ moved_RR @ basis_RQ) * (weights_QC @ weights_QC.T)
    linear = 2 * (weights_QC * (basis_RQ.T @ cross_RC)).sum(1).cumsum(0)
    gains = linear - weighted.cumsum(0).cumsum(1).diagonal()
    return torch.cat([gains, gains[-1].expand(held_out.dim - len(gains))])


def _readouts(whitening: Whitening, order_RK: Tensor) -> Tensor:
    """Columns that span the first k of order_RK for every k and are orthonormal in the fit's covariance (R, Q).

    R^-1 Q of the QR of R V would do where the fit's R is invertible; with fewer texts than directions its columns
    leave the span of V, and what is held out is then not read through V' z.
    """
    whitened = whitening.root(order_RK)
    length_K = whitened.norm(dim=0).clamp(min=torch.finfo(whitened.dtype).tiny)
    upper_KK = torch.linalg.qr(whitened / length_K).R
    weak_K = upper_KK.diagonal().abs() <= INDEPENDENT
    count = int(weak_K.int().argmax()) if weak_K.any() else len(weak_K)
    columns_RK = (order_RK / length_K)[:, :count]
    return torch.linalg.solve_triangular(upper_KK[:count, :count], columns_RK, upper=True, left=False)
