"""Backbones without weights: models on the meta device, where a tensor has a shape and no memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.accounting.account import Account, account
from tokenworth.backbones.accounting.shape_pass import Shapes
from tokenworth.backbones.catalog import find_published
from tokenworth.backbones.loading.configuration_class import published_config, read_config
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.size_check import outline_of
from tokenworth.backbones.loading.sources import find_source, is_local
from tokenworth.backbones.loading.text_model import body_of, whole_class
from tokenworth.base.keywords import known_keywords
from tokenworth.errors import BackboneError, first_line


def meta_model(config: Any) -> nn.Module:
    """What of a configuration's model reads a text: weights are shapes only, whole numbers (of positions) are real.
    Raises BackboneError: the configuration describes no model.
    """
    with Shapes():
        model: nn.Module = body_of(outline_of(whole_class(config), config))
    return model.eval()


def meta_named(name: str) -> nn.Module:
    """The base model of a published name, hub id or folder, shapes only.  Raises BackboneError: it is not found."""
    return meta_model(_config_of(name)[1])


def _config_of(name: str) -> tuple[str, Any]:
    """The printed name of a published model, else the name itself, and the configuration."""
    entry = None if is_local(name) else find_published(name)
    return (entry.name, published_config(entry)) if entry else (name, read_config(find_source(name)))


@known_keywords
def account_of(name: str, *, context: int = 128) -> Account:
    """Count a backbone by name: published name, hub id or folder; nothing but its configuration is read.
    Raises BackboneError: it is not found, or cannot be counted.
    """
    printed, config = _config_of(name)
    words = f"{type(config).__name__} {config.to_json_string(use_diff=False)}"
    try:
        return replace(_account(_Described(words, config), context), name=printed)
    except BackboneError:
        raise
    except Exception as error:  # a value that no constructor looked at is met in the forward pass
        raise BackboneError(
            f"{name} does not run on a short text ({first_line(error)}); check that config.json fits the model"
        ) from error


@dataclass(frozen=True, slots=True)
class _Described:
    """A configuration, the same as another that says the same."""

    words: str
    config: Any = field(compare=False)


@lru_cache(maxsize=64)
def _account(described: _Described, context: int) -> Account:
    """Counting takes seconds for a large model, and commands ask more than once."""
    with quiet_transformers():
        counted = account(meta_model(described.config), "", context=context)
    return replace(counted, with_head=_with_head(described.config, counted))


def _with_head(config: Any, counted: Account) -> int:
    """Parameters of the causal language model; an encoder has no such head."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if not counted.causal or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return counted.parameters
    with torch.device("meta"):
        model: nn.Module = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
    model.tie_weights()  # type: ignore[operator]
    return sum(weights.numel() for weights in model.parameters())
