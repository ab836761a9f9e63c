"""What stays the same in one layer while labels are shuffled or a group of texts is left out.

The encoder directions V see no labels and are held fixed; the pooled side is taken to coordinates K = R^-1 in which
Szz of all texts is the identity.  There a replicate costs two products and one well-conditioned Cholesky
factorisation instead of an eigendecomposition and a QR.  Axes: D width, R rank of Szz, C classes, r label directions.
"""

from __future__ import annotations

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
from tokenworth.scores.whitening import Whitening, ridged_cholesky


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
        fit = total.labels_without(group)
        gram_RR, sum_R = _sums_in(self.coordinates_DR, total.mean(), group, rows_ND)
        inner_RR = gram_RR.mul_(-1 / fit.n_texts)
        inner_RR.diagonal().add_(total.n_texts / fit.n_texts)
        return self._replicate(fit, torch.addr(inner_RR, sum_R, sum_R, alpha=-1 / fit.n_texts**2))

    def _replicate(self, pooled: PooledMoments, inner_RR: Tensor | None) -> Replicate:
        szy, syy = pooled.label_moments()
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
    if failed:  # a ridge relative to the mean of the diagonal, larger where rounding is
        scale = matrix.diagonal().mean().sqrt()
        return ridged_cholesky(matrix, scale.expand(len(matrix))) * scale
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
