"""One batch into context sums: float32 products of shifted states, float64 additions.

The products are what a pass must pay for (3 D^2 FLOP a token); the rest is kept to one pass over the states each for
shift, prefix sums and totals, without a copy of s or h: with s_t = 0 where there is no next state, row t of s goes with
row t + 1 of the states as they lie in memory, and rows of different texts never meet.  bench/one_pass.py measures it.

Axes: B texts of a batch, T positions, P = B T places, D width of one layer; t counts the tokens of a prefix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from tokenworth.scores.context_sums import ContextSums

Prefix = Literal["sum", "mean"]
_GRAM_BLOCKS = 4
_SCAN_WIDTH = 256
_SCAN_BLOCK = 8


@dataclass(frozen=True, eq=False, slots=True)
class Places:
    """What the mask of a batch says of its P places: worked out once, it serves every layer of the batch.

    Rows are held as the step that sets them to 0 wants them: numbers (R,) on a CPU, a mask (B, T) elsewhere.
    """

    mask_BT: Tensor
    length_BT: Tensor  # t: real tokens up to and including this place
    padding: Tensor
    no_next: Tensor  # rows of s without a next state
    no_previous: Tensor  # rows of h that are no next state
    t_P: Tensor  # t where there is a next state, else 0; float32
    before_P: Tensor  # t - 1 where this is a next state, else 0; float32
    counts: Tensor  # texts, pairs, sum of t and of t^2 over pairs; int64

    @classmethod
    def of(cls, mask_BT: Tensor) -> Places:
        """Of a mask (B, T), True at real tokens; the real tokens of a text stand together."""
        length_BT = mask_BT.cumsum(1)
        next_BT, previous_BT = torch.zeros_like(mask_BT), torch.zeros_like(mask_BT)
        torch.logical_and(mask_BT[:, :-1], mask_BT[:, 1:], out=next_BT[:, :-1])
        previous_BT[:, 1:] = next_BT[:, :-1]
        t_BT = next_BT * length_BT
        counts = torch.stack([mask_BT.any(1).sum(), next_BT.sum(), t_BT.sum(), t_BT.square().sum()])
        return cls(
            mask_BT,
            length_BT,
            padding=_rows(~mask_BT),
            no_next=_rows(~next_BT),
            no_previous=_rows(~previous_BT),
            t_P=t_BT.flatten().to(torch.float32),
            before_P=(previous_BT * (length_BT - 1)).flatten().to(torch.float32),
            counts=counts,
        )


def add_batch(sums: ContextSums, states_BTD: Tensor, places: Places, prefix: Prefix) -> ContextSums:
    """The sums with one batch added, the large ones in place; the states lie where they may, the sums stay.

    Running out of memory leaves the sums as they were: the large ones change last, and without taking memory.
    """
    s_PD, h_PD = shifted_pairs(states_BTD, sums.shift_D, places, prefix)

    def wide(tensor: Tensor) -> Tensor:  # moved first: a device without float64 keeps its sums elsewhere
        return tensor.to(sums.shift_D.device).to(torch.float64)

    products = [(sums.ss_DD, wide(gram(s_PD))), (sums.sh_DD, wide(s_PD[:-1].T @ h_PD[1:]))]
    if sums.hh_DD.numel():
        products.append((sums.hh_DD, wide(gram(h_PD))))
    n_texts, n_pairs, w, ww = wide(places.counts)
    s_total, h_total = wide(s_PD.sum(0)), wide(h_PD.sum(0))
    if prefix == "mean":  # weights of 1: the very same sums, or their float32 rounding, times the shift, survives
        w, ww, ws_total, wh_total = n_pairs, n_pairs, s_total, h_total
    else:
        ws_total, wh_total = wide(places.t_P.to(s_PD.dtype) @ s_PD), wide(places.before_P.to(h_PD.dtype) @ h_PD)
    added = replace(
        sums,
        n_texts=sums.n_texts + n_texts,
        n_pairs=sums.n_pairs + n_pairs,
        w=sums.w + w,
        ww=sums.ww + ww,
        s_D=sums.s_D + s_total,
        ws_D=sums.ws_D + ws_total,
        h_D=sums.h_D + h_total,
        wh_D=sums.wh_D + wh_total,
        hh_D=sums.hh_D + wide(torch.linalg.vector_norm(h_PD, dim=0)).square(),
    )
    for total, product in products:
        total.add_(product)
    return added


def shifted_pairs(states_BTD: Tensor, shift_D: Tensor, places: Places, prefix: Prefix) -> tuple[Tensor, Tensor]:
    """Prefixes s (P, D) and next states h (P, D) about the shift, 0 where there is no pair; s_p goes with h_{p+1}.

    float32, or float64 where the states are.
    """
    dtype = torch.promote_types(states_BTD.dtype, torch.float32)
    h_BTD = (states_BTD - shift_D.to(torch.float32).to(states_BTD.device).to(dtype)).contiguous()
    _clear(h_BTD, places.padding)  # not a product with the mask: padding may hold NaN
    s_BTD = prefix_sums(h_BTD)
    if prefix == "mean":
        s_BTD.div_(places.length_BT.clamp(min=1)[..., None])
    _clear(s_BTD, places.no_next)
    _clear(h_BTD, places.no_previous)
    return s_BTD.flatten(0, 1), h_BTD.flatten(0, 1)


def _rows(where_BT: Tensor) -> Tensor:
    # On a CPU few rows take a tenth of the time of a look at every coordinate; elsewhere counting them would wait.
    return where_BT.flatten().nonzero()[:, 0] if where_BT.is_cpu else where_BT


def _clear(x_BTD: Tensor, rows: Tensor) -> None:
    if rows.dtype == torch.bool:
        x_BTD.masked_fill_(rows[..., None], 0)
    else:
        x_BTD.flatten(0, 1).index_fill_(0, rows, 0)


def gram(x_PD: Tensor) -> Tensor:
    """X'X (D, D), each block on or above the diagonal computed once: 5/8 of the FLOP of a full product."""
    dim = x_PD.shape[1]
    product = x_PD.new_empty(dim, dim)
    width = -(-dim // _GRAM_BLOCKS)
    for start in range(0, dim, width):
        stop = min(start + width, dim)
        torch.mm(x_PD[:, start:stop].T, x_PD[:, start:], out=product[start:stop, start:])
        product[stop:, start:stop] = product[start:stop, stop:].T
    return product


def prefix_sums(x_BTD: Tensor) -> Tensor:
    """Cumulative sums over T, a new contiguous tensor.

    On a CPU `cumsum` walks down one coordinate after another and misses the cache for wide states; there, sums run
    over blocks of 8 positions for all coordinates at once, and `cumsum` (whose accumulator is float64) over blocks.
    """
    n_blocks = x_BTD.shape[1] // _SCAN_BLOCK
    if not x_BTD.is_cpu or x_BTD.shape[2] < _SCAN_WIDTH or not n_blocks:
        return x_BTD.cumsum(1)
    s_BTD = torch.empty_like(x_BTD)
    whole = n_blocks * _SCAN_BLOCK
    blocks = (x_BTD.shape[0], n_blocks, _SCAN_BLOCK, x_BTD.shape[2])
    x, s = (tensor[:, :whole].view(blocks) for tensor in (x_BTD, s_BTD))
    s[:, :, 0] = x[:, :, 0]
    for place in range(1, _SCAN_BLOCK):
        torch.add(s[:, :, place - 1], x[:, :, place], out=s[:, :, place])
    s[:, 1:] += s[:, :-1, -1:].cumsum(1)
    for place in range(whole, x_BTD.shape[1]):
        torch.add(s_BTD[:, place - 1], x_BTD[:, place], out=s_BTD[:, place])
    return s_BTD
