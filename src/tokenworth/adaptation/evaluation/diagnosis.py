"""What training did to the backbone: the assessment's scores before and after, and the spectra of its updates.

An intruder dimension is a left singular vector among the strongest of the new matrix that resembles no left singular
vector of the old one: its largest cosine with any of them is below a threshold.
Source: Shuttleworth et al. (2024), LoRA vs Full Fine-tuning: An Illusion of Equivalence.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.route_settings import TRAINED
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.adaptation.storage.adapt_result import Diagnosis, Moved, Update
from tokenworth.assessment import assess
from tokenworth.backbones import Backbone, dtype_name
from tokenworth.backbones.twins import retokenised, with_model
from tokenworth.tasks import Task
from tokenworth.tasks.split import sample

SCORES = ("ntps", "ntps_chance", "retained_auc", "k90", "ar_r2", "hscore", "logme", "probe_accuracy", "probe_f1")
STRONGEST = 10
"""Singular vectors of the new matrix that are looked at."""
THRESHOLD = 0.5
MOST_TEXTS, MOST_TEST_TEXTS = 1000, 300
"""Training and test texts that both states of the backbone read: the same ones, so that differences are of pairs."""


def diagnose(job: Job, fitted: Fitted) -> Diagnosis:
    """Scores of every layer before and after, side by side, and how the weights moved; empty for frozen backbones.

    The training texts' labels were learnt, so scores on them rise by memory as well; probe_accuracy and probe_f1 are
    on test texts.
    """
    if job.route not in TRAINED:
        return {}
    predictor = fitted.predictor
    assert isinstance(predictor, TunedPredictor), "the trained routes end in one"
    fact = f"{job.route} {job.seed} {fitted.training['losses'][-1]}"
    model = replace(predictor, adapter=copy.deepcopy(predictor.adapter)).merged()  # into weights of its own
    after = with_model(predictor.backbone, model.eval(), fact)
    backbones = {"before": _before(job, predictor), "after": after}
    task, long = _part_of(job), job.config.read_of_long
    assert long != "chunks", "refused with the settings"
    scores = {
        when: assess(backbone, task, max_length=job.config.max_length, long=long, seed=job.seed, cache=False)
        for when, backbone in backbones.items()
    }
    layers: list[dict[str, Any]] = [{"layer": row["layer"]} for row in scores["before"].layers]
    for when, assessment in scores.items():
        for row, scored in zip(layers, assessment.layers, strict=True):
            row |= {f"{name}_{when}": scored.get(name) for name in SCORES}
    return {
        "layers": layers,
        "best_layer": {when: assessment.best_layer for when, assessment in scores.items()},
        "updates": updates(backbones["before"].model, after.model),
    }


def _part_of(job: Job) -> Task:
    """The training texts that were learnt from, and the test texts; of many a sample, by class."""
    train, test = job.train, job.task.test
    return replace(
        job.task,
        train=train.take(sample(train.labels, MOST_TEXTS, job.seed)),
        test=test.take(sample(test.labels, MOST_TEST_TEXTS, job.seed)),
    )


def _before(job: Job, predictor: TunedPredictor) -> Backbone:
    if job.route == "scratch" and job.config.tokenizer == "retrained":
        return retokenised(job.backbone(random=True, dtype="float32"), predictor.backbone.tokenizer, job.seed)
    return job.backbone(random=job.route == "scratch", dtype=dtype_name(predictor.backbone.dtype))


def updates(before: nn.Module, after: nn.Module) -> list[Update]:
    """One row a linear map: name, shape, relative size, effective rank of the update, intruder dimensions."""
    old, new = (
        {
            name: module.weight.detach()
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and min(module.weight.shape) > 1
        }
        for model in (before, after)
    )
    return [{"name": name, **compare_matrices(old[name], matrix)} for name, matrix in new.items() if name in old]


def compare_matrices(old: Tensor, new: Tensor, *, strongest: int = STRONGEST) -> Moved:
    """Of one pair of matrices (out, in)."""
    old, new = old.double(), new.double()
    update = new - old
    values = torch.linalg.svdvals(update)
    return {
        "shape": list(old.shape),
        "relative_size": float(update.norm() / old.norm().clamp(min=1e-300)),
        "effective_rank": effective_rank(values),
        "intruders": intruder_dimensions(old, new, strongest=strongest),
        "looked_at": min(strongest, *old.shape),
    }


def effective_rank(values_R: Tensor) -> float:
    """exp of the entropy of the singular values' shares; 0 where nothing moved.  Source: Roy and Vetterli (2007)."""
    total = values_R.sum()
    if not total > 0:
        return 0.0
    share_R = values_R / total
    return float(torch.special.entr(share_R).sum().exp())


def intruder_dimensions(old: Tensor, new: Tensor, *, strongest: int = STRONGEST, threshold: float = THRESHOLD) -> int:
    """How many of the strongest left singular vectors of `new` resemble none of `old`."""
    return unlike(left_directions(old), new, strongest=strongest, threshold=threshold)


def left_directions(matrix: Tensor) -> Tensor:
    """Left singular vectors (out, least of out and in) of a matrix (out, in), the strongest first."""
    return torch.linalg.svd(matrix.double(), full_matrices=False)[0]


def unlike(old_directions: Tensor, new: Tensor, *, strongest: int = STRONGEST, threshold: float = THRESHOLD) -> int:
    """The same count from the left singular vectors of the old matrix."""
    cosine = (old_directions.T @ left_directions(new)[:, :strongest]).abs().amax(0)
    return int((cosine < threshold).sum())
