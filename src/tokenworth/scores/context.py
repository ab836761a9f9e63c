"""Context moments: how the encoded prefix goes with the next state.  A commutative monoid of streaming sums.

Axes: B texts of a batch, T positions, D width of one layer.

For text n with states h_1 .. h_T and prefixes s_t = h_1 + ... + h_t (or their means), t = 1 .. T-1,

    C0 = 1/N sum_n sum_t s_t s_t'     C1 = 1/N sum_n sum_t s_t h_{t+1}'     E1 = 1/N sum_n sum_t |h_{t+1}|^2

States of large models have a common mean a thousand times their spread, so nothing is summed raw: with a shift a
(the first batch's mean) the sums are those of h - a and s - w a, where w = t for prefix sums and 1 for prefix
means.  `about` moves sums to another shift exactly, in float64; merging uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from tokenworth.scores.storage import load_moments, save_moments

Prefix = Literal["sum", "mean"]
_KIND = "context moments"


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
    h_squared: Tensor  # sum of |h|^2
    ss_DD: Tensor
    sh_DD: Tensor
    hh_DD: Tensor  # empty (0, 0) when the whitened target is not asked for

    @classmethod
    def zeros(cls, dim: int, *, target_moment: bool, device: torch.device | str = "cpu") -> ContextSums:
        """Nothing seen yet."""

        def zero(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        target = dim if target_moment else 0
        scalars = {name: zero() for name in ("n_texts", "n_pairs", "w", "ww", "h_squared")}
        rows = {name: zero(dim) for name in ("shift_D", "s_D", "ws_D", "h_D", "wh_D")}
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
            h_squared=self.h_squared + 2 * delta @ self.h_D + self.n_pairs * delta @ delta,
            ss_DD=self.ss_DD + _outer_pair(self.ws_D, delta) + self.ww * torch.outer(delta, delta),
            sh_DD=self.sh_DD
            + torch.outer(self.s_D, delta)
            + torch.outer(delta, self.wh_D)
            + self.w * torch.outer(delta, delta),
            hh_DD=hh,
        )

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


def _outer_pair(a: Tensor, b: Tensor) -> Tensor:
    product = torch.outer(a, b)
    return product + product.T


class ContextMoments:
    """Streaming context moments of one layer: C0, C1, E1 of scores.md and what centring needs.

    Args:
        dim: width D of the states.
        prefix: "sum" (as published; a text weighs about the cube of its length) or "mean".
        target_moment: also collect the second moment of the next state, which `target="whitened"` needs
            (one product of D x D more per batch).

    `update` takes states (B, T, D) of any floating dtype and a boolean mask (B, T); the real tokens of a text
    stand together, padding may be on either side.  It may reuse storage: go on with what it returns.
    `+` merges shards, `-` takes a shard out again.  Cost per token: 4 D^2 FLOP (6 D^2 with target_moment).
    """

    __slots__ = ("dim", "prefix", "sums")

    def __init__(self, dim: int, prefix: Prefix = "sum", *, target_moment: bool = True) -> None:
        if prefix not in ("sum", "mean"):
            raise ValueError(f"prefix is 'sum' or 'mean', not {prefix!r}")
        self.dim = dim
        self.prefix: Prefix = prefix
        self.sums = ContextSums.zeros(dim, target_moment=target_moment)

    @property
    def target_moment(self) -> bool:
        """Whether the second moment of the next state is collected."""
        return self.sums.hh_DD.numel() > 0

    @property
    def n_texts(self) -> int:
        """Texts seen that have at least one token."""
        return int(self.sums.n_texts)

    @property
    def n_pairs(self) -> int:
        """Pairs of prefix and next state; a text of T tokens gives T - 1."""
        return int(self.sums.n_pairs)

    @torch.no_grad()
    def update(self, states: Tensor, mask: Tensor) -> ContextMoments:
        """Add a batch: states (B, T, D), mask (B, T) True at real tokens.

        Raises:
            ValueError: shapes that do not fit.
        """
        states, mask = torch.as_tensor(states), torch.as_tensor(mask)
        _check_batch(states, mask, self.dim)
        if states.dtype != torch.float64:  # bf16 and fp16 states are exact in float32; float64 states stay as they are
            states = states.to(torch.float32)
        mask = mask.to(states.device)
        sums = self.sums if self.sums.shift_D.device == states.device else self.sums.to(states.device)
        if not sums.n_texts and mask.any():
            # A value of the states' own dtype, so that what is subtracted is exactly what is stored.
            sums = replace(sums, shift_D=states[mask].mean(0).to(torch.float64))
        self.sums = _add_batch(sums, states, mask, self.prefix)
        return self

    def __add__(self, other: ContextMoments) -> ContextMoments:
        return self._combine(other, 1.0)

    def __sub__(self, other: ContextMoments) -> ContextMoments:
        return self._combine(other, -1.0)

    def _combine(self, other: ContextMoments, sign: float) -> ContextMoments:
        if (self.dim, self.prefix) != (other.dim, other.prefix):
            raise ValueError(
                f"moments of width {self.dim}, prefix {self.prefix!r} do not go with width {other.dim}, "
                f"prefix {other.prefix!r}"
            )
        result = ContextMoments(self.dim, self.prefix, target_moment=False)
        result.sums = self.sums.combine(other.sums, sign)
        return result

    def second_moments(self, *, center: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """C0 (D, D), C1 (D, D), Shh (D, D; (0, 0) when not collected) and E1 (scalar), each divided by N.

        With center=True the means over all pairs are taken out of prefixes and next states first.
        """
        sums = self.sums.about(torch.zeros_like(self.sums.shift_D))
        ss, sh, hh, hh_trace = sums.ss_DD, sums.sh_DD, sums.hh_DD, sums.h_squared
        if center:
            pairs = sums.n_pairs.clamp(min=1)
            ss = ss - torch.outer(sums.s_D, sums.s_D) / pairs
            sh = sh - torch.outer(sums.s_D, sums.h_D) / pairs
            hh = hh - torch.outer(sums.h_D, sums.h_D) / pairs if hh.numel() else hh
            hh_trace = hh_trace - sums.h_D @ sums.h_D / pairs
        n = sums.n_texts.clamp(min=1)
        return ss / n, sh / n, hh / n, hh_trace / n

    def spread(self) -> Tensor:
        """Root mean square of each coordinate of s about w times the mean state (D,): the scale of what varies."""
        sums = self.sums.about(self.sums.shift_D + self.sums.h_D / self.sums.n_pairs.clamp(min=1))
        return (sums.ss_DD.diagonal().clamp(min=0) / sums.n_texts.clamp(min=1)).sqrt()

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, the facts as JSON in its header."""
        save_moments(path, _KIND, self.sums.tensors(), {"dim": self.dim, "prefix": self.prefix})

    @classmethod
    def load(cls, path: str | Path) -> ContextMoments:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is damaged or holds something else.
        """
        tensors, facts = load_moments(path, _KIND)
        moments = cls(facts["dim"], facts["prefix"], target_moment=False)
        moments.sums = ContextSums(**tensors)
        return moments


def _check_batch(states: Tensor, mask: Tensor, dim: int) -> None:
    if states.ndim != 3 or states.shape[-1] != dim:
        raise ValueError(f"states have shape {tuple(states.shape)}; expected (B, T, {dim})")
    if tuple(mask.shape) != tuple(states.shape[:2]) or mask.dtype != torch.bool:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; "
            f"expected {tuple(states.shape[:2])} and torch.bool"
        )


def _add_batch(sums: ContextSums, states: Tensor, mask: Tensor, prefix: Prefix) -> ContextSums:
    """The sums with one batch added, large ones in place.  float32 products, float64 additions."""
    shifted = states - sums.shift_D.to(states.dtype)
    shifted = shifted.masked_fill_(~mask[..., None], 0)  # not a product: padding may hold NaN
    length = mask.cumsum(1)  # t: real tokens up to and including this one
    pair = (mask[:, :-1] & mask[:, 1:])[..., None]
    s = shifted.cumsum(1)[:, :-1] * pair
    if prefix == "mean":
        s = s / length[:, :-1, None].clamp(min=1)
    h = shifted[:, 1:] * pair
    s, h = s.flatten(0, 1), h.flatten(0, 1)
    pairs = pair.flatten().to(torch.float64)
    w = pairs * (length[:, :-1].flatten() if prefix == "sum" else 1.0)
    s_total, h_total = s.sum(0), h.sum(0)
    # Prefix means weigh 1: the very same sums, or their float32 rounding, times the shift, survives centring.
    weighted = (s_total, h_total) if prefix == "mean" else (w.to(s.dtype) @ s, w.to(s.dtype) @ h)
    products = [(sums.ss_DD, s.T @ s), (sums.sh_DD, s.T @ h)]
    if sums.hh_DD.numel():
        products.append((sums.hh_DD, h.T @ h))
    added = replace(
        sums,
        n_texts=sums.n_texts + mask.any(1).sum(),
        n_pairs=sums.n_pairs + pairs.sum(),
        w=sums.w + w.sum(),
        ww=sums.ww + w @ w,
        s_D=sums.s_D + s_total,
        ws_D=sums.ws_D + weighted[0],
        h_D=sums.h_D + h_total,
        wh_D=sums.wh_D + weighted[1],
        h_squared=sums.h_squared + h.square().sum(),
    )
    for total, product in products:  # last, and in place: running out of memory above leaves the sums as they were
        total.add_(product)
    return added
