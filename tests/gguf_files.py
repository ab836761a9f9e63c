"""GGUF files made of plain folders, as llama.cpp's converter lays them out: names, order of rows, settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from architectures import Architecture

gguf: Any = pytest.importorskip("gguf", reason="the package gguf is not installed")

NAMES = {
    "llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe",
    "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3", "starcoder2": "starcoder2", "stablelm": "stablelm",
    "gpt2": "gpt2", "nemotron": "nemotron", "falcon": "falcon", "bloom": "bloom", "mamba": "mamba", "lfm2": "lfm2",
}  # fmt: skip
"""transformers' model_type -> what llama.cpp calls it: those written here."""
FILES = {"F32": "tiny.gguf", "F16": "half.gguf", "Q8_0": "eight.gguf", "Q4_1": "four.gguf"}
PLAIN = "plain"
WORTH = {packing: f"plain-{packing}" for packing in FILES if packing != "F32"}
"""Folders with the weights that a file is worth."""
CHAT = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
_MERGES = (("Ġ", "t"), ("h", "e"), ("i", "n"), ("a", "n"))
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_NUMBERS = (
    ("max_position_embeddings", "add_context_length"), ("num_hidden_layers", "add_block_count"),
    ("hidden_size", "add_embedding_length"), ("intermediate_size", "add_feed_forward_length"),
    ("num_attention_heads", "add_head_count"), ("num_key_value_heads", "add_head_count_kv"),
    ("rms_norm_eps", "add_layer_norm_rms_eps"), ("layer_norm_eps", "add_layer_norm_eps"),
    ("layer_norm_epsilon", "add_layer_norm_eps"), ("norm_epsilon", "add_layer_norm_eps"),
    ("norm_eps", "add_layer_norm_rms_eps"), ("vocab_size", "add_vocab_size"), ("sliding_window", "add_sliding_window"),
    ("num_experts", "add_expert_count"), ("num_experts_per_tok", "add_expert_used_count"),
    ("moe_intermediate_size", "add_expert_feed_forward_length"),
    ("shared_expert_intermediate_size", "add_expert_shared_feed_forward_length"),
    ("conv_L_cache", "add_shortconv_l_cache"), ("state_size", "add_ssm_state_size"),
    ("conv_kernel", "add_ssm_conv_kernel"), ("time_step_rank", "add_ssm_time_step_rank"),
)  # fmt: skip


def write_tokenizer(folder: Path) -> None:
    """264 tokens: special ones, a token a byte, four merged ones; <s> before every text, and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*_SPECIAL, *alphabet, *("".join(pair) for pair in _MERGES)]
    inner = Tokenizer(models.BPE({token: place for place, token in enumerate(tokens)}, list(_MERGES)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **names)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)


def write_plain(folder: Path, name: str = "llama") -> Path:
    """The folder of a tiny model that a file can be made of."""
    Architecture(name).write(folder)
    write_tokenizer(folder)
    if name == "qwen3_moe":  # llama.cpp knows this kind with weights of experts that add to one alone
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"norm_topk_prob": True}))
    return folder


def write_files(home: Path, name: str) -> Path:
    """A model as a folder, as files of all packings, and as folders with what those are worth; the plain file."""
    folder = write_plain(home / PLAIN, name)
    for packing, file in FILES.items():
        held = write_gguf(folder, home / file, packing)
        if packing in WORTH:
            model = transformers.AutoModelForCausalLM.from_pretrained(folder)
            model.load_state_dict(held, strict=False)
            model.save_pretrained(home / WORTH[packing])
            write_tokenizer(home / WORTH[packing])
    return home / FILES["F32"]


def write_gguf(folder: Path, path: Path, packing: str = "F32", change: Any = None) -> dict[str, torch.Tensor]:
    """One file of a plain folder's model and tokenizer; returns the weights that it holds, by transformers' names.

    Matrices whose rows are whole blocks are packed; the rest are float32, as converters leave them.  `change` is called
    with the writer, before it writes, for settings and tensors besides.
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    config, kind = model.config, gguf.GGMLQuantizationType[packing]
    architecture = NAMES[config.model_type]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{packing}" if packing != "F32" else "ALL_F32"])
    _add_settings(writer, model)
    _add_tokenizer(writer, folder)
    if change is not None:
        change(writer)
    held = {}
    for name, weights in _state(model, tied=config.tie_word_embeddings):
        is_turned = config.model_type == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        packed, worth = _packed(np.ascontiguousarray(weights.T) if is_turned else weights, kind)
        held[name] = worth.T if is_turned else worth
        for stored_name, place in _stored(name, config, architecture):
            rows = place(packed) if packed.dtype == np.uint8 else np.ascontiguousarray(place(packed))
            writer.add_tensor(stored_name, rows, raw_dtype=kind if packed.dtype != np.float32 else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def _add_settings(writer: Any, model: Any) -> None:
    config = model.config
    for name, method in _NUMBERS:
        value = getattr(config, name, None)
        if name == "intermediate_size" and getattr(config, "block_auto_adjust_ff_dim", False):
            value = model.get_parameter("model.layers.0.feed_forward.w1.weight").shape[0]
        if name == "num_key_value_heads" and "conv" in (getattr(config, "layer_types", None) or ()):
            value = [0 if kind == "conv" else value for kind in config.layer_types]
        if value is not None:
            getattr(writer, method)(value)
    if (rope := getattr(config, "rope_parameters", None)) is not None:
        rope = rope.get("full_attention", rope)
        writer.add_rope_freq_base(rope["rope_theta"])
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // getattr(config, "num_attention_heads", 1)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    if rope is not None:
        writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))


def _add_tokenizer(writer: Any, folder: Path) -> None:
    stated = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    tokens = sorted(stated["vocab"], key=stated["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in _SPECIAL else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in stated["merges"]])
    writer.add_bos_token_id(0)
    writer.add_pad_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHAT)


def _state(model: Any, *, tied: bool) -> Iterator[tuple[str, np.ndarray]]:
    for name, weights in model.state_dict().items():
        if not (tied and name == "lm_head.weight"):
            yield name, weights.float().numpy()


def _packed(weights: np.ndarray, kind: Any) -> tuple[np.ndarray, torch.Tensor]:
    """Numbers as the file keeps them, and what they are worth."""
    if kind == gguf.GGMLQuantizationType.F32 or weights.ndim != 2 or weights.shape[-1] % 32:
        return weights, torch.from_numpy(weights.copy())
    packed = gguf.quants.quantize(weights, kind)
    return packed, torch.from_numpy(gguf.quants.dequantize(packed, kind).astype(np.float32))


def _stored(name: str, config: Any, architecture: str) -> Iterator[tuple[str, Any]]:
    """llama.cpp's names of a tensor, and what becomes of its rows; one of ours may be several of theirs."""
    base, _, suffix = name.rpartition(".")
    if suffix not in {"weight", "bias"}:
        base, suffix = name, ""
    block = base.split("layers.")[-1].split(".")[0]
    if base.endswith("experts.gate_up_proj"):
        half = config.moe_intermediate_size
        yield f"blk.{block}.ffn_gate_exps.weight", lambda rows: rows[:, :half]
        yield f"blk.{block}.ffn_up_exps.weight", lambda rows: rows[:, half:]
        return
    if base.endswith("experts.down_proj"):
        yield f"blk.{block}.ffn_down_exps.weight", lambda rows: rows
        return
    number = next(number for number, name_of in gguf.MODEL_ARCH_NAMES.items() if name_of == architecture)
    known = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    stored = known.get_name(base) or known.get_name(base.removeprefix("transformer."))
    assert stored is not None, f"{name} has no place in a file of {architecture}"
    yield stored + (f".{suffix}" if suffix else ""), lambda rows: _arranged(name, rows, config)


def _arranged(name: str, rows: np.ndarray, config: Any) -> np.ndarray:
    """What the converter of llama.cpp does to some tensors, each undone by transformers."""
    kind = config.model_type
    if kind == "llama" and ("q_proj" in name or "k_proj" in name):
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        return rows.reshape(heads, 2, len(rows) // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)
    if kind in {"gemma2", "gemma3_text", "nemotron"} and name.endswith("norm.weight"):
        return rows + 1
    if kind == "bloom" and "query_key_value" in name:
        by_head = rows.reshape(config.num_attention_heads, 3, -1, *rows.shape[1:])
        return by_head.swapaxes(0, 1).reshape(rows.shape)
    if name.endswith("A_log"):
        return -np.exp(rows)
    if name.endswith(("conv1d.weight", "conv.conv.weight")):
        return rows.squeeze(1)
    return rows.squeeze(0) if name.endswith("shared_expert_gate.weight") else rows
