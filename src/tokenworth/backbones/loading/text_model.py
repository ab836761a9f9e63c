"""Which part of a model reads a text: the base model, the encoder of a pair, or a decoder that left its pair."""

from __future__ import annotations

from typing import Any

from torch import nn

from tokenworth.backbones.loading.configuration_class import base_class
from tokenworth.backbones.loading.size_check import outline_of
from tokenworth.errors import BackboneError


def whole_class(config: Any) -> Any:
    """The class to build: the base model, or the language model of a decoder whose base class would build a pair."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)] if is_lone_decoder(config) else base_class(config)


def causal_class(config: Any, name: str) -> Any:
    """The class that predicts next tokens.  Raises BackboneError: this kind has none, or is the encoder of a pair."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if config.is_encoder_decoder:
        raise BackboneError(
            f"{name} is an encoder-decoder model, of which the encoder is read; it predicts no next tokens, so it "
            "cannot be prompted"
        )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise BackboneError(f"{name} ({config.model_type}) predicts no next tokens, so it cannot be prompted")
    return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]


def is_lone_decoder(config: Any) -> bool:
    """Whether it is the decoder of an architecture with an encoder, trained alone (BartForCausalLM)."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if not getattr(config, "is_decoder", False) or config.is_encoder_decoder:
        return False
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return False
    base = outline_of(base_class(config), config)
    return hasattr(base, "encoder") and hasattr(base, "decoder")


def body_of(model: Any) -> Any:
    """The stack within a model, of `whole_class` or of one with a head, that turns token ids into hidden states.
    Raises BackboneError: a pair whose encoder does not stand apart.
    """
    if model.config.is_encoder_decoder:
        body = model.get_encoder()
        if body is model or not hasattr(body, "config"):
            raise BackboneError(
                f"{type(model).__name__} is an encoder-decoder model whose encoder does not stand apart, so it cannot "
                "be a backbone; choose a decoder, an encoder, or a pair such as T5 or BART"
            )
        body.config.is_encoder_decoder = True  # T5's has a configuration of its own, from which twins are built
        return body
    return model.get_decoder() if is_lone_decoder(model.config) else model.base_model


def text_model(model: nn.Module) -> nn.Module:
    """The model, or the outermost one inside that embeds tokens (BART keeps its decoder in a wrapper)."""
    from transformers import PreTrainedModel

    for part in model.modules():
        if isinstance(part, PreTrainedModel) and _embeds_tokens(part):
            return part
    raise BackboneError(f"{type(model).__name__} does not embed tokens; only models of text are supported")


def _embeds_tokens(model: Any) -> bool:
    try:
        return isinstance(model.get_input_embeddings(), nn.Embedding)
    except (NotImplementedError, AttributeError):
        return False
