"""Configurations: read from a folder or taken from the catalog, and the class of base model that goes with one."""

from __future__ import annotations

import inspect
import json
from typing import Any

from tokenworth.backbones.catalog import Published
from tokenworth.backbones.decoder import register as register_decoder
from tokenworth.backbones.files import Source
from tokenworth.backbones.openelm import register as register_openelm
from tokenworth.errors import BackboneError, first_line


def published_config(entry: Published) -> Any:
    """The transformers configuration of a published backbone."""
    from transformers import CONFIG_MAPPING

    register_openelm()
    return CONFIG_MAPPING[entry.config["model_type"]].from_dict(dict(entry.config))


def base_class(config: Any) -> Any:
    """The class of the base model; of several the first, as AutoModel does."""
    from transformers import MODEL_MAPPING

    found = MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, tuple) else found


def without_pooler(model_class: Any) -> dict[str, bool]:
    """A pooling layer is a head: it is on no path to a hidden state."""
    takes = "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def read_config(source: Source) -> Any:
    """The configuration, if it describes a text model with one stack of blocks that transformers itself knows."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig

    register_openelm()
    register_decoder()
    path = source.folder / "config.json"
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        kind = stated.get("model_type")
    except (ValueError, AttributeError) as error:
        raise BackboneError(f"{path} cannot be read as JSON ({error}); fetch it again") from error
    if kind not in CONFIG_MAPPING:
        raise BackboneError(_unknown_kind(source, kind, "auto_map" in stated))
    try:
        config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackboneError(f"{path} is not understood ({first_line(error)}); fetch it again") from error
    if config.is_encoder_decoder:
        raise BackboneError(f"{source} is an encoder-decoder model ({kind}); only decoders and encoders are supported")
    if type(config) not in MODEL_MAPPING:
        raise BackboneError(f"{source} is of the kind {kind}, for which transformers has no model without a head")
    return config


def _unknown_kind(source: Source, kind: str | None, brings_code: bool) -> str:
    if brings_code:
        return (
            f"{source} (model_type {kind!r}) needs Python code that comes with it, which is never run; "
            "choose a model that transformers itself implements"
        )
    return f"{source} has the model_type {kind!r}, which the installed transformers does not know; try a newer version"
