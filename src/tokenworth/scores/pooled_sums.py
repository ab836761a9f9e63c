"""Sums over pooled texts and their labels about one shift, and their way to another: what pooled moments are made of.

Axes: B texts of a batch, D width of the pooled text z, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class PooledSums:
    """Sums over texts about one shift; float64."""

    shift_D: Tensor
    count_C: Tensor  # texts per class
    zy_DC: Tensor  # sum of z per class
    zz_DD: Tensor
    cubic_D: Tensor  # sum of |z|^2 z
    quartic: Tensor  # sum of |z|^4

    @classmethod
    def zeros(cls, dim: int, n_classes: int, device: torch.device | str = "cpu") -> PooledSums:
        """Nothing seen yet."""

        def zero(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        return cls(zero(dim), zero(n_classes), zero(dim, n_classes), zero(dim, dim), zero(dim), zero())

    def tensors(self) -> dict[str, Tensor]:
        """Every sum by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to(self, device: torch.device | str) -> PooledSums:
        """The same sums on another device."""
        return PooledSums(**{name: tensor.to(device) for name, tensor in self.tensors().items()})

    def about(self, shift_D: Tensor) -> PooledSums:
        """The same sums about another shift: every z gains delta."""
        if torch.equal(shift_D, self.shift_D):  # groups of one layer share theirs
            return self
        delta = self.shift_D - shift_D
        n, z, length = self.count_C.sum(), self.zy_DC.sum(1), delta @ delta
        trace, zz_delta = self.zz_DD.trace(), self.zz_DD @ delta
        cross = torch.outer(z, delta)
        along = delta @ z
        return PooledSums(
            shift_D=shift_D,
            count_C=self.count_C,
            zy_DC=self.zy_DC + torch.outer(delta, self.count_C),
            zz_DD=self.zz_DD + cross + cross.T + n * torch.outer(delta, delta),
            # |z + e|^2 (z + e), multiplied out
            cubic_D=self.cubic_D + 2 * zz_delta + length * z + delta * (trace + 2 * along + n * length),
            quartic=self.quartic_about(shift_D),
        )

    def quartic_about(self, shift_D: Tensor) -> Tensor:
        """Sum of |z|^4 about another shift (scalar): |z + e|^4 multiplied out."""
        delta = self.shift_D - shift_D
        n, along, length = self.count_C.sum(), delta @ self.zy_DC.sum(1), delta @ delta
        return (
            self.quartic
            + 4 * delta @ (self.zz_DD @ delta)
            + n * length**2
            + 4 * delta @ self.cubic_D
            + 2 * length * self.zz_DD.trace()
            + 4 * length * along
        )

    def combine(self, other: PooledSums, sign: float) -> PooledSums:
        """Sums over both sets of texts (sign 1), or over those of self without those of other (sign -1)."""
        return self._combined(other, sign, tuple(field.name for field in fields(self)))

    def labels_without(self, other: PooledSums) -> PooledSums:
        """What says something of labels, without the texts of other; the sums of z alone are empty (0,)."""
        return self._combined(other, -1.0, ("count_C", "zy_DC"))

    def _combined(self, other: PooledSums, sign: float, names: tuple[str, ...]) -> PooledSums:
        shift = self.shift_D if self.count_C.sum() else other.shift_D
        mine, theirs = self.about(shift), other.to(self.shift_D.device).about(shift)
        added = {
            name: tensor + sign * getattr(theirs, name) if name in names else tensor.new_empty(0)
            for name, tensor in mine.tensors().items()
        }
        return PooledSums(**{**added, "shift_D": shift})


def add_batch(sums: PooledSums, pooled: Tensor, labels: Tensor) -> PooledSums:
    """The sums with a batch added: pooled (B, D) float64, labels (B,) classes."""
    z = pooled - sums.shift_D
    squared = z.square().sum(1)
    return replace(
        sums,
        zz_DD=torch.addmm(sums.zz_DD, z.T, z),  # not in place: relabellings share the old one
        count_C=sums.count_C + torch.bincount(labels, minlength=len(sums.count_C)),
        zy_DC=sums.zy_DC + torch.zeros_like(sums.zy_DC.T).index_add(0, labels, z).T,
        cubic_D=sums.cubic_D + squared @ z,
        quartic=sums.quartic + squared @ squared,
    )
