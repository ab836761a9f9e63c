"""What charts and scores are called, what they say and what they may be trusted for; the words lie in words.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenworth.report.pages.theme import Panel

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult

DIGITS = {"k90": 0}
"""Decimals of a column where they are not three."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One score of a layer and how it is shown.

    ``key`` is its column; ``companion`` a second column drawn thinly in the same panel. ``log`` marks a count of
    directions, shown over log2; ``flagged_as`` another score whose flags hold for this one too. ``says`` and ``trust``
    are one sentence each.
    """

    key: str
    title: str
    says: str
    trust: str
    digits: int = 3
    log: bool = False
    companion: str = ""
    flagged_as: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Scores that answer the same question."""

    title: str
    lead: str
    metrics: tuple[Metric, ...]


@cache
def _words() -> dict[str, Any]:
    import yaml

    with (Path(__file__).parent / "templates" / "words.yaml").open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


def names_of(what: str) -> dict[str, str]:
    """What is called how, in reading order: columns of layers, scores of a trace, metrics of routes, ..."""
    return dict(_words()["names"][what])


@cache
def metric_groups() -> tuple[Group, ...]:
    """The scores by question, in reading order."""
    groups = _words()["groups"]
    return tuple(Group(g["title"], g["lead"], tuple(Metric(**metric) for metric in g["metrics"])) for g in groups)


def metric_of(key: str) -> Metric:
    """The score of a column."""
    return next(metric for group in metric_groups() for metric in group.metrics if metric.key == key)


def overlays() -> list[Panel]:
    """Panels of the scores that are drawn for several backbones on one axis; their names end in the score's column."""
    shown = ((metric_of(key), words) for key, words in _words()["overlays"].items())
    return [
        Panel(metric.key, metric.title, words.get("says", metric.says), words.get("trust", metric.trust))
        for metric, words in shown
    ]


def panel_of(key: str, *, name: str = "", **values: str) -> Panel:
    """A panel with its words, values filled in, and no chart yet."""
    words = _words()["panels"][key]
    title, says, trust = (words.get(part, "").format(**values) for part in ("title", "says", "trust"))
    return Panel(name or words.get("name", key), title, says, trust)


def route_metric_names(result: AdaptResult) -> dict[str, str]:
    """What the metrics of a route's result are called; of several labels a text there are more."""
    return names_of("route_metrics") | (names_of("label_set_metrics") if result.several else {})
