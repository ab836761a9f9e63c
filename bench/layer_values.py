"""Every closed form of one layer, by the package and by brute force, for `real_states.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import brute_force as brute
from tokenworth import scores
from tokenworth.encode import pool
from tokenworth.probes import nearest_labels, ridge_probe, vote
from tokenworth.scores.curves import SHARE, log2_area, resolve_k
from tokenworth.scores.layer import score_layer
from tokenworth.scores.ntps import encoder_basis, overlap_curve
from tokenworth.scores.pooled import add_up
from tokenworth.scores.retained import readout
from tokenworth.scores.subspaces import autoregressive, perception

GROUPS, BATCH = 3, 32
Values = dict[str, float]


@dataclass(frozen=True)
class States:
    """Texts of one layer as a pass gives them, with their labels."""

    texts: list[Tensor]
    labels: Tensor
    n_classes: int

    def first(self, n: int) -> States:
        """The first n of them."""
        return States(self.texts[:n], self.labels[:n], self.n_classes)


def compare(states: States) -> tuple[float, float, dict[str, tuple[float, float, float]]]:
    """First token over the others, condition of C0, and each score by the package (twice) and by brute force."""
    features = torch.cat([pool(*padded([text])) for text in states.texts])
    folds = torch.arange(len(features)) % GROUPS
    given, exact = (context_of(states.texts, dtype) for dtype in (states.texts[0].dtype, torch.float64))
    groups = [
        scores.PooledMoments(features.shape[1], states.n_classes).update(
            features[folds == g], states.labels[folds == g]
        )
        for g in range(GROUPS)
    ]
    by_package = package_values(given, features, states.labels, folds, groups)
    in_float64 = context_values(exact, add_up(groups))
    condition, truth = brute_values(states, features, folds.numpy())
    values = {
        name: (by_package.get(name, math.nan), in_float64.get(name, by_package.get(name, math.nan)), truth[name])
        for name in truth
    }
    norms = [text.double().norm(dim=1) for text in states.texts]
    others = torch.cat([norm[1:] for norm in norms])
    ratio = float(torch.stack([norm[0] for norm in norms]).median() / others.median())
    return (
        ratio,
        condition,
        {name: three for name, three in values.items() if not math.isnan(three[0]) & math.isnan(three[2])},
    )


def padded(texts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """States (B, T, D) and mask (B, T)."""
    lengths = torch.tensor([len(text) for text in texts])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return torch.nn.utils.rnn.pad_sequence(texts, batch_first=True), mask


def context_of(texts: list[Tensor], dtype: torch.dtype) -> scores.ContextMoments:
    """Streamed in batches, as in a pass."""
    moments = scores.ContextMoments(texts[0].shape[1])
    for start in range(0, len(texts), BATCH):
        states, mask = padded(texts[start : start + BATCH])
        moments = moments.update(states.to(dtype), mask)
    return moments


def package_values(
    context: scores.ContextMoments, features: Tensor, labels: Tensor, folds: Tensor, groups: list[scores.PooledMoments]
) -> Values:
    """What an assessment reports of a layer, and the parts it does not print."""
    total = add_up(groups)
    layer = score_layer(
        context, groups, conventions=True, total=total, rows=[features[folds == g] for g in range(GROUPS)]
    )
    values = {name: value.value for name, value in layer.values.items()} | context_values(context, total)
    if len(features) <= total.dim + 1:
        values["retained_crossfit_auc"] = values.get("retained_auc", math.nan)
    probe = ridge_probe(features, labels, folds, features, total=total)
    known, asked = features[folds > 0], features[folds == 0]
    nearest, similarity = nearest_labels(known, asked)
    voted = vote(labels[folds > 0], nearest, similarity, total.n_classes)
    return values | {
        "gcv": scores.ridge(total).gcv,
        "log10_penalty": math.log10(probe.penalty),
        "crossfit_loss": float(probe.loss_N.mean()),
        "knn_accuracy": float((voted == labels[folds == 0]).double().mean()),
    }


def context_values(context: scores.ContextMoments, pooled: scores.PooledMoments) -> Values:
    """What depends on the context sums."""
    encoder, labels = autoregressive(context), perception(pooled)
    k, basis_DD = resolve_k(SHARE, context.dim), encoder_basis(encoder)
    gains = readout(encoder, pooled)
    lower, upper = scores.excess_loss_bounds(context, pooled, k)
    curve = overlap_curve(basis_DD, encoder.rank, torch.linalg.qr(labels.directions_Dr).Q)
    return {
        "ntps": float(curve[k - 1]),
        "ntps_auc": log2_area(curve),
        "ntps_weighted": float(overlap_curve(basis_DD, encoder.rank, labels.directions_Dr)[k - 1]),
        "ntps_published": scores.ntps(context, pooled, convention="published-code"),
        "retained_raw_auc": log2_area(gains.raw()),
        "retained_adjusted_auc": log2_area(gains.adjusted()),
        "ar_r2": float(encoder.eigenvalues_D[:k].sum() / encoder.next_energy),
        "excess_loss": float(gains.gains_D[-1] - gains.gains_D[k - 1]),
        "excess_loss_lower": lower,
        "excess_loss_upper": upper,
    }


def brute_values(states: States, features: Tensor, folds: np.ndarray) -> tuple[float, Values]:
    """The same from the definitions; the condition of C0 beside them."""
    texts, z_ND, labels = (
        [text.double().numpy() for text in states.texts],
        features.double().numpy(),
        states.labels.numpy(),
    )
    sample = brute.Labelled(z_ND, labels, states.n_classes)
    v_DD, energy_D, _, condition = brute.encoder(texts)
    k, penalty = resolve_k(SHARE, z_ND.shape[1]), sample.penalty()
    u_Dr = sample.directions(penalty if sample.rank < z_ND.shape[1] else 0.0)[0]
    curve = brute.overlap(v_DD, np.linalg.qr(u_Dr)[0])
    gains = sample.gains(v_DD)
    lower, upper = sample.bounds(v_DD, k)
    loss = sum(
        np.square(decision - np.eye(states.n_classes)[labels[out]]).sum()
        for out, decision in sample.crossfit_decisions(penalty, folds)
    )
    voted = brute.nearest_votes(z_ND[folds > 0], labels[folds > 0], z_ND[folds == 0], states.n_classes)
    values = {
        "ntps": curve[k - 1],
        "ntps_auc": brute.log2_area(curve),
        "ntps_weighted": brute.overlap(v_DD, u_Dr)[k - 1],
        "ntps_published": brute.published_code(texts, z_ND, np.eye(states.n_classes)[labels], SHARE),
        "retained_raw_auc": brute.log2_area(gains / gains[-1]),
        "ar_r2": energy_D[:k].sum(),
        "excess_loss": gains[-1] - gains[k - 1],
        "excess_loss_lower": lower,
        "excess_loss_upper": upper,
        "hscore": sample.hscore(),
        "logme": sample.logme(),
        "gcv": sample.gcv(penalty),
        "log10_penalty": math.log10(penalty),
        "crossfit_loss": loss / len(labels),
        "knn_accuracy": float((voted == labels[folds == 0]).mean()),
    }
    if len(labels) > z_ND.shape[1] + 1:
        values["retained_adjusted_auc"] = brute.log2_area(sample.adjusted(gains))
    else:
        values["retained_crossfit_auc"] = brute.log2_area(sample.crossfitted(v_DD, folds))
    return condition, {name: float(value) for name, value in values.items()}
