"""Loading a backbone: files, configuration, tokenizer, weights, structure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tokenworth.backbones.backbone import Backbone
from tokenworth.backbones.loading.adapter import adapter_files
from tokenworth.backbones.loading.assembly import Parts, parts_of
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.backbones.loading.text_model import body_of, text_model
from tokenworth.backbones.loading.weight_files import weight_files
from tokenworth.backbones.loading.weights import pretrained_model
from tokenworth.backbones.model_choice import BackboneCall
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.backbones.structure.language_head import LanguageHead
from tokenworth.backbones.twins import random_model
from tokenworth.base.devices import dtype_name, resolve_device, resolve_dtype
from tokenworth.errors import BackboneError, first_line
from tokenworth.settings.signatures import keywords_of

_NARROW = frozenset({torch.bfloat16, torch.float16})


@keywords_of(BackboneCall)
def load_backbone(call: BackboneCall) -> Backbone:
    """Load a causal language model or an encoder without its head.

    Raises:
        BackboneError: the model or its tokenizer is missing, incomplete, damaged or of a kind that is not supported.
        SettingError: device, dtype or revision is not understood.
    """
    return _load(call)


def _load(call: BackboneCall) -> Backbone:
    name, place = call.name, resolve_device(call.device)
    precision = resolve_dtype(call.dtype, place)
    base, is_random = _split(name)
    with quiet_transformers():
        parts = parts_of(base, is_random=is_random, revision=call.revision, tokenizer=call.tokenizer, seed=call.seed)
        model: Any = _place(text_model(_model(call, parts, precision)), place, call.device_map, name).eval()
        try:
            head = LanguageHead(model) if call.lm_head else None
            backbone = parts.assemble(name, head.body if head else model, place, random=is_random)
        except BackboneError as error:
            if precision not in _NARROW or call.device_map is not None:
                raise
            try:  # what keeps it from running whatever its number format goes first
                parts.assemble(name, (body_of(model) if call.lm_head else model).float(), place, random=True)
            except BackboneError as failure:
                raise failure from error
            if call.dtype != "auto":
                raise BackboneError(
                    f"{name} does not run in {dtype_name(precision)}; choose --dtype float32"
                ) from error
        else:
            return _with_head(backbone, head) if head else backbone
    del model
    wide = _load(replace(call, dtype="float32"))
    note = f"{type(wide.model).__name__} does not run in {dtype_name(precision)}, so it is computed in float32."
    return replace(wide, notes=(*wide.notes, note))


def _model(call: BackboneCall, parts: Parts, dtype: torch.dtype) -> Any:
    """The model on the device it was made on; the files of its weights become parts of it."""
    if parts.source is None or call.name.endswith(RANDOM_SUFFIX):
        return random_model(parts.config, dtype, call.seed, lm_head=call.lm_head)
    pickles, device_map, lm_head = call.allow_pickle, call.device_map, call.lm_head
    model, weights = pretrained_model(
        parts.source, parts.config, dtype, allow_pickle=pickles, device_map=device_map, lm_head=lm_head
    )
    parts.files += weights
    return model


def _place(model: nn.Module, place: torch.device, device_map: str | dict[str, Any] | None, name: str) -> nn.Module:
    """The model on its device; already there where it was loaded by a map."""
    if hasattr(model, "hf_device_map"):
        return model
    try:
        return model.to(place) if device_map is None else _spread(model, device_map)
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        raise BackboneError(
            f"{name} does not fit into the memory of {place}; choose --dtype bfloat16, --device-map auto, which uses "
            "all devices and main memory, or --shard under torchrun"
        ) from error


def _spread(model: Any, device_map: str | dict[str, Any]) -> nn.Module:
    from accelerate import dispatch_model, infer_auto_device_map

    if isinstance(device_map, str):
        device_map = infer_auto_device_map(model, no_split_module_classes=list(model._no_split_modules or ()))
    try:
        spread: nn.Module = dispatch_model(model, device_map)
    except ValueError as error:  # weights that were never in a file cannot be left in it
        raise BackboneError(
            f"random weights can be spread over devices and memory, not to the disk ({first_line(error)})"
        ) from error
    return spread


def identity(
    name: str, *, seed: int = 0, revision: str | None = None, tokenizer: str | None = None, allow_pickle: bool = False
) -> str:
    """The fingerprint `load_backbone` would give, without loading: files are read, no model is made.
    Raises BackboneError: as `load_backbone`, as far as files show it.
    """
    base, is_random = _split(name)
    with quiet_transformers():
        parts = parts_of(base, is_random=is_random, revision=revision, tokenizer=tokenizer, seed=seed)
    if not is_random:
        assert parts.source is not None, "only random weights need no files"
        parts.files += weight_files(parts.source.base or parts.source, allow_pickle=allow_pickle)[0]
        parts.files += adapter_files(parts.source, allow_pickle=allow_pickle)
    return parts.fingerprint()


def _with_head(backbone: Backbone, head: LanguageHead) -> Backbone:
    if not backbone.causal:
        raise BackboneError(
            f"{backbone.name} sees the tokens ahead, so it predicts no next ones and cannot be prompted"
        )
    head.check(backbone.name)
    return replace(backbone, lm_head=head)


def _split(name: str) -> tuple[str, bool]:
    return name.removesuffix(RANDOM_SUFFIX), name.endswith(RANDOM_SUFFIX)
