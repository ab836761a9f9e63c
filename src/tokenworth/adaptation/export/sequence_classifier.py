"""A trained classifier as a plain transformers checkpoint, where the architecture's own class computes the same."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tokenworth.adaptation.predictor import with_prefix
from tokenworth.adaptation.routes.tuned_predictor import TextClassifier, TunedPredictor
from tokenworth.adaptation.storage.saved_classifier import Classifier
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.base.atomic_files import writing
from tokenworth.errors import AdaptError

EQUAL = 1e-3
"""Relative difference of logits up to which two networks are the same."""
SAMPLES = ("A short text.", "Another one, which is somewhat longer than the first.", "x")


def export_classifier(classifier: Classifier, folder: str | Path) -> float:
    """Write a checkpoint that AutoModelForSequenceClassification loads; returns the relative difference of its logits.

    Raises AdaptError: as `sequence_classifier`.
    """
    model, apart = sequence_classifier(classifier)
    with quiet_transformers(), writing(folder) as place:
        model.save_pretrained(place)
        tuned(classifier).backbone.tokenizer.save_pretrained(place)
    return apart


def sequence_classifier(classifier: Classifier) -> tuple[Any, float]:
    """The classifier as its architecture's own class, float32, and the relative difference of its logits.

    transformers' decoders read the last token and have a head without intercept: the classifier must have been trained
    with `pooling: last` and `head_bias: false`.  Compared in float32, whatever format the route computed in: rounding
    to bfloat16 would hide a difference, and lose small updates of the weights.  Logits are divided by the temperature.

    Raises AdaptError: the route trains no network, the architecture has no such class, or it computes something else;
        or the classifier reads other parts of long texts than their beginning.
    """
    predictor = tuned(classifier)
    refuse_long(predictor)
    with quiet_transformers():
        wide = in_float32(predictor)
        wanted = torch.from_numpy(wide.scores(list(SAMPLES))) / classifier.temperature
        model = _sequence_classifier(wide, classifier)  # adapters are merged into the same weights
        apart = difference(wide, model, wanted)
    if not apart < EQUAL:
        raise AdaptError(
            f"{type(model).__name__} gives other logits than the classifier (relative difference {apart:.2g}); "
            f"{_advice(predictor, classifier)}"
        )
    if classifier.thresholds is not None:
        model.config.problem_type = "multi_label_classification"
    return model, apart


def tuned(classifier: Classifier) -> TunedPredictor:
    """The predictor of a route that trains a network.  Raises AdaptError: it is another's."""
    if not isinstance(classifier.predictor, TunedPredictor):
        raise AdaptError("only the routes lora, full, contrastive and scratch train a network that can be exported")
    return classifier.predictor


def refuse_long(predictor: TunedPredictor) -> None:
    """Raises AdaptError: it reads something else of long texts than their beginning."""
    if predictor.long != "first":
        raise AdaptError(
            "a plain checkpoint reads the beginning of long texts, and this classifier was trained with long "
            f"{predictor.long}; adapt with --long first for one"
        )


def empty_classifier(config: Any, classifier: Classifier) -> tuple[Any, str]:
    """The architecture's class with random weights, and the name of its head, which has the form of the classifier's.

    Raises AdaptError: there is no such class, or its head has another form.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as CLASSES

    predictor, config = tuned(classifier), copy.deepcopy(config)
    if type(config) not in CLASSES:
        raise AdaptError(f"transformers has no sequence classifier for {config.model_type}")
    config.num_labels = len(classifier.label_names)
    config.id2label = dict(enumerate(classifier.label_names))
    config.label2id = {name: place for place, name in enumerate(classifier.label_names)}
    config.get_text_config().pad_token_id = predictor.backbone.pad_id
    config.dtype = torch.float32  # the base may have been loaded in another
    model = CLASSES[type(config)](config).eval()
    name = next((name for name in ("score", "classifier") if isinstance(getattr(model, name, None), nn.Linear)), "")
    learned, head = predictor.classifier.head, getattr(model, name, None)
    if head is None or head.weight.shape != learned.weight.shape or (learned.bias is not None and head.bias is None):
        advice = _advice(predictor, classifier)
        raise AdaptError(f"the head of {type(model).__name__} has not the form of this classifier's; {advice}")
    return model, name


def fill_head(head: Any, learned: nn.Linear, temperature: float) -> None:
    """Write the classifier's head into another, divided by the temperature."""
    with torch.no_grad():
        head.weight.copy_(learned.weight / temperature)
        if head.bias is not None:
            head.bias.copy_(learned.bias / temperature) if learned.bias is not None else head.bias.zero_()


def _sequence_classifier(predictor: TunedPredictor, classifier: Classifier) -> Any:
    base: Any = predictor.merged()
    model, name = empty_classifier(base.config, replace(classifier, predictor=predictor))
    model.base_model.load_state_dict(base.state_dict(), strict=False)
    fill_head(getattr(model, name), predictor.classifier.head, classifier.temperature)
    return model


def _advice(predictor: TunedPredictor, classifier: Classifier) -> str:
    """What would make an export possible: another head, if the architecture's class computes it, or nothing."""
    network = predictor.classifier
    config: Any = network.model.config
    if network.pooling != "last" or network.head.bias is not None:
        backbone, n_classes = replace(predictor.backbone, model=network.model), network.head.out_features
        plain = TextClassifier(backbone, n_classes, pooling="last", dropout=0.0, bias=False, seed=0)
        trial = in_float32(replace(predictor, classifier=plain.eval()))
        wanted = torch.from_numpy(trial.scores(list(SAMPLES)))
        with suppress(AdaptError):
            plain_logits = replace(classifier, predictor=trial, temperature=1.0)
            if difference(trial, _sequence_classifier(trial, plain_logits), wanted) < EQUAL:
                return "train with pooling: last and head_bias: false, which it computes too"
    return (
        f"transformers' class for {config.model_type} has a head of another kind, so no setting of ours "
        "gives one that it could hold"
    )


def in_float32(predictor: TunedPredictor) -> TunedPredictor:
    """The same network in float32: a copy where its weights would change, by a cast or by merging."""
    network, adapter = predictor.classifier, predictor.adapter
    if adapter is not None or any(weights.dtype != torch.float32 for weights in network.parameters()):
        network, adapter = copy.deepcopy((network, adapter))
        network.float()
    return replace(predictor, classifier=network, adapter=adapter, dtype=torch.float32)


def difference(predictor: TunedPredictor, model: Any, wanted: torch.Tensor) -> float:
    """Of the model's logits on the same few texts, one at a time."""
    model.to(predictor.backbone.device)
    texts, tokenizer = with_prefix(list(SAMPLES), predictor.prefix), predictor.backbone.tokenizer
    ids = [tokenizer(text, return_tensors="pt", verbose=False)["input_ids"] for text in texts]
    with torch.inference_mode():
        logits = torch.cat([model(input_ids=row.to(predictor.backbone.device)).logits.double().cpu() for row in ids])
    return float((logits - wanted).norm() / wanted.norm().clamp(min=1e-12))
