"""What the index says of a study: how many of its cells are finished, and its best route beside the bag of words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from tokenworth.adaptation.route_names import ROUTES, route_title
from tokenworth.report.index.index_entry import (
    BOW,
    F1,
    MAJORITY,
    Described,
    Entry,
    Headline,
    Reference,
    facts_of,
)

_ROUTES = {BOW: "bow", MAJORITY: "majority"}
Means = dict[str, dict[str, float]]
"""Weighted F1 by route and task, over backbones, settings and seeds."""


@dataclass(slots=True)
class StudyFolder:
    """A folder with cells."""

    place: str
    """From the folder of the index."""
    page: str = ""
    cells: set[str] = field(default_factory=set)
    """Folders of all that were begun."""
    counted: set[str] = field(default_factory=set)
    """Finished ones whose figures are no result of their own: parameters, text losses, figures of published code."""
    failed: set[str] = field(default_factory=set)
    changed: float = 0.0
    """When a cell was begun last, in seconds since 1970."""


def study_entry(study: StudyFolder, parts: Sequence[Entry]) -> Entry:
    """The entry of a study, given those of its cells."""
    finished = {entry.place.removesuffix("/run") for entry in parts if entry.content.finished} | study.counted
    failed = study.failed - finished
    means = _means(parts)
    counts = {"cells": len(study.cells), "finished": len(finished & study.cells), "failed": len(failed)}
    said = f"{counts['finished']} of {counts['cells']} cells are finished" + f", {len(failed)} failed" * bool(failed)
    tasks = sorted({entry.content.task for entry in parts if entry.content.task})
    numbers = {f"{task}, {route}": value for route, values in means.items() for task, value in values.items()}
    content = Described(
        title=", ".join(_route_names(means)) or "no cell is finished",
        task=", ".join(tasks[:3]) + ", …" * (len(tasks) > 3),
        headline=_headline(means),
        sentence=f"{said}.",
        facts={
            "Data": facts_of({entry.content.task: entry.content.fingerprint for entry in parts if entry.content.task}),
            "Versions": next(
                (entry.content.facts["Versions"] for entry in parts if "Versions" in entry.content.facts), {}
            ),
            "Numbers": facts_of({**counts, **numbers}),
        },
        route="study",
        finished=counts["finished"] + counts["failed"] == counts["cells"],
    )
    changed = max([study.changed, *(entry.changed for entry in parts)])
    file = "cells" if study.place == "." else f"{study.place}/cells"
    return Entry("study", file, study.page, changed, content)


def _route_names(means: Means) -> list[str]:
    known = [route.title for name, route in ROUTES.items() if name in means]
    return known + sorted(means.keys() - {*ROUTES, "majority"})


def _means(parts: Iterable[Entry]) -> Means:
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in parts:
        if entry.content.headline is not None and entry.content.headline.name == F1:
            values[entry.content.route][entry.content.task].append(entry.content.headline.value)
            for reference in entry.content.references:
                if reference.name == MAJORITY or entry.kind == "assessment":
                    values[_ROUTES[reference.name]][entry.content.task].append(reference.value)
    return {route: {task: fmean(each) for task, each in tasks.items()} for route, tasks in values.items()}


def _headline(means: Means) -> Headline | None:
    """The route of the highest mean over the tasks that it shares with the bag of words, on most of them first."""
    bow, measured = means.get("bow", {}), {route: tasks for route, tasks in means.items() if route != "majority"}
    others = {route: tasks for route, tasks in measured.items() if route != "bow"} or measured
    if not others:
        return None
    shared = {route: sorted(tasks.keys() & bow.keys()) or sorted(tasks) for route, tasks in others.items()}
    best = max(others, key=lambda route: (len(shared[route]), fmean(others[route][task] for task in shared[route])))
    tasks = shared[best]
    measured_there = {name: means.get(route, {}) for name, route in _ROUTES.items() if route != best}
    beside = tuple(
        Reference(name, fmean(values[task] for task in tasks))
        for name, values in measured_there.items()
        if values.keys() >= set(tasks)
    )
    over = f"mean over {len(tasks)} tasks, " if len(tasks) > 1 else ""
    return Headline(
        F1, fmean(others[best][task] for task in tasks), references=beside, remark=f"{over}{route_title(best)}"
    )
