"""Context moments: how the encoded prefix goes with the next state.  A commutative monoid of streaming sums.

Axes: B texts of a batch, T positions, D width of one layer.

For text n with states h_1 .. h_T and prefixes s_t = h_1 + ... + h_t (or their means), t = 1 .. T-1,

    C0 = 1/N sum_n sum_t s_t s_t'     C1 = 1/N sum_n sum_t s_t h_{t+1}'     E1 = 1/N sum_n sum_t |h_{t+1}|^2

States of large models have a common mean a thousand times their spread, so nothing is summed raw: with a shift a
(the first batch's mean) the sums are those of h - a and s - w a, where w = t for prefix sums and 1 for prefix
means.  `about` moves sums to another shift exactly, in float64; merging uses it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tokenworth.scores.context_batch import Places, Prefix, add_batch
from tokenworth.scores.context_sums import ContextSums, Exchange, representable
from tokenworth.scores.storage import load_moments, save_moments
from tokenworth.scores.whitening import unit_scale

__all__ = ["ContextMoments", "Places", "Prefix"]

_KIND = "context moments"


class ContextMoments:
    """Streaming context moments of one layer: C0, C1, E1 of scores.md and what centring needs.

    Args:
        dim: width D of the states.
        prefix: "sum" (as published; a text weighs about the cube of its length) or "mean".
        target_moment: also collect the second moment of the next state, which `target="whitened"` needs
            (one product of D x D more per batch).

    `update` takes states (B, T, D) of any floating dtype and a boolean mask (B, T); the real tokens of a text
    stand together, padding may be on either side.  It may reuse storage: go on with what it returns.
    `+` merges shards, `-` takes a shard out again.  Cost per token: 3.25 D^2 FLOP (4.5 D^2 with target_moment).
    """

    __slots__ = ("_anchored", "dim", "prefix", "sums")

    def __init__(self, dim: int, prefix: Prefix = "sum", *, target_moment: bool = True) -> None:
        if prefix not in ("sum", "mean"):
            raise ValueError(f"prefix is 'sum' or 'mean', not {prefix!r}")
        self.dim = dim
        self.prefix: Prefix = prefix
        self.sums = ContextSums.zeros(dim, target_moment=target_moment)
        self._anchored = False  # known without asking the device: no batch but the first waits for it

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
    def update(self, states: Tensor, mask: Tensor | Places) -> ContextMoments:
        """Add a batch: states (B, T, D), mask (B, T) True at real tokens, or for all layers of a batch `Places.of` it.

        The sums move to the states' device, to the CPU for one without float64; running out of memory leaves them as
        they were.

        Raises:
            ValueError: shapes that do not fit.
        """
        states = torch.as_tensor(states)
        places = mask if isinstance(mask, Places) else None
        mask = torch.as_tensor(mask) if places is None else places.mask_BT
        _check_batch(states, mask, self.dim)
        if places is None or mask.device != states.device:
            places = Places.of(mask.to(states.device))
        home = _home(states.device)
        sums = self.sums if self.sums.shift_D.device == home else self.sums.to(home)
        if not self._anchored:
            sums = _anchor(sums, states, places.mask_BT)
        self.sums = add_batch(sums, states, places, self.prefix)
        self._anchored = self._anchored or bool(self.sums.n_texts)
        return self

    def reduce(self, all_reduce: Exchange, broadcast: Exchange) -> ContextMoments:
        """The moments of all processes together, the same on each; every process calls this once, self is unchanged.

        The sums of all move to one shift, in float64, before they are added; a process may have seen no text.

        Args:
            all_reduce: adds a float64 tensor over the processes in place, such as `torch.distributed.all_reduce`.
            broadcast: overwrites a float64 tensor with the first process's, such as `broadcast` with src=0.

        Go on from the result on one process only: what several add to it and reduce again is counted several times.
        Each exchange is one tensor, the two or three large ones of 8 D^2 bytes; all processes need the same dim, prefix
        and target_moment.
        """
        result = ContextMoments(self.dim, self.prefix, target_moment=False)
        result.sums = self.sums.reduce(all_reduce, broadcast)
        return result

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
        ss, sh, hh, hh_trace = sums.ss_DD, sums.sh_DD, sums.hh_DD, sums.hh_D.sum()
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

    def scale(self) -> Tensor:
        """Standard deviation of each coordinate of the next states (D,); see `unit_scale` of one that does not vary."""
        sums, pairs = self.sums, self.sums.n_pairs.clamp(min=1)
        mean_D = sums.h_D / pairs
        variance_D = sums.hh_D / pairs - mean_D.square()
        return unit_scale(variance_D, variance_D.clamp(min=0) + (sums.shift_D + mean_D).square())

    def divided(self, scale_D: Tensor) -> ContextMoments:
        """The moments of states whose coordinates are divided by a scale (D,): exact, no second pass is needed."""
        result = ContextMoments(self.dim, self.prefix, target_moment=False)
        result.sums = self.sums.divided(scale_D)
        return result

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
        if tensors.keys() != ContextSums.zeros(1, target_moment=False).tensors().keys():
            raise ValueError(f"{path} holds the moments of another version of the program; collect them again")
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


def _anchor(sums: ContextSums, states: Tensor, mask: Tensor) -> ContextSums:
    """The same sums about a shift to go on with: their own, or where nothing was seen yet this batch's mean."""
    if sums.n_texts:
        return sums.about(representable(sums.shift_D))
    if not mask.any():
        return sums
    shift = representable(states[mask].to(torch.float32).mean(0).to(sums.shift_D.device))
    return replace(sums, shift_D=shift)


def _home(device: torch.device) -> torch.device:
    """Where the sums of states on a device are held: there, or on the CPU where the device has no float64."""
    return torch.device("cpu") if device.type == "mps" else device
