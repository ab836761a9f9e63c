"""LoRA's intruder dimensions made smaller after training, and what that does to the task and to the language model.

An intruder dimension (`diagnosis`) is thought to go with forgetting.  peft shrinks each to three quarters (its lambda)
and puts what is left into A and B of the same rank.  F1 and loss of next tokens are measured on the test texts before
and after; nothing is chosen by them.

Source: Shuttleworth et al. (2024), LoRA vs Full Fine-tuning: An Illusion of Equivalence; peft.tuners.lora.intruders.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from math import isnan
from typing import Any

import torch
from torch import Tensor

from tokenworth.adaptation.evaluation.diagnosis import STRONGEST, left_directions, unlike
from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.predictor import with_prefix
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.backbones import Backbone
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.encode.text_loss import text_loss
from tokenworth.errors import BackboneError, SettingError, first_line
from tokenworth.probes.label_set_metrics import value_of_scores

_NAME = "reduced"


def reduce_intruders(job: Job, fitted: Fitted) -> Fitted:
    """The route's result with reduced intruder dimensions, and what changed among its facts (`intruders`).

    Raises SettingError: peft cannot reduce them, as of variants of LoRA.
    """
    predictor = fitted.predictor
    assert isinstance(predictor, TunedPredictor), "the settings ask for LoRA"
    layers = lora_layers(predictor.adapter)
    directions = [left_directions(_base(layer)) for layer in layers]
    with_head = _with_head(job)
    base_loss = _text_loss(job, with_head)
    before = _measured(job, predictor, with_head) | {"intruders": _count(layers, directions)}
    try:
        reduce_adapter(predictor.adapter)
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise SettingError(f"peft cannot reduce intruder dimensions of this LoRA ({first_line(error)})") from error
    after = _measured(job, predictor, with_head) | {"intruders": _count(layers, directions)}
    looked_at = sum(min(STRONGEST, directions_EE.shape[1]) for directions_EE in directions)
    facts = {"before": before, "after": after, "looked_at": looked_at, "text_loss_of_the_backbone": base_loss}
    sentence = _sentence(job.config.metric, before, after, looked_at, base_loss)
    return replace(fitted, facts={**fitted.facts, "intruders": facts}, notes=(*fitted.notes, sentence))


def lora_layers(adapter: Any) -> list[Any]:
    """peft's layers with A and B, in the model's order."""
    from peft.tuners.lora.layer import LoraLayer

    return [module for module in adapter.modules() if isinstance(module, LoraLayer)]


def reduce_adapter(adapter: Any) -> None:
    """Reduce the intruder dimensions of the one adapter there is, in place."""
    reduce: Any = import_module("peft.tuners.lora.intruders").reduce_intruder_dimension
    (name,) = adapter.peft_config
    with quiet_transformers(), torch.random.fork_rng(devices=[]), torch.no_grad():
        reduce(adapter, name, _NAME, logging_sink=None)
        for layer in lora_layers(adapter):
            for part in (layer.lora_A, layer.lora_B):
                part[name].weight.copy_(part[_NAME].weight)
        adapter.set_adapter(name)
        adapter.delete_adapter(_NAME)


def _base(layer: Any) -> Tensor:
    weights: Tensor = layer.get_base_layer().weight.detach()
    return weights


def _count(layers: list[Any], directions: list[Tensor]) -> int:
    """Intruder dimensions of all maps."""
    with torch.no_grad():
        return sum(
            unlike(old_EE, _base(layer).double() + layer.get_delta_weight(layer.active_adapters[0]).double())
            for layer, old_EE in zip(layers, directions, strict=True)
        )


def _measured(job: Job, predictor: TunedPredictor, with_head: Backbone | None) -> dict[str, Any]:
    """The metric, and nats a token, on test texts."""
    test, metric = job.task.test, job.config.metric
    scores_NC = predictor.scores(test.texts)
    adapted = None if with_head is None else replace(with_head, model=predictor.classifier.model)
    loss = _text_loss(job, adapted)
    return {metric: value_of_scores(metric, test.labels, scores_NC), "text_loss": loss}


def _with_head(job: Job) -> Backbone | None:
    """The backbone as it was; None where no language-model head comes with it."""
    try:
        return job.backbone(lm_head=True)
    except BackboneError:
        return None


def _text_loss(job: Job, backbone: Backbone | None) -> float | None:
    """Nats a token of test texts; None where the model predicts no next tokens."""
    if backbone is None:
        return None
    texts = with_prefix(job.task.test.texts, job.config.prefix)
    found = text_loss(backbone, texts, max_length=job.config.max_length, seed=job.seed)["nll"]
    return None if isnan(found) else float(found)


def _sentence(metric: str, before: dict[str, Any], after: dict[str, Any], looked_at: int, base: float | None) -> str:
    words = metric.replace("_", " ")
    said = (
        f"Reducing LoRA's intruder dimensions left {after['intruders']:,} of {before['intruders']:,} among the "
        f"{looked_at:,} strongest directions; {words} on test texts went from {before[metric]:.3f} to "
        f"{after[metric]:.3f}"
    )
    if base is None:
        return f"{said}; its weights predict no next tokens."
    losses = f"{before['text_loss']:.3f} to {after['text_loss']:.3f} nats a token"
    return f"{said}, the loss of their next tokens from {losses} (the backbone alone: {base:.3f})."
