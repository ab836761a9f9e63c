"""The 14 backbones of the two papers, with the configurations their authors published: no file is needed to build one.

Checked by parameter counts: Table 2 of "For Perception Tasks: is LLM Pretraining by Next-Token Prediction Worth its
Cost?" and the model pages.  arctic-embed-xs is the one whose own config.json was not seen; its base's was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Published:
    """One backbone of the papers."""

    name: str
    """As printed."""
    hub: str
    config: dict[str, Any]
    """What its config.json says."""
    tokenizer: str
    """Hub id of its tokenizer."""


_DECODER = {"attention_dropout": 0.0, "initializer_range": 0.02}
_QWEN2 = _DECODER | {
    "model_type": "qwen2",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "max_position_embeddings": 131_072,
    "sliding_window": 131_072,
    "use_sliding_window": False,
    "bos_token_id": 151_643,
    "eos_token_id": 151_643,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}
_32_LAYERS = _DECODER | {"num_hidden_layers": 32, "num_attention_heads": 32, "tie_word_embeddings": False}
_8B = _32_LAYERS | {
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "hidden_size": 4096,
    "num_key_value_heads": 8,
    "intermediate_size": 14_336,
}
_MISTRAL = _8B | {
    "model_type": "mistral",
    "rope_theta": 10_000.0,
    "max_position_embeddings": 32_768,
    "sliding_window": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "vocab_size": 32_000,
}
_LLAMA3 = _8B | {
    "model_type": "llama",
    "rope_theta": 500_000.0,
    "max_position_embeddings": 8192,
    "attention_bias": False,
    "bos_token_id": 128_000,
    "eos_token_id": 128_001,
    "vocab_size": 128_256,
}
_PHI2 = _32_LAYERS | {
    "model_type": "phi",
    "hidden_act": "gelu_new",
    "layer_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "partial_rotary_factor": 0.4,
    "qk_layernorm": False,
    "max_position_embeddings": 2048,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.1,
    "bos_token_id": 50_256,
    "eos_token_id": 50_256,
    "hidden_size": 2560,
    "num_key_value_heads": 32,
    "intermediate_size": 10_240,
    "vocab_size": 51_200,
}
_ARCTIC = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "pad_token_id": 0,
    "vocab_size": 30_522,
}
_OPENELM = {
    "model_type": "openelm",
    "activation_fn_name": "swish",
    "normalization_layer_name": "rms_norm",
    "rms_norm_eps": 1e-6,
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
    "ffn_with_glu": True,
    "ffn_dim_divisor": 256,
    "qkv_multipliers": [0.5, 1.0],
    "num_gqa_groups": 4,
    "max_context_length": 2048,
    "rope_freq_constant": 10_000,
    "rope_max_length": 4096,
    "initializer_range": 0.02,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "vocab_size": 32_000,
}
_LLAMA2_TOKENIZER = "meta-llama/Llama-2-7b-hf"


def _qwen2(name: str, width: int, layers: int, heads: int, kv_heads: int, inner: int, **more: Any) -> Published:
    sizes = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers, "max_window_layers": layers}
    sizes |= {"num_attention_heads": heads, "num_key_value_heads": kv_heads}
    return Published(name, f"Qwen/{name}", _QWEN2 | sizes | more, f"Qwen/{name}")


def _arctic(name: str, width: int, layers: int, heads: int) -> Published:
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    hub = f"Snowflake/snowflake-{name}"
    return Published(name, hub, _ARCTIC | sizes | {"intermediate_size": 4 * width}, hub)


def _openelm(name: str, width: int, head_dim: int, layers: int) -> Published:
    """Layer-wise scaling: the feed-forward multiplier rises evenly from 0.5 to 4, rounded to two decimals."""
    multipliers = [round(0.5 + 3.5 * layer / (layers - 1), 2) for layer in range(layers)]
    sizes = {"model_dim": width, "head_dim": head_dim, "num_transformer_layers": layers, "ffn_multipliers": multipliers}
    return Published(name, f"apple/{name}", _OPENELM | sizes, _LLAMA2_TOKENIZER)


_ALL = (
    _qwen2("Qwen2-0.5B", 896, 24, 14, 2, 4864),
    _qwen2("Qwen2-1.5B", 1536, 28, 12, 2, 8960),
    _qwen2("Qwen2-7B", 3584, 28, 28, 4, 18_944, vocab_size=152_064, tie_word_embeddings=False),
    Published("Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.1", _MISTRAL, "mistralai/Mistral-7B-v0.1"),
    Published("Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-8B", _LLAMA3, "meta-llama/Meta-Llama-3-8B"),
    Published("phi-2", "microsoft/phi-2", _PHI2, "microsoft/phi-2"),
    _arctic("arctic-embed-xs", 384, 6, 12),
    _arctic("arctic-embed-s", 384, 12, 12),
    _arctic("arctic-embed-m", 768, 12, 12),
    _arctic("arctic-embed-l", 1024, 24, 16),
    _openelm("OpenELM-270M", 1280, 64, 16),
    _openelm("OpenELM-450M", 1536, 64, 20),
    _openelm("OpenELM-1_1B", 2048, 64, 28),
    _openelm("OpenELM-3B", 3072, 128, 36),
)

CATALOG: dict[str, Published] = {entry.name: entry for entry in _ALL}
"""By printed name."""
PUBLISHED: dict[str, str] = {entry.name: entry.hub for entry in _ALL}
"""Published name -> hub id.  A hub id or a folder of the same name is reached by its own spelling."""
TABLE_2 = (
    "OpenELM-270M",
    "OpenELM-450M",
    "OpenELM-1_1B",
    "OpenELM-3B",
    "phi-2",
    "Mistral-7B-v0.1",
    "arctic-embed-xs",
    "arctic-embed-s",
    "arctic-embed-m",
    "arctic-embed-l",
)
"""The columns of the first paper's Table 2, in its order."""


def find_published(name: str) -> Published | None:
    """The catalog's entry of a printed name or a hub id."""
    return CATALOG.get(name) or next((entry for entry in _ALL if entry.hub == name), None)
