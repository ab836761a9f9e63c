"""What our own decoders share: rotary positions, attention over a cache, the forward pass of a stack and of its head.

Axes: B texts, T tokens, S tokens in the cache and the text, D model width, H heads, E head width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import ModelOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

Angles = tuple[Tensor, Tensor]
"""Cosine and sine (B, 1, T, E)."""


class ResidualLinear(nn.Linear):
    """A map that ends a residual branch: a linear map whose initialisation also depends on the depth."""


def rotary_angles(positions_BT: Tensor, head_dim: int, base: float) -> Angles:
    """Of position x base^(-2i / E), in float32; both halves of E turn alike."""
    place = torch.arange(0, head_dim, 2, device=positions_BT.device, dtype=torch.float32)
    angle = positions_BT[:, None, :, None].float() * base ** (-place / head_dim)
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x_BHTE: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs (i, i + E/2) by their position's angle, in float32."""
    wide = x_BHTE.float()
    low, high = wide.chunk(2, dim=-1)
    return (wide * cosine + torch.cat([-high, low], dim=-1) * sine).to(x_BHTE.dtype)


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_more: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, for those who want its weights: (B, T, H, E) and (B, H, T, S)."""
    groups: int = module.num_key_value_groups  # type: ignore[assignment]
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    scores = query @ key.transpose(2, 3) * scaling
    scores = scores if attention_mask is None else scores + attention_mask
    weights = F.dropout(scores.softmax(-1, dtype=torch.float32).to(query.dtype), dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


class CausalAttention(nn.Module):
    """Attention to the tokens before, kept in a cache; several query heads may share a key and a value."""

    def __init__(self, config: Any, layer_idx: int, *, query_heads: int, shared_heads: int) -> None:
        super().__init__()
        self.config, self.layer_idx, self.is_causal = config, layer_idx, True
        self.head_dim, self.scaling = config.head_dim, config.head_dim**-0.5
        self.num_key_value_groups = query_heads // shared_heads

    def by_head(self, x: Tensor) -> Tensor:
        """(B, T, H E) as (B, H, T, E)."""
        return x.view(*x.shape[:-1], -1, self.head_dim).transpose(1, 2)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        angles: Angles | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        **more: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """What the heads gather (B, T, H E), and the weights where they are at hand."""
        if angles is not None:
            query, key = rotate(query, *angles), rotate(key, *angles)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)
        mixed, weights = attention(self, query, key, value, attention_mask, dropout=0.0, scaling=self.scaling, **more)
        return mixed.reshape(*mixed.shape[:2], -1), weights


class CausalPreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """What the library has to know of both families."""

    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012 - transformers declares it so
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True


class CausalStack:
    """The forward pass of a base model: embedding, layers, final norm."""

    config: Any
    layers: nn.ModuleList
    norm: nn.Module
    output_class: ClassVar[type[ModelOutput]]
    get_input_embeddings: Callable[[], nn.Module]

    def locate(self, states: Tensor, position_ids: Tensor) -> tuple[Tensor, Angles | None]:
        """The states that the first layer reads, and the angles by which every layer tells places apart."""
        raise NotImplementedError

    @merge_with_config_defaults  # type: ignore[untyped-decorator]
    @capture_outputs  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        **more: Any,
    ) -> ModelOutput:
        """States (B, T, D) after the final norm, and the cache."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give input_ids or inputs_embeds, one of them")
        states = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = 0 if past_key_values is None else past_key_values.get_seq_length()
            position_ids = seen + torch.arange(states.shape[1], device=states.device)[None]
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=states,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        states, angles = self.locate(states, position_ids)
        for layer in self.layers:
            states = layer(states, angles=angles, attention_mask=mask, past_key_values=past_key_values, **more)
        return self.output_class(last_hidden_state=self.norm(states), past_key_values=past_key_values)


class CausalHead:
    """The forward pass of a language model: that of its base model, and logits of its last states."""

    config: Any
    base_model: nn.Module
    loss_function: Callable[..., Tensor]
    output_class: ClassVar[type[ModelOutput]]

    def logits_of(self, states: Tensor) -> Tensor:
        """(B, T, D) to (B, T, vocabulary)."""
        raise NotImplementedError

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **more: Any,
    ) -> ModelOutput:
        """Logits (B, T, vocabulary) of the last `logits_to_keep` places (0: all); with labels, the loss."""
        tokens = {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids}
        output = self.base_model(**tokens, **more)
        places = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits, loss = self.logits_of(output.last_hidden_state[:, places]), None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **more)
        kept = {name: value for name, value in output.items() if name != "last_hidden_state"}
        return self.output_class(loss=loss, logits=logits, **kept)
