"""Next Token Perception Score: the overlap of the autoregressive and the perception subspace.

Source of the idea: Cheng, Hu, Huang and Balestriero, arXiv 2505.17169; definition and corrections: scores.md.
Axes: D width, r label directions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tokenworth.scores.context import ContextMoments
from tokenworth.scores.curves import complete_in_any_order, resolve_k
from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.published_ntps import published_code_ntps
from tokenworth.scores.subspaces import Autoregressive, Target, autoregressive, perception

Convention = Literal["definition", "weighted", "published-code"]


def ntps(
    context: ContextMoments,
    pooled: PooledMoments,
    k: int | float = 0.25,
    *,
    convention: Convention = "definition",
    center: bool = True,
    target: Target = "plain",
    center_context: bool = False,
) -> float:
    """NTPS(k) = |P_k Q|_F^2 / r, the mean squared cosine between label directions and the best k encoder directions.

    Args:
        context: moments of prefixes and next states, width D.
        pooled: moments of pooled texts and labels, of the same width.
        k: an int is a count of directions, a float a share of D.
        convention: "definition" as above; "weighted" |P_k U|^2 / |U|^2 with U Szz-orthonormal, the formula as
            printed; "published-code" what github.com/Yu-AngCheng/NTPS computes (smallest eigenvalues first, k a share
            of each side's own rank, nothing centred), to compare published figures with.
        center: give the label read-out an intercept.
        target: "plain", or "whitened" for invariance to any invertible map of the states.
        center_context: also take the means out of prefixes and next states.

    Returns:
        A number in [0, 1], 1 at k = D for the first two conventions; NaN where the labels use every direction
        (r >= D), because the overlap with everything says nothing.  The chance level is not k / D: compare with the
        score under shuffled labels.

    Raises:
        ValueError: widths that differ, k out of range, an unknown convention, moments without pairs or texts.
    """
    check_widths(context, pooled)
    if convention == "published-code":
        return published_code_ntps(context, pooled, k)
    if convention not in ("definition", "weighted"):
        raise ValueError(f"convention is 'definition', 'weighted' or 'published-code', not {convention!r}")
    count = resolve_k(k, context.dim)
    encoder = autoregressive(context, target=target, center=center_context)
    labels = perception(pooled, center=center)
    if labels.saturated:
        return float("nan")
    directions = labels.directions_Dr
    if convention == "definition":
        directions = torch.linalg.qr(directions).Q
    return float(overlap_curve(encoder_basis(encoder), encoder.rank, directions)[count - 1])


def encoder_basis(encoder: Autoregressive) -> Tensor:
    """Orthonormal columns (D, D), the first k of which span V_k for every k: one QR for all k."""
    return torch.linalg.qr(encoder.directions_DD / encoder.directions_DD.norm(dim=0)).Q


def overlap_curve(basis_DD: Tensor, rank: int, directions_Dr: Tensor) -> Tensor:
    """|P_k U|_F^2 / |U|_F^2 for k = 1 .. D; with orthonormal U the mean squared cosine of the principal angles."""
    energy_D = (basis_DD.T @ directions_Dr).square().sum(1)
    return complete_in_any_order(energy_D.cumsum(0) / energy_D.sum(), rank)


def ntps_curve(
    context: ContextMoments, pooled: PooledMoments, *, center: bool = True, target: Target = "plain"
) -> Tensor:
    """NTPS(k) for k = 1 .. D (D,), convention "definition"; NaN where saturated."""
    check_widths(context, pooled)
    encoder, labels = autoregressive(context, target=target), perception(pooled, center=center)
    if labels.saturated:
        return torch.full((context.dim,), torch.nan, dtype=torch.float64)
    return overlap_curve(encoder_basis(encoder), encoder.rank, torch.linalg.qr(labels.directions_Dr).Q)


def ar_r2(
    context: ContextMoments, k: int | float = 0.25, *, target: Target = "plain", center_context: bool = False
) -> float:
    """Share of the next state's energy that a linear encoder of the prefix of rank k predicts, in [0, 1].

    The k largest eigenvalues of the pencil over E1 (over D with target="whitened").
    """
    count = resolve_k(k, context.dim)
    encoder = autoregressive(context, target=target, center=center_context)
    return float(encoder.eigenvalues_D[:count].sum() / encoder.next_energy)


def check_widths(context: ContextMoments, pooled: PooledMoments) -> None:
    """Refuse moments of different layers or poolings."""
    if context.dim != pooled.dim:
        raise ValueError(
            f"context moments have width {context.dim}, pooled moments {pooled.dim}; both must come from one layer "
            "with a pooling that keeps its width (mean, last or cls)"
        )
