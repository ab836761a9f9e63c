"""LoRA adapters beside a base model: merged into its weights, W + (alpha / rank) B A, before anything is computed.

Source: Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenworth.backbones.loading.configuration_check import read_stated, shorten
from tokenworth.backbones.loading.size_check import outline_of
from tokenworth.backbones.loading.sources import ADAPTER, ADAPTER_WEIGHTS, Source
from tokenworth.backbones.loading.text_model import whole_class
from tokenworth.backbones.loading.weight_files import check_safetensors, is_pickle_allowed, stored_sizes
from tokenworth.errors import BackboneError, first_line

_PREFIX = "base_model.model."
_PARTS = re.compile(r"\.(lora_\w+)(\.|$)")


def adapter_files(source: Source, *, allow_pickle: bool = False) -> list[Path]:
    """Settings and weights of an adapter; [] for a folder that holds a model of its own.
    Raises BackboneError: the weights are missing, damaged, or a pickle without the flag.
    """
    if source.base is None:
        return []
    source.fetch(ADAPTER_WEIGHTS[:1])
    safe, pickled = (source.folder / name for name in ADAPTER_WEIGHTS)
    if safe.is_file():
        check_safetensors(safe)
        return [source.folder / ADAPTER, safe]
    if is_pickle_allowed(allow_pickle):
        source.fetch(ADAPTER_WEIGHTS[1:])
    if not pickled.is_file():
        raise BackboneError(f"{source} is an adapter without weights; put {ADAPTER_WEIGHTS[0]} into {source.folder}")
    if not is_pickle_allowed(allow_pickle):
        raise BackboneError(
            f"{source} has its adapter only as {pickled.name}, a pickle file, which can run code when it is read; "
            f"pass --allow-pickle if you trust it, or bring {ADAPTER_WEIGHTS[0]}"
        )
    return [source.folder / ADAPTER, pickled]


def adapted_class(source: Source, config: Any, weights: Path) -> Any:
    """The class whose module names are those the adapter was trained on: with a head or without.
    Raises BackboneError: it is no LoRA adapter, or fits no class of this base.
    """
    kind = read_stated(source.folder / ADAPTER).get("peft_type")
    if kind != "LORA":
        raise BackboneError(
            f"{source} is an adapter of the kind {shorten(str(kind))}; only LoRA can be merged into its base here, "
            "so merge it with peft and give the merged folder"
        )
    paths = {path for path, part in (_place(name) for name in _names(weights)) if part}
    for model_class in _classes(config):
        there = {name for name, _ in outline_of(model_class, config).named_modules()}
        if paths and paths <= there:
            return model_class
    example = next(iter(sorted(paths)), "no linear map")
    raise BackboneError(
        f"the adapter {source} changes {example}, which its base {source.base} does not have; correct "
        f"base_model_name_or_path in {source.folder / ADAPTER}"
    )


def merged(model: Any, source: Source, weights: Path) -> Any:
    """The model with the adapter in its weights; heads that the adapter brings for its own task are left out.
    Raises BackboneError: the adapter does not fit, or leaves numbers that are not finite.
    """
    from peft import PeftConfig, PeftModel

    try:
        settings = PeftConfig.from_pretrained(str(source.folder))
        settings.task_type = None
        there = {name.rpartition(".")[2] for name, _ in model.named_modules()}
        kept = [name for name in settings.modules_to_save or () if name.rpartition(".")[2] in there]
        settings.modules_to_save = kept or None
        adapted = PeftModel.from_pretrained(model, source.folder, config=settings)
        _check_used(adapted, _names(weights))
        return adapted.merge_and_unload(safe_merge=True)
    except BackboneError:
        raise
    except Exception as error:  # peft and torch each have their own
        raise BackboneError(
            f"the adapter {source} does not fit its base {source.base} ({first_line(error)}); bring the base it was "
            "trained on, or fetch the adapter again"
        ) from error


def _check_used(adapted: Any, names: list[str]) -> None:
    """Every tensor of a map that the model has must have been taken, and none be missing."""
    from peft import get_peft_model_state_dict

    there = {name for name, _ in adapted.base_model.model.named_modules()}
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    taken = {name for name in names if _place(name)[1] or _place(name)[0] in there}
    strange = sorted((wanted - taken) | {name for name in taken - wanted if _place(name)[1]})
    if strange:
        raise ValueError(f"{len(strange)} tensors have no counterpart, such as {strange[0]}")


def _names(weights: Path) -> list[str]:
    if weights.suffix == ".safetensors":
        return list(stored_sizes([weights]))
    from peft.utils import load_peft_weights

    try:
        return list(load_peft_weights(str(weights.parent), device="cpu"))
    except Exception as error:  # pickles fail in many ways
        raise BackboneError(f"{weights} cannot be loaded ({first_line(error)}); fetch it again") from error


def _place(name: str) -> tuple[str, str]:
    """The module an adapter's tensor belongs to, and which part of LoRA it is ("" for a module saved whole)."""
    path = name.removeprefix(_PREFIX)
    part = _PARTS.search(path)
    return (path[: part.start()], part.group(1)) if part else (path.rpartition(".")[0], "")


def _classes(config: Any) -> Iterator[Any]:
    """The base model first, then those with heads."""
    import transformers

    yield whole_class(config)
    for task in ("CAUSAL_LM", "MASKED_LM", "SEQ_TO_SEQ_CAUSAL_LM", "SEQUENCE_CLASSIFICATION"):
        mapping = getattr(transformers, f"MODEL_FOR_{task}_MAPPING")
        if type(config) in mapping:
            yield mapping[type(config)]
