"""Memory of training, counted on the model itself: what learns, what is frozen, and what a forward pass keeps.

    weights       4 bytes each that learns, 4 more for its gradient; frozen ones as they are stored
    optimiser     Adafactor keeps sums of rows and columns: nothing beside the weights it moves
    activations   every tensor that the backward pass will want, each storage once, weights apart

The activations of one text of T tokens are a T + b T^2.  Two lengths are run once on the meta device, where a tensor
has a shape and no memory.  Fused attention keeps nothing for pairs of tokens: there b is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from tokenworth.adaptation.training.batch_cuts import StepCost
from tokenworth.backbones.accounting.shape_pass import text_inputs, without_weights

_LENGTHS = (16, 32)
_LEARNING = 8
_COUNTED_IN = 4
"""Bytes of a number of the model that is counted: float32."""


class TrainingMemory(NamedTuple):
    """Of one network as it learns; bytes."""

    state: float
    """Weights and gradients."""
    kept: StepCost
    """Activations of a pass."""

    def of(self, lengths_B: np.ndarray, *, packed: bool = False) -> float:
        """At the end of a forward pass over some texts, in one pack or one padded batch."""
        return self.state + self.kept.of(lengths_B, packed=packed)


def count_memory(
    model: nn.Module, head: nn.Module, *, bytes_a_number: int = 4, bits: int | None = None, device: str = "cpu"
) -> TrainingMemory:
    """Count a base model with the head on top, as it would train now.

    The model lies on the meta device in float32.  Frozen weights and activations take `bytes_a_number`, weights that
    learn 4 bytes, frozen ones of linear maps `bits` where they are quantised.  On the device "cpu", attention with
    dropout is not fused.

    Raises:
        BackboneError: the model does not run without weights.
    """
    attention = _Attention()
    counts = [_kept(model, length, attention) for length in _LENGTHS]
    kept = StepCost.through(_LENGTHS, [bytes_a_number / _COUNTED_IN * count for count in counts])
    if attention.called and (device != "cpu" or attention.dropout == 0.0):  # fused: no matrix of pairs is kept
        kept = replace(kept, pair=0.0)
    quantised = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)} if bits else set()
    learns = sum(w.numel() for w in (*model.parameters(), *head.parameters()) if w.requires_grad)
    frozen = [w for w in model.parameters() if not w.requires_grad]
    narrow = sum(w.numel() for w in frozen if id(w) in quantised)
    plain = sum(w.numel() for w in frozen) - narrow
    return TrainingMemory(_LEARNING * learns + bytes_a_number * plain + (bits or 0) / 8 * narrow, kept)


def _kept(model: nn.Module, length: int, attention: _Attention) -> int:
    """Bytes that the forward pass of one text keeps for the backward pass, dropout as in training."""
    weights = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # held, so that no other storage takes its place
        return tensor

    was = model.training
    model.train()
    with without_weights(model), attention, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(**text_inputs(model, length, use_cache=False))
    model.train(was)
    return sum(storage.nbytes() for storage in kept.values())


class _Attention(TorchFunctionMode):
    """Watches whether attention is PyTorch's own call, which may be fused, and whether it drops out."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.dropout = False, 0.0

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if function is scaled_dot_product_attention:
            self.called = True
            self.dropout = max(self.dropout, float(named.get("dropout_p", args[4] if len(args) > 4 else 0.0)))
        return function(*args, **named)
