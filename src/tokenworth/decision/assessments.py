"""The assessments a decision rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenworth.assessment import Assessment, assess
from tokenworth.assessment.probe_table import bow_row
from tokenworth.assessment.short_names import names_apart
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.tasks import Task


@dataclass(frozen=True, slots=True)
class Looked:
    """Assessments of the backbones that could be assessed."""

    assessments: list[Assessment]
    models: dict[str, str]
    """What was given, by the name of the backbone; in the order of the assessments."""
    failures: list[str]


def look(task: Task, models: Sequence[str], started: Callable[[str], None] | None, settings: dict[str, Any]) -> Looked:
    """Assess every backbone; one that fails is noted, and the others go on.

    Args:
        task: what to assess them for; the bag of words is fitted once.
        models: folders, hub ids or published names.
        started: called with the name of each before it is assessed.
        settings: of `assess`.

    Raises:
        SettingError: none is named, or none could be assessed.
    """
    if not models:
        raise SettingError("no backbone is named; give at least one folder, hub id or published name")
    baseline, looked, assessed = bow_row(task), Looked([], {}, []), list[str]()
    for model in dict.fromkeys(models):
        if started:
            started(model)
        try:
            assessment = assess(model, task, baseline=dict(baseline), **settings)
        except TokenworthError as error:
            looked.failures.append(f"{model}: {error}")
            continue
        looked.assessments.append(assessment)
        assessed.append(model)
    looked.models.update(zip(names_apart(looked.assessments, assessed), assessed, strict=True))
    if not looked.assessments:
        raise SettingError("no backbone could be assessed: " + "; ".join(looked.failures))
    return looked
