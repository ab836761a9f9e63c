"""Models of a run: made new, loaded to go on from, and saved as plain transformers checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenworth.backbones.architectures import register_architectures
from tokenworth.backbones.loading.configuration_class import read_config
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.sources import find_source
from tokenworth.backbones.loading.weights import pretrained_model
from tokenworth.base.atomic_files import whole_folder
from tokenworth.base.machine import free_memory
from tokenworth.errors import PretrainError, SettingError
from tokenworth.pretraining.pretraining_settings import ModelConfig, TrainingConfig
from tokenworth.pretraining.ring_attention import RING, register

_ROUNDING = 32  # of the inner width: products of odd sizes are slower


def new_model(model: ModelConfig, training: TrainingConfig, tokenizer: Any, seed: int) -> Any:
    """A decoder with its first weights; the global random state is left as it was.

    Raises:
        SettingError: sizes that do not fit together.
    """
    from tokenworth.backbones.architectures.decoder.configuration import DecoderConfig
    from tokenworth.backbones.architectures.decoder.modeling import DecoderForCausalLM

    register_architectures()  # it is saved and read again through the Auto classes
    inner = model.inner_width or -(-8 * model.width // 3 // _ROUNDING) * _ROUNDING
    try:
        config = DecoderConfig(
            vocab_size=len(tokenizer),
            hidden_size=model.width,
            intermediate_size=inner,
            num_hidden_layers=model.layers,
            num_attention_heads=model.heads,
            num_key_value_heads=model.kv_heads,
            max_position_embeddings=training.context,
            normalisation=model.normalisation,
            norm_place=model.norm_place,
            feed_forward=model.feed_forward,
            bias=model.bias,
            positions=model.positions,
            rope_theta=model.rope_base,
            num_local_experts=model.experts,
            num_experts_per_tok=model.experts_per_token,
            router_aux_loss_coef=model.balance,
            initializer_range=model.init_std or model.width**-0.5,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            tie_word_embeddings=model.tied,
        )
    except ValueError as error:
        raise SettingError(f"the model cannot be built: {error}") from error
    _check_memory(model, len(tokenizer), inner)
    config._attn_implementation = _attention(training)
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.default_generator.manual_seed(seed)
        return DecoderForCausalLM(config)


def _check_memory(model: ModelConfig, vocabulary: int, inner: int) -> None:
    """Matrices alone, in float32: gradients and optimiser take three times as much again."""
    keys = model.width // model.heads * (model.kv_heads or model.heads)
    feed_forward = (3 if model.feed_forward == "swiglu" else 2) * model.width * inner * max(1, model.experts)
    block = 2 * model.width * (model.width + keys) + feed_forward
    weights = model.layers * block + vocabulary * model.width * (1 if model.tied else 2)
    needed, free = 4 * weights, free_memory()
    if needed > free:
        raise SettingError(
            f"a model of these sizes has {weights:,} weights, which take {needed / 1e9:,.1f} GB where "
            f"{free / 1e9:,.1f} GB are free; lower layers, width, experts or the vocabulary"
        )


def load_model(folder: str, training: TrainingConfig) -> Any:
    """The causal language model of a folder, to go on from; safetensors only, in float32.

    Raises:
        BackboneError: it is no checkpoint that transformers or this package knows.
        SettingError: it reads less than the context asked for.
    """
    source = find_source(folder, None)
    config = read_config(source)
    reads = getattr(config, "max_position_embeddings", None)
    if reads is not None and reads < training.context:
        raise SettingError(
            f"{folder} reads {reads} tokens, less than the context of {training.context}; extend it first with "
            f"'tokenworth extend', or lower the context"
        )
    config._attn_implementation = _attention(training)
    with quiet_transformers():
        model, _ = pretrained_model(source, config, torch.float32, allow_pickle=False, device_map=None, lm_head=True)
    return model


def _attention(training: TrainingConfig) -> str:
    if not training.ring:
        return "sdpa"
    register()
    return RING


def publish(model: Any, weights: dict[str, Tensor], tokenizer: Any, place: Path) -> None:
    """Save a model as a plain transformers folder with its tokenizer; it is there whole or not at all.

    What computes as Llama or Mixtral is saved as one, so that it loads anywhere.  The model gives class and
    configuration, `weights` are its state, whole and on the CPU.

    Raises:
        PretrainError: it cannot be written.
    """
    from transformers import AutoModelForCausalLM

    config = model.config.standard() if getattr(model.config, "is_standard", False) else model.config
    remedy = "make room and run the same command again: it goes on from the last checkpoint"
    with whole_folder(place, f"the checkpoint {place.name}", remedy, PretrainError) as part, quiet_transformers():
        with torch.device("meta"):
            published = AutoModelForCausalLM.from_config(config)
        published.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
        published.tie_weights()
        published.config.dtype = torch.float32
        published.save_pretrained(part)
        tokenizer.save_pretrained(part)


def samples(folder: Path, prompts: tuple[str, ...], *, tokens: int = 60, seed: int = 0) -> list[dict[str, str]]:
    """What a saved model writes after each prompt: drawn at temperature 0.8 from the 50 likeliest pieces."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not prompts:
        return []
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        end, most = tokenizer.eos_token_id, model.config.max_position_embeddings
        written = []
        for prompt in prompts:
            ids = torch.tensor([[end, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]])
            continued = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                temperature=0.8,
                top_k=50,
                pad_token_id=end,
                max_new_tokens=max(1, min(tokens, most - ids.shape[1])),
            )
            text = tokenizer.decode(continued[0, ids.shape[1] :], skip_special_tokens=True)
            written.append({"prompt": prompt, "continuation": text})
    return written
