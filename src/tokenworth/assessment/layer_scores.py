"""Scores and ridge probe of one layer, from the features on disk and the context moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenworth.assessment.assessment_settings import AssessSettings
from tokenworth.base.aliases import Ints
from tokenworth.errors import EncodeError
from tokenworth.probes import RidgeProbe, nearest_labels, ridge_probe, vote
from tokenworth.probes.label_kinds import f1_of, metrics_of, right
from tokenworth.scores import PooledMoments
from tokenworth.scores.layer import LayerScores
from tokenworth.scores.layer_statistics import Value
from tokenworth.scores.pooled import add_up
from tokenworth.scores.ridge_folds import groups_pay
from tokenworth.scores.whitening import unit_scale
from tokenworth.tasks import Task


@dataclass(frozen=True, eq=False, slots=True)
class Labels:
    """The labels of a task in every form a layer needs; the same for all layers."""

    train_N: Tensor
    """Class, or number of the label set."""
    test_M: Ints
    """Class (M,), or 0 and 1 of several labels (M, C)."""
    folds_N: Tensor
    shuffled_BN: Tensor
    n_classes: int
    """Classes, or label sets."""
    sets_LC: Tensor | None = None
    """Which labels each set holds, where texts may have several."""

    def of(self, number_N: Tensor) -> Tensor:
        """Classes as they are, or the 0 and 1 (N, C) of sets."""
        return number_N if self.sets_LC is None else self.sets_LC[number_N].long()


def numbered(labels: Ints, n_classes: int) -> tuple[Ints, int, Tensor | None]:
    """Classes as they are; of several labels a text (N, C) the number of each text's set, how many sets there are, and
    which labels each holds.
    """
    if labels.ndim == 1:
        return labels, n_classes, None
    sets_LC, set_N = np.unique(labels, axis=0, return_inverse=True)
    return set_N.reshape(-1), len(sets_LC), torch.from_numpy(sets_LC).to(torch.float64)


def prepare_labels(task: Task, folds_N: Ints, settings: AssessSettings) -> Labels:
    """Labels, folds and seeded shuffles of the training labels."""
    train_N, n_classes, sets_LC = numbered(task.train.labels, task.n_classes)
    rng = np.random.default_rng(settings.seed)
    shuffled_BN = torch.empty(settings.shuffles, len(train_N), dtype=torch.int64)
    for row_N in shuffled_BN:
        row_N[:] = torch.from_numpy(rng.permutation(train_N))
    train, folds = torch.from_numpy(train_N), torch.from_numpy(folds_N)
    return Labels(train, task.test.labels, folds, shuffled_BN, n_classes, sets_LC)


def pooled_scale(features_ND: Tensor) -> Tensor:
    """Standard deviation of each coordinate of pooled texts (D,), for where no pairs of tokens tell it."""
    wide_ND = features_ND.to(torch.float64)
    variance_D = wide_ND.var(0, correction=0)
    return unit_scale(variance_D, variance_D + wide_ND.mean(0).square())


@dataclass(frozen=True, eq=False, slots=True)
class LayerMoments:
    """Pooled moments of one layer."""

    total: PooledMoments
    groups: list[PooledMoments]
    """Of each fold."""
    shuffled: list[PooledMoments]
    """Of all texts under each shuffle of the labels; what is found of `total` serves them too."""
    rows: list[Tensor] = field(default_factory=list)
    """Pooled texts (N_g, D) of each fold."""
    labels: list[Tensor] | None = None
    """Of the same texts (N_g,); None of sets, which no class-wise update knows."""


def layer_moments(features_ND: Tensor, labels: Labels) -> LayerMoments:
    """Pooled moments of all texts, of each fold, and of all texts under each shuffle of the labels.

    Raises EncodeError: pooled texts that are infinite.
    """
    wide_ND = _wide(features_ND)
    shift_D = wide_ND.mean(0)
    folds = [labels.folds_N == fold for fold in range(int(labels.folds_N.max()) + 1)]
    of_fold = [labels.train_N[rows_N] for rows_N in folds]
    groups = [_moments(wide_ND[rows_N], each_N, labels, shift_D) for rows_N, each_N in zip(folds, of_fold, strict=True)]
    moments = _with_shuffles(add_up(groups), groups, wide_ND, labels)
    of_classes = None if labels.sets_LC is not None else of_fold
    return replace(moments, rows=[features_ND[rows_N] for rows_N in folds], labels=of_classes)


def probe_moments(features_ND: Tensor, labels: Labels) -> LayerMoments:
    """The same without the folds where a ridge probe does not ask for them.

    Raises EncodeError: pooled texts that are infinite.
    """
    if groups_pay(*features_ND.shape):
        return layer_moments(features_ND, labels)
    wide_ND = _wide(features_ND)
    return _with_shuffles(_moments(wide_ND, labels.train_N, labels, wide_ND.mean(0)), [], wide_ND, labels)


def _wide(features_ND: Tensor) -> Tensor:
    if not torch.isfinite(features_ND).all():
        raise EncodeError(
            "the sum of a text's states is beyond float32 at a layer, so they cannot be pooled; check the weights of "
            "the model, or leave the layer out (--layers)"
        )
    return features_ND.to(torch.float64)


def _moments(wide_ND: Tensor, labels_N: Tensor, labels: Labels, shift_D: Tensor) -> PooledMoments:
    empty = PooledMoments(wide_ND.shape[1], labels.n_classes, shift_D=shift_D, sets_LC=labels.sets_LC)
    return empty.update(wide_ND, labels_N)


def _with_shuffles(total: PooledMoments, groups: list[PooledMoments], wide_ND: Tensor, labels: Labels) -> LayerMoments:
    total = total.with_texts(wide_ND)
    counts_C = torch.bincount(labels.train_N, minlength=labels.n_classes).to(torch.float64)
    none_CD = torch.zeros(labels.n_classes, wide_ND.shape[1], dtype=torch.float64)
    sums = (none_CD.index_add(0, shuffled_N, wide_ND).T for shuffled_N in labels.shuffled_BN)
    return LayerMoments(total, groups, [total.relabel(zy_DC, counts_C) for zy_DC in sums])


def score_row(layer: int, scores: LayerScores) -> dict[str, Any]:
    """The closed-form scores of a layer as columns."""
    row: dict[str, Any] = {"layer": layer}
    always = ("ntps", "retained_auc", "k90", "ar_r2", "hscore", "logme")
    for name, value in {**dict.fromkeys(always, Value(float("nan"))), **scores.values}.items():
        row |= columns(name, value)
    return row


def columns(name: str, value: Value) -> dict[str, float]:
    """One score as its four columns."""
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high, f"{name}_chance": value.chance}


def layer_probe(train_ND: Tensor, test_MD: Tensor, moments: LayerMoments, labels: Labels) -> RidgeProbe:
    """Ridge probe of pooled texts, on all training texts, without each fold, and under shuffled labels."""
    return ridge_probe(
        train_ND,
        labels.train_N,
        labels.folds_N,
        test_MD,
        total=moments.total,
        groups=moments.groups,
        shuffled=moments.shuffled,
    )


def probe_columns(probe: RidgeProbe, labels: Labels) -> dict[str, float]:
    """A ridge probe's figures on test texts and on the training texts it did not see."""
    train_N, test_M, n_classes = labels.train_N, labels.test_M, labels.n_classes
    row = _measured("probe", test_M, probe.test_M, n_classes, list(probe.shuffled_BM))
    chance_f1 = [f1_of(test_M, predicted_M.numpy(), n_classes) for predicted_M in probe.shuffled_BM]
    row["probe_f1_chance"] = float(np.mean(chance_f1 or [np.nan]))
    row |= _measured("cv", labels.of(train_N).numpy(), probe.crossfit_N, n_classes)
    return row | {"cv_loss": float(probe.loss_N.mean()), "penalty": probe.penalty}


def neighbour_columns(train_ND: Tensor, test_MD: Tensor, labels: Labels) -> dict[str, float]:
    """What the votes of the nearest training texts say of the test texts; of several labels a text they vote by set."""
    nearest, similarity = nearest_labels(train_ND, test_MD)
    voted_M, *shuffled = (
        labels.of(vote(each_N, nearest, similarity, labels.n_classes))
        for each_N in (labels.train_N, *labels.shuffled_BN)
    )
    return _measured("knn", labels.test_M, voted_M, labels.n_classes, shuffled)


def _measured(
    name: str, true_N: Ints, predicted_N: Tensor, n_classes: int, shuffled: Sequence[Tensor] = ()
) -> dict[str, float]:
    """Columns of accuracy and F1; the chance level is the mean accuracy of predictions after shuffled labels."""
    metrics = metrics_of(true_N, predicted_N.numpy(), n_classes)
    chance = float(np.mean([right(true_N, other_N.numpy()).mean() for other_N in shuffled])) if shuffled else math.nan
    accuracy = Value(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high, chance)
    f1 = Value(metrics.f1, metrics.f1_low, metrics.f1_high)
    return columns(f"{name}_accuracy", accuracy) | columns(f"{name}_f1", f1)
