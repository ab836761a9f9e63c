"""One batch into context sums: float32 products of shifted states, float64 additions.

The products are what a pass must pay for (3 D^2 FLOP a token); the rest is kept to one pass over the states each for
shift, prefix sums and totals, without a copy of s or h: with s_t = 0 where there is no next state, row t of s goes with
row t + 1 of the states as they lie in memory, and rows of different texts never meet.  bench/one_pass.py measures it.

Axes: B texts of a batch, T positions, P = B T places, D width of one layer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from tokenworth.scores.context_sums import ContextSums

Prefix = Literal["sum", "mean"]
_GRAM_BLOCKS = 4
_SCAN_WIDTH = 256
_SCAN_BLOCK = 8


def add_batch(sums: ContextSums, states_BTD: Tensor, mask_BT: Tensor, prefix: Prefix) -> ContextSums:
    """The sums with one batch added, the large ones in place; the states lie where they may, the sums stay.

    Running out of memory leaves the sums as they were: the large ones change last, and without taking memory.
    """
    h_BTD = _shifted(states_BTD, sums.shift_D, mask_BT)
    s_BTD = prefix_sums(h_BTD)
    length_BT = mask_BT.cumsum(1)  # t: real tokens up to and including this one
    if prefix == "mean":
        s_BTD.div_(length_BT.clamp(min=1)[..., None])
    next_BT = torch.zeros_like(mask_BT)  # has a next state
    previous_BT = torch.zeros_like(mask_BT)  # is a next state
    torch.logical_and(mask_BT[:, :-1], mask_BT[:, 1:], out=next_BT[:, :-1])
    previous_BT[:, 1:] = next_BT[:, :-1]
    s_PD = _clear(s_BTD, ~next_BT).flatten(0, 1)
    h_PD = _clear(h_BTD, ~previous_BT).flatten(0, 1)

    def wide(tensor: Tensor) -> Tensor:  # moved first: a device without float64 keeps its sums elsewhere
        return tensor.to(sums.shift_D.device).to(torch.float64)

    products = [(sums.ss_DD, wide(gram(s_PD))), (sums.sh_DD, wide(s_PD[:-1].T @ h_PD[1:]))]
    if sums.hh_DD.numel():
        products.append((sums.hh_DD, wide(gram(h_PD))))
    s_total, h_total = wide(s_PD.sum(0)), wide(h_PD.sum(0))
    w_BT = next_BT * (length_BT if prefix == "sum" else 1)
    if prefix == "mean":  # weights of 1: the very same sums, or their float32 rounding, times the shift, survives
        weighted = s_total, h_total
    else:
        before = (previous_BT * (length_BT - 1)).flatten().to(h_PD.dtype)
        weighted = wide(w_BT.flatten().to(s_PD.dtype) @ s_PD), wide(before @ h_PD)
    added = replace(
        sums,
        n_texts=sums.n_texts + wide(mask_BT.any(1).sum()),
        n_pairs=sums.n_pairs + wide(next_BT.sum()),
        w=sums.w + wide(w_BT.sum()),
        ww=sums.ww + wide(w_BT.square().sum()),
        s_D=sums.s_D + s_total,
        ws_D=sums.ws_D + weighted[0],
        h_D=sums.h_D + h_total,
        wh_D=sums.wh_D + weighted[1],
        h_squared=sums.h_squared + wide(torch.linalg.vector_norm(h_PD, dim=1)).square().sum(),
    )
    for total, product in products:
        total.add_(product)
    return added


def _shifted(states_BTD: Tensor, shift_D: Tensor, mask_BT: Tensor) -> Tensor:
    """States about the shift, 0 at padding; float32, or float64 where the states are.  A new tensor."""
    dtype = torch.promote_types(states_BTD.dtype, torch.float32)
    shifted = (states_BTD - shift_D.to(torch.float32).to(states_BTD.device).to(dtype)).contiguous()
    return _clear(shifted, ~mask_BT)  # not a product with the mask: padding may hold NaN


def _clear(x_BTD: Tensor, where_BT: Tensor) -> Tensor:
    """Set some rows of a contiguous tensor to 0, in place."""
    if x_BTD.is_cpu:  # few rows: a tenth of the time that looking at every coordinate takes
        x_BTD.flatten(0, 1).index_fill_(0, where_BT.flatten().nonzero()[:, 0], 0)
        return x_BTD
    return x_BTD.masked_fill_(where_BT[..., None], 0)  # elsewhere counting rows would wait for the device


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
