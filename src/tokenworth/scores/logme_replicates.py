"""LogME without a group of texts, from the decomposition of all of them: the jackknife's replicates at low rank.

With rows X of the texts along the eigenvectors of `CentredSpectrum` (the part of their mean outside these is one more
direction, of eigenvalue 0), A = X'X + lambda, w = A^-1 X'y, residuals r = y - X w, and of a group g of n_g texts the
leverages H = X_g A^-1 X_g':

    log det (A - X_g'X_g) = log det A + log det (I - H)
    q without the group   = q - r_g' (I - H)^-1 r_g

Both hold exactly for a given lambda.  The best lambda of the remaining texts lies near that of all texts: three values
about it, moved on while the largest is at an end, and a parabola through them.  A second maximum far away, which a few
dozens of texts can have, is not looked for.

Axes: P points of lambda, C classes, S directions, n texts of a group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.logme import Evidence, centred_spectrum
from tokenworth.scores.pooled import PooledMoments

STEP, MOVES = 0.5, 12
"""Of log lambda between the three values, and how often they are moved on."""
_EIGEN = 10
"""A symmetric eigendecomposition takes so many times D^3 multiplications, as they run on a processor."""
_CALLS = 3e7
"""Of a class, in such multiplications: small tensors cost their calls."""
_ROUNDING = 1e-9
"""Share of q that must be left."""
_SETTLED = 0.01
"""Nats that a step may still bring where the evidence nears a limit: of all texts, not of one."""


@dataclass(frozen=True, eq=False, slots=True)
class _Points:
    """All texts at some values of lambda, for one class."""

    log_lambda_P: Tensor
    occam_P: Tensor
    misfit_P: Tensor
    weight_PS: Tensor  # 1 / (eigenvalue + lambda)
    of_mean_PS: Tensor  # the same times the mean
    share_P: Tensor  # N / (1 + N g)
    model_PS: Tensor  # w


@dataclass(frozen=True, eq=False, slots=True)
class _OfClass:
    """One class of all texts."""

    evidence: Evidence
    label: int
    count: int
    values_S: Tensor
    mean_S: Tensor
    cross_S: Tensor  # X'y

    def at(self, log_lambda_P: Tensor) -> _Points:
        """What does not depend on the texts left out."""
        n = self.evidence.spectrum.n_texts
        occam_P1, misfit_P1 = self.evidence.terms(log_lambda_P[:, None])
        weight_PS = 1 / (log_lambda_P.exp()[:, None] + self.values_S)
        of_mean_PS = weight_PS * self.mean_S
        share_P = n / (1 + n * (of_mean_PS @ self.mean_S))
        model_PS = weight_PS * self.cross_S - of_mean_PS * (share_P * (of_mean_PS @ self.cross_S))[:, None]
        return _Points(log_lambda_P, occam_P1[:, 0], misfit_P1[:, 0], weight_PS, of_mean_PS, share_P, model_PS)


@dataclass(frozen=True, eq=False, slots=True)
class LogmeReplicates:
    """What is needed of all texts to leave a group of them out."""

    total: PooledMoments
    mean_S: Tensor
    classes: list[tuple[_OfClass, _Points]]
    """Each class that has texts, at its best lambda and a step on either side."""

    @classmethod
    def of(cls, total: PooledMoments) -> LogmeReplicates:
        """From the moments of all texts.  Cost beyond their decomposition: O(C D)."""
        spectrum, count_C = centred_spectrum(total), total.sums.count_C
        values_S = torch.nn.functional.pad(spectrum.values_R, (0, 1))
        mean_S = torch.cat([spectrum.mean_R, spectrum.outside.sqrt()[None]])
        about_P = STEP * torch.tensor([-1.0, 0.0, 1.0]).to(mean_S)
        classes = []
        for label in count_C.nonzero()[:, 0]:
            evidence = Evidence.of(total, label[None], center=False)
            cross_S = torch.nn.functional.pad(evidence.loadings_RC[:, 0], (0, 1)) + count_C[label] * mean_S
            each = _OfClass(evidence, int(label), int(count_C[label]), values_S, mean_S, cross_S)
            classes.append((each, each.at(evidence.maximum()[1] + about_P)))
        return cls(total, mean_S, classes)

    def pays(self, n: int) -> bool:
        """Whether leaving n texts out costs less than a decomposition of the others."""
        one = 3 * n**2 * (2 * len(self.mean_S) + n) + _CALLS
        return len(self.classes) * one < _EIGEN * self.total.dim**3

    def along(self, rows_ND: Tensor) -> Tensor:
        """Some of the texts (N, D), about the mean of all, along the eigenvectors of their spectrum (N, R)."""
        return (rows_ND.to(self.mean_S) - self.total.mean()) @ centred_spectrum(self.total).vectors_DR

    def without(self, rows_NR: Tensor, labels_N: Tensor) -> float:
        """LogME of all texts but these, as `along` gives them, with labels (N,); NaN where rounding hides it."""
        rows_NS = torch.nn.functional.pad(rows_NR, (0, 1)) + self.mean_S
        heights = []
        for of_class, points in self.classes:
            truth_N = (labels_N == of_class.label).to(rows_NS)
            if truth_N.sum() < of_class.count:  # of a class that leaves with the group nothing is asked
                heights.append(self._peak(of_class, points, rows_NS, truth_N))
        return float(torch.stack(heights).mean()) / (self.total.n_texts - len(rows_NR)) if heights else math.nan

    def _peak(self, of_class: _OfClass, points: _Points, rows_NS: Tensor, truth_N: Tensor) -> Tensor:
        """Largest evidence of one class (scalar); NaN where it still rises at the last lambda that was tried."""
        about_P = points.log_lambda_P
        height_P = self._heights(points, rows_NS, truth_N)
        for _ in range(MOVES):
            way = int(height_P.argmax()) - 1
            if not way or not torch.isfinite(height_P).all():
                break
            about_P = about_P + way * STEP
            beyond = self._heights(of_class.at(about_P[1 + way, None]), rows_NS, truth_N)
            height_P = torch.cat([height_P[1:], beyond] if way > 0 else [beyond, height_P[:-1]])
        rises = height_P.argmax() != 1 and height_P.max() - height_P[1] > _SETTLED
        return torch.full_like(height_P[0], math.nan) if rises else top_of_three(height_P)

    def _heights(self, points: _Points, rows_NS: Tensor, truth_N: Tensor) -> Tensor:
        """Evidence (P,) of one class without some rows; NaN where rounding hides it."""
        n_left = self.total.n_texts - len(rows_NS)
        across_PN = points.of_mean_PS @ rows_NS.T
        apart_PNN = (-rows_NS * points.weight_PS[:, None]) @ rows_NS.T
        apart_PNN.addcmul_(across_PN[:, :, None], (points.share_P[:, None] * across_PN)[:, None])
        apart_PNN.diagonal(dim1=1, dim2=2).add_(1)
        lower_PNN, failed_P = torch.linalg.cholesky_ex(apart_PNN)
        residual_PN1 = (truth_N - points.model_PS @ rows_NS.T)[..., None]
        gained_P = torch.linalg.solve_triangular(lower_PNN, residual_PN1, upper=False).square().sum((1, 2))
        misfit_P = points.misfit_P - gained_P
        occam_P = points.occam_P - lower_PNN.diagonal(dim1=1, dim2=2).log().sum(1)
        height_P = occam_P + n_left / 2 * ((n_left / misfit_P).log() - 1 - math.log(2 * math.pi))
        resolved_P = (failed_P == 0) & (misfit_P > _ROUNDING * points.misfit_P)
        return torch.where(resolved_P, height_P, math.nan)


def top_of_three(height_P: Tensor) -> Tensor:
    """Top of the parabola through three values a step apart (3,); the largest where an end is that."""
    before, middle, after = height_P
    bend, slope = before + after - 2 * middle, (after - before) / 2
    inside = (bend < 0) & (height_P.argmax() == 1)
    return torch.where(inside, middle - slope.square() / (2 * bend), height_P.max())
