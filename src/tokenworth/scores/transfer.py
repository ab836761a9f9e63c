"""H-score and LogME: two closed-form estimates of how well pooled texts separate the labels.

Axes: D width, C classes, R rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from tokenworth.scores.pooled import PooledMoments

Spectrum: TypeAlias = tuple[Tensor, Tensor]


def ledoit_wolf_shrinkage(pooled: PooledMoments) -> float:
    """Share alpha in [0, 1] of the scaled identity in the Ledoit-Wolf covariance (1 - alpha) S + alpha tr(S)/D I.

    Source: Ledoit and Wolf (2004), Journal of Multivariate Analysis 88(2), 365-411.
    """
    szz, _, _ = pooled.second_moments(center=True)
    dim, energy = pooled.dim, szz.square().sum()
    distance = energy - szz.trace().square() / dim
    error = (pooled.quartic() - energy) / max(pooled.n_texts, 1)
    if not distance > 0:
        return 0.0
    return float((error / distance).clamp(0, 1))


def hscore(pooled: PooledMoments, *, shrink: bool = True) -> float:
    """Regularised H-score (1 - alpha) tr( S_alpha^-1 Szy Syy^-1 Szy' ), in [0, C - 1]; centred moments divided by N.

    Args:
        pooled: moments of pooled texts and labels.
        shrink: False takes alpha = 0 (Bao et al. 2019); then Szz must be regular.

    Sources: Bao et al. (2019), ICIP; Ibrahim, Ponomareva and Mazumder (2022), ECML PKDD.
    """
    fixed = pooled.known(f"hscore {shrink}", lambda: _Shrunk.of(pooled, shrink=shrink))
    szy = pooled.second_moments(center=True)[1]
    share_C = pooled.sums.count_C / max(pooled.n_texts, 1)
    weight_C = torch.where(share_C > 0, share_C.rsqrt(), 0.0)  # a class without texts (one group left out) adds nothing
    between_DC = szy * weight_C / fixed.scale_D[:, None]
    return (1 - fixed.alpha) * float((between_DC * fixed.solve(between_DC)).sum())


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


def logme(pooled: PooledMoments) -> float:
    """Log maximum evidence per text of a Bayesian linear model, one per one-hot class, averaged over classes.

    With lambda = alpha / beta and F'F = E diag(e) E' of rank R, maximising over beta in closed form leaves

        evidence(lambda) = R/2 log lambda - 1/2 sum log(lambda + e) + N/2 log(N / Q) - N/2 - N/2 log 2 pi
        Q(lambda) = y'y - sum (E'F'y)^2 / (lambda + e)

    which is maximised over lambda per class.  The d/2 log alpha of the prior cancels against the null directions, so
    N < D needs no special case.  Uncentred, unscaled.  Source: You et al. (2021), ICML.

    Args:
        pooled: moments of pooled texts and labels; relabellings of the same texts share one eigendecomposition.

    Raises:
        ValueError: no texts.
    """
    if not pooled.n_texts:
        raise ValueError("no texts were added to the pooled moments")
    n = pooled.n_texts
    values_R, vectors_DR = raw_spectrum(pooled)
    _, szy, syy = pooled.second_moments(center=False)
    evidence = _Evidence(values_R, (szy.T @ vectors_DR * n).T.square(), syy.diagonal() * n, n)
    return float((evidence.maximum() / n)[syy.diagonal() > 0].mean())


def raw_spectrum(pooled: PooledMoments) -> Spectrum:
    """Eigenvalues (R,) and eigenvectors (D, R) of F'F = N Szz, uncentred, above 1e-12 of the largest."""

    def find() -> Spectrum:
        values, vectors = torch.linalg.eigh(pooled.second_moments(center=False)[0] * pooled.n_texts)
        kept = values > 1e-12 * values[-1]
        return values[kept], vectors[:, kept]

    return pooled.known("raw spectrum", find)


@dataclass(frozen=True, eq=False, slots=True)
class _Evidence:
    """Evidence of each class as a function of log lambda."""

    values_R: Tensor
    loadings_RC: Tensor
    energy_C: Tensor
    n: int

    def at(self, log_lambda_PC: Tensor) -> Tensor:
        """Evidence (P, C) at P values of log lambda, shared (P, 1) or one column a class (P, C)."""
        shifted_PCR = log_lambda_PC.exp()[..., None] + self.values_R
        if log_lambda_PC.shape[1] == 1:
            explained_PC = shifted_PCR[:, 0].reciprocal() @ self.loadings_RC
        else:
            explained_PC = (self.loadings_RC.T / shifted_PCR).sum(-1)
        misfit_PC = (self.energy_C - explained_PC).clamp(min=1e-14 * self.energy_C)
        occam_PC = (len(self.values_R) * log_lambda_PC - shifted_PCR.log().sum(-1)) / 2
        return occam_PC + self.n / 2 * ((self.n / misfit_PC).log() - 1 - math.log(2 * math.pi))

    def maximum(self) -> Tensor:
        """Best (C,) of a grid reaching 18 e-folds beyond the spectrum on either side, each refined twice."""
        ends = self.values_R.min().log() - 18, self.values_R.max().log() + 18
        share_P = torch.linspace(0, 1, 97, dtype=torch.float64, device=self.values_R.device)
        grid_PC = (ends[0] + (ends[1] - ends[0]) * share_P)[:, None]
        step = grid_PC[1] - grid_PC[0]
        heights_PC = self.at(grid_PC)
        for _ in range(2):
            centre_C = grid_PC.expand_as(heights_PC).gather(0, heights_PC.argmax(0)[None])
            grid_PC = centre_C + torch.linspace(-1, 1, 17).to(step)[:, None] * step
            step = step / 8
            heights_PC = self.at(grid_PC)
        return heights_PC.max(0).values
