"""OpenELM: pre-norm decoder with layer-wise scaling, grouped query heads, normalised queries and keys, gated FFN.

Axes: B texts, T tokens, D model width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GenericForSequenceClassification, GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from tokenworth.backbones.architectures import blocks
from tokenworth.backbones.architectures.openelm.configuration import OpenELMConfig


class OpenELMRMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis, in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


class OpenELMAttention(blocks.CausalAttention):
    """Causal attention of one layer; the rows of qkv_proj are queries, then keys, then values."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        heads, kv_heads = config.heads_of(layer_idx)
        super().__init__(config, layer_idx, query_heads=heads, shared_heads=kv_heads)
        self.heads, self.kv_heads = heads, kv_heads
        self.qkv_proj = nn.Linear(config.model_dim, (self.heads + 2 * self.kv_heads) * config.head_dim, bias=False)
        self.q_norm, self.k_norm = (
            OpenELMRMSNorm(config.head_dim, config.rms_norm_eps) if config.normalize_qk_projections else None
            for _ in range(2)
        )
        self.out_proj = blocks.ResidualLinear(self.heads * config.head_dim, config.model_dim, bias=False)

    def forward(self, hidden_states: Tensor, **more: Any) -> tuple[Tensor, Tensor | None]:
        heads = self.by_head(self.qkv_proj(hidden_states))
        query, key, value = torch.split(heads, [self.heads, self.kv_heads, self.kv_heads], dim=1)
        if self.q_norm is not None and self.k_norm is not None:
            query, key = self.q_norm(query), self.k_norm(key)
        mixed, weights = self.attend(query, key, value, **more)
        return self.out_proj(mixed), weights


class OpenELMFeedForward(nn.Module):
    """proj_2(act(gate) * linear), both halves from proj_1, the gate first; without gates proj_2(act(proj_1))."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        width = config.ffn_widths[layer_idx]
        self.gated = config.ffn_with_glu
        self.proj_1 = nn.Linear(config.model_dim, width * (2 if self.gated else 1), bias=False)
        self.proj_2 = blocks.ResidualLinear(width, config.model_dim, bias=False)
        self.act = ACT2FN[config.activation_fn_name]

    def forward(self, x: Tensor) -> Tensor:
        if not self.gated:
            return self.proj_2(self.act(self.proj_1(x)))
        gate, linear = self.proj_1(x).chunk(2, dim=-1)
        return self.proj_2(self.act(gate) * linear)


class OpenELMDecoderLayer(GradientCheckpointingLayer):  # type: ignore[misc]
    """Attention and feed-forward network, each behind a norm and beside a residual."""

    def __init__(self, config: OpenELMConfig, layer_idx: int) -> None:
        super().__init__()
        self.attn, self.ffn = OpenELMAttention(config, layer_idx), OpenELMFeedForward(config, layer_idx)
        self.attn_norm = OpenELMRMSNorm(config.model_dim, config.rms_norm_eps)
        self.ffn_norm = OpenELMRMSNorm(config.model_dim, config.rms_norm_eps)

    def forward(self, hidden_states: Tensor, **more: Any) -> Tensor:
        hidden_states = hidden_states + self.attn(self.attn_norm(hidden_states), **more)[0]
        return hidden_states + self.ffn(self.ffn_norm(hidden_states))


class OpenELMPreTrainedModel(blocks.CausalPreTrainedModel):
    """What the library has to know of the family."""

    config: OpenELMConfig
    config_class = OpenELMConfig
    base_model_prefix = "transformer"
    _input_embed_layer = "token_embeddings"
    _no_split_modules = ["OpenELMDecoderLayer"]  # noqa: RUF012 - transformers declares them so
    _can_record_outputs = {"hidden_states": OpenELMDecoderLayer, "attentions": OpenELMAttention}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Linear maps by their input width, the maps that end a residual branch by depth too, embedding by width."""
        if isinstance(module, OpenELMRMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.model_dim**-0.5)
        elif isinstance(module, blocks.ResidualLinear):
            init.normal_(module.weight, std=(2 * self.config.num_transformer_layers * self.config.model_dim) ** -0.5)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=module.in_features**-0.5)


class OpenELMModel(blocks.CausalStack, OpenELMPreTrainedModel):
    """The backbone: embedding, layers, final norm."""

    output_class = BaseModelOutputWithPast

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.token_embeddings = nn.Embedding(config.vocab_size, config.model_dim)
        self.layers = nn.ModuleList(OpenELMDecoderLayer(config, i) for i in range(config.num_transformer_layers))
        self.norm = OpenELMRMSNorm(config.model_dim, config.rms_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def locate(self, states: Tensor, position_ids: Tensor) -> tuple[Tensor, blocks.Angles]:
        return states, blocks.rotary_angles(position_ids, self.config.head_dim, self.config.rope_freq_constant)


class OpenELMForCausalLM(blocks.CausalHead, OpenELMPreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The backbone with its head: the embedding itself where they are shared, as in all published models."""

    output_class = CausalLMOutputWithPast
    _keys_to_ignore_on_load_unexpected = [r"^lm_head\.weight$"]  # noqa: RUF012

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.transformer = OpenELMModel(config)
        shared = config.share_input_output_layers
        self.lm_head = None if shared else nn.Linear(config.model_dim, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module | None:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.lm_head = new_embeddings

    def logits_of(self, states: Tensor) -> Tensor:
        table = self.transformer.token_embeddings if self.lm_head is None else self.lm_head
        return F.linear(states, table.weight)


class OpenELMForSequenceClassification(GenericForSequenceClassification, OpenELMPreTrainedModel):  # type: ignore[misc]
    """The backbone with a linear read-out of the last token."""
