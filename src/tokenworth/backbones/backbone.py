"""What the other rooms know of a loaded model."""

from dataclasses import dataclass
from typing import Any

import torch

from tokenworth.backbones.structure.language_head import LanguageHead
from tokenworth.backbones.structure.structure import Structure


@dataclass(frozen=True, eq=False)
class Backbone:
    """A base model (no language-model head) with its tokenizer, ready for a forward pass.

    Layers are numbered 0 (the embedding output, which block 1 reads) to ``n_layers`` (the output of the last block
    after the final norm): L blocks give L + 1 layers.
    """

    name: str
    """As the user gave it, with ``@random`` where random weights were asked for."""
    model: torch.nn.Module
    """In eval mode, on ``device``, in ``dtype``."""
    tokenizer: Any
    """A transformers tokenizer."""
    device: torch.device
    """Where the weights lie; of a model spread by device_map, where its inputs go."""
    dtype: torch.dtype
    """Number format of the weights and states."""
    n_layers: int
    """L, the number of blocks."""
    width: int
    """D, the number of coordinates of a hidden state."""
    causal: bool
    """Whether a token's state ignores the tokens after it; found by trying."""
    max_length: int
    """Longest text in tokens, special tokens included."""
    n_parameters: int
    """Of the base model, embeddings included."""
    random: bool
    """Whether the weights are drawn instead of read."""
    fingerprint: str
    """sha256 hex of configuration, tokenizer and weights (random weights: of the seed)."""
    source: str
    """The folder, or the hub id with its commit."""
    notes: tuple[str, ...]
    """Sentences a report shows."""
    structure: Structure
    """Where the layers' states are read in the forward pass."""
    sharded: bool = False
    """Whether the weights are spread over several processes, which then must make the same forward passes."""
    lm_head: LanguageHead | None = None
    """States of the last layer (T, D) to logits over the vocabulary (T, V), where it was asked for."""

    @property
    def pad_id(self) -> int:
        """Token id that fills up a batch; padding is masked everywhere, so any valid id will do."""
        return padding_id(self.tokenizer, self.structure.n_embeddings)


def padding_id(tokenizer: Any, n_embeddings: int) -> int:
    """Token id that fills up a batch of a model that embeds so many tokens."""
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(int(i) for i in candidates if i is not None and 0 <= i < n_embeddings)
