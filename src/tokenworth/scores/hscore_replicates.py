"""H-score without a group of texts, from the decomposition of all of them: the jackknife's replicates at low rank.

With the texts about their mean along the eigenvectors of N S = E diag(e) E', the rows G of the group, their sum s, and
n texts without it, the scatter of those is

    n S' = diag(e) - G~' G~,    G~ = [G, s / sqrt(n)]

so that trace, Frobenius norm and with them the shrinkage alpha follow from e and G~ G~', and with w = 1 / (e + lambda),
lambda = n alpha tr(S') / (D (1 - alpha)), and b = Szy Syy^-1/2 of the texts that stay,

    H = n sum_c ( b_c' w b_c + (G~ w b_c)' (I - G~ w G~')^-1 (G~ w b_c) )

Exact (Woodbury).  Cost O(m^2 R) for m texts of a group, where a factor of the shrunk covariance takes O(D^3).

Axes: D width, R rank of S, m texts of the group, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tokenworth.scores.hscore import shrinkage_of, standardised
from tokenworth.scores.logme import centred_spectrum
from tokenworth.scores.pooled import PooledMoments


def hscore_without(total: PooledMoments, group: PooledMoments, rows_mR: Tensor) -> float:
    """The regularised H-score of all texts but a group of them.

    Args:
        total: moments of all texts.
        group: of the group.
        rows_mR: the group's texts about the mean of all, along the eigenvectors of `centred_spectrum`.

    Returns:
        NaN where nothing is shrunk, or everything: a factor of the covariance itself is needed there.
    """
    spectrum, fit = centred_spectrum(total), total.labels_without(group)
    n, values_R = fit.n_texts, spectrum.values_R
    out_mR = torch.cat([rows_mR, rows_mR.sum(0, keepdim=True) / n**0.5])
    inner_mm = out_mR @ out_mR.T
    trace = (values_R.sum() - inner_mm.trace()) / n
    energy = values_R.square().sum() - 2 * (out_mR.square() @ values_R).sum() + inner_mm.square().sum()
    mean_D = fit.mean()
    quartic = (total.sums.quartic_about(mean_D) - group.sums.quartic_about(mean_D)) / n
    alpha = shrinkage_of(energy / n**2, trace, quartic, total.dim, n)
    if not 0 < alpha < 1:
        return math.nan
    weight_R = 1 / (values_R + n * alpha / (1 - alpha) * trace / total.dim)
    between_RC = (standardised(fit, fit.label_moments()[0]).T @ spectrum.vectors_DR).T
    core_mm = torch.eye(len(out_mR)).to(inner_mm).sub_((out_mR * weight_R) @ out_mR.T)
    lower_mm, failed = torch.linalg.cholesky_ex(core_mm)
    if failed:
        return math.nan
    shared_mC = torch.linalg.solve_triangular(lower_mm, out_mR @ (weight_R[:, None] * between_RC), upper=False)
    return n * float((weight_R[:, None] * between_RC.square()).sum() + shared_mC.square().sum())
