"""A trained classifier as a plain transformers checkpoint, where the architecture's own class computes the same."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenworth.adaptation.routes.tuned_predictor import TextClassifier, TunedPredictor
from tokenworth.adaptation.storage.saved_classifier import Classifier
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.base.atomic_files import writing
from tokenworth.errors import AdaptError

_EQUAL = 1e-3
"""Relative difference of logits up to which two networks are the same."""
_SAMPLES = ("A short text.", "Another one, which is somewhat longer than the first.", "x")


def export_classifier(classifier: Classifier, folder: str | Path) -> float:
    """Write a checkpoint that AutoModelForSequenceClassification loads; returns the relative difference of its logits.

    transformers' decoders read the last token and have a head without intercept: the classifier must have been trained
    with `pooling: last` and `head_bias: false`.  Weights are written in float32 and compared in it, whatever format the
    route computed in: rounding to bfloat16 would hide a difference, and lose small updates of the weights.

    Raises AdaptError: the route trains no network, the architecture has no such class, or it computes something else.
    """
    predictor = classifier.predictor
    if not isinstance(predictor, TunedPredictor):
        raise AdaptError("only the routes lora, full and scratch train a network that can be exported")
    with quiet_transformers():
        wide = _in_float32(predictor)
        wanted = torch.from_numpy(wide.scores(list(_SAMPLES)))  # before adapters are merged into the same weights
        model = _sequence_classifier(wide, classifier)
        apart = _difference(wide, model, wanted)
        if not apart < _EQUAL:
            raise AdaptError(
                f"{type(model).__name__} gives other logits than the classifier (relative difference {apart:.2g}); "
                f"{_advice(predictor, classifier)}"
            )
        if classifier.thresholds is not None:
            model.config.problem_type = "multi_label_classification"
        with writing(folder) as place:
            model.save_pretrained(place)
            predictor.backbone.tokenizer.save_pretrained(place)
    return apart


def _sequence_classifier(predictor: TunedPredictor, classifier: Classifier) -> Any:
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as CLASSES

    adapter = predictor.adapter
    base: Any = predictor.classifier.model if adapter is None else adapter.merge_and_unload()
    config = copy.deepcopy(base.config)
    if type(config) not in CLASSES:
        raise AdaptError(f"transformers has no sequence classifier for {config.model_type}")
    config.num_labels = len(classifier.label_names)
    config.id2label = dict(enumerate(classifier.label_names))
    config.label2id = {name: place for place, name in enumerate(classifier.label_names)}
    config.get_text_config().pad_token_id = predictor.backbone.pad_id
    config.dtype = torch.float32  # the base may have been loaded in another
    model = CLASSES[type(config)](config).eval()
    named = (getattr(model, name, None) for name in ("score", "classifier"))
    head = next((module for module in named if isinstance(module, nn.Linear)), None)
    learned = predictor.classifier.head
    if head is None or head.weight.shape != learned.weight.shape or (learned.bias is not None and head.bias is None):
        advice = _advice(predictor, classifier)
        raise AdaptError(f"the head of {type(model).__name__} has not the form of this classifier's; {advice}")
    model.base_model.load_state_dict(base.state_dict(), strict=False)
    with torch.no_grad():
        head.weight.copy_(learned.weight)
        if head.bias is not None:
            head.bias.copy_(learned.bias) if learned.bias is not None else head.bias.zero_()
    return model


def _advice(predictor: TunedPredictor, classifier: Classifier) -> str:
    """What would make an export possible: another head, if the architecture's class computes it, or nothing."""
    network = predictor.classifier
    config: Any = network.model.config
    if network.pooling != "last" or network.head.bias is not None:
        backbone, n_classes = replace(predictor.backbone, model=network.model), network.head.out_features
        plain = TextClassifier(backbone, n_classes, pooling="last", dropout=0.0, bias=False, seed=0)
        trial = _in_float32(replace(predictor, classifier=plain.eval()))
        wanted = torch.from_numpy(trial.scores(list(_SAMPLES)))
        with suppress(AdaptError):
            if _difference(trial, _sequence_classifier(trial, classifier), wanted) < _EQUAL:
                return "train with pooling: last and head_bias: false, which it computes too"
    return (
        f"transformers' class for {config.model_type} has a head of another kind, so no setting of ours "
        "gives one that it could hold; keep the folder that adapt wrote, which tokenworth predict and load_classifier "
        "read"
    )


def _in_float32(predictor: TunedPredictor) -> TunedPredictor:
    """The same network in float32: a copy where its weights would change, by a cast or by merging."""
    network, adapter = predictor.classifier, predictor.adapter
    if adapter is not None or any(weights.dtype != torch.float32 for weights in network.parameters()):
        network, adapter = copy.deepcopy((network, adapter))
        network.float()
    return replace(predictor, classifier=network, adapter=adapter, dtype=torch.float32)


def _difference(predictor: TunedPredictor, model: Any, wanted: torch.Tensor) -> float:
    """Of the model's logits on the same few texts, one at a time."""
    model.to(predictor.backbone.device)
    ids = [predictor.backbone.tokenizer(text, return_tensors="pt", verbose=False)["input_ids"] for text in _SAMPLES]
    with torch.inference_mode():
        logits = torch.cat([model(input_ids=row.to(predictor.backbone.device)).logits.double().cpu() for row in ids])
    return float((logits - wanted).norm() / wanted.norm().clamp(min=1e-12))
