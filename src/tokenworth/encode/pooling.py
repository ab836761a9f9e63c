"""One vector a text from the states of its tokens.

Axes: B texts, T tokens, D coordinates.

In most language models a few coordinates of a few tokens, usually the first, are hundreds of times as large as all
others (massive activations, Sun et al. 2024, arXiv 2402.17762).  They drown means and second moments, while the next
block never sees their size: its norm divides each state by its root mean square.  `normalised` does the same.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from tokenworth.errors import SettingError

States = Literal["normalised", "raw"]
"""States as they are read: each divided by its root mean square, or as the block left them."""


class Reading(NamedTuple):
    """How a text is read off the states of its tokens."""

    pooling: str = "mean"
    """mean, last, cls or last+mean."""
    states: States = "normalised"

    def __str__(self) -> str:
        """mean, or mean of raw states"""
        return self.pooling if self.states == "normalised" else f"{self.pooling} of raw states"


def normalised(states: Tensor) -> Tensor:
    """States (..., D) divided by their root mean square over the coordinates, float32; a state of zeros stays zero."""
    wide = states.float()
    largest = wide.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    scaled = wide / largest  # the squares of what remains cannot overflow
    return scaled * scaled.square().mean(-1, keepdim=True).clamp(min=1e-30).rsqrt()


def pool(states_BTD: Tensor, mask_BT: Tensor, how: str = "mean") -> Tensor:
    """Pool the states of each text's tokens; padding may stand on either side and may hold anything, NaN too.

    Args:
        states_BTD: hidden states in any floating dtype.
        mask_BT: True at tokens; at least one in every row.
        how: "mean" (sum over tokens / number of tokens), "last" (last token), "cls" (first token), or "last+mean"
            (both, in this order).

    Returns:
        (B, D), for "last+mean" (B, 2 D), float32; sums run in float32 or, for float64 states, in float64.

    Raises:
        SettingError: ``how`` is none of these.
    """
    if how not in POOLINGS:
        raise SettingError(f"pooling {how!r} is not understood; choose one of {', '.join(POOLINGS)}")
    return POOLINGS[how](states_BTD, mask_BT)


def _mean(states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    wide = torch.promote_types(states_BTD.dtype, torch.float32)
    return (_without_padding(states_BTD, mask_BT).sum(1, dtype=wide) / mask_BT.sum(1, keepdim=True)).float()


def _without_padding(states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """The states with 0 at padding; not a product with the mask, as NaN * 0 is NaN."""
    if not states_BTD.is_cpu or torch.compiler.is_exporting():  # counting rows would wait, or is no part of a graph
        return states_BTD.masked_fill(~mask_BT[:, :, None], 0)
    padding = (~mask_BT).flatten().nonzero()[:, 0]
    if not len(padding):
        return states_BTD
    # On a CPU a tenth of the time of masked_fill, which looks at every coordinate.
    return states_BTD.flatten(0, 1).index_fill(0, padding, 0).view_as(states_BTD)


def _last(states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    place_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    return _at(states_BTD, (place_T * mask_BT).amax(1))


def _first(states_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    n_places = mask_BT.shape[1]
    place_T = torch.arange(n_places, device=mask_BT.device)
    return _at(states_BTD, place_T.where(mask_BT, n_places - 1).amin(1))


def _at(states_BTD: Tensor, place_B: Tensor) -> Tensor:
    return states_BTD[torch.arange(place_B.shape[0], device=place_B.device), place_B].float()


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": _mean,
    "last": _last,
    "cls": _first,
    "last+mean": lambda states_BTD, mask_BT: torch.cat([_last(states_BTD, mask_BT), _mean(states_BTD, mask_BT)], dim=1),
}  # the ways to pool, by name
