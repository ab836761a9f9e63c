"""Factorisations that survive real states: coordinates a thousand times the others, directions without variance.

Every matrix is scaled to unit diagonal first, and every threshold is relative to the scaled matrix: a ridge or a cut
relative to the raw trace lets one huge coordinate drown the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RELATIVE_RIDGE = 1e-8
RELATIVE_CUT = 1e-12
"""At N = D a direction with 5e-11 of the largest eigenvalue carried .0013 of the label variance in a real model."""
ROUNDING = 8.0
"""An eigenvalue counts where it is this many times the most negative one."""
GAP = 1e3
_STEPS = 6
NOT_FINITE = "the second moments are not positive semi-definite; were states with NaN or infinity added?"


@dataclass(frozen=True, eq=False, slots=True)
class Whitening:
    """A = R'R with R = diag(sqrt l) E' diag(scale), over the eigenvalues l of the scaled matrix above the cut.

    Axes: D width, R rank.
    """

    scale_D: Tensor
    values_R: Tensor  # descending
    vectors_DR: Tensor

    @property
    def rank(self) -> int:
        """Directions that vary."""
        return len(self.values_R)

    def root(self, x: Tensor) -> Tensor:
        """R x: (D, m) -> (R, m)."""
        return self.values_R.sqrt()[:, None] * (self.vectors_DR.T @ (self.scale_D[:, None] * x))

    def solve_transposed(self, x: Tensor) -> Tensor:
        """R^-T x, the whitened cross moment: (D, m) -> (R, m)."""
        return (self.vectors_DR.T @ (x / self.scale_D[:, None])) / self.values_R.sqrt()[:, None]

    def solve(self, x: Tensor) -> Tensor:
        """R^-1 x, back to the coordinates of the states: (R, m) -> (D, m)."""
        return (self.vectors_DR @ (x / self.values_R.sqrt()[:, None])) / self.scale_D[:, None]

    def ridged(self, penalty: float) -> Whitening:
        """The same factor of A + penalty diag(scale)^2."""
        return Whitening(self.scale_D, self.values_R + penalty, self.vectors_DR)


def unit_scale(diagonal_D: Tensor, floor_D: Tensor | None = None) -> Tensor:
    """Square roots of a diagonal; of a coordinate that does not vary, the root of what it could have varied by.

    A coordinate does not vary where its entry is below 1e-14 of floor_D, a larger diagonal (say of uncentred moments)
    whose rounding it may be, or below 1e-24 of the largest: real encoders have dead coordinates of 1e-32, whose
    squares float32 cannot hold (those are scaled like the largest).  Scaled so, mere rounding stays below any cut.
    """
    diagonal_D = diagonal_D.clamp(min=0)
    floor_D = diagonal_D if floor_D is None else floor_D.clamp(min=0)
    dead = 1e-24 * floor_D.max()
    still_D = torch.where(floor_D > dead, floor_D, floor_D.max() if dead > 0 else torch.ones_like(dead))
    return torch.where(diagonal_D > torch.maximum(1e-14 * floor_D, dead), diagonal_D, still_D).sqrt()


def whiten(
    matrix_DD: Tensor, *, cut: float = RELATIVE_CUT, floor_D: Tensor | None = None, scaled: bool = False
) -> Whitening:
    """Eigendecomposition of the scaled matrix, eigenvalues at or below cut x the largest left out.  Cost O(D^3).

    Args:
        matrix_DD: symmetric, positive semi-definite, float64.
        cut: relative to the largest eigenvalue of the scaled matrix, or to 1 where no coordinate varies.
        floor_D: see `unit_scale`.
        scaled: the coordinates are scaled already, and stay as they are.
    """
    scale_D = torch.ones_like(matrix_DD.diagonal()) if scaled else unit_scale(matrix_DD.diagonal(), floor_D)
    unit_DD = (matrix_DD / scale_D).div_(scale_D[:, None])
    values, vectors = torch.linalg.eigh((unit_DD + unit_DD.T).div_(2))
    values, vectors = values.flip(0), vectors.flip(1)
    kept = values > cut * values[0].clamp(min=1)
    return Whitening(scale_D, values[kept], vectors[:, kept])


def whiten_rows(rows_ND: Tensor, floor_D: Tensor, *, scaled: bool = True) -> Whitening:
    """The same of the covariance of centred rows (N, D), from an eigendecomposition of N x N.  Cost O(N^2 D).

    With rows' = Q T, T'T of the rows' size, the covariance is Q (T T' / N) Q': Q is orthonormal to rounding, which the
    rows times eigenvectors of their N x N products would not be.

    Args:
        rows_ND: fewer rows than coordinates pay.
        floor_D: see `unit_scale`.
        scaled: coordinates of unit variance, as in `whiten`; False leaves them as they are, and no cut is made.
    """
    n = max(len(rows_ND), 1)
    scale_D = unit_scale(rows_ND.square().sum(0) / n, floor_D) if scaled else torch.ones_like(floor_D)
    basis_DN, upper_NN = torch.linalg.qr((rows_ND / scale_D).T)
    values, vectors = torch.linalg.eigh(upper_NN @ upper_NN.T / n)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = values > RELATIVE_CUT * values[0].clamp(min=1) if scaled else torch.ones_like(values, dtype=torch.bool)
    return Whitening(scale_D, values[kept], basis_DN @ vectors[:, kept])


def slight_cholesky(matrix_DD: Tensor, scale_D: Tensor) -> Tensor | None:
    """Lower L (D, D) with L L' = diag(scale)^-1 A diag(scale)^-1 + 1e-8 I; None where rounding is larger than that.

    Raises:
        ValueError: the matrix is not finite.
    """
    scaled = (matrix_DD / scale_D).div_(scale_D[:, None])
    scaled.diagonal().add_(RELATIVE_RIDGE)
    factor, failed = torch.linalg.cholesky_ex(scaled)
    if failed and not torch.isfinite(scaled.sum()):
        raise ValueError(NOT_FINITE)
    return None if failed else factor


def least_eigenvalue(lower_DD: Tensor) -> float:
    """Of L L', by inverse iteration from four fixed vectors: never below it.  Cost O(D^2) a step.

    A step leaves of every other direction the ratio of the least eigenvalue to its own, so that a direction far below
    all others, which is what is looked for, is found in few.
    """
    place_D = torch.arange(1, len(lower_DD) + 1, dtype=lower_DD.dtype, device=lower_DD.device)
    asked_D4 = torch.stack([torch.cos(frequency * place_D) for frequency in (1, 2, 3, 5)], 1)
    grown_4 = asked_D4.norm(dim=0)
    for _ in range(_STEPS):
        asked_D4 = torch.cholesky_solve(asked_D4 / grown_4, lower_DD)
        grown_4 = asked_D4.norm(dim=0)
    return float(1 / grown_4.max())


@dataclass(frozen=True, eq=False, slots=True)
class Resolved:
    """The directions of a scaled matrix that stand above its rounding.  Axes: D width, R of them, H the others."""

    values_R: Tensor  # descending
    vectors_DR: Tensor
    hidden_DH: Tensor
    is_gap: bool  # the weakest of them is a thousand times what was left out: the others are empty, not hidden


def resolved_directions(matrix_DD: Tensor, scale_D: Tensor) -> Resolved:
    """Eigenvectors of diag(scale)^-1 A diag(scale)^-1, A positive semi-definite but for rounding.

    The most negative eigenvalue is rounding alone; as much and a few times more of it is in every other one.  It may
    be much less than the most positive one, though: where a gap parts those of the size of rounding from all others,
    they are left out whatever their sign.
    """
    values, vectors = torch.linalg.eigh((matrix_DD / scale_D).div_(scale_D[:, None]))
    values, vectors = values.flip(0), vectors.flip(1)
    least = ROUNDING * values[-1].abs().clamp(min=RELATIVE_RIDGE)
    rank = max(int((values > least).sum()), 1)
    above = max(int((values > float32_rounding(len(values))).sum()), 1)
    if above < rank and values[above - 1] > GAP * values[above]:
        rank, least = above, values[above]
    return Resolved(values[:rank], vectors[:, :rank], vectors[:, rank:], bool(values[rank - 1] > GAP * least))


def float32_rounding(width: int) -> float:
    """What rounding of float32 products leaves as an eigenvalue of a matrix of unit diagonal: half an epsilon an entry,
    which adds up like the norm of a random matrix.
    """
    return float(width**0.5 * torch.finfo(torch.float32).eps / 2)


def ridged_cholesky(matrix_DD: Tensor, scale_D: Tensor) -> Tensor:
    """Lower L (D, D) with L L' = diag(scale)^-1 A diag(scale)^-1 + ridge I; the ridge starts at 1e-8 and grows only
    where rounding makes the matrix indefinite.

    Raises:
        ValueError: the matrix is not positive semi-definite (or not finite) whatever the ridge.
    """
    scaled = (matrix_DD / scale_D).div_(scale_D[:, None])
    ridge, added = RELATIVE_RIDGE, 0.0
    while ridge < 1:
        scaled.diagonal().add_(ridge - added)
        factor, failed = torch.linalg.cholesky_ex(scaled)
        if not failed:
            return factor
        ridge, added = 100 * ridge, ridge
    raise ValueError(NOT_FINITE)
