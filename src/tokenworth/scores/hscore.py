"""H-score: a closed-form estimate of how well pooled texts separate the labels.  LogME is in `evidence`.

Axes: D width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.pooled import PooledMoments


def ledoit_wolf_shrinkage(pooled: PooledMoments) -> float:
    """Share alpha in [0, 1] of the scaled identity in the Ledoit-Wolf covariance (1 - alpha) S + alpha tr(S)/D I.

    Source: Ledoit and Wolf (2004), Journal of Multivariate Analysis 88(2), 365-411.
    """
    szz = pooled.second_moments(center=True)[0]
    return shrinkage_of(szz.square().sum(), szz.trace(), pooled.quartic(), pooled.dim, pooled.n_texts)


def shrinkage_of(energy: Tensor, trace: Tensor, quartic: Tensor, dim: int, n_texts: int) -> float:
    """The same from the squared Frobenius norm of S, its trace, and the mean of |z - mean|^4."""
    distance = energy - trace.square() / dim
    error = (quartic - energy) / max(n_texts, 1)
    if not distance > 0:
        return 0.0
    return float((error / distance).clamp(0, 1))


def hscore(pooled: PooledMoments, *, shrink: bool = True) -> float:
    """Regularised H-score (1 - alpha) tr( S_alpha^-1 Szy Syy^-1 Szy' ), in [0, C - 1]; centred moments divided by N.

    Of several labels a text: the sum of squared canonical correlations of text and labels, in [0, min(C, D)] without
    shrinkage, Syy^+ taking the place of Syy^-1.  For one class a text that is the H-score itself (Huang et al. 2019,
    An Information-theoretic Approach to Unsupervised Feature Selection); for several it looks at E[z | y] as far as it
    is a sum over labels.

    Args:
        pooled: moments of pooled texts and labels.
        shrink: False takes alpha = 0 (Bao et al. 2019); then Szz must be regular.

    Sources: Bao et al. (2019), ICIP; Ibrahim, Ponomareva and Mazumder (2022), ECML PKDD.
    """
    fixed = pooled.known(f"hscore {shrink}", lambda: _Shrunk.of(pooled, shrink=shrink))
    szy, _ = pooled.label_moments()
    between_DC = standardised(pooled, szy) / fixed.scale_D[:, None]
    return (1 - fixed.alpha) * float((between_DC * fixed.solve(between_DC)).sum())


def standardised(pooled: PooledMoments, szy_DC: Tensor) -> Tensor:
    """Szy Syy^-1/2 (D, C): of the mean text of each class, or of labels made uncorrelated."""
    if pooled.sets_LC is None:
        share_C = pooled.label_shares()
        weight_C = torch.where(share_C > 0, share_C.rsqrt(), 0.0)  # a class without texts (one group left out): nothing
        return szy_DC * weight_C
    values_C, vectors_CC = torch.linalg.eigh(pooled.label_moments()[1])
    kept_C = values_C > 1e-10 * values_C[-1].clamp(min=torch.finfo(torch.float64).tiny)
    return szy_DC @ vectors_CC[:, kept_C] / values_C[kept_C].sqrt()


@dataclass(frozen=True, eq=False, slots=True)
class _Shrunk:
    """The shrunk covariance of some texts, factored: their labels are not in it."""

    alpha: float
    scale_D: Tensor
    lower_DD: Tensor | None
    pseudo_inverse_DD: Tensor | None

    @classmethod
    def of(cls, pooled: PooledMoments, *, shrink: bool) -> _Shrunk:
        szz = pooled.second_moments(center=True)[0]
        alpha = ledoit_wolf_shrinkage(pooled) if shrink else 0.0
        covariance = (1 - alpha) * szz
        covariance.diagonal().add_(alpha * szz.trace() / pooled.dim)
        scale_D = covariance.diagonal().clamp(min=torch.finfo(torch.float64).tiny).sqrt()
        covariance.div_(scale_D).div_(scale_D[:, None])
        lower, failed = torch.linalg.cholesky_ex(covariance)
        if not failed:
            return cls(alpha, scale_D, lower, None)
        # No shrinkage and directions without variance: least squares.
        return cls(alpha, scale_D, None, torch.linalg.pinv(covariance, hermitian=True, rtol=1e-10))

    def solve(self, right_DC: Tensor) -> Tensor:
        if self.lower_DD is not None:
            return torch.cholesky_solve(right_DC, self.lower_DD)
        assert self.pseudo_inverse_DD is not None, "one of the two is there"
        return self.pseudo_inverse_DD @ right_DC
