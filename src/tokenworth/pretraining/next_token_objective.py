"""What is minimised: the next token's -log p, and for experts the spread of tokens over them.

For N tokens and V pieces the logits, their softmax and its gradient are three arrays of N V numbers (8192 pieces and
3072 tokens: 100 MB each).  Here some hundred tokens at a time go from states to loss to gradient while they are in the
cache, and all logits are never held.  The products are the same three as before: no FLOP more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.pretraining.ring_attention import RING, own_part

_CHUNK = 512


class NextToken(nn.Module):
    """A causal language model with the loss inside, so that one call is one forward pass; its head has no bias.

    With `cross_documents` a token may attend to the documents before its own; `balance` weighs the load-balancing loss
    of a mixture of experts.
    """

    def __init__(self, model: Any, *, cross_documents: bool = False, balance: float = 0.0) -> None:
        super().__init__()
        self.model, self.cross_documents, self.balance = model, cross_documents, balance
        self.experts = int(getattr(model.config, "num_local_experts", 0) or 0)
        self.ring = model.config._attn_implementation == RING

    def forward(
        self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor, scale_B: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sum over targets of -log p in nats (negative targets do not count), and the balance loss of this pass.

        With `scale_B` the targets of a sequence count for so much each.
        """
        output, targets_BT = self._read(ids_BT, targets_BT, documents_BT)
        scale_N = None if scale_B is None else scale_B[:, None].expand_as(targets_BT).flatten()
        nats = head_loss(output.last_hidden_state.flatten(0, 1), self._head, targets_BT.flatten(), scale_N)
        return nats, self._balance(output) if self.experts else nats.new_zeros(())

    @torch.no_grad()
    def token_nats(self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor) -> Tensor:
        """-log p of each target, (B, T) nats, without a gradient; in a ring (B, T / processes): this one's part."""
        output, targets_BT = self._read(ids_BT, targets_BT, documents_BT)
        losses_N = token_losses(output.last_hidden_state.flatten(0, 1), self._head, targets_BT.flatten())
        return losses_N.view(targets_BT.shape)

    @property
    def _head(self) -> Tensor:
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight

    def _read(self, ids_BT: Tensor, targets_BT: Tensor, documents_BT: Tensor) -> tuple[Any, Tensor]:
        """What the model says before its head, and the targets it is to be held against."""
        more: dict[str, Any] = {"output_router_logits": True} if self.experts else {}
        if self.cross_documents:
            documents_BT = torch.zeros_like(documents_BT)
        positions_BT = positions_in(documents_BT)
        if self.ring:
            more["documents_BT"] = documents_BT
            ids_BT, targets_BT, positions_BT = (own_part(x) for x in (ids_BT, targets_BT, positions_BT))
        else:
            more["attention_mask"] = document_mask(documents_BT)
        output = self.model.base_model(input_ids=ids_BT, position_ids=positions_BT, use_cache=False, **more)
        return output, targets_BT

    def _balance(self, output: Any) -> Tensor:
        """Mean over the layers: a loss over the counts of all layers together lets each be uneven its own way.

        Source: Fedus, Zoph and Shazeer (2021), Switch Transformers, eq. 4-6.
        """
        from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

        config = self.model.config
        layers = [
            load_balancing_loss_func((logits,), self.experts, config.num_experts_per_tok)
            for logits in output.router_logits
        ]
        return self.balance * torch.stack(layers).mean()


def document_mask(documents_BT: Tensor) -> Tensor | None:
    """Who may attend to whom, (B, 1, T, T) of bool; None where each sequence is one document: plain causal."""
    if bool((documents_BT == documents_BT[:, :1]).all()):
        return None
    same_BTT = documents_BT[:, :, None] == documents_BT[:, None, :]
    return same_BTT.tril()[:, None]


def positions_in(documents_BT: Tensor) -> Tensor:
    """Place of each token in its document, as far as the sequence shows it: (B, T), from 0."""
    places_T = torch.arange(documents_BT.shape[1], device=documents_BT.device)
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    return places_T - torch.where(begins_BT, places_T, 0).cummax(1).values


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
