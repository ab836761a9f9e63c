"""rank: many backbones on one task, one table, ties marked."""

from __future__ import annotations

from typing import Any, cast

import torch

from tokenworth.assessment.assess_task import assess
from tokenworth.assessment.assessment_result import Assessment, FittedProbe, ProbeRow, TaskCard
from tokenworth.assessment.assessment_settings import AssessKeywords, RankCall
from tokenworth.assessment.probe_table import bow_row, without_predictions
from tokenworth.assessment.ranking_result import RankedRow, Ranking
from tokenworth.assessment.short_names import names_apart
from tokenworth.backbones import resolve_device, resolve_dtype
from tokenworth.base.versions import describe_environment
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.probes.label_kinds import difference_of, from_lists
from tokenworth.settings.declarations import values_of
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task, load_task

Lead = tuple[float, float, float]
"""F1 of one classifier over that of another, and the ends of its paired 95 % interval."""
FIGURES = (
    "probe_accuracy",
    "probe_f1",
    "retained_auc",
    "k90",
    "ntps_excess",
    "label_r2",
    "hscore",
    "logme",
    "knn_accuracy",
)


@keywords_of(RankCall)
def rank(call: RankCall) -> Ranking:
    """Assess each backbone on the task and order them by the weighted F1 of their best probe on the test texts.

    A backbone that fails is reported and the others go on.  Backbones whose F1 is within the paired 95 % bootstrap
    interval of the first one's are marked as tied.

    Raises:
        SettingError: no model is named, or a setting no backbone could go with.
        TaskError: the task cannot be loaded.
    """
    if not call.models:
        raise SettingError("no backbone is named; give at least one folder, hub id or published name")
    resolve_dtype(call.dtype, resolve_device(call.device))
    task = call.task if isinstance(call.task, Task) else load_task(call.task, seed=call.seed)
    task = task.sample(call.max_texts, seed=call.seed) if call.max_texts is not None else task
    baseline = cast("FittedProbe", call.baseline) if call.baseline else bow_row(task)
    keywords = values_of(AssessKeywords, call) | {"max_texts": None, "baseline": dict(baseline)}
    assessed: list[tuple[str, Assessment]] = []
    failed: dict[str, str] = {}
    for model in dict.fromkeys(call.models):
        if call.started:
            call.started(model)
        try:
            assessed.append((model, assess(model, task, **keywords)))
        except (TokenworthError, MemoryError, torch.OutOfMemoryError) as error:
            failed[model] = str(error) or "out of memory"
    assessed.sort(key=lambda entry: entry[1].best_probe()["f1"], reverse=True)
    done = [result for _, result in assessed]
    names = names_apart(done, [model for model, _ in assessed])
    rows = [
        _row(place, name, entry, done[0], task) for place, (name, entry) in enumerate(zip(names, done, strict=True), 1)
    ]
    rows += [{"name": name, "rank": None, "tied": False, "failed": reason} for name, reason in failed.items()]
    return Ranking(
        task=done[0].task if done else cast("TaskCard", {"name": task.name, "source": task.source}),
        rows=rows,
        assessments=done,
        baseline=without_predictions(baseline),
        sentences=_sentences(rows, baseline, _lead(done, baseline, task)),
        environment=describe_environment(),
    )


def _lead(done: list[Assessment], baseline: FittedProbe, task: Task) -> Lead | None:
    """Of the best backbone over the bag of words."""
    if not done:
        return None
    told = (done[0].predictions, baseline["predictions"])
    best, words = (from_lists(one, task.n_classes, several=task.several) for one in told)
    return difference_of(task.test.labels, best, words, task.n_classes)


def _row(place: int, name: str, result: Assessment, first: Assessment, task: Task) -> RankedRow:
    ahead, behind = (from_lists(one.predictions, task.n_classes, several=task.several) for one in (first, result))
    _, low, _ = difference_of(task.test.labels, ahead, behind, task.n_classes)
    best, at_best = result.best_probe(), result.row()
    scores = {f"{name}{suffix}": at_best.get(f"{name}{suffix}") for name in FIGURES for suffix in ("", "_low", "_high")}
    row: Any = {
        "name": name,
        "rank": place,
        "tied": place > 1 and low <= 0,
        "best_layer": result.best_layer,
        "best_probe": best["name"],
        **{f"best_{name}": best.get(name) for name in ("f1", "f1_low", "f1_high", "accuracy")},
        **scores,
        "causal": result.backbone["causal"],
        "seconds": result.timings["total"],
        "n_parameters": result.backbone["n_parameters"],
        "failed": None,
    }
    return cast("RankedRow", row)


def _sentences(rows: list[RankedRow], baseline: ProbeRow, lead: Lead | None) -> list[str]:
    """First what a choice needs: whether any backbone beats counting words, and by how much."""
    ranked = [row for row in rows if row["failed"] is None]
    if lead is None or not ranked:
        return ["No backbone could be assessed; the reasons stand in the table."]
    first, tied = ranked[0], [row["name"] for row in ranked if row["tied"]]
    beside = f"within its noise: {', '.join(tied)}" if tied else "no other is within its noise"
    sentences = [
        _against_words(first, baseline, lead),
        f"Of the backbones {first['name']} reads the labels best, with {first['best_probe']}; {beside}.",
    ]
    ahead = [row["name"] for row in ranked if row["best_f1_low"] > baseline["f1"]]
    sentences += [f"Clearly above a bag of words: {', '.join(ahead)}."] if ahead[1:] else []
    failed = [row["name"] for row in rows if row["failed"] is not None]
    return [*sentences, *([f"Could not be assessed: {', '.join(failed)}."] if failed else [])]


def _against_words(first: RankedRow, baseline: ProbeRow, lead: Lead) -> str:
    difference, low, high = lead
    name, f1, words = first["name"], f"{first['best_f1']:.3f}", f"{baseline['f1']:.3f}"
    if high < 0:
        return (
            f"A bag of words wins: weighted F1 {words}, {-difference:.3f} ({-high:.3f} to {-low:.3f}) above the best "
            f"backbone, {name} ({f1})."
        )
    if low > 0:
        return (
            f"{name} wins: weighted F1 {f1}, {difference:.3f} ({low:.3f} to {high:.3f}) above a bag of words ({words})."
        )
    return (
        f"No backbone beats a bag of words: {name} reaches weighted F1 {f1} and the words {words}, a difference of "
        f"{difference:+.3f} ({low:+.3f} to {high:+.3f}) within the noise."
    )
