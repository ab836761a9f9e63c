"""A LoRA adapter with its head as peft's sequence classifiers have it, which servers of adapters load.

    adapter_config.json, adapter_model.safetensors (A and B of every map, and the whole head), tokenizer/, perhaps base/

The head is one of `modules_to_save`.  vLLM takes such a head called score or classifier over a base that is a sequence
classifier with as many classes; base/ is one.  What was and was not tried is said in docs/routes.md.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenworth.adaptation.export.sequence_classifier import (
    EQUAL,
    SAMPLES,
    difference,
    empty_classifier,
    fill_head,
    in_float32,
    refuse_long,
    tuned,
)
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor, in_order
from tokenworth.adaptation.storage.saved_classifier import Classifier
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.errors import AdaptError

BASE = "base"


def write_adapter(classifier: Classifier, folder: Path, *, base: Path | None) -> str:
    """Write adapter and head; returns the base by the name that the adapter knows it by.

    Args:
        classifier: of the route lora.
        folder: where to write.
        base: also write the base as a sequence classifier with a head of zeros; the path it will lie under.  Where
            the base has no folder and no hub id that others can load, it must be given.

    Raises AdaptError: no adapter was trained, the architecture's class has another head, or computes something else.
    """
    predictor = adapted(classifier)
    refuse_long(predictor)
    name = str(base) if base is not None else _loadable(predictor)
    with quiet_transformers():
        wide = in_float32(predictor)
        wanted = torch.from_numpy(wide.scores(list(SAMPLES))) / classifier.temperature
        model, head = empty_classifier(wide.classifier.model.config, classifier)
        _load_base(model, wide)
        if base is not None:
            _write_base(model, head, predictor, folder / BASE)
        fill_head(getattr(model, head), wide.classifier.head, classifier.temperature)
        whole = _with_adapter(wide, model, head)
        apart = difference(wide, whole, wanted)
        if not apart < EQUAL:
            raise AdaptError(f"{type(model).__name__} gives other logits (relative difference {apart:.2g})")
        whole.peft_config["default"].base_model_name_or_path = name
        whole.peft_config["default"].revision = None if base is not None else (predictor.base or {}).get("revision")
        whole.save_pretrained(folder, safe_serialization=True)
        predictor.backbone.tokenizer.save_pretrained(folder / "tokenizer")
    in_order(folder / "adapter_config.json")
    return name


def adapted(classifier: Classifier) -> TunedPredictor:
    """The predictor of the route lora.  Raises AdaptError: it is another's."""
    predictor = classifier.predictor
    if not isinstance(predictor, TunedPredictor) or predictor.adapter is None:
        raise AdaptError("only the route lora trains an adapter; export this classifier with --format onnx")
    if predictor.tuning != "lora":
        raise AdaptError(
            f"--format peft writes LoRA for servers of adapters, and tuning {predictor.tuning} is none; its own folder "
            "model/adapter of the run is what peft reads, or choose another --format"
        )
    return tuned(classifier)


def _loadable(predictor: TunedPredictor) -> str:
    """A folder or hub id under which others find the base.  Raises AdaptError: it has none."""
    name, source = predictor.backbone.name, predictor.backbone.source.partition("@")[0]
    if Path(name).is_dir() and any(Path(name).glob("model*.safetensors*")):
        return str(Path(name).resolve())
    if not predictor.backbone.random and source.count("/") == 1 and not Path(source).exists():
        return source
    raise AdaptError(
        f"peft and vLLM cannot load {name} as a base (it is a GGUF file, or its weights are random); "
        "give --with-base to write it beside the adapter"
    )


def _load_base(model: Any, wide: TunedPredictor) -> None:
    """The base's own weights, without the adapter, into the class's model."""
    base: nn.Module = wide.classifier.model
    own = {name.replace(".base_layer.", "."): value for name, value in base.state_dict().items()}
    model.base_model.load_state_dict({name: value for name, value in own.items() if ".lora_" not in name}, strict=False)


def _write_base(model: Any, head: str, predictor: TunedPredictor, folder: Path) -> None:
    """A folder of the library in the number format that the base was loaded in; its head is zero."""
    alone = copy.deepcopy(model)
    for weights in getattr(alone, head).parameters():
        nn.init.zeros_(weights)
    alone.to(predictor.backbone.dtype).save_pretrained(folder)
    predictor.backbone.tokenizer.save_pretrained(folder)


def _with_adapter(wide: TunedPredictor, model: Any, head: str) -> Any:
    """The class's model under peft's wrapper with the classifier's A and B."""
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    start, settings = "base_model.model.", copy.deepcopy(wide.adapter.peft_config["default"])
    settings.task_type, settings.modules_to_save, settings.inference_mode = "SEQ_CLS", [head], True
    inner = f"{start}{model.base_model_prefix}."
    learned = get_peft_model_state_dict(wide.adapter)
    moved = {f"{inner}{name.removeprefix(start)}": value for name, value in learned.items()}
    heads = {f"{start}{head}.{name}": value for name, value in getattr(model, head).state_dict().items()}
    with torch.random.fork_rng(devices=[]):
        whole = get_peft_model(model, settings)
    if {name for name in get_peft_model_state_dict(whole) if ".lora_" in name} != set(moved):
        raise AdaptError(f"{type(model).__name__} carries LoRA on other maps than its base alone")
    set_peft_model_state_dict(whole, moved | heads)
    return whole.eval()
