"""Scores and ridge probe of one layer, from the features on disk and the context moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.assessment.assessment_settings import AssessSettings
from tokenworth.errors import EncodeError
from tokenworth.probes import RidgeProbe, evaluate, nearest_labels, ridge_probe, vote
from tokenworth.probes.metrics import Counts, weighted_f1
from tokenworth.scores import PooledMoments
from tokenworth.scores.layer import LayerScores
from tokenworth.scores.layer_statistics import Value
from tokenworth.scores.pooled import add_up
from tokenworth.tasks import Task


@dataclass(frozen=True, eq=False, slots=True)
class Labels:
    """The labels of a task in every form a layer needs; the same for all layers."""

    train_N: Tensor
    test_M: Counts
    folds_N: Tensor
    shuffled_BN: Tensor
    n_classes: int


def prepare_labels(task: Task, folds_N: Counts, settings: AssessSettings) -> Labels:
    """Labels, folds and seeded shuffles of the training labels."""
    train = torch.from_numpy(task.train.labels)
    rng = np.random.default_rng(settings.seed)
    shuffled = [torch.from_numpy(rng.permutation(task.train.labels)) for _ in range(settings.shuffles)]
    stacked = torch.stack(shuffled) if shuffled else torch.empty(0, len(train), dtype=torch.int64)
    return Labels(train, task.test.labels, torch.from_numpy(folds_N), stacked, task.n_classes)


@dataclass(frozen=True, eq=False, slots=True)
class LayerMoments:
    """Pooled moments of one layer."""

    total: PooledMoments
    groups: list[PooledMoments]
    """Of each fold."""
    shuffled: list[PooledMoments]
    """Of all texts under each shuffle of the labels; what is found of `total` serves them too."""
    rows: list[Tensor]
    """Pooled texts (N_g, D) of each fold."""


def layer_moments(features_ND: Tensor, labels: Labels) -> LayerMoments:
    """Pooled moments of all texts, of each fold, and of all texts under each shuffle of the labels.

    Raises:
        EncodeError: pooled texts that are infinite.
    """
    if not torch.isfinite(features_ND).all():
        raise EncodeError(
            "the sum of a text's states is beyond float32 at a layer, so they cannot be pooled; check the weights of "
            "the model, or leave the layer out (--layers)"
        )
    wide_ND = features_ND.to(torch.float64)
    shift_D, width = wide_ND.mean(0), features_ND.shape[1]
    folds = [labels.folds_N == fold for fold in range(int(labels.folds_N.max()) + 1)]
    groups = [
        PooledMoments(width, labels.n_classes, shift_D=shift_D).update(wide_ND[own_N], labels.train_N[own_N])
        for own_N in folds
    ]
    total = add_up(groups)
    counts = torch.bincount(labels.train_N, minlength=labels.n_classes).to(torch.float64)
    shuffled = []
    for shuffled_N in labels.shuffled_BN:
        per_class_CD = torch.zeros(labels.n_classes, wide_ND.shape[1], dtype=torch.float64)
        shuffled.append(total.relabel(per_class_CD.index_add(0, shuffled_N, wide_ND).T, counts))
    return LayerMoments(total, groups, shuffled, [features_ND[own_N] for own_N in folds])


def score_row(layer: int, scores: LayerScores) -> dict[str, Any]:
    """The closed-form scores of a layer as columns."""
    row: dict[str, Any] = {"layer": layer}
    for name in ("ntps", "retained_auc", "k90", "ar_r2", "hscore", "logme"):
        row |= columns(name, scores.values.get(name, Value(float("nan"))))
    for name, value in scores.values.items():
        row |= columns(name, value)
    return row


def columns(name: str, value: Value) -> dict[str, float]:
    """One score as its four columns."""
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high, f"{name}_chance": value.chance}


def probe_layer(
    train_ND: Tensor, test_MD: Tensor, moments: LayerMoments, labels: Labels
) -> tuple[RidgeProbe, dict[str, float]]:
    """Ridge probe and nearest neighbours of a layer, as columns with intervals and chance levels."""
    probe = ridge_probe(
        train_ND,
        labels.train_N,
        labels.folds_N,
        test_MD,
        groups=moments.groups,
        shuffled=moments.shuffled,
        total=moments.total,
    )
    chance = [(prediction.numpy() == labels.test_M).mean() for prediction in probe.shuffled_BM]
    chance_f1 = [weighted_f1(labels.test_M, row.numpy(), labels.n_classes) for row in probe.shuffled_BM]
    row = _measured("probe", labels.test_M, probe.test_M, labels.n_classes, float(np.mean(chance or [np.nan])))
    row["probe_f1_chance"] = float(np.mean(chance_f1 or [np.nan]))
    cv = _measured("cv", labels.train_N.numpy(), probe.crossfit_N, labels.n_classes)
    row |= cv | {"cv_loss": float(probe.loss_N.mean()), "penalty": probe.penalty}
    nearest, similarity = nearest_labels(train_ND, test_MD)
    voted = vote(labels.train_N, nearest, similarity, labels.n_classes)
    by_chance = [
        float((vote(other, nearest, similarity, labels.n_classes).numpy() == labels.test_M).mean())
        for other in labels.shuffled_BN
    ]
    return probe, row | _measured("knn", labels.test_M, voted, labels.n_classes, float(np.mean(by_chance or [np.nan])))


def _measured(
    name: str, true_N: Counts, predicted_N: Tensor, n_classes: int, chance: float = float("nan")
) -> dict[str, float]:
    metrics = evaluate(true_N, predicted_N.numpy(), n_classes)
    return columns(
        f"{name}_accuracy", Value(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high, chance)
    ) | columns(f"{name}_f1", Value(metrics.f1, metrics.f1_low, metrics.f1_high))
