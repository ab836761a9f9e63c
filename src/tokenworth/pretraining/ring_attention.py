"""Ring attention: every process holds a part of each sequence, and keys and values go round.

Each process keeps its queries.  In P rounds it attends to its own keys and values, then to those that its neighbour
hands over, and joins the pieces by their log normalisers; parts that lie behind its own are passed on unread.  In the
way back keys and values go round once more with their gradients.

Source: Liu, Zaharia and Abbeel (2023), Ring Attention with Blockwise Transformers (arXiv 2310.01889).
Axes: B sequences, H heads, T own tokens, S tokens of the part that visits, E head width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

RING = "tokenworth_ring"


def register() -> None:
    """Let transformers' models choose ring attention by its name."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(RING, _attend)


def own_part(x_BT: Tensor) -> Tensor:
    """This process's part of each sequence."""
    return x_BT.chunk(dist.get_world_size(), dim=1)[dist.get_rank()]


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - who may attend to whom follows from places and documents
    scaling: float,
    documents_BT: Tensor,
    **_more: Any,
) -> tuple[Tensor, None]:
    groups: int = getattr(module, "num_key_value_groups", 1)
    mixed: Tensor = _Ring.apply(query, key, value, documents_BT, scaling, groups)  # type: ignore[no-untyped-call]
    return mixed.transpose(1, 2).contiguous(), None


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, documents_BT: Tensor, scaling: float, groups: int
    ) -> Tensor:
        rank, size = dist.get_rank(), dist.get_world_size()
        visiting = torch.stack([key, value])
        best = query.new_full(query.shape[:-1], -torch.inf, dtype=torch.float32)
        weight, mixed = torch.zeros_like(best), torch.zeros_like(query, dtype=torch.float32)
        for round_ in range(size):
            source = (rank - round_) % size
            if source <= rank:
                k, v = visiting.repeat_interleave(groups, dim=2)
                scores = _scores(query, k, documents_BT, rank, source, scaling)
                top = torch.maximum(best, scores.amax(-1))
                known = top.masked_fill(top == -torch.inf, 0.0)
                piece = (scores - known[..., None]).exp()
                old = (best - known).exp()
                weight = weight * old + piece.sum(-1)
                mixed = mixed * old[..., None] + piece @ v.float()
                best = top
            if round_ < size - 1:
                visiting = _hand_on(visiting)
        mixed = mixed / weight[..., None]
        ctx.save_for_backward(query, key, value, documents_BT, mixed, best + weight.log())
        ctx.scaling, ctx.groups = scaling, groups
        return mixed.to(query.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        query, key, value, documents_BT, mixed, norm = ctx.saved_tensors
        rank, size = dist.get_rank(), dist.get_world_size()
        grad = grad.float()
        shift = (grad * mixed).sum(-1, keepdim=True)
        d_query = torch.zeros_like(query, dtype=torch.float32)
        both = torch.stack([key.float(), value.float()])
        visiting = torch.cat([both, torch.zeros_like(both)])  # keys, values, and their gradients so far
        for round_ in range(size):
            source = (rank - round_) % size
            if source <= rank:
                k, v = visiting[:2].repeat_interleave(ctx.groups, dim=2)  # for every query head that shares them
                share = (_scores(query, k, documents_BT, rank, source, ctx.scaling) - norm[..., None]).exp()
                slope = share * (grad @ v.transpose(2, 3) - shift) * ctx.scaling
                d_query += slope @ k
                visiting[2] += _sum_groups(slope.transpose(2, 3) @ query.float(), ctx.groups)
                visiting[3] += _sum_groups(share.transpose(2, 3) @ grad, ctx.groups)
            visiting = _hand_on(visiting)  # after the last round they are at home again
        return d_query.to(query.dtype), visiting[2].to(key.dtype), visiting[3].to(value.dtype), None, None, None


def _scores(query: Tensor, key: Tensor, documents_BT: Tensor, rank: int, source: int, scaling: float) -> Tensor:
    """(B, H, T, S) in float32, -inf where a token may not look."""
    scores = query.float() @ key.float().transpose(2, 3) * scaling
    own_T, other_S = (documents_BT.chunk(dist.get_world_size(), dim=1)[i] for i in (rank, source))
    allowed = own_T[:, :, None] == other_S[:, None, :]
    if source == rank:
        allowed = allowed.tril()
    return scores.masked_fill(~allowed[:, None], -torch.inf)


def _sum_groups(grad: Tensor, groups: int) -> Tensor:
    """The sum over the query heads that share a key."""
    return grad.view(len(grad), -1, groups, *grad.shape[2:]).sum(2)


def _hand_on(tensor: Tensor) -> Tensor:
    """To the next process; returns what the one before has sent."""
    rank, size = dist.get_rank(), dist.get_world_size()
    tensor, received = tensor.contiguous(), torch.empty_like(tensor)
    sending = dist.P2POp(dist.isend, tensor, (rank + 1) % size)
    receiving = dist.P2POp(dist.irecv, received, (rank - 1) % size)
    for transfer in dist.batch_isend_irecv([sending, receiving]):
        transfer.wait()
    return received
