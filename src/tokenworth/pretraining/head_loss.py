"""Next-token loss and its gradient without ever holding all logits.

For N tokens and V pieces the logits, their softmax and its gradient are three arrays of N V numbers (8192 pieces and
3072 tokens: 100 MB each).  Here some hundred tokens at a time go from states to loss to gradient while they are in the
cache.  The products are the same three as before: no FLOP more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CHUNK = 512


class _HeadLoss(torch.autograd.Function):
    """sum_n scale_n -log softmax(states_n W')[target_n] over tokens whose target is not negative."""

    @staticmethod
    def forward(ctx: Any, states_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, scale_N: Tensor | None) -> Tensor:
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        states_ND, weight_VD = _as_autocast(states_ND), _as_autocast(weight_VD)
        total = torch.zeros((), dtype=torch.float64, device=states_ND.device)
        d_states = torch.empty_like(states_ND) if wanted else None
        d_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if wanted else None
        for begin in range(0, len(states_ND), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            x, target = states_ND[part], targets_N[part]
            logits = (x @ weight_VD.T).float()
            counted = target >= 0 if scale_N is None else scale_N[part] * (target >= 0)
            place = target.clamp(min=0)[:, None]
            norm = logits.logsumexp(-1, keepdim=True)
            total += ((norm - logits.gather(1, place))[:, 0] * counted).sum(dtype=torch.float64)
            if d_states is not None and d_weight is not None:
                slope = logits.sub_(norm).exp_()
                slope.scatter_add_(1, place, slope.new_full(place.shape, -1.0))
                slope = slope.mul_(counted[:, None]).to(x.dtype)
                torch.mm(slope, weight_VD, out=d_states[part])
                d_weight += slope.T @ x
        if d_states is not None and d_weight is not None:
            ctx.save_for_backward(d_states, d_weight)
        return total.float()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        d_states, d_weight = ctx.saved_tensors
        return d_states * grad.to(d_states.dtype), d_weight * grad, None, None


def head_loss(states_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, scale_N: Tensor | None = None) -> Tensor:
    """Sum of -log p of the targets, in nats, under a head without bias; negative targets are left out.

    Each target counts for `scale_N`, which gets no gradient; None: 1.
    """
    loss: Tensor = _HeadLoss.apply(states_ND, weight_VD, targets_N, scale_N)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def token_losses(states_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """-log p of each target, (N,) nats in float32, without a gradient; 0 for negative targets."""
    states_ND, weight_VD = _as_autocast(states_ND), _as_autocast(weight_VD)
    losses_N = torch.empty(len(targets_N), device=states_ND.device)
    for begin in range(0, len(states_ND), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        logits, target = (states_ND[part] @ weight_VD.T).float(), targets_N[part]
        losses = logits.logsumexp(-1) - logits.gather(1, target.clamp(min=0)[:, None])[:, 0]
        losses_N[part] = losses * (target >= 0)
    return losses_N


def _as_autocast(tensor: Tensor) -> Tensor:
    """In the format autocast would multiply it in."""
    kind = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else tensor
