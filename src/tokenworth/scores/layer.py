"""All scores of one layer with intervals and chance levels: what the assessment asks of the closed forms.

Axes: D width, C classes, G groups, B shuffles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenworth.scores.context import ContextMoments
from tokenworth.scores.crossfit_retained import crossfit_retained
from tokenworth.scores.curves import SHARE, first_reaching, log2_area, resolve_k
from tokenworth.scores.frame import Frame, frame
from tokenworth.scores.layer_statistics import LOGME_INTERVAL_MAX_WIDTH, Sample, Statistics, TextGroup, Value
from tokenworth.scores.logme import INTERPOLATED, centred_spectrum, why_no_logme
from tokenworth.scores.logme_replicates import LogmeReplicates
from tokenworth.scores.pooled import PooledMoments, add_up
from tokenworth.scores.published_ntps import PublishedCode
from tokenworth.scores.retained import why_not_adjusted
from tokenworth.scores.ridge import raw_diagonal

SMALLEST = 1e-34
"""Mean square of states below which float32 products of them lose their digits."""


@dataclass(slots=True)
class LayerScores:
    """Scores by name, curves over k = 1 .. D by name, and the reasons why some mean nothing."""

    values: dict[str, Value] = field(default_factory=dict)
    curves: dict[str, Tensor] = field(default_factory=dict)
    spectra: dict[str, Tensor] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def score_layer(
    context: ContextMoments | None,
    groups: Sequence[PooledMoments],
    shuffled: Sequence[PooledMoments] = (),
    *,
    conventions: bool = False,
    total: PooledMoments | None = None,
    rows: Sequence[Tensor] | None = None,
    labels: Sequence[Tensor] | None = None,
    spectrum: bool = True,
) -> LayerScores:
    """Every closed form of one layer.

    Args:
        context: moments of prefixes and next states; None where the pooling changes the width.
        groups: pooled moments of disjoint groups of texts, at least two.
        shuffled: pooled moments of all texts under shuffled labels (`PooledMoments.relabel`).
        conventions: also NTPS in its weighted and published-code conventions, without intervals.
        total: the sum of the groups, if it is there: what is found of it is kept for others that ask.
        rows: the pooled texts (N_g, D) of each group, if they are there: replicates then cost less.
        labels: of each group (N_g,), beside the rows: those of LogME then cost a tenth.
        spectrum: also the eigenvalues of the pooled texts' covariance.

    Raises:
        ValueError: fewer than two groups, or moments that do not fit together.
    """
    if len(groups) < 2:
        raise ValueError(f"{len(groups)} group of texts; the jackknife leaves one of at least two out")
    total = add_up(groups) if total is None else total
    scores = LayerScores()
    if reason := _why_no_context(context, total):
        scores.reasons |= dict.fromkeys(("ntps", "retained_auc", "ar_r2"), reason)
        context = None
    known: Sequence[Tensor | None] = [None] * len(groups) if rows is None else rows
    truth: Sequence[Tensor | None] = [None] * len(groups) if labels is None else labels
    statistics = Statistics(
        fixed=frame(context, total) if context else None,
        published=PublishedCode.of(context, total) if conventions and context else None,
        replicates=_replicates(total, [] if rows is None or labels is None else rows),
    )
    sample = Sample(
        full=statistics.of(total),
        without=[statistics.without(total, TextGroup(*group)) for group in zip(groups, known, truth, strict=True)],
        shuffled=[statistics.of(other) for other in shuffled],
    )
    _add_transfer(scores, sample, total)
    if spectrum:
        scores.spectra["pooled"] = pooled_spectrum(total)
    if (fixed := statistics.fixed) is not None:
        _add_autoregressive(scores, fixed)
        _add_ntps(scores, sample, fixed, total)
        _add_retained(scores, sample, fixed, total)
        if total.n_texts <= fixed.full.rank + 1:
            _add_crossfit(scores, fixed, groups, total, known)
    return scores


def _replicates(total: PooledMoments, rows: Sequence[Tensor]) -> LogmeReplicates | None:
    if not rows or not total.n_texts:
        return None
    replicates = LogmeReplicates.of(total)
    return replicates if replicates.pays(max(map(len, rows))) else None


def _why_no_context(context: ContextMoments | None, pooled: PooledMoments) -> str:
    if context is None:
        return "the pooling changes the width, so the two subspaces lie in different spaces"
    if not context.n_pairs:
        return "no text has two tokens, so there is no next state to predict"
    sums = context.sums
    if not (torch.isfinite(sums.ss_DD).all() and torch.isfinite(sums.sh_DD).all()):
        return "the states are so large that their products are beyond float32"
    if sums.hh_D.sum() / sums.n_pairs / context.dim + sums.shift_D.square().max() < SMALLEST:
        return "the states are 0, or so small that their products are below float32"
    szz, _, _ = pooled.second_moments(center=True)
    varies = (szz.diagonal() > 1e-14 * raw_diagonal(pooled, szz)).any()
    return "" if varies else "the pooled texts are all equal, so there is nothing to read a label from"


def _add_transfer(scores: LayerScores, sample: Sample, total: PooledMoments) -> None:
    scores.values["hscore"] = sample.value("hscore")
    evidence = sample.value("logme")
    if math.isnan(evidence.value):
        scores.reasons["logme"] = why_no_logme(total)
    else:
        scores.values["logme"] = evidence
        why_wide = f"width {total.dim} > {LOGME_INTERVAL_MAX_WIDTH}, where it costs more than it says"
        if total.dim > LOGME_INTERVAL_MAX_WIDTH and math.isnan(evidence.low):
            scores.reasons["logme_interval"] = f"no interval: {why_wide}"
        elif math.isnan(evidence.low):
            scores.reasons["logme_interval"] = f"no interval: without one of the groups of texts {INTERPOLATED}"
    for name in ("ntps_weighted", "ntps_published"):
        if name in sample.full:
            scores.values[name] = sample.value(name)


def pooled_spectrum(total: PooledMoments) -> Tensor:
    """Share of each principal direction in the variance of the pooled texts, descending (D,)."""
    eigenvalues = centred_spectrum(total).all_D.flip(0).clamp(min=0)
    return eigenvalues / eigenvalues.sum().clamp(min=torch.finfo(torch.float64).tiny)


def _add_autoregressive(scores: LayerScores, fixed: Frame) -> None:
    if fixed.encoder.hidden:
        scores.reasons["ntps_rounding"] = (
            f"rounding hides {fixed.encoder.hidden} of {len(fixed.encoder.eigenvalues_D)} directions of the prefixes "
            "(repetitive texts, or large states that all texts share): NTPS and the retained curve are those of the "
            "rest, and another number format may give others; --dtype float64 resolves most of them"
        )
    energy = fixed.encoder.eigenvalues_D / fixed.encoder.next_energy
    scores.spectra["context"] = energy
    scores.curves["ar_r2"] = energy.cumsum(0)
    scores.values["ar_r2"] = Value(float(scores.curves["ar_r2"][resolve_k(SHARE, len(energy)) - 1]))


def _add_ntps(scores: LayerScores, sample: Sample, fixed: Frame, total: PooledMoments) -> None:
    if fixed.labels.saturated:
        scores.reasons["ntps"] = (
            f"saturated: {len(total.label_shares())} classes use all {total.dim} directions, so the overlap is 1 by "
            "construction"
        )
        return
    if fixed.labels.penalty:
        scores.reasons["ntps_ridge"] = (
            "no more texts than directions, or directions that no text fills: label directions are those of a ridge "
            "read-out"
        )
    at, band = resolve_k(SHARE, total.dim) - 1, sample.band("ntps")
    scores.curves |= {"ntps": band.estimate, "ntps_low": band.low, "ntps_high": band.high}
    if sample.shuffled:
        scores.curves["ntps_chance"] = torch.stack([other["ntps"] for other in sample.shuffled]).mean(0)
    score = _within_unit(sample.value("ntps", lambda curve: curve[at]))
    scores.values["ntps"] = score
    scores.values["ntps_excess"] = Value(
        score.value - score.chance, score.low - score.chance, score.high - score.chance, 0.0
    )
    scores.values["ntps_auc"] = _within_unit(sample.value("ntps", log2_area))


def _within_unit(value: Value) -> Value:
    """An overlap lies in [0, 1]; the t interval does not know that."""
    return replace(value, low=max(value.low, 0.0), high=min(value.high, 1.0))


def _add_retained(scores: LayerScores, sample: Sample, fixed: Frame, total: PooledMoments) -> None:
    chance = torch.arange(1, total.dim + 1, dtype=torch.float64) / total.dim
    scores.curves |= {"retained_raw": sample.full["raw"], "chance": chance}
    scores.values["retained_raw_auc"] = sample.value("raw", log2_area)
    if fixed.full.n_texts > fixed.full.rank + 1:
        scores.values["label_r2"] = sample.value("label_r2")
    reason = why_not_adjusted(fixed.full, total.label_dimensions)
    if reason:
        scores.reasons["retained_auc"] = reason
        if "label_r2" not in scores.values:
            scores.reasons["label_r2"] = reason
        return
    band = sample.band("adjusted")
    scores.curves |= {"retained": band.estimate, "retained_low": band.low, "retained_high": band.high}
    # Under shuffled labels the adjusted curve is nothing over nothing; directions in random order keep k / D of it.
    area = sample.value("adjusted", log2_area)
    scores.values["retained_auc"] = replace(area, chance=log2_area(chance))
    # k90 is a step function, for which the jackknife's own interval is too narrow: it is read off the curve's band.
    bounds = (first_reaching(band.high, 0.9), first_reaching(band.low, 0.9), first_reaching(chance, 0.9))
    scores.values["k90"] = Value(first_reaching(band.estimate, 0.9), *bounds)


def _add_crossfit(
    scores: LayerScores,
    fixed: Frame,
    groups: Sequence[PooledMoments],
    total: PooledMoments,
    rows: Sequence[Tensor | None],
) -> None:
    """Too few texts to adjust for chance: the curve on held-out groups, without an interval."""
    curve = crossfit_retained(fixed, groups, total, rows)
    if torch.isnan(curve).any():
        scores.reasons["retained_auc"] += ", and held out no read-out explains more than its standard error"
        return
    scores.reasons["retained_auc"] += f"; the curve is cross-fitted over {len(groups)} groups, best k = 1"
    scores.curves["retained"] = curve
    scores.values["retained_auc"] = Value(log2_area(curve), chance=log2_area(scores.curves["chance"]))
    scores.values["k90"] = Value(first_reaching(curve, 0.9))
