"""FLOPs of training, counted on the model itself and not guessed from its size.

One text of T tokens costs a T + b T^2 + c: linear maps, pairs of tokens, head.  Three lengths are run once under
PyTorch's counter, forward and backward, with the parameters frozen that are frozen: what LoRA saves is counted too.
It runs as well on the meta device, where a model has shapes and no weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tokenworth.adaptation.cuts import StepCost

_LENGTHS = (4, 8, 12)


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """FLOPs of the forward pass, and of forward and backward together."""

    forward: StepCost
    training: StepCost


def count_training(model: nn.Module, head: nn.Module, pooled_width: int, device: torch.device) -> TrainingCost:
    """Count a base model with the head on top, as it would train now.

    Args:
        model: base model, adapters included; gradients are left as they were (none).
        head: linear layer on `pooled_width` numbers.
        pooled_width: D, or 2 D.
        device: where the model lies; may be meta.
    """
    counts = [_count(model, head, pooled_width, length, device) for length in _LENGTHS]
    forward, training = (StepCost.through(_LENGTHS, [count[i] for count in counts]) for i in (0, 1))
    return TrainingCost(forward, training)


def _count(
    model: nn.Module, head: nn.Module, pooled_width: int, length: int, device: torch.device
) -> tuple[float, float]:
    ids_1T = torch.zeros(1, length, dtype=torch.long, device=device)
    kept = [(weights, weights.grad) for weights in (*model.parameters(), *head.parameters())]
    # Only the plain form of attention is made of products that the counter sees on every device.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        states_1TD = model(input_ids=ids_1T).last_hidden_state
        pooled = states_1TD.mean(1).float().repeat(1, pooled_width // states_1TD.shape[2])
        loss = head(pooled).sum()
        forward = counter.get_total_flops()
        if loss.requires_grad:
            loss.backward()
    for weights, grad in kept:
        weights.grad = grad
    return float(forward), float(counter.get_total_flops())
