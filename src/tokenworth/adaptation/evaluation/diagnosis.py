"""What training did to the backbone: the assessment's scores before and after, and the spectra of its updates."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from torch import nn

import tokenworth.adaptation.evaluation.update_spectra as spectra
from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.route_settings import TRAINED
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.adaptation.storage.adapt_result import Diagnosis
from tokenworth.assessment import Assessment, assess
from tokenworth.backbones import Backbone
from tokenworth.backbones.twins import retokenised, with_model

SCORES = ("ntps", "ntps_chance", "retained_auc", "k90", "ar_r2", "hscore", "logme", "probe_accuracy", "probe_f1")


def diagnose(job: Job, fitted: Fitted) -> Diagnosis:
    """Scores of every layer before and after, side by side, and how the weights moved; empty for frozen backbones.

    The training texts' labels were learnt, so scores on them rise by memory as well; probe_accuracy and probe_f1 are
    on test texts.
    """
    if job.route not in TRAINED:
        return {}
    predictor = fitted.predictor
    assert isinstance(predictor, TunedPredictor), "the trained routes end in one"
    after = adapted_backbone(predictor, f"{job.route} {job.seed} {fitted.training['losses'][-1]}")
    before = _before(job, predictor)
    scores = {"before": _scores(job, before), "after": _scores(job, after)}
    return {
        "layers": _side_by_side(scores),
        "best_layer": {when: assessment.best_layer for when, assessment in scores.items()},
        "updates": spectra.compare(before.model, after.model),
    }


def adapted_backbone(predictor: TunedPredictor, fact: str) -> Backbone:
    """The backbone as it is after training, adapters merged into a copy of the weights."""
    if predictor.adapter is None:
        model: nn.Module = predictor.classifier.model
    else:
        model = copy.deepcopy(predictor.adapter).merge_and_unload()
    return with_model(predictor.backbone, model.eval(), fact)


def _before(job: Job, predictor: TunedPredictor) -> Backbone:
    if job.route == "scratch" and job.config.tokenizer == "retrained":
        return retokenised(job.backbone(random=True, dtype="float32"), predictor.backbone.tokenizer, job.seed)
    return job.backbone(random=job.route == "scratch", dtype=str(predictor.backbone.dtype).removeprefix("torch."))


def _scores(job: Job, backbone: Backbone) -> Assessment:
    task = replace(job.task, train=job.train)
    return assess(backbone, task, max_length=job.config.max_length, seed=job.seed, cache=False)


def _side_by_side(scores: dict[str, Assessment]) -> list[dict[str, Any]]:
    rows = zip(scores["before"].layers, scores["after"].layers, strict=True)
    return [
        {"layer": first["layer"]}
        | {f"{name}_before": first.get(name) for name in SCORES}
        | {f"{name}_after": second.get(name) for name in SCORES}
        for first, second in rows
    ]
