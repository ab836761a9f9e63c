"""Retained label signal: what is left of the linear read-out when the pooled text passes through V_k' first.

    retained(k) = (L(0) - L(V_k)) / (L(0) - L(U)) = R2 of the label from V_k' z / R2 from z

Exact, and invariant to invertible maps of states and pooled texts with the target fixed.  One QR gives all k.
Axes: D width, C classes, R rank of Szz.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.context import ContextMoments
from tokenworth.scores.curves import complete_in_any_order, resolve_k
from tokenworth.scores.ntps import check_widths, encoder_basis
from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.subspaces import Autoregressive, Target, autoregressive, label_directions, whiten_pooled
from tokenworth.scores.whitening import Whitening


@dataclass(frozen=True, eq=False, slots=True)
class Readout:
    """Squared error explained by the first k encoder directions, on the texts the moments come from."""

    gains_D: Tensor  # c_k for k = 1 .. D
    variance: float  # tr Syy = L(0)
    rank: int  # R, directions in which the pooled texts vary
    n_texts: int

    @property
    def noise(self) -> float:
        """s = (tr Syy - c_d) / (N - R - 1): what one direction without signal adds on average; NaN at N <= R + 1."""
        spare = self.n_texts - self.rank - 1
        return (self.variance - float(self.gains_D[-1])) / spare if spare > 0 else float("nan")

    def raw(self) -> Tensor:
        """retained(k) on the texts themselves (D,); k / D without signal."""
        return self.gains_D / self.gains_D[-1]

    def adjusted(self) -> Tensor:
        """(c_k - k s) / (c_d - d s) for k = 1 .. D (Ezekiel 1930); NaN where N <= R + 1."""
        spent = torch.arange(1, len(self.gains_D) + 1, dtype=torch.float64, device=self.gains_D.device)
        signal = self.gains_D - spent.clamp(max=self.rank) * self.noise
        return signal / signal[-1]

    def signal(self) -> float:
        """c_d - R s, the label variance explained beyond what chance explains."""
        return float(self.gains_D[-1]) - self.rank * self.noise

    def signal_error(self, label_dimensions: int) -> float:
        """Standard error of `signal` without any signal: R (C-1) squared normals of mean s / (C-1), and s estimated."""
        spare = self.n_texts - self.rank - 1
        if spare <= 0:
            return float("nan")
        return self.noise * (2 * self.rank / max(label_dimensions, 1) * (1 + self.rank / spare)) ** 0.5


def retained(
    context: ContextMoments,
    pooled: PooledMoments,
    *,
    center: bool = True,
    adjusted: bool = True,
    target: Target = "plain",
    center_context: bool = False,
) -> Tensor:
    """The retained curve for k = 1 .. D (D,), float64; 1 at k = D.

    Args:
        context: moments of prefixes and next states, width D.
        pooled: moments of pooled texts and labels, of the same width.
        center: give the label read-out an intercept.
        adjusted: take out what each direction gains by chance.  The adjusted curve is all NaN where it means
            nothing: N <= R + 1 texts for R directions, or a signal not above its standard error.
        target: see `ntps`.
        center_context: see `ntps`.

    Raises:
        ValueError: widths that differ, moments without pairs or texts.
    """
    check_widths(context, pooled)
    encoder = autoregressive(context, target=target, center=center_context)
    result = readout(encoder, pooled, center=center)
    if not adjusted:
        return result.raw()
    if why_not_adjusted(result, pooled.label_dimensions):
        return torch.full_like(result.gains_D, torch.nan)
    return result.adjusted()


def why_not_adjusted(result: Readout, label_dimensions: int) -> str | None:
    """The sentence that explains why the adjusted curve means nothing here, or None."""
    if result.n_texts <= result.rank + 1:
        return f"{result.n_texts} texts cannot tell signal from chance in {result.rank} directions"
    if not result.signal() > result.signal_error(label_dimensions):
        return "the labels cannot be read linearly beyond what chance explains"
    return None


def readout(
    encoder: Autoregressive, pooled: PooledMoments, *, center: bool = True, order_RR: Tensor | None = None
) -> Readout:
    """c_k for all k from one QR of R V, with Szz = R'R (order_RR, if it is there already).  Cost O(D^3)."""
    whitening = whiten_pooled(pooled, center=center)
    _, szy, syy = pooled.second_moments(center=center)
    basis_RR = whitened_order(encoder, whitening) if order_RR is None else order_RR
    energy_R = (basis_RR.T @ whitening.solve_transposed(szy)).square().sum(1)
    gains = energy_R.cumsum(0)
    gains = torch.cat([gains, gains[-1].expand(pooled.dim - len(gains))])
    return Readout(
        complete_in_any_order(gains, min(encoder.rank, pooled.dim)),
        float(syy.trace()),
        whitening.rank,
        pooled.n_texts,
    )


def whitened_order(encoder: Autoregressive, whitening: Whitening) -> Tensor:
    """Orthonormal columns (R, R) in whitened coordinates whose first k span R V_k."""
    return in_order(whitening.root(encoder.directions_DD))


def in_order(whitened: Tensor) -> Tensor:
    """Orthonormal columns (R, R) whose first k span the first k columns of a matrix (R, D)."""
    return torch.linalg.qr(whitened / whitened.norm(dim=0).clamp(min=torch.finfo(whitened.dtype).tiny)).Q


def excess_loss(context: ContextMoments, pooled: PooledMoments, k: int, *, center: bool = True) -> float:
    """Delta(k) = L(V_k) - L(U) >= 0, in units of squared error over one-hot labels.

    Raises:
        ValueError: widths that differ, k outside 1 .. D.
    """
    check_widths(context, pooled)
    count = resolve_k(k, context.dim)
    gains = readout(autoregressive(context), pooled, center=center).gains_D
    return float(gains[-1] - gains[count - 1])


def excess_loss_bounds(
    context: ContextMoments, pooled: PooledMoments, k: int, *, center: bool = True
) -> tuple[float, float]:
    """Bounds on Delta(k) from the weighted NTPS w(k), with A = U' Szy and W* = U A:

        lmin(Szz) smin(A)^2 |U|^2 (1 - w)  <=  Delta(k)  <=  min( L(0) - L(U), lmax(Szz) smax(A)^2 |U|^2 (1 - w) )

    They are loose where Szz is ill-conditioned, as in every language model; `retained` needs no bound.

    Returns:
        (lower, upper), in units of squared error over one-hot labels.

    Raises:
        ValueError: widths that differ, k outside 1 .. D.
    """
    check_widths(context, pooled)
    count = resolve_k(k, context.dim)
    encoder = autoregressive(context)
    szz, szy, _ = pooled.second_moments(center=center)
    directions, strengths = label_directions(whiten_pooled(pooled, center=center), szy)
    basis = encoder_basis(encoder)[:, :count]
    outside = float((directions - basis @ (basis.T @ directions)).square().sum())
    eigenvalues = torch.linalg.eigvalsh(szz)
    lower = max(float(eigenvalues[0]), 0.0) * float(strengths[-1]) ** 2 * outside
    upper = float(eigenvalues[-1]) * float(strengths[0]) ** 2 * outside
    return lower, min(float(strengths.square().sum()), upper)
