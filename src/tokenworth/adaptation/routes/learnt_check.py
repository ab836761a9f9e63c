"""What tunings of our own and of peft share: plain float32 products, and whether what was added is on a text's way."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.adaptation.training.text_spans import Spans, spans_told
from tokenworth.backbones.accounting.shape_pass import text_inputs, without_weights

_LENGTH = 2
"""Of the text that is read."""


def check_learnt(model: Any, added: nn.Module) -> None:
    """A short text must pass, with a state for each of its tokens that depends on all that was added.

    Raises ValueError: they do not; or whatever a model raises that cannot be run so.
    """
    learnt = list(added.parameters())
    device = learnt[0].device
    shapes = device.type == "meta"  # ids and mask are real all the same
    inputs = {name: value if shapes else value.to(device) for name, value in text_inputs(model, _LENGTH).items()}
    with without_weights(model) if shapes else nullcontext(), spans_told(Spans.whole(1, _LENGTH)):
        states: Tensor = model(**inputs).last_hidden_state
        if not states.requires_grad or states.shape[1] != _LENGTH:
            raise ValueError("its states do not depend on what is learnt")
        grads = torch.autograd.grad(states.float().sum(), learnt, allow_unused=True)
    if any(grad is None for grad in grads):
        raise ValueError("its states depend on a part alone of what is learnt")


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Products in the format of their operands, where others are computed in a narrower one."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
