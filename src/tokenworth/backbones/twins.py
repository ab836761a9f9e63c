"""Twins of a backbone: its shape with other weights, random, adapted or changed since it was loaded."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.backbone import Backbone
from tokenworth.backbones.loading.assembly import Parts, fingerprint
from tokenworth.backbones.loading.configuration_class import without_pooler
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.size_check import check_memory, outline_of
from tokenworth.backbones.loading.text_model import body_of, causal_class, whole_class
from tokenworth.backbones.structure.structure import Structure, examine
from tokenworth.errors import BackboneError


def random_model(config: Any, dtype: torch.dtype, seed: int, *, lm_head: bool = False) -> nn.Module:
    """Random weights, drawn in float32 on the CPU so that every device and dtype starts from the same ones."""
    model_class = causal_class(config, config.model_type) if lm_head else whole_class(config)
    check_memory(outline_of(model_class, config), config.name_or_path or f"a {config.model_type} model")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: nn.Module = model_class(config, **without_pooler(model_class))
    model = model if lm_head else body_of(model)
    for parameter in model.parameters():  # not model.to(dtype): it rounds the rotary frequencies, which loading keeps
        parameter.data = parameter.data.to(dtype)
    return model


def retokenised(backbone: Backbone, tokenizer: Any, seed: int) -> Backbone:
    """A twin with random weights for another tokenizer: the embedding has a row for each of its tokens."""
    config: Any = deepcopy(backbone.model.config)
    text_config = config.get_text_config()
    text_config.vocab_size = len(tokenizer)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(text_config, name, getattr(tokenizer, name))
    facts = (config.to_json_string(), tokenizer_facts(tokenizer), f"random, seed {seed}")
    parts = Parts(config, tokenizer, None, f"{backbone.source}, tokenizer retrained", [], facts, backbone.notes)
    with quiet_transformers():
        model = random_model(config, backbone.dtype, seed).to(backbone.device).eval()
        return parts.assemble(backbone.name, model, backbone.device, random=True)


def tokenizer_facts(tokenizer: Any) -> str:
    """What a tokenizer is, as text for a fingerprint."""
    return str(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else json.dumps(tokenizer.get_vocab())


def with_model(backbone: Backbone, model: nn.Module, fact: str) -> Backbone:
    """The backbone with another model of the same shape (adapted, say); `fact` tells its weights in the fingerprint."""
    identity = fingerprint([], backbone.fingerprint, fact)
    return replace(backbone, model=model, structure=_structure(backbone, model), fingerprint=identity)


def _structure(backbone: Backbone, model: nn.Module) -> Structure:
    n_embeddings, pad_id = backbone.structure.n_embeddings, backbone.pad_id
    return examine(model, n_embeddings, backbone.max_length, backbone.device, pad_id=pad_id)


def as_it_is_now(backbone: Backbone) -> Backbone:
    """The backbone, examined anew where blocks of its model were swapped or replaced since it was loaded.
    Raises BackboneError: the model has another number or width of layers now, or does not run.
    """
    blocks = backbone.structure.blocks
    lists = (tuple(module) for module in backbone.model.modules() if isinstance(module, nn.ModuleList))
    if blocks is None or blocks in lists:
        return backbone
    structure = _structure(backbone, backbone.model)
    now, before = (structure.n_layers, structure.width), (backbone.n_layers, backbone.width)
    if now != before:
        raise BackboneError(
            f"{backbone.name} was changed in memory: it has {now[0]} blocks of width {now[1]} and had {before[0]} of "
            f"width {before[1]} when it was loaded; save it and load the folder"
        )
    return replace(backbone, structure=structure, causal=structure.causal)
