"""Configurations: read from a folder or taken from the catalog, and the class of base model that goes with one."""

from __future__ import annotations

import inspect
from typing import Any

from tokenworth.backbones.architectures import register_architectures
from tokenworth.backbones.catalog import Published
from tokenworth.backbones.loading.configuration_check import (
    check_sizes,
    check_stated,
    not_understood,
    read_stated,
    shorten,
)
from tokenworth.backbones.loading.gguf_file import gguf_config
from tokenworth.backbones.loading.sources import Source
from tokenworth.errors import BackboneError


def published_config(entry: Published) -> Any:
    """The transformers configuration of a published backbone."""
    from transformers import CONFIG_MAPPING

    register_architectures()
    return CONFIG_MAPPING[entry.config["model_type"]].from_dict(dict(entry.config))


def base_class(config: Any) -> Any:
    """The class of the base model; of several the first, as AutoModel does."""
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING

    is_pair = getattr(type(config), "is_encoder_decoder", False)  # the architecture, whatever part the folder holds
    if is_pair and not config.is_encoder_decoder and type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return MODEL_FOR_TEXT_ENCODING_MAPPING[type(config)]
    classes = MODEL_MAPPING[type(config)]
    return classes[0] if isinstance(classes, tuple) else classes


def without_pooler(model_class: Any) -> dict[str, bool]:
    """A pooling layer is a head: it is on no path to a hidden state."""
    takes = "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def read_config(source: Source) -> Any:
    """The configuration (of an adapter its base's), if it describes a model that transformers itself knows.
    Raises BackboneError: it cannot be read, has values of the wrong type or size, or needs code of its own.
    """
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING

    register_architectures()
    source = source.base or source
    config = _stated_config(source) if source.gguf is None else gguf_config(source.gguf)
    if type(config) not in MODEL_MAPPING:
        raise BackboneError(
            f"{source} is of the kind {config.model_type}, for which transformers has no model without a head"
        )
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        config.is_encoder_decoder = False  # of such a pair the encoder has a class of its own (T5EncoderModel)
    return config


def _stated_config(source: Source) -> Any:
    """What config.json says."""
    from transformers import CONFIG_MAPPING, AutoConfig

    path = source.folder / "config.json"
    stated = read_stated(path)
    kind = stated.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise BackboneError(_unknown_kind(source, kind, "auto_map" in stated))
    check_stated(path, stated)
    try:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
        check_sizes(path, config)
    except BackboneError:
        raise
    except Exception as error:  # a wrong value comes to light wherever a constructor meets it
        raise not_understood(path, error) from error
    return config


def _unknown_kind(source: Source, kind: Any, brings_code: bool) -> str:
    if brings_code:
        return (
            f"{source} (model_type {kind!r}) needs Python code that comes with it, which is never run; "
            "choose a model that transformers itself implements"
        )
    if kind is None:
        return f"config.json of {source} names no model_type, so it is no transformers model; fetch it again"
    return (
        f"{source} has the model_type {shorten(repr(kind))}, which the installed transformers does not know; "
        "try a newer version"
    )
