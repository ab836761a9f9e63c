"""What is computed of one layer's moments: of all texts, without each group of them, and under shuffled labels.

Intervals are delete-a-group jackknife on the pooled side, V fixed; chance levels come from shuffled labels, features
and V kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenworth.scores.curves import SHARE, resolve_k
from tokenworth.scores.frame import Frame, Replicate
from tokenworth.scores.hscore import hscore
from tokenworth.scores.hscore_replicates import hscore_without
from tokenworth.scores.jackknife import Interval, interval
from tokenworth.scores.logme import logme
from tokenworth.scores.logme_replicates import LogmeReplicates
from tokenworth.scores.ntps import overlap_curve
from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.published_ntps import PublishedCode
from tokenworth.scores.subspaces import label_directions

LOGME_INTERVAL_MAX_WIDTH = 1024
"""Above this width an eigendecomposition of each replicate costs more than the interval is worth."""


@dataclass(frozen=True, eq=False, slots=True)
class TextGroup:
    """A group of texts that the jackknife leaves out: its moments and, where they are there, its rows and labels."""

    moments: PooledMoments
    rows_ND: Tensor | None = None
    labels_N: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """One score: value, 95 % interval and label-permutation level; NaN where it does not exist."""

    value: float
    low: float = math.nan
    high: float = math.nan
    chance: float = math.nan


@dataclass(frozen=True, eq=False, slots=True)
class Statistics:
    """Everything computed of one set of pooled moments; what does not change is computed once."""

    fixed: Frame | None
    published: PublishedCode | None
    replicates: LogmeReplicates | None

    def of(self, moments: PooledMoments) -> dict[str, Tensor]:
        """Scalars and curves by name, of the texts that the fixed parts come from, under some labels."""
        statistics = {"hscore": _scalar(hscore(moments)), "logme": _scalar(logme(moments))}
        if self.fixed is None:
            return statistics
        statistics |= _curves(self.fixed.relabelled(moments))
        if self.published is not None:
            statistics["ntps_weighted"] = _scalar(self._weighted(moments))
            statistics["ntps_published"] = self.published.curve(moments, [SHARE])[0]
        return statistics

    def without(self, total: PooledMoments, group: TextGroup) -> dict[str, Tensor]:
        """The same without a group of texts, as far as it has an interval."""
        separation, evidence = self._at_low_rank(total, group)
        within = total.dim <= LOGME_INTERVAL_MAX_WIDTH
        if math.isnan(separation) or (within and math.isnan(evidence)):
            fit = total - group.moments
            separation = hscore(fit) if math.isnan(separation) else separation
            evidence = logme(fit) if within and math.isnan(evidence) else evidence
        statistics = {"hscore": _scalar(separation)}
        if within or not math.isnan(evidence):
            statistics["logme"] = _scalar(evidence)
        if self.fixed is None:
            return statistics
        return statistics | _curves(self.fixed.without(total, group.moments, group.rows_ND))

    def _at_low_rank(self, total: PooledMoments, group: TextGroup) -> tuple[float, float]:
        """H-score and LogME from the decomposition of all texts; NaN where that does not pay or rounding hides them."""
        if self.replicates is None or group.rows_ND is None or group.labels_N is None:
            return math.nan, math.nan
        rows_NR = self.replicates.along(group.rows_ND)
        return hscore_without(total, group.moments, rows_NR), self.replicates.without(rows_NR, group.labels_N)

    def _weighted(self, moments: PooledMoments) -> float:
        assert self.fixed is not None, "asked for only beside the published code, which needs a context"
        szy = moments.second_moments(center=True)[1]
        directions, _ = label_directions(self.fixed.labels.whitening, szy)
        curve = overlap_curve(self.fixed.encoder_basis_DD, self.fixed.encoder.rank, directions)
        return float(curve[resolve_k(SHARE, len(curve)) - 1])


def _curves(replicate: Replicate) -> dict[str, Tensor]:
    readout, ntps = replicate.curves()
    share = readout.signal() / readout.variance if readout.variance else math.nan
    return {"ntps": ntps, "raw": readout.raw(), "adjusted": readout.adjusted(), "label_r2": _scalar(share)}


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """The statistics of all texts, without each group, and under each shuffle of the labels."""

    full: dict[str, Tensor]
    without: list[dict[str, Tensor]]
    shuffled: list[dict[str, Tensor]]

    def value(self, name: str, summary: Callable[[Tensor], Tensor | float] = float) -> Value:
        """A statistic (or a summary of a curve) with its jackknife interval and its mean under shuffled labels."""
        estimate = _scalar(summary(self.full[name]))
        chance = self.chance(name, summary)
        if not all(name in other for other in self.without):
            return Value(float(estimate), chance=chance)
        band = interval(estimate, torch.stack([_scalar(summary(other[name])) for other in self.without]))
        return Value(float(estimate), float(band.low), float(band.high), chance)

    def chance(self, name: str, summary: Callable[[Tensor], Tensor | float] = float) -> float:
        """Mean of a statistic over shuffled labels; NaN without shuffles."""
        values = [float(summary(other[name])) for other in self.shuffled]
        return sum(values) / len(values) if values else math.nan

    def band(self, name: str) -> Interval:
        """A curve with its interval at each k."""
        return interval(self.full[name], torch.stack([other[name] for other in self.without]))


def _scalar(value: Tensor | float) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
