"""A base model with the weights of its files; every tensor it asks for has to be there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.config import base_class, without_pooler
from tokenworth.backbones.files import Source
from tokenworth.backbones.weights import weight_files
from tokenworth.errors import BackboneError, first_line

DeviceMap = str | dict[str, Any] | None
"""None for one device, "auto", or places by module name."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How weights are read."""

    source: Source
    config: Any
    dtype: torch.dtype
    safe: bool
    device_map: DeviceMap

    def into(self, model_class: Any) -> tuple[Any, list[str]]:
        """The model, and the tensors it wanted in vain (transformers fills them with random numbers)."""
        try:
            model, report = model_class.from_pretrained(
                self.source.folder,
                config=self.config,
                dtype=self.dtype,
                use_safetensors=self.safe,
                local_files_only=True,
                output_loading_info=True,
                device_map=self.device_map,
                **without_pooler(model_class),
            )
        except Exception as error:  # a damaged file fails in whichever library reads it
            raise BackboneError(
                f"the weights of {self.source} cannot be loaded ({first_line(error)}); fetch them again"
            ) from error
        return model, sorted(key for key in report["missing_keys"] if "pooler" not in key)


def pretrained_model(
    source: Source, config: Any, dtype: torch.dtype, *, allow_pickle: bool, device_map: DeviceMap, lm_head: bool = False
) -> tuple[nn.Module, list[Path]]:
    """The base model (or the language model, its head included) with its weights, and the files they came from.

    Raises:
        BackboneError: weights are missing, damaged or not those of this configuration.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    files, safe = weight_files(source, allow_pickle=allow_pickle)
    reading = _Reading(source, config, dtype, safe, device_map)
    if lm_head:
        model, missing = reading.into(causal_class(config, str(source)))
        if missing:
            raise BackboneError(
                f"the weights of {source} lack {len(missing)} tensors of a language model ({', '.join(missing[:3])}), "
                "so it cannot be prompted; bring a checkpoint with its language-model head"
            )
        return model, files
    model, missing = reading.into(base_class(config))
    if missing and config.get_text_config().tie_word_embeddings and type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        # Tied embeddings may be stored once only, under the head's name, which the base model alone does not look for.
        whole, still_missing = replace(reading, device_map=None).into(MODEL_FOR_CAUSAL_LM_MAPPING[type(config)])
        if not still_missing:
            model, missing = whole.base_model, []
    if missing:
        raise BackboneError(
            f"the weights of {source} lack {len(missing)} tensors that config.json asks for "
            f"({', '.join(missing[:3])}{', ...' if missing[3:] else ''}); fetch files of one and the same model"
        )
    return model, files


def causal_class(config: Any, name: str) -> Any:
    """The class of the language model that predicts next tokens.

    Raises:
        BackboneError: there is none for this kind of model, or the model is an encoder.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise BackboneError(f"{name} ({config.model_type}) predicts no next tokens, so it cannot be prompted")
    return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
