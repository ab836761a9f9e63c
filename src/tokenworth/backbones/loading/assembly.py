"""A backbone from its parts and its model: structure, longest text, and notes on what the model is like."""

from __future__ import annotations

from typing import Any

import torch

from tokenworth.backbones.backbone import Backbone, padding_id
from tokenworth.backbones.loading.parts import Parts
from tokenworth.backbones.structure.structure import examine, position_padding

_LENGTH_KEYS = ("max_position_embeddings", "max_seq_len", "max_sequence_length")
_UNSTATED_LENGTH = 2048
_NO_LIMIT = 10**9  # tokenizers without a limit state 1e30
_READS_PADDING = (
    "The states of this model depend on the padding beside a text, so only texts of one length share a pass: as many "
    "passes as there are lengths, at least."
)


def assembled(name: str, parts: Parts, model: Any, place: torch.device, *, random: bool) -> Backbone:
    """The backbone of a model on its device, examined once on a short text.
    Raises BackboneError: the model does not run, or is of a kind that is not supported.
    """
    max_length, notes = _context_length(model, parts.tokenizer)
    n_embeddings = model.get_input_embeddings().num_embeddings
    structure = examine(model, n_embeddings, max_length, place, pad_id=padding_id(parts.tokenizer, n_embeddings))
    if structure.blocks is None:
        notes += (
            "The blocks of this model cannot be told apart: all layers' states of a batch are held in memory at once.",
        )
    if structure.reads_padding:
        notes += (_READS_PADDING,)
    return Backbone(
        name=name,
        model=model,
        tokenizer=parts.tokenizer,
        device=place,
        dtype=next(p.dtype for p in model.parameters() if p.is_floating_point()),
        n_layers=structure.n_layers,
        width=structure.width,
        causal=structure.causal,
        max_length=max_length,
        n_parameters=sum(p.numel() for p in model.parameters()),
        random=random,
        fingerprint=parts.fingerprint(),
        source=parts.origin,
        notes=(*parts.notes, *notes),
        structure=structure,
    )


def _context_length(model: Any, tokenizer: Any) -> tuple[int, tuple[str, ...]]:
    """Longest text in tokens: what tokenizer and position table both allow, and a note where neither says."""
    text_config = model.config.get_text_config()
    positions = next((n for key in _LENGTH_KEYS if (n := getattr(text_config, key, None))), None)
    padding = position_padding(model)
    if positions and padding is not None:
        positions -= padding + 1  # positions are counted from behind the padding index
    limits = [n for n in (tokenizer.model_max_length, positions) if n and 0 < n < _NO_LIMIT]
    if limits:
        return int(min(limits)), ()
    return _UNSTATED_LENGTH, (f"The model states no longest text; {_UNSTATED_LENGTH} tokens are taken.",)
