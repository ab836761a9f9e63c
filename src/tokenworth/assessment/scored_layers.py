"""One layer after the other: read, scored, probed and let go; then layer and reading are chosen among all probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tokenworth.assessment.assessment_result import PoolingRow
from tokenworth.assessment.assessment_settings import AssessSettings
from tokenworth.assessment.layer_choice import Candidate, LayerChoice, choose_layer
from tokenworth.assessment.layer_scores import (
    Labels,
    layer_moments,
    layer_probe,
    neighbour_columns,
    pooled_scale,
    probe_columns,
    probe_moments,
    score_row,
)
from tokenworth.assessment.probe_search import losses_of, search
from tokenworth.base.layer_threads import side_by_side
from tokenworth.base.progress import StageClock
from tokenworth.features import Features
from tokenworth.probes import RidgeProbe
from tokenworth.probes.label_kinds import f1_of, right
from tokenworth.scores import ContextMoments
from tokenworth.scores.layer import LayerScores, score_layer
from tokenworth.tasks import Task


@dataclass(frozen=True, eq=False, slots=True)
class ScoredLayers:
    """Everything computed layer by layer."""

    rows: dict[int, dict[str, Any]]
    scores: dict[int, LayerScores]
    probes: dict[Candidate, RidgeProbe]
    choice: LayerChoice


def choice_facts(scored: ScoredLayers, task: Task, nested: float) -> dict[str, Any]:
    """Fields of an assessment that tell what was chosen and among what."""
    best = scored.choice.best
    return {
        "best_layer": best.layer,
        "best_pooling": best.reading.pooling,
        "best_states": best.reading.states,
        "best_layer_frequency": {str(layer): share for layer, share in scored.choice.frequency.items()},
        "poolings": _pooling_rows(scored.probes, task),
        "nested_accuracy": nested,
    }


def _pooling_rows(probes: dict[Candidate, RidgeProbe], task: Task) -> list[PoolingRow]:
    """How each candidate read the training texts it did not see, and the test texts, which nothing was chosen by."""
    return [
        {
            "layer": candidate.layer,
            "pooling": candidate.reading.pooling,
            "states": candidate.reading.states,
            "cv_loss": float(probe.loss_N.mean()),
            "cv_accuracy": float(right(task.train.labels, probe.crossfit_N.numpy()).mean()),
            "accuracy": float(right(task.test.labels, probe.test_M.numpy()).mean()),
            "f1": f1_of(task.test.labels, probe.test_M.numpy(), task.n_classes),
        }
        for candidate, probe in sorted(probes.items())
    ]


def score_layers(features: Features, labels: Labels, settings: AssessSettings, clock: StageClock) -> ScoredLayers:
    """Each layer's features are read, scored, probed and let go."""
    main, *_ = readings = features.settings.readings

    def work(layer: int) -> _OfLayer:
        return _score_layer(features, layer, labels, conventions=settings.conventions)

    def fit(candidate: Candidate) -> RidgeProbe:
        train_ND, test_MD = (torch.from_numpy(features.part(part, *candidate)) for part in ("train", "test"))
        return layer_probe(train_ND, test_MD, probe_moments(train_ND, labels), labels)

    with side_by_side(features.width) as each, clock.shared() as shares:
        layers = each(work, settings.layers)
        shares |= {part: sum(one.seconds[part] for one in layers) for part in ("scores", "probes")}
    with clock("probes"):
        probes = {Candidate(layer, main): one.probe for layer, one in zip(settings.layers, layers, strict=True)}
        probes = search(fit, settings.layers, readings, probes, width=features.width)
        choice = choose_layer(losses_of(probes), labels.folds_N.numpy())
        rows = {
            layer: one.row | probe_columns(probes[choice.of_layer(layer)], labels)
            for layer, one in zip(settings.layers, layers, strict=True)
        }
    scores = {layer: one.scores for layer, one in zip(settings.layers, layers, strict=True)}
    return ScoredLayers(rows, scores, probes, choice)


@dataclass(frozen=True, eq=False, slots=True)
class _OfLayer:
    """What one thread says of a layer."""

    scores: LayerScores
    probe: RidgeProbe
    row: dict[str, Any]
    seconds: dict[str, float]


def _score_layer(features: Features, layer: int, labels: Labels, *, conventions: bool) -> _OfLayer:
    clock = StageClock()
    with clock("scores"):
        context, train_ND, test_MD = layer_texts(features, layer)
        moments = layer_moments(train_ND, labels)
        scores = score_layer(
            context,
            moments.groups,
            moments.shuffled,
            conventions=conventions,
            total=moments.total,
            rows=moments.rows,
            labels=moments.labels,
            spectrum=False,
        )
    with clock("probes"):
        probe = layer_probe(train_ND, test_MD, moments, labels)
        row = score_row(layer, scores) | neighbour_columns(train_ND, test_MD, labels)
    return _OfLayer(scores, probe, row, clock.seconds())


def layer_texts(features: Features, layer: int) -> tuple[ContextMoments | None, torch.Tensor, torch.Tensor]:
    """Context moments and pooled texts of both parts in the coordinates that scores read.

    Of normalised states each coordinate is divided by its standard deviation over tokens: a few coordinates would
    decide about shrinkage and shares of variance otherwise.
    """
    context = features.context(layer)
    parts = [torch.from_numpy(features.part(part, layer)) for part in ("train", "test")]
    if features.settings.readings[0].states == "normalised":
        scale_D = pooled_scale(parts[0]) if context is None or not context.n_pairs else context.scale()
        context = context and context.divided(scale_D)
        parts = [part / scale_D.to(part) for part in parts]
    return context, parts[0], parts[1]
