"""Small models whose layers see windows or chunks, whose heads do more than one product, or that read padding.

Windows and chunks are of 8 tokens; texts of the tests are longer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from small_models import write_tokenizer

WINDOW = 8
LENGTHS = (30, 3, 17, 9, 17)
"""Of texts: beyond several windows, within one, and one past it."""

_SHAPE: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 120,
    "initializer_range": 0.2,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_GROUPED = {**_SHAPE, "num_key_value_heads": 2, "head_dim": 8}
_SLIDING = {**_GROUPED, "sliding_window": WINDOW}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_WORDS = {"cls_token_id": 0, "sep_token_id": 2}
_BERT = {**_SHAPE, "type_vocab_size": 2}

CONFIGS: dict[str, dict[str, Any]] = {
    "mistral": _SLIDING,
    "gemma2": {**_SLIDING, "query_pre_attn_scalar": 8, "final_logit_softcapping": 2.0},
    "gemma3_text": {**_SLIDING, "query_pre_attn_scalar": 8, "num_hidden_layers": 6},
    "gpt_oss": {**_SLIDING, **_EXPERTS, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "cohere2": {**_SLIDING, "logit_scale": 0.1},
    "exaone4": {**_SLIDING, "sliding_window_pattern": 4},
    "llama4_text": {
        **_GROUPED,
        "attention_chunk_size": WINDOW,
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "intermediate_size_mlp": 48,
    },
    "modernbert": {**_SHAPE, **_WORDS, "local_attention": WINDOW, "global_attn_every_n_layers": 3},
    "modernbert-decoder": {**_SHAPE, **_WORDS, "local_attention": WINDOW},
    "gpt_neo": {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_layers": 4,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 2]],
        "max_position_embeddings": 120,
        "window_size": WINDOW,
        "initializer_range": 0.2,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "granite": {**_SHAPE, "logits_scaling": 8.0, "embedding_multiplier": 12.0, "attention_multiplier": 0.1},
    "cohere": {**_SHAPE, "logit_scale": 0.0625},
    "bert": {**_BERT, "is_decoder": True},
    "mamba": {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "state_size": 8, "initializer_range": 0.2},
    "falcon_h1": {
        **_SHAPE,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "mamba_d_ssm": 64,
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
    },
    "big_bird": {**_BERT, "attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1},
    "fnet": _BERT,
    "mobilebert": {
        **_BERT,
        "num_hidden_layers": 2,
        "embedding_size": 16,
        "intra_bottleneck_size": 16,
        "true_hidden_size": 16,
    },
    "convbert": {**_BERT, "num_hidden_layers": 2, "embedding_size": 16},
    "xlm": {
        "vocab_size": 64,
        "emb_dim": 32,
        "n_layers": 3,
        "n_heads": 4,
        "max_position_embeddings": 120,
        "pad_index": 1,
        "bos_index": 0,
        "eos_index": 2,
        "unk_index": 3,
    },
    "bart": {
        "vocab_size": 64,
        "d_model": 32,
        "decoder_layers": 3,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": 120,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "is_decoder": True,
        "is_encoder_decoder": False,
        "init_std": 0.2,
    },
}
"""Settings by the name of the kind."""


def write_windowed(folder: Path, kind: str, *, lm_head: bool = False, **changes: Any) -> str:
    """A folder of a kind with random weights, all of them moved off their neutral values."""
    config = transformers.CONFIG_MAPPING[kind](**{**CONFIGS[kind], **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = (transformers.AutoModelForCausalLM if lm_head else transformers.AutoModel).from_config(config)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return str(folder)
