"""Backbones without weights: models on the meta device, where a tensor has a shape and no memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.accounting import Account, account
from tokenworth.backbones.body import body_of, outline_of, whole_class
from tokenworth.backbones.catalog import find_published
from tokenworth.backbones.config import published_config, read_config
from tokenworth.backbones.files import find_source, is_local
from tokenworth.errors import BackboneError, first_line


def meta_model(config: Any) -> nn.Module:
    """What of a configuration's model reads a text, shapes only.

    Raises:
        BackboneError: the configuration describes no model.
    """
    model: nn.Module = body_of(outline_of(whole_class(config), config))
    return model.eval()


def meta_named(name: str) -> nn.Module:
    """The base model of a published name, hub id or folder, shapes only.

    Raises:
        BackboneError: it is not found.
    """
    return meta_model(_config_of(name))


def _config_of(name: str) -> Any:
    entry = None if is_local(name) else find_published(name)
    if entry is not None:
        return published_config(entry)
    source = find_source(name)
    return read_config(source.base or source)


def account_of(name: str, *, context: int = 128) -> Account:
    """Count a backbone by name: published name, hub id or folder; nothing but its configuration is read.

    Raises:
        BackboneError: it is not found, or cannot be counted.
    """
    entry = None if is_local(name) else find_published(name)
    config = _config_of(name)
    model = meta_model(config)
    try:
        found = account(model, entry.name if entry else name, context=context)
    except BackboneError:
        raise
    except Exception as error:  # a value that no constructor looked at is met in the forward pass
        raise BackboneError(
            f"{name} does not run on a short text ({first_line(error)}); check that config.json fits the model"
        ) from error
    return replace(found, with_head=_with_head(config, found))


def _with_head(config: Any, found: Account) -> int:
    """Parameters of the causal language model; an encoder has no such head."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if not found.causal or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return found.parameters
    with torch.device("meta"):
        model: nn.Module = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
    model.tie_weights()  # type: ignore[operator]
    return sum(weights.numel() for weights in model.parameters())
