"""The two subspaces of scores.md: what next-token prediction uses, and what the labels use.

Autoregressive: reduced-rank regression of the next state on the prefix (Izenman 1975).  Perception: the best linear
encoder of the pooled text for the label.  Axes: D width, C classes, R rank of the pooled moments, r label directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tokenworth.scores.context import ContextMoments
from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.ridge import gcv_penalty, pooled_whitening
from tokenworth.scores.whitening import (
    RELATIVE_RIDGE,
    Resolved,
    Whitening,
    float32_rounding,
    least_eigenvalue,
    resolved_directions,
    ridged_cholesky,
    slight_cholesky,
    unit_scale,
)

Target = Literal["plain", "whitened"]
LABEL_DIRECTION_CUT = 1e-8


@dataclass(frozen=True, eq=False, slots=True)
class Autoregressive:
    """All D encoder directions for the next state, best first."""

    directions_DD: Tensor  # columns V, C0-orthonormal
    eigenvalues_D: Tensor  # of the pencil, descending, in units of E1
    rank: int  # directions that were really ordered by data; the rest complete the space in any order
    next_energy: float  # E1
    hidden: int = 0  # directions of the prefixes that rounding hides or half hides; V lies in the others


@dataclass(frozen=True, eq=False, slots=True)
class Perception:
    """The label directions U, Szz-orthonormal, and what was needed to find them."""

    directions_Dr: Tensor
    strengths_r: Tensor  # singular values of U' Szy, descending
    whitening: Whitening  # of the Szz used (with the penalty added where one was needed)
    penalty: float  # GCV ridge in scaled coordinates; 0 where Szz is regular and N > D
    saturated: bool  # r >= D: the labels use every direction


def autoregressive(context: ContextMoments, *, target: Target = "plain", center: bool = False) -> Autoregressive:
    """Directions V of the pencil (C1 C1', C0), largest eigenvalue first, from the SVD of L^-1 C1 with C0 = L L'.

    target="whitened" takes C1 Shh^-1 C1' instead: invariant to any invertible map of the states.  Cost O(D^3).

    Where prefixes fill fewer than D directions (few distinct tokens before the first block, repetitive texts) the
    others hold the rounding of float32 products.  C0 is then not positive definite to its ridge, or by the luck of the
    signs just so, and V is looked for among the directions above the rounding: those below enter V with 1e4 times their
    share and make a score of noise.

    Raises:
        ValueError: no pair of prefix and next state was seen, or the whitened target was not collected.
    """
    if not context.n_pairs:
        raise ValueError("no text has two tokens, so there is no next state to predict")
    c0, c1, shh, energy = context.second_moments(center=center)
    spread = context.spread()
    scale_D = unit_scale(spread.square(), c0.diagonal())
    cross = c1 / scale_D[:, None]
    if target == "whitened":
        cross = _whiten_target(cross, shh)
    lower = slight_cholesky(c0, scale_D)
    rounding = _empty_directions(c0, scale_D, lower)
    directions, singular = _ordered(lower, cross) if rounding is None else _among(rounding, cross)
    rank = min(int((singular > 1e-9 * singular[0]).sum()), context.n_pairs)
    total = float(energy) if target == "plain" else float(len(c0))
    hidden = 0 if rounding is None or rounding.is_gap else rounding.hidden_DH.shape[1]
    return Autoregressive(directions / scale_D[:, None], singular.square(), rank, total, hidden)


def _empty_directions(c0_DD: Tensor, scale_D: Tensor, lower_DD: Tensor | None) -> Resolved | None:
    """C0 without its directions of rounding, where it has some; its eigenvectors are found only where it may."""
    if lower_DD is None:
        return resolved_directions(c0_DD, scale_D)
    if least_eigenvalue(lower_DD) > float32_rounding(len(lower_DD)) + RELATIVE_RIDGE:
        return None
    found = resolved_directions(c0_DD, scale_D)
    return found if found.is_gap and found.hidden_DH.shape[1] else None


def _ordered(lower_DD: Tensor | None, cross_DD: Tensor) -> tuple[Tensor, Tensor]:
    assert lower_DD is not None, "there is a factor where no rounding was looked at"
    left, singular, _ = torch.linalg.svd(torch.linalg.solve_triangular(lower_DD, cross_DD, upper=False))
    return torch.linalg.solve_triangular(lower_DD.T, left, upper=True), singular


def _among(rounding: Resolved, cross_DD: Tensor) -> tuple[Tensor, Tensor]:
    """The same in the directions of C0 above its rounding; the others follow, in no order, with singular value 0."""
    root_DR = rounding.vectors_DR / rounding.values_R.sqrt()
    left, singular, _ = torch.linalg.svd(root_DR.T @ cross_DD, full_matrices=False)
    hidden = rounding.hidden_DH
    return torch.cat([root_DR @ left, hidden], 1), torch.cat([singular, singular.new_zeros(hidden.shape[1])])


def _whiten_target(cross_DD: Tensor, shh_DD: Tensor) -> Tensor:
    if not shh_DD.numel():
        raise ValueError("target='whitened' needs ContextMoments(..., target_moment=True)")
    scale_D = unit_scale(shh_DD.diagonal())
    lower = ridged_cholesky(shh_DD, scale_D)
    return torch.linalg.solve_triangular(lower, (cross_DD / scale_D).T, upper=False).T


def whiten_pooled(pooled: PooledMoments, *, center: bool) -> Whitening:
    """Factor of Szz, its cut aware of the rounding that centring leaves; found once for texts and all relabellings.

    Raises:
        ValueError: no texts, or no variance at all.
    """
    if not pooled.n_texts:
        raise ValueError("no texts were added to the pooled moments")
    whitening = pooled.known(f"whitening {center}", lambda: pooled_whitening(pooled, center=center))
    if not whitening.rank:
        raise ValueError("the pooled texts are all equal: there is nothing to read a label from")
    return whitening


def perception(pooled: PooledMoments, *, center: bool = True) -> Perception:
    """Generalised eigenvectors U of (Szy Szy', Szz) with non-zero eigenvalue.

    Where Szz is singular or N <= D, Szz + penalty takes the place of Szz, the penalty chosen by GCV.  Cost O(D^3).

    Raises:
        ValueError: no texts, or no variance at all.
    """
    whitening = whiten_pooled(pooled, center=center)
    penalty = 0.0
    if whitening.rank < pooled.dim or pooled.n_texts <= pooled.dim:
        penalty = gcv_penalty(pooled, whitening, center=center)
        whitening = whitening.ridged(penalty)
    directions, strengths = label_directions(whitening, pooled.second_moments(center=center)[1])
    return Perception(directions, strengths, whitening, penalty, len(strengths) >= pooled.dim)


def label_directions(whitening: Whitening, szy_DC: Tensor) -> tuple[Tensor, Tensor]:
    """U (D, r) and the singular values (r,) of U' Szy.  Directions without label signal are never used."""
    left, singular, _ = torch.linalg.svd(whitening.solve_transposed(szy_DC), full_matrices=False)
    kept = singular > LABEL_DIRECTION_CUT * singular[0].clamp(min=torch.finfo(singular.dtype).tiny)
    return whitening.solve(left[:, kept]), singular[kept]
