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


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """Fixed directions and coordinates of one layer; see `frame`."""

    encoder: Autoregressive
    encoder_basis_DD: Tensor
    labels: Perception
    coordinates_DR: Tensor  # K, with K' Szz K = I
    penalty_R: Tensor  # the GCV penalty in these coordinates, 0 where none was needed
    order_RR: Tensor  # orthonormal, first k columns span the encoder's first k directions
    full: Readout

    def readout(self, pooled: PooledMoments, *, same_texts: bool = False) -> Readout:
        """c_k of fewer texts, or (same_texts) of the same texts under other labels."""
        inner_RR, cross_RC, variance = self._moments(pooled, same_texts)
        loadings = self.order_RR.T @ cross_RC
        if inner_RR is not None:
            lower = _cholesky(self.order_RR.T @ inner_RR @ self.order_RR)
            loadings = torch.linalg.solve_triangular(lower, loadings, upper=False)
        gains = loadings.square().sum(1).cumsum(0)
        gains = torch.cat([gains, gains[-1].expand(pooled.dim - len(gains))])
        return Readout(complete_in_any_order(gains, self.encoder.rank), variance, self.full.rank, pooled.n_texts)

    def label_basis(self, pooled: PooledMoments, *, same_texts: bool = False) -> Tensor:
        """Orthonormal basis (D, r) of the label directions of fewer texts, or of the same texts under other labels."""
        inner_RR, cross_RC, _ = self._moments(pooled, same_texts)
        if inner_RR is None:
            solved = cross_RC / (1 + self.penalty_R[:, None])
        else:
            solved = torch.cholesky_solve(cross_RC, _cholesky(inner_RR + self.penalty_R.diag()))
        weights_DC = self.coordinates_DR @ solved
        left, singular, _ = torch.linalg.svd(weights_DC, full_matrices=False)
        # A class whose texts were all left out has no direction: what stands in its place is rounding.
        kept = singular[: len(self.labels.strengths_r)] > LABEL_DIRECTION_CUT * singular[0]
        return left[:, : len(kept)][:, kept]

    def ntps_curve(self, pooled: PooledMoments, *, same_texts: bool = False) -> Tensor:
        """NTPS(k) for k = 1 .. D (D,); NaN where saturated."""
        if self.labels.saturated:
            return torch.full((pooled.dim,), torch.nan, dtype=torch.float64)
        basis = self.label_basis(pooled, same_texts=same_texts)
        return overlap_curve(self.encoder_basis_DD, self.encoder.rank, basis)

    def _moments(self, pooled: PooledMoments, same_texts: bool) -> tuple[Tensor | None, Tensor, float]:
        """K' Szz K (None where it is the identity), K' Szy and tr Syy."""
        szz, szy, syy = pooled.second_moments(center=True)
        inner = None if same_texts else self.coordinates_DR.T @ szz @ self.coordinates_DR
        return inner, self.coordinates_DR.T @ szy, float(syy.trace())


def frame(context: ContextMoments, pooled: PooledMoments, *, target: Target = "plain") -> Frame:
    """The frame of one layer from all its texts; pooled moments centred.  Cost O(D^3).

    Raises:
        ValueError: widths that differ, moments without pairs or texts.
    """
    check_widths(context, pooled)
    encoder, labels = autoregressive(context, target=target), perception(pooled)
    whitening = whiten_pooled(pooled, center=True)
    identity = torch.eye(whitening.rank, dtype=torch.float64, device=whitening.values_R.device)
    return Frame(
        encoder=encoder,
        encoder_basis_DD=encoder_basis(encoder),
        labels=labels,
        coordinates_DR=whitening.solve(identity),
        penalty_R=labels.penalty / whitening.values_R,
        order_RR=whitened_order(encoder, whitening),
        full=readout(encoder, pooled),
    )


def _cholesky(matrix: Tensor) -> Tensor:
    """Lower factor of a matrix near the identity; where too few texts are left it is singular and a ridge steps in."""
    lower, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        lower = torch.linalg.cholesky(matrix + 1e-8 * matrix.diagonal().mean() * torch.eye(len(matrix)).to(matrix))
    return lower


def crossfit_retained(context: ContextMoments, groups: Sequence[PooledMoments]) -> Tensor:
    """Retained curve from texts held out by groups (D,): where N is too small to adjust for chance.

    Each group is predicted from read-outs V_k fitted on the other groups; the squared error they save over the mean
    is summed over groups and divided by that of the best k, so the curve peaks at 1.  Read-outs that save nothing
    retain nothing (0).  All NaN where even the best k saves no more than its standard error over groups.
    Cost O(G D^3).
    """
    encoder = autoregressive(context)
    total = groups[0]
    for group in groups[1:]:
        total = total + group
    gains_GD = torch.stack([_held_out_gains(encoder, total - group, group) for group in groups])
    saved_D = gains_GD.sum(0)
    best = int(saved_D.argmax())
    error = gains_GD[:, best].std() * len(groups) ** 0.5
    if not saved_D[best] > error:
        return torch.full_like(saved_D, torch.nan)
    return (saved_D / saved_D[best]).clamp(min=0)


def _held_out_gains(encoder: Autoregressive, fit: PooledMoments, held_out: PooledMoments) -> Tensor:
    """Drop in squared error on the held-out texts when the read-out through V_k replaces the mean, for each k (D,)."""
    whitening = whiten_pooled(fit, center=True)
    basis_DR = whitening.solve(whitened_order(encoder, whitening))  # Szz-orthonormal on the fitted texts
    weights_RC = basis_DR.T @ fit.second_moments(center=True)[1]
    about = held_out.sums.about(fit.mean())
    share_C = fit.sums.count_C / fit.n_texts
    cross_RC = basis_DR.T @ (about.zy_DC - torch.outer(about.zy_DC.sum(1), share_C))
    linear = 2 * (weights_RC * cross_RC).sum(1).cumsum(0)
    weighted = (basis_DR.T @ about.zz_DD @ basis_DR) * (weights_RC @ weights_RC.T)
    quadratic = weighted.cumsum(0).cumsum(1).diagonal()
    gains = linear - quadratic
    return torch.cat([gains, gains[-1].expand(held_out.dim - len(gains))])
