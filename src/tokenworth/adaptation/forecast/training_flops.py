"""FLOPs of training, counted on the model itself and not guessed from its size.

One text of T tokens costs a T + b T^2 + c: linear maps, pairs of tokens, head.  Three lengths about that of a usual
text are run once, forward and backward, with the parameters frozen that are frozen: what LoRA saves is counted too, and
of a mixture of experts those that a token is sent to.  Where a model pads texts to whole chunks, or looks no further
than a window, the three numbers are right near that length.  It runs as well on the meta device, where a model has
shapes and no weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from tokenworth.adaptation.training.batch_cuts import StepCost
from tokenworth.backbones.accounting.matrix_products import Products
from tokenworth.backbones.accounting.shape_pass import text_inputs

_USUAL = 8


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """FLOPs of the forward pass, and of forward and backward together."""

    forward: StepCost
    training: StepCost


def count_training(
    model: nn.Module,
    head: nn.Module,
    pooled_width: int,
    device: torch.device,
    *,
    length: int = _USUAL,
    longest: int | None = None,
) -> TrainingCost:
    """Count a base model, adapters included, with a head on D or 2 D numbers, as it would train now.

    The device is where the model lies, and may be meta; `length` is the tokens of a usual text, `longest` of one that
    the model still reads.
    """
    usual = max(length if longest is None else min(length, 2 * longest // 3), _USUAL)  # half as many more are counted
    lengths = (usual // 2, usual, usual + usual // 2)
    counts = [_count(model, head, pooled_width, tokens, device) for tokens in lengths]
    forward, training = (StepCost.through(lengths, [count[i] for count in counts]) for i in (0, 1))
    return TrainingCost(forward, training)


def _count(
    model: nn.Module, head: nn.Module, pooled_width: int, length: int, device: torch.device
) -> tuple[float, float]:
    more = {"use_cache": False}  # a cache is written in place, which no gradient survives
    inputs = text_inputs(model, length, **more)
    if device.type != "meta":
        inputs = {name: value if name in more else value.to(device) for name, value in inputs.items()}
    kept = [(weights, weights.grad) for weights in (*model.parameters(), *head.parameters())]
    # Only the plain form of attention is made of products that can be counted on every device.
    with sdpa_kernel(SDPBackend.MATH), Products() as products:
        states_1TD = model(**inputs).last_hidden_state
        pooled = states_1TD.mean(1).float().repeat(1, pooled_width // states_1TD.shape[2])
        loss = head(pooled).sum()
        forward = products.flops
        if loss.requires_grad:
            loss.backward()
    for weights, grad in kept:
        weights.grad = grad
    return float(forward), float(products.flops)
