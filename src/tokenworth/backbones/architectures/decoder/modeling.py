"""A decoder in one file: attention, feed-forward network or experts, norms, positions, head.

Axes: B texts, T tokens, D model width, N = B T tokens, K experts asked for a token, X experts, M tokens of an expert.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import MoeCausalLMOutputWithPast, MoeModelOutputWithPast
from transformers.utils.output_capturing import OutputRecorder

from tokenworth.backbones.architectures import blocks
from tokenworth.backbones.architectures.decoder.configuration import DecoderConfig


def make_norm(config: DecoderConfig) -> nn.Module:
    """RMSNorm, or the LayerNorm before it."""
    if config.normalisation == "rmsnorm":
        return nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.bias)


class DecoderAttention(blocks.CausalAttention):
    """Causal attention with as many key-value heads as asked for."""

    def __init__(self, config: DecoderConfig, layer_idx: int) -> None:
        heads = {"query_heads": config.num_attention_heads, "shared_heads": config.shared_heads}
        super().__init__(config, layer_idx, **heads)
        width, shared = config.hidden_size, config.shared_heads * config.head_dim
        self.q_proj = nn.Linear(width, width, bias=config.bias)
        self.k_proj, self.v_proj = (nn.Linear(width, shared, bias=config.bias) for _ in range(2))
        self.o_proj = blocks.ResidualLinear(width, width, bias=config.bias)

    def forward(self, hidden_states: Tensor, **more: Any) -> tuple[Tensor, Tensor | None]:
        query, key, value = (self.by_head(proj(hidden_states)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        mixed, weights = self.attend(query, key, value, **more)
        return self.o_proj(mixed), weights


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj, self.up_proj = (nn.Linear(width, inner, bias=config.bias) for _ in range(2))
        self.down_proj = blocks.ResidualLinear(inner, width, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class GELUNetwork(nn.Module):
    """down(gelu(up(x))), with 3/2 of the inner width so that it has the parameters of the SwiGLU it stands for."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        inner = config.intermediate_size * 3 // 2
        self.up_proj = nn.Linear(config.hidden_size, inner, bias=config.bias)
        self.down_proj = blocks.ResidualLinear(inner, config.hidden_size, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.up_proj(x)))


class Router(nn.Module):
    """Which experts are asked for a token, and with what weight: the K largest of a softmax, scaled to sum to one."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.asked = config.num_experts_per_tok
        self.weight = nn.Parameter(torch.empty(config.num_local_experts, config.hidden_size))

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits_NX = F.linear(x_ND, self.weight)
        share_NK, expert_NK = logits_NX.float().softmax(-1).topk(self.asked, dim=-1)
        return logits_NX, share_NK / share_NK.sum(-1, keepdim=True), expert_NK


class Experts(nn.Module):
    """The SwiGLU networks of a layer, under the names of transformers' Mixtral in memory."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        n, width, inner = config.num_local_experts, config.hidden_size, config.intermediate_size
        self.gate_up_proj = nn.Parameter(torch.empty(n, 2 * inner, width))
        self.down_proj = nn.Parameter(torch.empty(n, width, inner))

    def forward(self, x_ND: Tensor, share_NK: Tensor, expert_NK: Tensor) -> Tensor:
        """Tokens sorted by expert, so that every expert is one product, and put back."""
        asked = expert_NK.shape[1]
        order = expert_NK.flatten().argsort(stable=True)
        counts = torch.bincount(expert_NK.flatten(), minlength=len(self.down_proj)).tolist()
        outputs = []
        for expert, x_MD in enumerate(torch.split(x_ND[order // asked], counts)):
            gate, up = F.linear(x_MD, self.gate_up_proj[expert]).chunk(2, dim=-1)
            outputs.append(F.linear(F.silu(gate) * up, self.down_proj[expert]))
        weighted = torch.cat(outputs) * share_NK.flatten()[order, None].to(x_ND.dtype)
        return torch.zeros_like(x_ND).index_add(0, order // asked, weighted)


class ExpertNetwork(nn.Module):
    """A mixture of experts in the place of a feed-forward network."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate, self.experts = Router(config), Experts(config)

    def forward(self, x: Tensor) -> Tensor:
        x_ND = x.flatten(0, -2)
        _, share_NK, expert_NK = self.gate(x_ND)
        return self.experts(x_ND, share_NK, expert_NK).view_as(x)


def make_network(config: DecoderConfig) -> nn.Module:
    """The feed-forward part of a layer."""
    if config.num_local_experts:
        return ExpertNetwork(config)
    return SwiGLU(config) if config.feed_forward == "swiglu" else GELUNetwork(config)


class DecoderLayer(GradientCheckpointingLayer):  # type: ignore[misc]
    """Attention and network beside a residual; the norm before each of them, or, as in 2017, behind the sum."""

    def __init__(self, config: DecoderConfig, layer_idx: int) -> None:
        super().__init__()
        self.self_attn, self.mlp = DecoderAttention(config, layer_idx), make_network(config)
        self.input_layernorm, self.post_attention_layernorm = make_norm(config), make_norm(config)
        self.norm_first = config.norm_place == "pre"

    def forward(self, hidden_states: Tensor, **more: Any) -> Tensor:
        first, second = self.input_layernorm, self.post_attention_layernorm
        if self.norm_first:
            hidden_states = hidden_states + self.self_attn(first(hidden_states), **more)[0]
            return hidden_states + self.mlp(second(hidden_states))
        hidden_states = first(hidden_states + self.self_attn(hidden_states, **more)[0])
        return second(hidden_states + self.mlp(hidden_states))


class DecoderPreTrainedModel(blocks.CausalPreTrainedModel):
    """What the library has to know of the family."""

    config: DecoderConfig
    config_class = DecoderConfig
    base_model_prefix = "model"
    _no_split_modules = ["DecoderLayer"]  # noqa: RUF012 - transformers declares them so
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": DecoderLayer,
        "attentions": DecoderAttention,
        "router_logits": OutputRecorder(Router, index=0),
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Matrices N(0, initializer_range), those that end a residual branch scaled by (2 layers)^-1/2, gains 1."""
        std = self.config.initializer_range
        ending = std * (2 * self.config.num_hidden_layers) ** -0.5
        if isinstance(module, nn.Embedding | nn.Linear | Router):
            init.normal_(module.weight, std=ending if isinstance(module, blocks.ResidualLinear) else std)
        if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
            init.zeros_(module.bias)
        if isinstance(module, nn.RMSNorm | nn.LayerNorm):
            init.ones_(module.weight)
        if isinstance(module, Experts):
            init.normal_(module.gate_up_proj, std=std)
            init.normal_(module.down_proj, std=ending)


class DecoderModel(blocks.CausalStack, DecoderPreTrainedModel):
    """The backbone: embedding, layers, final norm (which a post-norm decoder does without)."""

    output_class = MoeModelOutputWithPast

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        learned = config.positions == "learned"
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size) if learned else None
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = make_norm(config) if config.norm_place == "pre" else nn.Identity()
        self.gradient_checkpointing = False
        self.post_init()

    def locate(self, states: Tensor, position_ids: Tensor) -> tuple[Tensor, blocks.Angles | None]:
        if self.embed_positions is not None:
            return states + self.embed_positions(position_ids), None
        return states, blocks.rotary_angles(position_ids, self.config.head_dim, self.config.rope_theta)


class DecoderForCausalLM(blocks.CausalHead, DecoderPreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The backbone with its head, which may be the embedding itself."""

    output_class = MoeCausalLMOutputWithPast
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.model = DecoderModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def logits_of(self, states: Tensor) -> Tensor:
        return self.lm_head(states)
