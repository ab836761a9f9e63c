"""LogME: the log maximum evidence of a Bayesian linear model of the labels, in a form that real states do not upset.

With lambda = alpha / beta, centred features X with X'X = E diag(e) E' of rank R, centred labels y, loadings l = E'X'y
and the mean text mu, the evidence of N labels is that of the N - 1 contrasts and of their mean given the contrasts:

    contrasts   R/2 log lambda - 1/2 sum log(lambda + e),   q = y'y - sum l^2 / e + sum l^2 lambda / (e (lambda + e))
    mean        - 1/2 log(1 + N g),                         q += N (share - mu'w)^2 / (1 + N g)
    both        n/2 (log(n / q) - 1 - log 2 pi)             with beta at its maximum

g = mu'(X'X + lambda)^-1 mu, w the posterior mean of the weights, n = N (n = N - 1 for contrasts alone: an intercept).
Every term of q is positive.  y'y - sum l^2 / (lambda + e), the same in exact arithmetic, loses all digits where labels
are nearly interpolated (N <= D), and a q of rounding makes an evidence that has no bound.

Axes: D width, C classes, R rank, P points of lambda.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.whitening import whiten_rows

CUT = 1e-12
"""Eigenvalues of X'X below this share of the largest are its rounding."""
INTERPOLATED = "the pooled texts give the labels exactly, to rounding, so the evidence has no maximum"
UNRESOLVED = "the evidence is largest where it depends on directions below the rounding of the pooled texts"


def logme(pooled: PooledMoments, *, center: bool = False) -> float:
    """Log maximum evidence per text of a Bayesian linear model, one per one-hot class, averaged over classes.

    Any number of texts, fewer than directions too.  Source: You et al. (2021), ICML.

    Args:
        pooled: moments of pooled texts and labels; relabellings of the same texts share one eigendecomposition.
        center: give the model an intercept under a flat prior, which takes one degree of freedom from the N texts: the
            evidence of the N - 1 contrasts, divided by N.  Published LogME has none.

    Returns:
        Nats a text; NaN where the evidence has no maximum (`why_no_logme`).

    Raises:
        ValueError: no texts.
    """
    return _peak(pooled, center)[0]


def why_no_logme(pooled: PooledMoments, *, center: bool = False) -> str:
    """The sentence that explains why LogME is NaN here; empty where it is a number."""
    return _peak(pooled, center)[1]


def _peak(pooled: PooledMoments, center: bool) -> tuple[float, str]:
    if not pooled.n_texts:
        raise ValueError("no texts were added to the pooled moments")
    share_C = pooled.label_shares()
    seen_C = (share_C > 0) & (share_C < 1) if center else share_C > 0
    if not seen_C.any():
        return math.nan, INTERPOLATED
    height_C, log_lambda_C, lowest_C = Evidence.of(pooled, seen_C, center=center).maximum()
    spectrum = centred_spectrum(pooled)
    if not spectrum.interpolates(center) and lowest_C.any():
        return math.nan, INTERPOLATED
    if spectrum.is_cut and (log_lambda_C < spectrum.floor.log()).any():
        return math.nan, UNRESOLVED
    return float(height_C.mean()) / pooled.n_texts, ""


@dataclass(frozen=True, eq=False, slots=True)
class CentredSpectrum:
    """Eigenvalues of N Szz, centred, and what is needed of the mean; the labels are not in it."""

    all_D: Tensor  # ascending
    values_R: Tensor
    vectors_DR: Tensor
    mean_R: Tensor  # of the texts along the vectors
    outside: Tensor  # squared length of the mean outside their span
    n_texts: int

    @classmethod
    def of(cls, pooled: PooledMoments) -> CentredSpectrum:
        """Of all texts."""
        values, vectors = _decomposition(pooled)
        rank = min(int((values > CUT * values[-1].clamp(min=0)).sum()), max(pooled.n_texts - 1, 0))
        kept, mean_D = vectors[:, vectors.shape[1] - rank :], pooled.mean()
        mean_R = kept.T @ mean_D
        beside = (mean_D - kept @ mean_R).square().sum()
        outside = beside if rank < len(values) and beside > CUT * mean_D.square().sum() else torch.zeros_like(beside)
        return cls(values, values[len(values) - rank :], kept, mean_R, outside, pooled.n_texts)

    @property
    def is_cut(self) -> bool:
        """Whether directions that N texts could fill were left out as rounding."""
        return len(self.values_R) < min(len(self.all_D), self.n_texts - 1)

    @property
    def floor(self) -> Tensor:
        """Below this lambda what was cut would show."""
        return 10 * CUT * self.all_D[-1].clamp(min=torch.finfo(torch.float64).tiny)

    def interpolates(self, center: bool) -> bool:
        """Whether any labels are met as exactly as any others: there are as many directions as observations, or none.

        The evidence then has a limit as lambda goes to 0.
        """
        rank, n = len(self.values_R) + (0 if center else int(self.outside > 0)), self.n_texts
        return rank in (0, n - int(center))

    def scales(self) -> Tensor:
        """Eigenvalues with that of the mean outside their span, where lambda is searched; 1 where nothing varies."""
        scales = torch.cat([self.values_R, (self.n_texts * self.outside)[None]])
        return scales[scales > 0] if (scales > 0).any() else torch.ones_like(scales[:1])


def _decomposition(pooled: PooledMoments) -> tuple[Tensor, Tensor]:
    """Eigenvalues of N Szz (D,), ascending, and the last eigenvectors, one a text where texts are few and were kept."""
    texts_ND = pooled.few_texts()
    if texts_ND is None:
        values, vectors = torch.linalg.eigh(pooled.second_moments(center=True)[0] * pooled.n_texts)
        return values, vectors
    factor = whiten_rows(texts_ND, torch.ones_like(texts_ND[0]), scaled=False)
    beside = pooled.dim - len(texts_ND)
    values = torch.nn.functional.pad(factor.values_R.flip(0) * len(texts_ND), (beside, 0))
    return values, factor.vectors_DR.flip(1)


def centred_spectrum(pooled: PooledMoments) -> CentredSpectrum:
    """Found once for the texts and all their relabellings.  Cost O(D^3)."""
    return pooled.known("centred spectrum", lambda: CentredSpectrum.of(pooled))


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """Evidence of each class as a function of log lambda."""

    spectrum: CentredSpectrum
    loadings_RC: Tensor
    apart_C: Tensor  # y'y - sum l^2 / e: what no direction explains
    share_C: Tensor
    center: bool

    @classmethod
    def of(cls, pooled: PooledMoments, seen_C: Tensor, *, center: bool) -> Evidence:
        """Of those classes that a mask or their numbers name."""
        spectrum, n = centred_spectrum(pooled), pooled.n_texts
        _, szy, syy = pooled.second_moments(center=True)
        loadings_RC = (szy[:, seen_C].T @ spectrum.vectors_DR * n).T
        energy_C, part_RC = syy.diagonal()[seen_C] * n, loadings_RC.square() / spectrum.values_R[:, None]
        apart_C = energy_C - part_RC.sum(0)
        # The eigenvalues are good to about 1e-15 of the largest, their share of y'y therefore to:
        rounding_RC = part_RC * (1e-15 * spectrum.all_D[-1] / spectrum.values_R)[:, None].clamp(max=1)
        apart_C = torch.where(apart_C > rounding_RC.sum(0) + 1e-13 * energy_C, apart_C, 0.0)
        if len(spectrum.values_R) == n - 1:  # as many directions as contrasts
            apart_C = torch.zeros_like(apart_C)
        return cls(spectrum, loadings_RC, apart_C, pooled.label_shares()[seen_C], center)

    def at(self, log_lambda_PC: Tensor) -> Tensor:
        """Evidence (P, C) at P values of log lambda, shared (P, 1) or one column a class (P, C)."""
        occam_PC, misfit_PC = self.terms(log_lambda_PC)
        count = self.spectrum.n_texts - int(self.center)
        return occam_PC + count / 2 * ((count / misfit_PC).log() - 1 - math.log(2 * math.pi))

    def terms(self, log_lambda_PC: Tensor) -> tuple[Tensor, Tensor]:
        """What the evidence says of the weights alone, and the misfit q (P, C)."""
        values_R, n = self.spectrum.values_R, self.spectrum.n_texts
        lambda_PC = log_lambda_PC.exp()
        weight_PCR = 1 / (lambda_PC[..., None] + values_R)
        part_RC = self.loadings_RC.square() / values_R[:, None]
        misfit_PC = self.apart_C + lambda_PC * _along(weight_PCR, part_RC)
        occam_PC = (len(values_R) * log_lambda_PC + weight_PCR.log().sum(-1)) / 2
        if not self.center:
            mean_R = self.spectrum.mean_R
            spread_PC = 1 + n * ((weight_PCR * mean_R.square()).sum(-1) + self.spectrum.outside / lambda_PC)
            off_PC = self.share_C - _along(weight_PCR, mean_R[:, None] * self.loadings_RC)
            misfit_PC = misfit_PC + n * off_PC.square() / spread_PC
            occam_PC = occam_PC - spread_PC.log() / 2
        return occam_PC, misfit_PC.clamp(min=torch.finfo(torch.float64).tiny)

    def maximum(self) -> tuple[Tensor, Tensor, Tensor]:
        """Evidence and log lambda (C,) at the best of a grid, refined twice, reaching 18 e-folds beyond the spectrum
        on either side; and whether the best of the grid was its lower end.
        """
        scales = self.spectrum.scales()
        ends = scales.min().log() - 18, scales.max().log() + 18
        share_P = torch.linspace(0, 1, 97, dtype=torch.float64, device=scales.device)
        grid_PC = (ends[0] + (ends[1] - ends[0]) * share_P)[:, None]
        step = grid_PC[1] - grid_PC[0]
        heights_PC = self.at(grid_PC)
        lowest_C = heights_PC.argmax(0) == 0
        for _ in range(2):
            centre_C = grid_PC.expand_as(heights_PC).gather(0, heights_PC.argmax(0)[None])
            grid_PC = centre_C + torch.linspace(-1, 1, 17).to(step)[:, None] * step
            step = step / 8
            heights_PC = self.at(grid_PC)
        best = heights_PC.max(0)
        return best.values, grid_PC.expand_as(heights_PC).gather(0, best.indices[None])[0], lowest_C


def _along(weight_PCR: Tensor, values_RC: Tensor) -> Tensor:
    """Weighted sums over directions (P, C), the weights shared by the classes or of each."""
    if weight_PCR.shape[1] == 1:
        return weight_PCR[:, 0] @ values_RC
    return (weight_PCR * values_RC.T).sum(-1)
