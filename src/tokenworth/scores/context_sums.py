"""The sums behind context moments: what is added up over pairs, about which shift, and how sums come together.

Axes: D width of one layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

Exchange = Callable[[Tensor], object]
"""Changes a float64 tensor in place, together with the other processes that call it."""


@dataclass(frozen=True, eq=False, slots=True)
class ContextSums:
    """Sums over all pairs (prefix s, next state h) about one shift; float64.

    w is the prefix's weight: its number of states for prefix sums, 1 for prefix means.
    """

    shift_D: Tensor
    n_texts: Tensor  # texts with at least one token
    n_pairs: Tensor
    w: Tensor  # sum of w
    ww: Tensor  # sum of w^2
    s_D: Tensor
    ws_D: Tensor
    h_D: Tensor
    wh_D: Tensor
    hh_D: Tensor  # sum of h^2, coordinate by coordinate: the diagonal of hh_DD
    ss_DD: Tensor
    sh_DD: Tensor
    hh_DD: Tensor  # empty (0, 0) when the whitened target is not asked for

    @classmethod
    def zeros(cls, dim: int, *, target_moment: bool, device: torch.device | str = "cpu") -> ContextSums:
        """Nothing seen yet."""

        def zero(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        target = dim if target_moment else 0
        scalars = {name: zero() for name in ("n_texts", "n_pairs", "w", "ww")}
        rows = {name: zero(dim) for name in ("shift_D", "s_D", "ws_D", "h_D", "wh_D", "hh_D")}
        return cls(**scalars, **rows, ss_DD=zero(dim, dim), sh_DD=zero(dim, dim), hh_DD=zero(target, target))

    def tensors(self) -> dict[str, Tensor]:
        """Every sum by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to(self, device: torch.device | str) -> ContextSums:
        """The same sums on another device."""
        return ContextSums(**{name: tensor.to(device) for name, tensor in self.tensors().items()})

    def about(self, shift_D: Tensor) -> ContextSums:
        """The same sums about another shift: every h gains delta, every s gains w delta."""
        delta = self.shift_D - shift_D
        hh = self.hh_DD
        if hh.numel():
            hh = hh + _outer_pair(self.h_D, delta) + self.n_pairs * torch.outer(delta, delta)
        return replace(
            self,
            shift_D=shift_D,
            s_D=self.s_D + self.w * delta,
            ws_D=self.ws_D + self.ww * delta,
            h_D=self.h_D + self.n_pairs * delta,
            wh_D=self.wh_D + self.w * delta,
            hh_D=self.hh_D + 2 * delta * self.h_D + self.n_pairs * delta.square(),
            ss_DD=self.ss_DD + _outer_pair(self.ws_D, delta) + self.ww * torch.outer(delta, delta),
            sh_DD=self.sh_DD
            + torch.outer(self.s_D, delta)
            + torch.outer(delta, self.wh_D)
            + self.w * torch.outer(delta, delta),
            hh_DD=hh,
        )

    def divided(self, scale_D: Tensor) -> ContextSums:
        """The sums of states whose coordinates are divided by a scale."""
        rows = {name: getattr(self, name) / scale_D for name in ("shift_D", "s_D", "ws_D", "h_D", "wh_D")}
        both = {name: getattr(self, name) / scale_D / scale_D[:, None] for name in ("ss_DD", "sh_DD")}
        hh = self.hh_DD / scale_D / scale_D[:, None] if self.hh_DD.numel() else self.hh_DD
        return replace(self, **rows, **both, hh_D=self.hh_D / scale_D.square(), hh_DD=hh)

    def combine(self, other: ContextSums, sign: float) -> ContextSums:
        """Sums over both sets of pairs (sign 1), or over those of self without those of other (sign -1)."""
        shift = other.shift_D if not self.n_texts else self.shift_D
        mine, theirs = self.about(shift), other.to(self.shift_D.device).about(shift)
        if mine.hh_DD.numel() != theirs.hh_DD.numel():
            raise ValueError("one side was collected with target_moment=False; collect both the same way")
        added = {
            name: tensor + sign * getattr(theirs, name) for name, tensor in mine.tensors().items() if name != "shift_D"
        }
        return ContextSums(shift_D=shift, **added)

    def reduce(self, all_reduce: Exchange, broadcast: Exchange) -> ContextSums:
        """Sums over the pairs of all processes, the same on each; see `ContextMoments.reduce`."""
        seen = torch.cat([self.n_texts * self.shift_D, self.n_texts[None]])
        all_reduce(seen)
        # Each process could round this mean in its own way: the first one's holds for all.
        shift = representable(seen[:-1] / seen[-1].clamp(min=1))
        broadcast(shift)
        # Copies: counts do not depend on the shift, so `about` hands over this object's own.
        moved = {name: tensor.clone() for name, tensor in self.about(shift).tensors().items() if name != "shift_D"}
        for tensor in moved.values():
            if tensor.numel():  # the empty one where no target moment is collected: empty on every process
                all_reduce(tensor)
        return ContextSums(shift_D=shift, **moved)


def representable(shift_D: Tensor) -> Tensor:
    """A shift that float32 holds, in float64: what is subtracted from float32 states is then what is stored."""
    return shift_D.to(torch.float32).to(torch.float64)


def _outer_pair(a: Tensor, b: Tensor) -> Tensor:
    product = torch.outer(a, b)
    return product + product.T
