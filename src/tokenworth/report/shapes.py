"""The attributes a result must have to be shown; the report depends on these and on no class of the package."""

# ruff: noqa: D102  what each attribute holds is said once, by the dataclasses that have them
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Row = Mapping[str, Any]


class AssessmentLike(Protocol):
    """One backbone on one task: plain, JSON-able data; a number that does not exist is None or NaN."""

    @property
    def task(self) -> Row: ...
    @property
    def backbone(self) -> Row: ...
    @property
    def settings(self) -> Row: ...
    @property
    def layers(self) -> Sequence[Row]: ...
    @property
    def best_layer(self) -> int: ...
    @property
    def best_layer_frequency(self) -> Row: ...
    @property
    def curves(self) -> Row: ...
    @property
    def spectrum(self) -> Row: ...
    @property
    def probes(self) -> Sequence[Row]: ...
    @property
    def confusion(self) -> Row: ...
    @property
    def flags(self) -> Sequence[Row]: ...
    @property
    def sentences(self) -> Sequence[str]: ...
    @property
    def timings(self) -> Row: ...
    @property
    def environment(self) -> Row: ...


class RankingLike(Protocol):
    """Several backbones on one task, best first."""

    @property
    def task(self) -> Row: ...
    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def assessments(self) -> Sequence[AssessmentLike]: ...
    @property
    def baseline(self) -> Row: ...
    @property
    def sentences(self) -> Sequence[str]: ...
    @property
    def environment(self) -> Row: ...


def row_at(result: AssessmentLike, layer: int) -> Row:
    """The scores of one layer; an empty mapping when it was not assessed."""
    return next((row for row in result.layers if row["layer"] == layer), {})


def best_probe(result: AssessmentLike) -> Row:
    """The probe whose confusion is reported, else the last one fitted on the backbone's features, else nothing."""
    fitted = [probe for probe in result.probes if probe.get("kind") not in ("bow", "majority")]
    named = [probe for probe in fitted if probe["name"] == (result.confusion or {}).get("probe")]
    return next(iter(named or reversed(fitted)), {})


def ranked(row: Row) -> Row:
    """f1, f1_low, f1_high and accuracy of a ranking's row: of the best probe it is ranked by, else the ridge probe."""
    prefix = "best_" if row.get("best_f1") is not None else "probe_"
    return {key: row.get(prefix + key) for key in ("f1", "f1_low", "f1_high", "accuracy")}


def probe_of_kind(result: AssessmentLike, kind: str) -> Row:
    """The first probe of a kind ("bow", "majority", ...), or an empty mapping."""
    return next((probe for probe in result.probes if probe.get("kind") == kind), {})
