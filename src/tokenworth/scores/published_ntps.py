"""NTPS as the public repository Yu-AngCheng/NTPS (commit 0f877f7) computes it, so that its figures can be compared.

Its choices are kept on purpose: an absolute eigenvalue threshold, ascending eigenvalues so that the first columns are
the weakest directions, a basis of the label side that is not orthonormal, nothing centred, k a share of each side's
own rank.  Shuffled labels score the same (docs/results has the figures); use `ntps` for decisions.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.context import ContextMoments
from tokenworth.scores.pooled import PooledMoments

ABSOLUTE_THRESHOLD = 1e-8


def published_code_ntps(context: ContextMoments, pooled: PooledMoments, k: int | float) -> float:
    """|P_V U_k|_F^2 / |U_k|_F^2 with the k weakest directions of either side, in [0, 1].

    Args:
        context: context moments with prefix sums.
        pooled: pooled moments of the same width.
        k: a float is a share of each side's own rank, rounded down; an int a count on both sides.

    Returns:
        The score; NaN where k rounds down to no direction.
    """
    return float(PublishedCode.of(context, pooled).curve(pooled, [k])[0])


@dataclass(frozen=True, eq=False, slots=True)
class PublishedCode:
    """The parts of the score that do not change when the same texts get other labels or k."""

    context_basis_DR: Tensor
    """Orthonormal; its first k columns span the k weakest directions of the encoder."""
    whitener_DR: Tensor

    @classmethod
    def of(cls, context: ContextMoments, pooled: PooledMoments) -> PublishedCode:
        """Both eigenproblems as far as they do not see labels."""
        c0, c1, _, _ = context.second_moments(center=False)
        directions = _ascending_directions(c1 @ c1.T, _whitener(c0))
        return cls(torch.linalg.qr(directions).Q, _whitener(pooled.second_moments(center=False)[0]))

    def curve(self, pooled: PooledMoments, ks: Sequence[int | float]) -> Tensor:
        """The score of the same texts under these labels for each k (K,); NaN where k rounds down to no direction."""
        szy = pooled.second_moments(center=False)[1]
        directions = _ascending_directions(szy @ szy.T, self.whitener_DR)
        kept_RR = (self.context_basis_DR.T @ directions).square().cumsum(0)
        scores = [
            self._score(kept_RR, directions, _count(k, kept_RR.shape[0]), _count(k, kept_RR.shape[1])) for k in ks
        ]
        return torch.tensor(scores, dtype=torch.float64)

    @staticmethod
    def _score(kept_RR: Tensor, directions_DR: Tensor, of_context: int, of_labels: int) -> float:
        if not of_context or not of_labels:
            return float("nan")
        return float(kept_RR[of_context - 1, :of_labels].sum() / directions_DR[:, :of_labels].square().sum())


def _count(k: int | float, rank: int) -> int:
    return int(k * rank) if isinstance(k, float) else min(operator.index(k), rank)


def _whitener(metric_DD: Tensor) -> Tensor:
    """Eigenvectors over the square roots of the eigenvalues above the absolute threshold (D, rank)."""
    values, vectors = torch.linalg.eigh(metric_DD)
    kept = values > ABSOLUTE_THRESHOLD
    return vectors[:, kept] / values[kept].sqrt()


def _ascending_directions(signal_DD: Tensor, whitener_DR: Tensor) -> Tensor:
    """Generalised eigenvectors of the signal in whitened coordinates, weakest first (D, rank)."""
    inner = whitener_DR.T @ signal_DD @ whitener_DR
    return whitener_DR @ torch.linalg.eigh((inner + inner.T) / 2).eigenvectors
