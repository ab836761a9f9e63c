"""Settings that a GGUF file states and transformers leaves out, where a class's defaults would stand for another model.

Source of names and rules: llama.cpp (gguf-py/gguf/constants.py, src/llama-model.cpp, convert_hf_to_gguf.py).
"""

from __future__ import annotations

from math import pi
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.backbones.loading.gguf_header import GgufHeader
from tokenworth.base.aliases import Floats
from tokenworth.errors import BackboneError

_LEFT_OUT = {
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
}
_DERIVED = ("layer_types",)
_SCALED_BY_WIDTH = {"gemma2": 46, "gemma3": 62}
"""Blocks of the one size whose attention is scaled by width / heads; in the others it is by the width of a head."""
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def completed(config: Any, header: GgufHeader, path: Path) -> Any:
    """The configuration with what the file states besides.

    Raises BackboneError: positions are scaled in a way that cannot be set here, so states would be wrong.
    """
    from transformers import integrations

    by_hand: Any = getattr(integrations, "GGUF_CONFIG_MAPPING", {})
    known = by_hand.get(header.architecture) or by_hand.get(config.model_type)
    if known is None:  # read by a function for this architecture alone
        return config
    changes = {
        name: header.settings[key]
        for key, name in _LEFT_OUT.items()
        if key in header.settings and hasattr(config, name) and known.get(key) is None
    }
    if getattr(config, "max_position_embeddings", None) is not None and "context_length" in header.settings:
        changes["max_position_embeddings"] = header.settings["context_length"]
    changes = {name: value for name, value in changes.items() if getattr(config, name) != value}
    if changes:
        stated = {name: value for name, value in config.to_dict().items() if name not in _DERIVED}
        config = type(config).from_dict(stated | changes)
    if hasattr(config, "query_pre_attn_scalar"):
        by_width = config.num_hidden_layers == _SCALED_BY_WIDTH.get(header.architecture)
        config.query_pre_attn_scalar = config.hidden_size // config.num_attention_heads if by_width else config.head_dim
    _set_positions(config, header, path)
    return config


def _set_positions(config: Any, header: GgufHeader, path: Path) -> None:
    """How far apart angles of neighbouring positions are."""
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)  # neighbours within a window are never scaled
    if not rope or rope.get("rope_type", "default") != "default":
        return
    dimensions, head_dim = header.settings.get("rope.dimension_count"), _head_dim(config)
    if dimensions and dimensions / head_dim != rope.get("partial_rotary_factor", 1.0):
        rope["partial_rotary_factor"] = dimensions / head_dim
    scaling, factor = header.settings.get("rope.scaling.type", "none"), header.settings.get("rope.scaling.factor", 1.0)
    if scaling == "linear" and factor != 1:
        rope |= {"rope_type": "linear", "factor": factor}
    elif header.position_factors:
        rope |= {"rope_type": "llama3", "factor": _llama3_factor(header, rope["rope_theta"], path)} | _LLAMA3
    elif scaling not in {"none", "linear"}:
        raise _unread(path, f"by the method {scaling}")


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _llama3_factor(header: GgufHeader, base: float, path: Path) -> float:
    """The factor that the file's factors of single frequencies come from, by the rule of Llama 3.1."""
    stated = header.position_factors.get("rope_freqs.weight")
    if stated is None:
        raise _unread(path, f"by {next(iter(header.position_factors))}")
    factor = round(float(stated.max()), 3)
    if not np.allclose(stated, _llama3_factors(factor, base, len(stated)), rtol=1e-3):
        raise _unread(path, "by factors that are not those of Llama 3.1")
    return factor


def _llama3_factors(factor: float, base: float, n_frequencies: int) -> Floats:
    """1 where a wave has 4 turns and more within 8,192 tokens, `factor` where it has none, between them in between."""
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    frequencies = base ** -(np.arange(n_frequencies) / n_frequencies)
    turns = _LLAMA3["original_max_position_embeddings"] * frequencies / (2 * pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    return np.asarray(1 / ((1 - share) / factor + share))


def _unread(path: Path, how: str) -> BackboneError:
    return BackboneError(
        f"{path} scales its positions {how}, which is not read from GGUF, so its states would be wrong; give the model "
        "that it was made from, as a folder with config.json and model.safetensors"
    )
